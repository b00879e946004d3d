"""What the core remembers: open intents with their attempts and fills, groups, markets, and how to find them.

Memory is bounded.  Settled intents are kept while an order of their group is open, because a group decides
by the fills of all, and then as one of the last `WATCHED`, so that late reports still find them.  The keys of
fills are remembered as long as an exchange may repeat them.

Decides nothing; the only time it knows is that of fills.
"""

from collections.abc import Iterator, Mapping
from decimal import Decimal

from quantcli.kernel.groups import Member
from quantcli.kernel.lifecycle import filled
from quantcli.model.instrument import Side, Symbol, SymbolMetadata
from quantcli.model.order import (
    AttemptState,
    Fill,
    OrderGroup,
    OrderIntent,
    OrderState,
    ReconciliationStatus,
    StandardOrder,
    Working,
)
from quantcli.store.api import MarketRow

WATCHED = 1024
_ZERO = Decimal(0)


class Entry:
    """An intent, its attempts by number, and the trade ids of its fills.

    `status` is its condition while it has no attempt; `base_fees` what its fills paid in the base asset.
    """

    __slots__ = ("attempts", "base_fees", "intent", "places", "status", "trades")

    def __init__(self, intent: OrderIntent) -> None:
        self.intent = intent
        self.attempts: list[OrderState] = []
        self.places: dict[str, int] = {}  # of the attempts, by client order id
        self.trades: set[str] = set()
        self.base_fees = _ZERO
        self.status = ReconciliationStatus.AWAITING_VENUE

    @property
    def last(self) -> OrderState | None:
        """The latest attempt."""
        return self.attempts[-1] if self.attempts else None

    @property
    def open_attempts(self) -> list[OrderState]:
        """The attempts whose orders may still trade: one, and those that came back."""
        return [attempt for attempt in self.attempts if not attempt.state.is_closed]

    @property
    def is_open(self) -> bool:
        """Something is still to be done or found out."""
        return not self.intent.phase.is_terminal or bool(self.open_attempts)

    @property
    def resting(self) -> Decimal:
        """What is left of its orders that were seen working."""
        live = (attempt for attempt in self.open_attempts if attempt.state is AttemptState.LIVE)
        return sum([attempt.order.quantity - attempt.filled for attempt in live], _ZERO)

    @property
    def condition(self) -> ReconciliationStatus:
        """How wish and exchange stand."""
        last = self.last
        return self.status if last is None or last.state.is_closed else last.reconciliation_status

    @property
    def outlook(self) -> Working:
        """What may still come: the greater of what is wished and what is out there, less what is booked."""
        intent = self.intent
        booked = sum([attempt.fills_qty for attempt in self.attempts], _ZERO)
        remaining = sum([_most(attempt) - attempt.fills_qty for attempt in self.open_attempts], _ZERO)
        if intent.phase.is_wanted and not intent.held:
            remaining = max(intent.order.quantity - booked, remaining)
        return Working(intent.intent_id, intent.order, remaining, booked)

    def numbered(self, number: int) -> OrderState:
        """The attempt of a number; there must be one."""
        return next(attempt for attempt in reversed(self.attempts) if attempt.attempt == number)

    def member(self, pays_in_base: bool) -> Member:
        """The entry as its group sees it.  Where fees may be paid in the base asset, only the fills we hold
        tell what it received."""
        traded = filled(self.attempts)
        held_back = self.base_fees
        if pays_in_base:
            held_back += traded - sum([attempt.fills_qty for attempt in self.attempts], _ZERO)
        return Member(self.intent, traded, held_back, bool(self.open_attempts))


def _most(attempt: OrderState) -> Decimal:
    """The most that an order may come to trade: while terms are on their way, either may be in force."""
    if attempt.state is AttemptState.CLOSING:
        return attempt.filled
    pending = attempt.amendment
    largest = max(attempt.order.quantity, pending.order.quantity) if pending else attempt.order.quantity
    return max(largest, attempt.filled)


