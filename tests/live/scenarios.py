"""The order-path faults that other systems were measured under, here against the installed bot over sockets.

Each scenario: so many orders, each hit once (or as often as said), a bot that has to find out, and at the
end the exchange's truth beside the bot's ledger.  Letters are those of the published comparisons.
"""

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec

from quantcli.model.order import AttemptState
from quantcli.store.api import JournalEntry, Loaded
from tests.live.bot import Bot
from tests.live.strategies import CANCELLER, PLACER, STUBBORN
from tests.live.verdict import Verdict, compare
from tests.loopback import Sandbox

ORDERS = 50
PLACE, CANCEL = "POST /api/v3/order", "DELETE /api/v3/order"
_REPORTS = "user executionReport"
# Each wish is hit once: its first placement, which says so in its id (`kernel.identity`).
_EACH = {"where": {"newClientOrderId": "?" * 24 + "01" + "?" * 6}}
_BEGUN_WITH = {"USDT": Decimal(1_000_000), "BTC": Decimal(5)}
# What the journal says when a placement is no longer in doubt.
_CERTAIN = {"buried", *(state.name for state in AttemptState if state is not AttemptState.AMBIGUOUS)}
Rule = Mapping[str, Any]

_LATE = {"on": _REPORTS, "fault": "late", "seconds": 0.5}
_LOST = {"on": "user *", "fault": "drop"}
_FILL_LOST = {"on": _REPORTS, "fault": "drop", "where": {"x": "TRADE"}}
_UNKNOWN = {"status": 504, "code": -1007, "message": "Timeout waiting for response from backend server."}
_NO_CANCEL_LEFT = {"once_per": "origClientOrderId"}


def _answer(fault: str, on: str = PLACE, **keys: Any) -> Rule:
    return {"on": on, "fault": fault, **(_EACH if on == PLACE else _NO_CANCEL_LEFT), **keys}


class Scenario(msgspec.Struct, frozen=True):
    """`rules` are in force from the start; `then` happens when all orders are out; `settle_s` is how long
    the bot may take from there."""

    name: str
    what: str
    rules: Sequence[Rule] = ()
    strategy: str = PLACER
    params: Mapping[str, str] = {}
    then: Callable[["Run"], None] | None = None
    settle_s: float = 25.0


class Result(msgspec.Struct, frozen=True):
    """What came of a scenario.  `resolved_s`: from the last change of an order on the exchange to the bot's
    last step; `worst_s`: the longest from the sending of a placement to the end of all doubt about it."""

    name: str
    what: str
    verdict: Verdict
    resolved_s: float
    worst_s: float
    starts: int
    log: str


class Run:
    """A scenario under way."""

    def __init__(self, scenario: Scenario, folder: Path, exchange: Sandbox) -> None:
        self.scenario = scenario
        self.exchange = exchange
        self.bot = Bot(folder, exchange.told, scenario.strategy)
        self._params = [
            word
            for name, value in ({"count": str(ORDERS)} | dict(scenario.params)).items()
            for word in ("--param", f"{name}={value}")
        ]

    def start(self, *words: str) -> None:
        """Start the bot, again perhaps."""
        self.bot.start(*self._params, *words)

    def restart(self) -> None:
        """Start it again, to place nothing more."""
        self.bot.start(*self._params, "--param", "count=0")
        self.bot.wait_ready()

    def wait(self, until: Callable[[], bool], timeout_s: float) -> bool:
        """Look every so often whether something is so."""
        ends = time.monotonic() + timeout_s
        while time.monotonic() < ends:
            if until():
                return True
            if not self.bot.is_running and self.bot.starts:
                return False
            time.sleep(0.25)
        return False

    def placed(self) -> int:
        """How many wishes the bot has."""
        return len(self.bot.ledger().intents)

    def there(self) -> int:
        """How many orders the exchange has taken."""
        return len(self.exchange.orders())

    def compare(self) -> Verdict:
        """Truth beside ledger, now."""
        return compare(self.exchange.truth(), self.bot.ledger(), _BEGUN_WITH, "BTC")

    def is_clean(self) -> bool:
        """Whether they agree now."""
        return self.placed() >= ORDERS and self.compare().is_clean


