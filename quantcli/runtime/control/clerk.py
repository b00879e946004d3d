"""Takes operators' words from outside: each once, by its `request_id`; waits, and says what came of it.

Lives in the control thread.  What stops trading goes past everything that may hold it up: the kill flag is
written from here, and a strategy that does not return is broken off.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Mapping
from concurrent.futures import Future
from contextlib import suppress
from pathlib import Path
from typing import Any

from quantcli.clock import NS_PER_S, Clock
from quantcli.errors import OutcomeUnknown, QuantError, SafetyError, StoreError, UsageError
from quantcli.runtime.control.bridge import Bridge
from quantcli.runtime.control.deeds import Begun, Deeds
from quantcli.runtime.control.reach import Reach
from quantcli.runtime.control.watchman import Watchman
from quantcli.runtime.control.wire import Done, Word
from quantcli.store.halt import HaltFlag, KillLevel

_KEPT = 256
_WORD_S, _CONFIRM_S, _LOOK_S = 12.0, 5.0, 0.01
_LEVELS = (KillLevel.HALT_NEW, KillLevel.CANCEL_ALL, KillLevel.FLATTEN)


class Clerk:
    """Of one run; `halt_flag` is the durable kill flag's file."""

    def __init__(
        self, bridge: Bridge, reach: Reach, watchman: Watchman, halt_flag: Path, clock: Clock
    ) -> None:
        self._about, self._bridge, self._reach = bridge.about, bridge, reach
        self._watchman, self._clock = watchman, clock
        self._flag = HaltFlag(halt_flag)
        self._answers: OrderedDict[str, asyncio.Task[Done]] = OrderedDict()
        self._verbs: dict[str, Callable[[Mapping[str, str]], Awaitable[Done]]] = {
            "halt": self._halt,
            "resume": self._resume,
            "stop": self._stop,
            "reconcile": self._reconcile,
            "flatten": self._flatten,
            "cancel": lambda w: self._carried_out(lambda d: d.cancel(_needed(w, "order"))),
            "adopt": lambda w: self._carried_out(lambda d: d.adopt(_needed(w, "order"), w.get("slot", ""))),
            "pause": lambda w: self._carried_out(lambda d: d.pause(_needed(w, "symbol"), w.get("slot", ""))),
            "unpause": lambda w: self._carried_out(
                lambda d: d.unpause(_needed(w, "symbol"), w.get("slot", ""))
            ),
            "trust": lambda _: self._carried_out(lambda d: d.trust()),
            "accept_drift": lambda w: self._carried_out(
                lambda d: d.accept_drift(_needed(w, "symbol"), w.get("reason", ""))
            ),
            "declare_dead": lambda w: self._carried_out(
                lambda d: d.declare_dead(_needed(w, "order"), w.get("reason", ""))
            ),
        }

    async def do(self, verb: str, word: Word) -> Done:
        """Carry out a word, or give the answer that it was given before.  Raises `UsageError` for what is no
        word, `OutcomeUnknown` for one that is not carried out in time."""
        if verb not in self._verbs:
            raise UsageError(f"{verb!r} cannot be done", todo=f"one of {', '.join(self._verbs)}")
        if not word.request_id:
            raise UsageError("a word needs a request_id", why="sent twice, it is to be done once")
        task = self._answers.get(word.request_id)
        if task is None:
            task = asyncio.get_running_loop().create_task(self._told(verb, word.words))
            self._answers[word.request_id] = task
            while len(self._answers) > _KEPT:
                _, oldest = self._answers.popitem(last=False)
                oldest.add_done_callback(_read)
        return await asyncio.shield(task)

    async def _told(self, verb: str, words: Mapping[str, str]) -> Done:
        """Do it, and have it written down what the operator wanted and what came of it."""
        said = " ".join([verb, *(text for text in words.values() if text)])
        try:
            done = await self._verbs[verb](words)
        except QuantError as error:
            self._bridge.notes.add("operator", f"{said}: refused, {error.what}", "warn", why=error.why)
            raise
        level = "warn" if verb in ("halt", "stop", "flatten") else "info"
        self._bridge.notes.add("operator", f"{said}: {done.what}", level)
        return done

    # What stops trading.

    async def _halt(self, words: Mapping[str, str]) -> Done:
        name, reason = words.get("level") or "HALT_NEW", words.get("reason") or "by the operator"
        if name not in KillLevel.__members__ or KillLevel[name] not in _LEVELS:
            raise UsageError(f"{name!r} is no level", todo="HALT_NEW, CANCEL_ALL or FLATTEN")
        level, trouble = KillLevel[name], ""
        try:
            self._flag.raise_to(level, reason, self._clock.now_ns())
        except StoreError as error:
            trouble = f"{error.what}: {error.why}"
        deeds = self._bridge.deeds
        if deeds is None:
            if trouble:
                raise StoreError(trouble, todo="quant stop")
            return Done(f"halted ({name}): it holds before anything is placed")
        answer = self._bridge.words.put(lambda: deeds.halt(level, reason))
        if level is KillLevel.HALT_NEW and self._watchman.stuck_at and not trouble:
            return Done(f"halted; the strategy does not return, at {self._watchman.stuck_at}")
        if level is not KillLevel.HALT_NEW:
            await self._urged(answer)
        return self._with_broken(await self._confirmed(await self._answered(answer)))

    async def _stop(self, _: Mapping[str, str]) -> Done:
        loop = self._bridge.loop
        if loop is None:
            raise SafetyError("the bot is neither here nor there", why="it is starting, or ending")
        with suppress(RuntimeError):  # it has ended this moment
            loop.call_soon_threadsafe(self._bridge.stop)
        ping: Future[None] = self._bridge.words.put(_nothing)
        await self._urged(ping)
        return self._with_broken(Done("stopping: orders that slots keep are cancelled, then it ends"))

    async def _urged(self, answer: "Future[Any]") -> None:
        """Have a word carried out though the strategy may not return."""
        try:
            async with asyncio.timeout(_WORD_S):
                await self._watchman.urge(answer)
        except TimeoutError:
            where = self._watchman.stuck_at
            raise OutcomeUnknown(
                f"{self._about.bot} does not act: its strategy cannot be broken off",
                why=f"it stands at {where}" if where else "the trading loop does not answer",
                todo=f"kill -9 {self._about.pid}, then cancel on the exchange; the halt is written down",
            ) from None

    def _with_broken(self, done: Done) -> Done:
        if not self._watchman.broken:
            return done
        return Done(f"{done.what}; the strategy was broken off ({self._watchman.broken})", done.items)

    # The rest.

    async def _resume(self, _: Mapping[str, str]) -> Done:
        if self._bridge.deeds is None:
            self._flag.clear()
            return Done("the halt is lifted")
        return await self._carried_out(lambda deeds: deeds.resume())

    async def _reconcile(self, _: Mapping[str, str]) -> Done:
        began_ns = await self._reach.ask(lambda _: self._bridge.clock.now_ns())
        await self._carried_out(lambda deeds: deeds.reconcile())
        ends_s = _CONFIRM_S
        while ends_s > 0 and not await self._reach.ask(lambda c: c.is_swept(began_ns)):
            await asyncio.sleep(_LOOK_S)
            ends_s -= _LOOK_S
        rows = await self._reach.ask(lambda cockpit: cockpit.orders())
        differing = [row for row in rows if row.mark != "="]
        findings = (await self._reach.ask(lambda cockpit: cockpit.status())).findings
        told = "; ".join([f"{len(rows) - len(differing)} in sync, {len(differing)} not", *findings])
        late = "" if ends_s > 0 else "; not everything was answered yet"
        items = tuple(f"{row.mark} {row.symbol} {row.slot or row.exchange_order_id}" for row in differing)
        return Done(f"asked {self._about.exchange}: {told}{late}", items)

    async def _flatten(self, words: Mapping[str, str]) -> Done:
        symbol = _needed(words, "symbol")
        cleared = await self._carried_out(lambda deeds: deeds.clear(symbol))
        still = await self._reach.ask(lambda cockpit: cockpit.open_of(cleared.items))
        if still:
            raise OutcomeUnknown(
                f"{symbol} is not flat: {len(still)} of its orders are not confirmed to be gone",
                why="closing the position while they may still trade could turn it round",
                todo=f"quant positions flatten {symbol} again",
            )
        closed = await self._carried_out(lambda deeds: deeds.close(symbol))
        return Done(f"{cleared.what}; {closed.what}", (*cleared.items, *closed.items))

    async def _carried_out(self, deed: Callable[[Deeds], Awaitable[Begun]]) -> Done:
        self._reach.cockpit  # noqa: B018 (says what is the matter if there is none)
        deeds = self._bridge.deeds
        assert deeds is not None
        answer = self._bridge.words.put(lambda: deed(deeds))
        return await self._confirmed(await self._answered(answer))

    async def _answered(self, answer: "Future[Begun]") -> Begun:
        try:
            async with asyncio.timeout(_WORD_S):
                return await asyncio.wrap_future(answer)
        except TimeoutError:
            answer.cancel()
            raise OutcomeUnknown(
                f"{self._about.bot} does not act on it",
                why=f"its strategy stands at {self._watchman.stuck_at}"
                if self._watchman.stuck_at
                else "the trading loop does not answer",
                todo=f"quant status {self._about.bot}",
            ) from None

    async def _confirmed(self, begun: Begun) -> Done:
        """Wait until nothing of it is open any more, and say how it went."""
        began_ns, still = self._clock.now_ns(), list(begun.awaited)
        ends_ns = began_ns + round(_CONFIRM_S * NS_PER_S)
        while still and self._clock.now_ns() < ends_ns:
            try:
                still = await self._reach.ask(lambda cockpit: cockpit.open_of(begun.awaited))
            except QuantError:  # it ends
                left = self._bridge.left_open
                still = still if left is None else [each for each in still if each in left]
                break
            if still:
                await asyncio.sleep(_LOOK_S)
        took_s = (self._clock.now_ns() - began_ns) / NS_PER_S
        gone = len(begun.awaited) - len(still)
        words = [begun.what]
        if begun.awaited:
            total, where = len(begun.awaited), self._about.exchange
            words.append(f"{gone} of {total} confirmed by {where} in {took_s:.1f} s")
        words += [f"left on purpose: {begun.left}"] if begun.left else []
        words += [begun.trouble] if begun.trouble else []
        return Done("; ".join(words), begun.items)


async def _nothing() -> None:
    pass


def _needed(words: Mapping[str, str], name: str) -> str:
    if not words.get(name):
        raise UsageError(f"{name} is missing")
    return words[name]


def _read(task: "asyncio.Task[Done]") -> None:
    """Nobody asks for this answer any more: an error in it is no news."""
    if not task.cancelled():
        task.exception()
