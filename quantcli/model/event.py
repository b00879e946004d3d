"""Events that are not market data: what happened to orders, positions, the portfolio, the program.

Every struct names its own bus topic (`topic`), built from the kind and the symbol.  Market data
carries no topic method, because its publishers hold the topic (see `bus`).
"""

from decimal import Decimal
from enum import StrEnum

import msgspec

from quantcli.model.account import Position
from quantcli.model.market import Channel
from quantcli.model.order import Fill, OrderIntent, OrderState


class OrderEventKind(StrEnum):
    """What happened to an order."""

    SUBMITTED = "submitted"
    ACCEPTED = "accepted"
    FILLED = "filled"
    CANCELLED = "cancelled"
    REJECTED = "rejected"
    MODIFIED = "modified"
    EXPIRED = "expired"
    UNKNOWN = "unknown"


class OrderEvent(msgspec.Struct, frozen=True, gc=False):
    """A step in an order's life.  `fill` is set on FILLED only; `state` is `None` for wishes that
    were refused before any attempt."""

    kind: OrderEventKind
    at_ns: int
    intent: OrderIntent
    state: OrderState | None = None
    fill: Fill | None = None
    reason: str = ""

    @property
    def topic(self) -> str:
        """`order.<kind>.<symbol>`."""
        return f"order.{self.kind.value}.{self.intent.order.symbol}"


class PositionEventKind(StrEnum):
    """What a fill did to a position."""

    OPENED = "opened"
    MODIFIED = "modified"
    CLOSED = "closed"


class PositionEvent(msgspec.Struct, frozen=True, gc=False):
    """A position after a fill."""

    kind: PositionEventKind
    at_ns: int
    position: Position

    @property
    def topic(self) -> str:
        """`position.<kind>.<symbol>`."""
        return f"position.{self.kind.value}.{self.position.symbol}"


class PortfolioValue(msgspec.Struct, frozen=True):
    """The account's worth at one moment, in `currency`."""

    at_ns: int
    currency: str
    equity: Decimal

    @property
    def topic(self) -> str:
        """`portfolio.value`."""
        return "portfolio.value"


class RiskLimit(msgspec.Struct, frozen=True, gc=False):
    """A wish that a risk check refused."""

    at_ns: int
    check: str
    symbol: str
    reason: str

    @property
    def topic(self) -> str:
        """`portfolio.risk_limit`."""
        return "portfolio.risk_limit"


Event = OrderEvent | PositionEvent | PortfolioValue | RiskLimit

_MARKET_KIND = {
    Channel.QUOTES: "tick",
    Channel.TRADES: "trade",
    Channel.AGG_TRADES: "trade",
    Channel.BOOK: "book",
    Channel.BARS: "bar",
    Channel.MARKS: "mark",
}


def market_topic(channel: Channel, symbol: str) -> str:
    """Topic of a market's data: `market.tick.BTC/USDT`."""
    return f"market.{_MARKET_KIND[channel]}.{symbol}"
