"""Figures of a running bot: durations, limits, connections, the process itself."""

import math
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from quantcli import Strategy, keep
from quantcli.clock import NS_PER_MS, NS_PER_S, VirtualClock
from quantcli.config import LimitsConfig
from quantcli.model.event import OrderEvent, OrderEventKind
from quantcli.model.instrument import Side, Symbol, SymbolMetadata
from quantcli.model.market import BookUpdate, Ticker, Trade
from quantcli.model.order import IntentPhase, OrderIntent, OrderState, OrderType, StandardOrder
from quantcli.runtime.control import gauges as g
from quantcli.runtime.control.machine import Machine
from quantcli.runtime.control.quantiles import ERROR, LEAST, NOTHING, RECENT_S, WINDOW_S, Durations
from quantcli.runtime.live import pass_time
from quantcli.runtime.stage import Stage
from quantcli.runtime.view import LiveView
from quantcli.runtime.wiring import Assumptions, build_desk, seeded_identity
from quantcli.simulation.fees import Fees
from quantcli.simulation.latency import Latency
from quantcli.simulation.matching import QueueModel
from quantcli.store.halt import HaltFlag
from quantcli.store.memory import MemoryStore
from quantcli.venues.inbox import Missed, Notice
from quantcli.venues.limit_rules import Usage

T0 = 1_700_000_040 * NS_PER_S
MS = NS_PER_MS

# Percentiles.


def exact(values, share):
    return sorted(values)[max(1, math.ceil(share * len(values))) - 1]


@given(
    st.lists(st.floats(0, 1e8, allow_nan=False), min_size=1, max_size=300),
    st.lists(st.floats(0, 1), min_size=1, max_size=5),
)
@settings(max_examples=300, deadline=None)
def test_a_percentile_is_within_the_bucket_error_of_the_exact_one(values, shares):
    durations = Durations()
    for value in values:
        durations.add(value, T0)
    for share, found in zip(shares, durations.percentiles(shares, T0), strict=True):
        assert found == pytest.approx(exact(values, share), rel=ERROR + 1e-9, abs=LEAST)
    assert durations.worst(T0) == max(values)
    assert (durations.count(T0), durations.total) == (len(values), len(values))


@given(st.lists(st.tuples(st.integers(0, 3 * WINDOW_S), st.floats(0, 1e6)), max_size=200))
@settings(deadline=None)
def test_only_the_window_counts(timed):
    durations = Durations()
    timed.sort(key=lambda each: each[0])
    for second, value in timed:
        durations.add(value, T0 + second * NS_PER_S)
    now_s = timed[-1][0] if timed else 0
    surely = [value for second, value in timed if second > now_s - WINDOW_S + 60]
    perhaps = [value for second, value in timed if second > now_s - WINDOW_S]
    now_ns = T0 + now_s * NS_PER_S
    assert len(surely) <= durations.count(now_ns) <= len(perhaps)
    assert max(surely, default=0) <= durations.worst(now_ns) <= max(perhaps, default=0)
    assert durations.count(now_ns + WINDOW_S * NS_PER_S) == 0


def test_nothing_measured_reads_as_nothing():
    durations = Durations()
    assert durations.percentiles((0.5,), T0) == (0.0,)
    assert durations.recent(T0) == (NOTHING,) * RECENT_S


def test_the_last_minute_shows_the_worst_of_each_second():
    durations = Durations()
    for at_s, ms in ((0, 9.0), (70, 3.0), (70, 5.0), (70, 4.0), (129, 1.0)):
        durations.add(ms, T0 + at_s * NS_PER_S)
    recent = durations.recent(T0 + 129 * NS_PER_S)
    assert (recent[0], recent[-1], recent.count(NOTHING)) == (5.0, 1.0, RECENT_S - 2)


def test_memory_does_not_grow_with_time():
    durations = Durations()
    for second in range(0, 100_000, 7):
        durations.add(float(second), T0 + second * NS_PER_S)
    assert len(durations._slices) <= WINDOW_S // 60
    assert len(durations._recent) <= RECENT_S


# Market data.


@pytest.fixture
def clock():
    return VirtualClock(T0)


@pytest.fixture
def gauges(clock):
    return g.Gauges(clock)


def latency(gauges, name):
    return next(each for each in gauges.latencies() if each.name == name)


def trade(at_ns, age_ms=30, exchange_ns=None):
    sent_ns = at_ns - age_ms * MS if exchange_ns is None else exchange_ns
    return Trade("AAA/USDT", sent_ns, at_ns, 1, 100.0, 1.0, 1, 1)


def test_the_feed_is_as_old_as_its_news_and_the_silence_since(gauges, clock):
    assert gauges.feed_age_ms() is None
    gauges.market(trade(T0, age_ms=30))
    assert gauges.feed_age_ms() == pytest.approx(30)
    clock.advance_to(T0 + 500 * MS)
    assert gauges.feed_age_ms() == pytest.approx(530)


