"""Binance's private messages, spot: orders, fills and balances in, by REST or by the user data stream.

Reads bodies and frames; which answers are errors of what kind (`venues.classify`), whose a client order id
is, and how requests are signed is none of its business.  It keeps nothing between messages.
"""

from collections.abc import Hashable, Mapping
from decimal import Decimal
from functools import cache
from typing import Any, TypeVar, cast

import msgspec

from quantcli.codecs.binance_order_terms import kind_of, order_type, plain, status_of, terms
from quantcli.codecs.binance_order_wire import (
    Envelope,
    Peek,
    WireAccount,
    WireAmendment,
    WireError,
    WireExecution,
    WireList,
    WireOrder,
    WirePosition,
    WireTradeFill,
    WireTransfer,
)
from quantcli.codecs.binance_symbols import infer_symbol
from quantcli.codecs.binance_time import to_ns
from quantcli.codecs.errors import CodecError
from quantcli.errors import RecordingError
from quantcli.model.account import AssetBalance
from quantcli.model.instrument import Side, SymbolMetadata
from quantcli.model.message import Observation
from quantcli.model.order import Fill, Order, OrderStatus

__all__ = [
    "BalanceNews",
    "BinanceOrders",
    "CodecError",
    "Reply",
    "StreamEnded",
    "Unknown",
    "UserEvent",
    "order_type",
]

_T = TypeVar("_T")
_ZERO = Decimal(0)
_LISTS = ("[", b"[")
_TRADES = frozenset({"TRADE", "CALCULATED"})  # the second is a liquidation's
_ENDINGS = frozenset({"eventStreamTerminated", "serverShutdown"})


class BalanceNews(msgspec.Struct, frozen=True):
    """The account's balances as of `at_ns`, of assets that may have changed; or `delta` (signed) of one asset
    that came or went without a trade: a deposit, a withdrawal, a transfer."""

    at_ns: int
    balances: tuple[AssetBalance, ...] = ()
    asset: str = ""
    delta: Decimal | None = None


class StreamEnded(msgspec.Struct, frozen=True):
    """No more news will come on this subscription, or soon none; `reason` is the exchange's word for it."""

    reason: str


class Reply(msgspec.Struct, frozen=True):
    """The answer to a request sent over the same socket; `error` is code and message."""

    id: int | str | None
    status: int
    error: tuple[int, str] | None = None


class Unknown(msgspec.Struct, frozen=True):
    """A well-formed event that means nothing here (`listStatus`: its orders report for themselves)."""

    kind: str


UserEvent = Observation | BalanceNews | StreamEnded | Reply | Unknown


