"""`quant orders`: what is wanted beside what the exchange has, one order's story, and what it waits for.

Reads the state database; cancelling and adopting need the running bot and are not done here.
"""

from collections import Counter
from collections.abc import Sequence
from typing import Annotated, Any

import msgspec
import typer
from typer.core import TyperGroup

from quantcli.cli.fills import fill_item
from quantcli.cli.output import Output, OutputOption, columns, document, emit, envelope, timestamp
from quantcli.cli.reconcile import action_name
from quantcli.cli.state import NameOption, Remembered, journal, remembered
from quantcli.kernel.actions import Decision
from quantcli.kernel.policy import Policy
from quantcli.kernel.reconcile import decide
from quantcli.model.instrument import canonical
from quantcli.model.order import AttemptState, Fill, OrderState
from quantcli.runtime.control.rows import MARKS, Wanted, age, drift, item, standing, terms
from quantcli.store.api import JournalEntry


class ListByDefault(TyperGroup):
    """A group that means `list` when no subcommand is named."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Put `list` before options that stand where a subcommand would."""
        if not args or (args[0].startswith("-") and args[0] != "--help"):
            args = ["list", *args]
        return super().parse_args(ctx, args)


group = typer.Typer(
    cls=ListByDefault,
    help="Wanted orders, beside what the exchange has; without a subcommand, the list.",
    rich_markup_mode=None,
    add_completion=False,
)

OrderArgument = Annotated[str, typer.Argument(metavar="ID", help="An intent id, or its beginning or end.")]


@group.command("list")
def list_orders(
    name: NameOption = None,
    every: Annotated[bool, typer.Option("--all", help="Settled ones too.")] = False,
    symbol: Annotated[str | None, typer.Option("--symbol", help="Only this market.")] = None,
    output: OutputOption = Output.TABLE,
) -> None:
    """List orders: = in sync, ~ differs, + missing, x not wanted, / partly filled, ! unknown."""
    state = remembered(name, settled=every)
    listed = [
        wanted
        for wanted in state.wanted
        if (every or not wanted.intent.phase.is_terminal or wanted.open)
        and symbol in (None, wanted.intent.order.symbol)
    ]
    found = envelope("OrderList", map(item, listed), state.as_of_ns, state.stale)
    emit(found, output, lambda _: _table(state, listed))


@group.command("show")
def show(intent_id: OrderArgument, name: NameOption = None, output: OutputOption = Output.TABLE) -> None:
    """Show one order: what is wanted, what was tried, and what the exchange has."""
    state = remembered(name, settled=True)
    wanted = state.find(intent_id)
    found = document("Order", item(wanted)) | {
        "metadata": wanted.intent.metadata,
        "attempts": [_attempt_item(attempt) for attempt in wanted.attempts],
        "fills": [fill_item(fill) for fill in state.fills if fill.intent_id == wanted.intent.intent_id],
    }
    emit(found, output, lambda _: _story(state, wanted))


@group.command("why")
def why(intent_id: OrderArgument, name: NameOption = None, output: OutputOption = Output.TABLE) -> None:
    """Say what state an order is in, how it came to be so, and what happens next."""
    state = remembered(name, settled=True)
    wanted = state.find(intent_id)
    entries = journal(state.bot, wanted.intent.intent_id)
    decision = decide(wanted.intent, wanted.attempts, state.changed_ns, Policy())
    found = document(
        "OrderReason",
        {
            "intent_id": wanted.intent.intent_id,
            "phase": wanted.intent.phase,
            "means": _meaning(wanted),
            "condition": decision.status,
            "next": [{"action": action_name(action), "why": action.why} for action in decision.actions],
            "look_again_at_ns": decision.look_again_at,
            "journal": [msgspec.structs.asdict(entry) for entry in entries],
        },
    )
    emit(found, output, lambda _: _reason(state, wanted, decision, entries))


def _table(state: Remembered, listed: list[Wanted]) -> str:
    rows = [
        (
            f"{drift(wanted).mark} {wanted.intent.order.symbol}",
            wanted.slot or "-",
            terms(wanted.intent.order),
            standing(wanted),
            drift(wanted).words,
            age(wanted.intent.created_ns, state.changed_ns),
            wanted.intent.intent_id[-state.id_length :],
        )
        for wanted in listed
    ]
    headers = ("  SYMBOL", "SLOT", "WANT", "HAVE", "DRIFT", "AGE", "ID")
    counts = Counter(drift(wanted).mark for wanted in listed)
    told = [
        f"{len(listed)} orders",
        *(f"{counts[mark]} {what}" for mark, what in MARKS.items() if counts[mark]),
    ]
    table = columns(headers, rows, right={"AGE"}) + "\n" if rows else ""
    return f"{table}{', '.join(told)}. {state.headline}"


