"""`quant reconcile`: where wish and exchange differ, and what the kernel would do.

Asks the kernel's own decision: of the state database as of its last change, or, of a live bot that does not
run, at the exchange itself (`runtime.inspection`).
"""

import asyncio
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import msgspec
import typer

from quantcli.cli.keys import key_names, key_of
from quantcli.cli.output import Output, OutputOption, columns, emit, envelope
from quantcli.cli.state import NameOption, Remembered, live_world, remembered
from quantcli.clock import WallClock
from quantcli.errors import SafetyError, UsageError
from quantcli.kernel.actions import (
    Action,
    AmendAttempt,
    Bury,
    CancelAttempt,
    Confirm,
    Doubt,
    LookUp,
    PlaceAttempt,
    Resend,
    Settle,
    TakeStock,
)
from quantcli.kernel.policy import Policy
from quantcli.kernel.reconcile import decide
from quantcli.model.instrument import canonical
from quantcli.model.order import ReconciliationStatus
from quantcli.places import find_project
from quantcli.runtime.control.rows import Wanted

if TYPE_CHECKING:
    from quantcli.runtime.world import World
    from quantcli.venues.live import Credentials

DRIFT_FOUND = 6

# How a plan shows each kind of action, and the character before it.
_NAMES: dict[type[Action], str] = {
    PlaceAttempt: "place",
    CancelAttempt: "cancel",
    LookUp: "lookup",
    Resend: "resend",
    AmendAttempt: "amend",
    Confirm: "confirm",
    TakeStock: "survey",
    Doubt: "doubt",
    Bury: "bury",
    Settle: "settle",
}
_MARKS = {"place": "+", "cancel": "x", "settle": "=", "wait": "~", "look": "!"}


class PlanItem(msgspec.Struct, frozen=True):
    """One thing that would be done, or is waited for, and for which wish."""

    action: str
    symbol: str
    intent_id: str
    why: str


class Mode(StrEnum):
    """What is asked for."""

    CHECK = "check"
    PLAN = "plan"
    APPLY = "apply"


def command(
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

    A running bot does so all the time, and its memory is shown; one that trades live and does not run is
    compared with its exchange now (with its key in the environment), without changing anything but by
    --apply, which never places an order.  What happened to its orders meanwhile differs from its memory, too.
    """
    asked = [mode for mode, is_meant in zip(Mode, (check, plan, apply), strict=True) if is_meant]
    if len(asked) > 1:
        raise UsageError(f"--{asked[0]} and --{asked[1]} together", todo="choose one of them")
    mode = asked[0] if asked else Mode.CHECK
    state = remembered(name)
    live = live_world(state.bot)
    if live is not None and state.stale and (key := key_of(live.exchange)) is not None:
        state, items, headline = _on_exchange(state, live, key, mode)
    elif mode is Mode.APPLY:
        raise _cannot_apply(state, live)
    else:
        items, headline = plan_items(state), state.headline
    found = envelope("ReconcilePlan", items, state.as_of_ns, state.stale)
    emit(found, output, lambda _: _table(state, items, mode, headline))
    if items:
        raise typer.Exit(DRIFT_FOUND)


def _on_exchange(
    before: Remembered, world: "World", key: "Credentials", mode: Mode
) -> tuple[Remembered, list[PlanItem], str]:
    """What is remembered when the exchange was asked, how that differs from wishes and from what was
    remembered `before`, and a line about it."""
    from quantcli.runtime.inspection import inspect

    database = find_project().database(before.bot)
    found = asyncio.run(inspect(database, world, key, applies=mode is Mode.APPLY))
    now = Remembered(before.bot, found.rows, False, WallClock().now_ns())
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
    if world is None:
        return SafetyError("a bot on paper has no exchange", todo="start it: it goes on by itself")
    if not state.stale:
        return SafetyError(
            f"{state.bot} is running, and reconciles by itself",
            todo="`quant orders` shows how far it is; stop it first to apply by hand",
        )
    return SafetyError(
        f"no key for {world.exchange}", todo=f"export {' and '.join(key_names(world.exchange))}"
    )


def plan_items(state: Remembered) -> list[PlanItem]:
    """What differs: actions due, waits that are under way, and open orders that no wish accounts for."""
    items = [item for wanted in state.wanted for item in _items(wanted, state.changed_ns)]
    return items + [
        PlanItem(
            "wait", stray.order.symbol, stray.intent_id, f"{stray.client_order_id} is open, its wish is lost"
        )
        for stray in state.strays
    ]


def action_name(action: Action) -> str:
    """What an action is called in plans."""
    return _NAMES[type(action)]


def _items(wanted: Wanted, now_ns: int) -> list[PlanItem]:
    intent = wanted.intent
    decision = decide(intent, wanted.attempts, now_ns, Policy())
    if _is_routine(wanted, decision.actions):
        return []
    told = [(action_name(action), action.why) for action in decision.actions]
    if not told and decision.status is not ReconciliationStatus.IN_SYNC:
        told = [("wait", decision.status.value)]
    return [PlanItem(name, intent.order.symbol, intent.intent_id, why) for name, why in told]


def _is_routine(wanted: Wanted, actions: tuple[Action, ...]) -> bool:
    """Whether only a look is due at an order last found as wished: a look that finds nothing new is not
    written down, so here every quiet order seems long unseen."""
    order = wanted.open
    was_in_sync = order is not None and order.reconciliation_status is ReconciliationStatus.IN_SYNC
    return was_in_sync and bool(actions) and all(isinstance(action, LookUp) for action in actions)


def _table(state: Remembered, items: list[PlanItem], mode: Mode, headline: str) -> str:
    differing = len({item.intent_id for item in items})
    unsettled = sum(not wanted.intent.phase.is_terminal for wanted in state.wanted)
    verdict = f"{differing} differ" if items else "nothing differs"
    summary = f"{unsettled} open, {verdict}. {headline}"
    if mode is Mode.CHECK or not items:
        return summary
    rows = [
        (
            f"{_MARKS.get(item.action, '!')} {item.action}",
            item.symbol,
            item.intent_id[-state.id_length :],
            item.why,
        )
        for item in items
    ]
    told = columns(("  ACTION", "SYMBOL", "ID", "WHY"), rows) + f"\n{summary}"
    return told if mode is Mode.APPLY else f"{told}\nnothing was sent"
