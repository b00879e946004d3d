"""A market that does not exist: a seeded random walk with trades, quotes and a book, stamped now.

The same seed gives the same prices, sizes, sides and ids, step by step, whatever the time is; only stamps
differ.  Tests can `move` a market to where they need it.  Knows nothing of orders or subscribers.
"""

import asyncio
from collections.abc import Iterable, Iterator, Mapping
from decimal import Decimal
from random import Random

from quantcli.clock import NS_PER_MS, Clock
from quantcli.errors import NotFoundError, ValidationError
from quantcli.model.instrument import Number, Symbol, SymbolMetadata, round_to_step, to_decimal
from quantcli.model.market import BookUpdate, Level, MarketEvent, MarkPrice, Ticker, Trade
from quantcli.sandbox.feed import Ready, See, at_once
from quantcli.sandbox.public import FUNDING_NS

# One step of every market, in seconds: Binance sends changes of the book ten times a second.
STEP_S = 0.1
# Levels on each side that are kept filled, and what a level holds at most, in lots.
_LEVELS = 20
_MOST_LOTS = 500_000
# How far the best bid moves in a step, and the spread, in ticks: mostly not at all, and one.
_MOVES = (0, 0, 0, 0, 1, -1, 2, -2)
_SPREADS = (1, 1, 1, 2, 3)
_MOST_TRADES = 3
_CHANGED_LEVELS = 4

# A mark price each second, and the rate of the next funding.
_STEPS_OF_MARK = 10
_FUNDING_RATE = 0.0001

_BUY, _SELL = 1, 2

# Markets for whoever does not bring any: name, tick, lot, price at the beginning.
_MARKETS = (
    ("BTC", "0.01", "0.00001", "60000"),
    ("ETH", "0.01", "0.0001", "2500"),
    ("SOL", "0.01", "0.001", "150"),
)


def synthetic_instruments() -> dict[str, SymbolMetadata]:
    """Three markets against USDT, with rules like those of the real ones."""
    return {
        f"{base}/USDT": SymbolMetadata(
            Symbol(base, "USDT"),
            "binance",
            f"{base}USDT",
            price_tick=Decimal(tick),
            lot=Decimal(lot),
            min_qty=Decimal(lot),
            max_qty=Decimal(9000),
            min_price=Decimal(tick),
            max_price=Decimal(1_000_000),
            min_notional=Decimal(5),
            band_up=Decimal(5),
            band_down=Decimal("0.2"),
            max_orders=200,
        )
        for base, tick, lot, _ in _MARKETS
    }


START_PRICES = {f"{base}/USDT": Decimal(price) for base, _, _, price in _MARKETS}


def synthetic_futures() -> dict[str, SymbolMetadata]:
    """The same three as perpetual contracts, which are coarser."""
    return {
        f"{base}/USDT:USDT": SymbolMetadata(
            Symbol(base, "USDT", True, "USDT"),
            "binance",
            f"{base}USDT",
            price_tick=Decimal(tick) * 10,
            lot=max(Decimal("0.001"), Decimal(lot)),
            min_qty=max(Decimal("0.001"), Decimal(lot)),
            max_qty=Decimal(1_000),
            min_price=Decimal(tick) * 10,
            max_price=Decimal(1_000_000),
            min_notional=Decimal(5),
            band_up=Decimal("1.5"),
            band_down=Decimal("0.5"),
            max_orders=200,
        )
        for base, tick, lot, _ in _MARKETS
    }


