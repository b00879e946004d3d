"""Order lists: placing an OCO (both ways of asking), cancelling and querying lists.

Source: binance-spot-api-docs, rest-api.md, "Order lists", "Cancel Order list", "Query Order list" and its
kin; which way round the legs must stand: errors.md, -1165 to -1199.  OTO and OTOCO are not here.  Knows
nothing of signatures or weights.
"""

from typing import Any

from quantcli.model.instrument import Side
from quantcli.sandbox import errors, shapes
from quantcli.sandbox.errors import ApiError
from quantcli.sandbox.exchange import PlacedList, SandboxExchange
from quantcli.sandbox.order_params import (
    RESPONSES,
    STOPPED,
    positive,
    read_leg,
    read_market,
    read_side,
)
from quantcli.sandbox.order_records import ListRecord
from quantcli.sandbox.params import Params, needed
from quantcli.sandbox.queries import cut, is_within, read_span
from quantcli.sandbox.spot.orders import cancelled_json
from quantcli.sandbox.tickets import PREVENTION, TIMES_IN_FORCE, Ticket


class SpotLists:
    """Handlers of the order list endpoints."""

    def __init__(self, exchange: SandboxExchange) -> None:
        self._exchange = exchange

    # Placing.

    def place_oco(self, params: Params) -> Any:
        """New Order list - OCO: an above and a below order."""
        meta = read_market(params, self._exchange)
        list_id = params.client_id("listClientOrderId")
        side = read_side(params)
        above = read_leg(params, self._exchange, meta, side, "above")
        below = read_leg(params, self._exchange, meta, side, "below")
        kind = params.choice("newOrderRespType", RESPONSES) or "RESULT"
        params.finish()
        _check_places(side, above.type, below.type)
        legs = (above, below) if above.type in STOPPED else (below, above)
        return self._place(legs, list_id, kind)

    def place_old_oco(self, params: Params) -> Any:
        """New OCO (deprecated): a limit and a stop order."""
        meta = read_market(params, self._exchange)
        list_id = params.client_id("listClientOrderId")
        side, quantity = read_side(params), positive(params, "quantity")
        price, stop_price = positive(params, "price"), positive(params, "stopPrice")
        limit_id, stop_id = params.client_id("limitClientOrderId"), params.client_id("stopClientOrderId")
        stop_limit_price = params.number("stopLimitPrice")
        time_in_force = "GTC"
        if stop_limit_price is not None:
            bad = ApiError(*errors.BAD_TIME_IN_FORCE)
            word = params.choice("stopLimitTimeInForce", TIMES_IN_FORCE, bad)
            time_in_force = needed(word, "stopLimitTimeInForce")
        prevention = params.choice("selfTradePreventionMode", PREVENTION) or "NONE"
        kind = params.choice("newOrderRespType", RESPONSES) or "RESULT"
        params.finish()
        make_id = self._exchange.ledger.make_id
        stop = Ticket(
            meta,
            side,
            "STOP_LOSS" if stop_limit_price is None else "STOP_LOSS_LIMIT",
            stop_id or make_id(),
            quantity=quantity,
            price=stop_limit_price,
            stop_price=stop_price,
            time_in_force=time_in_force,
            self_trade_prevention=prevention,
        )
        limit = Ticket(
            meta,
            side,
            "LIMIT_MAKER",
            limit_id or make_id(),
            quantity=quantity,
            price=price,
            self_trade_prevention=prevention,
        )
        return self._place((stop, limit), list_id, kind)

    def _place(self, legs: tuple[Ticket, Ticket], list_id: str | None, kind: str) -> Any:
        return _placed_json(self._exchange.place_list(legs, list_id or self._exchange.ledger.make_id()), kind)

    # Cancelling.

    def cancel(self, params: Params) -> Any:
        """Cancel Order list."""
        symbol = read_market(params, self._exchange).symbol.name
        list_id, client_id = params.whole("orderListId"), params.client_id("listClientOrderId")
        cancel_id = params.client_id("newClientOrderId") or ""
        if list_id is None and client_id is None:
            raise errors.missing_both("orderListId", "listClientOrderId")
        params.finish()
        record = self._exchange.ledger.find_list(list_id, client_id)
        if record is None or record.symbol != symbol or not record.is_open:
            raise ApiError(*errors.UNKNOWN_ORDER)
        return cancelled_json(self._exchange.cancel(self._open_leg(record), cancel_id))

    def _open_leg(self, record: ListRecord) -> Any:
        ledger = self._exchange.ledger
        legs = (ledger.order(order_id) for order_id, _ in record.orders)
        return next(order for order in legs if order is not None and order.is_open)

    # Queries.

    def find(self, params: Params) -> Any:
        """Query Order list."""
        list_id, client_id = params.whole("orderListId"), params.client_id("origClientOrderId")
        if list_id is None and client_id is None:
            raise errors.missing_both("orderListId", "origClientOrderId")
        params.finish()
        record = self._exchange.ledger.find_list(list_id, client_id)
        if record is None:
            raise ApiError(*errors.NO_SUCH_LIST)
        return shapes.list_json(record)

    def all(self, params: Params) -> Any:
        """Query all Order lists."""
        from_id, limit = params.whole("fromId"), params.limit(500, 1_000)
        start_ms, end_ms = read_span(params)
        if from_id is not None and (start_ms is not None or end_ms is not None):
            raise errors.bad_combination()
        params.finish()
        records = list(self._exchange.ledger.lists.values())
        if from_id is not None:
            records = [each for each in records if each.list_id >= from_id]
        records = [each for each in records if is_within(each.created_ns, start_ms, end_ms)]
        return [shapes.list_json(each) for each in cut(records, limit, from_id, start_ms)]

    def open(self, params: Params) -> Any:
        """Query Open Order lists."""
        params.finish()
        return [shapes.list_json(each) for each in self._exchange.ledger.lists.values() if each.is_open]


def _check_places(side: Side, above: str, below: str) -> None:
    """The legs stand the right way round: a buy stops above the market, a sale below it."""
    stops = [leg in STOPPED for leg in (above, below)]
    if not any(stops):
        raise ApiError(400, -1168, "At least one OCO order must be contingent.")
    if all(stops):
        raise ApiError(400, -1014, "Unsupported order combination.")
    if "LIMIT" in {above, below} or "MARKET" in {above, below}:
        raise ApiError(400, -1158, "Order type not supported in OCO.")
    if side is Side.BUY and not stops[0]:
        raise ApiError(400, -1196, "A stop loss order in a buy OCO must be above.")
    if side is Side.SELL and not stops[1]:
        raise ApiError(400, -1197, "A stop loss order in a sell OCO must be below.")


def _placed_json(placed: PlacedList, kind: str) -> dict[str, Any]:
    reports = [shapes.placed_json(kind, order, (), placed.at_ns) for order in placed.orders]
    return shapes.list_json(placed.record, reports)