class MarketView:
    """What is known of one market as a whole.

    `is_synced`: a statement asked since `since_ns`, the start or the last gap, was folded.  `asked_ns`: when
    one was last asked for; `moved_ns`: when `row.position` last changed, by our clock.  `unrecorded`: orders
    of ours that the exchange lists and we have no row of, since when.  `gap` is how far the last calm
    statement was from our books, seen at `gap_ns`.
    """

    __slots__ = (
        "asked_ns",
        "base",
        "flattened_from",
        "flattenings",
        "gap",
        "gap_ns",
        "is_synced",
        "moved_ns",
        "retry_ns",
        "row",
        "rules",
        "since_ns",
        "unrecorded",
    )

    def __init__(self, row: MarketRow, rules: SymbolMetadata | None, now_ns: int) -> None:
        self.row = row
        self.since_ns = now_ns
        self.rules = rules
        symbol = Symbol.parse(row.symbol)
        self.base = "" if symbol.is_futures else symbol.base
        self.is_synced = False
        self.unrecorded: dict[str, int] = {}
        self.asked_ns = 0
        self.moved_ns = 0
        self.gap = _ZERO
        self.gap_ns = 0
        # How often, and not again before when, flattening orders were made for a position that stayed.
        self.flattened_from = _ZERO
        self.flattenings = self.retry_ns = 0

    def base_fee(self, fill: Fill) -> Decimal:
        """What of a fill was paid as a fee in the base asset: on spot that is not received."""
        return fill.fee if fill.fee_asset == self.base else _ZERO

    def moved_by(self, fill: Fill) -> Decimal:
        """What a fill does to the position."""
        return (fill.qty if fill.side is Side.BUY else -fill.qty) - self.base_fee(fill)


