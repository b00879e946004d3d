"""The budget of an exchange's request limits: who may send now, and who waits for which window.

    CANCEL      may use all of it       what is open must be closable
    RECONCILE   90 %                    what is unknown must be found out
    PLACE       80 %                    new risk, only while there is room to manage it
    DATA        60 %                    can wait, or come by stream

The shares are of weight, which all lanes draw on: a minute of polling cannot keep an order from being sent,
nor a minute of orders one from being cancelled, and each higher lane keeps 600 or more of Binance's 6000
for itself.  Orders are counted for placements only, so of these PLACE has them all.  Within that the lanes
have strict priority and each is first in, first out.

Limits are windows on the exchange's clock, which starts them anew ("a 1 MINUTE interval starts every
minute"; web-socket-api.md, How to interpret rate limits).  Near the border of two, where neither our idea of
that clock nor the way there is exact, a request counts in both.  Counts are the greater of our own and the
exchange's (headers), and are shared by the processes of an account (`budget_file`).

Sends nothing, and knows no exchange but by the names of its headers.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from enum import IntEnum
from pathlib import Path
from typing import TypeVar

from quantcli.clock import NS_PER_S, Clock
from quantcli.errors import ExchangeError
from quantcli.venues.budget_file import BudgetFile, Busy, Page, Unusable
from quantcli.venues.inbox import Notice
from quantcli.venues.limit_rules import Rule, Usage

_T = TypeVar("_T")


class Lane(IntEnum):
    """What a request is for; the lower number goes first."""

    CANCEL = 0
    RECONCILE = 1
    PLACE = 2
    DATA = 3


class TooLate(ExchangeError):
    """The deadline passed before the limits let a request through.  Nothing of it was sent."""


_SHARES = {Lane.CANCEL: 100, Lane.RECONCILE: 90, Lane.PLACE: 80, Lane.DATA: 60}
# Binance's shortest ban ("from 2 minutes to 3 days"; rest-api.md, IP Limits), where it does not say.
_SHORTEST_BAN_NS = 120 * NS_PER_S
_LONGEST_SLEEP_S = 1.0
_BUSY_S = 0.002
_PATIENCE_NS = NS_PER_S

# Binance's spot market until exchangeInfo says otherwise (web-socket-api.md, How to interpret rate limits).
BINANCE_SPOT = (
    Rule("weight", 6_000, 60 * NS_PER_S),
    Rule("orders", 50, 10 * NS_PER_S),
    Rule("orders", 160_000, 86_400 * NS_PER_S),
)


class _Waiter:
    """A request that waits for its turn; `spent` are the windows it was counted in, once it was let go."""

    __slots__ = ("costs", "deadline_ns", "future", "spent")

    def __init__(self, costs: dict[str, int], deadline_ns: int | None, future: asyncio.Future[None]) -> None:
        self.costs, self.deadline_ns, self.future = costs, deadline_ns, future
        self.spent: list[tuple[int, int, int]] = []


class Budget:
    """The limits of one account on one exchange, in one event loop.

    `clock` is ours; `server` is the exchange's as far as known (ours, if not given).  `shared` names the file
    in which the account's processes count together; if it cannot be used, that is said once.
    """

    def __init__(
        self,
        rules: Sequence[Rule | tuple[str, int, int]],
        clock: Clock,
        shared: Path | None = None,
        *,
        server: Clock | None = None,
        tell: Callable[[Notice], None] = lambda notice: None,
    ) -> None:
        self._rules = [Rule(*rule) for rule in rules]
        self._clock, self._server, self._tell = clock, server or clock, tell
        self._file = BudgetFile(shared) if shared else None
        self._page = Page()
        self._queues: dict[Lane, deque[_Waiter]] = {lane: deque() for lane in Lane}
        self._timer: asyncio.TimerHandle | None = None
        self._busy_since_ns = 0
        self._has_told = False

    async def admit(self, lane: Lane, weight: int, orders: int = 0, deadline_ns: int | None = None) -> None:
        """Wait for the turn of a request, and count it.

        Raises `TooLate` if that is not before `deadline_ns` (our clock), and `ValueError` for a request that
        no window can ever hold.
        """
        costs = {"weight": weight, "orders": orders}
        for rule in self._rules:
            if costs[rule.kind] > rule.limit:
                raise ValueError(f"{costs[rule.kind]} {rule.kind} at once, of {rule.limit}")
        waiter = _Waiter(costs, deadline_ns, asyncio.get_running_loop().create_future())
        self._queues[lane].append(waiter)
        self.wake()
        try:
            await waiter.future
        except asyncio.CancelledError:
            self._withdraw(lane, waiter)
            raise

    def seen(self, headers: Mapping[str, str], status: int = 200, sent_ns: int | None = None) -> None:
        """Take note of an answer: counts, and whether it tells us to stop.  Names of `headers` in lower case.

        `sent_ns` (our clock) is when it was asked.  A count that may be of the window before is left out:
        the next answer will tell.
        """
        now_ns, server_ns = self._clock.now_ns(), self._server.now_ns()
        took_ns = now_ns - sent_ns if sent_ns is not None else 0
        counts = []
        for rule in self._rules:
            used = headers.get(rule.header, "")
            window, *others = rule.windows(server_ns)
            if used.isdecimal() and not others and window in rule.windows(server_ns - took_ns):
                counts.append((rule.key, window, int(used)))
        if counts:
            self._change(lambda page: _raise(page, counts))
        if status in (418, 429):
            self._refused(headers.get("retry-after", ""), status, now_ns, server_ns)

    def _refused(self, retry_after: str, status: int, now_ns: int, server_ns: int) -> None:
        """Too many requests.  Too many orders come without a Retry-After (rest-api.md, Unfilled Order Count):
        then what is full is the shortest window of orders."""
        orders = sorted((rule for rule in self._rules if rule.kind == "orders"), key=lambda r: r.interval_ns)
        if retry_after.isdecimal():
            self.banned(now_ns + int(retry_after) * NS_PER_S)
        elif status == 418 or not orders:
            self.banned(now_ns + _SHORTEST_BAN_NS)
        else:
            rule = orders[0]
            window = rule.windows(server_ns)[-1]
            self._change(lambda page: _raise(page, [(rule.key, window, rule.limit)]))

    def banned(self, until_ns: int) -> None:
        """Stop every lane until then (our clock): going on would make it longer."""
        now_ns = self._clock.now_ns()
        if self._change(lambda page: _ban(page, until_ns)) <= now_ns < until_ns:
            seconds = (until_ns - now_ns) / NS_PER_S
            self._tell(Notice("limit", f"the exchange wants no requests for {seconds:.0f} s: all wait"))
        self.wake()

    def learn(self, rules: Sequence[Rule | tuple[str, int, int]]) -> None:
        """Take over the limits that the exchange states now, of rules that are known."""
        stated = {(rule[0], rule[2]): rule[1] for rule in rules}
        self._rules = [
            rule._replace(limit=stated.get((rule.kind, rule.interval_ns), rule.limit)) for rule in self._rules
        ]
        self.wake()

    def used(self, kind: str, interval_ns: int) -> int:
        """How much of a rule's present window is used, by all who share it."""
        rule = Rule(kind, 0, interval_ns)
        window = self._server.now_ns() // interval_ns
        return self._change(lambda page: page.used(rule.key, window))

    def report(self) -> list[Usage]:
        """How every rule stands now, by all who share it; looking changes nothing."""
        page, server_ns = self._look(), self._server.now_ns()
        is_banned = page.banned_ns > self._clock.now_ns()
        waiting = [(lane, w) for lane, queue in self._queues.items() for w in queue if not w.future.done()]
        return [
            Usage(
                rule.kind,
                page.used(rule.key, server_ns // rule.interval_ns),
                rule.limit,
                rule.interval_ns / NS_PER_S,
                (rule.interval_ns - server_ns % rule.interval_ns) / NS_PER_S,
                sum(
                    waiter.costs[rule.kind] > 0
                    and (is_banned or not self._fits(page, rule, lane, waiter, server_ns))
                    for lane, waiter in waiting
                ),
            )
            for rule in self._rules
        ]

    def close(self) -> None:
        """Let go of timer and file; who waits still, waits in vain."""
        if self._timer is not None:
            self._timer.cancel()
        if self._file is not None:
            self._file.close()

    # Taking turns.

    def wake(self) -> None:
        """Let everybody go whose turn it is; call it after the clock was set."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        now_ns = self._clock.now_ns()
        self._send_away(now_ns)
        if not any(self._queues.values()):
            return
        try:
            let_go, until_ns = self._change(lambda page: self._choose(page, now_ns), may_wait=True)
        except Busy:
            self._sleep(_BUSY_S)
            return
        for lane, waiter in let_go:
            self._queues[lane].remove(waiter)
            waiter.future.set_result(None)
        deadlines = [
            w.deadline_ns for queue in self._queues.values() for w in queue if w.deadline_ns is not None
        ]
        if any(self._queues.values()):
            next_ns = min([until_ns, *deadlines])
            self._sleep(min(max((next_ns - now_ns) / NS_PER_S, 0.001), _LONGEST_SLEEP_S))

    def _choose(self, page: Page, now_ns: int) -> tuple[list[tuple[Lane, _Waiter]], int]:
        """Who may go now, counted in `page`; and when to look again.

        Whoever waits for a kind of limit holds it against every lower lane.
        """
        if page.banned_ns > now_ns:
            return [], page.banned_ns
        server_ns = self._server.now_ns()
        let_go: list[tuple[Lane, _Waiter]] = []
        held: set[str] = set()
        until_ns = now_ns + 60 * NS_PER_S
        for lane, queue in self._queues.items():
            for waiter in queue:
                if waiter.future.done():  # given up; it is about to leave
                    continue
                if any(waiter.costs[kind] for kind in held):
                    break
                full = [rule for rule in self._rules if not self._fits(page, rule, lane, waiter, server_ns)]
                if full:
                    held |= {rule.kind for rule in full}
                    opens_ns = max(rule.leaves(rule.windows(server_ns)[0]) for rule in full)
                    until_ns = min(until_ns, now_ns + opens_ns - server_ns)
                    break
                self._count(page, waiter, server_ns)
                let_go.append((lane, waiter))
        return let_go, until_ns

    def _fits(self, page: Page, rule: Rule, lane: Lane, waiter: _Waiter, at_ns: int) -> bool:
        cost = waiter.costs[rule.kind]
        share = _SHARES[lane] if rule.kind == "weight" else 100
        # One that is larger than its lane's share may go when nothing else went.
        most = max(rule.limit * share // 100, cost)
        return not cost or all(page.used(rule.key, n) + cost <= most for n in rule.windows(at_ns))

    def _count(self, page: Page, waiter: _Waiter, at_ns: int) -> None:
        waiter.spent = [
            (rule.key, window, waiter.costs[rule.kind])
            for rule in self._rules
            if waiter.costs[rule.kind]
            for window in rule.windows(at_ns)
        ]
        for spent in waiter.spent:
            page.add(*spent)

    def _withdraw(self, lane: Lane, waiter: _Waiter) -> None:
        """Give back the place of one that waits no longer, and what was counted for it."""
        if waiter in self._queues[lane]:
            self._queues[lane].remove(waiter)
        elif waiter.spent:
            self._change(lambda page: _give_back(page, waiter))
        self.wake()

    def _send_away(self, now_ns: int) -> None:
        for lane, queue in self._queues.items():
            for waiter in [w for w in queue if w.deadline_ns is not None and w.deadline_ns <= now_ns]:
                queue.remove(waiter)
                if not waiter.future.done():
                    waiter.future.set_exception(
                        TooLate(f"no room for a {lane.name.lower()} request before its deadline")
                    )

    def _sleep(self, seconds: float) -> None:
        self._timer = asyncio.get_running_loop().call_later(seconds, self.wake)

    # The page.

    def _look(self) -> Page:
        """The page, with what others have counted if the file can be read now."""
        if self._file is None:
            return self._page
        try:
            page = self._file.look()
        except (Busy, Unusable):
            return self._page
        page.take_in(self._page)
        return page

    def _change(self, edit: Callable[[Page], _T], may_wait: bool = False) -> _T:
        """Edit the page, in the file if there is one.  Raises `Busy` if it is held and we `may_wait`."""
        if self._file is None:
            return edit(self._page)

        kept = self._page

        def with_ours(page: Page) -> _T:
            nonlocal kept
            page.take_in(self._page)
            kept = page
            return edit(page)

        try:
            result = self._file.change(with_ours)
        except Busy:
            now_ns = self._clock.now_ns()
            self._busy_since_ns = self._busy_since_ns or now_ns
            lasts = now_ns - self._busy_since_ns >= _PATIENCE_NS
            if may_wait and not lasts:
                raise
            if lasts:
                self._alone("another process holds the file and does not go on")
        except Unusable as error:
            self._alone(str(error))
        else:
            self._busy_since_ns, self._page = 0, kept
            return result
        return edit(self._page)

    def _alone(self, why: str) -> None:
        if not self._has_told:
            self._has_told = True
            self._tell(Notice("limit", f"request limits are not shared with other processes: {why}"))


def _raise(page: Page, counts: Sequence[tuple[int, int, int]]) -> None:
    for rule, window, used in counts:
        page.raise_to(rule, window, used)


def _ban(page: Page, until_ns: int) -> int:
    """Lengthen the ban; returns until when it went before."""
    before_ns = page.banned_ns
    page.banned_ns = max(before_ns, until_ns)
    return before_ns


def _give_back(page: Page, waiter: _Waiter) -> None:
    for rule, window, cost in waiter.spent:
        page.add(rule, window, -cost)
