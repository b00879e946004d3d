"""What every store does, whatever it is made of."""

from decimal import Decimal

import pytest
from msgspec.structs import replace

from quantcli.errors import AlreadyExistsError, InvariantError, NotFoundError
from quantcli.model.instrument import Side
from quantcli.model.order import (
    Amendment,
    AttemptState,
    IntentPhase,
    Order,
    OrderStatus,
    OrderType,
    ReconciliationStatus,
    TimeInForce,
)
from quantcli.store.api import RECENT_NS, MarketRow, Remark

NOW = 1_700_000_000_000_000_000
S = 1_000_000_000


# Intents.


async def test_an_intent_comes_back_as_it_was_created(store, rows):
    intent = rows.intent(
        order=rows.order(
            side=Side.SELL,
            type=OrderType.STOP_LIMIT,
            stop_price=Decimal("99"),
            time_in_force=TimeInForce.GTD,
            reduce_only=True,
            expire_ns=NOW,
        ),
        group_id="g",
        metadata={"strategy": "café", "slot": '"quoted" \n'},
        phase=IntentPhase.CANCEL_REQUESTED,
        generation=3,
        reason="the user’s wish",
        updated_ns=NOW,
    )
    await store.intents.create_intent(intent)
    assert await store.intents.get_intent("i1") == intent


async def test_an_intent_id_can_be_created_once(store, rows):
    await store.intents.create_intent(rows.intent())
    with pytest.raises(AlreadyExistsError):
        await store.intents.create_intent(rows.intent(reason="another"))
    assert (await store.intents.get_intent("i1")).reason == ""


async def test_what_is_not_there_cannot_be_got_updated_or_deleted(store, rows):
    for attempt in (
        store.intents.get_intent("nowhere"),
        store.intents.update_intent(rows.intent("nowhere")),
        store.intents.delete_intent("nowhere"),
        store.orders.get_order_state("nowhere"),
        store.orders.get_order_state_by_exchange_id("nowhere"),
        store.orders.update_order_state(rows.state("nowhere")),
        store.orders.delete_order_state("nowhere"),
    ):
        with pytest.raises(NotFoundError) as refused:
            await attempt
        assert refused.value.todo
    assert await store.intents.list_intents() == []
    assert await store.orders.list_order_states() == []


async def test_an_update_replaces_the_intent_everywhere_it_is_listed(store, rows):
    await store.intents.create_intent(rows.intent(group_id="old"))
    changed = rows.intent(symbol="ETH/USDT", group_id="new", phase=IntentPhase.ACTIVE)
    await store.intents.update_intent(changed)
    assert await store.intents.get_intent("i1") == changed
    assert await store.intents.list_intents(symbol_id="BTC/USDT") == []
    assert await store.intents.list_intents(symbol_id="ETH/USDT") == [changed]
    assert await store.intents.get_intents_by_group("old") == []
    assert await store.intents.get_intents_by_group("new") == [changed]


async def test_a_deleted_intent_is_listed_nowhere_and_its_attempts_stay(store, rows):
    await store.commit([rows.intent(group_id="g"), rows.state()])
    await store.intents.delete_intent("i1")
    assert await store.intents.list_intents() == []
    assert await store.intents.list_intents(symbol_id="BTC/USDT") == []
    assert await store.intents.get_intents_by_group("g") == []
    assert await store.orders.get_order_state("i1") == rows.state()


async def test_intents_are_listed_by_symbol_and_group_oldest_first(store, rows):
    late = rows.intent("a", created_ns=9, group_id="g")
    early = rows.intent("b", created_ns=1, group_id="g")
    same_age = rows.intent("c", created_ns=1)
    other = rows.intent("d", created_ns=5, symbol="ETH/USDT", group_id="g")
    for intent in (late, same_age, other, early):
        await store.intents.create_intent(intent)
    assert await store.intents.list_intents() == [early, same_age, other, late]
    assert await store.intents.list_intents(symbol_id="BTC/USDT") == [early, same_age, late]
    assert await store.intents.list_intents(group_id="g") == [early, other, late]
    assert await store.intents.list_intents(symbol_id="BTC/USDT", group_id="g") == [early, late]
    assert await store.intents.get_intents_by_group("g") == [early, other, late]
    assert await store.intents.list_intents(symbol_id="XRP/USDT") == []


