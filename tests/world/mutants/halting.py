"""Mutants of the kill switch, of drift, of strangers' orders, and of patience."""

from decimal import Decimal
from typing import Any

from msgspec.structs import replace

from quantcli.kernel import endings, reconcile
from quantcli.kernel.desk import Desk
from quantcli.kernel.projection import MarketView
from quantcli.kernel.seeing import Seeing
from quantcli.kernel.steps import Halt, Halted
from quantcli.kernel.wishing import FLATTENS, Wishing
from quantcli.model.instrument import Side, Symbol
from quantcli.model.message import Amend, Cancel, Place
from quantcli.model.order import OrderIntent, OrderStatus, OrderType, ReconciliationStatus, StandardOrder

from .mutant import Patch, mutant
from .scenery import BLIND, DOUBT, GROUPS, HALTS, REPLACING, STRANGERS

_FLAT = HALTS.leaning({"user.halt": (3,), "run.rest": (2,)})


@mutant(HALTS, "I19")
def halts_do_not_hold_retries(patch: Patch) -> None:
    """While trading is halted, orders that were placed before are placed again."""

    def changed(real: Any, desk: Desk, intent: OrderIntent) -> ReconciliationStatus | None:
        found = real(desk, intent)
        entry = desk.view.find(intent.intent_id)
        is_retry = entry is not None and bool(entry.attempts)
        return None if found is ReconciliationStatus.HALTED and is_retry else found

    patch.around(Desk, "closed", changed)


@mutant(GROUPS.leaning({"user.act": (3, 3, 5), "user.entry": (1,), "user.halt": (2,)}), "I19", "L6")
def halts_take_the_protection_away(patch: Patch) -> None:
    """Cancelling everything cancels what protects a position, too."""

    def changed(real: Any, wishing: Wishing, event: Halt) -> None:
        real(wishing, event)
        if event.level >= Halted.ALL:
            for entry in list(wishing._desk.view.open.values()):
                if FLATTENS not in entry.intent.metadata:
                    wishing._desk.withdraw(entry, "halted")

    patch.around(Wishing, "halt", changed)


@mutant(GROUPS.leaning({"user.act": (3, 3, 5), "user.entry": (1,), "user.halt": (3,)}), "L6")
def flattening_spares_the_exits(patch: Patch) -> None:
    """Flattening leaves the orders that protected the position on the exchange."""

    def changed(real: Any, wishing: Wishing, event: Halt) -> None:
        level = event.level
        if level is not Halted.FLAT:
            real(wishing, event)
            return
        real(wishing, replace(event, level=Halted.ALL))
        wishing._desk.halted = level

    patch.around(Wishing, "halt", changed)


@mutant(HALTS.leaning({"user.halt": (2,)}), "L6")
def halts_cancel_nothing(patch: Patch) -> None:
    """The kill switch keeps new orders back and leaves the old ones."""

    def changed(real: Any, wishing: Wishing, event: Halt) -> None:
        real(wishing, replace(event, level=min(event.level, Halted.NEW)))
        wishing._desk.halted = event.level

    patch.around(Wishing, "halt", changed)


def _flattening(patch: Patch, quantity: Any, waits: bool, pauses: bool) -> None:
    """`Wishing._flatten` without some of its care."""

    def changed(real: Any, wishing: Wishing, market: MarketView) -> bool:
        desk, symbol, now_ns = wishing._desk, market.row.symbol, wishing._desk.draft.now_ns
        working = [entry for entry in desk.view.of_market(symbol) if FLATTENS in entry.intent.metadata]
        wanted = quantity(market)
        if (waits and list(desk.view.of_market(symbol))) or (pauses and working) or abs(wanted) < 2:
            return False
        if now_ns < market.retry_ns:
            desk.surveys.add(symbol, market.retry_ns)
            return False
        market.retry_ns = now_ns + 1_000_000_000
        side = Side.SELL if wanted > 0 else Side.BUY
        only_reduces = Symbol.parse(symbol).is_futures
        whole = abs(wanted).to_integral_value()
        order = StandardOrder(symbol, side, OrderType.MARKET, whole, reduce_only=only_reduces)
        entry = wishing._entered(order, {FLATTENS: "1"}, wishing._new_intent_id(), protective=True)
        wishing._enqueued(entry)
        return True

    patch.around(Wishing, "_flatten", changed)


@mutant(_FLAT, "L6", "I19")
def flattened_before_the_cancels(patch: Patch) -> None:
    """The position is undone while orders that change it may still trade."""
    _flattening(patch, lambda market: market.row.own, waits=False, pauses=True)


@mutant(_FLAT, "L6", "L5")
def flattened_again_and_again(patch: Patch) -> None:
    """A second order to flatten is sent while the first is on its way."""
    _flattening(patch, lambda market: market.row.own, waits=False, pauses=False)


@mutant(_FLAT, "L6")
def flattened_with_strangers(patch: Patch) -> None:
    """The whole position of the account is undone, strangers' part included."""
    _flattening(patch, lambda market: market.row.position, waits=True, pauses=True)


