"""What an order must pass before it may exist: plain functions in two tables.

    VALIDITY   the market's own rules; what breaks them can never be an order      ValidationError
    STANDARD   our limits and our means, as of now                                  RiskRefused

A check is a pure function (order, view, limits) -> reason, or `None` if it has nothing against the order;
checks of users have the same form.  The `View` shows the account *as if the order were accepted*, with all
working orders, those of unknown outcome included, filled in the worst sequence.
Knows nothing of where the figures come from (`trading.exposure` adds them up).
"""

from collections.abc import Callable, Mapping
from decimal import Decimal
from math import isfinite

import msgspec

from quantcli.errors import ConfigError
from quantcli.model.instrument import Side, SymbolMetadata, canonical
from quantcli.model.order import OrderType, StandardOrder, TimeInForce

_LIMITED = frozenset(
    {
        OrderType.LIMIT,
        OrderType.LIMIT_MAKER,
        OrderType.IMMEDIATE_OR_CANCEL,
        OrderType.FILL_OR_KILL,
        OrderType.STOP_LIMIT,
    }
)
_STOPS = frozenset({OrderType.STOP_LIMIT, OrderType.STOP_MARKET})


class Limits(msgspec.Struct, frozen=True):
    """What a user allows; `None` allows anything.  Amounts are in the account's currency.

    `max_order` bounds the value of one order, `max_position` that of one market's position, `max_exposure`
    the sum over markets, `max_open` the number of unsettled orders; `price_band` is the largest distance
    of a price from the mark, as a fraction of it; a loss of `max_loss` halts trading.
    """

    max_order: Decimal | None = None
    max_position: Decimal | None = None
    max_open: int | None = None
    max_exposure: Decimal | None = None
    price_band: Decimal | None = None
    max_loss: Decimal | None = None

    def __post_init__(self) -> None:
        for name in self.__struct_fields__:
            value = getattr(self, name)
            if value is not None and not (isfinite(value) and value >= 0):
                raise ConfigError(
                    f"limit {name} is {value}", todo="a limit is 0 or more; leave it out for none"
                )


class View(msgspec.Struct, frozen=True):
    """The account as if the order were accepted.  Amounts in its currency, quantities in base units.

    `qty` is what is held now, `price` the most that a unit of the order may be worth, `reduces` whether the
    order can only make the position smaller.  `selling` is all that is on sale in this market.
    `position` is the largest value this market's position can reach on the order's side, `exposure` the
    sum of all positions and working orders, `free` what is left of cash after backing them.
    `None` stands for a value that a missing mark keeps us from knowing.  `is_kept`: a slot wishes for it, and
    it is no exit of a bracket.
    """

    rules: SymbolMetadata
    now_ns: int
    qty: Decimal
    mark: Decimal | None
    price: Decimal | None
    reduces: bool
    selling: Decimal
    open_orders: int
    open_here: int
    position: Decimal | None
    exposure: Decimal | None
    free: Decimal | None
    halt_level: int
    halt_reason: str
    is_kept: bool = False


Check = Callable[[StandardOrder, View, Limits], str | None]


# -- the market's rules --------------------------------------------------------------------------------


def price_is_valid(order: StandardOrder, view: View, _: Limits) -> str | None:
    """Prices are there if the type needs them, positive, on the tick, and within the market's bounds."""
    if order.price is None and order.type in _LIMITED:
        return f"a {order.type.name} order needs a price"
    if order.stop_price is None and order.type in _STOPS:
        return f"a {order.type.name} order needs a stop price"
    for price in (order.price, order.stop_price):
        if price is not None and (reason := _price_fault(price, view.rules)):
            return reason
    return None


def _price_fault(price: Decimal, rules: SymbolMetadata) -> str | None:
    if not price > 0:
        return f"price {canonical(price)} is not positive"
    if rules.price_tick and price % rules.price_tick:
        return f"price {canonical(price)} is no multiple of the tick {canonical(rules.price_tick)}"
    if rules.min_price and price < rules.min_price:
        return f"price {canonical(price)} is below the least of {canonical(rules.min_price)}"
    if rules.max_price and price > rules.max_price:
        return f"price {canonical(price)} is above the most of {canonical(rules.max_price)}"
    return None


def quantity_is_valid(order: StandardOrder, view: View, _: Limits) -> str | None:
    """The quantity is positive, a whole number of lots, within bounds, and worth enough.

    Reduce-only orders need not reach the least value (Binance, error -4164).
    """
    qty, rules = order.quantity, view.rules
    if not qty > 0:
        return f"quantity {canonical(qty)} is not positive"
    if rules.lot and qty % rules.lot:
        return f"quantity {canonical(qty)} is no multiple of the lot {canonical(rules.lot)}"
    if rules.min_qty and qty < rules.min_qty:
        return f"quantity {canonical(qty)} is below the least of {canonical(rules.min_qty)}"
    if rules.max_qty and qty > rules.max_qty:
        return f"quantity {canonical(qty)} is above the most of {canonical(rules.max_qty)}"
    price = order.price or order.stop_price or view.mark
    if rules.min_notional and price and not order.reduce_only and qty * price < rules.min_notional:
        return f"value {_money(qty * price)} is below the least of {canonical(rules.min_notional)}"
    return None


