"""`quant trade`: run a strategy, on paper or live."""

import asyncio
import sys
from contextlib import ExitStack, redirect_stdout
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Protocol
from urllib.parse import urlsplit

import typer

from quantcli.cli.detached import detach as leave_running
from quantcli.cli.detached import refuse_second
from quantcli.cli.keys import required_key
from quantcli.cli.output import Narration, Output, note
from quantcli.cli.signals import stop_signals
from quantcli.cli.teller import Teller
from quantcli.cli.terms import (
    CashOption,
    FeedLatencyOption,
    FeesOption,
    LatencyOption,
    ParamOption,
    SeedOption,
    StrategyOption,
    SymbolOption,
    Terms,
    assumptions,
    choose_strategy,
    prepare,
)
from quantcli.clock import NS_PER_S
from quantcli.config import Config, LimitsConfig, load_config, parse_duration
from quantcli.errors import ConfigError, OutcomeUnknown, SafetyError, UsageError
from quantcli.model.instrument import canonical
from quantcli.places import find_project

if TYPE_CHECKING:
    from quantcli.runtime.control.bridge import Bridge
    from quantcli.runtime.daemon import LiveJob
    from quantcli.runtime.session import Outcome, Session
    from quantcli.runtime.simulate import Job
    from quantcli.trading.strategy import Strategy
    from quantcli.venues.live import Credentials

# Who trades with money says how much of it may be lost.
_REQUIRED_LIMITS = ("max_order", "max_position", "max_loss")
_THIS_MACHINE = ("127.0.0.1", "localhost", "::1")


class _Program(Protocol):
    @property
    def strategy(self) -> "type[Strategy]": ...
    def stop(self) -> None: ...
    async def run(self) -> "Outcome": ...


def command(
    strategy: StrategyOption = None,
    paper: Annotated[
        bool, typer.Option("--paper/--live", help="On an imagined exchange, or with money on the real one.")
    ] = True,
    exchange: Annotated[
        str | None, typer.Option(metavar="NAME", help="Where the market is.  Default: quant.toml's.")
    ] = None,
    endpoint: Annotated[
        str | None, typer.Option(metavar="URL", help="Instead of the exchange's own address: a sandbox.")
    ] = None,
    from_: Annotated[
        Path | None,
        typer.Option("--from", metavar="DIR", help="On paper: a recording instead of the live market."),
    ] = None,
    speed: Annotated[float, typer.Option(metavar="X", help="With --from: times real time.")] = 1.0,
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
    detach: Annotated[
        bool, typer.Option("--detach", help="Leave it running, in a session of its own, once it trades.")
    ] = False,
    tui: Annotated[bool, typer.Option("--tui", help="The same, and its screen in this terminal.")] = False,
    output: Annotated[
        Output | None,
        typer.Option(
            "--output",
            "-o",
            help="Events as lines for people (table) or for programs (json).  Default: table on a terminal.",
        ),
    ] = None,
) -> None:
    """Run a strategy: on paper on the live market (or a recording, with --from), or with --live for money.

    Orders, fills and money are kept in .quant/BOT.db: started again, the bot goes on where it stopped.
    Ctrl-C stops it: what it keeps resting is cancelled, and what is left is told.  Trading live takes a key
    in QUANT_<EXCHANGE>_API_KEY and QUANT_<EXCHANGE>_SECRET, and limits in quant.toml.
    """
    _check(speed, from_, is_at_exchange=bool(endpoint or exchange or not paper))
    config = load_config()
    terms = Terms(
        from_, strategy, param or [], symbol or [], cash, fees, latency_ms, feed_latency_ms, None, seed
    )
    bot = name or config.bot.name
    project = find_project()
    refuse_second(project, bot)
    if detach or tui:
        leave_running(project, bot, sys.argv[1:], attaches=tui)
        return
    seconds = None if for_ is None else parse_duration(for_) / NS_PER_S
    teller = Teller(sys.stdout, output)
    with redirect_stdout(Narration()), ExitStack() as stack:  # what a strategy prints is narration
        from quantcli.cli.presence import about, present
        from quantcli.runtime.session import Session

        session = Session(project.database(bot), project.halt_flag(bot), seconds, config.on.stop == "cancel")
        if from_ is not None:
            job = prepare(terms, config)
            said = about(
                project,
                bot,
                job.recording.exchange,
                "",
                "REPLAY",
                job.strategy.__name__,
                str(job.source.resolve().parent),
            )
            bridge, line = stack.enter_context(present(said, project, config))
            teller.stay_above(line)
            made = _paper(job, session, speed, teller, bot, bridge)
        else:
            where, key = exchange or config.bot.exchange, None
            if not paper:
                _require(config.limits)
                _refuse_to_show_the_key(endpoint)
                key = required_key(where)
            live = _live_job(terms, config, where, endpoint, key)
            world = "PAPER" if paper else "TESTNET" if endpoint else "LIVE"
            said = about(
                project,
                bot,
                where,
                endpoint or "",
                world,
                live.strategy.__name__,
                str(live.source.resolve().parent),
            )
            bridge, line = stack.enter_context(present(said, project, config))
            teller.stay_above(line)
            made = _daemon(live, session, teller, bot, bridge)
        bridge.stop = made.stop
        _run(made, session, teller, bot, is_live=not paper)


