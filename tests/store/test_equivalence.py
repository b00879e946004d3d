"""Memory and SQLite are one store: any sequence of commands has equal outcomes in both."""

import asyncio
import tempfile
from decimal import Decimal
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from quantcli.errors import QuantError
from quantcli.model.instrument import Side
from quantcli.model.message import Correction
from quantcli.model.order import (
    AttemptState,
    Evidence,
    Fill,
    IntentPhase,
    OcoMode,
    OrderGroup,
    OrderIntent,
    OrderState,
    OrderType,
    ReconciliationStatus,
    StandardOrder,
)
from quantcli.store.api import RECENT_NS, Identity, JournalEntry, MarketRow, Remark, Store
from quantcli.store.memory import MemoryStore
from quantcli.store.sqlite import SQLiteStore

INTENT_IDS = st.sampled_from(["i1", "i2", "ı3"])
SYMBOLS = st.sampled_from(["BTC/USDT", "ETH/USDT"])
GROUPS = st.sampled_from([None, "g", "h", "null"])
EXCHANGE_IDS = st.sampled_from([None, "7", "8"])
TIMES = st.integers(0, 3)
AMOUNTS = st.decimals(0, 2, places=2)

# Numbers whose texts sort otherwise than they do, and that are written in several ways.
FILLED = st.sampled_from([Decimal(text) for text in ("0", "0.0", "9", "10", "1E+1", "9.5", "9.25", "10.0")])
EVIDENCE = st.builds(Evidence, TIMES, TIMES, TIMES, TIMES, TIMES, TIMES)

ORDERS = st.builds(
    StandardOrder, SYMBOLS, st.sampled_from(Side), st.just(OrderType.LIMIT), AMOUNTS, st.none() | AMOUNTS
)
INTENTS = st.builds(
    OrderIntent,
    INTENT_IDS,
    ORDERS,
    TIMES,
    group_id=GROUPS,
    metadata=st.dictionaries(st.text(max_size=3), st.text(max_size=3), max_size=2),
    phase=st.sampled_from(IntentPhase),
    request_id=st.sampled_from([""] * 3 + ["r", "s"]),
    held=st.booleans(),
)


@st.composite
def order_states(draw: st.DrawFn) -> OrderState:
    intent_id, attempt = draw(INTENT_IDS), draw(st.integers(1, 3))
    client_id = draw(st.sampled_from([f"{intent_id}-{attempt}"] * 9 + ["i1-1"]))
    return OrderState(
        intent_id,
        attempt,
        client_id,
        draw(ORDERS),
        1,
        prepared_ns=draw(TIMES),
        state=draw(st.sampled_from(AttemptState)),
        exchange_order_id=draw(EXCHANGE_IDS),
        reconciliation_status=draw(st.sampled_from(ReconciliationStatus)),
        last_sync_at=draw(TIMES),
        filled=draw(FILLED),
        fills_qty=draw(FILLED),
        reason=draw(st.sampled_from(["", "refused", "proved: it was never there"])),
        reopened=draw(st.booleans()),
        evidence=draw(st.none() | EVIDENCE),
    )


FILLS = st.builds(
    Fill,
    trade_id=st.sampled_from(["1", "2"]),
    symbol=SYMBOLS,
    side=st.just(Side.BUY),
    qty=st.sampled_from([Decimal(1), Decimal("1.0"), Decimal(2)]),
    price=st.just(Decimal("1E+2")),
    fee=st.just(Decimal(0)),
    fee_asset=st.just("USDT"),
    is_maker=st.booleans(),
    exchange_ns=st.sampled_from([0, 1, RECENT_NS]),
    intent_id=st.just("") | INTENT_IDS,
    client_order_id=st.just(""),
    exchange_order_id=st.just(""),
)

