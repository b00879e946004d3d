"""The report: its keys, its sums, its names, and that nothing in it is NaN."""

import json
import math
from decimal import Decimal
from itertools import pairwise
from typing import Any

import pytest

from quantcli.errors import InvariantError
from quantcli.report.run import OrderCounts
from quantcli.report.summary import run_id, summarise, to_json

D = Decimal

CONTRACT = {
    *(
        "api",
        "kind",
        "run_id",
        "strategy",
        "exchange",
        "symbols",
        "params",
        "seed",
        "latency_ms",
        "fees_rate",
    ),
    *("queue", "from_ns", "to_ns", "events", "fills", "maker_fills", "orders", "rejected_by_code"),
    *("start_equity", "realised", "unrealised", "fees", "end_equity", "net_pnl", "currency", "positions"),
    *("by_queue_model", "metrics", "intent_to_ack_ms", "drift_to_sync_ms", "in_drift", "markout_bps"),
    "invariants",
    *("trace_hash", "wall_s", "events_per_s", "artifacts"),
}
METRICS = {
    *("sharpe", "sortino", "max_drawdown", "max_drawdown_s", "volatility", "win_rate", "profit_factor"),
    *("expectancy", "exposure_time", "turnover", "returns", "sampling_s"),
}


def as_json(run: Any) -> dict[str, Any]:
    def refuse(name: str) -> None:
        raise AssertionError(name)

    document: dict[str, Any] = json.loads(to_json(summarise(run)), parse_constant=refuse)
    return document


def test_the_report_has_every_key_of_the_contract(make_run) -> None:
    report = as_json(make_run())
    assert set(report) >= CONTRACT
    assert report["api"] == "quant/v1"
    assert report["kind"] == "SimulationReport"
    assert list(report["orders"]) == ["created", "replaced", "cancelled", "rejected", "unknown"]
    assert set(report["metrics"]) >= METRICS
    assert list(report["intent_to_ack_ms"]) == ["p50", "p95", "max"]
    assert list(report["by_queue_model"]) == ["optimistic", "volume", "conservative"]
    assert report["invariants"]["checked"] == 14
    assert report["invariants"]["violated"] == 0


def test_money_is_canonical_text_and_adds_up(make_run) -> None:
    report = as_json(make_run())
    names = ("start_equity", "realised", "unrealised", "fees", "end_equity", "net_pnl")
    assert [report[name] for name in names] == ["1000", "10", "5", "0.31", "1014.69", "14.69"]
    assert report["positions"] == [
        {
            "symbol": "BTC/USDT",
            "qty": "1",
            "avg_price": "100",
            "realised": "10",
            "unrealised": "5",
            "fees": "0.31",
            "mark": "105",
        }
    ]
    assert report["fees_rate"] == {"maker": "0.0002", "taker": "0.0005"}
    assert report["equity_curve"][-1][1] == "1014.69"


def test_an_account_that_does_not_add_up_is_no_report(make_run) -> None:
    with pytest.raises(InvariantError):
        summarise(make_run(fees=D("0.3100000000000000000000000000000000000001")))


def test_the_result_is_given_under_every_queue_model_that_was_run(make_run) -> None:
    results = as_json(make_run())["by_queue_model"]
    assert results == {
        "optimistic": {"end_equity": "1020", "net_pnl": "20"},
        "volume": {"end_equity": "1014.69", "net_pnl": "14.69"},
        "conservative": {"end_equity": "990", "net_pnl": "-10"},
    }
    alone = as_json(make_run(end_equity_by_queue={}))["by_queue_model"]
    assert (alone["optimistic"], alone["conservative"]) == (None, None)


