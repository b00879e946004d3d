"""Real full, read-only and failing disks, where this machine lets a test have one; mounts read from text."""

import asyncio
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from quantcli.errors import StoreError
from quantcli.store.disk import filesystem_of, refuse_far
from quantcli.store.sqlite import SQLiteStore

MOUNTS = r"""
22 27 0:21 / /proc rw,relatime - proc proc rw
27 1 254:0 / / rw,relatime - ext4 /dev/vda rw,discard
30 27 0:40 / /data rw shared:5 master:2 - nfs4 server:/export rw
31 30 0:41 / /data/fast\040disk rw - xfs /dev/nvme0n1 rw
32 27 0:42 / /far rw - ext4 /dev/vdb rw
33 27 0:43 / /far rw - fuse.sshfs me@there: rw
34 27 0:44 / /win rw - 9p drvfs rw
35 27 0:45 / /layers rw - overlay overlay rw
""".strip()


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/state.db", "ext4"),
        ("/data/state.db", "nfs4"),
        ("/data/fast disk/state.db", "xfs"),
        ("/data/fast diskette/state.db", "nfs4"),
        ("/database/state.db", "ext4"),
        ("/far/state.db", "fuse.sshfs"),
    ],
)
def test_a_path_is_on_the_nearest_mount_and_the_last_one_there(path, kind):
    assert filesystem_of(Path(path), MOUNTS) == kind


@pytest.mark.parametrize("folder", ["data", "far", "win"])
def test_far_away_file_systems_are_refused(folder):
    """D7."""
    with pytest.raises(StoreError, match="cannot be kept") as refused:
        refuse_far(Path("/", folder, "state.db"), MOUNTS)
    assert filesystem_of(Path("/", folder), MOUNTS) in refused.value.why
    assert "local disk" in refused.value.todo


@pytest.mark.parametrize("path", ["/state.db", "/layers/state.db", "/data/fast disk/state.db"])
def test_local_file_systems_are_not(path):
    """D7: a container's overlay is as local as what is below it."""
    refuse_far(Path(path), MOUNTS)


def test_the_mounts_of_this_machine_can_be_read(tmp_path):
    refuse_far(tmp_path / "state.db")


# Disks of our own: a file system in memory, in a name space where we may mount one.

PRELUDE = """
import asyncio, sys
from pathlib import Path
from decimal import Decimal
from quantcli.errors import QuantError, StoreFull
from quantcli.model.instrument import Side
from quantcli.model.order import Fill, OrderIntent, OrderType, StandardOrder
from quantcli.store.sqlite import SQLiteStore

folder = Path(sys.argv[1])

def intent(n, size=0):
    order = StandardOrder("BTC/USDT", Side.BUY, OrderType.LIMIT, Decimal(1), Decimal(100))
    return OrderIntent(f"i{n}", order, n, reason="x" * size)

def fill(n):
    return Fill(f"t{n}", "BTC/USDT", Side.BUY, Decimal(1), Decimal(100), Decimal(0), "USDT", True, 1, "c", "")
"""

FULL = (
    PRELUDE
    + """
async def main():
    store = SQLiteStore(folder / "state.db")
    await store.open()
    ballast = folder / "state.db.ballast"
    print("ballast", ballast.exists())
    try:
        with open(folder / "filler", "wb", buffering=0) as filler:
            while True:
                filler.write(bytes(4096))
    except OSError as error:
        print(error.errno)
    kept = set()
    try:
        for n in range(1000):
            await store.commit([intent(n, 100_000), fill(n)])
            kept.add(n)
    except StoreFull as error:
        print("StoreFull", error.what)
    print("ballast", ballast.exists())
    await store.commit([fill("journaled")])
    (folder / "filler").unlink()
    await store.commit([intent(n, 100_000), fill(n)])
    kept.add(n)
    await store.close()
    await store.open()
    print("ballast", ballast.exists())
    print({i.intent_id for i in await store.intents.list_intents()} == {f"i{n}" for n in kept})
    print({f.trade_id for f in await store.fills()} == {f"t{n}" for n in kept} | {"tjournaled"})
    await store.close()

asyncio.run(main())
"""
)

