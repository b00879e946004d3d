"""What every store promises: the protocols that `memory` and `sqlite` implement alike.

    Store           one transaction over everything (`commit`), what a restart needs (`load`), identity
    IntentStateStore, ActualStateStore      row by row: what should be, and what is

Rules of the rows, kept by every implementation and tested by one suite:

    - an intent is known by its `intent_id`;
    - an attempt (`OrderState`) is known by its `client_order_id`, belongs to one (`intent_id`, `attempt`) for
      ever, and of one intent's attempts at most one is open (neither DONE nor DEAD);
    - a fill is known by (`symbol`, `trade_id`) and never changes or goes away, nor does a correction, known
      by (`symbol`, `cause`, `cause_id`), or a journal entry, which is numbered in the order of commits;
    - a `request_id` (not empty) names one intent for ever;
    - the cumulative quantity of an attempt never falls, and when it is DONE every fill of it is known
      (`filled` equals `fills_qty`);
    - a DEAD attempt has a reason, and one whose reason begins with "proved" has evidence whose times are in
      order (`model.order.Evidence`);
    - a closed attempt is open again only as a `reopened` one, which does not count as the open one.

Rows need not refer to rows that exist: what an exchange did is recorded whoever wished for it.
All methods are coroutines.  Knows nothing of how rows are kept, and decides nothing about orders.
"""

from collections.abc import Sequence
from decimal import Decimal
from typing import Protocol

import msgspec

from quantcli.model.message import Correction
from quantcli.model.order import (
    Fill,
    Order,
    OrderGroup,
    OrderIntent,
    OrderState,
    ReconciliationStatus,
)


class MarketRow(msgspec.Struct, frozen=True, gc=False):
    """What is remembered of one market as a whole; quantities signed, in base units.

    `baseline` is what the account held before everything in `position` (`None` until the exchange first
    said), `position` the sum of all fills and corrections since, whoever's, fees in the base asset deducted;
    `own` the part of it that our intents did.  `surveyed_ns` is when the newest statement that was folded
    had been asked for.  `drift` is the exchange's position less baseline and position, once confirmed;
    `foreign` the open orders there that are not ours.
    """

    symbol: str
    baseline: Decimal | None = None
    position: Decimal = Decimal(0)
    own: Decimal = Decimal(0)
    surveyed_ns: int = 0
    drift: Decimal = Decimal(0)
    foreign: tuple[Order, ...] = ()


class JournalEntry(msgspec.Struct, frozen=True, gc=False):
    """Something that happened to an intent, or (with an empty `intent_id`) to the kernel as a whole.

    `what` is one word (`kernel.draft` has them), `detail` says more in words; `attempt` 0: no attempt is
    meant.
    """

    at_ns: int
    intent_id: str
    attempt: int
    what: str
    detail: str = ""


class Remark(msgspec.Struct, frozen=True, gc=False):
    """A fact about the whole under a key; an empty value forgets it."""

    key: str
    value: str


Row = OrderIntent | OrderState | Fill | OrderGroup | MarketRow | Correction | JournalEntry | Remark


class Identity(msgspec.Struct, frozen=True):
    """Who wrote this database, for the ids of its orders.

    `tag` (16 bits) tells the instances of one account apart, `nonce` (48 bits) and `key` are drawn once
    at random, `epoch` counts how often the store was opened.
    """

    tag: int
    nonce: int
    key: bytes
    epoch: int


class Loaded(msgspec.Struct, frozen=True):
    """What a restart goes on from; its size follows what is open, not what ever was.

    `intents` are those not settled, those that have an open attempt, and all that share a group with one
    of them; `states` are all attempts of these intents and every other open attempt; `groups` are theirs.
    `fills` are those of these intents and those that an exchange may still repeat: no older than
    `RECENT_NS` before the last survey of their market.  In order of insertion.  `remarks` are the
    kernel's own, `corrections` all there were.
    """

    intents: tuple[OrderIntent, ...] = ()
    states: tuple[OrderState, ...] = ()
    fills: tuple[Fill, ...] = ()
    groups: tuple[OrderGroup, ...] = ()
    markets: tuple[MarketRow, ...] = ()
    remarks: tuple[Remark, ...] = ()
    corrections: tuple[Correction, ...] = ()


# Surveys overlap by less than this: a trade that turns up late in an exchange's history is not missed, and
# one that is told again is known.
RECENT_NS = 2 * 3600 * 1_000_000_000


