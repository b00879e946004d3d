"""Compares, after a run, what we believe with what the imagined exchange knows.

The names of the promises follow reliability's invariants: no order without an intent, no fill lost or
doubled, positions that are the sum of fills, money that adds up.  Reads everything, changes nothing.
"""

from collections.abc import Iterator
from decimal import Decimal, localcontext

from quantcli.kernel.api import ExchangeKernel
from quantcli.model.order import Fill
from quantcli.simulation.exchange import SimulatedExchange
from quantcli.trading.holding import EXACT
from quantcli.trading.portfolio import Portfolio


async def audit(
    kernel: ExchangeKernel, exchange: SimulatedExchange, portfolio: Portfolio, fills: list[Fill]
) -> dict[str, bool]:
    """Whether each promise held, by name."""
    known = {state.client_order_id for state in await kernel.get_all_orders()}
    with localcontext(EXACT):
        return dict(_promises(known, exchange, portfolio, fills))


def _promises(
    known: set[str], exchange: SimulatedExchange, portfolio: Portfolio, fills: list[Fill]
) -> Iterator[tuple[str, bool]]:
    yield "every_order_has_an_intent", all(o.client_order_id in known for o in exchange.open_orders())
    keys = [(fill.symbol, fill.trade_id) for fill in fills]
    yield "no_fill_doubled", len(keys) == len(set(keys))
    yield "every_fill_has_an_intent", all(fill.intent_id for fill in fills)
    sums: dict[str, Decimal] = {}
    for fill in fills:
        sums[fill.symbol] = sums.get(fill.symbol, Decimal(0)) + fill.side.sign * fill.qty
    yield "position_is_the_sum_of_fills", all(portfolio.qty(s) == qty for s, qty in sums.items())
    ours = {b.asset: b.total for b in portfolio.account_state().balances if b.total}
    theirs = {b.asset: b.total for b in exchange.balances() if b.total}
    yield "balances_agree", ours == theirs
    equity, unrealised = portfolio.equity(), portfolio.unrealised()
    yield (
        "money_adds_up",
        equity is None
        or unrealised is None
        or equity == portfolio.start_equity + portfolio.realised + unrealised - portfolio.fees,
    )