class Walk:
    """One market: its book in whole ticks and lots, and how it goes on."""

    def __init__(self, meta: SymbolMetadata, price: Decimal, seed: str) -> None:
        self._meta = meta
        self._symbol = meta.symbol.name
        self._dice = Random(seed)
        self._bids: dict[int, int] = {}
        self._asks: dict[int, int] = {}
        self._bid = max(_LEVELS + 1, int(price / meta.price_tick))
        self._ask = self._bid + 1
        self._book_id = self._trade_id = self._steps = 0

    def begin(self, now_ns: int, seq: Iterator[int]) -> Iterator[MarketEvent]:
        """The first book, and its quote."""
        self._fill()
        self._book_id += 1
        yield BookUpdate(
            self._symbol,
            now_ns,
            now_ns,
            next(seq),
            True,
            self._book_id,
            self._book_id,
            0,
            self._levels(self._bids.items()),
            self._levels(self._asks.items()),
        )
        yield self._quote(now_ns, seq)

    def step(self, now_ns: int, seq: Iterator[int], walks: bool, trades: bool) -> Iterator[MarketEvent]:
        """A tenth of a second: trades at the touch, then the book and quote after them.

        Without `walks` the prices stay, without `trades` nobody trades; sizes change all the same.
        """
        dice = self._dice
        count = dice.randrange(_MOST_TRADES + 1)
        for _ in range(count):
            side, share = dice.choice((_BUY, _SELL)), dice.randrange(1, 100)
            if trades:
                yield self._trade(now_ns, seq, side, share)
        move, spread = dice.choice(_MOVES), dice.choice(_SPREADS)
        if walks:
            self._bid = max(_LEVELS + 1, self._bid + move)
            self._ask = self._bid + spread
        yield from self._changed(now_ns, seq)
        if self._meta.symbol.is_futures:
            if self._steps % _STEPS_OF_MARK == 0:
                yield self._mark(now_ns, seq)
            self._steps += 1

    def jump(self, bid: Decimal, ask: Decimal, now_ns: int, seq: Iterator[int]) -> Iterator[MarketEvent]:
        """Go to these prices at once: book, quote, and a trade there, by whoever pushed the price.

        Raises `ValidationError` for prices that are not on the tick, not positive or not in order.
        """
        tick = self._meta.price_tick
        if not 0 < bid < ask or bid % tick or ask % tick:
            raise ValidationError(
                f"{self._symbol} cannot go to bid {bid} and ask {ask}",
                why=f"its prices are multiples of {tick}, and the bid is below the ask",
            )
        side = _BUY if bid / tick >= self._bid else _SELL
        self._bid, self._ask = int(bid / tick), int(ask / tick)
        yield from self._changed(now_ns, seq)
        yield self._trade(now_ns, seq, side, 50)
        if self._meta.symbol.is_futures:
            yield self._mark(now_ns, seq)

    def _changed(self, now_ns: int, seq: Iterator[int]) -> Iterator[MarketEvent]:
        """The book follows the best prices; the difference to before, and the quote."""
        before = dict(self._bids), dict(self._asks)
        self._fill()
        self._refresh(self._bids)
        self._refresh(self._asks)
        bids, asks = (
            self._levels(_difference(*sides)) for sides in zip(before, (self._bids, self._asks), strict=True)
        )
        if bids or asks:
            first_id = self._book_id + 1
            self._book_id += len(bids) + len(asks)
            yield BookUpdate(
                self._symbol, now_ns, now_ns, next(seq), False, first_id, self._book_id, 0, bids, asks
            )
            yield self._quote(now_ns, seq)

    def _fill(self) -> None:
        """Remove what the best prices crossed or left far behind, and fill up towards them."""
        best = ((self._bids, self._bid, -1), (self._asks, self._ask, 1))
        for levels, touch, outwards in best:
            for price in [p for p in levels if not 0 <= (p - touch) * outwards < 2 * _LEVELS]:
                del levels[price]
            for distance in range(_LEVELS):
                price = touch + outwards * distance
                if price > 0 and price not in levels:
                    levels[price] = self._dice.randrange(1, _MOST_LOTS)

    def _refresh(self, levels: dict[int, int]) -> None:
        for price in self._dice.sample(sorted(levels), _CHANGED_LEVELS) if len(levels) > _LEVELS // 2 else ():
            levels[price] = self._dice.randrange(1, _MOST_LOTS)

    def _trade(self, now_ns: int, seq: Iterator[int], side: int, share: int) -> Trade:
        """A taker takes so many hundredths of the best level."""
        price = self._ask if side == _BUY else self._bid
        lots = max(1, (self._asks if side == _BUY else self._bids)[price] * share // 100)
        self._trade_id += 1
        return Trade(
            self._symbol,
            now_ns,
            now_ns,
            next(seq),
            self._price(price),
            self._size(lots),
            side,
            self._trade_id,
        )

    def _quote(self, now_ns: int, seq: Iterator[int]) -> Ticker:
        return Ticker(
            self._symbol,
            now_ns if self._meta.symbol.is_futures else 0,  # spot quotes say no time
            now_ns,
            next(seq),
            self._price(self._bid),
            self._size(self._bids[self._bid]),
            self._price(self._ask),
            self._size(self._asks[self._ask]),
            self._book_id,
        )

    def _mark(self, now_ns: int, seq: Iterator[int]) -> MarkPrice:
        """Half-way between the best prices; the index is the same."""
        middle = float((self._bid + self._ask) * self._meta.price_tick / 2)
        due_ns = (now_ns // FUNDING_NS + 1) * FUNDING_NS
        return MarkPrice(self._symbol, now_ns, now_ns, next(seq), middle, middle, _FUNDING_RATE, due_ns)

    def _levels(self, levels: Iterable[tuple[int, int]]) -> list[Level]:
        return [(self._price(price), self._size(lots)) for price, lots in levels]

    def _price(self, ticks: int) -> float:
        return float(ticks * self._meta.price_tick)

    def _size(self, lots: int) -> float:
        return float(lots * self._meta.lot)


class SyntheticFeed:
    """All markets of `instruments`, a step each tenth of a second, by one seed.

    `start_prices` are by canonical name; futures without one begin where spot does, others at 100.  `speed`
    is how many steps a tenth of a second has, 0 as many as clients keep up with; `ready` is awaited before
    each step.  With `walks` off prices stay where they are until `move`; with `trades` off only `move` makes
    trades.  The first book and quote of every market come before the hold, like those of a recording.
    """

    def __init__(
        self,
        instruments: Mapping[str, SymbolMetadata],
        seed: int,
        clock: Clock,
        start_prices: Mapping[str, Decimal] = START_PRICES,
        speed: float = 1.0,
        walks: bool = True,
        trades: bool = True,
        ready: Ready = at_once,
    ) -> None:
        self._clock = clock
        self._ready = ready
        self._walks = {
            name: Walk(meta, _start_price(name, meta, start_prices), f"{seed} {name}")
            for name, meta in instruments.items()
        }
        self._names = {meta.exchange_symbol: name for name, meta in instruments.items()}
        self.speed = speed
        self.walks = walks
        self.trades = trades
        self._seq = iter(range(1, 1 << 62))
        self._see: See | None = None
        self._started = asyncio.Event()
        self.is_held = False
        self.is_done = False
        self.events = 0

    def start(self) -> None:
        """Let time pass."""
        self._started.set()

    async def run(self, see: See) -> None:
        """Show the first books, wait for `start`, and go on until cancelled."""
        self._see = see
        for walk in self._walks.values():
            self._tell(walk.begin(self._now_ns(), self._seq))
        self.is_held = True
        await self._started.wait()
        self.is_held = False
        while True:
            await self._ready()
            await self._pass_a_step()
            self.step()

    async def _pass_a_step(self) -> None:
        """Wait as long as a step lasts; a speed that is set meanwhile holds for the rest of it."""
        left_s = STEP_S
        while self.speed and left_s > 0:
            speed = self.speed
            wait_s = min(left_s / speed, STEP_S)
            await asyncio.sleep(wait_s)
            left_s -= wait_s * speed
        await asyncio.sleep(0)

    def step(self) -> None:
        """One step of every market."""
        for walk in self._walks.values():
            self._tell(walk.step(self._now_ns(), self._seq, self.walks, self.trades))

    def move(self, symbol: str, bid: Number, ask: Number) -> None:
        """Take a market (`BTC/USDT` or `BTCUSDT`) to these prices now: book, quote, and one trade there.

        Raises `NotFoundError` for a market that is not there, `ValidationError` for prices that cannot be.
        """
        name = self._names.get(symbol, symbol)
        if name not in self._walks:
            raise NotFoundError(f"there is no market {symbol}", why=f"there are {', '.join(self._walks)}")
        self._tell(self._walks[name].jump(to_decimal(bid), to_decimal(ask), self._now_ns(), self._seq))

    def _tell(self, happened: Iterable[MarketEvent]) -> None:
        if self._see is None:
            raise ValidationError("the market has not begun yet")
        for event in happened:
            self.events += 1
            self._see(event)

    def _now_ns(self) -> int:
        """Now, to the millisecond, which is what the wire can say."""
        return self._clock.now_ns() // NS_PER_MS * NS_PER_MS


def _start_price(name: str, meta: SymbolMetadata, prices: Mapping[str, Decimal]) -> Decimal:
    spot = prices.get(name.partition(":")[0], Decimal(100))
    return round_to_step(prices.get(name, spot), meta.price_tick, "ROUND_HALF_EVEN")


def _difference(before: Mapping[int, int], after: Mapping[int, int]) -> Iterator[tuple[int, int]]:
    """Levels that changed; those that went have size 0."""
    yield from ((price, 0) for price in before if price not in after)
    yield from ((price, lots) for price, lots in after.items() if before.get(price) != lots)