GROUP_ROWS = st.builds(
    OrderGroup,
    st.sampled_from(["g", "h"]),
    st.sampled_from(OcoMode),
    AMOUNTS,
    st.lists(INTENT_IDS).map(tuple),
    best=st.none() | AMOUNTS,
)
MARKETS = st.builds(
    MarketRow, SYMBOLS, baseline=st.none() | AMOUNTS, surveyed_ns=st.sampled_from([0, RECENT_NS + 1])
)
CORRECTIONS = st.builds(Correction, SYMBOLS, st.just("bust"), st.sampled_from("12"), AMOUNTS, TIMES)
ENTRIES = st.builds(JournalEntry, TIMES, st.just("") | INTENT_IDS, TIMES, st.text(max_size=2))
REMARKS = st.builds(
    Remark,
    st.sampled_from(["kernel", "kernel.", "kernel.a", "kernel/b", "z"]),
    st.sampled_from(["", "1", "2"]),
)
ROWS = st.one_of(
    INTENTS, order_states(), order_states(), FILLS, GROUP_ROWS, MARKETS, CORRECTIONS, ENTRIES, REMARKS
)

Command = tuple[str, str, tuple[Any, ...]]


def command(part: str, name: str, *arguments: st.SearchStrategy[Any]) -> st.SearchStrategy[Command]:
    return st.tuples(st.just(part), st.just(name), st.tuples(*arguments))


COMMANDS = st.one_of(
    command("", "commit", st.lists(ROWS, max_size=5)),
    command("intents", "create_intent", INTENTS),
    command("intents", "update_intent", INTENTS),
    command("intents", "delete_intent", INTENT_IDS),
    command("orders", "create_order_state", order_states()),
    command("orders", "update_order_state", order_states()),
    command("orders", "delete_order_state", INTENT_IDS),
)

QUESTIONS: list[Command] = [
    ("", "load", ()),
    ("", "fills", ()),
    ("", "fills", ("ETH/USDT",)),
    ("", "corrections", ()),
    ("", "journal", ()),
    ("", "journal", ("i1",)),
    ("", "groups", ()),
    ("", "markets", ()),
    ("", "get_meta", ("kernel.a",)),
    ("intents", "get_intent_by_request", ("r",)),
    ("intents", "get_intent_by_request", ("",)),
    ("intents", "list_intents", ()),
    ("intents", "list_intents", ("BTC/USDT",)),
    ("intents", "list_intents", ("BTC/USDT", "null")),
    ("intents", "get_intents_by_group", ("g",)),
    ("intents", "get_intent", ("i1",)),
    ("orders", "get_order_state", ("i1",)),
    ("orders", "get_order_state_by_exchange_id", ("7",)),
    ("orders", "list_order_states", ()),
    ("orders", "list_order_states", ("BTC/USDT",)),
    ("orders", "list_order_states", ("BTC/USDT", ReconciliationStatus.DRIFT)),
    ("orders", "get_stale_orders", (1e-9, 3)),
]


async def outcome(store: Store, command: Command) -> Any:
    """What a command returns, or the kind of error it raises."""
    part, name, arguments = command
    target = getattr(store, part) if part else store
    try:
        return await getattr(target, name)(*arguments)
    except QuantError as error:
        return type(error)


async def play(commands: list[Command], path: Path, inline_below_s: float) -> None:
    memory = MemoryStore(Identity(1, 2, b"", 1))
    sqlite = SQLiteStore(path, inline_below_s=inline_below_s)
    await sqlite.open()
    try:
        for each in commands:
            assert await outcome(memory, each) == await outcome(sqlite, each), each
        for each in QUESTIONS:
            assert await outcome(memory, each) == await outcome(sqlite, each), each
    finally:
        await sqlite.close()


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(COMMANDS, min_size=5, max_size=25), st.sampled_from([0.0, 1e9]))
def test_any_sequence_of_commands_has_equal_outcomes(
    folder: Path, commands: list[Command], inline_below_s: float
) -> None:
    with tempfile.TemporaryDirectory(dir=folder) as fresh:
        asyncio.run(play(commands, Path(fresh) / "state.db", inline_below_s))
