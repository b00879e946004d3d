"""`quant reconcile`: where wish and exchange differ, and what the kernel would do.

Asks the kernel's own decision: of the state database as of its last change, or, of a live bot that does not
run, at the exchange itself (`runtime.inspection`).
"""

import time
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from quantcli.cli.output import Output, OutputOption, Shape, columns, emit, envelope
from quantcli.cli.plans import MARKS, PlanItem, plan_items, plan_of_rows
from quantcli.cli.remembered import Remembered
from quantcli.cli.state import (
    Bot,
    BotArgument,
    NameOption,
    Told,
    ask,
    live_world,
    remembered,
    subject,
    the_bot,
    which,
)
from quantcli.clock import WallClock
from quantcli.errors import SafetyError, UsageError
from quantcli.model.instrument import canonical
from quantcli.runtime.control.rows import suffix_length

if TYPE_CHECKING:
    from quantcli.runtime.world import World
    from quantcli.venues.live import Credentials

DRIFT_FOUND = 6

_PLAN = Shape(PlanItem, ("intent_id", "why"))
# A running bot is given so long to make what differs agree, before it is told.
_SETTLE_S = 3.0
_LOOK_EVERY_S = 0.2


class Mode(StrEnum):
    """What is asked for."""

    CHECK = "check"
    PLAN = "plan"
    APPLY = "apply"


def command(
    bot: BotArgument = None,
    check: Annotated[
        bool, typer.Option("--check", help="Say only whether anything differs (usual).")
    ] = False,
    plan: Annotated[bool, typer.Option("--plan", help="Say what would be done.")] = False,
    apply: Annotated[
        bool, typer.Option("--apply", help="Cancel what is not wanted, and put the memory right.")
    ] = False,
    name: NameOption = None,
    output: OutputOption = Output.TABLE,
) -> None:
    """Compare wishes with the exchange.  Leaves with 6 where they differ, else with 0.

    A running bot asks the exchange at once, and what still differs a moment later is told.  One that trades
    live and does not run is compared with its exchange from here (with its key), without changing anything
    but by --apply, which never places an order.  What happened to its orders meanwhile differs from its
    memory, too.
    """
    asked = [mode for mode, is_meant in zip(Mode, (check, plan, apply), strict=True) if is_meant]
    if len(asked) > 1:
        raise UsageError(f"--{asked[0]} and --{asked[1]} together", todo="choose one of them")
    mode = asked[0] if asked else Mode.CHECK
    meant = the_bot(which(bot, name))
    told = ask(meant)
    if told is not None:
        items, summary = _by_itself(told)
        found = envelope("ReconcilePlan", items, WallClock().now_ns(), False)
    else:
        state, items, headline = _of_stopped(meant, mode)
        summary = _summary(sum(not each.intent.phase.is_terminal for each in state.wanted), items, headline)
        found = envelope("ReconcilePlan", items, state.as_of_ns, state.stale)
    emit(found, output, lambda _: _table(items, mode, summary), shape=_PLAN)
    if items:
        raise typer.Exit(DRIFT_FOUND)


def _by_itself(told: Told) -> tuple[list[PlanItem], str]:
    """What a running bot is still about to do, a moment after it has asked the exchange."""
    told.client.do("reconcile")
    ends = time.monotonic() + _SETTLE_S
    while True:
        orders = told.orders().items
        items = plan_of_rows(orders)
        if not items or time.monotonic() >= ends:
            open_ = sum(bool(item.intent_id) for item in orders)
            return items, _summary(open_, items, subject(told))
        time.sleep(_LOOK_EVERY_S)


def _of_stopped(bot: Bot, mode: Mode) -> tuple[Remembered, list[PlanItem], str]:
    """What differs of a bot that does not run, or does not answer."""
    from quantcli.cli.keys import key_of

    state = remembered(bot.name)
    live = live_world(bot)
    if live is not None and state.stale and (key := key_of(live.exchange)) is not None:
        return _on_exchange(state, live, key, mode)
    if mode is Mode.APPLY:
        raise _cannot_apply(state, live)
    return state, plan_items(state), state.headline


