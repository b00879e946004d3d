"""`make bench-live`: what the way to a live exchange costs, against a sandbox that is a process of its own.

submit      an order from the call to its acceptance, beside the same request sent bare and the commits on
            the way
messages    the recording's messages through our feed, beside ccxt.pro and cryptofeed, as whole processes
recovery    from the start of a killed bot's process to a thousand open orders in step with the exchange
record      rows that `quant record` takes to disk

python bench/live.py [--rounds 5] [--orders 400] [--kills 12] [--speed 0] [--only submit,messages,…]

cryptofeed gets an environment of its own under bench/.data, made on the first run.
"""

import argparse
import json
import statistics
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import live_feeds
import live_recovery
from live_feeds import Run
from live_sandbox import sandbox

T = TypeVar("T")
HERE = Path(__file__).parent
DATA = HERE / ".data"
PARTS = ("submit", "messages", "recovery", "record")
RECORDED_S = 24.338 * 3600  # how long the shipped recording lasts
WIDTH = 54


def main() -> None:
    options = argparse.ArgumentParser()
    options.add_argument("--rounds", type=int, default=5)
    options.add_argument("--orders", type=int, default=400, help="of each kind in a round")
    options.add_argument("--kills", type=int, default=12)
    options.add_argument(
        "--speed", type=float, default=0, help="of the messages: times real time, 0 is at once"
    )
    options.add_argument("--only", default=",".join(PARTS), help="comma between")
    chosen = options.parse_args()
    DATA.mkdir(exist_ok=True)
    parts: dict[str, Callable[[argparse.Namespace], None]] = {
        "submit": submit,
        "messages": messages,
        "recovery": recovery,
        "record": record,
    }
    print(f"python {sys.version.split()[0]}, medians of {chosen.rounds} rounds")
    for name in chosen.only.split(","):
        parts[name.strip()](chosen)


def in_rounds(name: str, count: int, measure: Callable[[], T]) -> list[T]:
    """What each round measured."""
    found = []
    for number in range(count):
        sys.stderr.write(f"\r{name}: round {number + 1} of {count} ")
        found.append(measure())
    sys.stderr.write("\r" + " " * 60 + "\r")
    return found


def line(what: str, value: float, digits: int = 2) -> None:
    print(f"{what:<{WIDTH}}{value:>12,.{digits}f}", flush=True)


def quantile(figures: Sequence[float], share: float) -> float:
    return sorted(figures)[min(int(len(figures) * share), len(figures) - 1)]


# From the call to the acceptance.


def submit(chosen: argparse.Namespace) -> None:
    rounds = in_rounds("submit", chosen.rounds, lambda: _submitted(chosen.orders))
    for each in rounds:
        each["ours without commits"] = [
            whole - commits for whole, commits in zip(each["ours"], each["commits"], strict=True)
        ]
    print(f"\n{'submit to ack':<{WIDTH - 10}}{'p50 us':>11}{'p99 us':>11}")
    for name, what in (
        ("bare", "bare HTTP"),
        ("ours", "ours, to the acceptance"),
        ("handed over", "of it: durable and handed over"),
        ("commits", "of it: commits"),
    ):
        _both(what, [[quantile(each[name], share) for each in rounds] for share in (0.5, 0.99)])
    over = [
        [quantile(each["ours without commits"], share) - quantile(each["bare"], share) for each in rounds]
        for share in (0.5, 0.99)
    ]
    _both("ours - bare - commits  (goal: p50 at most 1,000)", over)
    for share in (0.5, 0.99):
        ratios = [quantile(each["ours"], share) / quantile(each["bare"], share) for each in rounds]
        line(f"ours by bare HTTP, p{share * 100:.0f}", statistics.median(ratios))


def _both(what: str, figures: list[list[float]]) -> None:
    print(f"{what:<{WIDTH - 10}}" + "".join(f"{statistics.median(each) * 1e6:>11,.0f}" for each in figures))


def _submitted(orders: int) -> dict[str, list[float]]:
    """Seconds of each order of one round."""
    words = ["--symbol", "BTC/USDT", "--symbol", "ETH/USDT", "--balance", "10000000 USDT"]
    with sandbox("--no-limits", *words) as exchange:
        job = json.dumps(exchange.told | {"orders": orders})
        command = [sys.executable, str(HERE / "live_submit.py"), "ours", job]
        said = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout
    found: dict[str, list[float]] = json.loads(said.strip().rpartition("\n")[2])
    return found


