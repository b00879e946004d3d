"""What goes wrong in the demo, and when: a script of faults, or faults of all kinds at random.

Acts through the controls of the sandbox alone; what the bot makes of it is what there is to see.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from functools import partial
from itertools import cycle, product
from threading import Event
from time import monotonic
from typing import Any, NamedTuple, TypeVar

from quantcli.errors import NotFoundError, QuantError
from quantcli.runtime.control.wire import OrderItem
from quantcli.runtime.demo import MARKETS, Demo

T = TypeVar("T")
_BTC, _ETH = MARKETS
PLACE, CANCEL, LOOK = "POST /api/v3/order", "DELETE /api/v3/order", "GET /api/v3/order"
# For how long the exchange keeps silent about an order whose answer is lost: long enough to be seen.
_SILENCE_S = 2.5
# Far enough for the orders to be moved, not so far that they are filled.
_JUMP = 0.2
_JUMPS = 4  # they are moved by then, wherever they were
_HEALED_S = 20.0
_LOOK_EVERY_S = 0.1

# Everything at once, all the time, but so that most of it works; and how often the market is pushed
# meanwhile, so that there is something to fail, and it is told what did.
CHAOS: tuple[dict[str, Any], ...] = (
    {"on": PLACE, "fault": "lost_answer", "chance": 0.15},
    {"on": PLACE, "fault": "lost_request", "chance": 0.1},
    {"on": PLACE, "fault": "status", "chance": 0.1, "status": 400, "code": -2010, "message": "refused"},
    {"on": PLACE, "fault": "delay", "chance": 0.2, "seconds": 1.0},
    {"on": CANCEL, "fault": "lost_answer", "chance": 0.15},
    {"on": CANCEL, "fault": "delay", "chance": 0.2, "seconds": 1.0, "after": True},
    {"on": LOOK, "fault": "status", "chance": 0.1, "status": 503, "code": -1008},
    {"on": "user *", "fault": "drop", "chance": 0.15},
    {"on": "user *", "fault": "duplicate", "chance": 0.15},
    {"on": "user *", "fault": "reorder", "chance": 0.15, "seconds": 1.0},
    {"on": "user *", "fault": "disconnect", "chance": 0.03, "sockets": "user"},
    {"on": "market *", "fault": "gap", "chance": 0.001, "count": 5},
)
_PUSH_EVERY_S = 1.5
_PUSHES_TOLD = 3


class Step(NamedTuple):
    """Something that goes wrong: how many seconds after the beginning, and what is told of it."""

    at_s: float
    told: str
    act: Callable[["Mischief"], None]


class Mischief:
    """What is done to a demo, until `stop` is set.  `tell` is called with a line for people at each step, and
    for what cannot be done."""

    def __init__(self, demo: Demo, tell: Callable[[str], None], stop: Event) -> None:
        self.demo, self.tell, self.stop = demo, tell, stop

    def play(self, steps: Sequence[Step]) -> None:
        """Do everything at its time."""
        began = monotonic()
        for step in steps:
            if self.stop.wait(max(0.0, began + step.at_s - monotonic())):
                return
            self.tell(step.told)
            self.attempt(partial(step.act, self))

    def rage(self) -> None:
        """Faults of all kinds at random, in a market that does not rest."""
        self.attempt(partial(self.faults, *CHAOS))
        pushes = product((_JUMP, -_JUMP), MARKETS)
        for number, (by, market) in enumerate(cycle(pushes)):
            if self.stop.wait(_PUSH_EVERY_S):
                return
            self.attempt(partial(self.jump, market, by))
            if number % _PUSHES_TOLD == _PUSHES_TOLD - 1:
                self.attempt(self._tell_faults)

    def _tell_faults(self) -> None:
        met = Counter(strike["fault"] for strike in self.demo.exchange.ask("chaos")["strikes"])
        if met:
            self.tell(", ".join(f"{count} {name}" for name, count in met.most_common()))

    def attempt(self, act: Callable[[], None]) -> None:
        """Do it, or tell why not."""
        try:
            act()
        except QuantError as error:
            if not self.stop.is_set():
                self.tell(f"that could not be done: {error.what} {error.why}".rstrip())

    def faults(self, *rules: dict[str, Any]) -> None:
        """These faults from now on, and no others."""
        self.demo.exchange.ask("chaos", {"rule": list(rules)})

    def jump(self, market: str, by: float = _JUMP) -> None:
        """Take a market up, or down, at once."""
        bid, ask = (f"{price + by:.2f}" for price in self.demo.exchange.best(market))
        self.demo.exchange.ask("quote", {"symbol": market, "bid": bid, "ask": ask})

    def order_in(self, market: str, slot: str) -> str:
        """The exchange's number of the order that rests in a slot; waits until there is one."""
        if (found := self.wait(lambda: self._resting(market, slot))) is None:
            raise NotFoundError(f"nothing rests in {market} {slot}")
        return str(found.exchange_order_id)

    def _resting(self, market: str, slot: str) -> OrderItem | None:
        rows = (row for row in self.rows("=/") if (row.symbol, row.slot) == (market, slot))
        return next((row for row in rows if row.exchange_order_id), None)

    def rows(self, marks: str) -> list[OrderItem]:
        """The rows that begin with one of these characters."""
        return [row for row in self.demo.orders().items if row.mark in marks]

    def wait(self, look: Callable[[], T | None], for_s: float = _HEALED_S) -> T | None:
        """What `look` finds, as soon as it finds something; `None` if it is too late, or stopped."""
        ends = monotonic() + for_s
        while (found := look()) is None and monotonic() < ends and not self.stop.wait(_LOOK_EVERY_S):
            pass
        return found

    def heal(self, told: str) -> None:
        """Wait until nothing is unknown any more, and tell it."""
        if self.wait(lambda: not self.rows("!") or None):
            self.tell(told)


