"""Binance's spot market behind the names that every connector has.

Calls and their meaning are the dialect's (`binance_spot`, `binance_calls`), bytes are the codecs'; here they
are put together, and errors become exceptions.
"""

from collections.abc import Awaitable, Callable, Collection, Sequence
from decimal import Decimal
from typing import TypeVar

import msgspec

from quantcli.clock import NS_PER_MS, Clock
from quantcli.codecs.binance import BinanceCodec
from quantcli.codecs.binance_limits import rate_limits
from quantcli.codecs.binance_orders import CodecError
from quantcli.codecs.binance_rules import parse_exchange_info
from quantcli.codecs.binance_time import to_ns
from quantcli.errors import ExchangeAPIError, ExchangeError, NotFoundError, RecordingError
from quantcli.model.account import AssetBalance
from quantcli.model.instrument import Side, Symbol, SymbolMetadata
from quantcli.model.market import BookUpdate, OrderBook, Trade
from quantcli.model.message import (
    Amend,
    Cancel,
    Lookup,
    Observation,
    Place,
    PlaceList,
    Report,
    Request,
    Survey,
)
from quantcli.model.order import Order
from quantcli.venues.asking import Asking
from quantcli.venues.binance import calls
from quantcli.venues.binance.spot import BinanceSpot
from quantcli.venues.calls import Answer, Call, Conversation, NoAnswer
from quantcli.venues.capabilities import check_order
from quantcli.venues.connector import refusal_of, seen_in
from quantcli.venues.limits import Lane
from quantcli.venues.manifest import Manifest

_T = TypeVar("_T")
_ZERO = Decimal(0)
_UNKNOWN_SYMBOL = -1121


class _Time(msgspec.Struct):
    server_time: int = msgspec.field(name="serverTime")


class _WireTrade(msgspec.Struct, rename="camel"):
    """{"id":28457,"price":"4.00","qty":"12.0","quoteQty":"48","time":1499865549590,"isBuyerMaker":true,…}"""

    id: int
    price: float
    qty: float
    time: int
    is_buyer_maker: bool


