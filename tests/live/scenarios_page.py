"""`make scenarios`: every order-path fault once more, and the page with what came of it."""

import platform
import subprocess
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory

from quantcli.model.instrument import canonical
from tests.live.scenarios import ORDERS, SCENARIOS, Result, run

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "scenarios.md"
_LANES = 6
_TEMPLATE = Path(__file__).with_suffix(".md")


def main() -> int:
    """Run them, write the page; 0 if every ledger was the truth."""
    with TemporaryDirectory() as folder, ThreadPoolExecutor(_LANES) as lanes:
        results = list(lanes.map(lambda s: run(s, Path(folder) / s.name), SCENARIOS))
    commit = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, cwd=ROOT, check=False
    ).stdout.strip()
    page = _TEMPLATE.read_text(encoding="utf-8").format(
        orders=ORDERS,
        date=f"{datetime.now(UTC):%Y-%m-%d}",
        commit=commit,
        python=platform.python_version(),
        ccxt=version("ccxt"),
        rows="".join(map(_row, results)),
    )
    PAGE.write_text(page, encoding="utf-8")
    return _say(results)


def _row(result: Result) -> str:
    v = result.verdict
    counts = (
        v.orders,
        v.wrong,
        v.orphans,
        v.in_flight,
        v.doubled,
        v.unbooked,
        v.invented,
        v.booked_twice,
        v.lost,
    )
    cells = [result.name, result.what, *map(str, counts)]
    cells += [f"{canonical(v.position)} / {canonical(v.position_there)}", f"{result.worst_s:.1f}"]
    return f"| {' | '.join(cells)} |\n"


def _say(results: Sequence[Result]) -> int:
    failed = [result for result in results if not result.verdict.is_clean]
    for result in failed:
        sys.stderr.write(f"{result.name}: {result.verdict}\n{result.log}\n")
    longest = max(result.worst_s for result in results if result.name not in ("l40", "m"))
    orders = sum(result.verdict.orders for result in results)
    sys.stdout.write(
        f"{len(results)} scenarios, {orders} orders, {len(failed)} failed, longest doubt {longest:.1f} s\n"
    )
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
