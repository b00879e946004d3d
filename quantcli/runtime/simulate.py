"""The program `quant simulate`: a recording, a strategy, an imagined exchange, and what came of it.

The queue models differ only where a resting order met a trade at its own price; where none did, one run
answers for all of them.
"""

import asyncio
import hashlib
import time
from collections.abc import Callable, Mapping
from decimal import Decimal
from pathlib import Path

import msgspec
import tomli_w
from msgspec.structs import replace

from quantcli.clock import NS_PER_MS, NS_PER_S, VirtualClock
from quantcli.config import LimitsConfig, Money
from quantcli.errors import RecordingError
from quantcli.model.batch import Chunk
from quantcli.model.instrument import SymbolMetadata, canonical
from quantcli.recording.reader import Recording
from quantcli.report.run import Run, Settings
from quantcli.runtime.audit import audit
from quantcli.runtime.replay import Replay
from quantcli.runtime.sampling import Sampler
from quantcli.runtime.view import ReplayView
from quantcli.runtime.wiring import Assumptions, SimulatedDesk, build_desk, seeded_identity
from quantcli.simulation.matching import QueueModel
from quantcli.store.halt import HaltFlag
from quantcli.store.memory import MemoryStore
from quantcli.trading.strategy import Strategy

# The account is looked at so many times in a run, but not more than once a second, nor less than once a
# minute: the ratios of a report are taken from returns over a minute.
_SAMPLES = 300
_SAMPLE_MIN_NS, _SAMPLE_MAX_NS = NS_PER_S, 60 * NS_PER_S

Progress = Callable[[int], None]


class Job(msgspec.Struct, frozen=True):
    """What is to be simulated.  `label` and `source` are the strategy's, `params` as texts."""

    recording: Recording
    markets: Mapping[str, SymbolMetadata]
    strategy: type[Strategy]
    label: str
    source: Path
    params: Mapping[str, str]
    assumptions: Assumptions
    limits: LimitsConfig


def run_job(job: Job, all_queues: bool, progress: Progress) -> Run:
    """Run a job from outside of any event loop; see `simulate`."""
    runs: list[Run] = []

    async def main() -> None:
        # The result is not returned through the loop: asyncio puts the text of it into an error that it
        # raises and swallows while it gives the signal handlers back, and a run can be long to spell.
        runs.append(await simulate(job, all_queues, progress))

    asyncio.run(main())
    return runs[0]


async def simulate(job: Job, all_queues: bool, progress: Progress) -> Run:
    """Run a job; with `all_queues` under the other queue models too, for the range of results."""
    run, queue_mattered = await _simulate_once(job, progress)
    if not all_queues:
        return run
    ends: dict[str, Decimal] = {}
    violated = dict.fromkeys(run.violated)
    for queue in QueueModel:
        other = run
        if queue_mattered and queue is not job.assumptions.queue:
            changed = replace(job, assumptions=replace(job.assumptions, queue=queue))
            other, _ = await _simulate_once(changed, progress)
        ends[queue.value] = other.end_equity
        violated |= dict.fromkeys(other.violated)
    return replace(run, end_equity_by_queue=ends, violated=list(violated))


async def _simulate_once(job: Job, progress: Progress) -> tuple[Run, bool]:
    recording = job.recording
    started = time.perf_counter()
    strategy = job.strategy()
    strategy.apply_params(job.params)
    clock = VirtualClock(recording.from_ns)
    view = ReplayView(clock.now_ns)
    store = MemoryStore(seeded_identity(job.assumptions.seed))
    desk = build_desk(
        recording.exchange,
        strategy,
        job.markets,
        job.assumptions,
        job.limits,
        store,
        HaltFlag(None),
        clock,
        view,
    )
    step_ns = (recording.to_ns - recording.from_ns) // _SAMPLES
    step_ns = min(max(step_ns, _SAMPLE_MIN_NS), _SAMPLE_MAX_NS)
    sampler = Sampler(desk.portfolio, recording.from_ns, step_ns)

    def on_chunk(chunk: Chunk) -> None:
        desk.markouts.on_chunk(chunk)
        progress(len(chunk))

    replay = Replay(desk.engine, desk.exchange, clock, view, sampler, on_chunk)
    await desk.kernel.start(job.markets)
    await desk.engine.start()
    await replay.run(recording.chunks(symbols=list(job.markets)))
    await desk.engine.stop(cancel_kept=False)
    run = await _run(job, strategy, desk, sampler, time.perf_counter() - started)
    await desk.kernel.stop()
    return run, desk.exchange.queue_mattered


