"""`quant demo`: a bot, an exchange of its own, and mischief done to them while you watch."""

import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from importlib import import_module
from pathlib import Path
from threading import Event, Thread
from time import monotonic
from types import FrameType
from typing import TYPE_CHECKING, Annotated

import typer

from quantcli.cli.order_view import table
from quantcli.cli.output import note, write_text
from quantcli.cli.state import Bot, Told
from quantcli.clock import NS_PER_S, WallClock
from quantcli.config import parse_duration
from quantcli.runtime.control.wire import Status
from quantcli.runtime.demo import BOT, MARKETS, Demo
from quantcli.runtime.mischief import FREE, PICTURE, RESUMED, STORY, Mischief, Step

if TYPE_CHECKING:
    from quantcli.tui.app import Screen

_ENDINGS = (signal.SIGTERM, signal.SIGHUP)
_PROGRAM = (sys.executable, "-m", "quantcli.cli.tethered")
# Without a terminal: for how long, and how often the orders are shown.
_UNWATCHED_S = 20.0
_SHOW_EVERY_S = 4.0
_LOOK_EVERY_S = 0.25


def command(
    for_: Annotated[
        str | None,
        typer.Option("--for", metavar="TIME", help="Stop after this long; without a terminal, after 20s."),
    ] = None,
    chaos: Annotated[
        bool, typer.Option("--chaos", help="Drop, delay, repeat, reorder and refuse all the time.")
    ] = False,
    svg: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Draw the orders while one is unknown, and leave.")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, metavar="N", help="Seed of the market and the faults.")] = 7,
) -> None:
    """Watch a bot trade on an imagined exchange that loses answers, drops connections and knows no mercy.

    No account, no network, and nothing outside a temporary folder, which is gone afterwards.  On a terminal
    that is the screen of `quant tui` (q leaves); elsewhere it is told, with the orders now and then.
    """
    seconds = None if for_ is None else parse_duration(for_) / NS_PER_S
    watched = svg is None and sys.stdin.isatty() and sys.stdout.isatty()
    if watched:
        Thread(target=import_module, args=("quantcli.tui.app",), daemon=True).start()
    note(f"a synthetic market in {' and '.join(MARKETS)}, an imagined exchange; nothing leaves this machine")
    with _ended_by_signals(), Demo(_PROGRAM, seed, is_still=svg is not None) as demo:
        if svg is not None:
            _draw(demo, svg)
        elif watched:
            _watch(demo, seconds, chaos)
        else:
            _narrate(demo, seconds or _UNWATCHED_S, chaos)


@contextmanager
def _mischief(demo: Demo, tell: Callable[[str], None], *steps: Step) -> Iterator[Event]:
    """Let things go wrong until the end of the block, or until the event is set; without steps, at random."""
    stop = Event()
    going = Mischief(demo, tell, stop)
    thread = Thread(target=partial(going.play, steps) if steps else going.rage, daemon=True)
    thread.start()
    try:
        yield stop
    finally:
        stop.set()
        thread.join()


def _watch(demo: Demo, seconds: float | None, is_chaos: bool) -> None:
    """On a terminal: the screen, on which each step is told as it happens."""
    from quantcli.tui.app import Screen
    from quantcli.tui.model import Model

    model = Model(BOT, WallClock().now_ns)
    screen = Screen(model, demo.client.path, demo.environment)

    def leave(number: int, _: FrameType | None) -> None:
        screen.exit(return_code=128 + number)

    for number in _ENDINGS:
        signal.signal(number, leave)  # in good order, so that the terminal is as it was
    with _mischief(demo, model.say, *(() if is_chaos else (*STORY, FREE))) as stop:
        if seconds is not None:
            Thread(target=_leave_after, args=(screen, seconds, stop), daemon=True).start()
        screen.run()
    if screen.return_code:
        raise SystemExit(screen.return_code)


def _leave_after(screen: "Screen", seconds: float, stop: Event) -> None:
    if not stop.wait(seconds):
        screen.call_from_thread(screen.exit)


def _draw(demo: Demo, path: Path) -> None:
    """The orders, while one is unknown and another is moved."""
    from quantcli.cli.demo_picture import drawn, seen_once

    with _mischief(demo, note, PICTURE):
        known = seen_once(demo.client.path)
    path.write_text(drawn(known), encoding="utf-8")
    note(f"wrote {path}")


def _narrate(demo: Demo, seconds: float, is_chaos: bool) -> None:
    """Without a terminal: lines, and the orders now and then, at least whenever one is unknown."""
    began = monotonic()

    def tell(line: str) -> None:
        note(f"{_clock(monotonic() - began)}  {line}")

    tell("the bot trades" + (", and everything is unreliable" if is_chaos else ""))
    with _mischief(demo, tell, *(() if is_chaos else (*STORY, RESUMED))) as stop:
        before, shown = set[tuple[str, str]](), -_SHOW_EVERY_S
        while (now := monotonic() - began) < seconds:
            told = _told(demo)
            notable = {
                (item.intent_id, item.mark)
                for item in told.orders().items
                if item.mark in "!x" or item.slot_status.startswith("paused")
            }
            if now - shown >= _SHOW_EVERY_S or (notable - before and not is_chaos):
                _show(now, told)
                shown = now
            before = notable
            stop.wait(_LOOK_EVERY_S)
    _show(seconds, _told(demo))
    tell("that was it")


def _show(at_s: float, told: Told) -> None:
    write_text(f"{_clock(at_s)}\n{table(told, told.orders().items)}\n")
    sys.stdout.flush()


def _told(demo: Demo) -> Told:
    return Told(Bot(demo.project, BOT), demo.client, demo.client.get("status", Status))


def _clock(seconds: float) -> str:
    return f"{int(seconds) // 60}:{int(seconds) % 60:02d}"


@contextmanager
def _ended_by_signals() -> Iterator[None]:
    """SIGTERM and SIGHUP end the block as Ctrl-C does, so that everything is put away."""

    def leave(number: int, _: FrameType | None) -> None:
        raise SystemExit(128 + number)

    before = {number: signal.signal(number, leave) for number in _ENDINGS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
