"""Compares, after a run, what we believe with what the imagined exchange knows: promises, each by name.

Four accounts of the same events are held against each other, to the last digit: the kernel's record, the
fills we were told of, our portfolio's books, and the exchange's own statement.  Reads everything,
changes nothing.
"""

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal, localcontext

import msgspec
from msgspec.structs import replace

from quantcli.kernel.api import ExchangeKernel
from quantcli.model.instrument import Symbol
from quantcli.model.order import AttemptState, Fill, IntentPhase, Order, OrderIntent, OrderState
from quantcli.simulation.exchange import SimulatedExchange
from quantcli.trading.holding import EXACT
from quantcli.trading.portfolio import Portfolio

_ZERO = Decimal(0)


async def audit(
    kernel: ExchangeKernel, exchange: SimulatedExchange, portfolio: Portfolio, fills: Sequence[Fill]
) -> dict[str, bool]:
    """Whether each promise held, by name.  `fills` are those that order events told of."""
    intents = {intent.intent_id: intent for intent in await kernel.get_all_intents()}
    states = {state.client_order_id: state for state in await kernel.get_all_orders()}
    with localcontext(EXACT):
        orders = _Orders(intents, states, fills, exchange.open_orders(), exchange.fills())
        return dict([*orders.promises(), *_money(exchange, portfolio, fills)])


class _Orders(msgspec.Struct, frozen=True):
    """Wishes and attempts by our record, the fills we hold, and the exchange's open orders and fills."""

    intents: Mapping[str, OrderIntent]
    states: Mapping[str, OrderState]
    fills: Sequence[Fill]
    open: Sequence[Order]
    theirs: Sequence[Fill]

    def promises(self) -> Iterator[tuple[str, bool]]:
        """Name, and whether it held."""
        yield "every_order_has_an_intent", self._is_every_order_ours()
        live = [
            self.states[o.client_order_id].intent_id for o in self.open if o.client_order_id in self.states
        ]
        yield "one_live_order_per_intent", len(live) == len(set(live))
        settled = {name for name, intent in self.intents.items() if intent.phase.is_terminal}
        yield "settled_intents_have_no_live_order", settled.isdisjoint(live)
        yield "live_orders_agree", self._ours_live() == self._theirs_live()
        yield "every_fill_has_an_intent", all(fill.intent_id in self.intents for fill in self.fills)
        keys = [(fill.symbol, fill.trade_id) for fill in self.fills]
        yield "no_fill_doubled", len(keys) == len(set(keys))
        told = Counter(replace(fill, intent_id="") for fill in self.fills)
        yield "fills_agree", told == Counter(self.theirs)
        by_attempt = _sums((fill.client_order_id, fill.qty) for fill in self.fills)
        yield (
            "fills_add_up_by_order",
            all(_adds_up(s, by_attempt[s.client_order_id]) for s in self._attempts()),
        )
        yield "no_order_overfilled", all(s.filled <= s.order.quantity for s in self._attempts())
        by_intent = _sums((fill.intent_id, fill.qty) for fill in self.fills)
        yield (
            "satisfied_means_filled",
            all(_is_kept(i, by_intent[i.intent_id]) for i in self.intents.values()),
        )

    def _attempts(self) -> Iterator[OrderState]:
        return iter(self.states.values())

    def _is_every_order_ours(self) -> bool:
        """Whatever the exchange worked or filled is an attempt of ours, at a wish of ours."""
        seen = {o.client_order_id for o in self.open} | {fill.client_order_id for fill in self.theirs}
        return all(name in self.states and self.states[name].intent_id in self.intents for name in seen)

    def _ours_live(self) -> dict[str, Decimal]:
        live = (s for s in self._attempts() if s.state is AttemptState.LIVE)
        return {s.client_order_id: s.filled for s in live}

    def _theirs_live(self) -> dict[str, Decimal]:
        return {order.client_order_id: order.filled for order in self.open}


def _adds_up(state: OrderState, fills: Decimal) -> bool:
    is_complete = state.state is not AttemptState.DONE or state.filled == fills
    return is_complete and state.fills_qty == fills


def _is_kept(intent: OrderIntent, fills: Decimal) -> bool:
    """A satisfied wish has got what it asked for, but for dust, and no more if it never asked for less."""
    wanted = intent.order.quantity
    if intent.generation == 1 and fills > wanted:
        return False
    is_dust = intent.reason.startswith("dust")
    return intent.phase is not IntentPhase.SATISFIED or fills >= wanted or is_dust


def _money(
    exchange: SimulatedExchange, portfolio: Portfolio, fills: Sequence[Fill]
) -> Iterator[tuple[str, bool]]:
    held = {position.symbol: position.qty for position in portfolio.positions()}
    bought = _sums((fill.symbol, fill.side.sign * fill.qty) for fill in fills)
    yield "position_is_the_sum_of_fills", all(held.get(s, _ZERO) == bought[s] for s in {*held, *bought})
    futures = {s: qty for s, qty in held.items() if qty and Symbol.parse(s).is_futures}
    yield "futures_positions_agree", futures == exchange.positions()
    ours = {b.asset: b.total for b in portfolio.account_state().balances if b.total}
    theirs = {b.asset: b.total for b in exchange.balances() if b.total}
    yield "balances_agree", ours == theirs
    equity, unrealised = portfolio.equity(), portfolio.unrealised()
    earned = None if unrealised is None else portfolio.realised + unrealised - portfolio.fees
    yield "money_adds_up", equity is None or earned is None or equity == portfolio.start_equity + earned


def _sums(amounts: Iterator[tuple[str, Decimal]]) -> defaultdict[str, Decimal]:
    sums: defaultdict[str, Decimal] = defaultdict(Decimal)
    for name, amount in amounts:
        sums[name] += amount
    return sums