async def _run(job: Job, strategy: Strategy, desk: SimulatedDesk, sampler: Sampler, wall_s: float) -> Run:
    portfolio, assumed = desk.portfolio, job.assumptions
    equity, unrealised = portfolio.equity(), portfolio.unrealised()
    if equity is None or unrealised is None:
        raise RecordingError(
            "a position cannot be valued at the end",
            why="the recording shows no price of its market",
            todo="record quotes or trades of every market that is traded",
        )
    placements = desk.logbook.placements(await desk.kernel.get_all_orders())
    promises = await audit(desk.kernel, desk.exchange, portfolio, desk.logbook.fills)
    kept_inside = desk.kernel.checks()
    return Run(
        strategy=job.label,
        strategy_digest=hashlib.sha256(job.source.read_bytes()).hexdigest(),
        recording_digest=job.recording.digest,
        exchange=job.recording.exchange,
        symbols=list(job.markets),
        params=strategy.param_values(),
        seed=assumed.seed,
        settings=Settings(
            latency_ms=assumed.latency.order_ns / NS_PER_MS,
            maker_fee=assumed.fees.maker,
            taker_fee=assumed.fees.taker,
            queue=assumed.queue.value,
        ),
        from_ns=job.recording.from_ns,
        to_ns=job.recording.to_ns,
        events=_recorded_rows(job),
        currency=assumed.currency,
        start_equity=portfolio.start_equity,
        end_equity=equity,
        realised=portfolio.realised,
        unrealised=unrealised,
        fees=portfolio.fees,
        positions=portfolio.positions(),
        fills=desk.logbook.fills,
        order_rows=placements.rows,
        orders=placements.counts,
        rejected_by_code=placements.rejected_by_code,
        sample_ns=sampler.times_ns,
        equity=sampler.equity,
        exposure=sampler.exposure,
        markout_bps=desk.markouts.bps(),
        checked=len(promises) + len(kept_inside),
        violated=[name for name, held in promises.items() if not held],
        trace_hash=desk.trace.digest,
        waiting=_waiting(desk),
        wall_s=wall_s,
    )


def _recorded_rows(job: Job) -> int:
    """Rows as recorded: quotes that were derived from them are not counted."""
    streams = job.recording.streams
    return sum(s.rows for s in streams if s.symbol in job.markets and s.derived_from is None)


def _waiting(desk: SimulatedDesk) -> dict[str, str]:
    return {
        f"{symbol} {name}": status
        for symbol, slots in desk.engine.slots.items()
        for name, status in slots.status().items()
        if ": " in status
    } | {
        symbol: "waiting: the recording shows no price"
        for symbol in desk.engine.markets
        if desk.engine.view.quote(symbol) is None
    }


def describe(job: Job) -> str:
    """What was run under which settings, as TOML; the settings in the form of `quant.toml`."""
    assumed = job.assumptions
    return tomli_w.dumps(
        {
            "run": {
                "strategy": job.label,
                "params": dict(job.params),
                "symbols": list(job.markets),
                "queue": assumed.queue.value,
            },
            "simulate": {
                "cash": f"{canonical(assumed.cash)} {assumed.currency}",
                "fees": f"{canonical(assumed.fees.maker)},{canonical(assumed.fees.taker)}",
                "latency_ms": assumed.latency.order_ns // NS_PER_MS,
                "feed_latency_ms": assumed.latency.feed_ns // NS_PER_MS,
                "seed": assumed.seed,
            },
            "limits": {
                name: f"{canonical(value.amount)} {value.currency}" if isinstance(value, Money) else value
                for name in job.limits.__struct_fields__
                if (value := getattr(job.limits, name)) is not None
            },
        }
    )
