"""The public half of exchanges that we do not speak to directly yet: as ccxt reads them.

Instruments, books and trades come from ccxt's unified methods, over our transport.  There is no private half:
an exchange trades live only when it has a dialect of its own, with calls whose outcomes are known.
"""

import asyncio
from collections.abc import Collection, Mapping, Sequence
from decimal import Decimal
from typing import Any, NoReturn

from quantcli.clock import NS_PER_MS, Clock
from quantcli.errors import ConfigError, ExchangeError, NotFoundError, ValidationError
from quantcli.model.account import AssetBalance
from quantcli.model.instrument import Side, Symbol, SymbolMetadata, canonical, to_decimal
from quantcli.model.market import BookUpdate, OrderBook, Trade
from quantcli.model.message import Amend, Observation, Place, Report, Request
from quantcli.model.order import Order
from quantcli.venues.backoff import Backoff
from quantcli.venues.calls import Answer, Call, NoAnswer
from quantcli.venues.limits import Lane
from quantcli.venues.manifest import Manifest
from quantcli.venues.through_ccxt.transport import CcxtTransport

_READ_TRIES = 3
_PAUSE_S, _LONGEST_PAUSE_S = 0.2, 5.0


class UnifiedConnector:
    """See `connector.Connector`; everything private raises `ConfigError`."""

    def __init__(self, transport: CcxtTransport, manifest: Manifest, clock: Clock, dice: Any) -> None:
        self.manifest = manifest
        self.instruments: dict[str, SymbolMetadata] = {}
        self._transport, self._clock, self._dice = transport, clock, dice

    # Public.

    async def ping(self) -> None:
        """Asks for the time, or where there is none for the markets."""
        await self.get_server_time()

    async def get_server_time(self) -> int:
        """The exchange's time; ours where it does not tell (the next answer then stands for its presence)."""
        if not self._transport.has("fetchTime"):
            await self._read("fetch_markets")
            return self._clock.now_ns()
        return int(await self._read("fetch_time")) * NS_PER_MS

    async def get_exchange_info(self, symbols: Collection[str] = ()) -> dict[str, SymbolMetadata]:
        """Rules of the markets that are named, or of all that have a symbol like ours."""
        markets = await self._transport.markets()
        is_futures = self.manifest.market == "futures"
        found = {}
        for market in markets:
            rules = rules_of(market, self.manifest.exchange)
            if rules is not None and rules.symbol.is_futures is is_futures:
                found[rules.symbol.name] = rules
        missing = [symbol for symbol in symbols if symbol not in found]
        if missing:
            raise NotFoundError(
                f"no such {self.manifest.market} market on {self.manifest.exchange}: {', '.join(missing)}"
            )
        chosen = {symbol: found[symbol] for symbol in symbols} if symbols else found
        self.instruments.update(chosen)
        return chosen

    async def get_orderbook(self, symbol: str, limit: int = 100) -> OrderBook:
        """The best levels, as many as the exchange gives for `limit`."""
        told = await self._read("fetch_order_book", symbol, limit)
        sides = [[(float(level[0]), float(level[1])) for level in told[side]] for side in ("bids", "asks")]
        book = OrderBook(symbol)
        book.apply(BookUpdate(symbol, 0, self._clock.now_ns(), 0, True, 0, 0, 0, *sides))
        return book

    async def get_recent_trades(self, symbol: str, limit: int = 100) -> list[Trade]:
        """The latest trades, oldest first; those without a numeric id have 0."""
        told = await self._read("fetch_trades", symbol, None, limit)
        now_ns = self._clock.now_ns()
        sides = {"buy": Side.BUY, "sell": Side.SELL}
        return [
            Trade(
                symbol,
                int(each["timestamp"] or 0) * NS_PER_MS,
                now_ns,
                seq,
                float(each["price"]),
                float(each["amount"]),
                sides.get(each["side"], 0),
                int(each["id"]) if str(each["id"]).isdigit() else 0,
            )
            for seq, each in enumerate(told)
        ]

    async def _read(self, method: str, *arguments: Any) -> Any:
        """A read, tried again when no answer comes."""
        pauses = Backoff(_PAUSE_S, _LONGEST_PAUSE_S, self._dice)
        for _ in range(_READ_TRIES - 1):
            try:
                return await self._transport.unified(method, *arguments)
            except NoAnswer:
                await asyncio.sleep(pauses.next())
        return await self._transport.unified(method, *arguments)

    # Private.

    async def get_account_balance(self) -> dict[str, AssetBalance]:
        """Not here."""
        self._not_here()

    async def get_asset_balance(self, asset: str) -> AssetBalance:
        """Not here."""
        self._not_here()

    async def place_order(self, request: Place) -> Observation:
        """Not here."""
        self._not_here()

    async def cancel_order(self, symbol: str, client_order_id: str) -> list[Observation]:
        """Not here."""
        self._not_here()

    async def cancel_all_orders(self, symbol: str) -> list[Observation]:
        """Not here."""
        self._not_here()

    async def get_order(self, symbol: str, client_order_id: str) -> Observation:
        """Not here."""
        self._not_here()

    async def get_open_orders(self, symbol: str | None = None) -> list[Order]:
        """Not here."""
        self._not_here()

    async def modify_order(self, request: Amend) -> Observation:
        """Not here."""
        self._not_here()

    async def ask(self, call: Call, lane: Lane = Lane.DATA) -> Answer:
        """Not here: without a dialect nobody knows what a raw call means."""
        self._not_here()

    async def report(self, request: Request) -> Sequence[Report]:
        """Not here."""
        self._not_here()

    def _not_here(self) -> NoReturn:
        raise not_live(self.manifest)

    async def close(self) -> None:
        """Let go of every connection."""
        await self._transport.close()


