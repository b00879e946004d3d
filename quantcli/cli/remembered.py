"""What a bot's state database remembers, in the words in which a running bot would say it.

Prices of the market are not remembered, so nothing is valued here.
"""

from collections.abc import Iterable, Iterator, Mapping
from decimal import Decimal
from functools import cached_property
from pathlib import Path

from quantcli.cli import ledger
from quantcli.cli.ledger import Numbered, Rows
from quantcli.cli.order_names import one_order
from quantcli.cli.output import timestamp
from quantcli.clock import VirtualClock, WallClock
from quantcli.model.instrument import Symbol, SymbolMetadata
from quantcli.model.order import Fill, OrderState
from quantcli.runtime.control.rows import Wanted, fill_item, foreign, item, suffix_length, updated_ns
from quantcli.runtime.control.wire import (
    EventItem,
    EventList,
    FillList,
    OrderList,
    PositionItem,
    PositionList,
    Status,
    Story,
)

# Words of the journal that somebody should see; all others are the ordinary course of things.
_LEVELS = {
    "silent": "warn",
    "unknown": "warn",
    "denied": "warn",
    "refused": "warn",
    "rejected": "warn",
    "reopened": "warn",
    "buried": "warn",
    "drift": "warn",
    "halted": "warn",
    "resync": "warn",
    "safe mode": "error",
}


def remember(bot: str, path: Path, settled: bool) -> "Remembered":
    """Read a database: unsettled wishes (with `settled`, all of them) and every fill."""
    rows = ledger.rows_of(path, settled)
    if ledger.owner_pid(path) is not None:
        return Remembered(bot, path, rows, False, WallClock().now_ns())
    return Remembered(bot, path, rows, True, ledger.written_ns(path))


class Remembered:
    """What one bot's database says.

    `stale` says that the bot does not run, `as_of_ns` when this was true: now, or when the file was last
    written.  `strays` are open orders whose wish is not there.
    """

    status: Status | None = None

    def __init__(self, bot: str, path: Path, rows: Rows, stale: bool, as_of_ns: int) -> None:
        self.bot = bot
        self.path = path
        self.rows = rows
        self.stale = stale
        self.as_of_ns = as_of_ns
        of_intent: dict[str, list[OrderState]] = {intent.intent_id: [] for intent in rows.intents}
        unclaimed: list[OrderState] = []
        for attempt in rows.states:
            of_intent.get(attempt.intent_id, unclaimed).append(attempt)
        self.strays = [attempt for attempt in unclaimed if not attempt.state.is_closed]
        self.wanted = [Wanted(intent, tuple(of_intent[intent.intent_id])) for intent in rows.intents]

    # As a running bot would say it.

    @cached_property
    def now_ns(self) -> int:
        """When anything here last changed, by the bot's own clock, which may be a recording's; 0 if it is
        empty."""
        stamps = [updated_ns(wanted) for wanted in self.wanted]
        return max(stamps + [fill.exchange_ns for fill in self.rows.fills], default=0)

    def orders(self, settled: bool = False) -> OrderList:
        """Wishes and what the exchange has of them, then its orders that are nobody's."""
        shown = [w for w in self.wanted if settled or not w.intent.phase.is_terminal or w.open]
        strangers = [foreign(order) for row in self.rows.markets for order in row.foreign]
        return OrderList(self.as_of_ns, (*map(item, shown), *strangers))

    def positions(self) -> PositionList:
        """What the account began with and the bot's own fills add up to, in the markets it has traded."""
        drifts = {row.symbol: row.drift for row in self.rows.markets}
        return PositionList(
            self.as_of_ns, tuple(holdings(self.rows.fills, drifts, ledger.began_with(self.path)))
        )

    def fills(self) -> FillList:
        """Every execution, newest first."""
        items = tuple(fill_item(fill) for fill in reversed(self.rows.fills))
        return FillList(self.as_of_ns, items, len(items))

    def events(self, since_ns: int = 0, after: int = 0) -> EventList:
        """What the log has, oldest first, with its meaning for people; where there is none, the journal."""
        log = self.path.with_name(f"{self.bot}.log")
        items = tuple(_logged(log, since_ns)) if log.exists() else ()
        if not items:
            items = tuple(map(_event, ledger.events_of(self.path, since_ns, after)))
        return EventList(self.as_of_ns, items)

    def story(self, name: str) -> Story:
        """One order's story; raises as `find` does."""
        from quantcli.kernel.policy import Policy
        from quantcli.runtime.control import stories

        wanted = self.find(name)
        intent_id = wanted.intent.intent_id
        fills = [fill for fill in self.rows.fills if fill.intent_id == intent_id]
        return stories.story(wanted, fills, ledger.journal_of(self.path, intent_id), self.now_ns, Policy())

    # For plans.

    @property
    def headline(self) -> str:
        """Whose state this is, for the last line of a table."""
        if not self.stale:
            return f"{self.bot} is running"
        return f"{self.bot} is not running; this is as of {timestamp(self.as_of_ns)}"

    @cached_property
    def id_length(self) -> int:
        """How many last characters of an intent id name it here."""
        return suffix_length([wanted.intent.intent_id for wanted in self.wanted])

    def find(self, name: str) -> Wanted:
        """The wish that an id names, or its beginning or end; raises as `one_order` does."""
        found = one_order(self.bot, name, map(item, self.wanted))
        return next(wanted for wanted in self.wanted if wanted.intent.intent_id == found.intent_id)


