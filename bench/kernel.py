"""`make bench-kernel`: what it costs that nothing is forgotten, beside what the disk alone costs.

durable     an order from the call until it is durable and handed over, beside one overwrite and fdatasync
            of 4 KiB on the same disk, by turns
together    orders a second with many callers at once, beside one after the other
core        events a second through the kernel's heart, without a store
recovery    from a database with a million closed orders to a kernel that has looked at every open one

python bench/kernel.py [--rounds 5] [--orders 400] [--closed 1000000]
"""

import argparse
import asyncio
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Coroutine, Mapping, Sequence
from decimal import Decimal
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from ledger import IDENTITY, ORDER, SYMBOL, prepared, reset

from quantcli.clock import WallClock
from quantcli.kernel.api import ExchangeKernel
from quantcli.kernel.core import Core
from quantcli.kernel.policy import Policy
from quantcli.kernel.steps import Admit, Boot, CancelIntents, Event, Observed, Send
from quantcli.model.account import AccountState, Position
from quantcli.model.instrument import Side, Symbol, SymbolMetadata
from quantcli.model.message import Observation, Place, Request
from quantcli.model.order import Fill, OrderIntent, OrderState, OrderStatus, StandardOrder
from quantcli.ports import Approved
from quantcli.store.api import JournalEntry, Loaded
from quantcli.store.sqlite import SQLiteStore

T = TypeVar("T")
DATA = Path(__file__).parent / ".data"
SLICE = 25  # so many of one kind in turn, then of the next
CALLERS = (1, 16, 128)
OPEN = {1_000: 2.0, 10_000: 5.0}  # open orders, and how many seconds recovery may take
BLOCK = bytes(4096)
RULES = SymbolMetadata(Symbol("BTC", "USDT"), "bench", "BTCUSDT", Decimal("0.01"), Decimal("0.001"))


class Recovery(NamedTuple):
    """Seconds to open the database, to load from it, and to start a kernel on it (which loads again)."""

    open_s: float
    load_s: float
    start_s: float


class Void:
    """Gateway, gate and accounts in one: takes everything, lets everything pass, holds nothing."""

    def send(self, request: Request) -> None:
        pass

    def admit(
        self,
        order: StandardOrder,
        metadata: Mapping[str, str],
        replaces: str | None = None,
        beside: Sequence[StandardOrder] = (),
        closes: StandardOrder | None = None,
    ) -> Approved:
        return Approved(order, dict(metadata))

    def positions(self, symbol_id: str | None = None) -> list[Position]:
        return []

    def account_state(self) -> AccountState:
        return AccountState("bench", "USDT", (), (), None, 0)


def main() -> None:
    options = argparse.ArgumentParser()
    options.add_argument("--rounds", type=int, default=5)
    options.add_argument("--orders", type=int, default=400)
    options.add_argument("--closed", type=int, default=1_000_000)
    chosen = options.parse_args()
    DATA.mkdir(exist_ok=True)
    print(f"python {sys.version.split()[0]}, medians of {chosen.rounds} rounds")
    durable = in_rounds("durable", chosen.rounds, lambda folder: durability(folder, chosen.orders))
    report_durable(durable)
    together = in_rounds("together", chosen.rounds, lambda folder: throughput(folder, chosen.orders))
    report_together(together)
    rates = [core_rate(5 * chosen.orders) for _ in range(chosen.rounds)]
    print(f"\n{'core, events/s':<44}{statistics.median(rates):>10,.0f}")
    for still_open, goal_s in OPEN.items():
        path = prepared(DATA, chosen.closed, still_open)
        runs = []
        for _ in range(chosen.rounds):
            reset(path, chosen.closed, still_open)
            runs.append(asyncio.run(recovery(path)))
        report_recovery(runs, still_open, chosen.closed, goal_s)