READ_ONLY = (
    PRELUDE
    + """
async def main():
    try:
        await SQLiteStore(folder / "state.db").open()
    except QuantError as error:
        print(type(error).__name__, error.what, error.why, error.todo, sep="|")

asyncio.run(main())
"""
)


def on_own_disk(folder: Path, options: str, script: str) -> list[str]:
    """The lines that a script prints, run with a file system of its own mounted at `folder`."""
    mount = f'mount -t tmpfs -o {options} tmpfs "$1" && exec "$2" -c "$3" "$1"'
    command = ["unshare", "-rm", "sh", "-c", mount, "sh", str(folder), sys.executable, script]
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout.splitlines()


def may_mount() -> bool:
    try:
        probe = ["unshare", "-rm", "sh", "-c", "mount -t tmpfs -o size=1m tmpfs /tmp"]
        return subprocess.run(probe, capture_output=True, check=False).returncode == 0
    except FileNotFoundError:
        return False


needs_mounts = pytest.mark.skipif(not may_mount(), reason="no file system may be mounted here")


@needs_mounts
def test_a_disk_that_fills_up_stops_orders_but_not_fills_and_work_goes_on_when_there_is_room(tmp_path):
    """D1, on a file system that really is full."""
    assert on_own_disk(tmp_path, "size=24m", FULL) == [
        "ballast True",
        "28",
        "StoreFull the state database cannot grow: the disk is full",
        "ballast False",
        "ballast True",
        "True",
        "True",
    ]


@needs_mounts
def test_a_small_disk_gets_no_ballast(tmp_path):
    told = on_own_disk(tmp_path, "size=12m", FULL)
    assert [line for line in told if line.startswith("ballast")] == ["ballast False"] * 3


@needs_mounts
def test_a_read_only_disk_is_named_as_such(tmp_path):
    """D8."""
    (told,) = on_own_disk(tmp_path, "ro,size=1m", READ_ONLY)
    kind, what, why, todo = told.split("|")
    assert (kind, "cannot be used" in what, "Read-only" in why) == ("StoreError", True, True)
    assert "writable" in todo


COMMITS = (
    PRELUDE
    + """
async def main():
    store = SQLiteStore(folder / "state.db")
    await store.open()
    failures = 0
    for n in range(1000):
        try:
            await store.commit([intent(n)])
            print(n)
        except QuantError as error:
            print(type(error).__name__)
            failures += 1
            if failures == 2:
                break
    await store.close()

asyncio.run(main())
"""
)


@pytest.mark.skipif(shutil.which("strace") is None, reason="strace makes the system calls fail")
def test_a_sync_that_fails_once_ends_writing_and_loses_nothing_acknowledged(tmp_path):
    """D2, with a real system call that fails once and would succeed the second time."""
    inject = ["-e", "trace=fdatasync,fsync", "-e", "inject=fdatasync,fsync:error=EIO:when=40"]
    command = [
        "strace",
        "-f",
        "-qq",
        "-o",
        "/dev/null",
        *inject,
        sys.executable,
        "-c",
        COMMITS,
        str(tmp_path),
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    told = done.stdout.split()
    if not told:
        pytest.skip(f"strace may not trace here: {done.stderr[:200]}")
    acknowledged = [int(word) for word in told if word.isdigit()]
    assert told[len(acknowledged) :] == ["StoreError", "StoreError"]
    assert acknowledged == list(range(len(acknowledged)))

    async def kept() -> set[str]:
        store = SQLiteStore(tmp_path / "state.db")
        await store.open()
        try:
            return {intent.intent_id for intent in await store.intents.list_intents()}
        finally:
            await store.close()

    assert {f"i{n}" for n in acknowledged} <= asyncio.run(kept())
