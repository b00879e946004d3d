"""Placing, cancelling, amending and replacing single orders: parameters in, builtins out.

Source: binance-spot-api-docs, rest-api.md, "Trading endpoints".  Knows nothing of signatures or weights.
"""

from collections.abc import Callable
from typing import Any

from quantcli.sandbox import errors, shapes
from quantcli.sandbox.errors import ApiError
from quantcli.sandbox.exchange import Cancelled, Placed, SandboxExchange
from quantcli.sandbox.order_params import positive, read_market, read_response, read_ticket
from quantcli.sandbox.params import Params, needed
from quantcli.sandbox.tickets import Ticket

_RESTRICTIONS = {"ONLY_NEW": "NEW", "ONLY_PARTIALLY_FILLED": "PARTIALLY_FILLED"}
_MODES = ("STOP_ON_FAILURE", "ALLOW_FAILURE")

# Tells whether more orders may be placed; raises `ApiError` if not.
OrderCheck = Callable[[], None]


class SpotOrders:
    """Handlers of the trading endpoints; `check_order_count` is asked by cancel-replace alone."""

    def __init__(self, exchange: SandboxExchange, check_order_count: OrderCheck) -> None:
        self._exchange = exchange
        self._check_order_count = check_order_count

    def place(self, params: Params) -> Any:
        """New order."""
        ticket = read_ticket(params, self._exchange)
        kind = read_response(params, ticket.type)
        params.finish()
        return _answer(kind, self._exchange.place(ticket))

    def test(self, params: Params) -> Any:
        """Test new order: checked, not sent into the matching."""
        ticket = read_ticket(params, self._exchange)
        read_response(params, ticket.type)
        wants_rates = params.flag("computeCommissionRates")
        params.finish()
        self._exchange.check(ticket)
        return self._commission() if wants_rates else {}

    def _commission(self) -> dict[str, Any]:
        fees = self._exchange.fees
        rates = {"maker": shapes.amount(fees.maker), "taker": shapes.amount(fees.taker)}
        none = dict.fromkeys(rates, "0.00000000")
        return {
            "standardCommissionForOrder": rates,
            "specialCommissionForOrder": none,
            "taxCommissionForOrder": none,
            "discount": NO_DISCOUNT,
        }

    # Cancelling.

    def cancel(self, params: Params) -> Any:
        """Cancel order; one of a list ends the list."""
        symbol = read_market(params, self._exchange).symbol.name
        order_id, client_id = params.whole("orderId"), params.client_id("origClientOrderId")
        cancel_id = params.client_id("newClientOrderId") or ""
        restriction = _restriction(params)
        if order_id is None and client_id is None:
            raise errors.missing_both("origClientOrderId", "orderId")
        params.finish()
        return cancelled_json(self._cancel(symbol, order_id, client_id, cancel_id, restriction))

    def _cancel(
        self, symbol: str, order_id: int | None, client_id: str | None, cancel_id: str, restriction: str
    ) -> Cancelled:
        order = self._exchange.ledger.find(symbol, order_id, client_id)
        if order is None or not order.is_open:
            raise ApiError(*errors.UNKNOWN_ORDER)
        if restriction and order.status != restriction:
            raise ApiError(*errors.RESTRICTED_CANCEL)
        return self._exchange.cancel(order, cancel_id)

    def cancel_all(self, params: Params) -> Any:
        """Cancel all open orders on a symbol, those in lists too.  Refused where there is none."""
        symbol = read_market(params, self._exchange).symbol.name
        params.finish()
        cancelled: list[Cancelled] = []
        for order in self._exchange.ledger.open_orders(symbol):
            # The one before it may have ended it, in the same list.
            if order.order_id in self._exchange.engine.live:
                cancelled.append(self._exchange.cancel(order))
        if not cancelled:
            raise ApiError(*errors.UNKNOWN_ORDER)
        return [cancelled_json(each) for each in cancelled]

    # Changing.

    def amend(self, params: Params) -> Any:
        """Order Amend Keep Priority."""
        symbol = read_market(params, self._exchange).symbol.name
        order_id, client_id = params.whole("orderId"), params.client_id("origClientOrderId")
        new_id = params.client_id("newClientOrderId") or ""
        quantity = positive(params, "newQty")
        if order_id is None and client_id is None:
            raise errors.missing_both("origClientOrderId", "orderId")
        params.finish()
        order = self._exchange.ledger.find(symbol, order_id, client_id)
        if order is None:
            raise ApiError(400, -2038, "Unknown order sent.")
        amended = self._exchange.amend(order, quantity, new_id)
        return shapes.amend_json(amended.amendment, amended.order, amended.record)

    def replace(self, params: Params) -> Any:
        """Cancel an existing order and send a new one; the answer tells of both halves."""
        ticket = read_ticket(params, self._exchange)
        kind = read_response(params, ticket.type)
        mode = needed(params.choice("cancelReplaceMode", _MODES), "cancelReplaceMode")
        order_id, client_id = params.whole("cancelOrderId"), params.client_id("cancelOrigClientOrderId")
        cancel_id = params.client_id("cancelNewClientOrderId") or ""
        restriction = _restriction(params)
        exceeded = params.choice("orderRateLimitExceededMode", ("DO_NOTHING", "CANCEL_ONLY"))
        if order_id is None and client_id is None:
            raise errors.missing_both("cancelOrigClientOrderId", "cancelOrderId")
        params.finish()
        self._exchange.check(ticket, ending=1)
        too_many = _failure(self._check_order_count)
        if too_many is not None and exceeded != "CANCEL_ONLY":
            raise too_many

        def cancel() -> Any:
            symbol = ticket.meta.symbol.name
            return cancelled_json(self._cancel(symbol, order_id, client_id, cancel_id, restriction))

        return self._halves(cancel, ticket, kind, mode, too_many)

    def _halves(
        self, cancel: Callable[[], Any], ticket: Ticket, kind: str, mode: str, too_many: ApiError | None
    ) -> Any:
        """Carry out both halves and tell of them; -2021 if one failed, -2022 if none succeeded."""
        cancelled, refused = _attempt(cancel)
        placed: Any = None
        unplaced: ApiError | None = too_many
        attempted = refused is None or mode == "ALLOW_FAILURE"
        if attempted and unplaced is None:
            placed, unplaced = _attempt(lambda: self._place_half(ticket, kind, refused is None))
        told = {
            "cancelResult": "FAILURE" if refused else "SUCCESS",
            "newOrderResult": ("FAILURE" if unplaced else "SUCCESS") if attempted else "NOT_ATTEMPTED",
            "cancelResponse": refused.body() if refused else cancelled,
            "newOrderResponse": (unplaced.body() if unplaced else placed) if attempted else None,
        }
        if refused is None and unplaced is None:
            return told
        status = 429 if unplaced is not None and unplaced is too_many else None
        if refused is None or (attempted and unplaced is None):
            message = "Order cancel-replace partially failed."
            raise ApiError(status or 409, -2021, message, data=told)
        raise ApiError(status or 400, -2022, "Order cancel-replace failed.", data=told)

    def _place_half(self, ticket: Ticket, kind: str, has_cancelled: bool) -> Any:
        place = self._exchange.place_after_cancel if has_cancelled else self._exchange.place
        return _answer(kind, place(ticket))