async def test_every_phase_and_every_kind_of_order_can_be_kept(store, rows):
    terms = [rows.order(type=kind, price=None) for kind in OrderType]
    terms += [rows.order(time_in_force=each) for each in TimeInForce]
    wishes = [rows.intent(f"phase {phase}", phase=phase) for phase in IntentPhase]
    wishes += [rows.intent(f"terms {i}", order=each) for i, each in enumerate(terms)]
    await store.commit(wishes)
    assert await store.intents.list_intents() == sorted(wishes, key=lambda intent: intent.intent_id)


# Attempts.


async def test_every_state_and_status_can_be_kept(store, rows):
    kept = [
        rows.state(f"{state} {status}", state=state, status=status)
        for state in AttemptState
        for status in OrderStatus
    ]
    await store.commit(kept)
    assert await store.orders.list_order_states() == sorted(kept, key=lambda state: state.intent_id)


async def test_attempts_are_listed_by_reconciliation_status(store, rows):
    for i, each in enumerate(ReconciliationStatus):
        await store.orders.create_order_state(rows.state(f"i{i}", reconciliation_status=each))
    for status in ReconciliationStatus:
        (found,) = await store.orders.list_order_states(reconciliation_status=status)
        assert found.reconciliation_status is status


async def test_an_attempt_comes_back_as_it_was_created(store, rows):
    state = rows.state(
        state=AttemptState.CLOSING,
        status=OrderStatus.PARTIALLY_CANCELED,
        exchange_order_id="77",
        filled=Decimal("0.3"),
        fills_qty=Decimal("0.2"),
        reconciliation_status=ReconciliationStatus.FILLS_PENDING,
        last_sync_at=NOW,
        venue_ns=NOW - 1,
        deadline_ns=NOW + 1,
        cancel_sent_ns=NOW - 2,
        lookup_sent_ns=NOW - 3,
        reason="waiting",
    )
    await store.orders.create_order_state(state)
    assert await store.orders.get_order_state("i1") == state


async def test_client_order_id_and_attempt_number_are_taken_once(store, rows):
    await store.orders.create_order_state(rows.state(state=AttemptState.DEAD))
    with pytest.raises(AlreadyExistsError):
        await store.orders.create_order_state(rows.state(client_order_id="i1-1", attempt=2))
    with pytest.raises(AlreadyExistsError):
        await store.orders.create_order_state(rows.state(client_order_id="another", attempt=1))
    with pytest.raises(InvariantError):
        await store.commit([rows.state(client_order_id="another", attempt=1)])


async def test_the_state_of_an_intent_is_its_latest_attempt(store, rows):
    for attempt in (2, 10, 1):
        await store.orders.create_order_state(rows.state(attempt=attempt, state=AttemptState.DEAD))
    assert (await store.orders.get_order_state("i1")).attempt == 10


async def test_an_attempt_is_found_by_its_exchange_id_as_soon_as_it_has_one(store, rows):
    await store.orders.create_order_state(rows.state())
    known = rows.state(exchange_order_id="77", state=AttemptState.LIVE)
    await store.orders.update_order_state(known)
    assert await store.orders.get_order_state_by_exchange_id("77") == known
    moved = rows.state(exchange_order_id="78", state=AttemptState.LIVE)
    await store.orders.update_order_state(moved)
    assert await store.orders.get_order_state_by_exchange_id("78") == moved
    with pytest.raises(NotFoundError):
        await store.orders.get_order_state_by_exchange_id("77")


async def test_of_two_markets_with_one_exchange_id_the_later_order_is_meant(store, rows):
    late = rows.state("a", symbol="ETH/USDT", exchange_order_id="77", prepared_ns=9)
    early = rows.state("b", exchange_order_id="77", prepared_ns=3)
    await store.commit([late, early])
    assert await store.orders.get_order_state_by_exchange_id("77") == late
    await store.orders.delete_order_state("a")
    assert await store.orders.get_order_state_by_exchange_id("77") == early