@mutant(STRANGERS, "I24")
def strangers_orders_are_cancelled(patch: Patch) -> None:
    """Orders on the account that are not ours are cancelled (a clean-up at start)."""

    def changed(real: Any, seeing: Seeing, market: MarketView, statement: Any) -> set[str]:
        ours: set[str] = real(seeing, market, statement)
        for order in statement.orders:
            if order.client_order_id not in ours:
                seeing._desk.draft.send(Cancel(order.client_order_id, order.symbol))
        return ours

    patch.around(Seeing, "_fold_orders", changed)


@mutant(STRANGERS, "I24", "I26")
def strangers_orders_are_amended(patch: Patch) -> None:
    """Orders on the account that are not ours are brought to our terms."""

    def changed(real: Any, seeing: Seeing, market: MarketView, statement: Any) -> set[str]:
        ours: set[str] = real(seeing, market, statement)
        now_ns = seeing._desk.draft.now_ns
        for order in statement.orders:
            if order.client_order_id not in ours:
                terms = StandardOrder(order.symbol, order.side, order.type, order.quantity, Decimal(1))
                seeing._desk.draft.send(Amend(order.client_order_id, terms, 1, now_ns + 1_000_000_000))
        return ours

    patch.around(Seeing, "_fold_orders", changed)


@mutant(STRANGERS.leaning({"swarm.transfer": (3,)}), "I4", "I26")
def drift_is_traded_away(patch: Patch) -> None:
    """A position that is not as the books say is corrected by an order."""

    def changed(real: Any, seeing: Seeing, market: MarketView, gap: Decimal, asked_ns: int) -> None:
        known = market.row.drift
        real(seeing, market, gap, asked_ns)
        if market.row.drift and market.row.drift != known:
            side = Side.SELL if gap > 0 else Side.BUY
            order = StandardOrder(market.row.symbol, side, OrderType.MARKET, abs(gap))
            seeing._desk.draft.send(Place("drift", order, seeing._desk.draft.now_ns))

    patch.around(Seeing, "_note_gap", changed)


@mutant(BLIND, "drift", "L4")
def drift_at_first_sight(patch: Patch) -> None:
    """One statement that differs is drift, though its lists and its position were read apart."""

    def changed(real: Any, seeing: Seeing, market: MarketView, gap: Decimal, asked_ns: int) -> None:
        policy = seeing._desk.policy
        market.gap, market.gap_ns = gap, asked_ns - policy.venue.replica_lag_ns - policy.spacing_ns
        real(seeing, market, gap, asked_ns)

    patch.around(Seeing, "_note_gap", changed)


@mutant(STRANGERS.leaning({"swarm.transfer": (3,), "swarm.late_fills": (3,)}), "L4", "drift")
def drift_never_ends(patch: Patch) -> None:
    """A drift that was noted stays, though books and exchange agree again."""

    def changed(real: Any, seeing: Seeing, market: MarketView, gap: Decimal, asked_ns: int) -> None:
        if gap or not market.row.drift:
            real(seeing, market, gap, asked_ns)

    patch.around(Seeing, "_note_gap", changed)


@mutant(STRANGERS.leaning({"swarm.transfer": (3,)}), "L4")
def drift_is_not_looked_for(patch: Patch) -> None:
    """Positions are not compared with the books beyond orders in doubt."""
    patch.around(Seeing, "_note_gap", lambda real, seeing, market, gap, asked_ns: None)


# Patience.


@mutant(REPLACING.leaning({"user.quantity": (0, 1, 5)}), "dust", "I6", "L1")
def dust_is_placed(patch: Patch) -> None:
    """A rest below the exchange's smallest order is placed, refused, and the wish has failed."""
    patch.around(endings, "_least", lambda real, order, rules: Decimal(0))


@mutant(REPLACING.leaning({"user.quantity": (0, 1, 5)}), "L1", "L5")
def refusals_are_tried_again(patch: Patch) -> None:
    """An order that was refused for good is placed again until the tries are used up."""
    for never_rests in (False, True):
        patch.without(endings.ENDINGS, (OrderStatus.REJECTED, never_rests))


@mutant(DOUBT.leaning({"swarm.busy": (3,), "swarm.episodes": (3,), "episode.kind": (0, 6)}), "L5")
def no_pause_between_tries(patch: Patch) -> None:
    """A busy exchange is asked again at once, and again."""

    def changed(real: Any, intent: Any, attempts: Any, rest: Any, now_ns: int, policy: Any) -> Any:
        return real(intent, attempts, rest, now_ns, replace(policy, spacing_ns=0, spacing_max_ns=0))

    patch.around(reconcile, "_place", changed)


@mutant(DOUBT, "L5")
def look_ups_without_a_pause(patch: Patch) -> None:
    """An order in doubt is looked up as fast as the line allows."""
    patch.around(
        reconcile,
        "_next_look",
        lambda real, attempt, policy, asked_ns=None: (
            (attempt.lookup_sent_ns if asked_ns is None else asked_ns) + 20_000_000
        ),
    )


@mutant(
    DOUBT.leaning({"swarm.busy": (3,), "venue.busy": (1,), "run.gap": (5,), "run.acts": (8,)}),
    "tries",
)
def tries_without_end(patch: Patch) -> None:
    """A placement that is never accepted is tried for ever, without an operator being asked for."""

    def changed(real: Any, intent: Any, attempts: Any, rest: Any, now_ns: int, policy: Any) -> Any:
        return real(intent, attempts, rest, now_ns, replace(policy, max_attempts=1 << 30))

    patch.around(reconcile, "_place", changed)
