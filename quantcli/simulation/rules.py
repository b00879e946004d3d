"""What the exchange refuses, and in which words: Binance's filters, codes and messages.

Sources, all on developers.binance.com: "Filters" and "Error codes for Binance" (spot), "Error Codes"
and "Modify Order" (USDⓈ-M futures).  Refusals are in these words whatever exchange the recording comes
from.  Knows the terms of an order and the rules of its market; knows nothing of accounts or matching.
"""

from decimal import Decimal
from enum import StrEnum
from typing import NamedTuple

from quantcli.model.instrument import SymbolMetadata
from quantcli.model.message import Asked, Refused
from quantcli.model.order import OrderType, StandardOrder

STOPS = frozenset({OrderType.STOP_LIMIT, OrderType.STOP_MARKET})
UNPRICED = frozenset({OrderType.MARKET, OrderType.STOP_MARKET})


class Check(StrEnum):
    """Why a request is refused."""

    SYMBOL = "symbol"
    CLOSED = "closed"
    LATE = "late"
    DUPLICATE = "duplicate"
    NO_PRICE = "no_price"
    NO_STOP_PRICE = "no_stop_price"
    NEEDLESS_PRICE = "needless_price"
    NOT_ON_SPOT = "not_on_spot"
    EXPIRE_TIME = "expire_time"
    TICK = "tick"
    MIN_PRICE = "min_price"
    MAX_PRICE = "max_price"
    LOT = "lot"
    MIN_QTY = "min_qty"
    MAX_QTY = "max_qty"
    NOTIONAL = "notional"
    BAND_UP = "band_up"
    BAND_DOWN = "band_down"
    MAX_ORDERS = "max_orders"
    TRIGGER = "trigger"
    POST_ONLY = "post_only"
    REDUCE_ONLY = "reduce_only"
    FUNDS = "funds"
    UNKNOWN_ORDER = "unknown_order"
    NO_CHANGE = "no_change"
    OTHER_PRICE = "other_price"
    LARGER = "larger"
    FILLED = "filled"
    NOT_A_LIMIT = "not_a_limit"
    NO_LISTS = "no_lists"
    LIST_ORDERS = "list_orders"
    LIST_TYPE = "list_type"
    LIST_LIMITS = "list_limits"
    LIST_PRICES = "list_prices"


class Reject(NamedTuple):
    """Code and message of a refusal."""

    code: int
    message: str


_BOTH = {
    Check.SYMBOL: Reject(-1121, "Invalid symbol."),
    Check.CLOSED: Reject(-1013, "Market is closed."),
    Check.LATE: Reject(-1021, "Timestamp for this request is outside of the recvWindow."),
    Check.NO_PRICE: Reject(-1102, "Mandatory parameter 'price' was not sent, was empty/null, or malformed."),
    Check.NO_STOP_PRICE: Reject(
        -1102, "Mandatory parameter 'stopPrice' was not sent, was empty/null, or malformed."
    ),
    Check.NEEDLESS_PRICE: Reject(-1106, "Parameter 'price' sent when not required."),
    Check.NOT_ON_SPOT: Reject(-1106, "Parameter 'reduceOnly' sent when not required."),
    Check.EXPIRE_TIME: Reject(-1130, "Data sent for parameter 'goodTillDate' is not valid."),
    Check.UNKNOWN_ORDER: Reject(-2011, "Unknown order sent."),
}

SPOT = _BOTH | {
    Check.DUPLICATE: Reject(-2010, "Duplicate order sent."),
    Check.TICK: Reject(-1013, "Filter failure: PRICE_FILTER"),
    Check.MIN_PRICE: Reject(-1013, "Filter failure: PRICE_FILTER"),
    Check.MAX_PRICE: Reject(-1013, "Filter failure: PRICE_FILTER"),
    Check.LOT: Reject(-1013, "Filter failure: LOT_SIZE"),
    Check.MIN_QTY: Reject(-1013, "Filter failure: LOT_SIZE"),
    Check.MAX_QTY: Reject(-1013, "Filter failure: LOT_SIZE"),
    Check.NOTIONAL: Reject(-1013, "Filter failure: NOTIONAL"),
    Check.BAND_UP: Reject(-1013, "Filter failure: PERCENT_PRICE_BY_SIDE"),
    Check.BAND_DOWN: Reject(-1013, "Filter failure: PERCENT_PRICE_BY_SIDE"),
    Check.MAX_ORDERS: Reject(-1013, "Filter failure: MAX_NUM_ORDERS"),
    Check.TRIGGER: Reject(-2010, "Stop price would trigger immediately."),
    Check.POST_ONLY: Reject(-2010, "Order would immediately match and take."),
    Check.FUNDS: Reject(-2010, "Account has insufficient balance for requested action."),
    Check.LIST_ORDERS: Reject(-1014, "Unsupported order combination."),
    Check.LIST_TYPE: Reject(-1158, "Order type not supported in OCO."),
    Check.LIST_LIMITS: Reject(-1168, "At least one OCO order must be contingent."),
    Check.LIST_PRICES: Reject(-2010, "The relationship of the prices for the orders is not correct."),
}