async def test_a_second_open_attempt_breaks_a_promise(store, rows):
    await store.orders.create_order_state(rows.state(attempt=1))
    for change in (
        store.orders.create_order_state(rows.state(attempt=2)),
        store.commit([rows.state(attempt=2)]),
    ):
        with pytest.raises(InvariantError):
            await change
    await store.orders.create_order_state(rows.state(attempt=2, state=AttemptState.DONE))
    with pytest.raises(InvariantError):
        await store.orders.update_order_state(rows.state(attempt=2, state=AttemptState.LIVE))
    assert [s.state for s in await store.orders.list_order_states()] == ["PREPARED", "DONE"]


async def test_an_attempt_keeps_its_intent_and_number(store, rows):
    await store.orders.create_order_state(rows.state("i1", 1))
    for changed in (
        rows.state("i1", 2, client_order_id="i1-1"),
        rows.state("i2", 1, client_order_id="i1-1"),
    ):
        with pytest.raises(InvariantError):
            await store.orders.update_order_state(changed)
        with pytest.raises(InvariantError):
            await store.commit([changed])
    assert await store.orders.list_order_states() == [rows.state("i1", 1)]


async def test_deleting_the_states_of_an_intent_takes_all_its_attempts(store, rows):
    await store.commit(
        [
            rows.state("i1", 1, state=AttemptState.DEAD, exchange_order_id="77"),
            rows.state("i1", 2),
            rows.state("i2", 1),
        ]
    )
    await store.orders.delete_order_state("i1")
    assert await store.orders.list_order_states() == [rows.state("i2", 1)]
    assert await store.orders.list_order_states(symbol_id="BTC/USDT") == [rows.state("i2", 1)]
    with pytest.raises(NotFoundError):
        await store.orders.get_order_state_by_exchange_id("77")
    await store.orders.create_order_state(rows.state("i1", 2))


async def test_every_attempt_is_listed_by_intent_then_number(store, rows):
    dead = AttemptState.DEAD
    expected = [
        rows.state("i1", 2, state=dead),
        rows.state("i1", 10),
        rows.state("i2", 1, state=dead, symbol="ETH/USDT"),
        rows.state("i2", 2, symbol="ETH/USDT"),
    ]
    await store.commit([expected[i] for i in (3, 1, 2, 0)])
    assert await store.orders.list_order_states() == expected
    assert await store.orders.list_order_states(symbol_id="ETH/USDT") == expected[2:]
    assert (
        await store.orders.list_order_states("ETH/USDT", reconciliation_status=ReconciliationStatus.IN_SYNC)
        == []
    )


async def test_stale_orders_are_open_and_older_than_the_age(store, rows):
    live, done = AttemptState.LIVE, AttemptState.DONE
    await store.commit(
        [
            rows.state("exact", state=live, last_sync_at=NOW - 5 * S),
            rows.state("older", state=live, last_sync_at=NOW - 5 * S - 1),
            rows.state("never", state=AttemptState.AMBIGUOUS),
            rows.state("ended", state=done, last_sync_at=0),
            rows.state("fresh", state=live, last_sync_at=NOW),
        ]
    )
    assert [s.intent_id for s in await store.orders.get_stale_orders(5, NOW)] == ["never", "older"]
    assert [s.intent_id for s in await store.orders.get_stale_orders(0.5, NOW)] == ["exact", "never", "older"]


# Transactions.


async def test_a_commit_inserts_replaces_and_keeps_what_is_equal(store, rows):
    await store.commit([rows.intent(), rows.state(), rows.fill()])
    active, live = rows.intent(phase=IntentPhase.ACTIVE), rows.state(state=AttemptState.LIVE)
    await store.commit([active, live, rows.fill(), rows.fill("t2")])
    assert await store.intents.get_intent("i1") == active
    assert await store.orders.get_order_state("i1") == live
    assert await store.fills() == [rows.fill(), rows.fill("t2")]


async def test_an_empty_commit_changes_nothing(store):
    await store.commit([])
    assert await store.fills() == []


