"""A run as its report: the JSON document that others rely on (`SimulationReport`).

Keys may be added, never renamed.  Money is text, exact, and adds up:
`end_equity = start_equity + realised + unrealised - fees`, `net_pnl = end_equity - start_equity`.
Everything but `wall_s` and `events_per_s` follows from the run's inputs.
"""

import hashlib
import re
from collections.abc import Mapping, Sequence
from decimal import Context, Decimal, localcontext
from typing import Any

import msgspec
import numpy as np

from quantcli.clock import NS_PER_MS, NS_PER_S
from quantcli.errors import InvariantError
from quantcli.model.account import Position
from quantcli.model.batch import Floats, Ints
from quantcli.model.instrument import canonical, to_decimal
from quantcli.report import drift, metrics, trips
from quantcli.report.run import OrderCounts, Run

QUEUE_MODELS = ("optimistic", "volume", "conservative")
_CURVE_POINTS = 120
_EXACT = Context(prec=100)
_FLOAT_DECIMALS = Decimal("1e-8")  # money that was sampled as a float is told to so many


class PositionRow(msgspec.Struct, frozen=True):
    """A position at the end; `mark` is what it was valued at."""

    symbol: str
    qty: str
    avg_price: str
    realised: str
    unrealised: str
    fees: str
    mark: str | None


class QueueResult(msgspec.Struct, frozen=True):
    """The result under one assumption about our place in the queue."""

    end_equity: str
    net_pnl: str


class Metrics(msgspec.Struct, frozen=True, kw_only=True):
    """Figures to judge by; `None` where one is not defined.

    Drawdown, win rate and exposure time (the share of time in which something was held) are fractions,
    `volatility` one for a year; `turnover` is the value traded as a multiple of the start equity;
    `expectancy` is the mean profit of a round trip, as money.  `returns` is how many returns the ratios are
    taken from, `sampling_s` the step of each.
    """

    sharpe: float | None
    sortino: float | None
    max_drawdown: float | None
    max_drawdown_s: float | None
    max_drawdown_amount: str | None
    volatility: float | None
    win_rate: float | None
    profit_factor: float | None
    expectancy: str | None
    exposure_time: float | None
    turnover: float | None
    round_trips: int
    sampling_s: int
    returns: int


class Delay(msgspec.Struct, frozen=True):
    """Milliseconds: median, 95th percentile and most; `None` if nothing was measured."""

    p50: float | None
    p95: float | None
    max: float | None


class Invariants(msgspec.Struct, frozen=True):
    """Promises of our own: how many were checked and broken, and the names of the broken ones."""

    checked: int
    violated: int
    names: tuple[str, ...] = ()


class SimulationReport(msgspec.Struct, frozen=True, kw_only=True):
    """What `quant simulate` prints and `report.json` holds.

    `in_drift` is the share of time, 0..1, in which some wish and the exchange differed; `drift_to_sync_ms` is
    how long each such difference lasted that ended.  `equity_curve` is thinned, for drawing; the whole of it
    is in the run's folder.
    """

    api: str = "quant/v1"
    kind: str = "SimulationReport"
    run_id: str
    strategy: str
    exchange: str
    symbols: tuple[str, ...]
    params: dict[str, Any]
    seed: int
    latency_ms: float
    fees_rate: dict[str, str]
    queue: str
    from_ns: int
    to_ns: int
    events: int
    fills: int
    maker_fills: int
    orders: OrderCounts
    rejected_by_code: dict[str, int]
    start_equity: str
    realised: str
    unrealised: str
    fees: str
    end_equity: str
    net_pnl: str
    currency: str
    positions: tuple[PositionRow, ...]
    by_queue_model: dict[str, QueueResult | None]
    metrics: Metrics
    intent_to_ack_ms: Delay
    drift_to_sync_ms: Delay
    in_drift: float | None
    markout_bps: dict[str, float | None]
    invariants: Invariants
    waiting: dict[str, str]
    equity_curve: tuple[tuple[int, str], ...]
    trace_hash: str
    wall_s: float
    events_per_s: float
    artifacts: dict[str, str]


def summarise(run: Run) -> SimulationReport:
    """The report of a run; `artifacts` stays empty until something is written.

    Raises `InvariantError` if the account does not add up.
    """
    net_pnl = _net_pnl(run)
    differing = drift.episodes(run.order_rows)
    rates = {"maker": canonical(run.settings.maker_fee), "taker": canonical(run.settings.taker_fee)}
    return SimulationReport(
        run_id=run_id(run),
        strategy=run.strategy,
        exchange=run.exchange,
        symbols=tuple(run.symbols),
        params=dict(run.params),
        seed=run.seed,
        latency_ms=run.settings.latency_ms,
        fees_rate=rates,
        queue=run.settings.queue,
        from_ns=run.from_ns,
        to_ns=run.to_ns,
        events=run.events,
        fills=len(run.fills),
        maker_fills=sum(fill.is_maker for fill in run.fills),
        orders=run.orders,
        rejected_by_code=dict(sorted(run.rejected_by_code.items())),
        start_equity=canonical(run.start_equity),
        realised=canonical(run.realised),
        unrealised=canonical(run.unrealised),
        fees=canonical(run.fees),
        end_equity=canonical(run.end_equity),
        net_pnl=canonical(net_pnl),
        currency=run.currency,
        positions=tuple(_position_row(position) for position in run.positions),
        by_queue_model=_by_queue_model(run, net_pnl),
        metrics=_metrics(run),
        intent_to_ack_ms=_delay([r.acked_ns - r.placed_ns for r in run.order_rows if r.acked_ns is not None]),
        drift_to_sync_ms=_delay([end - start for start, end in differing if end != drift.OPEN]),
        in_drift=drift.share(differing, run.from_ns, run.to_ns),
        markout_bps=dict(run.markout_bps),
        invariants=Invariants(run.checked, len(run.violated), tuple(run.violated)),
        waiting=dict(run.waiting),
        equity_curve=_thinned(*curve(run)),
        trace_hash=run.trace_hash,
        wall_s=round(run.wall_s, 6),
        events_per_s=round(run.events / run.wall_s, 1) if run.wall_s > 0 else 0.0,
        artifacts={},
    )