class BinanceOrders:
    """Decodes what Binance says of an account.

    Canonical names come from `symbols` (by exchange symbol); other markets' from their letters, or else stay
    as the exchange writes them.  Whatever cannot be read raises `CodecError`.
    """

    def __init__(self, symbols: Mapping[str, SymbolMetadata]) -> None:
        self._names = {key: rules.symbol.name for key, rules in symbols.items()}

    # Answers of REST.

    def observation(self, body: bytes | str) -> Observation:
        """The order in an answer to placing, cancelling, amending or querying it."""
        if _decode(body, Peek).amended_order:
            amendment = _decode(body, WireAmendment)
            return self._observed(amendment.amended_order, amendment.transact_time)
        return self._observed(_decode(body, WireOrder))

    def list_observations(self, body: bytes | str) -> list[Observation]:
        """The orders in an answer about an order list (its `orderReports`), or about all open orders, where
        orders and order lists stand side by side."""
        if body.lstrip()[:1] not in _LISTS:
            return [self._observed(wire) for wire in _decode(body, WireList).order_reports]
        found: list[Observation] = []
        for entry in _decode(body, list[msgspec.Raw]):
            is_list = _decode(bytes(entry), Peek).order_reports
            found += self.list_observations(bytes(entry)) if is_list else [self.observation(bytes(entry))]
        return found

    def order(self, body: bytes | str) -> Order:
        """An order that was queried."""
        return self._listed(_decode(body, WireOrder))

    def orders(self, body: bytes | str) -> list[Order]:
        """The orders of openOrders or allOrders."""
        return [self._listed(wire) for wire in _decode(body, list[WireOrder])]

    def fills(self, body: bytes | str) -> list[Fill]:
        """The trades of myTrades; their client order ids are not told and empty."""
        return [
            Fill(
                str(wire.id),
                self._name(wire.symbol),
                Side.BUY if wire.is_buyer else Side.SELL,
                plain(wire.qty),
                plain(wire.price),
                plain(wire.commission),
                wire.commission_asset,
                wire.is_maker,
                to_ns(wire.time),
                "",
                str(wire.order_id),
            )
            for wire in _decode(body, list[WireTradeFill])
        ]

    def balances(self, body: bytes | str) -> dict[str, AssetBalance]:
        """Balances by asset, those of zero too if they were sent."""
        account = _decode(body, WireAccount)
        return {wire.asset: _balance(wire.asset, wire.free, wire.locked) for wire in account.balances}

    def error(self, body: bytes | str) -> tuple[int, str] | None:
        """Code and message of an error answer; `None` for every other body, whatever it is."""
        try:
            error = _decode(body, WireError)
        except CodecError:
            return None
        return error.code, error.msg

    # The user data stream.

    def event(self, text: bytes | str) -> UserEvent:
        """What a frame of a private socket says, in any of the wrappings of `Envelope`."""
        envelope = _decode(text, Envelope)
        inner = bytes(envelope.event or envelope.data)
        if inner:
            text, kind = inner, _decode(inner, Envelope).kind
        elif envelope.status is not None and not envelope.kind:
            error = envelope.error
            return Reply(envelope.id, envelope.status, (error.code, error.msg) if error else None)
        else:
            kind = envelope.kind
        if not kind:
            raise CodecError("a frame that is neither an event nor a reply")
        return self._event(kind, text)

    def _event(self, kind: str, text: bytes | str) -> UserEvent:
        if kind == "executionReport":
            return self._executed(_decode(text, WireExecution))
        if kind == "outboundAccountPosition":
            position = _decode(text, WirePosition)
            held = tuple(_balance(wire.asset, wire.free, wire.locked) for wire in position.holdings)
            return BalanceNews(to_ns(position.time), held)
        if kind == "balanceUpdate":
            moved = _decode(text, WireTransfer)
            return BalanceNews(to_ns(moved.time), asset=moved.asset, delta=plain(moved.delta))
        return StreamEnded(kind) if kind in _ENDINGS else Unknown(kind)

    def _executed(self, wire: WireExecution) -> Observation:
        symbol = self._name(wire.symbol)
        client_order_id = wire.orig_client_order_id or wire.client_order_id
        fill = self._fill(wire, symbol, client_order_id)
        reason = wire.expiry_reason or ("" if wire.reason == "NONE" else wire.reason)
        return Observation(
            client_order_id,
            str(wire.order_id),
            status_of(wire.status, wire.executed_qty),
            plain(wire.executed_qty),
            to_ns(wire.time),
            (fill,) if fill else (),
            reason,
            terms(
                symbol,
                wire.side,
                wire.type,
                wire.time_in_force,
                wire.qty,
                wire.price,
                wire.stop_price,
                wire.trailing_delta is not None,
            ),
        )

    def _fill(self, wire: WireExecution, symbol: str, client_order_id: str) -> Fill | None:
        """The execution that a report tells of.  One without quantity, price or number is none to book: what
        is missing shows in the cumulative quantity, and can be asked for."""
        is_trade = wire.execution in _TRADES and wire.trade_id >= 0
        if not (is_trade and wire.last_qty and wire.last_price):
            return None
        return Fill(
            str(wire.trade_id),
            symbol,
            Side[wire.side],
            plain(wire.last_qty),
            plain(wire.last_price),
            plain(wire.commission),
            wire.commission_asset or "",
            wire.is_maker,
            to_ns(wire.time),
            client_order_id,
            str(wire.order_id),
        )

    # Orders.

    def _observed(self, wire: WireOrder, at: int = 0) -> Observation:
        symbol, executed = self._name(wire.symbol), plain(wire.executed_qty or _ZERO)
        client_order_id = wire.orig_client_order_id or wire.client_order_id
        at_ns = to_ns(at or wire.transact_time or wire.update_time or wire.time)
        if wire.fills and wire.side is None:
            raise CodecError("fills of an order without a side")
        shown = None
        if wire.side is not None:
            quantity, trails = wire.orig_qty or wire.qty, wire.trailing_delta is not None
            shown = terms(
                symbol,
                wire.side,
                wire.type,
                wire.time_in_force,
                quantity,
                wire.price,
                wire.stop_price,
                trails,
            )
        fills = tuple(
            Fill(
                str(fill.trade_id),
                symbol,
                Side[wire.side or "BUY"],
                plain(fill.qty),
                plain(fill.price),
                plain(fill.commission),
                fill.commission_asset,
                False,
                at_ns,
                client_order_id,
                str(wire.order_id),
            )
            for fill in wire.fills
        )
        status = status_of(wire.status, executed) if wire.status else OrderStatus.UNKNOWN
        return Observation(client_order_id, str(wire.order_id), status, executed, at_ns, fills, order=shown)

    def _listed(self, wire: WireOrder) -> Order:
        quantity = wire.orig_qty if wire.orig_qty is not None else wire.qty
        if wire.side is None or quantity is None or not wire.status:
            raise CodecError("an order without side, quantity or status")
        executed = plain(wire.executed_qty or _ZERO)
        return Order(
            self._name(wire.symbol),
            wire.orig_client_order_id or wire.client_order_id,
            str(wire.order_id),
            Side[wire.side],
            kind_of(wire.type, wire.time_in_force, wire.price, wire.stop_price),
            status_of(wire.status, executed),
            plain(quantity),
            executed,
            plain(wire.price) if wire.price else None,
            plain(wire.stop_price) if wire.stop_price else None,
            to_ns(wire.time or wire.transact_time),
            to_ns(wire.update_time or wire.transact_time or wire.time),
        )

    def _name(self, exchange_symbol: str) -> str:
        name = self._names.get(exchange_symbol)
        if name is None:
            try:
                name = infer_symbol(exchange_symbol, "spot").name
            except RecordingError:
                name = exchange_symbol
        return name


def _balance(asset: str, free: Decimal, locked: Decimal) -> AssetBalance:
    free, locked = plain(free), plain(locked)
    return AssetBalance(asset, free, free, locked, free + locked)


def _decode(text: bytes | str, kind: type[_T]) -> _T:
    data = text.encode("utf-8", "surrogatepass") if isinstance(text, str) else text
    try:
        return cast(_T, _decoder(cast(Hashable, kind)).decode(data))
    except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
        raise CodecError(f"no such message of Binance's: {error}") from None


@cache
def _decoder(kind: Any) -> msgspec.json.Decoder[Any]:
    return msgspec.json.Decoder(kind)
