"""Queries by number and by time: the span that is asked for, and which orders and fills are told of it.

Source: binance-spot-api-docs, rest-api.md, "General API Information" (order of data); futures do the same.
Orders and fills are as of the account's `as_of`.  Knows no endpoint and no form of an answer.
"""

from typing import TypeVar

from quantcli.clock import NS_PER_MS
from quantcli.model.order import Fill
from quantcli.sandbox import errors
from quantcli.sandbox.order_records import OrderRecord
from quantcli.sandbox.params import Params
from quantcli.sandbox.venue_account import VenueAccount

_DAY_MS = 86_400_000
Span = tuple[int | None, int | None]
T = TypeVar("T")


def read_span(params: Params) -> Span:
    """`startTime` and `endTime`, no more than 24 hours apart.  Raises `ApiError`."""
    start_ms, end_ms = params.millis("startTime"), params.millis("endTime")
    if start_ms is not None and end_ms is not None:
        if end_ms < start_ms:
            raise errors.invalid("startTime")
        if end_ms - start_ms > _DAY_MS:
            raise errors.more_than_a_day()
    return start_ms, end_ms


def is_within(at_ns: int, start_ms: int | None, end_ms: int | None) -> bool:
    """A time lies in the span, both ends included."""
    at_ms = at_ns // NS_PER_MS
    return (start_ms is None or at_ms >= start_ms) and (end_ms is None or at_ms <= end_ms)


def cut(found: list[T], limit: int, *from_the_oldest: int | None) -> list[T]:
    """As many as may be told: the oldest where a start was given, else the newest."""
    begins = any(value is not None for value in from_the_oldest)
    return found[:limit] if begins else found[-limit:]


def select_orders(
    account: VenueAccount, symbol: str, from_id: int | None, span: Span, limit: int
) -> list[OrderRecord]:
    """Orders of a market from a number on, created in the span."""
    found = [
        order
        for order in account.ledger.orders(symbol, account.as_of)
        if (from_id is None or order.order_id >= from_id) and is_within(order.created_ns, *span)
    ]
    return cut(found, limit, from_id, span[0])


def select_fills(
    account: VenueAccount, symbol: str, order_id: int | None, from_id: int | None, span: Span, limit: int
) -> list[Fill]:
    """Fills of a market, or of one order there, from a number on, done in the span."""
    found = [
        fill
        for fill in account.ledger.fills_of(symbol, account.as_of)
        if (order_id is None or int(fill.exchange_order_id) == order_id)
        and (from_id is None or int(fill.trade_id) >= from_id)
        and is_within(fill.exchange_ns, *span)
    ]
    return cut(found, limit, order_id, from_id, span[0])
