"""The figures of a bot as Prometheus reads them: names and units by its conventions, seconds and bytes.

    exposition(picture)           the text of GET /metrics, with its content type
    serve(listen, collect)        the same on a TCP port; `collect` is called in a thread of its own

Needs the extra `metrics`, which is imported when it is asked for.  Measures nothing.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from decimal import Decimal
from typing import TYPE_CHECKING, Any, NamedTuple

from quantcli.clock import NS_PER_S
from quantcli.errors import ConfigError
from quantcli.runtime.control.rows import MARKS
from quantcli.runtime.control.wire import Health, Latency, Status

if TYPE_CHECKING:
    from prometheus_client.core import Metric

STATES = ("starting", "trading", "stopping", "stuck", "failed")

_MB = 1 << 20
_MS_PER_S = 1_000
_LISTEN = re.compile(r"\[?(?P<host>[^\[\]]*?)\]?:(?P<port>\d{1,5})")
_KINDS = {"weight": "request_weight"}


class Picture(NamedTuple):
    """What there is to tell: `counts` is how often what happened to orders, by kind (`Gauges.counts`)."""

    status: Status
    health: Health
    counts: Mapping[str, int]


def exposition(picture: Picture) -> tuple[bytes, str]:
    """The text, and its content type.  Raises `ConfigError` without the extra."""
    library = _library()
    registry = library.CollectorRegistry(auto_describe=False)
    registry.register(_Collector(lambda: picture))
    return library.generate_latest(registry), library.CONTENT_TYPE_LATEST


def serve(listen: str, collect: Callable[[], Picture]) -> Callable[[], None]:
    """Offer the figures at an address, `127.0.0.1:9464`; returns what ends that.

    Where `collect` raises, the bot is told to be down.  Raises `ConfigError` without the extra, and for
    an address that is none or is not to be had.
    """
    host, port = address(listen)
    library = _library()
    registry = library.CollectorRegistry(auto_describe=False)
    registry.register(_Collector(collect))
    try:
        server, thread = library.start_http_server(port, host, registry)
    except OSError as error:
        raise ConfigError(
            f"metrics cannot be offered at {listen}",
            why=error.strerror or str(error),
            todo="set another [metrics] listen in quant.toml, or leave it out",
        ) from error

    def close() -> None:
        server.shutdown()
        server.server_close()
        thread.join()

    return close


def address(listen: str) -> tuple[str, int]:
    """Host and port of `HOST:PORT`.  Raises `ConfigError`."""
    found = _LISTEN.fullmatch(listen.strip())
    if found is None or not 0 <= int(found["port"]) < 1 << 16 or not found["host"]:
        raise ConfigError(
            f"{listen!r} is no address to listen at",
            why="it is a host and a port",
            todo='write it like listen = "127.0.0.1:9464"',
        )
    return found["host"], int(found["port"])


def _library() -> Any:
    try:
        import prometheus_client  # noqa: PLC0415  (an extra)
    except ImportError as error:
        raise ConfigError(
            "metrics need a library that is not installed",
            why="prometheus-client is an extra",
            todo='pip install "quantcli[metrics]"',
        ) from error
    return prometheus_client


class _Collector:
    """Asked by the library; everything is made anew each time."""

    def __init__(self, collect: Callable[[], Picture]) -> None:
        self._collect = collect

    def collect(self) -> "Iterator[Metric]":
        """All metrics; only that the bot is not up, if it does not answer."""
        try:
            status, health, counts = self._collect()
        except Exception:
            yield _gauge("up", "1 if the bot answers.", [({}, 0)])
            return
        yield _gauge("up", "1 if the bot answers.", [({}, 1)])
        yield from _of_status(status)
        yield from _of_counts(status, health, counts)
        yield from _of_health(health)
        yield from map(_summary, health.latencies)


def _of_status(status: Status) -> "Iterator[Metric]":
    who = {
        "bot": status.bot,
        "exchange": status.exchange,
        "world": status.world,
        "strategy": status.strategy,
        "version": status.version,
    }
    yield _gauge("info", "Which bot this is.", [(who, 1)])
    yield _gauge("state", "1 for the state that the bot is in.", _one_of("state", STATES, status.state))
    yield _gauge(
        "halted", "1 if the kill switch is on.", [({"level": status.halt_level}, status.halt_level != "NONE")]
    )
    yield _gauge(
        "start_time_seconds", "When it was started, since the epoch.", [({}, status.started_ns / NS_PER_S)]
    )
    yield _gauge("orders_open", "Open orders, by how they differ from what is wished.", _marks(status.marks))
    yield _gauge(
        "reconciliation_lag_seconds",
        "How late the kernel is with what it does next.",
        [({}, status.reconciliation_lag_ms / _MS_PER_S)],
    )
    yield _gauge(
        "reconciliations_pending", "Wishes that are not in sync.", [({}, status.pending_reconciliations)]
    )
    yield _gauge("findings", "What an operator should look at.", [({}, len(status.findings))])
    if status.swept_ns:
        yield _gauge(
            "last_sweep_timestamp_seconds",
            "When the exchange last confirmed orders and position, since the epoch.",
            [({}, status.swept_ns / NS_PER_S)],
        )
    yield from _maybe(
        "feed_age_seconds", "How old the newest market data are.", _scaled(status.feed_age_ms, _MS_PER_S)
    )
    yield from _maybe(
        "request_limit_used_ratio", "Use of the request limit that is used most.", status.rate_used
    )
    money = {"currency": status.currency}
    yield from _maybe("equity", "What the account is worth.", status.equity, money)
    yield from _maybe(
        "start_equity", "What it was worth at the very first start.", status.start_equity, money
    )
    yield from _maybe("exposure", "What is held, at the market's prices.", status.exposure, money)


def _of_counts(status: Status, health: Health, counts: Mapping[str, int]) -> "Iterator[Metric]":
    yield _counter("order_events", "What happened to orders.", [({"kind": k}, n) for k, n in counts.items()])
    yield _counter(
        "errors", "Requests without a usable answer, and failed commits.", [({}, status.error_count)]
    )
    yield _counter("retries", "What was asked again.", [({}, status.retry_count)])
    yield _counter("strategy_errors", "Errors in the strategy.", [({}, health.strategy_errors)])
    yield _counter(
        "invariant_checks",
        "How often a promise was checked.",
        [({"promise": name}, count) for name, count in health.checks.items()],
    )
    yield _counter(
        "link_drops", "How often a connection dropped.", [({"link": e.name}, e.drops) for e in health.links]
    )


def _of_health(health: Health) -> "Iterator[Metric]":
    up = [({"link": each.name}, each.state == "ok") for each in health.links]
    yield _gauge("link_up", "1 if a connection is up.", up)
    for name, about, figure in (
        ("request_limit", "What the exchange allows in a window.", "limit"),
        ("request_limit_used", "What of it is used.", "used"),
        ("requests_waiting", "Requests that are held back for it.", "waiting"),
    ):
        yield _gauge(name, about, [(_window(each), getattr(each, figure)) for each in health.budgets])
    yield _gauge("problems", "What is wrong with the machinery.", [({}, len(health.problems))])
    yield _gauge("loop_lag_seconds", "How late the loop is.", [({}, health.loop_lag_ms / _MS_PER_S)])
    yield _gauge("resident_memory_bytes", "Memory of the process.", [({}, health.rss_mb * _MB)])
    yield _gauge("cpu_ratio", "Share of one processor.", [({}, health.cpu_share)])
    yield _gauge("database_bytes", "State database and its log.", [({}, health.database_mb * _MB)])


def _summary(latency: Latency) -> "Metric":
    """Quantiles are of the last quarter of an hour, count and sum of all since the start."""
    from prometheus_client.core import Metric  # noqa: PLC0415  (an extra)

    name = f"quant_{'_'.join(re.findall('[a-z0-9]+', latency.name.lower().replace(' to ', ' ')))}_seconds"
    metric = Metric(name, f"{latency.name}, of the last 15 minutes", "summary")
    if latency.count:
        for quantile, ms in (("0.5", latency.p50), ("0.95", latency.p95), ("0.99", latency.p99)):
            metric.add_sample(name, {"quantile": quantile}, ms / _MS_PER_S)
    metric.add_sample(f"{name}_count", {}, latency.total)
    metric.add_sample(f"{name}_sum", {}, latency.sum_ms / _MS_PER_S)
    return metric


_Samples = Iterable[tuple[dict[str, str], float | Decimal]]


def _gauge(name: str, about: str, samples: _Samples) -> "Metric":
    return _metric("gauge", f"quant_{name}", "", about, samples)


def _counter(name: str, about: str, samples: _Samples) -> "Metric":
    return _metric("counter", f"quant_{name}", "_total", about, samples)


def _metric(kind: str, name: str, suffix: str, about: str, samples: _Samples) -> "Metric":
    from prometheus_client.core import Metric  # noqa: PLC0415  (an extra)

    metric = Metric(name, about, kind)
    for labels, value in samples:
        metric.add_sample(name + suffix, labels, float(value))
    return metric


def _maybe(
    name: str, about: str, value: float | Decimal | None, labels: dict[str, str] | None = None
) -> "Iterator[Metric]":
    if value is not None:
        yield _gauge(name, about, [(labels or {}, value)])


def _one_of(label: str, names: Iterable[str], current: str) -> _Samples:
    return [({label: name}, name == current) for name in dict.fromkeys((*names, current))]


def _marks(marks: Mapping[str, int]) -> _Samples:
    """Every mark, also those that do not occur: a series that vanishes alarms nobody."""
    words = {mark: words.replace(" ", "_") for mark, words in MARKS.items()}
    return [({"mark": words.get(mark, mark)}, marks.get(mark, 0)) for mark in {**words, **marks}]


def _window(budget: Any) -> dict[str, str]:
    return {"kind": _KINDS.get(budget.kind, budget.kind), "window": f"{budget.per_s:g}s"}


def _scaled(value: float | None, by: float) -> float | None:
    return None if value is None else value / by
