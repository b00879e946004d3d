"""Real processes die, real writes fail: what was acknowledged is there, and nothing is half."""

import asyncio
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from quantcli.store.sqlite import SQLiteStore, open_readonly

PRELUDE = """
import asyncio, resource, sys
from decimal import Decimal
from pathlib import Path
from quantcli.errors import StoreError
from quantcli.model.instrument import Side
from quantcli.model.order import AttemptState, Fill, OrderIntent, OrderState, OrderType, StandardOrder
from quantcli.store.sqlite import SQLiteStore

def rows(n):
    order = StandardOrder("BTC/USDT", Side.BUY, OrderType.LIMIT, Decimal(1), Decimal(100))
    return [
        OrderIntent(n, order, 1),
        OrderState(n, 1, "c" + n, order, 1, 1),
        Fill(n, "BTC/USDT", Side.BUY, Decimal(1), Decimal(100), Decimal(0), "USDT", True, 1, "c" + n, ""),
    ]
"""

# Several tasks commit without end and say what was acknowledged.
ENDLESS = (
    PRELUDE
    + """
async def commit_for_ever(store, name):
    n = 0
    while True:
        await store.commit(rows(f"{name}-{n}"))
        print(f"{name}-{n}", flush=True)
        n += 1

async def main():
    store = SQLiteStore(Path(sys.argv[1]))
    await store.open()
    await asyncio.gather(*(commit_for_ever(store, f"{store.identity.epoch}-{task}") for task in range(4)))

asyncio.run(main())
"""
)

# The file may not grow past a limit; commit until that fails, then lift the limit and try again.
FULL_DISK = (
    PRELUDE
    + """
async def main():
    store = SQLiteStore(Path(sys.argv[1]))
    await store.open()
    hard = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
    resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, hard))
    n = 0
    try:
        while True:
            await store.commit(rows(str(n)))
            print(n, flush=True)
            n += 1
    except StoreError as error:
        print("failed:", error.why, error.todo, sep="|")
    resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
    for change in (store.commit(rows("later")), store.set_meta("later", "")):
        try:
            await change
            print("accepted")
        except StoreError:
            print("refused")
    await store.load()
    await store.close()

asyncio.run(main())
"""
)


async def contents(path: Path) -> tuple[set[str], set[str], set[str]]:
    """Ids of intents, of attempts, of fills; the same to a reader that comes first and to the next writer."""
    async with open_readonly(path) as reading:
        loaded = await reading.load()
    store = SQLiteStore(path)
    await store.open()
    try:
        assert await store.load() == loaded
    finally:
        await store.close()
    return (
        {intent.intent_id for intent in loaded.intents},
        {state.intent_id for state in loaded.states},
        {fill.trade_id for fill in loaded.fills},
    )


@pytest.mark.parametrize("acknowledgements", [1, 40, 400])
def test_a_killed_process_loses_nothing_it_acknowledged(tmp_path: Path, acknowledgements: int) -> None:
    path, acknowledged = tmp_path / "state.db", set()
    with subprocess.Popen(
        [sys.executable, "-c", ENDLESS, str(path)], stdout=subprocess.PIPE, text=True
    ) as child:
        assert child.stdout is not None
        try:
            for _ in range(acknowledgements):
                acknowledged.add(child.stdout.readline().strip())
        finally:
            child.send_signal(signal.SIGKILL)
        acknowledged |= {line.strip() for line in child.stdout if line.endswith("\n")}
    intents, states, fills = asyncio.run(contents(path))
    assert len(acknowledged) >= acknowledgements
    assert acknowledged <= intents
    assert intents == states == fills


def test_after_a_failed_write_nothing_more_is_accepted(tmp_path: Path) -> None:
    path = tmp_path / "state.db"
    child = subprocess.run(
        [sys.executable, "-c", FULL_DISK, str(path)], capture_output=True, text=True, timeout=30, check=True
    )
    *acknowledged, failed, first, second = child.stdout.splitlines()
    assert failed.startswith("failed:|OperationalError")
    assert (first, second) == ("refused", "refused")
    assert acknowledged
    intents, states, fills = asyncio.run(contents(path))
    assert intents == states == fills
    assert set(acknowledged) <= intents
    assert len(intents) <= len(acknowledged) + 1
