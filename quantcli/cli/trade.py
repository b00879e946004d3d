"""`quant trade`: run a strategy; on paper, with a recording as its live feed."""

import asyncio
import signal
import sys
from decimal import Decimal
from typing import TYPE_CHECKING, Annotated

import typer

from quantcli.cli.output import emit_line, note, timestamp
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
from quantcli.config import find_project, load_config, parse_duration
from quantcli.errors import UsageError
from quantcli.model.event import Event, OrderEvent, PositionEvent, RiskLimit
from quantcli.model.instrument import canonical

if TYPE_CHECKING:
    from quantcli.runtime.paper import Outcome, Paper


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
    job = prepare(terms, config)

    from quantcli.runtime.paper import Paper, Session
    from quantcli.store.halt import HaltFlag

    project, bot = find_project(), name or config.bot.name
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
    outcome = asyncio.run(_until_stopped(Paper(job, session, tell)))
    _conclude(outcome, bot)


async def _until_stopped(paper: "Paper") -> "Outcome":
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, paper.stop)
    return await paper.run()


def _conclude(outcome: "Outcome", bot: str) -> None:
    worth = "unknown" if outcome.equity is None else f"{outcome.equity:,.2f} {outcome.currency}"
    note(f"stopped after {outcome.events:,} events; equity {worth}")
    if outcome.left_working:
        note(f"{len(outcome.left_working)} orders are still working: quant orders --name {bot}")


def tell(event: Event) -> None:
    """Show an event as it happens: a line for people on a terminal, a line of JSON otherwise."""
    if not sys.stdout.isatty():
        emit_line(event)
    elif line := _line(event):
        sys.stdout.write(line + "\n")


def _line(event: Event) -> str:
    match event:
        case OrderEvent(kind=kind, intent=intent, fill=fill, reason=reason):
            order = intent.order
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
