"""Fakes at the kernel's ports, and a bench that holds a started kernel in virtual time."""

from collections.abc import Mapping, Sequence
from decimal import Decimal

import pytest

from quantcli.clock import NS_PER_S, VirtualClock
from quantcli.errors import RiskRefused
from quantcli.kernel.api import ExchangeKernel
from quantcli.kernel.policy import Policy
from quantcli.model.account import AccountState, Position
from quantcli.model.event import OrderEvent, OrderEventKind
from quantcli.model.instrument import Side, Symbol, SymbolMetadata
from quantcli.model.message import Observation, Place, Request
from quantcli.model.order import Fill, OrderStatus, OrderType, StandardOrder, TimeInForce
from quantcli.ports import Approved
from quantcli.store.api import Identity
from quantcli.store.memory import MemoryStore

START_NS = 1_700_000_000 * NS_PER_S
SYMBOL = "BTC/USDT"


class RecordingGateway:
    """Keeps what is sent; answers nothing."""

    def __init__(self) -> None:
        self.sent: list[Request] = []

    def send(self, request: Request) -> None:
        self.sent.append(request)

    def take(self, kind: type[Request]) -> list[Request]:
        taken = [request for request in self.sent if isinstance(request, kind)]
        self.sent = [request for request in self.sent if not isinstance(request, kind)]
        return taken


class LooseGate:
    """Lets every order pass but those of more than 1000, and groups of more than 1000 in all."""

    def admit(
        self,
        order: StandardOrder,
        metadata: Mapping[str, str],
        replaces: str | None = None,
        beside: Sequence[StandardOrder] = (),
        closes: StandardOrder | None = None,
    ) -> Approved:
        if order.quantity + sum(other.quantity for other in beside) > 1000:
            raise RiskRefused("too large", check="quantity")
        return Approved(order, dict(metadata))


class NoAccounts:
    def positions(self, symbol_id: str | None = None) -> list[Position]:
        return []

    def account_state(self) -> AccountState:
        return AccountState("test", "USDT", (), (), None, 0)


INSTRUMENTS = {
    SYMBOL: SymbolMetadata(Symbol("BTC", "USDT"), "test", "BTCUSDT", Decimal("0.01"), Decimal("0.001"))
}


class Bench:
    """One kernel over a memory store; `events` is what it told."""

    def __init__(self, policy: Policy, store: MemoryStore | None = None) -> None:
        self.clock = VirtualClock(START_NS)
        self.gateway = RecordingGateway()
        self.store = store or MemoryStore(Identity(7, 99, b"secret", 1))
        self.events: list[OrderEvent] = []
        self.policy = policy
        self.kernel = self.new_kernel()

    def new_kernel(self) -> ExchangeKernel:
        kernel = ExchangeKernel(
            "test",
            self.store,
            self.gateway,
            LooseGate(),
            NoAccounts(),
            INSTRUMENTS,
            self.clock,
            self.policy,
        )
        kernel.subscribe_events(self.events.append)
        return kernel

    @property
    def now_ns(self) -> int:
        return self.clock.now_ns()

    async def restart(self) -> None:
        """A new process over the same rows: memory is gone."""
        self.kernel = self.new_kernel()
        await self.kernel.start()

    async def wait(self, seconds: float) -> None:
        """Let time pass, running what falls due on the way."""
        end_ns = self.clock.now_ns() + round(seconds * NS_PER_S)
        while (due_ns := self.kernel.next_due()) is not None and due_ns <= end_ns:
            self.clock.advance_to(due_ns)
            await self.kernel.run_due()
        self.clock.advance_to(end_ns)

    async def place(self, quantity: str = "1", **terms: object) -> tuple[str, str]:
        """Place an order; its intent id and client order id."""
        intent_id = await self.kernel.place_order(self.order(quantity, **terms), {"by": "test"})
        return intent_id, self.placed()

    def placed(self) -> str:
        """Client order id of the one placement sent since the last look."""
        (place,) = self.gateway.take(Place)
        return place.client_order_id

    async def show(
        self, client_order_id: str, status: OrderStatus, filled: str = "0", *fills: Fill, reason: str = ""
    ) -> None:
        """The exchange shows an order."""
        now_ns = self.clock.now_ns()
        report = Observation(client_order_id, "X1", status, Decimal(filled), now_ns, fills, reason)
        await self.kernel.observe(report)

    def fill(self, client_order_id: str, trade_id: str, qty: str, price: str = "100") -> Fill:
        return Fill(
            trade_id,
            SYMBOL,
            Side.BUY,
            Decimal(qty),
            Decimal(price),
            Decimal(0),
            "USDT",
            True,
            self.clock.now_ns(),
            client_order_id,
            "X1",
        )

    def kinds(self) -> list[OrderEventKind]:
        """Kinds of the events told since the last look."""
        kinds = [event.kind for event in self.events]
        self.events.clear()
        return kinds

    @staticmethod
    def order(
        quantity: str = "1",
        price: str | None = "100",
        side: Side = Side.BUY,
        order_type: OrderType = OrderType.LIMIT,
        tif: TimeInForce = TimeInForce.GTC,
    ) -> StandardOrder:
        limit = Decimal(price) if price else None
        return StandardOrder(SYMBOL, side, order_type, Decimal(quantity), limit, time_in_force=tif)


@pytest.fixture
def identity() -> Identity:
    return Identity(tag=0xBEEF, nonce=0x1234_5678_9ABC, key=b"a key of some length", epoch=3)


@pytest.fixture
def make_bench():
    """Makes benches whose kernel is not started yet."""
    return Bench


@pytest.fixture
async def bench() -> Bench:
    """A bench with a started kernel and default patience."""
    bench = Bench(Policy())
    await bench.kernel.start()
    return bench
