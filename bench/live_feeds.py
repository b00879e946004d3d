"""The shipped recording through whole client processes: our feed, ccxt.pro, cryptofeed, `quant record`.

Each client meets a fresh sandbox that holds the recording back until the client is ready and then plays it as
fast as the client reads.  The same command is run before without any row: its CPU is taken off.
"""

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from live_sandbox import Sandbox, sandbox
from measure import Cost

from quantcli.model.market import Ticker, Trade
from quantcli.recording.reader import open_recording
from quantcli.sandbox.feed import in_order

HERE = Path(__file__).parent
DATA = HERE / ".data"
RECORDINGS = HERE.parent / "recordings"
SYMBOL = "NEXO/USDT"
CRYPTOFEED = "cryptofeed==2.4.1"
QUANT = [sys.executable, "-c", "from quantcli.cli.app import main; main()"]
_PATIENCE_S = 120
_QUIET_S = 0.5


class Run(NamedTuple):
    """One client over all rows: CPU without its start-up, wall seconds of the rows alone, how many it was
    shown by kind, and how many were sent."""

    cpu_s: float
    wall_s: float
    seen: dict[str, int]
    rows: int


class Client(NamedTuple):
    """How a client is started; `is_tls` if it is to speak TLS."""

    command: list[str]
    is_tls: bool = False
    keeps_book: bool = True


def clients() -> dict[str, Client]:
    """Those to be measured; says plainly which cannot be."""
    ours = [sys.executable, str(HERE / "feed_ours.py")]
    found = {
        "ours": Client(ours),
        "ours, events only": Client(ours, keeps_book=False),
        "ccxt.pro": Client([sys.executable, str(HERE / "feed_ccxt.py")]),
        "ours, TLS": Client(ours, is_tls=True),
    }
    python = DATA / "cryptofeed" / "bin" / "python"
    try:
        if not python.exists():
            subprocess.run([sys.executable, "-m", "venv", str(python.parents[1])], check=True)
            subprocess.run([str(python), "-m", "pip", "install", "-q", CRYPTOFEED], check=True)
    except (OSError, subprocess.CalledProcessError) as error:
        shutil.rmtree(python.parents[1], ignore_errors=True)
        print(f"{CRYPTOFEED} cannot be installed here and is not measured: {error}")
        return found
    return found | {"cryptofeed, TLS": Client([str(python), str(HERE / "feed_cryptofeed.py")], is_tls=True)}


def last_rows() -> dict[str, int]:
    """The number of the last row of each kind in the recording."""
    last: dict[str, int] = {}
    for event in in_order(open_recording(RECORDINGS, "binance").chunks([SYMBOL])):
        if isinstance(event, Trade):
            last["trades"] = event.trade_id
        elif isinstance(event, Ticker):
            last["quotes"] = event.update_id
        else:
            last["book"] = event.last_id  # type: ignore[union-attr]
    return last


@contextmanager
def held_recording(*words: str) -> Iterator[Sandbox]:
    """A sandbox that holds the recording back."""
    with sandbox("--from", str(RECORDINGS), "--speed", "0", "--hold", *words) as exchange:
        yield exchange


def heard(client: Client, last: dict[str, int], speed: float) -> Run:
    """Let a client hear the recording.  Raises `RuntimeError` if it fails."""
    with held_recording(*(["--tls"] if client.is_tls else [])) as exchange:
        before = exchange.ask("GET", "feed")["events"]
        idle, _ = _run(client, _job(client, exchange, last, speed, rows=False), exchange)
        busy, told = _run(client, _job(client, exchange, last, speed, rows=True), exchange)
        rows = exchange.ask("GET", "feed")["events"] - before
    return Run(busy.cpu_s - idle.cpu_s, told["wall_s"], told["seen"], rows)


def _job(client: Client, exchange: Sandbox, last: dict[str, int], speed: float, rows: bool) -> dict[str, Any]:
    told = exchange.told
    job: dict[str, Any] = {"symbol": SYMBOL, "rows": rows, "speed": speed, "last": last}
    if "feed_ccxt" in client.command[-1]:
        from tests.clients.pointing import ccxt_settings

        job["settings"] = ccxt_settings(exchange)
    elif "feed_ours" in client.command[-1]:
        job |= {"endpoint": told["tls_url" if client.is_tls else "url"], "book": client.keeps_book}
    return job | {"url": told["url"], "ws_url": told["tls_ws_url" if client.is_tls else "ws_url"]}


