"""The picture of the demo: what is drawn, and that another day draws the same."""

from decimal import Decimal

import pytest

from quantcli.cli.demo_picture import drawn, unknown
from quantcli.clock import NS_PER_S
from quantcli.runtime.control.wire import Happened, Next, OrderItem, Status, Story
from quantcli.tui.model import Known


def order(mark: str, slot: str, intent_id: str, at_ns: int, **fields: object) -> OrderItem:
    settled: dict[str, object] = {
        "client_order_id": intent_id + "01",
        "exchange_order_id": "7",
        "symbol": "BTC/USDT",
        "side": "buy",
        "type": "LIMIT_MAKER",
        "phase": "ACTIVE",
        "status": "NEW",
        "qty": Decimal("0.01"),
        "price": Decimal("59999.85"),
        "stop_price": None,
        "filled": Decimal(0),
        "condition": "InSync",
        "drift": "-",
        "reason": "",
    }
    times = {"created_ns": at_ns, "updated_ns": at_ns}
    return OrderItem(intent_id=intent_id, slot=slot, mark=mark, **{**settled, **times, **fields})  # type: ignore[arg-type]


def known(at_ns: int, ids: str, pid: int) -> Known:
    """A bot's word at some time."""
    in_doubt = order("!", "bid", f"{ids}1", at_ns, drift="asking", have_state="? outcome unknown")
    orders = (
        in_doubt,
        order("=", "ask", f"{ids}2", at_ns - NS_PER_S, side="sell"),
        order("x", "", "", at_ns),
    )
    status = Status(
        bot="demo",
        pid=pid,
        exchange="binance",
        endpoint=f"http://127.0.0.1:{pid}",
        world="TESTNET",
        strategy="demo_maker.py:DemoMaker",
        symbols=("BTC/USDT",),
        started_ns=at_ns - pid * NS_PER_S,
        now_ns=at_ns,
        state="trading",
        swept_ns=at_ns - pid,
        feed_age_ms=float(pid),
    )
    journal = (Happened(at_ns - pid, 1, "placed", ""), Happened(at_ns, 1, "AMBIGUOUS", "no answer"))
    story = Story(
        in_doubt, "perhaps there", {}, (), (), journal, (Next("ask", "nobody has answered"),), at_ns
    )
    return Known(status=status, orders=orders, story=story)


def test_it_shows_the_order_in_doubt_and_its_story() -> None:
    svg = drawn(known(1_800_000_000 * NS_PER_S, "aa", 17)).replace("&#160;", " ")
    assert svg.startswith("<svg")
    for words in ("? outcome unknown", "AMBIGUOUS", "nobody has answered", "KILL SWITCH", "quant tui demo"):
        assert words in svg
    assert svg.count("clip-path=") >= 24


@pytest.mark.parametrize("pid", [4, 99_999])
def test_it_is_the_same_on_another_day(pid: int) -> None:
    today, later = known(1_800_000_000 * NS_PER_S, "aa", 17), known(1_900_000_000 * NS_PER_S, "bb", pid)
    assert unknown(today) != unknown(later)
    assert drawn(today) == drawn(later)
