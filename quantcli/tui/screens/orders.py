"""Screen 1: every wish beside what the exchange has, where they differ, and the chosen one's story."""

from collections import Counter
from decimal import Decimal
from typing import NamedTuple

from quantcli.runtime.control.rows import suffix_length
from quantcli.runtime.control.wire import OrderItem, Story
from quantcli.tui.model import SORTS, Model
from quantcli.tui.screens.drawing import Column, Page, embolden, rule, table
from quantcli.tui.typeset import (
    NONE,
    Line,
    clip,
    clock_time,
    cut,
    left,
    length,
    number,
    places,
    right,
    since,
    spread,
    width_of,
)

SETTLED = frozenset(("SATISFIED", "CANCELED", "EXPIRED", "FAILED"))
_WORST_FIRST = "!x~+/="
_WORDS = {"=": "in sync", "~": "drift", "+": "missing", "/": "partial", "x": "extra"}
# Cells of market and slot, and of quantity and price, in 80.
_NAMES, _TERMS = 17, 14
_BUSY = frozenset("~+!x")
LEGEND = "= in sync  ~ differs  + missing  x extra  / partial  ! unknown   > busy  ? you"


class Row(NamedTuple):
    """An order, and what its row is known by."""

    key: str
    order: OrderItem


def _key(order: OrderItem) -> str:
    """A slot is known by its name, because its order is another one after each fill."""
    if order.intent_id:
        return f"{order.symbol} {order.slot}" if order.slot else order.intent_id
    return f"x:{order.exchange_order_id or order.client_order_id or ''}"


def needs_you(order: OrderItem) -> bool:
    """Whether an order waits for its owner."""
    is_paused = order.slot_status.startswith("paused")
    return is_paused or order.condition == "NeedsOperator" or not order.intent_id


def rows(model: Model) -> list[Row]:
    """The orders that pass the filter, in the chosen order; each has a key of its own."""
    orders = list(model.shown.orders or ())
    words = model.views[0].filter.casefold().split()
    if words:
        orders = [order for order in orders if all(word in _searched(order) for word in words)]
    sort = SORTS[model.views[0].sort]
    orders.sort(key=_by_market)
    if sort == "state":
        orders.sort(key=lambda order: _WORST_FIRST.find(order.mark))
    elif sort == "age":
        orders.sort(key=lambda order: -order.created_ns)
    counts: Counter[str] = Counter()
    found = []
    for order in orders:
        key = _key(order)
        counts[key] += 1
        found.append(Row(key if counts[key] == 1 else f"{key} #{counts[key]}", order))
    return found


def keys(model: Model) -> list[str]:
    """The rows' keys, from the top."""
    return [row.key for row in rows(model)]


def chosen(model: Model) -> OrderItem | None:
    """The order that is chosen: the first, if none was or it is gone."""
    row = _chosen(rows(model), model)
    return row.order if row else None


def _chosen(listed: list[Row], model: Model) -> Row | None:
    return next((row for row in listed if row.key == model.views[0].chosen), listed[0] if listed else None)


def _by_market(order: OrderItem) -> tuple[str, bool, bool, str]:
    return order.symbol, not order.intent_id, order.side != "buy", order.slot


def summary(model: Model, width: int) -> Line:
    """How many of each state, and when the exchange last confirmed."""
    orders = model.shown.orders
    if orders is None:
        return [(" no word of orders yet", "dim")]
    wanted = [order for order in orders if order.intent_id and order.phase not in SETTLED]
    counts = Counter(order.mark for order in orders if order.phase not in SETTLED)
    paused = sum(order.slot_status.startswith("paused") for order in orders)
    orphans = sum(not order.intent_id for order in orders)
    counts["x"] -= orphans
    status = model.status
    swept = (
        f"swept {since(model.now_ns - status.swept_ns)} ago "
        if status and status.swept_ns
        else "never swept "
    )
    alarms: Line = [(f"   {word} {n}", "") for word, n in (("orphan", orphans), ("paused", paused)) if n]
    if counts["!"]:
        alarms = [("   ", ""), (f"unknown {counts['!']}", "alarm"), *alarms]
    start: Line = [(f" want {len(wanted)}", "")]
    words = [f"   {word} {counts[mark]}" for mark, word in _WORDS.items() if counts[mark] or mark == "="]
    line = [*start, ("".join(words), ""), *alarms]
    if length(line) + len(swept) > width:  # characters say the same
        told = "".join(f"  {mark} {counts[mark]}" for mark in _WORDS if counts[mark] or mark == "=")
        line = [*start, (" " + told, ""), *alarms]
    return spread(line, [(swept, "")], width)


def aside(model: Model) -> str:
    """Which sort and filter are on."""
    view = model.views[0]
    return (f"sort {SORTS[view.sort]}  " if view.sort else "") + f"/ filter: {view.filter or NONE}"


