"""`quant simulate`: replay a recording through a strategy, and report."""

import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from typing import TYPE_CHECKING, Annotated

import msgspec
import typer

from quantcli.cli.output import Output, OutputOption, emit, progress
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
from quantcli.config import load_config
from quantcli.places import find_project

if TYPE_CHECKING:
    from quantcli.report.run import Run
    from quantcli.runtime.simulate import Job


def command(
    from_: FromOption,
    strategy: StrategyOption = None,
    param: ParamOption = None,
    symbol: SymbolOption = None,
    cash: CashOption = None,
    fees: FeesOption = None,
    latency_ms: LatencyOption = None,
    feed_latency_ms: FeedLatencyOption = None,
    seed: SeedOption = None,
    queue: Annotated[
        str | None,
        typer.Option(
            metavar="MODEL",
            help="Run one queue model only: optimistic, volume or conservative.  Default: volume, "
            "and the range of all three.",
        ),
    ] = None,
    plot: Annotated[bool, typer.Option("--plot", help="Draw the equity curve.")] = False,
    output: OutputOption = Output.TABLE,
) -> None:
    """Replay a recording through a strategy, on an imagined exchange.

    The same inputs give the same orders and fills on every machine: compare trace_hash.
    """
    terms = Terms(
        from_,
        strategy,
        param or [],
        symbol or [],
        cash,
        fees,
        latency_ms,
        feed_latency_ms,
        queue,
        seed,
    )
    config = load_config()
    with redirect_stdout(sys.stderr):  # what a strategy prints is narration
        job = prepare(terms, config)
        run = _run(job, all_queues=queue is None and config.simulate.queue is None)

    from quantcli.report.folder import write_run
    from quantcli.report.summary import summarise
    from quantcli.runtime.simulate import describe

    report = summarise(run)
    artifacts = write_run(find_project().runs, run, report, describe(job), job.source)
    report = msgspec.structs.replace(report, artifacts=artifacts)
    if output is Output.JSON:
        emit(report, output, str)
    else:
        from rich.console import Console

        from quantcli.report.terminal import render

        render(report, Console(), plot)


def _run(job: "Job", all_queues: bool) -> "Run":
    from quantcli.runtime.simulate import run_job
    from quantcli.simulation.matching import QueueModel
    from quantcli.trading.loader import strategy_error

    runs = len(QueueModel) if all_queues else 1
    with _interruptible(), progress("simulating", job.recording.rows * runs) as advance:
        try:
            return run_job(job, all_queues, advance)
        except SystemExit as error:  # an author's way to stop, which would look like success
            raise strategy_error(error, job.strategy) from error


@contextmanager
def _interruptible() -> Iterator[None]:
    """Let Ctrl-C through at once: asyncio would wait until the run suspends, which a replay never does."""

    def interrupt(number: int, frame: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGINT, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