def holdings(
    fills: Iterable[Fill], drifts: Mapping[str, Decimal], began: Mapping[str, Decimal]
) -> list[PositionItem]:
    """What fills add up to, on top of what the account `began` with, in order of symbol."""
    of_symbol: dict[str, list[Fill]] = {}
    for fill in fills:
        of_symbol.setdefault(fill.symbol, []).append(fill)
    return [
        _position(symbol, of_symbol[symbol], drifts.get(symbol, Decimal(0)), began)
        for symbol in sorted(of_symbol)
    ]


def _position(name: str, fills: list[Fill], drift: Decimal, began: Mapping[str, Decimal]) -> PositionItem:
    from quantcli.trading.portfolio import Portfolio

    symbol = Symbol.parse(name)
    currency = symbol.settle or symbol.quote
    clock = VirtualClock()
    balances = {} if symbol.is_futures else {symbol.base: began.get(symbol.base, Decimal(0))}
    books = Portfolio("", currency, balances, {name: market_rules(symbol)}, lambda _: None, clock)
    for fill in fills:
        clock.advance_to(fill.exchange_ns)
        books.apply(fill)
    held = books.position(name)
    return PositionItem(
        symbol=name,
        side="flat" if not held.qty else "long" if held.qty > 0 else "short",
        qty=held.qty,
        avg_price=held.avg_price,
        realised=held.realised,
        fees=held.fees,
        other_fees=books.fees_by_asset,
        currency=currency,
        updated_ns=held.updated_ns,
        drift=drift,
    )


def market_rules(symbol: Symbol) -> SymbolMetadata:
    """As much of a market's rules as counting takes: its currencies."""
    one = Decimal(1)
    return SymbolMetadata(symbol, "", symbol.name, one, one, inverse=symbol.settle == symbol.base)


def _logged(log: Path, since_ns: int) -> Iterator[EventItem]:
    """Events that the bot told; what strategies and libraries logged is none."""
    from quantcli.runtime.control.log_lines import read_log

    for line in read_log(log, since_ns):
        if line.source == "quant":
            yield EventItem(**{name: getattr(line, name) for name in EventItem.__struct_fields__})


def _event(found: Numbered) -> EventItem:
    entry = found.entry
    number = f" (attempt {entry.attempt})" if entry.attempt > 1 else ""
    return EventItem(
        number=found.number,
        at_ns=entry.at_ns,
        level=_LEVELS.get(entry.what, "info"),
        kind=entry.what,
        symbol=found.symbol,
        text=f"{entry.detail}{number}".strip(),
        intent_id=entry.intent_id,
    )
