"""By columns or one by one: the exchange says the same."""

import gzip
import json
from decimal import Decimal
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from quantcli.codecs.binance import BinanceCodec
from quantcli.model.instrument import Side, Symbol, SymbolMetadata, round_price
from quantcli.model.market import AggTrade, Bar, BookUpdate, Ticker, Trade
from quantcli.model.message import Amend, Cancel, Lookup, Observation, Place, PlaceList, Survey
from quantcli.model.order import OrderType, StandardOrder, TimeInForce
from quantcli.simulation.fees import Fees
from quantcli.simulation.latency import Latency
from quantcli.simulation.matching import QueueModel

FEES = Fees(Decimal("-0.0001"), Decimal("0.0004"))


def row_numbers(kinds: list[str], markets: int) -> st.SearchStrategy[Any]:
    """(kind, which market, nanoseconds since the row before, ticks, ticks, lots, lots, side)"""
    return st.tuples(
        st.sampled_from(kinds),
        st.integers(0, markets - 1),
        st.sampled_from([0, 0, 1, 3]),
        st.integers(97, 103),
        st.integers(0, 2),
        st.integers(0, 40),
        st.integers(0, 40),
        st.integers(0, 2),
    )


MIXED = ["quote", "quote", "trade", "trade", "agg", "diff", "snapshot", "gap", "bar"]
BOOK = ["diff", "diff", "diff", "diff", "trade", "quote"]
START = [("snapshot", 0, 1, 99, 2, 20, 30, 0), ("quote", 0, 1, 103, 1, 20, 30, 0)]

row_lists = st.one_of(
    st.lists(row_numbers(MIXED, 2), min_size=1, max_size=120),
    st.lists(row_numbers(BOOK, 1), min_size=20, max_size=120).map(lambda rows: START + rows),
)

# (row, what, which market or order, side, ticks, lots, flavour)
request_numbers = st.tuples(
    st.integers(0, 120),
    st.sampled_from(["place", "place", "place", "list", "amend", "amend", "cancel", "lookup", "survey"]),
    st.integers(0, 5),
    st.sampled_from(list(Side)),
    st.integers(96, 104),
    st.integers(1, 60),
    st.sampled_from(
        ["limit", "limit", "limit", "market", "maker", "ioc", "fok", "stop", "stop_limit", "gtd", "reduce"]
    ),
)


def build_rows(numbers: Any, metas: Any) -> list[Any]:
    rows: list[Any] = []
    local_ns, seq, last_ids = 100, 0, [10, 10]
    for kind, which, wait, ticks, more, size, size2, side in numbers:
        meta = metas[which]
        tick, lot = float(meta.price_tick), float(meta.lot)
        local_ns += wait
        seq += side  # sequence numbers tie, as those of two connections may
        price, stamp = round(ticks * tick, 1), (meta.symbol.name, 0, local_ns, seq)
        other = round((ticks + more) * tick, 1)
        if kind == "quote":
            empty = size == 40
            rows.append(
                Ticker(
                    *stamp, 0.0 if empty else price, size * lot, other if size2 < 40 else 0.0, size2 * lot, 0
                )
            )
        elif kind == "trade":
            rows.append(Trade(*stamp, price, size * lot, side, 0))
        elif kind == "agg":
            rows.append(AggTrade(*stamp, price, size * lot, side, 0, 0, 0))
        elif kind == "bar":
            rows.append(Bar(*stamp, 0, 1, price, price, price, price, 0.0, 0.0, 0, True))
        else:
            last_ids[which] += 2 if kind == "gap" else 1
            last_id = last_ids[which]
            bids = [(price, size * lot), (round(price - tick, 1), size2 * lot)]
            asks = [(round(other + tick, 1), size2 * lot), (round(other + 2 * tick, 1), 5 * lot)]
            rows.append(BookUpdate(*stamp, kind == "snapshot", last_id, last_id, 0, bids, asks))
    return rows