def run_id(run: Run) -> str:
    """The name of a run, which follows from its inputs: `touchmaker-1f0c9a3e`."""
    inputs = (
        run.strategy,
        run.strategy_digest,
        run.recording_digest,
        run.exchange,
        run.symbols,
        run.params,
        run.seed,
        run.settings,
        run.from_ns,
        run.to_ns,
        run.currency,
        canonical(run.start_equity),
    )
    text = msgspec.json.encode(inputs, enc_hook=str, order="deterministic")
    name = run.strategy.rpartition(":")[2].removesuffix(".py")
    slug = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-") or "run"
    return f"{slug}-{hashlib.sha256(text).hexdigest()[:8]}"


def to_json(report: SimulationReport) -> bytes:
    """The report as JSON, indented, with a newline at its end."""
    return msgspec.json.format(msgspec.json.encode(report, enc_hook=str), indent=2) + b"\n"


def curve(run: Run) -> tuple[Ints, Floats]:
    """Times and equity over the whole run: the samples between its exact start and end."""
    times_ns = np.asarray(run.sample_ns, np.int64)
    inside = (times_ns > run.from_ns) & (times_ns < run.to_ns)
    equity = np.asarray(run.equity, np.float64)[inside]
    return (
        np.concatenate(([run.from_ns], times_ns[inside], [run.to_ns])),
        np.concatenate(([float(run.start_equity)], equity, [float(run.end_equity)])),
    )


def _net_pnl(run: Run) -> Decimal:
    with localcontext(_EXACT):
        expected = run.start_equity + run.realised + run.unrealised - run.fees
        if expected != run.end_equity:
            raise InvariantError(
                f"the account does not add up: {run.end_equity} at the end, {expected} by its parts",
                why="end = start + realised + unrealised - fees holds to the last digit, or a fill was lost",
                todo="do not trust this run; report it with its recording and strategy",
            )
        return run.end_equity - run.start_equity


def _position_row(position: Position) -> PositionRow:
    return PositionRow(
        position.symbol,
        canonical(position.qty),
        canonical(position.avg_price),
        canonical(position.realised),
        canonical(position.unrealised),
        canonical(position.fees),
        None if position.mark is None else canonical(position.mark),
    )


def _by_queue_model(run: Run, net_pnl: Decimal) -> dict[str, QueueResult | None]:
    results: dict[str, QueueResult | None] = dict.fromkeys(QUEUE_MODELS)
    with localcontext(_EXACT):
        for model, end in run.end_equity_by_queue.items():
            results[model] = QueueResult(canonical(end), canonical(end - run.start_equity))
    results[run.settings.queue] = QueueResult(canonical(run.end_equity), canonical(net_pnl))
    return results


def _metrics(run: Run) -> Metrics:
    times_ns, equity = curve(run)
    step_ns = metrics.sampling_ns(run.from_ns, run.to_ns)
    changes = metrics.returns(metrics.resample(times_ns, equity, step_ns))
    fall = metrics.max_drawdown(times_ns, equity)
    profits = trips.round_trips(run.fills, run.start_positions)
    expectancy = trips.expectancy(profits)
    return Metrics(
        sharpe=metrics.sharpe(changes, step_ns),
        sortino=metrics.sortino(changes, step_ns),
        max_drawdown=fall.fraction if fall else None,
        max_drawdown_s=fall.duration_ns / NS_PER_S if fall else None,
        max_drawdown_amount=canonical(_amount(fall.amount)) if fall else None,
        volatility=metrics.volatility(changes, step_ns),
        win_rate=trips.win_rate(profits),
        profit_factor=trips.profit_factor(profits),
        expectancy=None if expectancy is None else canonical(expectancy),
        exposure_time=trips.time_in_market(run.fills, run.start_positions, run.from_ns, run.to_ns),
        turnover=_turnover(run),
        round_trips=len(profits),
        sampling_s=step_ns // NS_PER_S,
        returns=len(changes),
    )


def _turnover(run: Run) -> float | None:
    if not run.start_equity > 0:
        return None
    return float(sum((fill.qty * fill.price for fill in run.fills), Decimal(0)) / run.start_equity)


def _amount(value: float) -> Decimal:
    return to_decimal(value).quantize(_FLOAT_DECIMALS)


def _delay(waits: Sequence[int]) -> Delay:
    if not waits:
        return Delay(None, None, None)
    p50, p95 = np.percentile(waits, (50, 95), method="inverted_cdf") / NS_PER_MS
    return Delay(float(p50), float(p95), max(waits) / NS_PER_MS)


def _thinned(times_ns: Ints, equity: Floats) -> tuple[tuple[int, str], ...]:
    """The curve at no more than `_CURVE_POINTS` even moments, its end included."""
    # In whole numbers: nanoseconds since the epoch do not fit in a float.
    length_ns = times_ns[-1] - times_ns[0]
    grid = times_ns[0] + length_ns * np.arange(_CURVE_POINTS) // (_CURVE_POINTS - 1)
    rows: Mapping[int, None] = dict.fromkeys((np.searchsorted(times_ns, grid, side="right") - 1).tolist())
    return tuple((int(times_ns[i]), canonical(_amount(float(equity[i])))) for i in rows)