def expiry_is_valid(order: StandardOrder, view: View, _: Limits) -> str | None:
    """An order good till a date has one, and it is not past."""
    if order.time_in_force is not TimeInForce.GTD:
        return None
    if order.expire_ns is None:
        return "an order good till a date needs the date"
    return "the order's date has passed" if order.expire_ns <= view.now_ns else None


# -- our limits and means ------------------------------------------------------------------------------


def halt(_: StandardOrder, view: View, __: Limits) -> str | None:
    """While trading is halted, only what makes a position smaller may pass; once everything was cancelled, no
    slot's order either, which would only rest again where one has just been cancelled."""
    if view.halt_level < 1 or (view.reduces and not (view.is_kept and view.halt_level > 1)):
        return None
    return f"trading is halted: {view.halt_reason or f'level {view.halt_level}'}"


def price_band(order: StandardOrder, view: View, limits: Limits) -> str | None:
    """The price is near the mark; without a mark nothing is near it."""
    band, price, mark = limits.price_band, order.price, view.mark
    if band is None or price is None:
        return None
    if mark is None:
        return "the market has no mark to compare the price with"
    if abs(price - mark) > band * mark:
        return f"price {canonical(price)} is over {_percent(band)} away from the mark {canonical(mark)}"
    return None


def order_value(order: StandardOrder, view: View, limits: Limits) -> str | None:
    """One order is worth no more than `max_order`."""
    if limits.max_order is None:
        return None
    value = None if view.price is None else order.quantity * view.price
    return _over(value, limits.max_order, "the order is worth")


def capital(order: StandardOrder, view: View, _: Limits) -> str | None:
    """There is enough to back the order, beside all that works already: cash for buys, on spot the asset
    for sells; futures are backed in full, without leverage.  Fees to come are not counted."""
    if order.side is Side.SELL and not view.rules.symbol.is_futures:
        if view.selling <= view.qty:
            return None
        base = view.rules.symbol.base
        return f"{canonical(view.selling)} {base} would be on sale, {canonical(view.qty)} held"
    if view.reduces:
        return None
    if view.free is None:
        return "what it costs is not known without a mark"
    return f"{_money(-view.free)} more would be needed than there is" if view.free < 0 else None


def position_limit(_: StandardOrder, view: View, limits: Limits) -> str | None:
    """The market's position stays within `max_position`, whichever working orders fill."""
    if limits.max_position is None or view.reduces:
        return None
    return _over(view.position, limits.max_position, "the position could reach")


def open_orders(_: StandardOrder, view: View, limits: Limits) -> str | None:
    """The number of unsettled orders stays within ours and the market's bound."""
    if limits.max_open is not None and view.open_orders > limits.max_open:
        return f"{view.open_orders} orders would be open, {limits.max_open} are allowed"
    most = view.rules.max_orders
    if most is not None and view.open_here > most:
        return f"{view.open_here} orders would be open here, the market allows {most}"
    return None


def exposure(_: StandardOrder, view: View, limits: Limits) -> str | None:
    """All positions and working orders together stay within `max_exposure`."""
    if limits.max_exposure is None or view.reduces:
        return None
    return _over(view.exposure, limits.max_exposure, "the exposure could reach")


VALIDITY: Mapping[str, Check] = {
    "price": price_is_valid,
    "quantity": quantity_is_valid,
    "expiry": expiry_is_valid,
}

STANDARD: Mapping[str, Check] = {
    "halt": halt,
    "price_band": price_band,
    "max_order": order_value,
    "capital": capital,
    "position": position_limit,
    "open_orders": open_orders,
    "exposure": exposure,
}

# The second and third line of a refusal: why the check exists, what to do.
ADVICE: Mapping[str, tuple[str, str]] = {
    "halt": ("the kill flag stops every order that could add exposure", "find the cause, then: quant resume"),
    "price_band": ("limits.price_band keeps prices near the mark", "check the price, or widen price_band"),
    "max_order": ("limits.max_order bounds one order", "order less, or raise max_order"),
    "capital": (
        "working orders count as filled, and futures are backed in full, without leverage",
        "order less, or cancel what is working",
    ),
    "position": ("limits.max_position bounds one market", "order less, or raise max_position"),
    "open_orders": ("orders of unknown outcome count as open", "cancel some, or raise max_open"),
    "exposure": ("limits.max_exposure bounds all markets together", "order less, or raise max_exposure"),
}


def _over(value: Decimal | None, limit: Decimal, what: str) -> str | None:
    if value is None:
        return f"{what} an unknown value, as a mark is missing"
    return f"{what} {_money(value)}, the limit is {canonical(limit)}" if value > limit else None


def _money(value: Decimal) -> str:
    return f"{value:,.2f}" if value >= 1 else f"{value:.8f}"


def _percent(fraction: Decimal) -> str:
    return f"{canonical(fraction * 100)} %"