NO_DISCOUNT = {
    "enabledForAccount": False,
    "enabledForSymbol": False,
    "discountAsset": "BNB",
    "discount": "0.00000000",
}


def cancelled_json(cancelled: Cancelled) -> dict[str, Any]:
    """Answer to a cancel: of one order, or of the list it ended ("Cancel Order list")."""
    reports = [shapes.cancel_json(order, cancelled.cancel_id, cancelled.at_ns) for order in cancelled.orders]
    return reports[0] if cancelled.record is None else shapes.list_json(cancelled.record, reports)


def _answer(kind: str, placed: Placed) -> dict[str, Any]:
    return shapes.placed_json(kind, placed.order, placed.fills, placed.at_ns)


def _restriction(params: Params) -> str:
    """The status that an order must have to be cancelled; empty for any."""
    word = params.choice("cancelRestrictions", _RESTRICTIONS, ApiError(*errors.BAD_CANCEL_RESTRICTIONS))
    return _RESTRICTIONS[word] if word else ""


def _attempt(act: Callable[[], Any]) -> tuple[Any, ApiError | None]:
    """What comes of an act, or why it was refused."""
    try:
        return act(), None
    except ApiError as error:
        return None, error


def _failure(act: Callable[[], None]) -> ApiError | None:
    return _attempt(act)[1]
