"""`make campaign-kill`: many kills in several lanes, and the page that says what came of them."""

import argparse
import platform
import subprocess
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

from tests.live.kills import Tally, lane, points
from tests.live.verdict import total

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "kills.md"


def main() -> int:
    """Kill, compare, write the page; 0 if nothing was lost, doubled or miscounted."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--lanes", type=int, default=4)
    asked = parser.parse_args()
    began = time.monotonic()
    with TemporaryDirectory() as folder, ThreadPoolExecutor(asked.lanes) as pool:
        every = len(list(points()))
        shares = [asked.kills // asked.lanes + (n < asked.kills % asked.lanes) for n in range(asked.lanes)]
        running = [
            pool.submit(lane, Path(folder) / str(n), asked.seed * 1000 + n, share, n * every // asked.lanes)
            for n, share in enumerate(shares)
        ]
        tallies = [future.result() for future in running]
    line = summary(tallies)
    if asked.kills >= 1000:
        PAGE.write_text(page(tallies, line, asked.kills, asked.seed, time.monotonic() - began))
    failures = [failure for tally in tallies for failure in tally.failures]
    for failure in failures:
        sys.stderr.write(f"{failure}\n")
    sys.stdout.write(f"{line}\n")
    return 1 if failures else 0


def summary(tallies: Sequence[Tally]) -> str:
    """The last line of the program."""
    sums = total(verdict for tally in tallies for verdict in tally.verdicts)
    kills, orders = sum(t.kills for t in tallies), sum(t.orders for t in tallies)
    lost = sums.get("wrong", 0) + sums.get("lost", 0) + sums.get("in_flight", 0)
    miscounted = sums.get("unbooked", 0) + sums.get("invented", 0)
    miscounted += sum(v.booked_twice for t in tallies for v in t.verdicts)
    return (
        f"{kills} kills, {orders} orders, {lost} lost, {sums.get('doubled', 0)} doubled, "
        f"{miscounted} fills miscounted"
    )


def page(tallies: Sequence[Tally], line: str, kills: int, seed: int, took_s: float) -> str:
    """What `docs/kills.md` says."""
    verdicts = [verdict for tally in tallies for verdict in tally.verdicts]
    recoveries = sorted(s for tally in tallies for s in tally.recoveries_s)
    positions = sum(verdict.position == verdict.position_there for verdict in verdicts)
    last = recoveries[int(0.99 * (len(recoveries) - 1))]
    commit = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, cwd=ROOT, check=False
    ).stdout.strip()
    moments, chosen = len(list(points())), sum(tally.points for tally in tallies)
    rows = {
        "date, commit": f"{datetime.now(UTC):%Y-%m-%d}, {commit}",
        "Python, ccxt": f"{platform.python_version()}, {version('ccxt')}",
        "time taken": f"{took_s / 60:.0f} min",
        "kills in the middle of a call, before or after it was carried out": f"{chosen}, {moments} moments",
        "kills at random, a quarter of them before the bot was ready": f"{kills - chosen}",
        "comparisons": f"{len(verdicts)}",
        "of these with equal positions": f"{positions}",
        "fills compared": f"{sum(tally.fills for tally in tallies):,}",
        "start to trading again, median and 99 %": f"{median(recoveries):.2f} s, {last:.2f} s",
    }
    table = "\n".join(f"| {what} | {figure} |" for what, figure in rows.items())
    return f"""# Killed, again and again

The installed bot trades live against `quant sandbox binance`, over sockets, on a real state database, under
faults; it is killed with SIGKILL, started again, killed again.  After every twentieth kill the faults stop, a
bot that places nothing more puts everything right, and the exchange's truth is held against the bot's ledger,
order by order and fill by fill.  Written by

```sh
make campaign-kill KILLS={kills} SEED={seed}
```

> {line}

|  |  |
| --- | --- |
{table}

**lost** counts orders that the exchange has and the bot does not, or knows otherwise, wishes without an
order, and orders still in doubt; **doubled** wishes of which more was executed or worked than was wished;
**miscounted** fills that are missing, invented or counted twice.  The faults and the moments are in
`tests/live/kills.py`; `make test` has a short run of it.
"""


if __name__ == "__main__":
    sys.exit(main())