class IntentStateStore(Protocol):
    """Intents, row by row.  Lists are ordered by (`created_ns`, `intent_id`)."""

    async def create_intent(self, intent: OrderIntent) -> None:
        """Add an intent; raises `AlreadyExistsError`."""
        ...

    async def get_intent(self, intent_id: str) -> OrderIntent:
        """The intent; raises `NotFoundError`."""
        ...

    async def update_intent(self, intent: OrderIntent) -> None:
        """Replace an intent; raises `NotFoundError`."""
        ...

    async def delete_intent(self, intent_id: str) -> None:
        """Remove an intent, leaving its attempts and fills; raises `NotFoundError`."""
        ...

    async def list_intents(
        self, symbol_id: str | None = None, group_id: str | None = None
    ) -> list[OrderIntent]:
        """The intents of a symbol, of a group, of both, or all."""
        ...

    async def get_intents_by_group(self, group_id: str) -> list[OrderIntent]:
        """The intents of a group; none if there is no such group."""
        ...

    async def get_intent_by_request(self, request_id: str) -> OrderIntent | None:
        """The intent that was asked for under this id (not empty)."""
        ...


class ActualStateStore(Protocol):
    """Attempts, row by row.  Lists are ordered by (`intent_id`, `attempt`).

    A second open attempt of one intent, or an attempt that would change its intent or number, raises
    `InvariantError`.
    """

    async def create_order_state(self, state: OrderState) -> None:
        """Add an attempt; `AlreadyExistsError` if its client order id, or its number, is taken."""
        ...

    async def get_order_state(self, intent_id: str) -> OrderState:
        """The latest attempt of an intent; raises `NotFoundError`."""
        ...

    async def get_order_state_by_exchange_id(self, exchange_order_id: str) -> OrderState:
        """The attempt an exchange knows by this id; raises `NotFoundError`.

        Some exchanges number the orders of each market for itself; the attempt prepared last is meant.
        """
        ...

    async def update_order_state(self, state: OrderState) -> None:
        """Replace the attempt of this client order id; raises `NotFoundError`."""
        ...

    async def delete_order_state(self, intent_id: str) -> None:
        """Remove all attempts of an intent; raises `NotFoundError` if it has none."""
        ...

    async def list_order_states(
        self, symbol_id: str | None = None, reconciliation_status: ReconciliationStatus | None = None
    ) -> list[OrderState]:
        """Every attempt, of a symbol and in a reconciliation status if these are given."""
        ...

    async def get_stale_orders(self, max_age_seconds: float, now_ns: int) -> list[OrderState]:
        """Open attempts that the exchange last showed more than `max_age_seconds` before `now_ns`."""
        ...


class Store(Protocol):
    """Everything that survives a crash."""

    @property
    def intents(self) -> IntentStateStore:
        """Intents, row by row."""
        ...

    @property
    def orders(self) -> ActualStateStore:
        """Attempts, row by row."""
        ...

    @property
    def identity(self) -> Identity:
        """Whose database this is; known once the store is open."""
        ...

    @property
    def was_restored(self) -> bool:
        """What is here is older than what was here once; known once the store is open."""
        ...

    async def open(self) -> None:
        """Make the store ready; raises `StoreError` if it cannot be trusted."""
        ...

    async def close(self) -> None:
        """Finish what is under way and let go."""
        ...

    async def commit(self, rows: Sequence[Row]) -> None:
        """Make all rows durable, or none.

        Rows are applied in the order given, and each must keep the rules; intents, attempts, groups, markets
        and remarks are inserted or replaced, a fill or correction that is there already is left alone.
        Raises `InvariantError` where a rule would be broken (a fill that differs from the recorded one
        included), `StoreFull` and `StoreBusy` where nothing was recorded and a later try may succeed, and
        `StoreError` where the medium fails, or `SafetyError` where it was taken away: then it is not known
        whether the rows are durable, and nothing is accepted any more.  A cancelled `commit` has happened as
        a whole or not at all.
        """
        ...

    async def load(self) -> Loaded:
        """What a restart goes on from."""
        ...

    async def fills(self, symbol_id: str | None = None) -> list[Fill]:
        """Fills in order of insertion, of one symbol or all."""
        ...

    async def corrections(self, symbol_id: str | None = None) -> list[Correction]:
        """Corrections in order of insertion, of one symbol or all."""
        ...

    async def journal(self, intent_id: str | None = None) -> list[JournalEntry]:
        """What happened, oldest first: to one intent, or everything.  A store in memory keeps the last
        10,000 entries."""
        ...

    async def groups(self) -> list[OrderGroup]:
        """Every group there ever was, in order of id."""
        ...

    async def markets(self) -> list[MarketRow]:
        """Every market's row, in order of symbol."""
        ...

    async def get_meta(self, key: str) -> str | None:
        """A remark that `set_meta` left, or `None`."""
        ...

    async def set_meta(self, key: str, value: str) -> None:
        """Leave a remark, replacing the one of this key; an empty value forgets it."""
        ...
