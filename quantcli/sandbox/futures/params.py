"""Parameters of futures orders as tickets: what each order type needs, takes and refuses.

Source: developers.binance.com, USDⓈ-M Futures, "New Order", "New Algo Order" (mandatory parameters by type),
"Modify Order"; codes: "Error Code".  Reads parameters; places nothing.
"""

from collections.abc import Collection
from decimal import Decimal
from typing import TypeVar

from quantcli.clock import NS_PER_MS
from quantcli.model.instrument import SymbolMetadata
from quantcli.sandbox import errors
from quantcli.sandbox.errors import ApiError
from quantcli.sandbox.futures import errors as futures
from quantcli.sandbox.futures.exchange import FuturesExchange
from quantcli.sandbox.futures.records import AlgoOrder, FuturesOrder
from quantcli.sandbox.futures.tickets import CONDITIONAL, PREVENTION, TIMES_IN_FORCE, TYPES, FuturesTicket
from quantcli.sandbox.order_params import read_market, read_side
from quantcli.sandbox.params import Params, needed

RESPONSES = ("ACK", "RESULT")
PRICED = ("STOP", "TAKE_PROFIT")
_ALGO_TIMES = ("GTC", "IOC", "FOK", "GTX", "GTD")
_SOON_NS = 600_000 * NS_PER_MS
_LATEST_MS = 253_402_300_799_000
_WEEK_MS = 7 * 86_400_000
_ZERO = Decimal(0)
T = TypeVar("T")


def read_client_id(params: Params, name: str) -> str | None:
    """A client order id.  Raises `ApiError`."""
    text = params.raw(name)
    if text is not None and len(text) > 36:
        raise ApiError(*futures.LONG_CLIENT_ID)
    return params.raw(name, futures.CLIENT_ID)


def read_ticket(params: Params, exchange: FuturesExchange) -> FuturesTicket:
    """A single order.  Raises `ApiError`."""
    meta = read_market(params, exchange)
    side = read_side(params)
    _check_position_side(params)
    kind = _order_type(params)
    if kind not in {"LIMIT", "MARKET"}:
        raise ApiError(*futures.USE_ALGO)
    client_id = read_client_id(params, "newClientOrderId")
    if params.flag("closePosition"):
        raise errors.needless("closePosition")
    params.refuse("stopPrice", "activationPrice", "callbackRate")
    _working_type(params)
    _refuse_price_match(params)
    is_limit = kind == "LIMIT"
    time_in_force = _time_in_force(params, TIMES_IN_FORCE, is_needed=True) if is_limit else "GTC"
    if not is_limit:
        params.refuse("timeInForce", "price")
    return FuturesTicket(
        meta,
        side,
        kind,
        client_id or exchange.ledger.make_id(),
        quantity=read_quantity(params),
        price=needed(params.number("price"), "price") if is_limit else None,
        time_in_force=time_in_force,
        self_trade_prevention=params.choice("selfTradePreventionMode", PREVENTION) or "NONE",
        reduce_only=params.flag("reduceOnly"),
        price_protect=params.flag("priceProtect"),
        good_till_ns=_good_till(params, time_in_force, exchange.clock.now_ns()),
    )


def read_response(params: Params) -> str:
    """The form of the answer that was asked for."""
    return params.choice("newOrderRespType", RESPONSES) or "ACK"


def read_quantity(params: Params) -> Decimal:
    """A mandatory quantity above zero.  Raises `ApiError`."""
    value = needed(params.number("quantity"), "quantity")
    if not value:
        raise ApiError(*futures.NO_QUANTITY)
    return value


def _order_type(params: Params) -> str:
    return needed(params.choice("type", TYPES, ApiError(*errors.BAD_ORDER_TYPE)), "type")


def _check_position_side(params: Params) -> None:
    if params.choice("positionSide", ("BOTH", "LONG", "SHORT")) not in {None, "BOTH"}:
        raise ApiError(*futures.BAD_POSITION_SIDE)


def _refuse_price_match(params: Params) -> None:
    if params.raw("priceMatch") not in {None, "NONE"}:
        raise futures.not_here("there is no priceMatch")


