"""Screen 3: one market's ladder with our own orders in it, its trades, and who presses."""

from collections.abc import Sequence
from decimal import Decimal
from typing import NamedTuple

from quantcli.runtime.control.wire import BookView, OrderItem, Print
from quantcli.tui.model import Model
from quantcli.tui.screens.drawing import Page, rule
from quantcli.tui.screens.orders import SETTLED
from quantcli.tui.typeset import (
    NONE,
    Line,
    bar,
    clip,
    clock_time,
    number,
    places,
    right,
    since,
)

GROUPS = (1, 2, 5, 10, 50)
_FLOW_NS = 10_000_000_000
_LEFT = 47  # cells of the ladder; the trades have the rest


class Level(NamedTuple):
    """A price, what rests there, and what of ours rests or is wanted there."""

    price: float
    size: float
    mine: Decimal
    wanted: Decimal


def symbol_of(model: Model) -> str:
    """The market that is looked at."""
    return model.book_symbol or next(iter(model.symbols), "")


def keys(model: Model) -> list[str]:
    """Nothing is chosen here."""
    return []


def book_of(model: Model) -> BookView | None:
    """Its book, if it was told; another market's is none."""
    book = model.shown.book
    return book if book is not None and book.symbol == symbol_of(model) else None


def summary(model: Model, width: int) -> Line:
    """Last trade, spread, imbalance, and whether the book is in step."""
    book = book_of(model)
    if book is None:
        return [(f" {symbol_of(model) or 'no market'}  no book yet", "dim")]
    decimals = places(book.tick)
    latest = newest(book.prints)
    line: Line = [(f" {book.symbol}", "strong")]
    if latest:
        side = "buy" if latest[0].side == "buy" else "sell"
        line += [
            ("  last ", ""),
            (f"{number(latest[0].price, decimals)} {'B' if side == 'buy' else 'S'}", side),
        ]
    if book.bids and book.asks:
        wide = book.asks[0][0] - book.bids[0][0]
        line.append((f"   spread {number(wide, decimals)} ({wide / float(book.tick):.0f} tk)", ""))
    bids, asks = sum(size for _, size in book.bids), sum(size for _, size in book.asks)
    if bids + asks > 0:
        line.append((f"   imbalance bid {share_of(bids, bids + asks)}", ""))
    line.append(("   ", ""))
    line.append(("seq ok", "") if book.is_synced else ("out of step", "alarm"))
    if book.seen_ns and model.now_ns - book.seen_ns > 5_000_000_000:
        line += [("   ", ""), (f"{since(model.now_ns - book.seen_ns)} old", "alarm")]
    return line


def share_of(part: float, whole: float) -> str:
    """A part in percent."""
    return f"{part / whole * 100:.0f} %"


def aside(model: Model) -> str:
    """How to see the others."""
    count = len(model.symbols)
    return f"< > next of {count} symbols" if count > 1 else ""


def body(model: Model, width: int, height: int) -> Page:
    """Ladder and trades side by side, under them what is ours and who presses."""
    book = book_of(model)
    if book is None:
        return Page([[], [(" no book of this market was told yet", "dim")]] + [[]] * (height - 2))
    below = 7 if height >= 14 else 0
    room = height - 1 - (below + 1 if below else 0)
    head = f"{'MINE':>7} {'BID SIZE':>9} {'PRICE':>11} {'ASK SIZE':>9} {'MINE':>7}"
    ladder = _ladder(book, model, room)
    ladder += [[] for _ in range(room - len(ladder))]
    lines = [clip(line, _LEFT) for line in ([(head, "heading")], *ladder)]
    if joint(model, width) is not None:
        trades = [[(" TRADES", "heading")], *_prints(book, width - _LEFT - 1, room)]
        lines = [[*line, ("│", "rule"), *beside] for line, beside in zip(lines, trades, strict=True)]
    if below:
        lines += [rule(width, joint(model, width), "┴"), *_below(book, model, width, below)]
    return Page(lines[:height])


def joint(model: Model, width: int) -> int | None:
    """Where the line between ladder and trades is, if trades are shown."""
    is_there = model.prints and width >= _LEFT + 24 and book_of(model) is not None
    return _LEFT if is_there else None


def newest(prints: Sequence[Print]) -> list[Print]:
    """Trades, the newest first, however they were told."""
    if len(prints) > 1 and prints[0].at_ns < prints[-1].at_ns:
        return list(reversed(prints))
    return list(prints)


def levels(book: BookView, side: str, group: int, orders: Sequence[OrderItem]) -> list[Level]:
    """One side's prices, best first, `group` ticks to a level, with our own orders in them; a price that only
    we have or want is a level of its own."""
    step = book.tick * group
    resting: dict[Decimal, float] = {}
    for price, size in book.bids if side == "buy" else book.asks:
        at = _level(Decimal(repr(price)), step, side)
        resting[at] = resting.get(at, 0.0) + size
    mine: dict[Decimal, Decimal] = {}
    wanted: dict[Decimal, Decimal] = {}
    for order in orders:
        if order.symbol != book.symbol or order.side != side or _is_settled(order):
            continue
        has = order.have_qty is not None and order.have_price is not None
        if has and order.have_qty is not None and order.have_price is not None:
            at = _level(order.have_price, step, side)
            mine[at] = mine.get(at, Decimal(0)) + order.have_qty
        if order.intent_id and order.price is not None and (not has or order.price != order.have_price):
            at = _level(order.price, step, side)
            wanted[at] = wanted.get(at, Decimal(0)) + order.qty
    prices = sorted({*resting, *mine, *wanted}, reverse=side == "buy")
    nothing = Decimal(0)
    return [
        Level(float(p), resting.get(p, 0.0), mine.get(p, nothing), wanted.get(p, nothing)) for p in prices
    ]


