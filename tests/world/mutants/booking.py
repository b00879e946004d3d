"""Mutants that count executions wrongly: twice, never, invented, or apart from what they move."""

from decimal import Decimal
from typing import Any

from msgspec.structs import replace

from quantcli.kernel import lifecycle, reconcile, seeing
from quantcli.kernel.core import Core
from quantcli.kernel.desk import Desk
from quantcli.kernel.lifecycle import Seen
from quantcli.kernel.projection import Entry, MarketView, Projection
from quantcli.kernel.reconcile import Case
from quantcli.kernel.seeing import Seeing
from quantcli.kernel.steps import Commit
from quantcli.model.message import Observation
from quantcli.model.order import AttemptState, Fill, OrderState
from quantcli.store.api import MarketRow

from ..process import Process
from .mutant import Patch, mutant
from .scenery import (
    ANYWHERE,
    BREACHES,
    CRASHES,
    EARLY,
    FORGETFUL,
    HALTS,
    LATE_CUM,
    REPLACING,
    SLOW_ENGINE,
    STRANGERS,
)

_A = AttemptState
_SHAKEN = ANYWHERE.leaning({"swarm.again": (3,), "swarm.late_fills": (3,), "swarm.stream": (3,)})


@mutant(_SHAKEN, "I9", "I10", "I7")
def fills_are_not_known_again(patch: Patch) -> None:
    """A fill that is told twice counts twice."""
    patch.around(Projection, "is_fill_known", lambda real, *args: real(*args) and False)


@mutant(CRASHES.leaning({"swarm.again": (3,)}), "I10", "I7")
def fills_are_forgotten_at_a_restart(patch: Patch) -> None:
    """What was counted is remembered in memory only; after a restart it counts again."""

    def changed(real: Any, desk: Desk, loaded: Any, *symbols: Any) -> None:
        real(desk, replace(loaded, fills=()), *symbols)

    patch.around(Desk, "restore", changed)


@mutant(CRASHES, "I3", "L1")
def marked_before_it_is_booked(patch: Patch) -> None:
    """A fill is marked as seen before it is durable (Nautilus #4518, #4522)."""
    marked = patch.memory()

    def changed(real: Any, view: Projection, fill: Fill, entry: Entry | None) -> bool:
        is_known = real(view, fill, entry) or (fill.symbol, fill.trade_id) in marked
        marked[fill.symbol, fill.trade_id] = True
        return is_known

    patch.around(Projection, "is_fill_known", changed)


@mutant(_SHAKEN.on(FORGETFUL, EARLY), "I3")
def missing_fills_are_inferred(patch: Patch) -> None:
    """Where the exchange counts more than the fills we hold, one is made up for the rest (Nautilus)."""

    def changed(real: Any, seeing: Seeing, entry: Entry, report: Any) -> tuple[list[Fill], Decimal]:
        fills, more = real(seeing, entry, report)
        if not isinstance(report, Observation):
            return fills, more
        state = entry.attempts[entry.places[report.client_order_id]]
        gap = report.filled - state.fills_qty - more
        if gap > 0:
            order, client_id = entry.intent.order, report.client_order_id
            made_up = Fill(
                f"inferred-{client_id}-{report.filled}",
                order.symbol,
                order.side,
                gap,
                order.price or Decimal(100),
                Decimal(0),
                "USDT",
                False,
                report.venue_ns,
                client_id,
                report.exchange_order_id,
                entry.intent.intent_id,
            )
            seeing._desk.book(made_up)
            fills.append(made_up)
            more += gap
        return fills, more

    patch.around(Seeing, "_new_fills", changed)


@mutant(REPLACING, "I3", "L1")
def fills_beyond_the_total_are_dropped(patch: Patch) -> None:
    """A fill that would overfill its order cannot be, and is not counted."""

    def changed(real: Any, seeing: Seeing, entry: Entry, report: Any) -> Any:
        if isinstance(report, Observation):
            held = sum((attempt.fills_qty for attempt in entry.attempts), Decimal(0))
            fits = []
            for fill in report.fills:
                is_new = fill.trade_id not in entry.trades
                if not is_new or held + fill.qty <= entry.intent.order.quantity:
                    fits.append(fill)
                    held += fill.qty if is_new else 0
            report = replace(report, fills=tuple(fits))
        return real(seeing, entry, report)

    patch.around(Seeing, "_new_fills", changed)


@mutant(BREACHES.leaning({"run.breach": (LATE_CUM,)}), "I3", "L4")
def late_fills_are_ignored(patch: Patch) -> None:
    """An order that is done is done: what it fills afterwards is not looked at."""

    def changed(real: Any, seeing: Seeing, report: Any) -> None:
        found = seeing._desk.view.find_attempt(report.client_order_id)
        if found is None or found[1].state is not _A.DONE:
            real(seeing, report)

    patch.around(Seeing, "_reported", changed)


@mutant(CRASHES, "I3")
def what_is_not_in_memory_is_a_strangers(patch: Patch) -> None:
    """A late fill of a wish that was settled before a restart belongs to nobody."""
    patch.around(Seeing, "_strange_fill", lambda real, seeing, fill, owner: real(seeing, fill, None))