def body(model: Model, width: int, height: int) -> Page:
    """The table, and under it what is known of the chosen order."""
    below = 5 if height <= 16 else max(6, height // 3)
    below = 0 if model.wide or height < 10 else below
    listed = rows(model)
    form = _form([row.order for row in listed], width, model.wide)
    pick = _chosen(listed, model)
    empty = "no orders" if model.shown.orders else "nothing is wanted, and the exchange has nothing"
    if model.shown.orders is None:
        empty = "waiting for the bot's first word"
    page = table(
        listed,
        lambda row: row.key,
        lambda row, is_chosen: _row(row.order, form, model, is_chosen),
        pick.key if pick else "",
        (width, height - 1 - (below + 1 if below else 0)),
        empty,
    )
    lines = [_heading(form), *page.lines]
    if below:
        about = _about(pick.order, model, width, below)[:below] if pick else []
        lines += [rule(width, note=page.note), *about, *[[] for _ in range(below - len(about))]]
    return Page(lines, page.moved(1), "" if below else page.note)


class _Form(NamedTuple):
    """The columns of the table at some width."""

    symbol: int
    slot: int
    quantity: int
    price: int
    drift: int
    has_have: bool
    more: tuple[Column, ...]
    decimals: dict[str, tuple[int, int]]
    id_length: int

    @property
    def terms(self) -> int:
        return 3 + self.quantity + self.price


def _form(orders: list[OrderItem], width: int, wide: bool) -> _Form:
    """The columns in this width: what the design has at 80, and what is wider where there is room for it."""
    decimals = _decimals(orders)
    terms = [_terms(order, decimals, have) for order in orders for have in (False, True)]
    quantity = max([5, *(len(told[1]) for told in terms if told)])
    price = max([8, *(len(told[2]) for told in terms if told)])
    bare = max([8, *(len(told[2].replace(",", "")) for told in terms if told)])
    symbol = max([8, *(width_of(order.symbol) for order in orders)])
    slot = max([4, *(width_of(order.slot or "(none)") for order in orders)])
    has_have = width >= 78 and not (wide and width < 120)
    spare = max(0, width - (80 if has_have else 60))
    sides = 2 if has_have else 1
    lent = min(max(0, _NAMES - symbol - slot) // sides, max(0, quantity + price - _TERMS))
    names = _NAMES - lent * sides + _grown(spare, symbol + slot - _NAMES)
    spare -= max(0, names - _NAMES)
    symbol = min(symbol, names - min(slot, max(9, names - symbol)))
    room = _TERMS + lent + _grown(spare // sides, quantity + price - _TERMS - lent)
    spare -= (room - _TERMS - lent) * sides
    price = max(min(price, room - quantity), min(bare, room - 4))
    drift = 9 + _grown(min(16, spare), max([9, *(width_of(order.drift) for order in orders)]) - 9)
    spare -= drift - 9
    id_length = suffix_length([order.intent_id for order in orders if order.intent_id])
    more = _more(spare, id_length)
    return _Form(symbol, names - symbol, room - price, price, drift, has_have, more, decimals, id_length)


def _grown(spare: int, wanted: int) -> int:
    """How much of what is wanted there is."""
    return min(spare, max(0, wanted))


def _more(spare: int, id_length: int) -> tuple[Column, ...]:
    """The columns that a wider terminal has room for."""
    taken = []
    for title, width in (
        ("ID", max(4, id_length)),
        ("FILLED", 9),
        ("TYPE", 12),
        ("STATUS", 16),
        ("REASON", 24),
    ):
        if spare < width + 1:
            break
        taken.append(Column(title, width, title == "FILLED"))
        spare -= width + 1
    if taken and taken[-1].title == "REASON":
        taken[-1] = taken[-1]._replace(width=taken[-1].width + spare)
    return tuple(taken)


def _decimals(orders: list[OrderItem]) -> dict[str, tuple[int, int]]:
    """Decimals of quantities and prices, by market, so that they stand under each other."""
    found: dict[str, tuple[int, int]] = {}
    for order in orders:
        quantity, price = found.get(order.symbol, (0, 0))
        found[order.symbol] = (
            max(quantity, places(order.qty), places(order.have_qty)),
            max(price, places(order.price), places(order.stop_price), places(order.have_price)),
        )
    return found


def _terms(order: OrderItem, decimals: dict[str, tuple[int, int]], have: bool) -> tuple[str, str, str] | None:
    """Side, quantity and price, as set; `None` where there is no such order."""
    if (have and (order.have_qty is None or order.have_state)) or (not have and not order.intent_id):
        return None
    quantity: Decimal | None = order.have_qty if have else _wanted(order)
    price = order.have_price if have else order.price
    price = price if price is not None else order.stop_price
    of_quantity, of_price = decimals[order.symbol]
    side = "B" if order.side == "buy" else "S"
    return side, number(quantity, of_quantity), number(price, of_price) if price is not None else "market"


def _wanted(order: OrderItem) -> Decimal:
    """How much is wished for beside what the exchange has: without what earlier placements have filled."""
    return order.qty if order.want_qty is None else order.want_qty


def _heading(form: _Form) -> Line:
    text = (
        f"   {left('SYMBOL', form.symbol)} {left('SLOT', form.slot)} │ {left('WANT (intent)', form.terms)} │ "
    )
    if form.has_have:
        text += f"{left('HAVE (exchange)', form.terms)} │ "
    text += f"{left('DRIFT', form.drift)}  AGE  "
    return [(text + "".join(f" {column.set(column.title)}" for column in form.more), "heading")]


def _row(order: OrderItem, form: _Form, model: Model, is_chosen: bool) -> Line:
    side = "buy" if order.side == "buy" else "sell"
    flag = "?" if needs_you(order) else ">" if order.mark in _BUSY else " "
    old = model.now_ns - order.created_ns
    line: Line = [
        ("▌" if is_chosen else " ", "mark->" if is_chosen else ""),
        (order.mark, f"mark-{order.mark}"),
        (f" {left(order.symbol, form.symbol)} {left(order.slot or '(none)', form.slot)} ", ""),
        ("│ ", "rule"),
        (_set(_terms(order, form.decimals, have=False), form, NONE), side if order.intent_id else "dim"),
    ]
    if form.has_have:
        has = order.have_qty is not None and not order.have_state
        told = _set(_terms(order, form.decimals, have=True), form, order.have_state or NONE)
        line += [(" │ ", "rule"), (told, side if has else "")]
    line += [
        (" │ ", "rule"),
        (left(order.drift or NONE, form.drift), "strong" if order.mark != "=" else ""),
        (" " + right(since(old) if order.created_ns else NONE, 4) + " ", ""),
        (flag, f"mark-{flag}" if flag != " " else ""),
    ]
    for column in form.more:
        line.append((" " + column.set(_extra(column.title, order, form)), ""))
    return embolden(line) if is_chosen else line


def _set(terms: tuple[str, str, str] | None, form: _Form, otherwise: str) -> str:
    if terms is None:
        return left(otherwise, form.terms)
    side, quantity, price = terms
    price = price if len(price) <= form.price else price.replace(",", "")
    return f"{side} {right(quantity, form.quantity)} {right(price, form.price)}"


def _extra(title: str, order: OrderItem, form: _Form) -> str:
    if title == "FILLED":
        return number(order.filled, form.decimals[order.symbol][0])
    return {
        "ID": order.intent_id[-form.id_length :] or NONE,
        "TYPE": order.type,
        "STATUS": order.status,
        "REASON": order.slot_status or order.reason,
    }[title]


def _searched(order: OrderItem) -> str:
    told = (
        order.mark, order.symbol, order.slot, order.side, order.drift, order.condition, order.status,
        order.have_state, order.intent_id, order.exchange_order_id or "", order.client_order_id or "",
    )  # fmt: skip
    return " ".join(told).casefold()


def _about(order: OrderItem, model: Model, width: int, room: int) -> list[Line]:
    """What is known of one order, the newest below."""
    first: Line = [
        (f" {order.mark}", f"mark-{order.mark}"),
        (f" {order.symbol} {order.slot or '(none)'}", "strong"),
    ]
    if order.intent_id:
        first.append((f"   intent {order.intent_id[-12:]}  gen {order.generation}", ""))
        if order.seen_generation != order.generation:
            first.append((f" (asked {order.seen_generation})", ""))
    if order.exchange_order_id:
        first.append((f"   exchange id {order.exchange_order_id}", ""))
    lines = [clip(first, width)]
    if order.slot_status:
        lines.append([("   slot   ", "dim"), (cut(order.slot_status, width - 10), "warn")])
    story = model.shown.story
    if story is not None and order.intent_id and story.order.intent_id == order.intent_id:
        return lines + _told(story, width, room - len(lines))
    if order.reason:
        lines.append([("   why    ", "dim"), (cut(order.reason, width - 10), "")])
    if not order.intent_id:
        lines.append([("   do     ", "dim"), ("a adopt it into a slot   c cancel it", "")])
    return lines


def _told(story: Story, width: int, room: int) -> list[Line]:
    """The last that happened, and what comes next."""
    following: list[Line] = [
        [("   next   ", "dim"), (cut(f"{step.action}: {step.why}", width - 10), "strong")]
        for step in story.next[:2]
    ]
    if not following:
        following = [[("   means  ", "dim"), (cut(story.means, width - 10), "")]] if story.means else []
    happened = story.journal[-max(1, room - len(following)) :]
    return [
        [
            (f"   {clock_time(event.at_ns)}  ", "dim"),
            (cut(f"{event.what}  {event.detail}", width - 17), ""),
        ]
        for event in happened
    ] + following
