"""Ways to run the installed command line as its users do, and a bot's database as its kernel leaves it."""

import asyncio
import fcntl
import os
import pty
import random
import select
import shutil
import struct
import subprocess
import sys
import tempfile
import termios
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from decimal import Decimal
from pathlib import Path

import pytest

from quantcli.cli.app import main
from quantcli.model.instrument import Side, Symbol, SymbolMetadata
from quantcli.model.market import Ticker, Trade
from quantcli.model.order import (
    AttemptState,
    Fill,
    IntentPhase,
    OrderIntent,
    OrderState,
    OrderStatus,
    OrderType,
    ReconciliationStatus,
    StandardOrder,
)
from quantcli.recording.writer import Writer
from quantcli.store.api import Row
from quantcli.store.sqlite import SQLiteStore
from tests.cli.fake_bot import FakeBot

Run = Callable[..., subprocess.CompletedProcess[str]]
# Whoever runs the tests in the background ignores hang-ups and interrupts, and so would its children.
_IN_A_TERMINAL = (
    "import signal; signal.signal(signal.SIGHUP, signal.SIG_DFL); "
    "signal.signal(signal.SIGINT, signal.default_int_handler); "
)
_MAIN = "import sys; from quantcli.cli.app import main; sys.argv[0] = 'quant'; "
S = 1_000_000_000
T0 = 1_763_630_042 * S


def _environment() -> dict[str, str]:
    ours = ("QUANT", "FORCE_COLOR")
    return {name: value for name, value in os.environ.items() if not name.startswith(ours)} | {
        "COLUMNS": "200"
    }