# The steps.


def silence(market: str) -> tuple[dict[str, Any], ...]:
    """The next placement there is carried out, its answer lost, and for a while nothing else tells of it."""
    name = market.replace("/", "")
    return (
        {"on": PLACE, "fault": "lost_answer", "calls": [1], "where": {"symbol": name}},
        {"on": LOOK, "fault": "delay", "seconds": _SILENCE_S, "where": {"symbol": name}},
        {"on": "user executionReport", "fault": "late", "seconds": _SILENCE_S, "where": {"s": name}},
    )


def lose_an_answer(on: Mischief) -> None:
    """An order is accepted, and nobody says so."""
    on.faults(*silence(_BTC))
    for _ in range(_JUMPS):
        on.jump(_BTC)
        if on.wait(lambda: on.rows("!") or None, _SILENCE_S / 4):
            break
    on.stop.wait(_SILENCE_S / 2)
    on.faults()
    on.heal("... the kernel asked, found it there and goes on: = in sync; never sent twice")


def drop_the_stream(on: Mischief) -> None:
    """Something happens while nobody listens."""
    number, rest = on.order_in(_ETH, "bid"), on.demo.exchange
    rest.ask("disconnect", {"kind": "user"})
    rest.ask("fill", {"orderId": number, "qty": "0.1"})


def place_a_foreign_order(on: Mischief) -> None:
    """Somebody with the same account trades too."""
    _, ask = on.demo.exchange.best(_ETH)
    terms = {"symbol": _ETH, "side": "SELL", "quantity": "0.4", "price": f"{ask + 25:.2f}"}
    on.demo.exchange.ask("order", terms)


def cancel_by_hand(on: Mischief) -> None:
    """As on the exchange's web page."""
    on.demo.exchange.ask("cancel", {"orderId": on.order_in(_BTC, "ask")})


def resume(on: Mischief) -> None:
    """As `quant orders resume`."""
    on.demo.client.do("unpause", symbol=_BTC, slot="ask")


def stand_for_a_picture(on: Mischief) -> None:
    """One row of each kind at once: in sync, partly filled, nobody's, being moved, and unknown."""

    def is_seen() -> bool | None:
        for market in MARKETS:
            on.jump(market, 0.0)  # the market stands still, but is to be seen
        return bool(on.rows("x")) or None

    is_seen()
    number = on.order_in(_ETH, "bid")
    place_a_foreign_order(on)
    on.wait(is_seen)
    second = {"on": CANCEL, "fault": "delay", "calls": [2], "seconds": _SILENCE_S}
    on.faults(*silence(_BTC), second)
    on.demo.exchange.ask("fill", {"orderId": number, "qty": "0.1"})
    on.jump(_BTC)


STORY = (
    Step(5, "an order is accepted and the answer lost: its row turns ! unknown", lose_an_answer),
    Step(9, "the private stream drops; an order is filled in part meanwhile", drop_the_stream),
    Step(12, "somebody else trades on this account: x orphan, left alone", place_a_foreign_order),
    Step(15, f"cancelled by hand on the exchange: {_BTC} ask pauses, nobody is fought", cancel_by_hand),
)
RESUMED = Step(18, f"quant orders resume {_BTC}/ask: the slot goes on", resume)
FREE = Step(24, "that was all that was planned; look around.  q leaves", lambda _: None)
PICTURE = Step(0, "an order is unknown while another is moved", stand_for_a_picture)
