"""Whatever is placed, amended, linked, filled or cancelled: what is held is what the open orders need."""

from decimal import Context, Decimal, Inexact, localcontext
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from quantcli.model.instrument import Side
from quantcli.model.message import Amend, Cancel, Observation, Place, PlaceList, Report
from quantcli.model.order import Fill, Order, OrderType, StandardOrder
from quantcli.simulation.account import LEVERAGE
from quantcli.simulation.fees import Fees
from quantcli.simulation.matching import QueueModel
from quantcli.trading.holding import Holding

EXACT = Context(prec=100, traps=[Inexact])
FEES = Fees(Decimal("-0.0001"), Decimal("0.0007"))
ZERO = Decimal(0)


def steps(kinds: list[str]) -> st.SearchStrategy[Any]:
    """(what, which order, side, ticks, lots)"""
    numbers = (st.integers(0, 2), st.sampled_from(list(Side)), st.integers(995, 1005), st.integers(1, 80))
    return st.lists(st.tuples(st.sampled_from(kinds), *numbers), max_size=30)


def ask(d: Any, numbers: Any) -> list[Report]:
    """Do one step: a row of market data, or a request."""
    what, which, side, ticks, lots = numbers
    price, qty = ticks * d.meta.price_tick, lots * d.meta.lot
    if what == "trade":
        return d.trade(float(price), float(qty))
    if what == "quote":
        return d.quote(float(price), float(price + d.meta.price_tick), 0.3, 0.3)
    is_limit = which % 2 == 1
    beyond = price + 4 * side.sign * d.meta.price_tick
    order = StandardOrder(d.symbol, side, OrderType.LIMIT, qty, price)
    maker = StandardOrder(d.symbol, side, OrderType.LIMIT_MAKER, qty, price)
    kind = OrderType.STOP_LIMIT if is_limit else OrderType.STOP_MARKET
    stop = StandardOrder(d.symbol, side, kind, qty, price if is_limit else None, beyond)
    request: Any
    match what:
        case "cancel":
            request = Cancel(f"o{which}", d.symbol)
        case "list":
            request = PlaceList((Place(f"o{which}", maker, 2**62), Place(f"p{which}", stop, 2**62)))
        case "amend":
            request = Amend(f"o{which}", order, 1, 2**62)
        case "shrink":
            prices = {o.client_order_id: o.price for o in d.exchange.open_orders()}
            terms = replace(order, price=prices.get(f"o{which}", price))
            request = Amend(f"o{which}", terms, 1, 2**62)
        case _:
            request = Place(f"o{which}", stop if what == "stop" else order, 2**62)
    return d.send(request)


def fills_in(reports: list[Report]) -> list[Fill]:
    return [fill for report in reports if isinstance(report, Observation) for fill in report.fills]


class Links:
    """Which orders are linked, by the exchange's numbers: those of accepted lists, while both are open."""

    def __init__(self) -> None:
        self.ever: list[tuple[str, ...]] = []

    def note(self, what: str, reports: list[Report]) -> None:
        if what == "list" and all(isinstance(report, Observation) for report in reports):
            self.ever.append(tuple(report.exchange_order_id for report in reports[:2]))  # type: ignore[union-attr]

    def need(self, orders: list[Order]) -> dict[str, Decimal]:
        """What open spot orders need: each for itself, and of two that are linked the dearer one."""
        amounts = {order.exchange_order_id: _needs(order) for order in orders}
        for one, other in self.ever:
            if one in amounts and other in amounts:
                amounts[one] = max(amounts[one], amounts.pop(other))
        need = {"BTC": ZERO, "USDT": ZERO}
        for asset, amount in amounts.values():
            need[asset] += amount
        return need


def _needs(order: Order) -> tuple[str, Decimal]:
    left = order.quantity - order.filled
    if order.side is Side.SELL:
        return "BTC", left
    return "USDT", left * (order.price or order.stop_price or ZERO) * (1 + FEES.worst)


SPOT_STEPS = [
    "limit",
    "list",
    "list",
    "list",
    "stop",
    "shrink",
    "shrink",
    "cancel",
    "trade",
    "trade",
    "quote",
]


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(steps(SPOT_STEPS))
def test_spot_holds_what_its_open_orders_need_and_no_list_trades_twice(
    desk: Any, spot: Any, numbers: Any
) -> None:
    start = {"USDT": Decimal(150), "BTC": Decimal("1.5")}
    d = desk(spot, balances=start, fees=FEES, queue=QueueModel.OPTIMISTIC)
    d.trade(100.0, 1.0)
    d.quote(99.9, 100.0, 0.3, 0.3)
    links, fills = Links(), list[Fill]()
    for each in numbers:
        reports = ask(d, each)
        links.note(each[0], reports)
        fills += fills_in(reports)
        held = {b.asset: b for b in d.exchange.balances()}
        assert {asset: b.locked for asset, b in held.items()} == links.need(d.exchange.open_orders())
        assert all(b.free >= 0 for b in held.values())
        base = sum((f.side.sign * f.qty for f in fills), ZERO)
        paid = sum((f.side.sign * f.qty * f.price + f.fee for f in fills), ZERO)
        total = {asset: b.total for asset, b in held.items()}
        assert total == {"BTC": start["BTC"] + base, "USDT": start["USDT"] - paid}
    traded = {fill.exchange_order_id for fill in fills}
    assert all(len(traded & {*pair}) < 2 for pair in links.ever)


FUTURES_STEPS = ["limit", "limit", "stop", "amend", "amend", "amend", "cancel", "trade", "trade", "quote"]


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(steps(FUTURES_STEPS))
def test_futures_margin_is_that_of_the_position_and_the_open_orders(
    desk: Any, perp: Any, numbers: Any
) -> None:
    start = Decimal(30)
    d = desk(perp, balances={"USDT": start}, fees=FEES, queue=QueueModel.OPTIMISTIC)
    d.trade(500.0, 1.0)
    d.quote(499.5, 500.0, 0.3, 0.3)
    books = Holding(is_spot=False)
    fees = ZERO
    for each in numbers:
        for fill in fills_in(ask(d, each)):
            fees += fill.fee
            with localcontext(EXACT):
                books.trade(fill.side.sign * fill.qty, fill.price)
        working = {Side.BUY: ZERO, Side.SELL: ZERO}
        for order in d.exchange.open_orders():
            working[order.side] += (order.quantity - order.filled) * (order.price or order.stop_price)
        worse = max(abs(books.cost + working[Side.BUY]), abs(books.cost - working[Side.SELL]))
        [usdt] = d.exchange.balances()
        assert usdt.free == start + books.realised - fees
        assert usdt.available == usdt.free - worse / LEVERAGE
        assert d.survey().position == books.qty