@pytest.fixture
def quant(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Run:
    """Calls the entry point with WORDS, here in this process, in an empty folder (or `cwd`)."""

    def run(*words: str, cwd: Path = tmp_path) -> subprocess.CompletedProcess[str]:
        monkeypatch.chdir(cwd)
        monkeypatch.setattr("sys.argv", ["quant", *words])
        with pytest.raises(SystemExit) as left:
            main()
        said = capfd.readouterr()
        return subprocess.CompletedProcess(words, left.value.code, said.out, said.err)

    return run


@pytest.fixture
def program(tmp_path: Path) -> Run:
    """Runs `quant WORDS…` as a program of its own."""

    def run(*words: str, cwd: Path = tmp_path) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-c", _MAIN + "main()", *words],
            capture_output=True,
            text=True,
            cwd=cwd,
            env=_environment(),
            check=False,
        )

    return run


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Starts `quant WORDS…` as a program of its own, with pipes for its stdout and stderr."""
    started: list[subprocess.Popen[str]] = []

    def run(*words: str, cwd: Path = tmp_path) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, "-c", _IN_A_TERMINAL + _MAIN + "main()", *words],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=cwd,
            env=_environment(),
        )
        started.append(process)
        return process

    yield run
    for process in started:
        process.kill()
        process.communicate()


@pytest.fixture
def terminal(tmp_path: Path) -> Iterator[Callable[..., "Terminal"]]:
    """Starts `quant WORDS…` on a terminal of 100 columns and 30 lines."""
    started: list[Terminal] = []

    def run(*words: str, **env: str) -> Terminal:
        started.append(Terminal(words, tmp_path, env))
        return started[-1]

    yield run
    for each in started:
        each.end()


class Terminal:
    """A program, and what it has written on its terminal."""

    def __init__(self, words: Sequence[str], folder: Path, env: Mapping[str, str]) -> None:
        self.text = ""
        self._ours, theirs = pty.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 30, 100, 0, 0))
        known = {name: value for name, value in _environment().items() if name not in ("COLUMNS", "NO_COLOR")}
        self.process = subprocess.Popen(
            [sys.executable, "-c", _IN_A_TERMINAL + _MAIN + "main()", *words],
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            cwd=folder,
            env=known | {"TERM": "xterm-256color"} | env,
            start_new_session=True,
        )
        os.close(theirs)

    def until(self, what: str, timeout_s: float = 20) -> str:
        """Read until this has been written; all that was."""
        ends = time.monotonic() + timeout_s
        while what not in self.text:
            if time.monotonic() > ends or not self._read(ends - time.monotonic()):
                raise AssertionError(f"{what!r} was not written:\n{self.text}")
        return self.text

    def type(self, text: str) -> None:
        """Type."""
        os.write(self._ours, text.encode())

    def wait(self, timeout_s: float = 20) -> int:
        """Read all that is left; the exit code."""
        ends = time.monotonic() + timeout_s
        while self._read(ends - time.monotonic()):
            pass
        return self.process.wait(max(0.1, ends - time.monotonic()))

    def end(self) -> None:
        """Make sure that it is gone."""
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        os.close(self._ours)

    def _read(self, timeout_s: float) -> bool:
        if not select.select([self._ours], [], [], max(0.0, timeout_s))[0]:
            return False
        try:
            data = os.read(self._ours, 65_536)
        except OSError:  # the other side is closed
            return False
        self.text += data.decode(errors="replace").replace("\r\n", "\n")
        return bool(data)


@pytest.fixture
def modules_after(tmp_path: Path) -> Callable[..., set[str]]:
    """Names of all modules that are imported when `quant WORDS…` has run."""

    def run(*words: str, cwd: Path = tmp_path) -> set[str]:
        script = _MAIN + (
            "import atexit; atexit.register(lambda: sys.stderr.write('\\0' + ' '.join(sys.modules))); main()"
        )
        done = subprocess.run(
            [sys.executable, "-c", script, *words],
            capture_output=True,
            text=True,
            cwd=cwd,
            env=_environment(),
            check=False,
        )
        complaint, _, names = done.stderr.partition("\0")
        assert complaint == ""
        return set(names.split())

    return run


def order(side: Side = Side.BUY, qty: str = "0.01", price: str | None = "64210.1") -> StandardOrder:
    kind = OrderType.LIMIT if price else OrderType.MARKET
    return StandardOrder("BTC/USDT", side, kind, Decimal(qty), Decimal(price) if price else None)


def intent(number: int, terms: StandardOrder, slot: str, **fields: object) -> OrderIntent:
    known = {"phase": IntentPhase.ACTIVE, "updated_ns": T0 + number * S} | fields
    return OrderIntent(
        f"{0xAB0000000000 << 32 | number:020x}",
        terms,
        T0 + number * S,
        metadata={"strategy": "TouchMaker", "slot": slot},
        **known,
    )


def attempt(wish: OrderIntent, number: int = 1, **fields: object) -> OrderState:
    known = {
        "order": wish.order,
        "generation": wish.generation,
        "prepared_ns": wish.created_ns + 1_000_000,
        "state": AttemptState.LIVE,
        "status": OrderStatus.NEW,
        "exchange_order_id": f"88{wish.intent_id[-4:]}",
        "last_sync_at": T0 + 20 * S,
        "reconciliation_status": ReconciliationStatus.IN_SYNC,
    } | fields
    return OrderState(wish.intent_id, number, f"c{wish.intent_id[-6:]}{number}", **known)


def fill(wish: OrderIntent, trade: int, qty: str, price: str, **fields: object) -> Fill:
    known = {"fee": Decimal("0.1"), "fee_asset": "USDT", "side": wish.order.side} | fields
    return Fill(
        str(trade),
        wish.order.symbol,
        qty=Decimal(qty),
        price=Decimal(price),
        is_maker=True,
        exchange_ns=T0 + (10 + trade) * S,
        client_order_id=f"c{wish.intent_id[-6:]}1",
        exchange_order_id="",
        intent_id=wish.intent_id,
        **known,
    )


def one_of_each() -> list[Row]:
    """Six wishes: in sync, to be replaced, missing, partly filled, unknown, settled."""
    synced = intent(1, order(), "bid")
    moved = intent(2, order(Side.SELL, price="64212.9"), "ask", generation=2)
    missing = intent(3, order(qty="0.15", price="3120.5"), "low", phase=IntentPhase.PENDING)
    partial = intent(4, order(qty="0.04", price="64200"), "deep")
    unknown = intent(5, order(Side.SELL, price=None), "")
    settled = intent(6, order(qty="0.02", price="64199"), "bid", phase=IntentPhase.SATISFIED)
    return [
        synced,
        attempt(synced),
        moved,
        attempt(moved, order=order(Side.SELL, price="64213.4"), generation=1),
        missing,
        partial,
        attempt(
            partial,
            status=OrderStatus.PARTIALLY_FILLED,
            filled=Decimal("0.01"),
            fills_qty=Decimal("0.01"),
        ),
        fill(partial, 1, "0.01", "64200"),
        unknown,
        attempt(
            unknown,
            state=AttemptState.AMBIGUOUS,
            status=OrderStatus.UNKNOWN,
            exchange_order_id=None,
            last_sync_at=0,
            reconciliation_status=ReconciliationStatus.UNCERTAIN,
            reason="timed out",
        ),
        settled,
        attempt(
            settled,
            state=AttemptState.DONE,
            status=OrderStatus.FILLED,
            filled=Decimal("0.02"),
            fills_qty=Decimal("0.02"),
        ),
        fill(settled, 2, "0.015", "64199", fee=Decimal("0.000015"), fee_asset="BTC"),
        fill(settled, 3, "0.005", "64199", fee=Decimal("0.001"), fee_asset="BNB"),
    ]


async def _commit(path: Path, rows: Sequence[Row]) -> None:
    store = SQLiteStore(path)
    await store.open()
    try:
        await store.commit(rows)
    finally:
        await store.close()


@pytest.fixture(scope="session")
def pattern(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What `project` is copied from."""
    root = tmp_path_factory.mktemp("project")
    (root / "quant.toml").touch()
    asyncio.run(_commit(root / ".quant" / "mm.db", one_of_each()))
    return root