@mutant(STRANGERS, "L4")
def strangers_fills_do_not_count(patch: Patch) -> None:
    """Only fills of our own orders move the position in the books."""

    def changed(real: Any, seeing: Seeing, fill: Fill, owner: Any) -> None:
        if owner is not None:
            real(seeing, fill, owner)

    patch.around(Seeing, "_strange_fill", changed)


@mutant(_SHAKEN, "L1")
def closed_by_the_last_message_only(patch: Patch) -> None:
    """An order is closed when a fill arrives, never because it can be."""

    def changed(real: Any, state: OrderState, report: Any, fills_qty: Decimal, now_ns: int) -> OrderState:
        after: OrderState = real(state, report, fills_qty, now_ns)
        is_over = after.state is _A.DONE and state.state is not _A.DONE
        if is_over and fills_qty == state.fills_qty and after.filled:
            return replace(after, state=_A.CLOSING)
        return after

    patch.around(seeing, "merge", changed)


@mutant(_SHAKEN, "I3", "L1")
def fills_come_on_the_stream_alone(patch: Patch) -> None:
    """What the exchange counts more than the fills we hold is waited for, not fetched."""

    def changed(real: Any, case: Case) -> Any:
        return reconcile.Decision((), reconcile._FILLS_PENDING, case.now_ns + 60_000_000_000)

    patch.around(reconcile, "_await_fills", changed)
    for want in reconcile.Want:
        patch.item(reconcile.RULES, (_A.CLOSING, want), reconcile._await_fills)


@mutant(ANYWHERE, "I10", "I11")
def position_in_a_commit_of_its_own(patch: Patch) -> None:
    """The fill is durable first, the position that it moves a moment later."""

    def changed(real: Any, core: Core, now_ns: int, event: Any) -> list[Commit]:
        commits = real(core, now_ns, event)
        if not any(isinstance(row, Fill) for commit in commits for row in commit.rows):
            return commits  # type: ignore[no-any-return]
        rows = commits[0].rows
        markets = tuple(row for row in rows if isinstance(row, MarketRow))
        others = tuple(row for row in rows if not isinstance(row, MarketRow))
        return [Commit(others, ()), Commit(markets, commits[0].then)]

    patch.around(Core, "step", changed)


@mutant(CRASHES, "I3", "I7", "L1")
def fill_in_a_commit_of_its_own(patch: Patch) -> None:
    """The count is durable first, the fill and the position a moment later."""

    def changed(real: Any, process: Process, commit: Commit) -> bool:
        fills = tuple(row for row in commit.rows if isinstance(row, Fill | MarketRow))
        if not any(isinstance(row, Fill) for row in fills):
            return real(process, commit)  # type: ignore[no-any-return]
        others = tuple(row for row in commit.rows if not isinstance(row, Fill | MarketRow))
        return real(process, Commit(others, ())) or real(process, Commit(fills, commit.then))

    patch.around(Process, "_carry_out", changed)


@mutant(ANYWHERE.on(SLOW_ENGINE), "I10")
def fees_in_the_base_asset_forgotten(patch: Patch) -> None:
    """A fee that is paid in what was bought is not taken from the position."""
    patch.around(MarketView, "base_fee", lambda real, market, fill: Decimal(0))


@mutant(
    STRANGERS.leaning(
        {
            "swarm.transfer": (3,),
            "run.transfer": (0, 1),
            "transfer.told": (0,),
            "swarm.again": (3,),
            "net.again": (0, 1),
        }
    ),
    "I10",
)
def corrections_count_twice(patch: Patch) -> None:
    """A transfer that is told twice moves the position twice."""
    patch.around(
        Seeing, "_corrected", lambda real, seeing, correction: seeing._desk.correct(replace(correction))
    )


@mutant(HALTS, "L6", "L4")
def own_counts_everybody(patch: Patch) -> None:
    """What we are to flatten is reckoned from everybody's fills (flattening a stranger's position)."""

    def changed(real: Any, desk: Desk, fill: Fill) -> None:
        real(desk, fill)
        market = desk.market(fill.symbol)
        if not fill.intent_id:
            desk.draft.put_market(market, own=market.row.own + market.moved_by(fill))

    patch.around(Desk, "book", changed)


@mutant(REPLACING, "I15", "core", "I2")
def next_order_for_the_whole(patch: Patch) -> None:
    """The next order is for the whole quantity, whatever the earlier ones have filled."""
    patch.around(
        reconcile,
        "_place",
        lambda real, intent, attempts, rest, *args: real(intent, attempts, intent.order.quantity, *args),
    )


@mutant(_SHAKEN.leaning({"user.act": (0, 1, 1, 2)}), "I7", "I15", "I1")
def next_order_before_the_fills(patch: Patch) -> None:
    """The next order is sized by the fills known, while the last one's are still missing."""

    def count(attempts: Any) -> Decimal:
        return sum((attempt.fills_qty for attempt in attempts), Decimal(0))

    patch.attribute(reconcile, "filled", count)
    patch.item(lifecycle.TRANSITIONS, (_A.LIVE, Seen.ENDED), _A.DONE)
    patch.item(lifecycle.TRANSITIONS, (_A.PREPARED, Seen.ENDED), _A.DONE)
    patch.item(lifecycle.TRANSITIONS, (_A.DONE, Seen.INCOMPLETE), _A.DONE)
