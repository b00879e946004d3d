"""Comparing a bot's orders with the exchange while the bot does not run.

The kernel itself does it, without a strategy: it starts on the state database, looks at the exchange until
it has nothing left to ask, and what it would send is noted.  To plan, it works on a copy of the database
and only its questions get out; to apply, on the database itself, and cancels get out too.  Nothing is ever
placed: without its strategy a new order would be nobody's.
"""

import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from contextlib import AsyncExitStack, closing
from pathlib import Path
from tempfile import TemporaryDirectory

import msgspec

from quantcli.clock import SteadyClock
from quantcli.errors import SafetyError
from quantcli.kernel.api import ExchangeKernel
from quantcli.kernel.policy import Policy
from quantcli.kernel.steps import Halted
from quantcli.model.account import AccountState, Position
from quantcli.model.market import MarketEvent
from quantcli.model.message import (
    Amend,
    Cancel,
    Correction,
    Lookup,
    Place,
    PlaceList,
    Report,
    Request,
    Statement,
)
from quantcli.model.order import StandardOrder
from quantcli.ports import Approved, Gateway
from quantcli.runtime.connection import live_venue
from quantcli.runtime.realtime import Ending, RealTime
from quantcli.runtime.session import opened
from quantcli.runtime.world import World, same_owner
from quantcli.store.api import Loaded
from quantcli.venues.inbox import Inbox, Missed, Notice
from quantcli.venues.live import Credentials

# How long the kernel may look: a placement without an answer is cleared up within its fence, and then some.
_LOOK_S = 45.0


class Sent(msgspec.Struct, frozen=True):
    """What the kernel sent, or would send: `action` is place, amend or cancel."""

    action: str
    symbol: str
    client_order_id: str


class Found(msgspec.Struct, frozen=True):
    """What came of looking: requests, all that the database says now, what an operator should see, and
    whether everything that was asked was answered."""

    sent: tuple[Sent, ...]
    rows: Loaded
    findings: tuple[str, ...]
    is_settled: bool


class _Looking:
    """The way to the exchange, for questions, and for cancels if they are meant.

    `unanswered` are markets and client order ids that the exchange was asked about, or is still to be, and
    has said nothing of.
    """

    def __init__(self, venue: Gateway, applies: bool, to_survey: Iterable[str]) -> None:
        self.sent: list[Sent] = []
        self.withheld: set[str] = set()
        self.unanswered = set(to_survey)
        self._venue = venue
        self._applies = applies

    def heard(self, report: Report) -> None:
        """Something was said."""
        self.unanswered.discard(
            report.symbol if isinstance(report, Statement | Correction) else report.client_order_id
        )

    def send(self, request: Request) -> None:
        """Let a question through; note everything else."""
        match request:
            case Lookup():
                self.unanswered.add(request.client_order_id)
                self._venue.send(request)
            case Place() | Amend():
                action = "place" if isinstance(request, Place) else "amend"
                self._note(action, request.order.symbol, request.client_order_id)
            case PlaceList(places=places):
                for place in places:
                    self._note("place", place.order.symbol, place.client_order_id)
            case Cancel():
                self._note("cancel", request.symbol, request.client_order_id, is_sent=self._applies)
                if self._applies:
                    self._venue.send(request)
            case _:
                self._venue.send(request)

    def _note(self, action: str, symbol: str, client_order_id: str, is_sent: bool = False) -> None:
        if not is_sent:
            self.withheld.add(client_order_id)
        sent = Sent(action, symbol, client_order_id)
        if sent not in self.sent:
            self.sent.append(sent)


class _Nobody:
    """The kernel's gate and books where there is no strategy: nothing gets in, nothing is counted."""

    def admit(
        self,
        order: StandardOrder,
        metadata: Mapping[str, str],
        replaces: str | None = None,
        beside: Sequence[StandardOrder] = (),
        closes: StandardOrder | None = None,
    ) -> Approved:
        """Refuse."""
        raise SafetyError("nothing is placed while the bot does not run", todo="start it with `quant trade`")

    def positions(self, symbol_id: str | None = None) -> list[Position]:
        """None are counted."""
        return []

    def account_state(self) -> AccountState:
        """Nothing is counted."""
        return AccountState("", "", (), (), None, 0)


class _Audience:
    """The kernel alone, where `RealTime` expects a stage."""

    def __init__(self, kernel: ExchangeKernel, gateway: _Looking) -> None:
        self.kernel = kernel
        self.next_due = kernel.next_due
        self.due = kernel.run_due
        self._gateway = gateway

    @property
    def is_settled(self) -> bool:
        """Whether the exchange has answered, and nothing but what was withheld is left to do."""
        pending = self.kernel.get_reconciliation_metrics().pending_reconciliations
        return not self._gateway.unanswered and pending <= len(self._gateway.withheld)

    def close(self) -> None:
        pass

    async def hear(self, reports: Iterable[Report]) -> None:
        for report in reports:
            await self.kernel.observe(report)
            self._gateway.heard(report)

    async def see(self, event: MarketEvent) -> None:
        pass

    async def lose_sight(self) -> None:
        pass


async def inspect(
    database: Path,
    world: World,
    credentials: Credentials,
    applies: bool,
    look_s: float = _LOOK_S,
    cancels: Sequence[str] = (),
) -> Found:
    """Compare a bot's orders with the exchange, and cancel what is not wanted if `applies`; the wishes in
    `cancels` are not wanted any more.

    Raises `ExchangeError` where it cannot be reached, `StoreError` where the database is in use or damaged.
    """
    clock, inbox = SteadyClock(), Inbox()
    async with AsyncExitStack() as stack:
        path = database
        if not applies:
            path = Path(stack.enter_context(TemporaryDirectory())) / database.name
            _copy(database, path)
        store = await stack.enter_async_context(opened(path))
        wished = {intent.order.symbol for intent in (await store.load()).intents}
        symbols = sorted(wished | {fill.symbol for fill in await store.fills()})
        venue = live_venue(world, credentials, clock, inbox)
        stack.push_async_callback(venue.close)
        await venue.open(symbols)
        await same_owner(store, (await venue.permissions()).account)
        gateway = _Looking(venue, applies, symbols if venue.contract.statement else ())
        nobody = _Nobody()
        kernel = ExchangeKernel(
            world.exchange,
            store,
            gateway,
            nobody,
            nobody,
            venue.instruments,
            clock,
            Policy(venue=venue.contract),
        )
        audience, notices = _Audience(kernel, gateway), list[Notice | Missed]()
        time = RealTime(audience, inbox, clock, notices.append)
        await kernel.start(symbols, Halted.NEW if applies else Halted.NOT)
        try:
            for intent_id in cancels:
                await kernel.cancel_order(intent_id, "cancelled by hand while the bot did not run")
            await kernel.force_reconciliation()
            is_settled = await time.settle(Ending(look_s, inbox))
            findings = (await kernel.health_check()).findings
        finally:
            await kernel.stop()
        return Found(tuple(gateway.sent), await store.everything(), findings, is_settled)


def _copy(database: Path, path: Path) -> None:
    address = f"{database.absolute().as_uri()}?mode=ro"
    with closing(sqlite3.connect(address, uri=True)) as source, closing(sqlite3.connect(path)) as target:
        source.backup(target)