def _run(client: Client, job: dict[str, Any], exchange: Sandbox) -> tuple[Cost, dict[str, Any]]:
    """Run a client to its end: its cost, and the last line that it printed."""
    environment = dict(os.environ)
    if client.is_tls:
        environment["SSL_CERT_FILE"] = exchange.told["ca"]
    command = [*client.command, json.dumps(job)]
    with tempfile.TemporaryFile() as output:
        child = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT, env=environment)
        cost = _ended(child)
        output.seek(0)
        said = output.read().decode().strip()
    if child.returncode:
        raise RuntimeError(f"{' '.join(client.command)}: exit {child.returncode}\n{said[-2000:]}")
    told: dict[str, Any] = json.loads(said.rpartition("\n")[2])
    return cost, told


def _ended(child: "subprocess.Popen[bytes]") -> Cost:
    """What a process cost, when it has ended; one that takes too long is killed."""
    began = time.perf_counter()
    while True:
        pid, status, usage = os.wait4(child.pid, os.WNOHANG)
        if pid:
            break
        if time.perf_counter() - began > _PATIENCE_S:
            child.kill()
        time.sleep(0.01)
    child.returncode = os.waitstatus_to_exitcode(status)
    return Cost(usage.ru_utime + usage.ru_stime, time.perf_counter() - began, usage.ru_maxrss / 1024)


# `quant record`.


def recorded() -> Run:
    """Record the recording: until the last row is in the journal, and all CPU until the files are made."""
    with held_recording() as exchange:
        before = exchange.ask("GET", "feed")["events"]
        idle, _, _ = _record(exchange, lambda _: 0.0)
        busy, wall_s, told = _record(exchange, lambda folder: _played(exchange, folder))
        rows = exchange.ask("GET", "feed")["events"] - before
    if told["gaps"]:
        raise RuntimeError(f"the recorder noted {told['gaps']} gaps: {told['gap_list'][:3]}")
    return Run(busy.cpu_s - idle.cpu_s, wall_s, told["events"], rows)


def _record(exchange: Sandbox, play: Callable[[Path], float]) -> tuple[Cost, float, dict[str, Any]]:
    """Start a recorder, play when it has its snapshot, stop it: its cost, what `play` measured, its sum."""
    asked = exchange.calls().get("GET /api/v3/depth", 0)
    with tempfile.TemporaryDirectory(dir=DATA) as folder, tempfile.TemporaryFile() as output:
        words = ["record", "binance", SYMBOL, "--endpoint", exchange.url, "--to", folder, "-o", "json"]
        child = subprocess.Popen([*QUANT, *words], stdout=output, stderr=subprocess.DEVNULL)
        try:
            while exchange.calls().get("GET /api/v3/depth", 0) == asked:
                if child.poll() is not None:
                    raise RuntimeError("the recorder ended before it had begun")
                time.sleep(0.02)
            time.sleep(_QUIET_S)
            wall_s = play(Path(folder))
        finally:
            child.send_signal(signal.SIGTERM)
            cost = _ended(child)
        output.seek(0)
        told: dict[str, Any] = json.load(output)
    return cost, wall_s, told


def _played(exchange: Sandbox, folder: Path) -> float:
    """Play the recording; seconds until the journal did not grow any more."""
    (journal,) = folder.glob("binance/.*.journal")
    began = grown = time.perf_counter()
    exchange.feed(start=True)
    size, is_sent, asked = 0, False, began
    while not (is_sent and time.perf_counter() - grown > _QUIET_S):
        now = time.perf_counter()
        if journal.stat().st_size > size:
            size, grown = journal.stat().st_size, now
        if not is_sent and now - asked > 0.2:
            is_sent, asked = exchange.ask("GET", "feed")["done"], now
        time.sleep(0.01)
    return grown - began