def test_of_a_fast_feed_twenty_a_second_are_measured(gauges):
    for number in range(2_000):
        gauges.market(trade(T0 + number * MS))
    assert latency(gauges, g.FEED_AGE).count == 40


def test_what_does_not_say_when_it_was_sent_has_no_age_and_takes_no_sample(gauges):
    quote = Ticker("AAA/USDT", 0, T0, 1, 99.0, 1.0, 100.0, 1.0, 1)
    snapshot = BookUpdate("AAA/USDT", T0 - 900 * MS, T0, 2, True, 1, 1, 0, [(99.0, 1.0)], [])
    gauges.market(quote)
    gauges.market(snapshot)
    assert (gauges.feed_age_ms(), latency(gauges, g.FEED_AGE).count) == (None, 0)
    gauges.market(trade(T0 + MS))
    assert latency(gauges, g.FEED_AGE).count == 1


def test_the_exchanges_clock_is_reckoned_with(gauges):
    gauges.offset_ns = 20 * MS
    gauges.market(trade(T0, age_ms=-5))
    assert gauges.feed_age_ms() == pytest.approx(15)


# Orders.


def order_event(kind, at_ms, state=None, **intent):
    order = StandardOrder("AAA/USDT", Side.BUY, OrderType.LIMIT, Decimal(1), Decimal(9))
    fields = {"created_ns": T0, "phase": IntentPhase.ACTIVE} | intent
    attempt = OrderState("i", 1, "i-1", order, 1, T0)
    return OrderEvent(
        kind, T0 + at_ms * MS, OrderIntent("i", order, **fields), replace(attempt, **(state or {}))
    )


def test_an_order_is_followed_from_the_tick_to_the_exchange_and_back(gauges):
    gauges.market(trade(T0 - 2 * MS))
    gauges.take(order_event(OrderEventKind.SUBMITTED, 1))
    gauges.handled()
    gauges.take(order_event(OrderEventKind.ACCEPTED, 44))
    gauges.take(
        order_event(
            OrderEventKind.CANCELLED,
            1_050,
            {"cancel_sent_ns": T0 + 1_000 * MS},
            phase=IntentPhase.CANCELED,
        )
    )
    worst = {each.name: each.worst for each in gauges.latencies() if each.count}
    assert worst == {
        g.FEED_AGE: 30.0,
        g.TICK_TO_INTENT: 2.0,
        g.SUBMIT_TO_ACK: 43.0,
        g.DRIFT_TO_SYNC: 44.0,
        g.CANCEL_TO_GONE: 50.0,
    }
    assert gauges.counts == {"submitted": 1, "accepted": 1, "cancelled": 1}


def test_new_terms_are_in_sync_when_the_exchange_works_them(gauges):
    changed = {"generation": 2, "updated_ns": T0 + 300 * MS}
    gauges.take(order_event(OrderEventKind.MODIFIED, 350, {"generation": 1}, **changed))
    assert latency(gauges, g.DRIFT_TO_SYNC).count == 0
    gauges.take(order_event(OrderEventKind.MODIFIED, 392, {"generation": 2}, **changed))
    assert latency(gauges, g.DRIFT_TO_SYNC).worst == 92.0
    assert latency(gauges, g.SUBMIT_TO_ACK).count == 0  # an amendment is no placement


def test_a_wish_that_no_market_event_caused_has_no_tick(gauges):
    gauges.market(trade(T0 - 800 * MS))
    gauges.handled()
    gauges.take(order_event(OrderEventKind.SUBMITTED, 1))
    assert latency(gauges, g.TICK_TO_INTENT).count == 0


def test_what_an_earlier_run_began_is_not_measured(gauges):
    long_ago = T0 - 3_600 * NS_PER_S
    gauges.take(order_event(OrderEventKind.ACCEPTED, 5, created_ns=long_ago))
    gauges.take(order_event(OrderEventKind.CANCELLED, 9, {"cancel_sent_ns": long_ago}))
    assert {each.count for each in gauges.latencies()} == {0}


def test_orders_that_are_never_answered_are_forgotten(gauges):
    event = order_event(OrderEventKind.SUBMITTED, 1)
    for number in range(10_000):
        gauges.take(replace(event, intent=replace(event.intent, intent_id=f"i{number}")))
    assert len(gauges._submitted) <= 4096


def test_names_of_ones_own_are_measured_but_not_without_end(gauges):
    gauges.sampled("reading the store", 7.0)
    assert latency(gauges, "reading the store").worst == 7.0
    for number in range(1_000):
        gauges.sampled(f"n{number}", 1.0)
    assert len(gauges.latencies()) <= 32


class Quoter(Strategy):
    """Follows the bid."""

    def desired(self, m):
        yield keep.bid("bid", "60 USDT", m.best_bid - m.tick, tolerance=1, post_only=True)


