"""Live market data of an exchange: what every feed can do, and which one speaks to which exchange.

A feed puts events as they arrive, each with the local time and its place in the order of arrival; between
the socket and `put` there is no queue.  Where something is missing it puts a `Gap`, never nothing.
What becomes of events it does not know.
"""

from collections import Counter
from collections.abc import Callable, Collection, Iterable
from typing import Protocol

import msgspec

from quantcli.clock import Clock
from quantcli.errors import UsageError
from quantcli.model.instrument import Symbol, SymbolMetadata
from quantcli.model.market import Channel
from quantcli.venues.inbox import Item
from quantcli.venues.urls import market_of, urls

Put = Callable[[Item], None]

USUAL_CHANNELS = (Channel.TRADES, Channel.QUOTES, Channel.BOOK)


class Patience(msgspec.Struct, frozen=True):
    """How long a feed waits, in seconds.

    ping      between two signs of life that we ask a socket for
    dead      without any sign of it before a socket is given up
    blind     without a connection before the market counts as out of sight
    stale     a stream must be silent at least so long before it is doubted (see `venues.pulse`)
    life      a connection is replaced after so long: Binance cuts it after 24 h
    overlap   both the old and the new connection are listened to for so long
    connect, reply   for a connection to open, for a request to be answered
    backoff, backoff_most   the first and the longest pause between two attempts
    """

    ping: float = 20.0
    dead: float = 60.0
    blind: float = 5.0
    stale: float = 60.0
    life: float = 23 * 3600.0
    overlap: float = 2.0
    connect: float = 10.0
    reply: float = 10.0
    backoff: float = 0.5
    backoff_most: float = 30.0


class Tally:
    """What a feed counts: connections lost and found again, messages that could not be read, messages that
    said nothing new, and by channel those that had an id and meant no event."""

    def __init__(self) -> None:
        self.reconnects = 0
        self.malformed = 0
        self.duplicates = 0
        self.withheld: Counter[Channel] = Counter()


class Arrivals:
    """Counts events in the order in which they reach us, for all feeds of a session; `seq` is the last."""

    __slots__ = ("seq",)

    def __init__(self) -> None:
        self.seq = 0


class LiveFeed(Protocol):
    """The market data of some symbols of one exchange."""

    @property
    def tally(self) -> Tally:
        """What was counted so far."""
        ...

    @property
    def active_symbols(self) -> tuple[str, ...]:
        """The symbols that are listened to."""
        ...

    def instruments(self) -> dict[str, SymbolMetadata]:
        """Trading rules of the symbols, after `open`."""
        ...

    async def open(self) -> None:
        """Learn the trading rules.  Raises `ExchangeError` if the exchange cannot be asked, `NotFoundError`
        for a symbol that it does not trade."""
        ...

    async def run(self) -> None:
        """Put events until cancelled; opens first, if that was not done.  Raises what `put` raises."""
        ...

    async def close(self) -> None:
        """Let go of every connection; `run` does so itself."""
        ...

    def add_symbol(self, symbol: str) -> None:
        """Listen to one more symbol, soon; what goes wrong is told by a `Notice`."""
        ...

    def remove_symbol(self, symbol: str) -> None:
        """Stop listening to a symbol, soon."""
        ...


def open_feed(
    exchange: str,
    symbols: Collection[str],
    channels: Collection[Channel],
    clock: Clock,
    put: Put,
    endpoint: str | None = None,
    patience: Patience | None = None,
) -> LiveFeed:
    """The feed of an exchange; nothing is connected yet.

    Raises `ValidationError` for a symbol that is none, `UsageError` for channels and markets that cannot be
    had there or not together.
    """
    wanted = [Symbol.parse(symbol) for symbol in symbols]
    patience = patience or Patience()
    if exchange == "binance":
        from quantcli.venues.binance.feed import BinanceFeed  # noqa: PLC0415  (sockets: only if they are used)

        market = _only(market_of(symbol) for symbol in wanted)
        return BinanceFeed(market, wanted, channels, clock, put, urls(exchange, market, endpoint), patience)
    from quantcli.venues.through_ccxt.feed import CcxtFeed  # noqa: PLC0415

    return CcxtFeed(exchange, wanted, channels, clock, put, endpoint, patience)


def _only(markets: Iterable[str]) -> str:
    found = sorted(set(markets))
    if len(found) > 1:
        raise UsageError(
            "spot and futures markets cannot be recorded by one command yet",
            why=f"these symbols are of {' and '.join(found)}, which are different exchanges behind one name",
            todo="run one command for each, with a folder of its own (--to)",
        )
    return found[0] if found else "spot"
