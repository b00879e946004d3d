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
from quantcli.sandbox.control import Control, Move
from quantcli.sandbox.dispatch import Dispatcher
from quantcli.sandbox.doors.server import HOST, Server
from quantcli.sandbox.doors.sockets import Timing
from quantcli.sandbox.exchange import SandboxExchange
from quantcli.sandbox.faults.chaos import Chaos
from quantcli.sandbox.faults.rules import FaultPlan, load_plan
from quantcli.sandbox.feed import Ready, RecordedFeed
from quantcli.sandbox.futures.exchange import FuturesExchange
from quantcli.sandbox.futures.state import FuturesStateFile
from quantcli.sandbox.futures.table import RULES as FUTURES_RULES
from quantcli.sandbox.futures.table import futures_table
from quantcli.sandbox.permissions import Permissions
from quantcli.sandbox.public import PublicMarket
from quantcli.sandbox.security import Keys
from quantcli.sandbox.skew import SkewedClock
from quantcli.sandbox.state import StateFile
from quantcli.sandbox.streams.ws_api import OWN_METHODS, SESSION_METHODS
from quantcli.sandbox.synthetic import SyntheticFeed, synthetic_futures, synthetic_instruments
from quantcli.sandbox.venue import Feed, Marketplace, Venue
from quantcli.sandbox.venue_account import VenueAccount
from quantcli.sandbox.weights import RULES, Weights
from quantcli.simulation.fees import Fees

EXCHANGE = "binance"
# What a regular user pays (Binance's fee schedule).
USUAL_FEES = Fees(Decimal("0.001"), Decimal("0.001"), in_received=True)
USUAL_FUTURES_FEES = Fees(Decimal("0.0002"), Decimal("0.0005"))
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
    futures_fees: Fees = USUAL_FUTURES_FEES
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
        limits = {
            "spot": Weights(() if options.is_unlimited else RULES),
            "futures": Weights(() if options.is_unlimited else FUTURES_RULES),
        }
        spot, spot_goes_on = self._spot(balances, limits["spot"], skewed)
        futures, futures_go_on = self._futures(balances, limits["futures"], skewed, spot.account.permissions)
        self.is_continued = spot_goes_on or futures_go_on
        names = _call_names(spot.dispatcher, futures.dispatcher)
        plan = FaultPlan() if options.plan is None else load_plan(options.plan, names)
        chaos = Chaos(plan, options.seed, clock)
        self.venue = Venue(spot, futures, chaos, skewed)
        self.control = Control(self.venue, self.feed, limits, names, move, self.stop)
        self._server = Server(self.venue, self.control, timing)

    def _spot(
        self, balances: Mapping[str, Decimal], limits: Weights, clock: Clock
    ) -> tuple[Marketplace[SandboxExchange], bool]:
        """The spot account, and whether it goes on from a file."""
        known = {name: meta for name, meta in self.instruments.items() if not meta.symbol.is_futures}
        account = SandboxExchange(known, balances, self._options.fees, clock)
        public = PublicMarket(known)
        dispatcher = Dispatcher(account, public, self.keys, limits, clock)
        path = self._options.state
        goes_on, save = _kept(None if path is None else StateFile(path, account), account)
        return Marketplace(account, public, dispatcher, save), goes_on

    def _futures(
        self, balances: Mapping[str, Decimal], limits: Weights, clock: Clock, permissions: Permissions
    ) -> tuple[Marketplace[FuturesExchange], bool]:
        """The futures account: of the balances it has those that its markets settle in."""
        known = {name: meta for name, meta in self.instruments.items() if meta.symbol.is_futures}
        settles = {meta.symbol.settle for meta in known.values()}
        wallets = {asset: amount for asset, amount in balances.items() if asset in settles}
        fees = self._options.futures_fees
        account = FuturesExchange(known, wallets, fees, clock, permissions=permissions)
        public = PublicMarket(known)
        dispatcher = Dispatcher(account, public, self.keys, limits, clock, futures_table)
        path = self._options.state if known else None
        goes_on, save = _kept(None if path is None else FuturesStateFile(path, account), account)
        return Marketplace(account, public, dispatcher, save), goes_on

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
        from quantcli.sandbox.doors.certificate import make_certificates  # noqa: PLC0415  half the start-up time

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


def _kept(file: StateFile | None, account: VenueAccount) -> tuple[bool, Callable[[], None] | None]:
    """Let an account go on from its file; whether it was there, and what keeps it."""
    if file is None:
        return False, None
    try:
        goes_on = file.restore()
    except KeyError as error:
        raise StoreError(
            f"{file.path} holds orders of {error.args[0]}",
            why=f"here are {', '.join(account.instruments)}",
            todo="start with the markets of last time",
        ) from None
    if not goes_on:
        file.save()
    return goes_on, file.save


def _call_names(spot: Dispatcher, futures: Dispatcher) -> list[str]:
    """What fault rules can call the calls there are."""
    names = [endpoint.name for table in (spot, futures) for endpoint in table.endpoints]
    names += [f"ws {method}" for method in (*OWN_METHODS, *_methods(spot))]
    return names + [f"ws-fapi {method}" for method in (*SESSION_METHODS, *_methods(futures))]


def _methods(dispatcher: Dispatcher) -> list[str]:
    return [endpoint.ws for endpoint in dispatcher.endpoints if endpoint.ws]


def _market(
    options: Options, clock: Clock, ready: Ready
) -> tuple[dict[str, SymbolMetadata], Feed, Move | None]:
    """The markets, what tells their events, and what moves them."""
    if options.recording is not None:
        return (*_recorded(options, options.recording, ready), None)
    known = synthetic_instruments()
    usual = list(known)
    known |= synthetic_futures()
    names = [_name(text, known) for text in options.symbols] or usual
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
    known = {name: meta for name, meta in recording.instruments.items() if not meta.inverse}
    names = [_name(text, known) for text in options.symbols] or list(known)
    for name in names:
        if name not in known:
            raise NotFoundError(f"{name} is no market of {root}", why=f"there are {', '.join(known)}")
    if not names:
        raise NotFoundError(f"{root} holds no market", todo="the sandbox serves spot and USD-M futures")
    return {name: known[name] for name in names}, RecordedFeed(
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
    pattern = [meta for meta in known.values() if meta.symbol.is_futures is symbol.is_futures][-1]
    tail = f"_{symbol.expiry}" if symbol.expiry else ""
    exchange_symbol = f"{symbol.base}{symbol.quote}{tail}"
    return replace(pattern, symbol=symbol, exchange_symbol=exchange_symbol)
