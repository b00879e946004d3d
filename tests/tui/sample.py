"""A bot as its screen is told of it: every state of an order, positions, a book, events, figures."""

from decimal import Decimal as D

from msgspec.structs import replace

from quantcli.runtime.control.wire import (
    BookView,
    BudgetLine,
    EventItem,
    Frame,
    Happened,
    Health,
    Latency,
    LinkLine,
    Next,
    OrderItem,
    PositionItem,
    Print,
    Status,
    Story,
    WalletItem,
)
from quantcli.tui.model import Model

S = 1_000_000_000
NOW = 1_763_629_442 * S + 164_000_000  # 2025-11-20 09:04:02.164


def order(mark, symbol, slot, side, qty, price, **more):
    more.setdefault("created_ns", NOW - 42 * S)
    terms = {
        "intent_id": f"i-{symbol[:3].lower()}-{slot}-81f2",
        "client_order_id": f"c{slot}",
        "exchange_order_id": "884120771",
        "type": "LIMIT_MAKER",
        "phase": "ACTIVE",
        "status": "NEW",
        "filled": D(0),
        "condition": "InSync" if mark == "=" else "Drift",
        "drift": "-",
        "reason": "",
        "updated_ns": NOW,
        "stop_price": None,
        "have_qty": D(qty),
        "have_price": D(price) if price else None,
        "generation": 412,
        "seen_generation": 412 if mark == "=" else 411,
    }
    terms |= more
    price = D(price) if price else None
    return OrderItem(symbol=symbol, slot=slot, side=side, qty=D(qty), price=price, mark=mark, **terms)


ORDERS = (
    order("=", "BTC/USDT", "bid", "buy", "0.0100", "64210.1"),
    order(
        "~", "BTC/USDT", "ask", "sell", "0.0100", "64212.9",
        have_price=D("64213.4"), drift="px -0.5", created_ns=NOW - 1_200_000_000,
    ),
    order(
        "+", "ETH/USDT", "bid", "buy", "0.1500", "3120.5", have_qty=None, have_price=None, drift="create",
        exchange_order_id=None, created_ns=NOW - 300_000_000, condition="AwaitingVenue",
    ),
    order(
        "x", "ETH/USDT", "", "sell", "0.1500", "3121.0", intent_id="", exchange_order_id="771",
        drift="orphan", client_order_id="web_a1b2", phase="", condition="Foreign", created_ns=NOW - 482 * S,
        reason="nobody here wished for it",
    ),
    order(
        "/", "SOL/USDT", "brk.entry", "buy", "2.000", "151.20", filled=D("1.25"), have_qty=D("0.75"),
        drift="part 62%", created_ns=NOW - 3 * S, status="PARTIALLY_FILLED",
    ),
    order(
        "!", "SOL/USDT", "brk.stop", "sell", "1.250", None, stop_price=D("149.00"), type="STOP_MARKET",
        have_state="? outcome unknown", drift="asking", protective=True, created_ns=NOW - 5_100_000_000,
        condition="Uncertain", status="UNKNOWN",
    ),
)  # fmt: skip

STATUS = Status(
    bot="mm-btc",
    pid=4242,
    exchange="binance",
    endpoint="",
    world="LIVE",
    strategy="touch_maker.py:TouchMaker",
    symbols=("BTC/USDT", "ETH/USDT", "SOL/USDT"),
    started_ns=NOW - 11_520 * S,
    now_ns=NOW,
    state="trading",
    marks={"=": 1, "~": 1, "+": 1, "x": 1, "/": 1, "!": 1},
    open_orders=5,
    swept_ns=NOW - 2 * S,
    feed_age_ms=41.0,
    rate_used=0.18,
    currency="USDT",
    equity=D("10412.31"),
    start_equity=D("10400.00"),
    exposure=D("2116.40"),
)


def position(symbol, side, qty, avg, mark, unrealised, realised, fees, **more):
    return PositionItem(
        symbol=symbol,
        side=side,
        qty=D(qty),
        avg_price=D(avg),
        realised=D(realised),
        fees=D(fees),
        other_fees=more.pop("other_fees", {}),
        currency="USDT",
        updated_ns=NOW,
        mark=None if mark is None else D(mark),
        unrealised=None if unrealised is None else D(unrealised),
        **more,
    )


POSITIONS = (
    position("BTC/USDT", "long", "0.0300", "64101.20", "64211.5", "3.31", "7.13", "0.84"),
    position("ETH/USDT", "flat", "0", "0", "3120.7", None, "2.77", "0.31"),
    position("SOL/USDT", "long", "1.25", "151.20", "151.55", "0.44", "0", "0.19", drift=D("-0.0002")),
)
WALLET = (
    WalletItem("USDT", D("7541.02"), D("755.50"), D("8296.52"), D(0)),
    WalletItem("BTC", D("0.0200"), D("0.0100"), D("0.0300"), D(0)),
    WalletItem("SOL", D(0), D("1.25"), D("1.25"), D("-0.0002")),
    WalletItem("BNB", D("0.5"), D(0), D("0.5"), None),
)
EQUITY = tuple(
    (NOW - (180 - n) * 60 * S, D(10_391) + D(n) / 10 + D(abs(n % 60 - 30)) / 6 - D(n * n % 17) / 40)
    for n in range(181)
)
BOOK = BookView(
    symbol="BTC/USDT",
    tick=D("0.1"),
    bids=((64210.1, 0.73), (64209.8, 1.9), (64209.0, 0.2), (64208.5, 3.41), (64208.0, 2.2), (64207.1, 0.4)),
    asks=((64213.4, 0.41), (64214.2, 0.88), (64215.0, 2.14), (64216.6, 0.05), (64217.0, 1.0), (64218.3, 7.5)),
    prints=tuple(
        Print(NOW - n * 310_000_000, "buy" if n % 3 else "sell", size, 64210.1 + n % 4 * 0.7, n == 5)
        for n, size in enumerate((0.014, 0.2, 0.0031, 0.001, 0.05, 0.0014, 0.11))
    ),
    is_synced=True,
    seen_ns=NOW - S,
)