async def test_a_commit_that_breaks_a_promise_leaves_nothing(store, rows):
    before = [
        rows.intent(),
        rows.state(attempt=1, state=AttemptState.LIVE, exchange_order_id="77"),
        rows.fill(),
    ]
    await store.commit(before)
    with pytest.raises(InvariantError):
        await store.commit(
            [
                rows.intent(phase=IntentPhase.ACTIVE, symbol="ETH/USDT", group_id="g"),
                rows.intent(phase=IntentPhase.CANCELED, symbol="XRP/USDT", group_id="g"),
                rows.intent("i2", group_id="g"),
                before[2],
                rows.fill("t2"),
                rows.state(attempt=1, state=AttemptState.DONE, exchange_order_id="78"),
                rows.state("i2", 1, exchange_order_id="79"),
                rows.state("i2", 2),
            ]
        )
    assert await store.intents.list_intents() == before[:1]
    assert await store.intents.list_intents(symbol_id="BTC/USDT") == before[:1]
    assert await store.intents.get_intents_by_group("g") == []
    assert await store.orders.list_order_states() == before[1:2]
    assert await store.orders.get_order_state_by_exchange_id("77") == before[1]
    assert await store.fills() == before[2:]
    for gone in ("78", "79"):
        with pytest.raises(NotFoundError):
            await store.orders.get_order_state_by_exchange_id(gone)
    with pytest.raises(InvariantError):
        await store.commit([rows.state(attempt=2)])


async def test_rows_of_a_commit_apply_in_their_order(store, rows):
    await store.commit([rows.state(attempt=1)])
    closing, opening = rows.state(attempt=1, state=AttemptState.DEAD), rows.state(attempt=2)
    with pytest.raises(InvariantError):
        await store.commit([opening, closing])
    await store.commit([closing, opening])
    assert await store.orders.list_order_states() == [closing, opening]


async def test_the_store_goes_on_after_a_broken_promise(store, rows):
    await store.commit([rows.state(attempt=1)])
    with pytest.raises(InvariantError):
        await store.commit([rows.state(attempt=2)])
    await store.commit([rows.intent()])
    assert await store.intents.get_intent("i1") == rows.intent()


# Fills.


@pytest.mark.parametrize(
    "difference",
    [
        {"qty": Decimal("0.4")},
        {"price": Decimal("100.2")},
        {"fee": Decimal(0)},
        {"side": Side.SELL},
        {"is_maker": False},
        {"exchange_ns": 10},
        {"intent_id": ""},
    ],
)
async def test_a_fill_that_comes_again_and_different_is_refused(store, rows, difference):
    await store.commit([rows.fill()])
    with pytest.raises(InvariantError):
        await store.commit([rows.fill(**difference)])
    assert await store.fills() == [rows.fill()]


async def test_a_fill_is_the_same_however_its_numbers_are_written(store, rows):
    await store.commit([rows.fill(qty=Decimal("0.5"))])
    await store.commit([rows.fill(qty=Decimal("0.500"))])
    assert len(await store.fills()) == 1


async def test_a_trade_id_belongs_to_its_market(store, rows):
    await store.commit([rows.fill(), rows.fill(symbol="ETH/USDT")])
    assert await store.fills("ETH/USDT") == [rows.fill(symbol="ETH/USDT")]


async def test_fills_come_in_order_of_insertion(store, rows):
    inserted = [rows.fill(trade_id, exchange_ns=ns) for trade_id, ns in (("9", 3), ("1", 2), ("5", 1))]
    for fill in inserted:
        await store.commit([fill])
    await store.commit([inserted[0]])
    assert await store.fills() == inserted
    assert list((await store.load()).fills) == inserted


@pytest.mark.parametrize(
    "text",
    [
        "0.000000000000000001",
        "1E-18",
        "12345678901234567890.123456789012345678",
        "1E+12",
        "-0.00010",
        "-0",
        "0E-8",
    ],
)
async def test_numbers_are_exact(store, rows, text):
    fee = Decimal(text)
    await store.commit([rows.fill(fee=fee)])
    (kept,) = await store.fills()
    assert kept.fee == fee
    assert isinstance(kept.fee, Decimal)


# Restarting.


