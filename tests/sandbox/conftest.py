"""A sandbox in a test's hand: an exchange with two markets, its public side, and a strange client's calls."""

import hmac
import itertools
from collections.abc import Callable
from decimal import Decimal
from hashlib import sha256
from typing import Any
from urllib.parse import urlencode

import msgspec
import pytest

from quantcli.clock import NS_PER_MS, VirtualClock
from quantcli.model.instrument import Symbol, SymbolMetadata
from quantcli.model.market import MarketEvent, MarkPrice, Ticker, Trade
from quantcli.sandbox.dispatch import Call, Dispatcher, Reply
from quantcli.sandbox.exchange import AccountEvent, SandboxExchange
from quantcli.sandbox.futures.exchange import FuturesExchange
from quantcli.sandbox.futures.table import RULES as FUTURES_RULES
from quantcli.sandbox.futures.table import futures_table
from quantcli.sandbox.public import PublicMarket
from quantcli.sandbox.security import Keys
from quantcli.sandbox.weights import Weights
from quantcli.simulation.fees import Fees

NOW_NS = 1_700_000_000_000 * NS_PER_MS
KEYS = Keys("k" * 64, "s" * 64)
FEES = Fees(Decimal("0.001"), Decimal("0.002"), in_received=True)
BTC = SymbolMetadata(
    Symbol("BTC", "USDT"),
    "binance",
    "BTCUSDT",
    price_tick=Decimal("0.01"),
    lot=Decimal("0.00001"),
    min_notional=Decimal(5),
    band_up=Decimal(5),
    band_down=Decimal("0.2"),
)
PERP = "BTC/USDT:USDT"
BTC_PERP = SymbolMetadata(
    Symbol("BTC", "USDT", True, "USDT"),
    "binance",
    "BTCUSDT",
    price_tick=Decimal("0.01"),
    lot=Decimal("0.001"),
    min_notional=Decimal(5),
    band_up=Decimal(2),
    band_down=Decimal("0.5"),
)
ETH_PERP = SymbolMetadata(
    Symbol("ETH", "USDT", True, "USDT"),
    "binance",
    "ETHUSDT",
    price_tick=Decimal("0.01"),
    lot=Decimal("0.01"),
)
ETH = SymbolMetadata(
    Symbol("ETH", "BTC"), "binance", "ETHBTC", price_tick=Decimal("0.00001"), lot=Decimal("0.0001")
)