# Messages.


def messages(chosen: argparse.Namespace) -> None:
    clients, last = live_feeds.clients(), live_feeds.last_rows()
    runs: dict[str, list[Run]] = {name: [] for name in clients}
    for number in range(chosen.rounds):
        for name in list(clients):
            sys.stderr.write(f"\rmessages: round {number + 1} of {chosen.rounds}: {name:<20}")
            try:
                runs[name].append(live_feeds.heard(clients[name], last, chosen.speed))
            except RuntimeError as error:
                if name.startswith("ours"):
                    raise
                print(f"{name} cannot be measured here: {error}")
                del clients[name], runs[name]
    sys.stderr.write("\r" + " " * 60 + "\r")
    rows = runs["ours"][0].rows
    print(f"\n{f'messages, {rows:,} of them':<34}{'k/CPU s':>11}{'k/s':>11}{'shown':>11}")
    for name, found in runs.items():
        figures = [
            statistics.median(rate) / 1_000 for rate in ([r.rows / r.cpu_s for r in found], _walls(found))
        ]
        shown = statistics.median(sum(run.seen.values()) for run in found)
        print(f"{name:<34}" + "".join(f"{figure:>11,.1f}" for figure in figures) + f"{shown:>11,.0f}")
    for ours, theirs, goal in (
        ("ours", "ccxt.pro", "  (goal: at least 5)"),
        ("ours, events only", "ccxt.pro", ""),
        ("ours, TLS", "cryptofeed, TLS", ""),
    ):
        if theirs in runs:
            _compare(ours, runs[ours], theirs, runs[theirs], goal)
    trades = {name: sorted({run.seen["trades"] for run in found}) for name, found in runs.items()}
    same = len({count for counts in trades.values() for count in counts}) == 1
    print(f"trades shown: {f'{trades.popitem()[1][0]:,} to each' if same else f'NOT the same: {trades}'}")


def _walls(runs: list[Run]) -> list[float]:
    return [run.rows / run.wall_s for run in runs]


def _compare(ours: str, own: list[Run], theirs: str, others: list[Run], goal: str) -> None:
    pairs = list(zip(own, others, strict=True))
    line(f"{ours} by {theirs}: per CPU s{goal}", statistics.median(b.cpu_s / a.cpu_s for a, b in pairs))
    line(f"{ours} by {theirs}: wall", statistics.median(b.wall_s / a.wall_s for a, b in pairs))
    shown = [(sum(a.seen.values()) / a.cpu_s) / (sum(b.seen.values()) / b.cpu_s) for a, b in pairs]
    line(f"{ours} by {theirs}: shown per CPU s", statistics.median(shown))


# After SIGKILL.


def recovery(chosen: argparse.Namespace) -> None:
    found = live_recovery.recoveries(chosen.kills)
    count = live_recovery.EACH * len(live_recovery.MARKETS)
    what = f"recovery, {count:,} open, {chosen.kills} kills"
    print(f"\n{what:<{WIDTH - 10}}{'p50 s':>11}{'p99 s':>11}")
    rows: dict[str, Any] = {
        "process start to modules there": [run.imported_s for run in found],
        "process start to ready": [run.ready_s for run in found],
        "process start to in step": [run.in_step_s for run in found],
        "modules to in step  (goal: p99 under 2)": [run.in_step_s - run.imported_s for run in found],
    }
    for name, seconds in rows.items():
        figures = [quantile(seconds, share) for share in (0.5, 0.99)]
        print(f"{name:<{WIDTH - 10}}" + "".join(f"{figure:>11.2f}" for figure in figures), flush=True)


# Recording.


def record(chosen: argparse.Namespace) -> None:
    runs = in_rounds("record", chosen.rounds, live_feeds.recorded)
    print(f"\n{f'record, {runs[0].rows:,} rows':<{WIDTH}}")
    line("rows/s to the journal", statistics.median(_walls(runs)), 0)
    line("rows per CPU second, files made", statistics.median(run.rows / run.cpu_s for run in runs), 0)
    line("CPU us per row", statistics.median(run.cpu_s / run.rows * 1e6 for run in runs), 1)
    line("times real time", statistics.median(RECORDED_S / run.wall_s for run in runs), 0)
    written = sorted({sum(run.seen.values()) for run in runs})
    print(f"rows written: {', '.join(f'{count:,}' for count in written)} (the snapshot is one more)")


if __name__ == "__main__":
    main()