def test_metrics_come_from_the_curve_the_fills_and_the_samples(make_run) -> None:
    figures = as_json(make_run())["metrics"]
    assert figures["max_drawdown"] == pytest.approx(20 / 1010)
    assert (figures["max_drawdown_amount"], figures["max_drawdown_s"]) == ("20", 240)
    assert (figures["win_rate"], figures["profit_factor"], figures["round_trips"]) == (1, None, 1)
    assert figures["expectancy"] == "9.79"
    assert figures["exposure_time"] == pytest.approx(599 / 600)
    assert figures["turnover"] == pytest.approx(0.31)
    assert (figures["sampling_s"], figures["returns"]) == (60, 10)
    curve = [1000, 1000, 1010, 1005, 990, 1000, 1012, 1010, 1013, 1014, 1014.69]
    changes = [b / a - 1 for a, b in pairwise(curve)]
    mean = sum(changes) / 10
    deviation = math.sqrt(sum((c - mean) ** 2 for c in changes) / 9)
    assert figures["sharpe"] == pytest.approx(mean / deviation * math.sqrt(365 * 24 * 60))


def test_only_acknowledged_orders_count_for_the_delay(make_run) -> None:
    assert as_json(make_run())["intent_to_ack_ms"] == {"p50": 40, "p95": 40, "max": 40}


def test_drift_lasts_until_the_exchange_has_answered_or_the_run_ends(make_run) -> None:
    report = as_json(make_run())
    assert report["in_drift"] == (40_000_000 + 10 * 10**9) / (600 * 10**9)
    assert report["drift_to_sync_ms"] == {"p50": 40, "p95": 40, "max": 40}


def test_a_run_without_anything_has_nulls_and_no_nan(make_run) -> None:
    nothing = make_run(
        fills=(),
        order_rows=(),
        orders=OrderCounts(),
        positions=(),
        sample_ns=(),
        equity=(),
        exposure=(),
        start_equity=D(0),
        end_equity=D(0),
        realised=D(0),
        unrealised=D(0),
        fees=D(0),
        end_equity_by_queue={},
        events=0,
        wall_s=0.0,
        to_ns=make_run().from_ns,
    )
    report = as_json(nothing)
    assert report["intent_to_ack_ms"] == {"p50": None, "p95": None, "max": None}
    numbers = {
        k: v for k, v in report["metrics"].items() if k not in {"round_trips", "sampling_s", "returns"}
    }
    assert set(numbers.values()) == {None}
    assert (report["events_per_s"], report["in_drift"], report["net_pnl"]) == (0, None, "0")


def test_broken_invariants_are_counted_and_named(make_run) -> None:
    found = as_json(make_run(violated=("I2", "I13")))["invariants"]
    assert found == {"checked": 14, "violated": 2, "names": ["I2", "I13"]}


def test_the_run_id_follows_from_the_inputs_and_from_nothing_else(make_run) -> None:
    name = run_id(make_run())
    assert name == run_id(
        make_run(wall_s=9.0, trace_hash="else", events=1, params={"levels": 2, "size": D("0.5")})
    )
    assert name.startswith("touchmaker-")
    assert len(name.removeprefix("touchmaker-")) == 8
    others = [
        {"seed": 8},
        {"params": {"levels": 3}},
        {"strategy_digest": "ab"},
        {"recording_digest": "bc"},
        {"symbols": ("ETH/USDT",)},
        {"start_equity": D(1)},
    ]
    assert len({name, *(run_id(make_run(**change)) for change in others)}) == 1 + len(others)


@pytest.mark.parametrize(
    ("label", "slug"), [("my maker.py", "my-maker"), ("x.py:A_B", "a-b"), ("x.py:Ä", "run"), ("", "run")]
)
def test_a_run_id_is_a_plain_word(make_run, label: str, slug: str) -> None:
    assert run_id(make_run(strategy=label)).rpartition("-")[0] == slug


def test_the_curve_for_drawing_is_short_and_ends_where_the_run_ends(make_run) -> None:
    run = make_run()
    start, end = run.from_ns + 123_456_789, run.to_ns - 7  # odd ones: no float holds them
    many = range(run.from_ns, run.to_ns, 10_000_000)
    samples = {"sample_ns": many, "equity": [1.0] * len(many), "exposure": [0.0] * len(many)}
    drawn = summarise(make_run(from_ns=start, to_ns=end, **samples)).equity_curve
    assert len(drawn) == 120
    assert drawn[0] == (start, "1000")
    assert drawn[-1] == (end, "1014.69")
    assert [at_ns for at_ns, _ in drawn] == sorted(at_ns for at_ns, _ in drawn)