class Desk:
    """Client, market and clock at once; every event that listeners are told is kept."""

    def __init__(self, **options: Any) -> None:
        self.clock = VirtualClock(NOW_NS)
        self.instruments = {meta.symbol.name: meta for meta in (BTC, ETH)}
        balances = options.pop("balances", {"USDT": Decimal(10_000), "BTC": Decimal(2)})
        self.exchange = SandboxExchange(
            self.instruments, balances, options.pop("fees", FEES), self.clock, **options
        )
        self.public = PublicMarket(self.instruments)
        self.limits = Weights()
        self.dispatcher = Dispatcher(self.exchange, self.public, KEYS, self.limits, self.clock)
        self.events: list[AccountEvent] = []
        self.exchange.listeners.append(self.events.append)
        self.seen: list[MarketEvent] = []
        self._seq = itertools.count(1)

    # The market.

    def see(self, event: MarketEvent) -> None:
        self.seen.append(event)
        self.exchange.see(event)
        self.public.see(event)

    def quote(
        self, bid: float, ask: float, size: float = 100.0, symbol: str = "BTC/USDT", ask_size: float = 0.0
    ) -> None:
        at_ns, n = self.clock.now_ns(), next(self._seq)
        self.see(Ticker(symbol, at_ns, at_ns, n, bid, size, ask, ask_size or size, n))

    def trade(self, price: float, size: float = 1.0, side: int = 0, symbol: str = "BTC/USDT") -> None:
        at_ns, n = self.clock.now_ns(), next(self._seq)
        self.see(Trade(symbol, at_ns, at_ns, n, price, size, side, n))

    def wait(self, seconds: float) -> None:
        self.clock.advance_to(self.clock.now_ns() + round(seconds * 1_000_000_000))

    # The client.

    def send(
        self,
        method: str,
        path: str,
        query: str = "",
        body: str = "",
        key: str | None = KEYS.api_key,
        at_ns: int | None = None,
    ) -> Reply:
        headers = {} if key is None else {"x-mbx-apikey": key}
        arrival = self.clock.now_ns() if at_ns is None else at_ns
        return self.dispatcher.reply(Call(method, path, query, body, headers, arrival))

    def public_call(self, path: str, **params: Any) -> Any:
        reply = self.send("GET", path, urlencode(params), key=None)
        assert reply.status == 200, reply.body
        return msgspec.json.decode(reply.body)

    def signed(self, method: str, path: str, **params: Any) -> Reply:
        """A signed request as an honest client sends it: parameters of POST and PUT in the body."""
        values = {"timestamp": self.clock.now_ns() // NS_PER_MS, **params}
        text = urlencode({name: value for name, value in values.items() if value is not None})
        text += "&signature=" + sign(text)
        in_body = method in {"POST", "PUT"}
        return self.send(method, path, "" if in_body else text, text if in_body else "")

    def ask(self, method: str, path: str, **params: Any) -> Any:
        """A signed request that is carried out."""
        reply = self.signed(method, path, **params)
        assert reply.status == 200, reply.body
        return msgspec.json.decode(reply.body)

    def refused(self, method: str, path: str, **params: Any) -> tuple[int, int, str]:
        """Status, code and text of a signed request that is not."""
        reply = self.signed(method, path, **params)
        told = msgspec.json.decode(reply.body)
        assert reply.status >= 400, told
        return reply.status, told["code"], told["msg"]

    def place(self, side: str, qty: str, price: str | None = None, **params: Any) -> Any:
        return self.ask("POST", "/api/v3/order", **self.terms(side, qty, price, **params))

    def terms(self, side: str, qty: str | None, price: str | None = None, **params: Any) -> dict[str, Any]:
        """Parameters of an order: a limit order where there is a price, else a market order."""
        terms = {"symbol": "BTCUSDT", "side": side, "type": "MARKET", "quantity": qty, "price": price}
        if price is not None:
            terms |= {"type": "LIMIT", "timeInForce": "GTC"}
        return terms | params

    def balance(self, asset: str) -> tuple[Decimal, Decimal]:
        """Free and locked."""
        [balance] = self.exchange.balances([asset])
        return balance.free, balance.locked

    def happened(self) -> list[str]:
        """What was told since the last time, in a word each."""
        words = [getattr(event, "kind", type(event).__name__) for event in self.events]
        self.events.clear()
        return words


class FuturesDesk(Desk):
    """The same, on futures."""

    def __init__(self, **options: Any) -> None:
        self.clock = VirtualClock(NOW_NS)
        self.instruments = {meta.symbol.name: meta for meta in (BTC_PERP, ETH_PERP)}
        balances = options.pop("balances", {"USDT": Decimal(10_000)})
        fees = options.pop("fees", Fees(Decimal("0.0002"), Decimal("0.0005")))
        self.exchange = FuturesExchange(self.instruments, balances, fees, self.clock, **options)
        self.public = PublicMarket(self.instruments)
        self.limits = Weights(FUTURES_RULES)
        self.dispatcher = Dispatcher(self.exchange, self.public, KEYS, self.limits, self.clock, futures_table)
        self.events = []
        self.exchange.listeners.append(self.events.append)
        self.seen = []
        self._seq = itertools.count(1)

    def quote(
        self, bid: float, ask: float, size: float = 100.0, symbol: str = PERP, ask_size: float = 0.0
    ) -> None:
        super().quote(bid, ask, size, symbol, ask_size)

    def trade(self, price: float, size: float = 1.0, side: int = 0, symbol: str = PERP) -> None:
        super().trade(price, size, side, symbol)

    def mark(self, price: float) -> None:
        at_ns, n = self.clock.now_ns(), next(self._seq)
        self.see(MarkPrice(PERP, at_ns, at_ns, n, price, price, 0.0001, NOW_NS + 3_600_000_000_000))

    def place(self, side: str, qty: str, price: str | None = None, **params: Any) -> Any:
        terms = {"newOrderRespType": "RESULT"} | params
        return self.ask("POST", "/fapi/v1/order", **self.terms(side, qty, price, **terms))

    def stop(self, side: str, trigger: str, qty: str | None = "1", **params: Any) -> Any:
        """A conditional order, a stop to be filled at any price unless told otherwise."""
        return self.ask("POST", "/fapi/v1/algoOrder", **self.stop_terms(side, trigger, qty, **params))

    def stop_terms(self, side: str, trigger: str, qty: str | None = "1", **params: Any) -> dict[str, Any]:
        terms = {"algoType": "CONDITIONAL", "symbol": "BTCUSDT", "side": side, "type": "STOP_MARKET"}
        return terms | {"quantity": qty, "triggerPrice": trigger} | params

    def algo(self, placed: Any) -> Any:
        """A conditional order as a query shows it."""
        return self.ask("GET", "/fapi/v1/algoOrder", algoId=placed["algoId"])

    def position(self) -> tuple[Decimal, Decimal]:
        """Quantity and entry price."""
        [risk] = self.ask("GET", "/fapi/v2/positionRisk", symbol="BTCUSDT")
        return Decimal(risk["positionAmt"]), Decimal(risk["entryPrice"])

    def wallet(self) -> dict[str, Decimal]:
        """Balance and what of it is available."""
        [found] = self.ask("GET", "/fapi/v3/balance")
        return {name: Decimal(found[name]) for name in ("balance", "availableBalance")}


def sign(text: str) -> str:
    return hmac.new(KEYS.secret.encode(), text.encode(), sha256).hexdigest()


@pytest.fixture
def desk() -> Desk:
    """A market at 100, with both sides large."""
    made = Desk()
    made.trade(100.0)
    made.quote(99.99, 100.01)
    made.happened()
    return made


@pytest.fixture(scope="session")
def make_desk() -> Callable[..., Desk]:
    return Desk


@pytest.fixture
def signature() -> Callable[[str], str]:
    return sign


@pytest.fixture
def perp_desk() -> FuturesDesk:
    """A futures market at 100, with both sides large."""
    made = FuturesDesk()
    made.trade(100.0)
    made.quote(99.99, 100.01)
    made.happened()
    return made


@pytest.fixture(scope="session")
def make_perp_desk() -> Callable[..., FuturesDesk]:
    return FuturesDesk
