"""A statement of one Binance spot market: the position before, open orders, trades, the position after.

Binance gives no consistent picture in one answer, so the position counts only if nothing moved while the
rest was asked: the two balances agree, of the base and of the quote asset.  A survey of which a part is
missing states nothing at all.
"""

from collections.abc import Callable, Generator
from decimal import Decimal

from quantcli.clock import NS_PER_MS, NS_PER_S
from quantcli.codecs.binance_orders import BinanceOrders, CodecError
from quantcli.model.instrument import Symbol
from quantcli.model.message import Statement, Survey
from quantcli.model.order import Fill
from quantcli.venues.binance import calls
from quantcli.venues.calls import Answer, Call, Conversation, NoAnswer

_ZERO = Decimal(0)
_LEEWAY_NS = 60 * NS_PER_S  # the exchange may be ahead of what we take for its time


class _Lacking(Exception):
    """A part of the statement cannot be had now."""


def survey(
    request: Survey, exchange_symbol: str, orders: BinanceOrders, now_ns: Callable[[], int]
) -> Conversation:
    """Ask for everything about a market; `now_ns` is the exchange's time."""
    asset, venue_ns = Symbol.parse(request.symbol), now_ns()
    try:
        before = yield from _holdings(asset, orders)
        listed = orders.orders((yield from _asked(calls.open_orders(exchange_symbol))))
        fills = yield from _trades(exchange_symbol, request.since_ns, venue_ns, orders)
        after = yield from _holdings(asset, orders)
    except (NoAnswer, CodecError, _Lacking):
        return []
    return [
        Statement(
            symbol=request.symbol,
            asked_ns=request.asked_ns,
            since_ns=request.since_ns,
            venue_ns=venue_ns,
            orders=tuple(listed),
            fills=tuple(fills),
            position=before[0] if before == after else None,
        )
    ]


def _asked(call: Call) -> Generator[Call, Answer, bytes]:
    answer = yield call
    if not 200 <= answer.status < 300:
        raise _Lacking(f"HTTP {answer.status}")
    return answer.body


def _holdings(symbol: Symbol, orders: BinanceOrders) -> Generator[Call, Answer, tuple[Decimal, Decimal]]:
    """All that the account holds of base and quote, locked parts included."""
    balances = orders.balances((yield from _asked(calls.account())))
    held = {asset: balance.total for asset, balance in balances.items()}
    return held.get(symbol.base, _ZERO), held.get(symbol.quote, _ZERO)


def _trades(
    symbol: str, since_ns: int, until_ns: int, orders: BinanceOrders
) -> Generator[Call, Answer, list[Fill]]:
    """Every trade since then: days until the first that has any, then page by page to the last.

    A trade that happens while they are asked may be missed; then the balances differ.
    """
    end_ns = until_ns + _LEEWAY_NS
    for start_ns in range(since_ns, end_ns, calls.DAY_NS):
        last_ns = min(start_ns + calls.DAY_NS, end_ns) - NS_PER_MS
        page = orders.fills((yield from _asked(calls.trades_between(symbol, start_ns, last_ns))))
        if page and (len(page) == calls.PAGE or start_ns + calls.DAY_NS < end_ns):
            return (yield from _further(symbol, page, orders))
        if page:
            return page
    return []


def _further(symbol: str, page: list[Fill], orders: BinanceOrders) -> Generator[Call, Answer, list[Fill]]:
    """The page, and what follows it."""
    found = {int(fill.trade_id): fill for fill in page}
    while True:
        last = max(found)
        page = orders.fills((yield from _asked(calls.trades_from(symbol, last + 1))))
        newer = {int(fill.trade_id): fill for fill in page if int(fill.trade_id) > last}
        found |= newer
        if len(newer) < calls.PAGE:
            return [found[trade_id] for trade_id in sorted(found)]