@pytest.fixture
def project(tmp_path: Path, pattern: Path) -> Path:
    """A project whose bot `mm` has one wish of each kind, and does not run."""
    shutil.copytree(pattern, tmp_path, dirs_exist_ok=True)
    os.utime(tmp_path / ".quant" / "mm.db", ns=(T0, T0 + 21 * S))
    return tmp_path


@pytest.fixture(autouse=True)
def runtime_folder(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Where bots are spoken to: a folder of the test's own, so that no other bot of this user is met."""
    with tempfile.TemporaryDirectory(prefix="q") as folder:  # a socket's path has to be short
        monkeypatch.setenv("XDG_RUNTIME_DIR", folder)
        monkeypatch.setattr(tempfile, "tempdir", folder)
        yield Path(folder)


@pytest.fixture
def bot(project: Path) -> Iterator[FakeBot]:
    """The project's bot `mm`, running."""
    with FakeBot(project) as running:
        yield running


@pytest.fixture
def add_bot(tmp_path: Path) -> Callable[..., None]:
    """Gives the project a bot with the rows given."""
    return lambda name, rows=(): asyncio.run(_commit(tmp_path / ".quant" / f"{name}.db", rows))


@pytest.fixture
def stray() -> OrderState:
    """An open attempt whose intent is not in the database."""
    return attempt(intent(9, order(), "bid"))


@pytest.fixture
def add_quiet_bot(add_bot: Callable[..., None]) -> Callable[..., None]:
    """Gives the project a bot whose open order was last written down five minutes before its last change."""

    def add(name: str, last_found: ReconciliationStatus) -> None:
        wish = intent(1, order(), "bid")
        later = intent(2, order(), "ask", phase=IntentPhase.CANCELED, updated_ns=T0 + 300 * S)
        add_bot(name, [wish, later, attempt(wish, reconciliation_status=last_found)])

    return add


@pytest.fixture(scope="session")
def walk(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The recording of a market that moves by a tick or two, some four minutes long."""
    root, chance, mid, at_ns = tmp_path_factory.mktemp("walk"), random.Random(5), 10_000, T0
    rules = SymbolMetadata(
        Symbol("AAA", "USDT"), "binance", "AAAUSDT", price_tick=Decimal("0.01"), lot=Decimal("0.001")
    )
    with Writer(root, "binance", {"source": "walk"}) as writer:
        writer.instruments([rules])
        for seq in range(1_600):
            at_ns += chance.choice((0, 5, 40, 550)) * 1_000_000
            mid += chance.choice((-2, -1, 0, 0, 0, 1, 2))
            bid, ask, size = (mid - 1) / 100, (mid + 1) / 100, chance.randint(1, 900) / 100
            if chance.random() < 0.6:
                writer.append(Ticker("AAA/USDT", at_ns, at_ns, seq, bid, size, ask, 2.5, seq))
            else:
                side = chance.choice((1, 2))
                price = ask if side == 1 else bid
                writer.append(Trade("AAA/USDT", at_ns, at_ns, seq, price, size, side, seq))
        writer.close()
    return root


@pytest.fixture
def sale() -> list[Row]:
    """A futures sale, filled."""
    terms = StandardOrder("BTC/USDT:USDT", Side.SELL, OrderType.LIMIT, Decimal("0.5"), Decimal(64000))
    sold = intent(1, terms, "", phase=IntentPhase.SATISFIED)
    return [sold, fill(sold, 1, "0.5", "64000")]