def _on_exchange(
    before: Remembered, world: "World", key: "Credentials", mode: Mode
) -> tuple[Remembered, list[PlanItem], str]:
    """What is remembered when the exchange was asked, how that differs from wishes and from what was
    remembered `before`, and a line about it."""
    import asyncio

    from quantcli.cli.ledger import Rows
    from quantcli.runtime.inspection import inspect

    found = asyncio.run(inspect(before.path, world, key, applies=mode is Mode.APPLY))
    read = found.rows
    rows = Rows(
        list(read.intents), list(read.states), list(read.fills), list(read.groups), list(read.markets)
    )
    now = Remembered(before.bot, before.path, rows, False, WallClock().now_ns())
    owners = {
        attempt.client_order_id: wanted.intent.intent_id
        for wanted in now.wanted
        for attempt in wanted.attempts
    }
    done = "is cancelled" if mode is Mode.APPLY else "would be sent"
    items = [
        PlanItem(
            sent.action, sent.symbol, owners.get(sent.client_order_id, ""), f"{sent.client_order_id} {done}"
        )
        for sent in found.sent
    ]
    told = {item.intent_id for item in items}
    items += [item for item in _news(before, now) if item.intent_id not in told]
    told = {item.intent_id for item in items}
    items += [item for item in plan_items(now) if item.intent_id not in told]
    items += [PlanItem("look", "", "", finding) for finding in found.findings]
    if not found.is_settled:
        items.append(PlanItem("wait", "", "", "the exchange has not answered everything; ask again"))
    return now, items, f"{before.bot} is not running; compared with {world} now"


def _news(before: Remembered, now: Remembered) -> list[PlanItem]:
    """What has become of wishes that were open when the bot stopped."""
    known = {wanted.intent.intent_id: wanted for wanted in before.wanted}
    news = []
    for wanted in now.wanted:
        intent = wanted.intent
        then = known.get(intent.intent_id)
        if then is None or (then.intent.phase, then.filled) == (intent.phase, wanted.filled):
            continue
        ended = intent.phase.is_terminal
        why = f"{canonical(wanted.filled)} of {canonical(intent.order.quantity)} filled on the exchange"
        why = f"{intent.phase.value}, {why}" if ended else why
        news.append(PlanItem("settle" if ended else "confirm", intent.order.symbol, intent.intent_id, why))
    return news


def _cannot_apply(state: Remembered, world: "World | None") -> SafetyError:
    from quantcli.cli.keys import key_names

    if world is None:
        return SafetyError("a bot on paper has no exchange", todo="start it: it goes on by itself")
    if not state.stale:
        return SafetyError(
            f"{state.bot} is running, but does not answer",
            todo=f"quant status {state.bot}; stop it first to apply by hand",
        )
    return SafetyError(
        f"no key for {world.exchange}", todo=f"export {' and '.join(key_names(world.exchange))}"
    )


def _summary(unsettled: int, items: list[PlanItem], whose: str) -> str:
    differing = len({item.intent_id or item.why for item in items})
    verdict = f"{differing} differ" if items else "nothing differs"
    return f"{unsettled} open, {verdict}. {whose}"


def _table(items: list[PlanItem], mode: Mode, summary: str) -> str:
    if mode is Mode.CHECK or not items:
        return summary
    length = suffix_length([item.intent_id for item in items if item.intent_id])
    rows = [
        (
            f"{MARKS.get(item.action, '!')} {item.action}",
            item.symbol,
            item.intent_id[-length:] or "-",
            item.why,
        )
        for item in items
    ]
    told = columns(("  ACTION", "SYMBOL", "ID", "WHY"), rows) + f"\n{summary}"
    return told if mode is Mode.APPLY else f"{told}\nnothing was sent"