def _level(price: Decimal, step: Decimal, side: str) -> Decimal:
    """The level a price belongs to: bids down, asks up, so that none looks better than it is."""
    parts, rest = divmod(price, step)
    return step * (parts + (1 if rest and side == "sell" else 0))


def _ladder(book: BookView, model: Model, room: int) -> list[Line]:
    """Asks from above down to the best, the last price, bids."""
    orders = model.shown.orders or ()
    half = (room - 1) // 2
    asks = levels(book, "sell", model.group, orders)[:half]
    bids = levels(book, "buy", model.group, orders)[: room - 1 - half]
    sizes = [Decimal(repr(level.size)) for level in (*asks, *bids)]
    of_size = min(6, max([0, *(places(size) for size in sizes)]))
    of_price = places(book.tick)
    latest = newest(book.prints)
    middle = number(latest[0].price, of_price) if latest else NONE
    dashes = (_LEFT - len(middle) - 4) // 2
    between: Line = [
        ("  " + "─" * (dashes - 1) + " ", "rule"),
        (middle, "strong"),
        (" " + "─" * dashes, "rule"),
    ]
    blank: list[Line] = [[] for _ in range(half - len(asks))]
    return [
        *blank,
        *(_rung(level, of_size, of_price, "sell") for level in reversed(asks)),
        between,
        *(_rung(level, of_size, of_price, "buy") for level in bids),
    ]


def _is_settled(order: OrderItem) -> bool:
    return order.phase in SETTLED and order.have_qty is None


def _rung(level: Level, of_size: int, of_price: int, side: str) -> Line:
    ours = "(want)" if level.wanted and not level.mine else ""
    ours = number(level.mine, max(of_size, places(level.mine))) if level.mine else ours
    size = number(level.size, of_size) if level.size else ""
    bid, ask = (size, "") if side == "buy" else ("", size)
    mine, theirs = (ours, "") if side == "buy" else ("", ours)
    return [
        (right(mine, 7), f"{side}*"),
        (" " + right(bid, 9), ""),
        (" " + right(number(level.price, of_price), 11), f"{side}*" if ours else side),
        (" " + right(ask, 9), ""),
        (" " + right(theirs, 7), f"{side}*"),
    ]


def _prints(book: BookView, width: int, room: int) -> list[Line]:
    prints = newest(book.prints)
    if not prints:
        return [[(" no trades seen yet", "dim")], *[[] for _ in range(room - 1)]]
    of_size = min(6, max(places(Decimal(repr(p.size))) for p in prints))
    decimals = places(book.tick)
    sizes = max(len(number(p.size, of_size)) for p in prints)
    prices = max(len(number(p.price, decimals)) for p in prints)
    has_ms = 18 + sizes + prices <= width
    lines: list[Line] = []
    for one in prints[: room - 1]:
        side = "buy" if one.side == "buy" else "sell"
        lines.append(
            [
                (f" {clock_time(one.at_ns)[: 12 if has_ms else 8]} ", "dim"),
                ("B" if side == "buy" else "S", side),
                (f" {right(number(one.size, of_size), sizes)} {number(one.price, decimals)}", ""),
                ("*" if one.is_ours else "", "strong"),
            ]
        )
    lines += [[] for _ in range(room - 1 - len(lines))]
    return [*lines, [(" * = one of our fills", "dim")]]


def _below(book: BookView, model: Model, width: int, height: int) -> list[Line]:
    """Our best orders on each side, and the bars."""
    lines: list[Line] = []
    for side, word in (("buy", "bid"), ("sell", "ask")):
        rungs = levels(book, side, 1, model.shown.orders or ())
        mine = next((level for level in rungs if level.mine), None)
        wanted = next((level for level in rungs if level.wanted), None)
        text = f"  my {word} "
        if mine:
            at = number(mine.price, places(book.tick))
            text += f"{number(mine.mine, places(mine.mine))} @ {at}"
            others = Decimal(repr(mine.size)) - mine.mine
            text += (
                f"   at most {number(max(others, Decimal(0)), places(others))} ahead of it"
                if mine.size
                else ""
            )
        if wanted:
            at = number(wanted.price, places(book.tick))
            text += f"{'   ' if mine else ''}wanted {number(wanted.wanted, places(wanted.wanted))} @ {at}"
        lines.append([(text if mine or wanted else f"  my {word} -", "" if mine or wanted else "dim")])
    bids, asks = sum(size for _, size in book.bids), sum(size for _, size in book.asks)
    room = max(10, min(60, width - 24))
    part = bids / (bids + asks) if bids + asks > 0 else 0.5
    full = round(part * room)
    lines += [
        [],
        [("  depth bar   bid ", ""), ("█" * full, "buy"), ("░" * (room - full), "sell"), (" ask", "")],
        _flow(book, room),
    ]
    return lines[:height] + [[] for _ in range(height - len(lines))]


def _flow(book: BookView, room: int) -> Line:
    """How much was bought and sold aggressively in the ten seconds before the last trade."""
    prints = newest(book.prints)
    recent = [p for p in prints if prints[0].at_ns - p.at_ns <= _FLOW_NS]
    bought = sum(p.size for p in recent if p.side == "buy")
    sold = sum(p.size for p in recent if p.side != "buy")
    most = max(bought, sold)
    if not most:
        return [("  10 s flow   -", "dim")]
    width = (room - 7) // 2
    return [
        ("  10 s flow   buy ", ""),
        (bar(bought / most, width), "buy"),
        ("  sell ", ""),
        (bar(sold / most, width), "sell"),
    ]
