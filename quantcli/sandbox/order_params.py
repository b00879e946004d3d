"""Parameters of a new order as a ticket: what each order type needs, takes and refuses.

Source: binance-spot-api-docs, rest-api.md, "New order" (additional mandatory parameters by type), "New Order
list - OCO"; texts: errors.md.  Reads parameters; places nothing.
"""

from collections.abc import Collection
from decimal import Decimal

from quantcli.model.instrument import Side, SymbolMetadata
from quantcli.sandbox import errors
from quantcli.sandbox.errors import ApiError
from quantcli.sandbox.exchange import SandboxExchange
from quantcli.sandbox.params import SYMBOL, Params, needed
from quantcli.sandbox.tickets import PREVENTION, TIMES_IN_FORCE, Ticket
from quantcli.sandbox.venue_account import VenueAccount

_ALL_TYPES = (
    *("LIMIT", "LIMIT_MAKER", "MARKET", "STOP_LOSS", "STOP_LOSS_LIMIT"),
    *("TAKE_PROFIT", "TAKE_PROFIT_LIMIT"),
)
_NO_SUCH_TYPE = {
    "TAKE_PROFIT": "Take profit orders are not supported for this symbol.",
    "TAKE_PROFIT_LIMIT": "Take profit limit orders are not supported for this symbol.",
}
PRICED = frozenset({"LIMIT", "LIMIT_MAKER", "STOP_LOSS_LIMIT"})
STOPPED = frozenset({"STOP_LOSS", "STOP_LOSS_LIMIT"})
TIMED = frozenset({"LIMIT", "STOP_LOSS_LIMIT"})
RESPONSES = ("ACK", "RESULT", "FULL")
_FULL_BY_DEFAULT = frozenset({"MARKET", "LIMIT"})


def read_market(params: Params, exchange: VenueAccount, name: str = "symbol") -> SymbolMetadata:
    """The market that `symbol` names.  Raises `ApiError`."""
    return exchange.market(needed(params.raw(name, SYMBOL), name))


def read_side(params: Params, name: str = "side") -> Side:
    """BUY or SELL.  Raises `ApiError`."""
    word = needed(params.choice(name, Side.__members__, ApiError(*errors.BAD_SIDE)), name)
    return Side[word]


def read_response(params: Params, order_type: str) -> str:
    """The form of the answer that was asked for: ACK, RESULT or FULL."""
    default = "FULL" if order_type in _FULL_BY_DEFAULT else "ACK"
    return params.choice("newOrderRespType", RESPONSES) or default


def read_ticket(params: Params, exchange: SandboxExchange) -> Ticket:
    """A single order.  Raises `ApiError`."""
    meta = read_market(params, exchange)
    side = read_side(params)
    order_type = _order_type(params, "type")
    client_id = params.client_id("newClientOrderId")
    _refuse_unknown_kinds(params)
    spends = order_type == "MARKET" and "quoteOrderQty" in params and "quantity" not in params
    if order_type != "MARKET" or "quantity" in params:
        params.refuse("quoteOrderQty")
    elif not spends:
        raise errors.missing_both("quantity", "quoteOrderQty")
    zero = Decimal(0)
    return Ticket(
        meta,
        side,
        order_type,
        client_id or exchange.ledger.make_id(),
        quantity=zero if spends else positive(params, "quantity"),
        quote_quantity=positive(params, "quoteOrderQty") if spends else zero,
        price=_price(params, order_type, "price"),
        stop_price=_stop_price(params, order_type, "stopPrice"),
        time_in_force=_time_in_force(params, order_type, "timeInForce"),
        strategy_id=params.whole("strategyId"),
        strategy_type=_strategy_type(params, "strategyType"),
        self_trade_prevention=params.choice("selfTradePreventionMode", PREVENTION) or "NONE",
    )


def read_leg(
    params: Params, exchange: SandboxExchange, meta: SymbolMetadata, side: Side, place: str
) -> Ticket:
    """One order of an OCO: `place` is `above` or `below`, and begins the names of its parameters."""
    order_type = _order_type(params, f"{place}Type")
    client_id = params.client_id(f"{place}ClientOrderId")
    for kind in ("IcebergQty", "TrailingDelta", "PegPriceType", "PegOffsetType", "PegOffsetValue"):
        _refuse_kind(params, place + kind, kind)
    return Ticket(
        meta,
        side,
        order_type,
        client_id or exchange.ledger.make_id(),
        quantity=positive(params, "quantity"),
        price=_price(params, order_type, f"{place}Price"),
        stop_price=_stop_price(params, order_type, f"{place}StopPrice"),
        time_in_force=_time_in_force(params, order_type, f"{place}TimeInForce"),
        strategy_id=params.whole(f"{place}StrategyId"),
        strategy_type=_strategy_type(params, f"{place}StrategyType"),
        self_trade_prevention=params.choice("selfTradePreventionMode", PREVENTION) or "NONE",
    )


def positive(params: Params, name: str) -> Decimal:
    """A mandatory amount; zero counts as none."""
    value = needed(params.number(name), name)
    if not value:
        raise errors.missing(name)
    return value


def _order_type(params: Params, name: str) -> str:
    word = needed(params.choice(name, _ALL_TYPES, ApiError(*errors.BAD_ORDER_TYPE)), name)
    if word in _NO_SUCH_TYPE:
        raise errors.rejected(_NO_SUCH_TYPE[word])
    return word


def _price(params: Params, order_type: str, name: str) -> Decimal | None:
    return _of_types(params, name, order_type, PRICED)


def _stop_price(params: Params, order_type: str, name: str) -> Decimal | None:
    return _of_types(params, name, order_type, STOPPED)


def _of_types(params: Params, name: str, order_type: str, types: Collection[str]) -> Decimal | None:
    if order_type in types:
        return positive(params, name)
    params.refuse(name)
    return None


def _time_in_force(params: Params, order_type: str, name: str) -> str:
    if order_type not in TIMED:
        params.refuse(name)
        return "GTC"
    return needed(params.choice(name, TIMES_IN_FORCE, ApiError(*errors.BAD_TIME_IN_FORCE)), name)


def _strategy_type(params: Params, name: str) -> int | None:
    value = params.whole(name)
    if value is not None and value < 1_000_000:
        raise ApiError(*errors.BAD_STRATEGY_TYPE)
    return value


def _refuse_unknown_kinds(params: Params) -> None:
    for name in ("icebergQty", "trailingDelta", "pegPriceType", "pegOffsetType", "pegOffsetValue"):
        _refuse_kind(params, name, name[0].upper() + name[1:])


def _refuse_kind(params: Params, name: str, kind: str) -> None:
    """Refuse kinds of orders that no market here has, each in Binance's words for such a market."""
    if name not in params:
        return
    if kind == "IcebergQty":
        raise errors.rejected("Iceberg orders are not supported for this symbol.")
    if kind == "TrailingDelta":
        raise errors.rejected("Trailing stop orders are not supported for this symbol.")
    raise errors.rejected("Pegged orders are not supported for this symbol.")