def not_live(manifest: Manifest) -> ConfigError:
    """Why an exchange can be recorded and traded on paper, but not with real orders."""
    return ConfigError(
        f"{manifest.exchange} {manifest.market} cannot be traded live yet",
        why="it has no dialect of its own, so the outcome of an order there would be a guess",
        todo="trade it on paper, record it, or trade live on binance spot",
    )


def rules_of(market: Mapping[str, Any], exchange: str) -> SymbolMetadata | None:
    """A market of ccxt's as our rules; `None` for kinds that have no symbol of ours (options), or whose steps
    ccxt does not know.

    Steps are exact: ccxt's `precision` counts in ticks (TICK_SIZE) on all exchanges here, and its numbers
    are read as `Decimal`.
    """
    if not (market.get("spot") or market.get("swap") or market.get("future")):
        return None
    try:
        symbol = Symbol.parse(str(market["symbol"]))
    except ValidationError:
        return None
    tick, lot = _positive(market["precision"].get("price")), _positive(market["precision"].get("amount"))
    if tick is None or lot is None:
        return None
    limits = {
        (kind, bound): _positive((market["limits"].get(kind) or {}).get(bound))
        for kind in ("amount", "price", "cost")
        for bound in ("min", "max")
    }
    return SymbolMetadata(
        symbol=symbol,
        exchange=exchange,
        exchange_symbol=str(market["id"]),
        price_tick=tick,
        lot=lot,
        min_qty=limits["amount", "min"],
        max_qty=limits["amount", "max"],
        min_price=limits["price", "min"],
        max_price=limits["price", "max"],
        min_notional=limits["cost", "min"],
        contract_size=_positive(market.get("contractSize")) or Decimal(1),
        inverse=bool(market.get("inverse")),
        active=market.get("active") is not False,
    )


def _positive(value: Any) -> Decimal | None:
    """A limit, exact and without trailing zeros; `None` where there is none."""
    if value is None:
        return None
    try:
        number = to_decimal(value)
    except ValidationError as error:
        raise ExchangeError(f"a market rule of {value!r} is no number") from error
    return Decimal(canonical(number)) if number > 0 else None