async def test_a_restart_goes_on_from_what_is_not_settled(store, rows):
    done, dead, live = AttemptState.DONE, AttemptState.DEAD, AttemptState.LIVE
    await store.commit(
        [
            rows.intent("active", created_ns=2, phase=IntentPhase.ACTIVE),
            rows.state("active", 1, state=dead),
            rows.state("active", 2, state=live),
            rows.intent("closing", created_ns=1, phase=IntentPhase.CANCELED),
            rows.state("closing", 1, state=done),
            rows.state("closing", 2, state=AttemptState.CLOSING),
            rows.intent("settled", phase=IntentPhase.SATISFIED),
            rows.state("settled", state=done),
            rows.state("orphan", state=AttemptState.AMBIGUOUS),
            rows.state("old orphan", state=dead),
            rows.fill(intent_id="settled"),
        ]
    )
    loaded = await store.load()
    assert [i.intent_id for i in loaded.intents] == ["closing", "active"]
    assert [(s.intent_id, s.attempt) for s in loaded.states] == [
        ("active", 1),
        ("active", 2),
        ("closing", 1),
        ("closing", 2),
        ("orphan", 1),
    ]
    assert loaded.fills == (rows.fill(intent_id="settled"),)


async def test_a_restart_sees_the_settled_members_of_a_group_that_is_not(store, rows):
    """What a fill of one leg asks of the others can only be computed from all of them."""
    done = AttemptState.DONE
    await store.commit(
        [
            rows.intent("filled", group_id="g", phase=IntentPhase.SATISFIED),
            rows.state("filled", state=done),
            rows.intent("waiting", group_id="g"),
            rows.intent("past", group_id="h", phase=IntentPhase.SATISFIED),
            rows.state("past", state=done),
        ]
    )
    loaded = await store.load()
    assert [i.intent_id for i in loaded.intents] == ["filled", "waiting"]
    assert [s.intent_id for s in loaded.states] == ["filled"]


@pytest.mark.parametrize("phase", IntentPhase)
async def test_settled_means_the_same_to_store_and_model(store, rows, phase):
    await store.commit([rows.intent(phase=phase)])
    assert bool((await store.load()).intents) is not phase.is_terminal


@pytest.mark.parametrize("attempt_state", AttemptState)
async def test_closed_means_the_same_to_store_and_model(store, rows, attempt_state):
    await store.commit([rows.state(state=attempt_state)])
    assert bool((await store.load()).states) is not attempt_state.is_closed
    assert bool(await store.orders.get_stale_orders(1, NOW)) is not attempt_state.is_closed


async def test_remarks_are_kept_and_replaced(store):
    assert await store.get_meta("note") is None
    await store.set_meta("note", "one")
    await store.set_meta("note", "two")
    assert await store.get_meta("note") == "two"


async def test_what_was_read_does_not_change_with_the_store(store, rows):
    await store.commit([rows.state()])
    read = await store.orders.get_order_state("i1")
    await store.commit([replace(read, state=AttemptState.DONE)])
    assert read == rows.state()


# What attempts must keep.


@pytest.mark.parametrize(
    ("before", "after"), [("9", "10"), ("9.5", "10.25"), ("0.1", "0.11"), ("1.5", "1.5"), ("99.9", "100")]
)
async def test_the_cumulative_quantity_never_falls(store, rows, before, after):
    """I8; as texts these numbers sort otherwise."""
    less, more = rows.state(filled=Decimal(before)), rows.state(filled=Decimal(after))
    await store.commit([less])
    await store.commit([more])
    if before != after:
        with pytest.raises(InvariantError):
            await store.commit([less])
    assert await store.orders.get_order_state("i1") == more


async def test_done_means_that_every_fill_is_known(store, rows):
    """I7."""
    done = rows.state(state=AttemptState.DONE, filled=Decimal("0.5"), fills_qty=Decimal("0.4"))
    with pytest.raises(InvariantError):
        await store.commit([done])
    await store.commit([replace(done, fills_qty=Decimal("0.50"))])


async def test_a_dead_attempt_says_why(store, rows):
    with pytest.raises(InvariantError):
        await store.commit([rows.state(state=AttemptState.DEAD, reason="")])
    await store.commit([rows.state(state=AttemptState.DEAD, reason="-2010: refused")])


