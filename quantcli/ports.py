"""The sockets that worlds plug into: what the core needs of an exchange, of risk, of accounting.

The live, the imagined and the remembered world implement these; the kernel and the engine only ever see
these.  Protocols without behaviour, but for `Approved`, whose only maker is the risk gate.
"""

from collections.abc import Mapping, Sequence
from typing import Protocol

import msgspec

from quantcli.model.account import AccountState, Position
from quantcli.model.message import Request
from quantcli.model.order import StandardOrder


class Gateway(Protocol):
    """The way to an exchange.  Never blocks, never raises: what comes of a request, silence included,
    arrives later as a `model.message.Report`."""

    def send(self, request: Request) -> None:
        """Hand over a request."""
        ...


class Approved(msgspec.Struct, frozen=True, gc=False):
    """An order that passed every risk check.  Only `trading.risk` constructs it (a test sees to that),
    and the kernel accepts nothing else."""

    order: StandardOrder
    metadata: dict[str, str]


class Gate(Protocol):
    """Admission: the one way for an order into the kernel."""

    def admit(
        self,
        order: StandardOrder,
        metadata: Mapping[str, str],
        replaces: str | None = None,
        beside: Sequence[StandardOrder] = (),
        closes: StandardOrder | None = None,
    ) -> Approved:
        """Check an order; `replaces` is the intent whose exposure it takes over, `beside` are orders that
        come into being with it.  `closes` is the entry whose exit it is.

        Raises `ValidationError` for an impossible order, `RiskRefused` for a forbidden one.
        """
        ...


class Accounts(Protocol):
    """What is held, by our own books."""

    def positions(self, symbol_id: str | None = None) -> list[Position]:
        """Positions, in order of symbol."""
        ...

    def account_state(self) -> AccountState:
        """Balances, positions and equity now."""
        ...
