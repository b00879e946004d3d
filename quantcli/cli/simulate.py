"""`quant simulate`: replay a recording through a strategy, and report."""

from typing import Annotated

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
from quantcli.config import find_project, load_config


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
    job = prepare(terms, load_config())

    from quantcli.report.folder import write_run
    from quantcli.report.summary import summarise
    from quantcli.runtime.simulate import describe, run_job
    from quantcli.simulation.matching import QueueModel

    runs = 1 if queue else len(QueueModel)
    with progress("simulating", job.recording.rows * runs) as advance:
        run = run_job(job, all_queues=queue is None, progress=advance)
    report = summarise(run)
    artifacts = write_run(find_project().runs, run, report, describe(job), job.source)
    report = msgspec.structs.replace(report, artifacts=artifacts)
    if output is Output.JSON:
        emit(report, output, str)
    else:
        from rich.console import Console

        from quantcli.report.terminal import render

        render(report, Console(), plot)
