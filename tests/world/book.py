"""One order as the exchange has it, with all it ever looked like: copies that lag show older versions."""

from decimal import Decimal

from quantcli.model.message import Observation
from quantcli.model.order import Fill, Order, OrderStatus, StandardOrder

_ZERO = Decimal(0)
_TERMINAL = frozenset(status for status in OrderStatus if status.is_terminal)


class Version:
    """What an order looked like since `at_ns` (true time); `venue_ns` is the exchange's clock then."""

    __slots__ = ("at_ns", "filled", "order", "status", "venue_ns")

    def __init__(
        self, at_ns: int, venue_ns: int, status: OrderStatus, filled: Decimal, order: StandardOrder
    ) -> None:
        self.at_ns, self.venue_ns = at_ns, venue_ns
        self.status, self.filled, self.order = status, filled, order


class Booked:
    """An order on the exchange.

    `filled` and `fills` are the truth; a fill is told from its time of visibility on, which may be later than
    the trade.  `owner` is the intent it belongs to, empty for strangers' orders.
    """

    __slots__ = (
        "blind_until_ns",
        "client_order_id",
        "created_ns",
        "ended_ns",
        "exchange_order_id",
        "fills",
        "hidden",
        "order",
        "owner",
        "sibling",
        "status",
        "versions",
    )

    def __init__(
        self, client_order_id: str, exchange_order_id: str, order: StandardOrder, now_ns: int
    ) -> None:
        self.client_order_id, self.exchange_order_id = client_order_id, exchange_order_id
        self.order, self.created_ns = order, now_ns
        self.status = OrderStatus.NEW
        self.fills: list[tuple[int, Fill]] = []  # visible since, fill
        self.hidden = _ZERO  # traded, but not counted yet in what is told
        self.owner = ""
        self.sibling: Booked | None = None
        self.ended_ns = 0
        self.blind_until_ns = 0
        self.versions: list[Version] = []

    @property
    def is_live(self) -> bool:
        """It may still trade."""
        return self.status not in _TERMINAL

    @property
    def filled(self) -> Decimal:
        """What has traded, told or not."""
        return sum([fill.qty for _, fill in self.fills], _ZERO)

    @property
    def rest(self) -> Decimal:
        """What may still trade."""
        return self.order.quantity - self.filled

    def note(self, now_ns: int, venue_ns: int) -> None:
        """It looks different from now on."""
        if self.status in _TERMINAL and not self.ended_ns:
            self.ended_ns = now_ns
        told = self.filled - self.hidden
        self.versions.append(Version(now_ns, venue_ns, self.status, told, self.order))

    def as_of(self, ns: int) -> Version | None:
        """What it looked like; `None` before it existed."""
        for version in reversed(self.versions):
            if version.at_ns <= ns:
                return version
        return None

    def fills_as_of(self, ns: int) -> tuple[Fill, ...]:
        """The fills that were visible."""
        return tuple([fill for visible_ns, fill in self.fills if visible_ns <= ns])

    def shown(self, version: Version, fills: tuple[Fill, ...], reason: str = "") -> Observation:
        """What the exchange says of it."""
        return Observation(
            self.client_order_id,
            self.exchange_order_id,
            version.status,
            version.filled,
            version.venue_ns,
            fills,
            reason,
            version.order,
        )

    def listed(self, version: Version) -> Order:
        """As a row of a list."""
        order = version.order
        return Order(
            order.symbol,
            self.client_order_id,
            self.exchange_order_id,
            order.side,
            order.type,
            version.status,
            order.quantity,
            version.filled,
            order.price,
            order.stop_price,
            self.versions[0].venue_ns,
            version.venue_ns,
        )
