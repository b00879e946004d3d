"""How a bot's connections are: up or down, since when, how often they dropped and why.

Learns from remarks that people get to read (`Notice`), from market data that arrive, and from those who hold
a connection and know whether it is up.  Connects nothing.
"""

from collections.abc import Mapping

from quantcli.runtime.control.wire import LinkLine
from quantcli.venues.inbox import Missed, Notice

MARKET, USER, REST = "market ws", "user ws", "rest"

# Which connection a remark is about, by its kind; the private stream says its name first.
_ABOUT = {
    "reconnect": MARKET,
    "stale": MARKET,
    "stopped": REST,
    "breaker": REST,
    "limit": REST,
    "clock": REST,
}
_PRIVATE = ("private stream", "the private stream")
_IS_BACK = "the exchange answers again"


class _Link:
    def __init__(self) -> None:
        self.state, self.since_ns = "unknown", 0
        self.drops, self.reason = 0, ""

    def turn(self, is_up: bool, now_ns: int) -> None:
        state = "ok" if is_up else "down"
        if state != self.state:
            self.drops += self.state == "ok"
            self.state, self.since_ns = state, now_ns


class Links:
    """The connections of one bot, each known from when it is first heard of."""

    def __init__(self) -> None:
        self._links: dict[str, _Link] = {}

    def note(self, remark: Notice | Missed, now_ns: int) -> None:
        """Something was remarked about a connection, or about something else."""
        if isinstance(remark, Missed):
            if remark.reason.startswith(_PRIVATE):  # said when it has begun anew
                self.turn(USER, True, now_ns)
            return
        is_private = remark.message.startswith(_PRIVATE)
        name = USER if is_private else _ABOUT.get(remark.kind)
        if name is None or remark.kind == "malformed":
            return
        if remark.kind == "breaker" and remark.message == _IS_BACK:
            self.turn(name, True, now_ns)
            return
        self._of(name).reason = remark.message.partition(": ")[2] if is_private else remark.message
        if remark.kind in {"reconnect", "breaker"} or is_private:
            self.turn(name, False, now_ns)

    def turn(self, name: str, is_up: bool, now_ns: int) -> None:
        """A connection is known to be up, or down."""
        self._of(name).turn(is_up, now_ns)

    def lines(self, known: Mapping[str, bool], now_ns: int) -> tuple[LinkLine, ...]:
        """How all are; `known` is what those say who hold them."""
        for name, is_up in known.items():
            self.turn(name, is_up, now_ns)
        order = {name: place for place, name in enumerate((MARKET, USER, REST))}
        return tuple(
            LinkLine(name, link.state, link.since_ns, link.drops, link.reason)
            for name, link in sorted(self._links.items(), key=lambda item: order.get(item[0], len(order)))
        )

    def _of(self, name: str) -> _Link:
        return self._links.setdefault(name, _Link())