FUTURES = _BOTH | {
    Check.DUPLICATE: Reject(-4116, "ClientOrderId is duplicated."),
    Check.TICK: Reject(-4014, "Price not increased by tick size."),
    Check.MIN_PRICE: Reject(-4013, "Price less than min price."),
    Check.MAX_PRICE: Reject(-4002, "Price greater than max price."),
    Check.LOT: Reject(-1111, "Precision is over the maximum defined for this asset."),
    Check.MIN_QTY: Reject(-4004, "Quantity less than min quantity."),
    Check.MAX_QTY: Reject(-4005, "Quantity greater than max quantity."),
    Check.NOTIONAL: Reject(
        -4164, "Order's notional must be no smaller than {min_notional} (unless you choose reduce only)."
    ),
    Check.BAND_UP: Reject(-4016, "Price is higher than mark price multiplier cap."),
    Check.BAND_DOWN: Reject(-4024, "Price is lower than mark price multiplier floor."),
    Check.MAX_ORDERS: Reject(-2025, "Reach max open order limit."),
    Check.TRIGGER: Reject(-2021, "Order would immediately trigger."),
    Check.POST_ONLY: Reject(
        -5022,
        "Due to the order could not be executed as maker, the Post Only order will be rejected. "
        "The order will not be recorded in the order history",
    ),
    Check.REDUCE_ONLY: Reject(-2022, "ReduceOnly Order is rejected."),
    Check.FUNDS: Reject(-2019, "Margin is insufficient."),
    Check.NO_LISTS: Reject(-1020, "This operation is not supported."),
}

# "Order Amend Keep Priority": -2038 comes with the messages of the matching engine.  What it says to a
# quantity that has filled already is not documented; of its messages this one describes it.
SPOT_AMEND = SPOT | {
    Check.CLOSED: Reject(-2038, "Market is closed."),
    Check.UNKNOWN_ORDER: Reject(-2038, "Unknown order sent."),
    Check.NO_CHANGE: Reject(-2038, "The requested action would change no state; rejecting."),
    Check.OTHER_PRICE: Reject(-1106, "Parameter 'price' sent when not required."),
    Check.LARGER: Reject(-2038, "Order amend (quantity increase) is not supported."),
    Check.FILLED: Reject(-2038, "Price * QTY is zero or less."),
}

FUTURES_AMEND = FUTURES | {
    Check.CLOSED: Reject(-5024, "Symbol is not in trading status. Order amendment is not permitted."),
    Check.UNKNOWN_ORDER: Reject(-2013, "Order does not exist."),
    Check.NO_CHANGE: Reject(-5027, "No need to modify the order."),
    Check.NOT_A_LIMIT: Reject(-5025, "Only limit order is supported."),
    Check.NOTIONAL: Reject(-5029, "Order's notional must be no smaller than {min_notional}"),
}

_MEANING = {
    Check.LATE: Refused.BUSY,
    Check.DUPLICATE: Refused.EXISTS,
    Check.UNKNOWN_ORDER: Refused.UNKNOWN_ORDER,
}


def reject(check: Check, meta: SymbolMetadata | None, asked: Asked) -> Reject:
    """The refusal in the words of the market's kind; `None` is a market that does not exist."""
    if meta is None or not meta.symbol.is_futures:
        return (SPOT_AMEND if asked is Asked.AMEND else SPOT)[check]
    code, message = (FUTURES_AMEND if asked is Asked.AMEND else FUTURES)[check]
    return Reject(code, message.format(min_notional=meta.min_notional))


def meaning(check: Check) -> Refused:
    """What a refusal means to whoever asked."""
    return _MEANING.get(check, Refused.FINAL)


def malformed(order: StandardOrder, meta: SymbolMetadata) -> Check | None:
    """What is missing from the order, or does not belong to its type."""
    if order.reduce_only and not meta.symbol.is_futures:
        return Check.NOT_ON_SPOT
    if order.stop_price is None and order.type in STOPS:
        return Check.NO_STOP_PRICE
    if order.type in UNPRICED:
        return None if order.price is None else Check.NEEDLESS_PRICE
    return Check.NO_PRICE if order.price is None else None


def failed_filter(
    order: StandardOrder, meta: SymbolMetadata, last: Decimal | None, touch: Decimal | None, open_orders: int
) -> Check | None:
    """The first filter of the market that the order fails, `None` if it passes all.

    `last` is the last price (for the price band), `touch` the price a market order would start at;
    `None` where the market has shown none: what needs it is then not checked.
    """
    return (
        _failed_price(order, meta)
        or _failed_band(order, meta, last)
        or _failed_qty(order, meta)
        or _failed_notional(order, meta, touch)
        or (Check.MAX_ORDERS if meta.max_orders is not None and open_orders >= meta.max_orders else None)
    )


def _failed_price(order: StandardOrder, meta: SymbolMetadata) -> Check | None:
    for price in (order.price, order.stop_price):
        if price is None:
            continue
        if price <= 0 or (meta.min_price is not None and price < meta.min_price):
            return Check.MIN_PRICE
        if meta.max_price is not None and price > meta.max_price:
            return Check.MAX_PRICE
        if price % meta.price_tick:
            return Check.TICK
    return None


def _failed_band(order: StandardOrder, meta: SymbolMetadata, last: Decimal | None) -> Check | None:
    if order.price is None or last is None:
        return None
    if meta.band_up is not None and order.price > last * meta.band_up:
        return Check.BAND_UP
    if meta.band_down is not None and order.price < last * meta.band_down:
        return Check.BAND_DOWN
    return None


def _failed_qty(order: StandardOrder, meta: SymbolMetadata) -> Check | None:
    qty = order.quantity
    if qty <= 0 or (meta.min_qty is not None and qty < meta.min_qty):
        return Check.MIN_QTY
    if meta.max_qty is not None and qty > meta.max_qty:
        return Check.MAX_QTY
    return Check.LOT if qty % meta.lot else None


def _failed_notional(order: StandardOrder, meta: SymbolMetadata, touch: Decimal | None) -> Check | None:
    price = order.price or order.stop_price or touch
    if meta.min_notional is None or price is None or order.reduce_only:
        return None
    small = order.quantity * price * meta.contract_size < meta.min_notional
    return Check.NOTIONAL if small else None