def build_order(meta: Any, numbers: Any) -> StandardOrder:
    row, _, _, side, ticks, lots, flavour = numbers
    price, qty = ticks * meta.price_tick, lots * meta.lot
    kind = {
        "market": OrderType.MARKET,
        "maker": OrderType.LIMIT_MAKER,
        "ioc": OrderType.IMMEDIATE_OR_CANCEL,
        "fok": OrderType.FILL_OR_KILL,
        "stop": OrderType.STOP_MARKET,
        "stop_limit": OrderType.STOP_LIMIT,
    }.get(flavour, OrderType.LIMIT)
    return StandardOrder(
        meta.symbol.name,
        side,
        kind,
        qty,
        price=None if flavour in {"market", "stop"} else price,
        stop_price=price if flavour in {"stop", "stop_limit"} else None,
        time_in_force=TimeInForce.GTD if flavour == "gtd" else TimeInForce.GTC,
        reduce_only=flavour == "reduce" and meta.symbol.is_futures,
        expire_ns=150 + row if flavour == "gtd" else None,
    )


def build_list(meta: Any, numbers: Any) -> PlaceList:
    """A post-only order and a stop, two ticks apart: the market is between them, or it is not."""
    _, _, which, side, ticks, lots, flavour = numbers
    terms = (meta.symbol.name, side)
    tick, qty = meta.price_tick, lots * meta.lot
    limit, stop = (ticks - side.sign) * tick, (ticks + side.sign) * tick
    kind = OrderType.STOP_LIMIT if flavour in {"limit", "stop_limit"} else OrderType.STOP_MARKET
    orders = (
        StandardOrder(*terms, OrderType.LIMIT_MAKER, qty, limit),
        StandardOrder(*terms, kind, qty, stop if kind is OrderType.STOP_LIMIT else None, stop),
    )
    return PlaceList(
        tuple(Place(f"{name}{which}", order, 2**62) for name, order in zip("op", orders, strict=True))
    )


def build_script(requests: Any, metas: Any) -> dict[int, list[Any]]:
    script: dict[int, list[Any]] = {}
    placed: dict[int, StandardOrder] = {}
    for i, numbers in enumerate(requests):
        row, what, which, *_ = numbers
        order, name = build_order(metas[which % 2], numbers), metas[i % 2].symbol.name
        request: Any
        match what:
            case "place":
                request = Place(f"o{which}", order, 2**62)
                placed[which] = order
            case "list":
                request = build_list(metas[0], numbers)
            case "amend":
                # Spot amends the quantity only: at the price of the latest order of this name.
                price = order.price if which % 2 else placed.get(which, order).price
                request = Amend(f"o{which}", replace(order, price=price), i, 2**62)
            case "cancel":
                request = Cancel(f"o{which}", name, i)
            case "lookup":
                request = Lookup(f"o{which}", name, i)
            case _:
                request = Survey(name, 50 + row, i)
        script.setdefault(row, []).append(request)
    return script


class Scenario(NamedTuple):
    numbers: list[Any]
    requests: list[Any]
    queue: QueueModel
    latency: Latency
    cut: int


scenarios = st.builds(
    Scenario,
    row_lists,
    st.lists(request_numbers, max_size=25),
    st.sampled_from(list(QueueModel)),
    st.builds(Latency, st.sampled_from([0, 2, 9]), st.sampled_from([0, 3]), st.booleans()),
    st.integers(1, 119),
)


