"""Passing time by jumping: a recording runs through strategy, kernel and imagined exchange.

Between two stops nothing runs but the strategy's hooks.  A stop is a row at which a resting order may
trade, a quote that orders follow, or a moment at which something is due; all are found ahead, in columns.
At one instant the order is: hooks of the row, what they wished, the orders that follow its quote, the
exchange acting on the row, its reports; then whatever is due.
"""

from collections.abc import Callable, Iterable

from quantcli.clock import VirtualClock
from quantcli.model.batch import Chunk, Columns, Ints
from quantcli.model.market import Channel
from quantcli.runtime.following import FollowedQuotes
from quantcli.runtime.hooks import HookRunner
from quantcli.runtime.sampling import Sampler
from quantcli.runtime.view import ReplayView
from quantcli.simulation.exchange import SimulatedExchange
from quantcli.trading.engine import Engine


class Replay:
    """One run of a recording."""

    def __init__(
        self,
        engine: Engine,
        exchange: SimulatedExchange,
        clock: VirtualClock,
        view: ReplayView,
        sampler: Sampler,
        on_chunk: Callable[[Chunk], None],
    ) -> None:
        self._engine = engine
        self._exchange = exchange
        self._clock = clock
        self._view = view
        self._sampler = sampler
        self._on_chunk = on_chunk
        self._hooks = HookRunner(engine, view, clock)
        self._bars = BarFeed(engine)
        self._quotes = FollowedQuotes(engine.markets, engine.kernel.follows)

    async def run(self, chunks: Iterable[Chunk]) -> None:
        """Replay every chunk; the engine has been started at the time of the first row."""
        for chunk in chunks:
            if len(chunk):
                await self._replay(chunk)
        self._sampler.sample(self._clock.now_ns())

    async def _replay(self, chunk: Chunk) -> None:
        self._exchange.load(chunk)
        self._view.load(chunk)
        self._hooks.load(chunk)
        self._bars.load(chunk)
        self._quotes.load(chunk)
        await self._pass_rows(chunk.local_ns)
        self._stand(len(chunk) - 1, int(chunk.local_ns[-1]))
        self._bars.feed(self._clock.now_ns())
        self._on_chunk(chunk)

    async def _pass_rows(self, times: Ints) -> None:
        size, row = len(times), 0
        while True:
            due = self._next_due()
            before_due = max(row, int(times.searchsorted(due, "right")))
            acts = self._exchange.next_row(row)
            stop = min(before_due, acts + 1)
            quoted, followed = self._quotes.next_row(row, stop)
            stop = min(stop, quoted + 1)
            wished = await self._hooks.run(row, stop, due)
            if wished is not None:
                stop = wished + 1
                self._stand(wished, int(times[wished]))
                await self._engine.flush()
                quoted, followed = self._quotes.next_row(wished, stop)  # it may be followed from here on
            if quoted < stop:
                self._stand(quoted, int(times[quoted]))
                await self._show_quote(followed)
            if acts < stop:
                self._stand(acts, int(times[acts]))
                await self._engine.take(self._exchange.on_row(acts))
            row = stop
            if wished is not None or quoted < stop or acts < stop:
                continue  # something earlier may be due by now
            if row == size:
                return  # what is due later waits for the next chunk: its rows may come first
            self._stand(row - 1, due)
            await self._due()

    async def _show_quote(self, symbol: str) -> None:
        quote = self._view.quote(symbol)
        if quote is not None:
            await self._engine.quote(quote)

    def _next_due(self) -> int:
        due = self._sampler.next_due()
        for at in (self._engine.next_due(), self._exchange.next_due()):
            if at is not None and at < due:
                due = at
        return due

    def _stand(self, row: int, now_ns: int) -> None:
        self._view.row = row
        self._clock.advance_to(now_ns)

    async def _due(self) -> None:
        now = self._clock.now_ns()
        if _is_due(self._sampler.next_due(), now):
            self._sampler.sample(now)
        if _is_due(self._exchange.next_due(), now):
            await self._engine.take(self._exchange.advance(now))
        if _is_due(self._engine.next_due(), now):
            self._bars.feed(now)
            await self._engine.due()


def _is_due(at_ns: int | None, now_ns: int) -> bool:
    return at_ns is not None and at_ns <= now_ns


class BarFeed:
    """Gives the engine's bar builders the trades of a chunk, by columns, up to a moment."""

    def __init__(self, engine: Engine) -> None:
        self._builders = engine.bars
        self._columns: dict[str, Columns] = {}
        self._fed: dict[str, int] = {}

    def load(self, chunk: Chunk) -> None:
        """Take the trades of the next chunk; aggregated ones where a market has no others."""
        self._columns = {}
        for channel in (Channel.AGG_TRADES, Channel.TRADES):
            self._columns |= {
                c.symbol: c for c in chunk.streams if c.channel is channel and c.symbol in self._builders
            }
        self._fed = dict.fromkeys(self._columns, 0)

    def feed(self, upto_ns: int) -> None:
        """Give what was traded until `upto_ns`, this moment included."""
        for symbol, columns in self._columns.items():
            start = self._fed[symbol]
            stop = int(columns.local_ns.searchsorted(upto_ns, "right"))
            if stop > start:
                prices, sizes = columns.data["price"], columns.data["size"]
                self._builders[symbol].add_columns(prices[start:stop], sizes[start:stop])
                self._fed[symbol] = stop
