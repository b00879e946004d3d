"""How a recording goes, on stderr: a table drawn anew on a terminal, else a line of JSON every ten seconds.

Shows what a `runtime.record.Recorder` counts; decides nothing.
"""

import asyncio
import contextlib
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from quantcli.cli.output import emit_line, note
from quantcli.clock import NS_PER_S, Clock

if TYPE_CHECKING:
    from quantcli.runtime.record import Recorder
    from quantcli.runtime.record_sum import StreamTally

_LINE_EVERY_S = 10.0
_DRAW_EVERY_S = 0.5
_WEIGH_EVERY_NS = 5 * NS_PER_S
_STREAMS_SHOWN = 30
_UNITS = ("B", "KB", "MB", "GB", "TB")


@contextmanager
def shown(clock: Clock) -> "Iterator[_Lines | _Screen]":
    """A view for as long as this lasts."""
    view = _Screen(clock) if sys.stderr.isatty() else _Lines(clock)
    try:
        yield view
    finally:
        view.close()


class _Rates:
    """Rows per second of each stream since the last look."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._at_ns = clock.now_ns()
        self._rows: dict[Any, int] = {}

    def look(self, recorder: "Recorder") -> dict[Any, float]:
        now_ns = self._clock.now_ns()
        seconds = max(now_ns - self._at_ns, 1) / NS_PER_S
        rows = {key: stream.rows for key, stream in recorder.streams.items()}
        rates = {key: (count - self._rows.get(key, 0)) / seconds for key, count in rows.items()}
        self._at_ns, self._rows = now_ns, rows
        return rates


class _View:
    """Looks at a recorder again and again."""

    every_s = _LINE_EVERY_S

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._rates = _Rates(clock)
        self._task: asyncio.Task[None] | None = None
        self._recorder: Recorder | None = None
        self._root = Path()
        self._bytes = 0
        self._weighed_ns = 0

    def watch(self, recorder: "Recorder", root: Path) -> None:
        """Show this recorder, which writes under `root`."""
        self._recorder, self._root = recorder, root
        self._task = asyncio.get_running_loop().create_task(self._go_on())

    def tell(self, text: str) -> None:
        """Say something to the person at the terminal."""
        note(text)

    def look(self) -> None:
        """Show how things stand."""

    def size(self, recorder: "Recorder") -> int:
        """Bytes on disk, as of a few seconds ago at most."""
        now_ns = self._clock.now_ns()
        if now_ns - self._weighed_ns >= _WEIGH_EVERY_NS:
            self._weighed_ns, self._bytes = now_ns, _size(self._root / recorder.exchange)
        return self._bytes

    def close(self) -> None:
        """Show no more."""
        if self._task is not None:
            self._task.cancel()

    async def _go_on(self) -> None:
        while True:
            await asyncio.sleep(self.every_s)
            self.look()


class _Lines(_View):
    """For logs and programs."""

    def look(self) -> None:
        recorder = self._recorder
        assert recorder is not None
        rates = self._rates.look(recorder)
        emit_line(
            {
                "kind": "RecordingProgress",
                "at_ns": self._clock.now_ns(),
                "rows": recorder.rows,
                "gaps": recorder.gaps,
                "reconnects": recorder.feed.tally.reconnects,
                "bytes": self.size(recorder),
                "streams": [
                    _told(stream, rates[key]) for key, stream in sorted(recorder.streams.items(), key=_name)
                ],
            },
            sys.stderr,
        )


class _Screen(_View):
    """For people."""

    every_s = _DRAW_EVERY_S

    def __init__(self, clock: Clock) -> None:
        super().__init__(clock)
        from rich.console import Console
        from rich.live import Live

        self._console = Console(stderr=True)
        self._live = Live(console=self._console, auto_refresh=False, transient=True)
        self._live.start()

    def tell(self, text: str) -> None:
        self._console.print(text, style="yellow", highlight=False, markup=False)

    def look(self) -> None:
        recorder = self._recorder
        assert recorder is not None
        self._live.update(self._drawn(recorder), refresh=True)

    def close(self) -> None:
        super().close()
        self._live.stop()

    def _drawn(self, recorder: "Recorder") -> Any:
        from rich.table import Table

        rates = self._rates.look(recorder)
        size, reconnects = self.size(recorder), recorder.feed.tally.reconnects
        table = Table(
            box=None,
            title=f"{recorder.exchange} → {self._root}",
            title_justify="left",
            caption=f"{recorder.rows:,} rows, {_readable(size)} on disk, {reconnects} reconnects; "
            "+SYMBOL adds, -SYMBOL ends, Ctrl-C stops",
            caption_justify="left",
        )
        for name in ("SYMBOL", "CHANNEL"):
            table.add_column(name)
        for name in ("ROWS", "/S", "LAG MS", "GAPS", "JOURNAL"):
            table.add_column(name, justify="right")
        for key, stream in sorted(recorder.streams.items(), key=_name)[:_STREAMS_SHOWN]:
            lag = "-" if stream.lag_ms is None else f"{stream.lag_ms:.0f}"
            table.add_row(
                *(stream.symbol, stream.channel.value, f"{stream.rows:,}", f"{rates[key]:,.0f}", lag),
                *(str(stream.gaps), _readable(stream.bytes)),
            )
        return table


def _name(item: "tuple[Any, StreamTally]") -> tuple[str, str]:
    return item[1].symbol, item[1].channel.value


def _told(stream: "StreamTally", rate: float) -> dict[str, Any]:
    return {
        "symbol": stream.symbol,
        "channel": stream.channel.value,
        "rows": stream.rows,
        "per_s": round(rate, 1),
        "lag_ms": stream.lag_ms,
        "gaps": stream.gaps,
        "bytes": stream.bytes,
    }


def _size(folder: Path) -> int:
    """Bytes of everything in a folder: files that come and go meanwhile count or do not."""
    size = 0
    for path in folder.rglob("*"):
        with contextlib.suppress(OSError):
            size += path.stat().st_size
    return size


def _readable(size: float) -> str:
    for unit in _UNITS:
        if size < 1000 or unit == _UNITS[-1]:
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1000
    raise AssertionError