def _working_type(params: Params) -> str:
    bad = ApiError(*futures.BAD_WORKING_TYPE)
    return params.choice("workingType", ("CONTRACT_PRICE", "MARK_PRICE"), bad) or "CONTRACT_PRICE"


def _time_in_force(params: Params, allowed: Collection[str], is_needed: bool = False) -> str:
    word = params.choice("timeInForce", allowed, ApiError(*errors.BAD_TIME_IN_FORCE))
    return needed(word, "timeInForce") if is_needed else word or "GTC"


def _good_till(params: Params, time_in_force: str, now_ns: int) -> int:
    if time_in_force != "GTD":
        params.refuse("goodTillDate")
        return 0
    date_ms = needed(params.whole("goodTillDate"), "goodTillDate")
    # "Only the second level of precision is kept."
    date_ns = date_ms // 1000 * 1000 * NS_PER_MS
    if date_ns <= now_ns + _SOON_NS or date_ms >= _LATEST_MS:
        raise ApiError(*futures.BAD_GOOD_TILL_DATE)
    return date_ns


# Conditional orders.


def read_algo(params: Params, exchange: FuturesExchange) -> tuple[AlgoOrder, SymbolMetadata]:
    """A conditional order, not numbered yet, and its market.  Raises `ApiError`."""
    needed(params.choice("algoType", ("CONDITIONAL",)), "algoType")
    meta = read_market(params, exchange)
    side = read_side(params)
    _check_position_side(params)
    kind = _order_type(params)
    if kind == "TRAILING_STOP_MARKET":
        raise futures.not_here("there are no trailing stops")
    if kind not in CONDITIONAL:
        raise ApiError(*errors.BAD_ORDER_TYPE)
    client_id = read_client_id(params, "clientAlgoId")
    params.refuse("activatePrice", "callbackRate")
    _refuse_price_match(params)
    closes = params.flag("closePosition")
    if closes:
        if kind in PRICED:
            raise errors.needless("closePosition")
        params.refuse("quantity", "reduceOnly")
    if kind not in PRICED:
        params.refuse("price")
    time_in_force = _time_in_force(params, _ALGO_TIMES)
    read_response(params)
    order = AlgoOrder(
        0,
        client_id or exchange.ledger.make_id(),
        meta.symbol.name,
        meta.exchange_symbol,
        side,
        kind,
        needed(params.number("triggerPrice"), "triggerPrice"),
        0,
        0,
        quantity=_ZERO if closes else read_quantity(params),
        price=needed(params.number("price"), "price") if kind in PRICED else _ZERO,
        time_in_force=time_in_force,
        working_type=_working_type(params),
        reduce_only=params.flag("reduceOnly"),
        close_position=closes,
        price_protect=params.flag("priceProtect"),
        good_till_ns=_good_till(params, time_in_force, exchange.clock.now_ns()),
        self_trade_prevention=params.choice("selfTradePreventionMode", PREVENTION) or "NONE",
    )
    return order, meta


# Which order, and which span of time.


def read_ids(params: Params) -> tuple[int | None, str | None]:
    """`orderId` and `origClientOrderId`, at least one of them.  Raises `ApiError`."""
    order_id, client_id = params.whole("orderId"), read_client_id(params, "origClientOrderId")
    if order_id is None and client_id is None:
        raise errors.missing_both("orderId", "origClientOrderId")
    return order_id, client_id


def find_order(
    exchange: FuturesExchange,
    symbol: str,
    ids: tuple[int | None, str | None],
    refusal: tuple[int, int, str],
    as_of: int | None = None,
) -> FuturesOrder:
    """An order of a market: by its number if both are sent.  Raises `ApiError` if there is none."""
    order_id, client_id = ids
    order = exchange.ledger.find(symbol, order_id, None if order_id is not None else client_id, as_of)
    if order is None:
        raise ApiError(*refusal)
    assert isinstance(order, FuturesOrder)
    return order


def read_week(params: Params) -> tuple[int | None, int | None]:
    """`startTime` and `endTime`, a week apart at most.  Raises `ApiError`."""
    start_ms, end_ms = params.millis("startTime"), params.millis("endTime")
    if start_ms is not None and end_ms is not None and end_ms - start_ms > _WEEK_MS:
        raise ApiError(400, -1127, "More than 7 days between startTime and endTime.")
    return start_ms, end_ms