def in_rounds(name: str, count: int, measure: Callable[[Path], Coroutine[Any, Any, T]]) -> list[T]:
    """What each round measured, in a folder of its own on the disk of the benches."""
    found: list[T] = []
    for number in range(count):
        sys.stderr.write(f"\r{name}: round {number + 1} of {count} ")
        with tempfile.TemporaryDirectory(dir=DATA) as folder:
            found.append(asyncio.run(measure(Path(folder))))
    sys.stderr.write("\r" + " " * 40 + "\r")
    return found


async def started(path: Path) -> tuple[SQLiteStore, ExchangeKernel]:
    store = SQLiteStore(path)
    await store.open()
    void = Void()
    kernel = ExchangeKernel("bench", store, void, void, void, {SYMBOL: RULES}, WallClock(), Policy())
    await kernel.start()
    return store, kernel


async def durability(folder: Path, count: int) -> dict[str, list[float]]:
    """Seconds of each overwrite, each bare commit, each order, by turns."""
    seconds: dict[str, list[float]] = {"overwrite": [], "commit": [], "order": []}
    bare = SQLiteStore(folder / "bare.db")
    await bare.open()
    store, kernel = await started(folder / "kernel.db")
    floor = os.open(folder / "floor", os.O_RDWR | os.O_CREAT)
    os.pwrite(floor, BLOCK * count, 0)
    os.fsync(floor)
    for first in range(0, count, SLICE):
        turn = range(first, min(first + SLICE, count))
        seconds["overwrite"] += [overwrite(floor, number) for number in turn]
        for number in turn:
            rows = rows_of(number)
            began = time.perf_counter()
            await bare.commit(rows)
            seconds["commit"].append(time.perf_counter() - began)
        for _ in turn:
            began = time.perf_counter()
            await kernel.place_order(ORDER, {"by": "bench"})
            seconds["order"].append(time.perf_counter() - began)
    os.close(floor)
    await kernel.stop()
    await store.close()
    await bare.close()
    return seconds


def overwrite(file: int, number: int) -> float:
    began = time.perf_counter()
    os.pwrite(file, BLOCK, number * len(BLOCK))
    os.fdatasync(file)
    return time.perf_counter() - began


def rows_of(number: int) -> tuple[OrderIntent, OrderState, JournalEntry]:
    """What an order makes durable before it is sent."""
    intent_id = f"{number:020x}"
    return (
        OrderIntent(intent_id, ORDER, number, metadata={"by": "bench"}),
        OrderState(intent_id, 1, f"{number:032x}", ORDER, 1, number),
        JournalEntry(number, intent_id, 1, "prepared"),
    )


