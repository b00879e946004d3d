"""`quant record`: live market data to Parquet.

Recording is `runtime.record`'s business; this verb says what to record, shows how it goes (drawn on a
terminal, else a line of JSON every ten seconds, both on stderr), takes symbols in and out while it
runs, and prints the sum.
"""

import asyncio
import os
import stat
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TextIO

import typer

from quantcli.cli.output import Output, OutputOption, document, emit
from quantcli.cli.recordings import recorded
from quantcli.cli.signals import stop_signals
from quantcli.clock import NS_PER_S, WallClock
from quantcli.config import parse_duration
from quantcli.errors import QuantError, UsageError
from quantcli.model.instrument import Symbol
from quantcli.model.market import Channel

if TYPE_CHECKING:
    from quantcli.runtime.record import Recorder, RecordJob
    from quantcli.runtime.record_sum import RecordingSummary

_USUAL = "trades,quotes,book"


def command(
    exchange: Annotated[str, typer.Argument(metavar="EXCHANGE", help="binance, okx, bybit, kraken, …")],
    symbols: Annotated[list[str], typer.Argument(metavar="SYMBOL...", help="BTC/USDT, BTC/USDT:USDT, …")],
    channels: Annotated[
        str, typer.Option(metavar="LIST", help=f"Some of {', '.join(Channel)}; comma between.")
    ] = _USUAL,
    for_: Annotated[
        str | None, typer.Option("--for", metavar="TIME", help="Stop after this time: 30s, 1h.")
    ] = None,
    to: Annotated[Path, typer.Option("--to", metavar="DIR", help="Folder of the recording.")] = Path(
        "recordings"
    ),
    endpoint: Annotated[
        str | None,
        typer.Option(metavar="URL", help="Another server of the exchange's protocol: http://127.0.0.1:8080."),
    ] = None,
    output: OutputOption = Output.TABLE,
) -> None:
    """Record live market data to Parquet.

    While it runs, a line on stdin adds a symbol (+ETH/USDT) or ends one (-ETH/USDT).  Ctrl-C ends the
    recording in good order and prints its sum.  Killed with -9 it loses less than a second; the next
    `quant record` to the same folder, or `quant recordings verify`, finishes what was left behind.
    """
    from quantcli.cli.version import installed
    from quantcli.runtime.record import RecordJob

    wanted = _channels(channels)
    job = RecordJob(
        exchange.lower(),
        tuple(dict.fromkeys(_symbol(text, exchange.lower()) for text in symbols)),
        wanted,
        to,
        None if for_ is None else parse_duration(for_) / NS_PER_S,
        {
            "recorder": f"quant {installed('quantcli')}",
            "source": endpoint or f"{exchange.lower()}, live",
            "channels": ",".join(wanted),
        },
    )
    summary = asyncio.run(_record(job, endpoint))
    emit(document("RecordingSummary", summary), output, lambda _: _table(summary, to))


async def _record(job: "RecordJob", endpoint: str | None) -> "RecordingSummary":
    from quantcli.cli.record_view import shown
    from quantcli.runtime.record import Recorder
    from quantcli.venues.feed import open_feed

    clock = WallClock()
    with shown(clock) as view:
        recorder = Recorder(
            job,
            clock,
            lambda put: open_feed(job.exchange, job.symbols, job.channels, clock, put, endpoint),
            view.tell,
        )
        view.watch(recorder, job.root)
        with stop_signals(recorder.stop), _commands(sys.stdin, recorder, view.tell):
            return await recorder.run()


@contextmanager
def _commands(source: TextIO | None, recorder: "Recorder", tell: Callable[[str], None]) -> Iterator[None]:
    """Obey the lines that come on stdin, if it is one that can be waited for."""
    if source is None or not _can_be_waited_for(source):
        yield
        return
    loop, file = asyncio.get_running_loop(), source.fileno()
    rest = b""

    def read() -> None:
        nonlocal rest
        if not _is_ours(file):  # to read a terminal from the background would stop this program
            loop.remove_reader(file)
            return
        data = os.read(file, 4096)
        if not data:
            loop.remove_reader(file)
            return
        *lines, rest = (rest + data).split(b"\n")
        for line in lines:
            _obey(line.decode(errors="replace").strip(), recorder, tell)

    loop.add_reader(file, read)
    try:
        yield
    finally:
        loop.remove_reader(file)


def _obey(line: str, recorder: "Recorder", tell: Callable[[str], None]) -> None:
    try:
        if line.startswith("+"):
            recorder.add(_symbol(line[1:], recorder.exchange))
        elif line.startswith("-"):
            recorder.remove(_symbol(line[1:], recorder.exchange))
        elif line:
            tell(f"{line!r} is no command; write +SYMBOL or -SYMBOL")
    except QuantError as error:
        tell(f"{line}: {error.what}")


def _can_be_waited_for(source: TextIO) -> bool:
    try:
        file = source.fileno()
    except (OSError, ValueError):
        return False
    mode = os.fstat(file).st_mode
    return os.isatty(file) or stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode)


def _is_ours(file: int) -> bool:
    return not os.isatty(file) or os.tcgetpgrp(file) == os.getpgrp()


def _channels(text: str) -> tuple[Channel, ...]:
    found = []
    for name in text.split(","):
        try:
            found.append(Channel(name.strip().lower()))
        except ValueError:
            raise UsageError(
                f"{name.strip()!r} is no channel", why=f"there are {', '.join(Channel)}"
            ) from None
    return tuple(dict.fromkeys(found))


def _symbol(text: str, exchange: str) -> str:
    """The market meant: BTC/USDT, btc-usdt or, for Binance, btcusdt."""
    compact = text.strip().upper()
    if "/" not in compact and "-" in compact and ":" not in compact:
        compact = compact.replace("-", "/", 1)
    if "/" not in compact and exchange == "binance":
        from quantcli.codecs.binance_symbols import infer_symbol

        try:
            return infer_symbol(compact, "spot").name
        except QuantError:
            pass  # told as what was written
    try:
        return Symbol.parse(compact).name
    except QuantError as error:
        raise UsageError(error.what, why=error.why, todo=error.todo) from None


def _table(found: "RecordingSummary", to: Path) -> str:
    if not found.rows:
        return "nothing came, and nothing was recorded"
    return recorded(found, to, f", {found.reconnects} reconnects, {found.dropped} messages dropped")
