"""Figures as Prometheus reads them."""

import socket
import sys
import urllib.error
import urllib.request
from decimal import Decimal

import pytest
from prometheus_client.parser import text_string_to_metric_families

from quantcli.errors import ConfigError
from quantcli.runtime.control import metrics
from quantcli.runtime.control.wire import BudgetLine, Health, Latency, LinkLine, Status

STATUS = Status(
    bot="mm-btc",
    pid=7,
    exchange="binance",
    endpoint="",
    world="LIVE",
    strategy="mystrat.py:Maker",
    symbols=("BTC/USDT",),
    started_ns=1_700_000_000_500_000_000,
    now_ns=1_700_000_100_000_000_000,
    state="trading",
    marks={"=": 3, "~": 1},
    open_orders=4,
    feed_age_ms=41.0,
    rate_used=0.18,
    currency="USDT",
    equity=Decimal("10012.31"),
    reconciliation_lag_ms=250.0,
    error_count=2,
    version="0.1.0",
)
HEALTH = Health(
    latencies=(
        Latency("submit -> ack", 9, 43.0, 61.0, 118.0, 401.0, (), 120, 5_000.0),
        Latency("book feed age", 0, 0.0, 0.0, 0.0, 0.0),
    ),
    budgets=(BudgetLine("weight", 214, 6_000, 60.0, 22.0, 1), BudgetLine("orders", 9, 50, 10.0, 4.0)),
    links=(LinkLine("market ws", "ok", 1, 0), LinkLine("user ws", "down", 2, 3, "1006")),
    checks={"quantity_bound": 12},
    rss_mb=100.0,
)
PICTURE = metrics.Picture(STATUS, HEALTH, {"filled": 5})


def samples(text):
    return {
        (sample.name, *sorted(sample.labels.values())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def test_the_text_says_what_the_status_says():
    text, content_type = metrics.exposition(PICTURE)
    found = samples(text.decode())
    assert content_type.startswith("text/plain")
    expected = {
        ("quant_info", "0.1.0", "LIVE", "binance", "mm-btc", "mystrat.py:Maker"): 1,
        ("quant_up",): 1,
        ("quant_state", "trading"): 1,
        ("quant_state", "stuck"): 0,
        ("quant_halted", "NONE"): 0,
        ("quant_start_time_seconds",): 1_700_000_000.5,
        ("quant_orders_open", "in_sync"): 3,
        ("quant_orders_open", "unknown"): 0,
        ("quant_reconciliation_lag_seconds",): 0.25,
        ("quant_feed_age_seconds",): 0.041,
        ("quant_equity", "USDT"): 10012.31,
        ("quant_errors_total",): 2,
        ("quant_order_events_total", "filled"): 5,
        ("quant_invariant_checks_total", "quantity_bound"): 12,
        ("quant_link_up", "user ws"): 0,
        ("quant_link_drops_total", "user ws"): 3,
        ("quant_request_limit_used", "60s", "request_weight"): 214,
        ("quant_requests_waiting", "10s", "orders"): 0,
        ("quant_resident_memory_bytes",): 100 * 2**20,
        ("quant_submit_ack_seconds", "0.5"): 0.043,
        ("quant_submit_ack_seconds_count",): 120,
        ("quant_submit_ack_seconds_sum",): 5.0,
        ("quant_book_feed_age_seconds_count",): 0,
    }
    assert {name: found.get(name) for name in expected} == expected
    assert ("quant_book_feed_age_seconds", "0.5") not in found
    assert ("quant_start_equity", "USDT") not in found


def test_every_name_keeps_to_the_conventions():
    text = metrics.exposition(PICTURE)[0].decode()
    families = list(text_string_to_metric_families(text))
    assert len({family.name for family in families}) == len(families)
    for family in families:
        assert family.name.startswith("quant_")
        assert family.documentation
        assert family.type in {"gauge", "counter", "summary"}
        assert not family.name.endswith(("_ms", "_mb", "_percent"))


def test_they_are_offered_on_a_port_that_is_asked_for():
    pictures = iter([PICTURE, PICTURE._replace(counts={"filled": 6})])
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        listen = f"127.0.0.1:{free.getsockname()[1]}"
    close = metrics.serve(listen, lambda: next(pictures))
    try:
        for filled in (5, 6):
            with urllib.request.urlopen(f"http://{listen}/metrics", timeout=5) as answer:
                found = samples(answer.read().decode())
            assert found["quant_order_events_total", "filled"] == filled
    finally:
        close()
    with pytest.raises(urllib.error.URLError):
        urllib.request.urlopen(f"http://{listen}/metrics", timeout=5)


def test_a_bot_that_does_not_answer_is_told_to_be_down(capfd):
    def stuck():
        raise TimeoutError("the bot is stuck")

    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        listen = f"127.0.0.1:{free.getsockname()[1]}"
    close = metrics.serve(listen, stuck)
    try:
        with urllib.request.urlopen(f"http://{listen}/metrics", timeout=5) as answer:
            assert samples(answer.read().decode()) == {("quant_up",): 0}
    finally:
        close()
    assert "Traceback" not in capfd.readouterr().err


def test_a_port_that_is_taken_is_a_wrong_configuration():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(ConfigError, match="cannot be offered"):
            metrics.serve(f"127.0.0.1:{taken.getsockname()[1]}", lambda: PICTURE)


@pytest.mark.parametrize("listen", ["", "9464", "127.0.0.1", "127.0.0.1:99999", "127.0.0.1:x", ":9464"])
def test_what_is_no_address_is_refused(listen):
    with pytest.raises(ConfigError, match="no address"):
        metrics.serve(listen, lambda: PICTURE)


def test_addresses_of_either_kind_are_understood():
    assert metrics.address("127.0.0.1:9464") == ("127.0.0.1", 9464)
    assert metrics.address("[::1]:9464") == ("::1", 9464)


def test_without_the_library_it_is_said_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "prometheus_client", None)
    with pytest.raises(ConfigError) as failure:
        metrics.exposition(PICTURE)
    assert "quantcli[metrics]" in failure.value.todo
