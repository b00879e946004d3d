"""The futures account's events on the wire, and the listen keys they are opened under.

A key is good for an hour after it was last asked for; then each connection under it is told
`listenKeyExpired`, and nothing more.  Source: developers.binance.com, USDⓈ-M Futures, "User Data Streams".
Sans-I/O.
"""

from collections.abc import Callable
from decimal import Decimal
from typing import Any

from quantcli.clock import NS_PER_MS, NS_PER_S
from quantcli.sandbox import errors
from quantcli.sandbox.errors import ApiError
from quantcli.sandbox.futures import shapes
from quantcli.sandbox.futures.exchange import FuturesExchange
from quantcli.sandbox.futures.records import AlgoChanged, FuturesOrder, LeverageChanged, PositionChanged
from quantcli.sandbox.order_records import Execution, Transferred
from quantcli.sandbox.params import Params
from quantcli.sandbox.streams.user import EventStream, Send

VALID_NS = 3_600 * NS_PER_S
_ZERO = Decimal(0)


def messages(event: Any, exchange: FuturesExchange) -> list[dict[str, Any]]:
    """What the account is told of an event."""
    books = exchange.engine.books
    match event:
        case Execution():
            meta = exchange.instruments[event.order.symbol]
            booking = books.of(event.fill.trade_id) if event.fill else None
            return [shapes.order_trade_update(event, meta, booking)]
        case PositionChanged(booking=booking):
            meta = exchange.instruments[booking.symbol]
            position = shapes.position_update(booking, meta, exchange.mark(booking.symbol))
            return [
                shapes.account_update("ORDER", booking.asset, booking.wallet, _ZERO, position, event.at_ns)
            ]
        case Transferred(transfer=transfer):
            [balance] = exchange.balances([transfer.asset])
            reason = "DEPOSIT" if transfer.amount > 0 else "WITHDRAW"
            return [
                shapes.account_update(
                    reason, transfer.asset, balance.total, transfer.amount, None, event.at_ns
                )
            ]
        case AlgoChanged(order=order):
            actual = exchange.ledger.order(order.order_id)
            assert actual is None or isinstance(actual, FuturesOrder)
            return [shapes.algo_update(order, exchange.instruments[order.symbol], actual, event.at_ns)]
        case LeverageChanged():
            return [shapes.config_update(event.exchange_symbol, event.leverage, event.at_ns)]
    return []


class FuturesUserStream(EventStream):
    """The futures account's events; `forget` is told when it ends."""

    def __init__(
        self, exchange: FuturesExchange, send: Send, forget: Callable[["FuturesUserStream"], None]
    ) -> None:
        self._exchange = exchange
        self._forget = forget
        super().__init__(exchange, send)

    def close(self) -> None:
        """Stop listening."""
        super().close()
        self._forget(self)

    def _messages(self, event: Any) -> list[dict[str, Any]]:
        return messages(event, self._exchange)


class FuturesListenKeys:
    """One key at a time."""

    def __init__(self, exchange: FuturesExchange) -> None:
        self._exchange = exchange
        self._key = ""
        self._until_ns = 0
        self._streams: set[FuturesUserStream] = set()
        exchange.alarms.append(self._look)

    def is_valid(self, key: str) -> bool:
        """The key opens a user stream."""
        return bool(self._key) and key == self._key

    def open(self, send: Send) -> FuturesUserStream:
        """Tell the account's events, until the key expires or the stream is closed."""
        stream = FuturesUserStream(self._exchange, send, self._streams.discard)
        self._streams.add(stream)
        return stream

    def start(self, params: Params) -> Any:
        """Start User Data Stream: the key there is, or a new one."""
        params.finish()
        make_id = self._exchange.ledger.make_id
        self._key = self._key or (make_id() + make_id() + make_id())[:64]
        return self._extended()

    def keep_alive(self, params: Params) -> Any:
        """Keepalive User Data Stream."""
        self._check(params)
        return self._extended()

    def _extended(self) -> dict[str, Any]:
        self._until_ns = self._exchange.clock.now_ns() + VALID_NS
        return {"listenKey": self._key}

    def close(self, params: Params) -> Any:
        """Close User Data Stream."""
        self._check(params)
        self._key = ""
        for stream in tuple(self._streams):
            stream.close()
        return {}

    def _check(self, params: Params) -> None:
        # Clients send the key, which is not asked for.
        key = params.raw("listenKey")
        params.finish()
        if not self._key or key not in {None, self._key}:
            raise ApiError(*errors.BAD_LISTEN_KEY)

    def _look(self, at_ns: int) -> None:
        if self._key and at_ns >= self._until_ns:
            self.expire(at_ns)

    def expire(self, at_ns: int) -> int:
        """The key ends now; how many connections were told."""
        key, self._key = self._key, ""
        streams = tuple(self._streams)
        for stream in streams:
            stream.end({"e": "listenKeyExpired", "E": at_ns // NS_PER_MS, "listenKey": key})
        return len(streams)
