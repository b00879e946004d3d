"""`quant trade`: run a strategy, on paper or live."""

import asyncio
import sys
from contextlib import ExitStack, redirect_stdout
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NamedTuple, Protocol

import typer

from quantcli.cli.detached import detach as leave_running
from quantcli.cli.detached import refuse_second
from quantcli.cli.keys import refuse_to_show_the_key, required_key
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
from quantcli.errors import ConfigError, OutcomeUnknown, UsageError
from quantcli.model.instrument import canonical
from quantcli.places import Project, find_project

if TYPE_CHECKING:
    from quantcli.runtime.control.bridge import Bridge
    from quantcli.runtime.daemon import LiveJob
    from quantcli.runtime.session import Outcome, Session
    from quantcli.runtime.simulate import Job
    from quantcli.trading.strategy import Strategy
    from quantcli.venues.live import Credentials

# Who trades with money says how much of it may be lost.
_REQUIRED_LIMITS = ("max_order", "max_position", "max_loss")


class Runs(Protocol):
    """A program that trades."""

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
    (`quant login`, or QUANT_<EXCHANGE>_API_KEY and QUANT_<EXCHANGE>_SECRET), and limits in quant.toml.
    """
    _check(speed, from_, is_at_exchange=bool(endpoint or exchange or not paper))
    config = load_config()
    terms = Terms(
        from_, strategy, param or [], symbol or [], cash, fees, latency_ms, feed_latency_ms, None, seed
    )
    bot = _Bot(name or config.bot.name, find_project(), config)
    refuse_second(bot.project, bot.name)
    if detach or tui:
        leave_running(bot.project, bot.name, sys.argv[1:], attaches=tui)
        return
    seconds = None if for_ is None else parse_duration(for_) / NS_PER_S
    teller = Teller(sys.stdout, output)
    with redirect_stdout(Narration()), ExitStack() as stack:  # what a strategy prints is narration
        if from_ is not None:
            program = _on_recording(bot, terms, speed, seconds, teller, stack)
        else:
            where = exchange or config.bot.exchange
            program = _on_market(bot, terms, where, endpoint, paper, seconds, teller, stack)
        _run(program, bot, teller, is_live=not paper)


class _Bot(NamedTuple):
    name: str
    project: Project
    config: Config

    def session(self, seconds: float | None) -> "Session":
        from quantcli.runtime.session import Session

        cancels = self.config.on.stop == "cancel"
        return Session(self.project.database(self.name), self.project.halt_flag(self.name), seconds, cancels)

    def appear(
        self, stack: ExitStack, world: str, exchange: str, endpoint: str, job: "Job | LiveJob", teller: Teller
    ) -> "Bridge":
        """Let it be found, watched and steered, as long as `stack` lasts."""
        from quantcli.cli.presence import about, present

        home = str(job.source.resolve().parent)
        found = about(self.project, self.name, exchange, endpoint, world, job.strategy.__name__, home)
        bridge, line = stack.enter_context(present(found, self.project, self.config))
        teller.stay_above(line)
        return bridge


class _Program(NamedTuple):
    """What runs, and where it is seen."""

    run: "Runs"
    bridge: "Bridge"


def _on_recording(
    bot: _Bot, terms: Terms, speed: float, seconds: float | None, teller: Teller, stack: ExitStack
) -> _Program:
    job = prepare(terms, bot.config)
    bridge = bot.appear(stack, "REPLAY", job.recording.exchange, "", job, teller)
    from quantcli.runtime.paper import Paper

    note(f"{bot.name}: {job.label} on {job.recording.exchange} {' '.join(job.markets)}, paper, {speed:g} x")
    return _Program(Paper(job, bot.session(seconds), speed, teller.tell, bridge), bridge)


def _on_market(
    bot: _Bot,
    terms: Terms,
    exchange: str,
    endpoint: str | None,
    paper: bool,
    seconds: float | None,
    teller: Teller,
    stack: ExitStack,
) -> _Program:
    key = None
    if not paper:
        _require(bot.config.limits)
        refuse_to_show_the_key(endpoint)
        key = required_key(exchange)
    job = _live_job(terms, bot.config, exchange, endpoint, key)
    world = "PAPER" if paper else "TESTNET" if endpoint else "LIVE"
    bridge = bot.appear(stack, world, exchange, endpoint or "", job, teller)
    from quantcli.runtime.daemon import Daemon

    note(f"{bot.name}: {job.label} on {endpoint or exchange}, {'paper' if paper else 'LIVE'}")
    return _Program(Daemon(job, bot.session(seconds), teller, bridge), bridge)


def _check(speed: float, from_: Path | None, is_at_exchange: bool) -> None:
    if not 0 < speed <= 1_000_000:
        raise UsageError(f"--speed {speed:g} is not a speed", todo="1 is real time, 60 a minute a second")
    if from_ is not None and is_at_exchange:
        raise UsageError(
            "a recording is no live market",
            why="--from replaces the exchange",
            todo="leave out --from, or --live, --exchange and --endpoint",
        )


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


def _run(program: _Program, bot: _Bot, teller: Teller, is_live: bool) -> None:
    from quantcli.store.halt import HaltFlag
    from quantcli.trading.loader import strategy_error

    halt = HaltFlag(bot.project.halt_flag(bot.name))
    if halt.level:
        note(f"halted: {halt.reason}.  Nothing that adds exposure will be placed; `quant resume` ends it.")
    runs, bridge = program
    teller.gone = bridge.stop = runs.stop
    try:
        outcome = asyncio.run(_until_stopped(runs))
    except SystemExit as error:  # an author's way to stop, which would look like success
        raise strategy_error(error, runs.strategy) from error
    _conclude(outcome, bridge, bot.name, is_live)


async def _until_stopped(program: Runs) -> "Outcome":
    with stop_signals(program.stop):
        return await program.run()


def _conclude(outcome: "Outcome", bridge: "Bridge", bot: str, is_live: bool) -> None:
    worth = "unknown" if outcome.equity is None else f"{outcome.equity:,.2f} {outcome.currency}"
    note(f"stopped after {outcome.events:,} events; equity {worth}")
    last = bridge.last
    if last.cancelled:
        where = bridge.about.exchange if is_live else "the imagined exchange"
        orders = f"{last.cancelled} {'order' if last.cancelled == 1 else 'orders'}"
        note(f"  cancelled {orders}, confirmed by {where} in {last.took_s:.1f} s")
    for item in outcome.left_working:
        order = item.order
        at = f"@ {canonical(order.price)}" if order.price is not None else "at market"
        note(f"  left: {order.symbol} {order.side.name} {canonical(item.remaining)} {at} {item.intent_id}")
    if last.held:
        held = "  ".join(f"{symbol} {canonical(qty)}" for symbol, qty in last.held)
        note(f"  positions: {held}; the next start goes on with them")
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