class BinanceConnector:
    """See `connector.Connector`.  `asking` carries the calls, `instruments` grow with what is asked for."""

    def __init__(
        self,
        asking: Asking,
        dialect: BinanceSpot,
        manifest: Manifest,
        instruments: dict[str, SymbolMetadata],
        clock: Clock,
        close: Callable[[], Awaitable[None]],
    ) -> None:
        self.manifest, self.instruments = manifest, instruments
        self._asking, self._dialect, self._clock, self._close = asking, dialect, clock, close

    # Public.

    async def ping(self) -> None:
        """GET /api/v3/ping"""
        await self._read(calls.ping())

    async def get_server_time(self) -> int:
        """GET /api/v3/time; never held back, since fences are reckoned by it."""
        body = await self._read(calls.server_time(), Lane.RECONCILE)
        return _decoded(lambda: msgspec.json.decode(body, type=_Time)).server_time * NS_PER_MS

    async def get_exchange_info(self, symbols: Collection[str] = ()) -> dict[str, SymbolMetadata]:
        """GET /api/v3/exchangeInfo; raises `NotFoundError` for a market that is not there."""
        names = {Symbol.parse(symbol).name: symbol for symbol in symbols}
        wire = tuple(name.replace("/", "") for name in names)
        try:
            body = await self._read(calls.exchange_info(wire))
        except ExchangeAPIError as error:
            if error.code != _UNKNOWN_SYMBOL:
                raise
            todo = "see the exchange's list of spot markets"
            raise NotFoundError(
                f"no such market on Binance among {', '.join(names)}", why=error.message, todo=todo
            ) from error
        found = {rules.symbol.name: rules for rules in _decoded(lambda: parse_exchange_info(body, "spot"))}
        missing = names.keys() - found.keys()
        if missing:
            raise NotFoundError(f"no such market on Binance: {', '.join(sorted(missing))}")
        self.instruments.update(found)
        self._asking.budget.learn(_decoded(lambda: rate_limits(body)))
        return found

    async def get_orderbook(self, symbol: str, limit: int = 100) -> OrderBook:
        """GET /api/v3/depth"""
        name = self._exchange_symbol(symbol)
        body = await self._read(calls.depth(name, limit))
        codec = BinanceCodec("spot", {name: Symbol.parse(symbol)}, name)
        decoded = _decoded(lambda: codec.decode_http("depth", body, self._clock.now_ns(), 0)).event
        if not isinstance(decoded, BookUpdate):
            raise ExchangeError(f"the answer to {symbol}'s depth is no order book")
        book = OrderBook(symbol)
        book.apply(decoded)
        return book

    async def get_recent_trades(self, symbol: str, limit: int = 100) -> list[Trade]:
        """GET /api/v3/trades"""
        body = await self._read(calls.trades(self._exchange_symbol(symbol), limit))
        wires = _decoded(lambda: msgspec.json.decode(body, type=list[_WireTrade], strict=False))
        now_ns = self._clock.now_ns()
        return [
            Trade(
                symbol,
                to_ns(wire.time),
                now_ns,
                seq,
                wire.price,
                wire.qty,
                Side.SELL if wire.is_buyer_maker else Side.BUY,
                wire.id,
            )
            for seq, wire in enumerate(wires)
        ]

    # Private.

    async def get_account_balance(self) -> dict[str, AssetBalance]:
        """GET /api/v3/account"""
        body = await self._read(calls.account(), Lane.RECONCILE)
        return _decoded(lambda: self._dialect.orders.balances(body))

    async def get_asset_balance(self, asset: str) -> AssetBalance:
        """GET /api/v3/account; of an asset that is not held, zero."""
        nothing = AssetBalance(asset, _ZERO, _ZERO, _ZERO, _ZERO)
        return (await self.get_account_balance()).get(asset, nothing)

    async def place_order(self, request: Place) -> Observation:
        """POST /api/v3/order, once.  Raises `ValidationError` for an order that there is not."""
        check_order(request.order, self.manifest)
        return (await self._seen(request))[0]

    async def cancel_order(self, symbol: str, client_order_id: str) -> list[Observation]:
        """DELETE /api/v3/order, once."""
        return await self._seen(Cancel(client_order_id, symbol, self._clock.now_ns()))

    async def cancel_all_orders(self, symbol: str) -> list[Observation]:
        """DELETE /api/v3/openOrders, once; an empty list if there was none to cancel."""
        answer = await self.ask(calls.cancel_all(self._exchange_symbol(symbol)), Lane.CANCEL)
        error = refusal_of(answer, self.manifest.error_body, "cancelling all orders")
        if isinstance(error, ExchangeAPIError) and error.code == -2011:
            return []
        if error is not None:
            raise error
        return _decoded(lambda: self._dialect.orders.list_observations(answer.body))

    async def get_order(self, symbol: str, client_order_id: str) -> Observation:
        """GET /api/v3/order, with its fills.  Raises `NotFoundError`, which proves nothing."""
        return (await self._seen(Lookup(client_order_id, symbol, self._clock.now_ns())))[0]

    async def get_open_orders(self, symbol: str | None = None) -> list[Order]:
        """GET /api/v3/openOrders"""
        name = self._exchange_symbol(symbol) if symbol else None
        body = await self._read(calls.open_orders(name), Lane.RECONCILE)
        return _decoded(lambda: self._dialect.orders.orders(body))

    async def modify_order(self, request: Amend) -> Observation:
        """PUT /api/v3/order/amend/keepPriority, once."""
        return (await self._seen(request))[0]

    # Conversations.

    async def ask(self, call: Call, lane: Lane = Lane.DATA) -> Answer:
        """Any call; whatever comes back.  Raises `NoAnswer`."""
        return await self._asking.ask(call, lane)

    async def report(self, request: Request) -> Sequence[Report]:
        """What comes of a request of the kernel."""
        return await self._hold(self._dialect.converse(request), lane_of(request))

    async def close(self) -> None:
        """Let go of every connection."""
        await self._close()

    async def _hold(self, conversation: Conversation, lane: Lane) -> list[Report]:
        """Carry a conversation's calls out until it has come to its reports."""
        try:
            call = next(conversation)
            while True:
                try:
                    answer = await self._asking.ask(call, lane)
                except NoAnswer as lost:
                    call = conversation.throw(lost)
                else:
                    call = conversation.send(answer)
        except StopIteration as done:
            reports: list[Report] = done.value
            return reports

    async def _seen(self, request: Request) -> list[Observation]:
        return seen_in(await self.report(request), self.manifest.error_body)

    async def _read(self, call: Call, lane: Lane = Lane.DATA) -> bytes:
        answer = await self.ask(call, lane)
        error = refusal_of(answer, self.manifest.error_body, call.name)
        if error is not None:
            raise error
        return answer.body

    def _exchange_symbol(self, symbol: str) -> str:
        rules = self.instruments.get(symbol)
        return rules.exchange_symbol if rules else Symbol.parse(symbol).name.replace("/", "")


def lane_of(request: Request) -> Lane:
    """Which requests go first when calls are scarce."""
    match request:
        case Cancel():
            return Lane.CANCEL
        case Lookup() | Survey():
            return Lane.RECONCILE
        case Place() | PlaceList() | Amend():
            return Lane.PLACE


def _decoded(read: Callable[[], _T]) -> _T:
    """What `read` makes of an answer; raises `ExchangeError` if that is none of the exchange's."""
    try:
        return read()
    except (CodecError, RecordingError, msgspec.DecodeError, UnicodeError, RecursionError) as error:
        raise ExchangeError("an answer of Binance cannot be read", why=str(error)) from error