def _check(speed: float, from_: Path | None, is_at_exchange: bool) -> None:
    if not 0 < speed <= 1_000_000:
        raise UsageError(f"--speed {speed:g} is not a speed", todo="1 is real time, 60 a minute a second")
    if from_ is not None and is_at_exchange:
        raise UsageError(
            "a recording is no live market",
            why="--from replaces the exchange",
            todo="leave out --from, or --live, --exchange and --endpoint",
        )


def _paper(
    job: "Job", session: "Session", speed: float, teller: Teller, bot: str, bridge: "Bridge"
) -> _Program:
    from quantcli.runtime.paper import Paper

    note(f"{bot}: {job.label} on {job.recording.exchange} {' '.join(job.markets)}, paper, {speed:g} x")
    return Paper(job, session, speed, teller.tell, bridge)


def _daemon(job: "LiveJob", session: "Session", teller: Teller, bot: str, bridge: "Bridge") -> _Program:
    from quantcli.runtime.daemon import Daemon

    where = job.endpoint or job.exchange
    note(f"{bot}: {job.label} on {where}, {'paper' if job.credentials is None else 'LIVE'}")
    return Daemon(job, session, teller, bridge)


def _live_job(
    terms: Terms, config: Config, exchange: str, endpoint: str | None, credentials: "Credentials | None"
) -> "LiveJob":
    from quantcli.runtime.daemon import LiveJob

    chosen = choose_strategy(terms, config)
    return LiveJob(
        exchange=exchange,
        endpoint=endpoint,
        symbols=tuple(terms.symbols),
        strategy=chosen.strategy,
        label=chosen.label,
        source=chosen.source,
        params=chosen.params,
        limits=config.limits,
        credentials=credentials,
        assume=partial(assumptions, terms, config),
    )


def _require(limits: LimitsConfig) -> None:
    missing = [name for name in _REQUIRED_LIMITS if getattr(limits, name) is None]
    if missing:
        raise ConfigError(
            "live trading needs limits",
            why=f"quant.toml sets no {', '.join(missing)}",
            todo='set them under [limits], like\nmax_order = "200 USDT"\nmax_position = "1000 USDT"\n'
            'max_loss = "50 USDT"',
        )


def _refuse_to_show_the_key(endpoint: str | None) -> None:
    """A key never leaves this machine unencrypted."""
    parts = urlsplit(endpoint or "https:")
    if parts.scheme == "http" and parts.hostname not in _THIS_MACHINE:
        raise SafetyError(
            f"the key would go to {endpoint} unencrypted",
            why="http can be read, and changed, by everybody on the way",
            todo="use https, or a server on this machine",
        )


def _run(program: _Program, session: "Session", teller: Teller, bot: str, is_live: bool) -> None:
    from quantcli.store.halt import HaltFlag
    from quantcli.trading.loader import strategy_error

    halt = HaltFlag(session.halt_flag)
    if halt.level:
        note(f"halted: {halt.reason}.  Nothing that adds exposure will be placed; `quant resume` ends it.")
    teller.gone = program.stop
    try:
        outcome = asyncio.run(_until_stopped(program))
    except SystemExit as error:  # an author's way to stop, which would look like success
        raise strategy_error(error, program.strategy) from error
    _conclude(outcome, bot, is_live)


async def _until_stopped(program: _Program) -> "Outcome":
    with stop_signals(program.stop):
        return await program.run()


def _conclude(outcome: "Outcome", bot: str, is_live: bool) -> None:
    worth = "unknown" if outcome.equity is None else f"{outcome.equity:,.2f} {outcome.currency}"
    note(f"stopped after {outcome.events:,} events; equity {worth}")
    for item in outcome.left_working:
        order = item.order
        at = f"@ {canonical(order.price)}" if order.price is not None else "at market"
        note(f"  left: {order.symbol} {order.side.name} {canonical(item.remaining)} {at} {item.intent_id}")
    count = len(outcome.left_working)
    if count:
        note(f"{count} {'order is' if count == 1 else 'orders are'} still working: quant orders --name {bot}")
    if outcome.failure is not None:
        raise outcome.failure
    if is_live and outcome.unconfirmed:
        raise OutcomeUnknown(
            f"the exchange has not confirmed {outcome.unconfirmed} "
            f"{'order' if outcome.unconfirmed == 1 else 'orders'}",
            why="it did not answer in time; the next start asks again before anything is placed",
            todo=f"quant reconcile --plan --name {bot}",
        )
