"""Kills a bot again and again, at random moments and at chosen ones, and holds its ledger to the truth.

One lane is one exchange, one bot, one folder.  A round of a lane: start the bot under faults, let it trade,
SIGKILL it, start it again, and so on; then the faults stop, a bot that places nothing more puts everything
right, and every order and fill is compared.  Moments are drawn from the lane's seed; what the machine makes
of them is its own affair, so a run is not repeated to the letter, only its plan is.
"""

import time
from collections.abc import Iterator, Mapping
from decimal import Decimal
from itertools import cycle
from pathlib import Path
from random import Random
from typing import Any

import msgspec

from tests.live.bot import Bot
from tests.live.strategies import BUSY
from tests.live.verdict import Verdict, compare
from tests.loopback import Sandbox

_BEGUN_WITH = {"USDT": Decimal(10_000_000), "BTC": Decimal(500)}
# Faults while a bot trades: each of these so often.
_CHANCE = 0.02
_FAULTS: tuple[Mapping[str, Any], ...] = (
    {"on": "POST /api/v3/order", "fault": "lost_request"},
    {"on": "POST /api/v3/order", "fault": "lost_answer"},
    {"on": "POST /api/v3/order", "fault": "status", "status": 504, "code": -1007, "applied": True},
    {"on": "POST /api/v3/order", "fault": "status", "status": 504, "code": -1007, "applied": False},
    {"on": "POST /api/v3/order", "fault": "delay", "seconds": 0.7},
    {"on": "POST /api/v3/order", "fault": "empty"},
    {"on": "DELETE /api/v3/order", "fault": "lost_request"},
    {"on": "DELETE /api/v3/order", "fault": "lost_answer"},
    {"on": "DELETE /api/v3/order", "fault": "truncate", "bytes": 30},
    {"on": "GET /api/v3/order", "fault": "html", "status": 502},
    {"on": "GET /api/v3/openOrders", "fault": "lost_answer"},
    {"on": "user executionReport", "fault": "drop"},
    {"on": "user executionReport", "fault": "duplicate"},
    {"on": "user executionReport", "fault": "late", "seconds": 0.4},
)
# A bot is killed in the middle of the n-th of these calls: before it is carried out, and after.
_CALLS = (
    "POST /api/v3/order",
    "DELETE /api/v3/order",
    "GET /api/v3/order",
    "GET /api/v3/openOrders",
    "GET /api/v3/account",
    "GET /api/v3/exchangeInfo",
)
_NTH = (1, 2, 5)
_ROUND = 20


class Tally(msgspec.Struct):
    """What one lane has found."""

    kills: int = 0
    points: int = 0
    orders: int = 0
    fills: int = 0
    rounds: int = 0
    verdicts: list[Verdict] = []
    recoveries_s: list[float] = []
    failures: list[str] = []


def points() -> Iterator[tuple[str, int, bool]]:
    """Every chosen moment: in which call, the how manieth, and whether it is carried out before the kill."""
    for call in _CALLS:
        for nth in _NTH:
            for applied in (False, True):
                yield call, nth, applied


def lane(folder: Path, seed: int, kills: int, first_point: int = 0) -> Tally:
    """Kill a bot `kills` times; every third time at a chosen moment."""
    dice, tally, chosen = Random(seed), Tally(verdicts=[], recoveries_s=[], failures=[]), cycle(points())
    for _ in range(first_point):
        next(chosen)
    while tally.kills < kills:
        _round(folder / f"round{tally.rounds}", dice, tally, min(_ROUND, kills - tally.kills), chosen)
        tally.rounds += 1
        if tally.failures:
            break
    return tally


def _round(
    folder: Path, dice: Random, tally: Tally, kills: int, chosen: Iterator[tuple[str, int, bool]]
) -> None:
    words = [word for asset, n in _BEGUN_WITH.items() for word in ("--balance", f"{n} {asset}")]
    with Sandbox("--seed", str(dice.randrange(1_000_000)), "--symbol", "BTC/USDT", *words) as exchange:
        bot = Bot(folder, exchange.told, BUSY)
        try:
            for number in range(kills):
                if number % 3 == 2:
                    _kill_in_a_call(bot, exchange, dice, *next(chosen))
                    tally.points += 1
                else:
                    _kill_some_time(bot, exchange, dice)
                tally.kills += 1
            exchange.chaos()
            _put_right(bot, exchange, tally)
        finally:
            bot.end()


def _faults(dice: Random) -> list[dict[str, Any]]:
    """The faults of one life of the bot: some of them, some of the time."""
    return [{**rule, "chance": _CHANCE} for rule in _FAULTS if dice.random() < 0.5]


def _kill_some_time(bot: Bot, exchange: Sandbox, dice: Random) -> None:
    """Anywhere between the first instruction and a second of trading."""
    exchange.chaos(*_faults(dice), seed=dice.randrange(1_000_000))
    bot.start()
    if dice.random() < 0.75:
        bot.wait_ready()
        time.sleep(dice.random() * 2.5)
    else:
        time.sleep(dice.random() * 1.2)
    bot.kill()


def _kill_in_a_call(bot: Bot, exchange: Sandbox, dice: Random, call: str, nth: int, applied: bool) -> None:
    fault = "lost_answer" if applied else "lost_request"
    exchange.chaos(
        {"on": call, "fault": fault, "hold": True, "calls": [nth]},
        *_faults(dice),
        seed=dice.randrange(1_000_000),
    )
    bot.start()
    ends = time.monotonic() + 5
    while time.monotonic() < ends and bot.is_running:
        if any(strike["rule"] == 1 for strike in exchange.strikes()):
            break
        time.sleep(0.01)
    bot.kill()


def _put_right(bot: Bot, exchange: Sandbox, tally: Tally) -> None:
    """Without faults, and with nothing more to wish, everything must come out even."""
    began = time.monotonic()
    bot.start("--param", "idle=true")
    try:
        bot.wait_ready()
    except AssertionError as error:
        tally.failures.append(str(error))
        return
    tally.recoveries_s.append(time.monotonic() - began)
    ends = time.monotonic() + 120
    verdict = compare(exchange.truth(), bot.ledger(), _BEGUN_WITH, "BTC")
    while not verdict.is_clean and time.monotonic() < ends and bot.is_running:
        time.sleep(0.5)
        verdict = compare(exchange.truth(), bot.ledger(), _BEGUN_WITH, "BTC")
    tally.verdicts.append(verdict)
    tally.orders += verdict.orders
    tally.fills += len(exchange.truth()["fills"])
    if not verdict.is_clean:
        tally.failures.append(f"{bot.folder}: {verdict}\n{bot.said[-2000:]}")
    elif bot.stop() not in (0, 5):
        tally.failures.append(f"{bot.folder}: it did not stop in good order\n{bot.said[-2000:]}")