def _attempt_item(attempt: OrderState) -> dict[str, Any]:
    fields = {name: getattr(attempt, name) for name in attempt.__struct_fields__ if name != "order"}
    terms = {"qty": attempt.order.quantity, "price": attempt.order.price}
    return fields | terms | {"status": attempt.status.name}


def _heading(wanted: Wanted) -> str:
    intent = wanted.intent
    generation = f"generation {intent.generation}" + (
        f", tried {wanted.attempts[-1].generation}" if wanted.attempts else ""
    )
    subject = f"{intent.order.symbol} {wanted.slot}".rstrip()
    return f"{drift(wanted).mark} {subject}   intent {intent.intent_id}   {intent.phase}   {generation}"


def _story(state: Remembered, wanted: Wanted) -> str:
    intent = wanted.intent
    order = intent.order
    rules = [order.type.name, order.time_in_force.name, *(["reduce only"] if order.reduce_only else [])]
    told = [key for key in intent.metadata if key != "slot"]
    because = [f"{key} {intent.metadata[key]}" for key in told] + ([intent.reason] if intent.reason else [])
    lines = [
        _heading(wanted),
        f"want     {terms(order)}  {' '.join(rules)}",
        f"have     {standing(wanted)}; {canonical(wanted.filled)} of {canonical(order.quantity)} filled",
        f"because  {', '.join(because) or '-'}",
    ]
    lines += [f"tried    {_tried(attempt)}" for attempt in wanted.attempts]
    return "\n".join(
        lines + [f"filled   {_traded(fill)}" for fill in state.fills if fill.intent_id == intent.intent_id]
    )


def _tried(attempt: OrderState) -> str:
    seen = f"{attempt.state}, {attempt.status.name}, filled {canonical(attempt.filled)}"
    placed = f"{attempt.attempt}: {timestamp(attempt.prepared_ns)[11:23]}  {terms(attempt.order)}"
    return f"{placed}  {seen}  as {attempt.client_order_id}"


def _traded(fill: Fill) -> str:
    kind = "maker" if fill.is_maker else "taker"
    traded = f"{timestamp(fill.exchange_ns)[11:23]}  {canonical(fill.qty)} @ {canonical(fill.price)}"
    return f"{traded}, {kind}, fee {canonical(fill.fee)} {fill.fee_asset} (trade {fill.trade_id})"


# What each state of an attempt means, in words.
_MEANINGS = {
    AttemptState.PREPARED: "written down, perhaps sent; the answer is not here yet",
    AttemptState.AMBIGUOUS: "perhaps on the exchange, perhaps not: nobody has answered",
    AttemptState.LIVE: "working on the exchange",
    AttemptState.CLOSING: "ended on the exchange, but not all of its fills are here",
}


def _meaning(wanted: Wanted) -> str:
    if wanted.open is not None:
        return _MEANINGS[wanted.open.state]
    if wanted.intent.phase.is_terminal:
        return f"settled: {wanted.intent.reason or wanted.intent.phase.lower()}"
    return "nothing of it is on the exchange"


def _reason(state: Remembered, wanted: Wanted, decision: Decision, entries: Sequence[JournalEntry]) -> str:
    lines = [_heading(wanted), f"is       {_meaning(wanted)}", f"stands   {decision.status}"]
    if wanted.open is not None and wanted.open.reason:
        lines.append(f"because  {wanted.open.reason}")
    lines += [f"next     {action_name(action)}: {action.why}" for action in decision.actions]
    if not decision.actions:
        lines.append("next     nothing, unless something happens")
    if decision.look_again_at is not None:
        lines.append(f"again    at {timestamp(decision.look_again_at)}, {_from_now(state, decision)}")
    if entries:
        lines.append(f"journal  {timestamp(entries[0].at_ns)[:10]}")
    return "\n".join([*lines, *map(_happened, entries)])


def _happened(entry: JournalEntry) -> str:
    number = f"{entry.attempt}" if entry.attempt else " "
    return f"  {timestamp(entry.at_ns)[11:23]}  {number}  {entry.what:<12} {entry.detail}".rstrip()


def _from_now(state: Remembered, decision: Decision) -> str:
    return f"{age(state.changed_ns, decision.look_again_at or 0)} after the last change"