@pytest.mark.parametrize(
    "times",
    [
        {"fenced_ns": 0, "probed_ns": 0, "first_absent_ns": 0, "first_agreed_ns": 0},
        {"fenced_ns": 0},
        {"probed_ns": 0},
        {"first_absent_ns": 0},
        {"first_agreed_ns": 0},
        {"fenced_ns": 3},
        {"probed_ns": 4},
        {"first_absent_ns": 1},
        {"first_agreed_ns": 1},
    ],
)
async def test_a_proof_has_all_its_parts_in_their_order(store, rows, times):
    """I16."""
    with pytest.raises(InvariantError):
        await store.commit([rows.proved(**times)])
    assert await store.orders.list_order_states() == []


async def test_a_proof_is_kept_and_is_not_to_be_left_out(store, rows):
    with pytest.raises(InvariantError):
        await store.commit([replace(rows.proved(), evidence=None)])
    await store.commit([rows.proved()])
    assert await store.orders.get_order_state("i1") == rows.proved()


@pytest.mark.parametrize("end", [AttemptState.DONE, AttemptState.DEAD])
async def test_a_closed_attempt_comes_back_only_as_a_reopened_one(store, rows, end):
    """T10 and T11: another attempt may be open by then, and it is the one that counts."""
    await store.commit([rows.state(attempt=1, state=end)])
    with pytest.raises(InvariantError):
        await store.commit([rows.state(attempt=1, state=AttemptState.LIVE)])
    back = rows.state(attempt=1, state=AttemptState.LIVE, reopened=True)
    await store.commit([rows.state(attempt=2), back])
    with pytest.raises(InvariantError):
        await store.commit([rows.state(attempt=3)])
    assert await store.orders.get_stale_orders(1, NOW) == [back, rows.state(attempt=2)]
    assert (await store.load()).states == (back, rows.state(attempt=2))
    await store.commit([replace(back, state=AttemptState.DONE)])
    assert await store.orders.get_stale_orders(1, NOW) == [rows.state(attempt=2)]


async def test_an_attempt_that_is_open_again_keeps_its_settled_intent_in_sight(store, rows):
    settled = rows.intent(phase=IntentPhase.SATISFIED)
    back = rows.state(state=AttemptState.CLOSING, reopened=True)
    await store.commit([settled, back])
    assert (await store.load()).intents == (settled,)


async def test_an_amendment_comes_back_as_it_was(store, rows):
    order = rows.order(quantity=Decimal("0.30"), stop_price=Decimal("1e-7"))
    state = rows.state(
        state=AttemptState.LIVE, terms_ns=NOW, sends=2, amends=1, amendment=Amendment(1, order, 2, NOW, "no’")
    )
    await store.commit([state])
    assert await store.orders.get_order_state("i1") == state


# Requests.


async def test_a_request_names_one_intent_for_ever(store, rows):
    """I25."""
    first = rows.intent("i1", request_id="r", held=True, protective=True)
    await store.commit([first])
    for other in (rows.intent("i2", request_id="r"), rows.intent("i1", request_id="s"), rows.intent("i1")):
        with pytest.raises(InvariantError):
            await store.commit([other])
    assert await store.intents.get_intent_by_request("r") == first
    assert await store.intents.get_intent_by_request("s") is None
    assert await store.intents.list_intents() == [first]


async def test_intents_that_nobody_named_are_not_one(store, rows):
    await store.commit([rows.intent("i1"), rows.intent("i2")])
    assert await store.intents.get_intent_by_request("") is None


async def test_a_request_that_was_taken_back_can_be_made(store, rows):
    with pytest.raises(InvariantError):
        await store.commit([rows.intent(request_id="r"), rows.state(attempt=1), rows.state(attempt=2)])
    await store.commit([rows.intent("i2", request_id="r")])
    assert (await store.intents.get_intent_by_request("r")).intent_id == "i2"


# Groups, markets, corrections, journal, remarks.


