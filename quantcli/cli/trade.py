"""`quant trade`: run a strategy; on paper, with a recording as its live feed."""

import asyncio
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stdout
from decimal import Decimal
from typing import TYPE_CHECKING, Annotated, TextIO

import msgspec
import typer

from quantcli.cli.output import Output, emit_line, note, timestamp
from quantcli.cli.terms import (
    CashOption,
    FeedLatencyOption,
    FeesOption,
    FromOption,
    LatencyOption,
    ParamOption,
    SeedOption,
    StrategyOption,
    SymbolOption,
    Terms,
    prepare,
)
from quantcli.clock import NS_PER_S
from quantcli.config import Config, find_project, load_config, parse_duration
from quantcli.errors import UsageError
from quantcli.model.event import Event, OrderEvent, PositionEvent, RiskLimit
from quantcli.model.instrument import canonical

if TYPE_CHECKING:
    from quantcli.runtime.paper import Outcome, Session
    from quantcli.runtime.simulate import Job


def command(
    from_: FromOption,
    strategy: StrategyOption = None,
    paper: Annotated[
        bool, typer.Option("--paper", help="On an imagined exchange; the only way in this version.")
    ] = True,
    speed: Annotated[float, typer.Option(metavar="X", help="Times real time.")] = 1.0,
    for_: Annotated[
        str | None, typer.Option("--for", metavar="TIME", help="Stop after this much real time: 30s, 1h.")
    ] = None,
    name: Annotated[str | None, typer.Option(metavar="BOT", help="The bot's name.")] = None,
    param: ParamOption = None,
    symbol: SymbolOption = None,
    cash: CashOption = None,
    fees: FeesOption = None,
    latency_ms: LatencyOption = None,
    feed_latency_ms: FeedLatencyOption = None,
    seed: SeedOption = None,
    output: Annotated[
        Output | None,
        typer.Option(
            "--output",
            "-o",
            help="Events as lines for people (table) or for programs (json).  Default: table on a terminal.",
        ),
    ] = None,
) -> None:
    """Run a strategy on paper, with a recording as its live feed.

    Orders, fills and money are kept in .quant/BOT.db: started again, the bot goes on where it stopped.
    Ctrl-C stops it: what it keeps resting is cancelled, and what is left is told.
    """
    if not 0 < speed <= 1_000_000:
        raise UsageError(f"--speed {speed:g} is not a speed", todo="1 is real time, 60 a minute a second")
    config = load_config()
    terms = Terms(
        from_, strategy, param or [], symbol or [], cash, fees, latency_ms, feed_latency_ms, None, seed
    )
    teller = _Teller(sys.stdout, output)
    with redirect_stdout(sys.stderr):  # what a strategy prints is narration
        _trade(terms, config, name or config.bot.name, speed, for_, teller)


def _trade(terms: Terms, config: Config, bot: str, speed: float, for_: str | None, teller: "_Teller") -> None:
    job = prepare(terms, config)

    from quantcli.runtime.paper import Session
    from quantcli.store.halt import HaltFlag
    from quantcli.trading.loader import strategy_error

    project = find_project()
    session = Session(
        project.database(bot),
        project.halt_flag(bot),
        speed,
        None if for_ is None else parse_duration(for_) / NS_PER_S,
        config.on.stop == "cancel",
    )
    halt = HaltFlag(session.halt_flag)
    if halt.level:
        note(f"halted: {halt.reason}.  Nothing that adds exposure will be placed; `quant resume` ends it.")
    note(f"{bot}: {job.label} on {job.recording.exchange} {' '.join(job.markets)}, paper, {speed:g} x")
    try:
        outcome = asyncio.run(_until_stopped(job, session, teller))
    except SystemExit as error:  # an author's way to stop, which would look like success
        raise strategy_error(error, job.strategy) from error
    _conclude(outcome, bot)


async def _until_stopped(job: "Job", session: "Session", teller: "_Teller") -> "Outcome":
    from quantcli.runtime.paper import Paper

    paper = Paper(job, session, teller.tell)
    teller.gone = paper.stop
    with _stop_signals(paper.stop):
        return await paper.run()


@contextmanager
def _stop_signals(stop: Callable[[], None]) -> Iterator[None]:
    """Stop in good order at the first signal, leave at once at the second.

    Handlers of the interpreter's own, not the event loop's: they come through while a hook is stuck.
    """
    loop = asyncio.get_running_loop()
    asked = False

    def begin_to_stop() -> None:
        stop()
        note("stopping in good order; interrupt again to leave at once")

    def on_signal(number: int, _: object) -> None:
        nonlocal asked
        if asked:
            raise KeyboardInterrupt
        asked = True
        loop.call_soon_threadsafe(begin_to_stop)

    numbers = [signal.SIGINT, signal.SIGTERM]
    if hasattr(signal, "SIGHUP") and signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:  # nohup's
        numbers.append(signal.SIGHUP)
    before = {number: signal.signal(number, on_signal) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _conclude(outcome: "Outcome", bot: str) -> None:
    worth = "unknown" if outcome.equity is None else f"{outcome.equity:,.2f} {outcome.currency}"
    note(f"stopped after {outcome.events:,} events; equity {worth}")
    count = len(outcome.left_working)
    if count:
        note(f"{count} {'order is' if count == 1 else 'orders are'} still working: quant orders --name {bot}")
    if outcome.failure is not None:
        raise outcome.failure


class _Teller:
    """Shows events on `out` as they happen: lines for people on a terminal, else lines of JSON, unless told.

    `gone` is called when nobody reads any more: who trades unwatched by accident had better not.
    """

    def __init__(self, out: TextIO, form: Output | None) -> None:
        self.gone: Callable[[], None] = lambda: None
        self._out = out
        self._is_read = True
        self._for_people = out.isatty() if form is None else form is Output.TABLE

    def tell(self, event: Event) -> None:
        """Show one event."""
        if not self._is_read:
            return
        try:
            if not self._for_people:
                emit_line({"topic": event.topic, **msgspec.structs.asdict(event)}, self._out)
            elif line := _line(event):
                self._out.write(line + "\n")
                self._out.flush()
        except OSError:
            self._is_read = False
            self.gone()


def _line(event: Event) -> str:
    match event:
        case OrderEvent(kind=kind, intent=intent, state=state, fill=fill, reason=reason):
            order = state.order if state is not None else intent.order  # as placed: without what had traded
            qty, price = (fill.qty, fill.price) if fill else (order.quantity, order.price)
            slot = intent.metadata.get("slot", "")
            words = (
                f"{kind.value:<9} {order.symbol} {slot:<6} {order.side.name[0]} {canonical(qty)}",
                f"@ {canonical(price)}" if isinstance(price, Decimal) else "at market",
                reason,
            )
            return f"{timestamp(event.at_ns)[11:23]} {' '.join(w for w in words if w)}"
        case PositionEvent(position=position):
            return f"{timestamp(event.at_ns)[11:23]} position  {position.symbol} {canonical(position.qty)}"
        case RiskLimit(check=check, symbol=symbol, reason=reason):
            return f"{timestamp(event.at_ns)[11:23]} refused   {symbol} {check}: {reason}"
        case _:
            return ""
