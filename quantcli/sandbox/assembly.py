"""Joins the parts of the sandbox: which markets, which account, where events come from, which doors are open.

The one place that knows all of them; what `quant sandbox` and tests start.
"""

import asyncio
import hashlib
import tempfile
from collections.abc import Callable, Mapping
from decimal import Decimal
from pathlib import Path

import msgspec
from msgspec.structs import replace

from quantcli.clock import Clock
from quantcli.errors import NotFoundError, StoreError, UsageError
from quantcli.model.instrument import Symbol, SymbolMetadata
from quantcli.recording.reader import open_recording
from quantcli.sandbox.chaos import Chaos
from quantcli.sandbox.control import Control, Move
from quantcli.sandbox.dispatch import Dispatcher
from quantcli.sandbox.exchange import SandboxExchange
from quantcli.sandbox.fault_rules import FaultPlan, load_plan
from quantcli.sandbox.feed import Ready, RecordedFeed
from quantcli.sandbox.public import PublicMarket
from quantcli.sandbox.security import Keys
from quantcli.sandbox.server import HOST, Server
from quantcli.sandbox.skew import SkewedClock
from quantcli.sandbox.socket_doors import CONNECTION_METHODS
from quantcli.sandbox.sockets import Timing
from quantcli.sandbox.state import StateFile
from quantcli.sandbox.synthetic import SyntheticFeed, synthetic_instruments
from quantcli.sandbox.venue import Feed, Venue
from quantcli.sandbox.weights import RULES, Weights
from quantcli.simulation.fees import Fees

EXCHANGE = "binance"
# What a regular user pays (Binance's fee schedule).
USUAL_FEES = Fees(Decimal("0.001"), Decimal("0.001"), in_received=True)
# Enough of everything to begin with.
USUAL_BALANCES = {"USDT": Decimal(100_000), "BTC": Decimal(1), "ETH": Decimal(10), "BNB": Decimal(10)}


class Options(msgspec.Struct, frozen=True, kw_only=True):
    """What a sandbox is started with.

    `recording` is a folder (`None`: a synthetic market), `speed` in times real time (0: as fast as clients
    keep up), `is_held` lets the feed wait for control, `is_unlimited` counts no requests.  `state` is the
    file the account is kept in.  Keys that are empty are made from the seed.
    """

    recording: Path | None = None
    port: int = 0
    tls: bool = False
    speed: float = 1.0
    seed: int = 0
    plan: Path | None = None
    symbols: tuple[str, ...] = ()
    balances: Mapping[str, Decimal] = {}
    fees: Fees = USUAL_FEES
    state: Path | None = None
    is_held: bool = False
    is_unlimited: bool = False
    api_key: str = ""
    secret: str = ""


class Sandbox:
    """A sandboxed exchange: `open` it, let it `run`, `close` it.  `stop` may be called at any time."""

    def __init__(self, options: Options, clock: Clock, timing: type[Timing] = Timing) -> None:
        self._options = options
        self._clock = clock
        self._stopped = asyncio.Event()
        self._folder: tempfile.TemporaryDirectory[str] | None = None
        self._playing: asyncio.Task[None] | None = None
        self.keys = _keys(options)
        skewed = SkewedClock(clock)
        self.instruments, self.feed, move = _market(options, skewed, self.room)
        balances = dict(options.balances) or USUAL_BALANCES
        exchange = SandboxExchange(self.instruments, balances, options.fees, skewed)
        public = PublicMarket(self.instruments)
        limits = Weights(() if options.is_unlimited else RULES)
        dispatcher = Dispatcher(exchange, public, self.keys, limits, skewed)
        names = _call_names(dispatcher)
        plan = FaultPlan() if options.plan is None else load_plan(options.plan, names)
        chaos = Chaos(plan, options.seed, clock)
        self.is_continued, save = _kept(options.state, exchange)
        self.venue = Venue(exchange, public, dispatcher, chaos, skewed, save)
        self.control = Control(self.venue, self.feed, limits, names, move, self.stop)
        self._server = Server(self.venue, self.control, timing)

    async def room(self) -> None:
        """Wait for slow clients, if the feed has time; one that plays at a speed loses them instead."""
        if not self.feed.speed:
            await self.venue.room()

    async def open(self) -> dict[str, str]:
        """Take in the first books, then listen; where, and with which keys."""
        self._playing = asyncio.create_task(self.feed.run(self.venue.see))
        while not self.feed.is_held:
            await asyncio.sleep(0)
            if self._playing.done():
                self._playing.result()
                break
        if not self._options.is_held:
            self.feed.start()
        port = await self._server.open(self._options.port)
        told = {
            "url": f"http://{HOST}:{port}",
            "ws_url": f"ws://{HOST}:{port}",
            "api_key": self.keys.api_key,
            "secret": self.keys.secret,
        }
        return told | (await self._open_tls() if self._options.tls else {})

    async def _open_tls(self) -> dict[str, str]:
        from quantcli.sandbox.certificate import make_certificates  # noqa: PLC0415  half the start-up time

        self._folder = tempfile.TemporaryDirectory(prefix="quant-sandbox-")
        context, ca_file = make_certificates(Path(self._folder.name), self._clock)
        port = await self._server.open(0, context)
        return {
            "tls_url": f"https://{HOST}:{port}",
            "tls_ws_url": f"wss://{HOST}:{port}",
            "ca": str(ca_file),
        }

    async def run(self) -> None:
        """Serve until stopped; a recording that ends leaves the exchange open.  Raises what reading does."""
        assert self._playing is not None
        stopped = asyncio.create_task(self._stopped.wait())
        await asyncio.wait({stopped, self._playing}, return_when=asyncio.FIRST_COMPLETED)
        if self._playing.done():
            self._playing.result()
        await stopped

    def stop(self) -> None:
        """End `run`."""
        self._stopped.set()

    async def close(self) -> None:
        """End every connection and the feed."""
        if self._playing is not None:
            self._playing.cancel()
            await asyncio.wait({self._playing})
        await self._server.close()
        if self._folder is not None:
            self._folder.cleanup()