async def test_groups_and_markets_come_back_as_they_were_and_are_replaced(store, rows):
    group = rows.group("b", trail=Decimal("1.5"), best=Decimal("1e-9"), entry="i0", live_leg="i1")
    order = Order(
        "ETH/USDT", "c", "7", Side.SELL, OrderType.LIMIT, OrderStatus.NEW, *[Decimal("0.10")] * 4, 1, 2
    )
    market = MarketRow("ETH/USDT", Decimal("-0.5"), Decimal("1e-18"), Decimal(2), NOW, Decimal(3), (order,))
    await store.commit([rows.group("b"), rows.group("a"), MarketRow("ETH/USDT"), MarketRow("BTC/USDT")])
    await store.commit([group, market])
    assert await store.groups() == [rows.group("a"), group]
    assert await store.markets() == [MarketRow("BTC/USDT"), market]
    assert (await store.load()).markets == (MarketRow("BTC/USDT"), market)


async def test_a_restart_sees_the_groups_of_the_intents_it_goes_on_with(store, rows):
    settled = rows.intent("i3", group_id="over", phase=IntentPhase.SATISFIED)
    await store.commit([rows.intent(group_id="open"), rows.group("open"), settled, rows.group("over")])
    assert (await store.load()).groups == (rows.group("open"),)


async def test_a_correction_never_changes(store, rows):
    """I9, I11."""
    await store.commit([rows.correction("2"), rows.correction("1")])
    await store.commit([rows.correction("2"), rows.correction("2", symbol="ETH/USDT")])
    with pytest.raises(InvariantError):
        await store.commit([rows.correction("1", delta=Decimal("0.2"))])
    assert await store.corrections("BTC/USDT") == [rows.correction("2"), rows.correction("1")]
    assert len(await store.corrections()) == 3


async def test_the_journal_has_its_entries_in_the_order_of_commits(store, rows):
    told = [rows.entry("placed", at_ns=9), rows.entry("started", intent_id=""), rows.entry("placed", at_ns=9)]
    await store.commit(told[:2])
    await store.commit([rows.intent(), told[2], rows.entry("seen", intent_id="i2")])
    assert await store.journal() == [*told, rows.entry("seen", intent_id="i2")]
    assert await store.journal("i1") == [told[0], told[2]]
    assert await store.journal("") == [told[1]]


async def test_a_commit_that_breaks_a_promise_is_not_in_the_journal(store, rows):
    everything = [
        rows.entry(),
        rows.group(),
        MarketRow("BTC/USDT"),
        rows.correction(),
        Remark("kernel.a", "b"),
        rows.state(attempt=1),
        rows.state(attempt=2),
    ]
    with pytest.raises(InvariantError):
        await store.commit(everything)
    assert await store.journal() == await store.groups() == await store.markets() == []
    assert await store.corrections() == []
    assert await store.get_meta("kernel.a") is None


async def test_the_remarks_of_the_kernel_are_loaded_and_empty_ones_forgotten(store):
    await store.commit([Remark("kernel.b", "1"), Remark("kernel.a", "1"), Remark("kernelish", "1")])
    await store.commit([Remark("kernel.a", "2"), Remark("kernel.b", "")])
    await store.set_meta("kernel", "1")
    assert (await store.load()).remarks == (Remark("kernel.a", "2"),)
    assert await store.get_meta("kernel.b") is None


async def test_a_restart_loads_what_an_exchange_may_repeat_and_no_older_fills(store, rows):
    """The size of what is loaded follows what is open (`RECENT_NS`), not what ever was."""
    surveyed_ns = NOW
    oldest = surveyed_ns - RECENT_NS
    recent = rows.fill("recent", exchange_ns=oldest, intent_id="settled")
    of_open = rows.fill("of open", exchange_ns=1, intent_id="open")
    elsewhere = rows.fill("elsewhere", symbol="ETH/USDT", exchange_ns=1, intent_id="")
    await store.commit(
        [
            rows.fill("old", exchange_ns=oldest - 1, intent_id="settled"),
            recent,
            rows.intent("open"),
            rows.intent("settled", phase=IntentPhase.SATISFIED),
            of_open,
            elsewhere,
            MarketRow("BTC/USDT", surveyed_ns=surveyed_ns),
        ]
    )
    assert (await store.load()).fills == (recent, of_open, elsewhere)
    assert len(await store.fills()) == 4