async def test_what_a_kernel_tells_is_measured():
    symbol = Symbol("AAA", "USDT")
    rules = SymbolMetadata(symbol, "binance", "AAAUSDT", price_tick=Decimal("0.01"), lot=Decimal("0.001"))
    fees = Fees(Decimal(0), Decimal(0))
    assumed = Assumptions(
        "USDT", Decimal(10_000), fees, Latency(20 * MS, 5 * MS, jitter=False), QueueModel.VOLUME, 1
    )
    clock = VirtualClock(T0)
    view, gauges = LiveView(clock.now_ns), g.Gauges(clock)
    markets = {symbol.name: rules}
    desk = build_desk(
        "binance",
        Quoter(),
        markets,
        assumed,
        LimitsConfig(),
        MemoryStore(seeded_identity(1)),
        HaltFlag(None),
        clock,
        view,
    )
    desk.bus.subscribe("order.**", gauges.take)
    stage = Stage(desk.engine, view, set(markets), ())
    await desk.kernel.start(markets)
    await desk.engine.start()
    for step in range(600):
        clock.advance_to(at_ns := T0 + step * 5 * MS)
        await pass_time(stage, desk.exchange, at_ns)
        if step % 20 == 0:
            bid = 100.0 + step / 100
            quote = Ticker("AAA/USDT", at_ns - 9 * MS, at_ns, step, bid, 1.0, bid + 0.05, 1.0, step)
            gauges.market(quote)
            await stage.see(quote)
            if reports := desk.exchange.on_event(quote):
                await stage.hear(reports)
            gauges.handled()
    await desk.kernel.stop()
    found = {each.name: each for each in gauges.latencies()}
    assert found[g.FEED_AGE].worst == 9.0
    assert found[g.TICK_TO_INTENT].count >= 1
    for name in (g.SUBMIT_TO_ACK, g.DRIFT_TO_SYNC):
        assert found[name].count >= 5
        assert 20 <= found[name].p50 <= 80


# Connections.


def links(gauges, **known):
    lines = gauges.health(links={name.replace("_", " "): is_up for name, is_up in known.items()}).links
    return {line.name: (line.state, line.drops, line.reason) for line in lines}


def test_connections_go_down_with_a_reason_and_come_back(gauges, clock):
    gauges.market(trade(T0))
    gauges.note(Missed("private stream is up"))
    gauges.note(Notice("reconnect", "wss://stream/ws: 1006"))
    gauges.note(Notice("reconnect", "private stream: closed: 1006"))
    gauges.note(Notice("breaker", "5 failures in a row: only cancels go out for now (HTTP 503)"))
    assert links(gauges) == {
        "market ws": ("down", 1, "wss://stream/ws: 1006"),
        "user ws": ("down", 1, "closed: 1006"),
        "rest": ("down", 0, "5 failures in a row: only cancels go out for now (HTTP 503)"),
    }
    clock.advance_to(T0 + NS_PER_S)
    gauges.market(trade(T0 + NS_PER_S))
    gauges.note(Missed("private stream was down: 1006"))
    gauges.note(Notice("breaker", "the exchange answers again"))
    assert {state for state, _, _ in links(gauges).values()} == {"ok"}
    assert gauges.health().links[1].since_ns == T0 + NS_PER_S


def test_who_holds_a_connection_knows_best(gauges):
    assert links(gauges, rest=True, user_ws=False) == {"user ws": ("down", 0, ""), "rest": ("ok", 0, "")}


@pytest.mark.parametrize("kind", ["balance", "malformed", "symbol", "gap", "trading_disabled"])
def test_what_is_no_connection_changes_none(gauges, kind):
    gauges.note(Notice(kind, "something else"))
    assert links(gauges) == {}


# The rest.


def test_limits_and_the_process_are_told(gauges, tmp_path):
    database = tmp_path / "bot.db"
    database.write_bytes(bytes(1 << 20))
    Path(f"{database}-wal").write_bytes(bytes(1 << 19))
    budgets = [Usage("weight", 600, 6_000, 60.0, 22.0, 3), Usage("orders", 25, 50, 10.0, 4.0, 0)]
    health = gauges.health(budgets=budgets, database=database, checks={"quantity_bound": 3})
    assert health.budgets[0].waiting == 3
    assert health.budgets[1].per_s == 10.0
    assert g.rate_used(budgets) == 0.5
    assert g.rate_used([]) is None
    assert health.database_mb == 1.5
    assert health.rss_mb > 1
    assert health.checks == {"quantity_bound": 3}


def test_the_share_of_a_processor_is_that_since_the_last_look():
    elapsed, worked = iter([0, 100, 200, 200]), iter([0, 50, 60, 61])
    machine = Machine(lambda: next(elapsed), lambda: next(worked))
    assert [machine.look().cpu_share for _ in range(3)] == [0.5, 0.1, 0.1]