def run(scenario: Scenario, folder: Path) -> Result:
    """Run one from beginning to end."""
    words = [word for asset, n in _BEGUN_WITH.items() for word in ("--balance", f"{n} {asset}")]
    with Sandbox("--seed", "7", "--symbol", "BTC/USDT", *words) as exchange:
        going = Run(scenario, folder, exchange)
        try:
            exchange.chaos(*scenario.rules)
            going.start()
            going.bot.wait_ready()
            assert going.wait(lambda: going.placed() >= ORDERS, 60), going.bot.said
            if scenario.then is not None:
                scenario.then(going)
            going.wait(going.is_clean, scenario.settle_s)
            verdict, ledger = going.compare(), going.bot.ledger()
            if going.bot.is_running:
                going.bot.stop()
            return _result(going, verdict, ledger)
        finally:
            going.bot.end()


def _result(going: Run, verdict: Verdict, ledger: Loaded) -> Result:
    last_there = max((order["updated_ns"] for order in going.exchange.orders()), default=0)
    last_here = max((intent.updated_ns for intent in ledger.intents), default=0)
    return Result(
        going.scenario.name,
        going.scenario.what,
        verdict,
        max(0.0, (last_here - last_there) / 1e9),
        max(_doubts_s(going.bot.journal()), default=0.0),
        going.bot.starts,
        going.bot.said[-3000:],
    )


def _doubts_s(journal: Iterable[JournalEntry]) -> Iterator[float]:
    """For each placement that was in doubt: seconds from its sending to the end of the doubt."""
    placed: dict[tuple[str, int], int] = {}
    doubtful: set[tuple[str, int]] = set()
    for entry in journal:
        key = entry.intent_id, entry.attempt
        if entry.what == "placed":
            placed[key] = entry.at_ns
        elif entry.what == AttemptState.AMBIGUOUS.name:
            doubtful.add(key)
        elif key in doubtful and entry.what in _CERTAIN:
            doubtful.discard(key)
            yield (entry.at_ns - placed[key]) / 1e9


# What happens once all orders are out.


def _fill_all(run_: Run) -> None:
    run_.wait(lambda: run_.there() >= ORDERS, 30)
    run_.exchange.fill()


def _fill_in_halves(run_: Run) -> None:
    """Each order in two parts, of which the bot is told of one only."""
    run_.wait(lambda: run_.there() >= ORDERS, 30)
    for part in (0, 1):
        for order in run_.exchange.orders():
            if order["status"] in ("NEW", "PARTIALLY_FILLED"):
                run_.exchange.fill(order["order_id"], None if part else "0.0005")


def _kill_and_restart(run_: Run) -> None:
    run_.wait(lambda: run_.there() >= ORDERS, 30)
    run_.bot.kill()
    run_.restart()


def _half_fill_kill_and_restart(run_: Run) -> None:
    run_.wait(lambda: run_.there() >= ORDERS, 30)
    run_.bot.kill()
    for order in run_.exchange.orders()[::2]:
        run_.exchange.fill(order["order_id"])
    run_.restart()


def _fill_while_down(run_: Run) -> None:
    run_.wait(lambda: run_.there() >= ORDERS, 30)
    time.sleep(2)
    run_.bot.kill()
    run_.exchange.fill()
    run_.restart()


def _cancel_by_hand(run_: Run) -> None:
    run_.wait(lambda: run_.there() >= ORDERS, 30)
    for order in run_.exchange.orders():
        run_.exchange.cancel(order["order_id"])


def _an_hour_passes(run_: Run) -> None:
    run_.wait(lambda: run_.there() >= ORDERS, 30)
    run_.exchange.jump(3700)
    time.sleep(20)


_LIMITS = {"kind": "limit"}
_CROSSING = {"kind": "crossing"}
_LAG = {"on": "GET /api/v3/*", "fault": "lag"}

