"""Whatever a client does and the market brings: books, matching, balances, events and file say the same."""

from collections import defaultdict
from decimal import Decimal
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from quantcli.sandbox.order_records import Execution
from quantcli.sandbox.state import StateFile

START = {"USDT": Decimal(10_000), "BTC": Decimal(20)}

sides = st.sampled_from(["BUY", "SELL"])
quantities = st.sampled_from(["0.1", "0.5", "2", "30"])
cents = st.integers(9_600, 10_400)
numbers = st.integers(1, 12)
steps = st.lists(
    st.one_of(
        st.tuples(st.just("limit"), sides, quantities, cents, st.sampled_from(["GTC", "IOC", "FOK"])),
        st.tuples(st.just("market"), sides, quantities),
        st.tuples(st.just("spend"), sides, quantities),
        st.tuples(st.just("stop"), sides, quantities, cents, cents),
        st.tuples(st.just("oco"), sides, quantities, cents, cents),
        st.tuples(st.just("cancel"), numbers),
        st.tuples(st.just("amend"), numbers, quantities),
        st.tuples(st.just("replace"), numbers, sides, quantities, cents),
        st.tuples(st.just("fill"), numbers),
        st.tuples(st.just("quote"), cents, st.sampled_from([0.2, 1.0, 50.0])),
        st.tuples(st.just("trade"), cents, st.sampled_from([0.2, 1.0, 50.0]), st.integers(0, 2)),
    ),
    max_size=25,
)


def price(cents: int) -> str:
    return f"{cents / 100:.2f}"


def act(desk: Any, step: Any) -> None:
    """One step; what is refused is refused."""
    kind, *args = step
    match kind:
        case "limit":
            desk.signed(
                "POST", "/api/v3/order", **desk.terms(args[0], args[1], price(args[2]), timeInForce=args[3])
            )
        case "market":
            desk.signed("POST", "/api/v3/order", **desk.terms(args[0], args[1]))
        case "spend":
            desk.signed("POST", "/api/v3/order", **desk.terms(args[0], None, quoteOrderQty=args[1] + "7"))
        case "stop":
            stop = {"type": "STOP_LOSS_LIMIT", "stopPrice": price(args[3])}
            desk.signed("POST", "/api/v3/order", **desk.terms(args[0], args[1], price(args[2]), **stop))
        case "oco":
            limit, stop = ("above", "below") if args[0] == "SELL" else ("below", "above")
            legs = {
                f"{limit}Type": "LIMIT_MAKER",
                f"{limit}Price": price(args[2]),
                f"{stop}Type": "STOP_LOSS",
                f"{stop}StopPrice": price(args[3]),
            }
            terms = {"symbol": "BTCUSDT", "side": args[0], "quantity": args[1]}
            desk.signed("POST", "/api/v3/orderList/oco", **terms, **legs)
        case "cancel":
            desk.signed("DELETE", "/api/v3/order", symbol="BTCUSDT", orderId=args[0])
        case "amend":
            path = "/api/v3/order/amend/keepPriority"
            desk.signed("PUT", path, symbol="BTCUSDT", orderId=args[0], newQty=args[1])
        case "replace":
            mode = {"cancelReplaceMode": "ALLOW_FAILURE", "cancelOrderId": args[0]}
            terms = desk.terms(args[1], args[2], price(args[3]), **mode)
            desk.signed("POST", "/api/v3/order/cancelReplace", **terms)
        case "fill":
            if args[0] in desk.exchange.engine.resting():
                desk.exchange.fill(args[0])
        case "quote":
            desk.quote(args[0] / 100 - 0.01, args[0] / 100 + 0.01, args[1])
        case "trade":
            desk.trade(args[0] / 100, args[1], args[2])


def check(desk: Any) -> None:
    exchange = desk.exchange
    engine, ledger = exchange.engine, exchange.ledger
    open_records = {order.order_id: order for order in ledger.open_orders()}
    assert set(open_records) == set(engine.live) == {o.order_id for o in ledger.orders() if o.is_open}
    assert {order.client_order_id for order in open_records.values()} == set(engine.working.open)
    for order_id, record in open_records.items():
        order = engine.live[order_id]
        assert (record.filled, record.quantity) == (order.filled, order.terms.quantity)
        assert (record.working_ns == 0) is order.armed
    for record in ledger.orders():
        fills = ledger.fills_of_order(record.order_id)
        assert record.filled == sum((fill.qty for fill in fills), Decimal(0))
        assert record.quote_filled == sum((fill.qty * fill.price for fill in fills), Decimal(0))
        assert (record.status == "FILLED") is (record.filled == record.quantity)
    for record in ledger.lists.values():
        assert record.is_open is any(order_id in engine.live for order_id, _ in record.orders)
    check_balances(desk)


def check_balances(desk: Any) -> None:
    held = defaultdict(Decimal, START)
    for fill in desk.exchange.ledger.fills:
        held["BTC"] += fill.side.sign * fill.qty
        held["USDT"] -= fill.side.sign * fill.qty * fill.price
        held[fill.fee_asset] -= fill.fee
    balances = desk.exchange.balances()
    assert {b.asset: b.total for b in balances} == {a: v for a, v in held.items() if a in START}
    assert all(b.free >= 0 and b.locked >= 0 for b in balances)


def check_events(desk: Any) -> None:
    """Who only listens knows every order as it is."""
    executions = [event for event in desk.events if isinstance(event, Execution)]
    numbers = [execution.execution_id for execution in executions]
    assert numbers == sorted(set(numbers))
    heard = {e.order.order_id: e.order for e in executions if e.kind != "REJECTED"}
    assert heard == {order.order_id: order for order in desk.exchange.ledger.orders()}
    assert [e.fill for e in executions if e.fill] == desk.exchange.ledger.fills
    begun = [e.order.order_id for e in executions if e.kind == "NEW" and e.order.created_ns == e.at_ns]
    assert set(begun) == set(heard)


@settings(max_examples=120, deadline=None)
@given(steps)
def test_books_balances_and_events_agree(make_desk: Any, taken: list[Any]) -> None:
    desk = make_desk(balances=START)
    desk.trade(100.0)
    desk.quote(99.99, 100.01, 5.0)
    for step in taken:
        desk.wait(1)
        act(desk, step)
        check(desk)
    check_events(desk)


@settings(max_examples=60, deadline=None)
@given(steps, steps)
def test_a_restart_changes_nothing(make_desk: Any, taken: list[Any], later: list[Any]) -> None:
    """The market is shown to the new exchange first; it is not the account's to remember."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / "state.jsonl"
        before = make_desk(balances=START)
        before.trade(100.0)
        before.quote(99.99, 100.01, 5.0)
        keeper = StateFile(path, before.exchange)
        for step in taken:
            before.wait(1)
            act(before, step)
            keeper.save()
        keeper.save()
        after = make_desk(balances={})
        for event in before.seen:
            after.see(event)
        StateFile(path, after.exchange).restore()
        after.clock.advance_to(before.clock.now_ns())
        assert after.exchange.truth() == before.exchange.truth()
        for step in later:
            for desk in (before, after):
                desk.wait(1)
                act(desk, step)
            check(after)
        assert after.exchange.truth() == before.exchange.truth()