def event(number, ago_s, level, kind, symbol, text, **more):
    return EventItem(number, NOW - int(ago_s * S), level, kind, symbol, text, **more)


EVENTS = (
    event(1, 240, "info", "heartbeat", "", "equity 10,411.02  open 5  rate 17 %"),
    event(2, 113, "info", "intent", "BTC/USDT", "generation 409 -> 410: 5 wanted, 1 changed"),
    event(3, 112, "warn", "reconnect", "", "user stream down 1.9 s, 0 fills missed", why="1006 abnormal"),
    event(4, 22, "info", "submit", "SOL/USDT", "brk.stop S 1.250 @ 149.00", intent_id="i-sol-brk.stop-81f2"),
    event(5, 21, "warn", "unknown", "SOL/USDT", "brk.stop no answer in 5 s, asking"),
    event(
        6, 3, "warn", "orphan", "ETH/USDT", "S .1500 @ 3,121.0 is not ours",
        why='its client id "web_a1b2" is not in our format: placed by hand, or by another bot',
        effect="ETH free balance is .15 lower than the strategy sees",
        todo="quant orders adopt 771, or quant orders cancel 771",
    ),
    event(7, 1, "info", "fill", "BTC/USDT", "bid .0014 @ 64,210.1 maker fee .0009"),
    event(8, 0.1, "error", "strategy", "BTC/USDT", "desired raised ZeroDivisionError", why="maker.py:31"),
    event(9, 0, "info", "ack", "BTC/USDT", "ask replaced 64,213.4 -> 64,212.9  43 ms"),
)  # fmt: skip
_NOISE = tuple(float(20 + (n * 37) % 50) if n % 11 else -1.0 for n in range(60))
HEALTH = Health(
    latencies=(
        Latency("book feed age", 900, 38, 71, 140, 902, _NOISE),
        Latency("tick -> intent", 900, 0.9, 2, 4, 11, tuple(1.0 for _ in range(60))),
        Latency("submit -> ack", 90, 43, 61, 118, 401, _NOISE[::-1]),
        Latency("cancel -> gone", 90, 39, 58, 101, 377, _NOISE),
        Latency("drift -> in sync", 0, 0, 0, 0, 0),
    ),
    budgets=(
        BudgetLine("request weight", 214, 1200, 60, 22),
        BudgetLine("orders", 97, 100, 10, 4, 3),
        BudgetLine("orders", 1880, 200_000, 86_400, 53_100),
    ),
    links=(
        LinkLine("market ws", "ok", NOW - 11_520 * S, 0),
        LinkLine("user ws", "down", NOW - 112 * S, 1, "1006 abnormal close"),
        LinkLine("rest", "ok", NOW - 11_520 * S, 2, "503 service unavailable"),
    ),
    checks={"identity": 1204, "conservation": 1204},
    rss_mb=118.2,
    cpu_share=0.07,
    loop_lag_ms=1.4,
    database_mb=1.24,
    strategy_errors=1,
    problems=("clock is 310 ms off (limit 500 ms)",),
)
STORY = Story(
    order=ORDERS[1],
    means="the exchange has it at another price",
    metadata={"slot": "ask"},
    attempts=({"attempt": 3, "state": "LIVE"},),
    fills=(),
    journal=(
        Happened(NOW - 46_000_000, 3, "wanted", "sell 0.01 @ 64212.9 (was 64213.4)"),
        Happened(NOW - 45_000_000, 3, "drift", "5 ticks > tolerance 2 ticks"),
        Happened(NOW - 43_000_000, 3, "cancel sent", "binance order 884120771"),
    ),
    next=(Next("replace", "waiting for the exchange's word about the cancel (43 ms, p95 61 ms)"),),
)
FRAME = Frame(
    status=STATUS,
    orders=ORDERS,
    positions=POSITIONS,
    wallet=WALLET,
    equity=EQUITY,
    book=BOOK,
    events=EVENTS,
    health=HEALTH,
    story=STORY,
)


class Hands:
    """A clock that is set by hand."""

    def __init__(self, now_ns=NOW):
        self.now_ns = now_ns

    def __call__(self):
        return self.now_ns


def model(frame=FRAME, read_only=False, **status):
    """The screen of a bot that told this much; `status` changes what it says of itself."""
    found = Model("mm-btc", Hands(), read_only)
    if status and frame.status is not None:
        frame = replace(frame, status=replace(frame.status, **status))
    found.take(frame)
    return found
