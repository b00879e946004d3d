"""Placing, modifying and cancelling futures orders, one by one, in batches and conditional: parameters in,
builtins out.

Source: developers.binance.com, USDⓈ-M Futures, "Trade".  Knows nothing of signatures or weights.
"""

from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from quantcli.model.instrument import SymbolMetadata
from quantcli.sandbox import errors
from quantcli.sandbox.errors import ApiError
from quantcli.sandbox.futures import errors as futures
from quantcli.sandbox.futures import shapes
from quantcli.sandbox.futures.exchange import FuturesExchange
from quantcli.sandbox.futures.params import (
    find_order,
    read_algo,
    read_client_id,
    read_ids,
    read_quantity,
    read_response,
    read_ticket,
)
from quantcli.sandbox.futures.records import AlgoOrder, FuturesOrder
from quantcli.sandbox.order_params import read_market, read_side
from quantcli.sandbox.order_records import OrderRecord
from quantcli.sandbox.params import Params, needed

_MOST_IN_BATCH = 5
_MOST_CANCELLED = 10
_DONE = {"code": 200, "msg": "The operation of cancel all open order is done."}


class FuturesOrders:
    """Handlers of the trading endpoints."""

    def __init__(self, exchange: FuturesExchange) -> None:
        self._exchange = exchange

    def place(self, params: Params) -> Any:
        """New Order.

        RESULT tells what came of a market order, and of one that does not rest; ACK, and any order that may
        rest, is answered as it was accepted.
        """
        ticket = read_ticket(params, self._exchange)
        kind = read_response(params)
        params.finish()
        begun, order = self._exchange.place(ticket)
        ends = ticket.type == "MARKET" or ticket.time_in_force in {"IOC", "FOK"}
        return self._shown(order if kind == "RESULT" and ends else begun)

    def _shown(self, order: OrderRecord) -> dict[str, Any]:
        assert isinstance(order, FuturesOrder)
        return shapes.placed_json(order, self._exchange.instruments[order.symbol])

    def test(self, params: Params) -> Any:
        """Test Order: checked, not sent into the matching."""
        ticket = read_ticket(params, self._exchange)
        read_response(params)
        params.finish()
        self._exchange.check(ticket)
        return shapes.placed_json(
            _as_futures(ticket.record(0, ticket.quantity, self._exchange.clock.now_ns())), ticket.meta
        )

    def modify(self, params: Params) -> Any:
        """Modify Order: `quantity` is the new total."""
        symbol = read_market(params, self._exchange).symbol.name
        side = read_side(params)
        ids = read_ids(params)
        quantity, price = read_quantity(params), needed(params.number("price"), "price")
        if params.raw("priceMatch") not in {None, "NONE"}:
            raise futures.not_here("there is no priceMatch")
        params.finish()
        order = find_order(self._exchange, symbol, ids, errors.NO_SUCH_ORDER)
        if order.side is not side:
            raise errors.invalid("side")
        return self._shown(self._exchange.modify(order, quantity, price))

    # Cancelling.

    def cancel(self, params: Params) -> Any:
        """Cancel Order."""
        symbol = read_market(params, self._exchange).symbol.name
        ids = read_ids(params)
        params.finish()
        return self._cancel(symbol, ids)

    def _cancel(self, symbol: str, ids: tuple[int | None, str | None]) -> dict[str, Any]:
        order = find_order(self._exchange, symbol, ids, errors.UNKNOWN_ORDER)
        if not order.is_open:
            raise ApiError(*errors.UNKNOWN_ORDER)
        return self._shown(self._exchange.cancel(order))

    def cancel_all(self, params: Params) -> Any:
        """Cancel All Open Orders; done even where there is none."""
        symbol = read_market(params, self._exchange).symbol.name
        params.finish()
        for order in self._exchange.ledger.open_orders(symbol):
            if order.order_id in self._exchange.engine.live:
                self._exchange.cancel(order)
        return _DONE

    # Several at once: each is answered for itself.

    def place_batch(self, params: Params) -> Any:
        """Place Multiple Orders."""
        return self._each(params, self.place)

    def modify_batch(self, params: Params) -> Any:
        """Modify Multiple Orders."""
        return self._each(params, self.modify)

    def _each(self, params: Params, act: Callable[[Params], Any]) -> list[Any]:
        batch = _decoded(params, "batchOrders", list[dict[str, Any]])
        params.finish()
        if not 1 <= len(batch) <= _MOST_IN_BATCH:
            raise ApiError(*futures.BAD_BATCH)
        return [_attempt(act, Params(_texts(each))) for each in batch]

    def cancel_batch(self, params: Params) -> Any:
        """Cancel Multiple Orders."""
        symbol = read_market(params, self._exchange).symbol.name
        ids: list[tuple[int | None, str | None]] = []
        for name in ("orderIdList", "orderidlist"):
            if name in params:
                ids += [(int(each), None) for each in _decoded(params, name, list[int | str])]
        for name in ("origClientOrderIdList", "origclientorderidlist"):
            if name in params:
                ids += [(None, each) for each in _decoded(params, name, list[str])]
        params.finish()
        if not 1 <= len(ids) <= _MOST_CANCELLED:
            raise errors.missing_both("orderIdList", "origClientOrderIdList")
        return [_attempt(lambda each: self._cancel(symbol, each), each) for each in ids]

    # Conditional orders.

    def place_algo(self, params: Params) -> Any:
        """New Algo Order."""
        order, meta = read_algo(params, self._exchange)
        params.finish()
        return self._algo(self._exchange.place_algo(order, meta))

    def _algo(self, order: AlgoOrder) -> dict[str, Any]:
        actual = self._exchange.ledger.order(order.order_id)
        meta = self._exchange.instruments[order.symbol]
        return shapes.algo_json(order, meta, _as_futures(actual) if actual else None)

    def cancel_algo(self, params: Params) -> Any:
        """Cancel Algo Order."""
        order = self._find_algo(params, errors.UNKNOWN_ORDER)
        cancelled = self._exchange.cancel_algo(order)
        told = {"algoId": cancelled.algo_id, "clientAlgoId": cancelled.client_algo_id}
        return told | {"code": "200", "msg": "success"}

    def algo(self, params: Params) -> Any:
        """Query Algo Order."""
        return self._algo(self._find_algo(params, errors.NO_SUCH_ORDER))

    def _find_algo(self, params: Params, refusal: tuple[int, int, str]) -> AlgoOrder:
        # Clients send the market, which is not asked for.
        meta = self._market(params)
        algo_id, client_id = params.whole("algoId"), read_client_id(params, "clientAlgoId")
        if algo_id is None and client_id is None:
            raise errors.missing_both("algoId", "clientAlgoId")
        params.finish()
        order = self._exchange.algos.find(algo_id, client_id)
        if order is None or (meta is not None and order.symbol != meta.symbol.name):
            raise ApiError(*refusal)
        return order

    def _market(self, params: Params) -> SymbolMetadata | None:
        return read_market(params, self._exchange) if "symbol" in params else None

    def cancel_algos(self, params: Params) -> Any:
        """Cancel All Algo Open Orders."""
        symbol = read_market(params, self._exchange).symbol.name
        params.finish()
        for order in self._exchange.algos.waiting(symbol):
            self._exchange.cancel_algo(order)
        return _DONE

    def open_algos(self, params: Params) -> Any:
        """Current All Algo Open Orders."""
        meta = self._market(params)
        params.choice("algoType", ("CONDITIONAL",))
        algo_id = params.whole("algoId")
        params.finish()
        found = self._exchange.algos.waiting(meta.symbol.name if meta else None)
        return [self._algo(order) for order in found if algo_id in {None, order.algo_id}]

    def all_algos(self, params: Params) -> Any:
        """Query All Algo Orders."""
        symbol = read_market(params, self._exchange).symbol.name
        from_id = params.whole("algoId") or 0
        start_ms, end_ms = params.millis("startTime"), params.millis("endTime")
        page, limit = params.whole("page") or 0, params.limit(500, 1_000)
        params.finish()
        found = [
            order
            for order in self._exchange.algos.orders.values()
            if order.symbol == symbol
            and order.algo_id >= from_id
            and (start_ms is None or order.created_ns >= start_ms * 1_000_000)
            and (end_ms is None or order.created_ns < (end_ms + 1) * 1_000_000)
        ]
        return [self._algo(order) for order in found[page * limit : (page + 1) * limit]]


def _as_futures(order: OrderRecord) -> FuturesOrder:
    assert isinstance(order, FuturesOrder)
    return order


def _decoded(params: Params, name: str, kind: Any) -> Any:
    text = needed(params.raw(name), name)
    try:
        return msgspec.json.decode(text, type=kind, strict=False)
    except msgspec.DecodeError:
        raise ApiError(400, -1135, f"JSON sent for parameter '{name}' is not valid") from None


def _texts(values: Mapping[str, Any]) -> dict[str, str]:
    """Parameters as a query string would write them."""
    return {
        name: str(value).lower() if isinstance(value, bool) else str(value) for name, value in values.items()
    }


def _attempt(act: Callable[[Any], Any], argument: Any) -> Any:
    """What comes of an act, or why it was refused."""
    try:
        return act(argument)
    except ApiError as error:
        return error.body()