@settings(max_examples=250, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(scenario=scenarios)
def test_random_markets_and_orders_give_the_same_reports(
    scenario: Scenario, spot: Any, perp: Any, chunk: Any, both_ways: Any
) -> None:
    metas = (spot, perp)
    _, rows = chunk(build_rows(scenario.numbers, metas))
    chunks = [chunk(part) for part in (rows[: scenario.cut], rows[scenario.cut :]) if part]
    script = build_script(scenario.requests, metas)
    settings = {
        "instruments": {meta.symbol.name: meta for meta in metas},
        "balances": {"USDT": Decimal(50), "BTC": Decimal("0.5")},
        "fees": FEES,
        "latency": scenario.latency,
        "queue": scenario.queue,
    }
    one_by_one, by_columns = both_ways(settings, chunks, script)
    assert by_columns == one_by_one


def test_an_amendment_meets_the_market_as_it_is_when_it_arrives(
    perp: Any, chunk: Any, both_ways: Any
) -> None:
    name = perp.symbol.name
    quotes = [
        Ticker(name, 0, i, i, 90.0, 1.0, ask, 1.0, 0) for i, ask in enumerate([100.0, 100.0, 95.0, 99.0], 1)
    ]
    order = StandardOrder(name, Side.BUY, OrderType.LIMIT, Decimal(2), Decimal(90))
    script = {
        1: [Place("o1", order, 2**62)],
        3: [Amend("o1", replace(order, price=Decimal(99)), 1, 2**62)],
    }
    settings = {
        "instruments": {name: perp},
        "balances": {"USDT": Decimal(1000)},
        "fees": FEES,
        "latency": Latency(),
        "queue": QueueModel.CONSERVATIVE,
    }
    one_by_one, by_columns = both_ways(settings, [chunk(quotes)], script)
    assert by_columns == one_by_one
    _, amended = by_columns.reports
    assert [(fill.price, fill.qty) for fill in amended.fills] == [(Decimal(99), Decimal(1))]


def read_capture(name: str, records: int) -> list[Any]:
    """The first events of a recorded spot capture."""
    path = Path(__file__).resolve().parents[2] / ".." / "shared" / "data" / "binance" / name
    if not path.is_file():
        pytest.skip("the recorded exchange data is not here")
    codec = BinanceCodec("spot", default_symbol="NEXOUSDT")
    rows: list[Any] = []
    with gzip.open(path, "rt") as lines:
        for seq, line in enumerate(islice(lines, records)):
            record = json.loads(line)
            if record["k"] in {"recv", "http"}:
                decode = codec.decode if record["k"] == "recv" else partial(codec.decode_http, "")
                if event := decode(record["d"], record["ts"], seq).event:
                    rows.append(event)
    return rows


def make_a_market(rows: list[Any], meta: Any) -> dict[int, list[Any]]:
    """Orders around the touch and deeper, replaced after a while; now and then one that takes."""
    script: dict[int, list[Any]] = {}
    quote, name = None, meta.symbol.name
    for i, row in enumerate(rows):
        quote = row if isinstance(row, Ticker) else quote
        if quote is None or i % 60:
            continue
        n = i // 60
        side = Side(1 + n % 2)
        ticks = (n // 2) % 6 - 1 if n % 11 else -30
        near = quote.bid if side is Side.BUY else quote.ask
        price = round_price(near, side, meta.price_tick) - side.sign * ticks * meta.price_tick
        order = StandardOrder(name, side, OrderType.LIMIT, Decimal(1 + n % 400), price)
        script[i] = [Cancel(f"o{n - 14}", name), Place(f"o{n}", order, 2**62)]
    return script


@pytest.mark.parametrize("queue", list(QueueModel))
def test_a_recorded_market_gives_the_same_reports(queue: QueueModel, chunk: Any, both_ways: Any) -> None:
    meta = SymbolMetadata(
        Symbol.parse("NEXO/USDT"), "binance", "NEXOUSDT", price_tick=Decimal("0.001"), lot=Decimal("0.01")
    )
    rows = read_capture("spot_nexousdt_20240723-24.capture.jsonl.gz", 20_000)
    chunks = [chunk(rows[i : i + 6000]) for i in range(0, len(rows), 6000)]
    script = make_a_market(rows, meta)
    settings = {
        "instruments": {"NEXO/USDT": meta},
        "balances": {"USDT": Decimal(100_000), "NEXO": Decimal(100_000)},
        "fees": FEES,
        "latency": Latency(40_000_000, 15_000_000, jitter=True),
        "queue": queue,
    }
    one_by_one, by_columns = both_ways(settings, chunks, script)
    assert by_columns == one_by_one
    fills = [
        fill for report in by_columns.reports if isinstance(report, Observation) for fill in report.fills
    ]
    assert len({fill.client_order_id for fill in fills if fill.is_maker}) > 10
    assert any(not fill.is_maker for fill in fills)
    assert by_columns.queue_mattered