class Projection:
    """Entries, open and watched, by intent id, client order id, exchange order id, request and group."""

    def __init__(self) -> None:
        self.open: dict[str, Entry] = {}
        self.groups: dict[str, tuple[OrderGroup, dict[str, Entry]]] = {}
        self.markets: dict[str, MarketView] = {}
        self._watched: dict[str, Entry] = {}  # oldest first
        self._by_client_id: dict[str, Entry] = {}
        self._by_exchange_id: dict[tuple[str, str], str] = {}
        self._by_request: dict[str, Entry] = {}
        self._open_orders: dict[tuple[str, Side], int] = {}
        self._fills: dict[tuple[str, str], int] = {}  # of fills and corrections, with the exchange's time

    def enter(self, intent: OrderIntent) -> Entry:
        """A new entry."""
        entry = self.open[intent.intent_id] = Entry(intent)
        if intent.request_id:
            self._by_request[intent.request_id] = entry
        return entry

    def entry_of(self, intent: OrderIntent) -> StandardOrder | None:
        """The order whose position an exit closes; `None` for any other."""
        group, members = self.groups.get(intent.group_id or "", (None, {}))
        if group is None or not group.entry or intent.intent_id == group.entry:
            return None
        return members[group.entry].intent.order

    def enter_group(self, group: OrderGroup) -> None:
        """A group whose members were entered."""
        names = (group.entry, *group.legs) if group.entry else group.legs
        members = {name: entry for name in names if (entry := self.find(name)) is not None}
        self.groups[group.group_id] = group, members

    def attach(self, entry: Entry, state: OrderState) -> None:
        """A further attempt of an entry."""
        self._by_client_id[state.client_order_id] = entry
        entry.places[state.client_order_id] = len(entry.attempts)
        entry.attempts.append(state)
        self._count(state, 0 if state.state.is_closed else 1)
        self.bind(state)

    def update(self, entry: Entry, state: OrderState) -> None:
        """An attempt has changed."""
        place = entry.places[state.client_order_id]
        self._count(state, entry.attempts[place].state.is_closed - state.state.is_closed)
        entry.attempts[place] = state

    def is_opposed(self, order: StandardOrder) -> bool:
        """An order of the other side may trade in the market."""
        return self._open_orders.get((order.symbol, order.side.opposite), 0) > 0

    def _count(self, state: OrderState, more: int) -> None:
        if more:
            key = state.order.symbol, state.order.side
            self._open_orders[key] = self._open_orders.get(key, 0) + more

    def bind(self, state: OrderState) -> None:
        """An attempt is known under its exchange order id, too."""
        if state.exchange_order_id is not None:
            self._by_exchange_id[state.order.symbol, state.exchange_order_id] = state.client_order_id

    def members(self, entries: Mapping[str, Entry]) -> dict[str, Member]:
        """The entries of one group as it sees them."""
        symbol = next(iter(entries.values())).intent.order.symbol
        pays_in_base = symbol in self.markets and bool(self.markets[symbol].base)
        return {intent_id: entry.member(pays_in_base) for intent_id, entry in entries.items()}

    def find(self, intent_id: str) -> Entry | None:
        """An entry, open or watched."""
        return self.open.get(intent_id) or self._watched.get(intent_id)

    def find_request(self, request_id: str) -> Entry | None:
        """The entry that was asked for under an id."""
        return self._by_request.get(request_id)

    def find_attempt(self, client_order_id: str) -> tuple[Entry, OrderState] | None:
        """An attempt and its entry."""
        entry = self._by_client_id.get(client_order_id)
        return None if entry is None else (entry, entry.attempts[entry.places[client_order_id]])

    def client_id_of(self, symbol: str, exchange_order_id: str) -> str:
        """The client order id of an order of ours that an exchange names by its own id; empty: none."""
        return self._by_exchange_id.get((symbol, exchange_order_id), "")

    def reopen(self, entry: Entry) -> None:
        """A watched entry has work again."""
        if self._watched.pop(entry.intent.intent_id, None) is not None:
            self.open[entry.intent.intent_id] = entry

    def retire(self, entry: Entry) -> None:
        """An entry is settled and its orders are closed: watch it, and forget the oldest watched."""
        intent_id, group_id = entry.intent.intent_id, entry.intent.group_id
        self.open.pop(intent_id, None)
        self._watched[intent_id] = entry
        if group_id in self.groups and not any(e.is_open for e in self.groups[group_id][1].values()):
            del self.groups[group_id]
        if len(self._watched) > WATCHED:
            self._forget_oldest()

    def is_fill_known(self, fill: Fill, entry: Entry | None) -> bool:
        """Whether a fill was folded before; it is known from now on."""
        if entry is not None:
            if fill.trade_id in entry.trades:
                return True
            entry.trades.add(fill.trade_id)
        return self.is_known((fill.symbol, fill.trade_id), fill.exchange_ns)

    def is_known(self, key: tuple[str, str], venue_ns: int) -> bool:
        """The same for what else is told once: of a market, under a key."""
        if key in self._fills:
            return True
        self._fills[key] = venue_ns
        return False

    def has_fill(self, fill: Fill) -> bool:
        """Whether a fill was folded before; asking changes nothing."""
        return (fill.symbol, fill.trade_id) in self._fills

    def forget_fills(self, before_ns: int) -> None:
        """No exchange repeats fills this old."""
        fills = self._fills
        while fills and fills[key := next(iter(fills))] < before_ns:
            del fills[key]

    def of_market(self, symbol: str) -> Iterator[Entry]:
        """Open entries of a market."""
        return (entry for entry in self.open.values() if entry.intent.order.symbol == symbol)

    def unsettled(self, symbol_id: str | None = None) -> list[OrderIntent]:
        """Unsettled intents in order of creation, of one market or all."""
        intents = (entry.intent for entry in self.open.values())
        return [i for i in intents if not i.phase.is_terminal and symbol_id in (None, i.order.symbol)]

    def conditions(self) -> dict[ReconciliationStatus, int]:
        """How many open entries are in which condition."""
        counts = dict.fromkeys(ReconciliationStatus, 0)
        for entry in self.open.values():
            counts[entry.condition] += 1
        return counts

    def working(self) -> list[Working]:
        """What open entries may still do to a position."""
        return [outlook for entry in self.open.values() if (outlook := entry.outlook).remaining > 0]

    def _forget_oldest(self) -> None:
        for intent_id, entry in self._watched.items():
            if entry.intent.group_id not in self.groups:
                del self._watched[intent_id]
                self._by_request.pop(entry.intent.request_id, None)
                for attempt in entry.attempts:
                    del self._by_client_id[attempt.client_order_id]
                    self._by_exchange_id.pop((attempt.order.symbol, attempt.exchange_order_id or ""), None)
                return