SCENARIOS = (
    Scenario("a", "no fault"),
    Scenario("b1", "placed, answer lost, event at once", [_answer("lost_answer")]),
    Scenario("b2", "placed, answer lost, event 0.5 s later", [_answer("lost_answer"), _LATE]),
    Scenario("b3", "placed, answer and event lost", [_answer("lost_answer"), _LOST]),
    Scenario("bt", "placed, never answered, event lost", [_answer("lost_answer", hold=True), _LOST]),
    Scenario(
        "br", "b3, and the strategy wishes again what is refused", [_answer("lost_answer"), _LOST], STUBBORN
    ),
    Scenario("c1", "placed, 504 / -1007, event at once", [_answer("status", applied=True, **_UNKNOWN)]),
    Scenario(
        "c2", "placed, 504 / -1007, event 0.5 s later", [_answer("status", applied=True, **_UNKNOWN), _LATE]
    ),
    Scenario("c3", "placed, 504 / -1007, event lost", [_answer("status", applied=True, **_UNKNOWN), _LOST]),
    Scenario("c4", "placed, 504 with HTML, event later", [_answer("html", status=504, applied=True), _LATE]),
    Scenario(
        "c2e",
        "every placement answered 504 / -1007, events lost",
        [{"on": PLACE, "fault": "status", "applied": True, **_UNKNOWN}, _LOST],
    ),
    Scenario(
        "cr",
        "c3, and the strategy wishes again what is refused",
        [_answer("status", applied=True, **_UNKNOWN), _LOST],
        STUBBORN,
    ),
    Scenario("d", "never reached the exchange, no answer", [_answer("lost_request", hold=True)]),
    Scenario("dd", "never reached the exchange, socket closed", [_answer("lost_request")]),
    Scenario("e1", "200 with an empty body, placed", [_answer("empty")]),
    Scenario("e3", "200 with an empty body, placed, event lost", [_answer("empty"), _LOST]),
    Scenario(
        "f1", "cancel answered by a closed socket", [_answer("lost_answer", CANCEL)], CANCELLER, _LIMITS
    ),
    Scenario("f3", "the same, event lost", [_answer("lost_answer", CANCEL), _LOST], CANCELLER, _LIMITS),
    Scenario(
        "fc",
        "cancel 504 / -1007, done, event lost",
        [_answer("status", CANCEL, applied=True, **_UNKNOWN), _LOST],
        CANCELLER,
        _LIMITS,
    ),
    Scenario(
        "fb", "cancel never reached the exchange", [_answer("lost_request", CANCEL)], CANCELLER, _LIMITS
    ),
    Scenario("g", "fill event lost", [_FILL_LOST], params=_LIMITS, then=_fill_all, settle_s=60),
    Scenario(
        "gp",
        "one of two partial fills lost",
        [{**_FILL_LOST, "every": 2}],
        params=_LIMITS,
        then=_fill_in_halves,
        settle_s=60,
    ),
    Scenario(
        "gl",
        "fill events 25 s late",
        [{"on": _REPORTS, "fault": "late", "seconds": 25, "where": {"x": "TRADE"}}],
        params=_LIMITS,
        then=_fill_all,
        settle_s=45,
    ),
    Scenario(
        "h",
        "every event doubled, newest first",
        [{"on": _REPORTS, "fault": "duplicate"}, {"on": _REPORTS, "fault": "reorder", "seconds": 0.5}],
    ),
    Scenario(
        "i",
        "SIGKILL between sending and answer, resting",
        [_answer("delay", seconds=20, after=True), _LOST],
        params=_LIMITS | {"every_": "20ms"},
        then=_kill_and_restart,
        settle_s=40,
    ),
    Scenario(
        "im",
        "the same, half of them filled while down",
        [_answer("delay", seconds=20, after=True), _LOST],
        params=_LIMITS | {"every_": "20ms"},
        then=_half_fill_kill_and_restart,
        settle_s=40,
    ),
    Scenario("j", "SIGKILL, all fill while down", params=_LIMITS, then=_fill_while_down, settle_s=40),
    Scenario(
        "k", "cancelled by hand, event lost", [_LOST], params=_LIMITS, then=_cancel_by_hand, settle_s=60
    ),
    Scenario(
        "l",
        "answer and event lost, queries 10 s behind",
        [_answer("lost_answer"), _LOST, {**_LAG, "seconds": 10}],
        settle_s=45,
    ),
    Scenario(
        "l40",
        "answer and event lost, look-ups and lists 40 s behind",
        [
            _answer("lost_answer"),
            _LOST,
            *(
                {"on": f"GET /api/v3/{name}", "fault": "lag", "seconds": 40}
                for name in ("order", "openOrders", "myTrades")
            ),
        ],
        settle_s=120,
    ),
    Scenario(
        "m",
        "maintenance for 45 s in the middle of it",
        [{"on": PLACE, "fault": "maintenance", "seconds": 45, "calls": [10]}],
        settle_s=90,
    ),
    Scenario("o", "live orders an hour old", params=_LIMITS, then=_an_hour_passes, settle_s=60),
)