def _keys(options: Options) -> Keys:
    def made(what: str) -> str:
        return hashlib.sha256(f"quant sandbox {what} {options.seed}".encode()).hexdigest()

    return Keys(options.api_key or made("api key"), options.secret or made("secret"))


def _kept(path: Path | None, exchange: SandboxExchange) -> tuple[bool, Callable[[], None] | None]:
    """Let the account go on from its file; whether there was one, and what keeps it."""
    if path is None:
        return False, None
    file = StateFile(path, exchange)
    try:
        is_continued = file.restore()
    except KeyError as error:
        raise StoreError(
            f"{path} holds orders of {error.args[0]}",
            why=f"here are {', '.join(exchange.instruments)}",
            todo="start with the markets of last time",
        ) from None
    if not is_continued:
        file.save()
    return is_continued, file.save


def _call_names(dispatcher: Dispatcher) -> list[str]:
    """What fault rules can call the calls there are."""
    table = dispatcher.endpoints
    methods = [*CONNECTION_METHODS, *(endpoint.ws for endpoint in table if endpoint.ws)]
    return [*(endpoint.name for endpoint in table), *(f"ws {method}" for method in methods)]


def _market(
    options: Options, clock: Clock, ready: Ready
) -> tuple[dict[str, SymbolMetadata], Feed, Move | None]:
    """The markets, what tells their events, and what moves them."""
    if options.recording is not None:
        return (*_recorded(options, options.recording, ready), None)
    known = synthetic_instruments()
    names = [_name(text, known) for text in options.symbols] or list(known)
    chosen = {name: known.get(name) or _like_others(name, known) for name in names}
    feed = SyntheticFeed(chosen, options.seed, clock, speed=options.speed, ready=ready)

    def move(symbol: str, bid: Decimal, ask: Decimal) -> None:
        name = _name(symbol, chosen)
        try:
            feed.move(name, bid, ask)
        except KeyError:
            raise UsageError(f"{symbol} is not here", why=f"here are {', '.join(chosen)}") from None
        except ValueError as error:
            raise UsageError(str(error)) from None

    return chosen, feed, move


def _recorded(options: Options, root: Path, ready: Ready) -> tuple[dict[str, SymbolMetadata], Feed]:
    recording = open_recording(root, EXCHANGE)
    spot = {name: meta for name, meta in recording.instruments.items() if not meta.symbol.is_futures}
    names = [_name(text, spot) for text in options.symbols] or list(spot)
    for name in names:
        if name not in spot:
            raise NotFoundError(f"{name} is no spot market of {root}", why=f"there are {', '.join(spot)}")
    if not names:
        raise NotFoundError(f"{root} holds no spot market", todo="the sandbox speaks the spot API")
    return {name: spot[name] for name in names}, RecordedFeed(
        recording, options.speed, only=names, ready=ready
    )


def _name(text: str, known: Mapping[str, SymbolMetadata]) -> str:
    """The canonical name of the market meant; the exchange's own name is understood too."""
    for name, meta in known.items():
        if meta.exchange_symbol == text.upper():
            return name
    return Symbol.parse(text).name


def _like_others(name: str, known: Mapping[str, SymbolMetadata]) -> SymbolMetadata:
    """Rules for a synthetic market of any name."""
    symbol = Symbol.parse(name)
    pattern: SymbolMetadata = list(known.values())[-1]
    exchange_symbol = f"{symbol.base}{symbol.quote}"
    return replace(pattern, symbol=symbol, exchange_symbol=exchange_symbol)