async def throughput(folder: Path, count: int) -> dict[int, float]:
    """Orders a second by number of callers, each placing one after the other."""
    rates = {}
    for callers in CALLERS:
        store, kernel = await started(folder / f"{callers}.db")
        each = max(count // callers, 4)

        async def call(kernel: ExchangeKernel = kernel, each: int = each) -> None:
            for _ in range(each):
                await kernel.place_order(ORDER, {"by": "bench"})

        began = time.perf_counter()
        await asyncio.gather(*(call() for _ in range(callers)))
        rates[callers] = callers * each / (time.perf_counter() - began)
        await kernel.stop()
        await store.close()
    return rates


def core_rate(orders: int) -> float:
    """Events a second of the core alone: orders acknowledged, every other filled, the rest cancelled."""
    core = Core(IDENTITY, Policy(), {SYMBOL: RULES})
    now_ns, events, spent_s = 1, 0, 0.0

    def step(event: Event) -> list[Request]:
        nonlocal now_ns, events, spent_s
        now_ns += 1_000_000
        began = time.perf_counter()
        commits = core.step(now_ns, event)
        spent_s += time.perf_counter() - began
        events += 1
        then = [effect for commit in commits for effect in commit.then]
        return [effect.request for effect in then if isinstance(effect, Send)]

    step(Boot(Loaded()))
    for number in range(orders):
        intent_id = core.new_intent_id()
        sent = step(Admit(Approved(ORDER, {"by": "bench"}), intent_id))
        client_order_id = next(request.client_order_id for request in sent if isinstance(request, Place))
        step(seen(client_order_id, number, now_ns, OrderStatus.NEW))
        if number % 2:
            step(seen(client_order_id, number, now_ns, OrderStatus.FILLED))
        else:
            step(CancelIntents((intent_id,)))
            step(seen(client_order_id, number, now_ns, OrderStatus.CANCELED))
    assert not core.view.open, "every order has ended"
    return events / spent_s


def seen(client_order_id: str, number: int, now_ns: int, status: OrderStatus) -> Observed:
    order_id = str(number)
    filled = ORDER.quantity if status is OrderStatus.FILLED else Decimal(0)
    fill = Fill(
        order_id,
        SYMBOL,
        Side.BUY,
        ORDER.quantity,
        Decimal("29000.5"),
        Decimal("0.4"),
        "USDT",
        True,
        now_ns,
        client_order_id,
        order_id,
    )
    return Observed(Observation(client_order_id, order_id, status, filled, now_ns, (fill,) if filled else ()))


async def recovery(path: Path) -> Recovery:
    store, void = SQLiteStore(path), Void()
    moments = [time.perf_counter()]
    await store.open()
    moments.append(time.perf_counter())
    await store.load()
    moments.append(time.perf_counter())
    kernel = ExchangeKernel("bench", store, void, void, void, {SYMBOL: RULES}, WallClock(), Policy())
    await kernel.start()
    moments.append(time.perf_counter())
    await kernel.stop()
    await store.close()
    return Recovery(*(after - before for before, after in pairwise(moments)))


def quantile(seconds: Sequence[float], share: float) -> float:
    return sorted(seconds)[min(int(len(seconds) * share), len(seconds) - 1)]


def report_durable(rounds: list[dict[str, list[float]]]) -> None:
    print(f"\n{'durable':<44}{'p50 us':>10}{'p99 us':>10}")
    for name in rounds[0]:
        figures = [[quantile(found[name], share) * 1e6 for found in rounds] for share in (0.5, 0.99)]
        print(f"{name:<44}" + "".join(f"{statistics.median(figure):>10,.0f}" for figure in figures))
    for name, share, goal in (
        ("order", 0.5, "  (goal: at most 1.3)"),
        ("order", 0.99, ""),
        ("commit", 0.5, ""),
        ("commit", 0.99, ""),
    ):
        ratios = [quantile(each[name], share) / quantile(each["overwrite"], share) for each in rounds]
        what = f"{name} by overwrite, p{share * 100:.0f}{goal}"
        print(f"{what:<54}{statistics.median(ratios):>10.2f}")


def report_together(rounds: list[dict[int, float]]) -> None:
    print(f"\n{'together':<44}{'orders/s':>10}")
    for callers in CALLERS:
        rate = statistics.median(found[callers] for found in rounds)
        print(f"{callers:>4} {'callers' if callers > 1 else 'caller':<39}{rate:>10,.0f}")
    for callers in CALLERS[1:]:
        ratios = [found[callers] / found[1] for found in rounds]
        print(f"{f'{callers} callers by one':<54}{statistics.median(ratios):>10.2f}")


def report_recovery(runs: list[Recovery], still_open: int, closed: int, goal_s: float) -> None:
    print(f"\n{f'recovery, {still_open:,} open of {closed + still_open:,}':<44}{'s':>10}")
    for name, figure in zip(Recovery._fields, zip(*runs, strict=True), strict=True):
        print(f"{name.removesuffix('_s'):<44}{statistics.median(figure):>10.2f}")
    whole = statistics.median(run.open_s + run.start_s for run in runs)
    print(f"{f'open and start  (goal: under {goal_s:g} s)':<44}{whole:>10.2f}")


if __name__ == "__main__":
    main()
