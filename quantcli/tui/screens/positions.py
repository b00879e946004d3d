"""Screen 2: what is held and what it earned, the wallet beside the exchange's own numbers, the equity."""

from decimal import Decimal

from quantcli.runtime.control.wire import PositionItem, WalletItem
from quantcli.tui.model import Model
from quantcli.tui.screens.drawing import Column, Page, cells, heading, rule, table
from quantcli.tui.typeset import (
    NONE,
    Line,
    Span,
    amount,
    cents,
    clip,
    curve,
    fitted,
    number,
    places,
    right,
    share,
    spread,
    uptime,
    width_of,
)

# Lines of the curve, with its title, at most.
_CURVE = 16


def rows(model: Model) -> list[PositionItem]:
    """The positions that pass the filter."""
    words = model.views[1].filter.casefold().split()
    return [
        p for p in model.shown.positions or () if all(w in f"{p.symbol} {p.side}".casefold() for w in words)
    ]


def keys(model: Model) -> list[str]:
    """The rows' keys, from the top."""
    return [position.symbol for position in rows(model)]


def chosen(model: Model) -> PositionItem | None:
    """The chosen position, or the first."""
    listed = rows(model)
    return next((p for p in listed if p.symbol == model.views[1].chosen), listed[0] if listed else None)


def summary(model: Model, width: int) -> Line:
    """What the account is worth, and how that came about."""
    status = model.status
    if status is None or status.equity is None:
        return [(" equity not known yet", "dim")]
    equity, decimals = status.equity, cents(status.equity)
    text = f" equity {number(equity, decimals)} {status.currency}"
    if status.start_equity is not None:
        gain = equity - status.start_equity
        part = share(gain / status.start_equity, 2, signed=True) if status.start_equity else NONE
        text += f"  start {number(gain, decimals, signed=True)} ({part})"
    if status.exposure is not None:
        text += (
            f"  exposure {share(status.exposure / equity) if equity else number(status.exposure, decimals)}"
        )
    worst = drawdown([worth for _, worth in model.shown.equity or ()])
    return [(text + (f"  max dd {share(-worst, 2)}" if worst is not None else ""), "")]


def drawdown(worths: list[Decimal]) -> Decimal | None:
    """The deepest fall from a height, as a part of it; `None` without a curve."""
    top, worst = Decimal(0), Decimal(0)
    for worth in worths:
        top = max(top, worth)
        if top > 0:
            worst = max(worst, (top - worth) / top)
    return worst if len(worths) > 1 else None


def aside(model: Model) -> str:
    """The currency of all money here."""
    view = model.views[1]
    unit = f"unit: {model.status.currency}" if model.status and model.status.currency else ""
    return f"/ filter: {view.filter}" if view.filter else unit


def body(model: Model, width: int, height: int) -> Page:
    """Positions, wallet, and the curve in what is left below."""
    wallet, listed = list(model.shown.wallet or ()), rows(model)
    graph = 5 if height >= 15 else 0  # at least; it gets what the tables do not need
    room = height - 4 - graph
    for_wallet = min(max(1, len(wallet)), max(2, room // 3, room - max(1, len(listed))))
    for_table = min(max(1, len(listed)), room - for_wallet)
    page = _positions(model, listed, width, for_table)
    lines = [*page.lines, rule(width, note=page.note), *_wallet(wallet, model, width, for_wallet)]
    if graph:
        lines += [rule(width), *_equity(model, width, min(_CURVE, height - len(lines) - 1))]
    lines += [[] for _ in range(height - len(lines))]
    return Page(lines[:height], page.targets)


def _positions(model: Model, listed: list[PositionItem], width: int, room: int) -> Page:
    spare = max(0, width - 80)
    symbol = max([9, *(min(width_of(p.symbol), 9 + spare) for p in listed)])
    spare = (spare - (symbol - 9)) // 7
    money, held = 7 + min(7, spare), 9 + min(8, spare)
    columns = [
        Column("SYMBOL", symbol),
        Column("SIDE", 5),
        Column("QTY ours", held, True),
        Column("exch", held),
        Column("AVG PRICE", 9 + min(6, spare), True),
        Column("MARK", 9 + min(7, spare), True),
        Column("UNREAL", money, True),
        Column("REAL", money, True),
        Column("FEES", money, True),
    ]
    decimals = cents(model.status.equity if model.status else None)
    pick = chosen(model)

    def line(position: PositionItem, is_chosen: bool) -> Line:
        return cells(columns, _position(position, decimals, columns[4].width), is_chosen)

    empty = "nothing is held" if model.shown.positions is not None else "no word of positions yet"
    page = table(listed, lambda p: p.symbol, line, pick.symbol if pick else "", (width, room), empty)
    total = _total(listed, columns, decimals)
    return Page([clip(heading(columns), width), *page.lines, clip(total, width)], page.moved(1), page.note)


def _position(position: PositionItem, decimals: int, room: int) -> list[str | Span]:
    of_qty = max(places(position.qty), places(position.drift))
    of_price = min(8, max(places(position.avg_price), places(position.mark), 2))
    of_price = places(position.mark) if position.mark is not None else min(of_price, 8)
    side = {"long": "buy", "short": "sell"}.get(position.side, "")
    has = position.qty != 0
    return [
        position.symbol,
        (position.side, side),
        amount(position.qty, of_qty),
        (amount(position.qty + position.drift, of_qty), "alarm") if position.drift else "=",
        fitted(position.avg_price, max(of_price, 2), room) if has else NONE,
        fitted(position.mark, max(of_price, 2), room),
        number(position.unrealised, decimals, signed=True) if has else NONE,
        number(position.realised, decimals, signed=True),
        number(-position.fees, decimals, signed=True)
        + ("".join(f" {number(-fee, 4)} {asset}" for asset, fee in position.other_fees.items())),
    ]


def _total(listed: list[PositionItem], columns: list[Column], decimals: int) -> Line:
    if not listed or len({position.currency for position in listed}) > 1:
        return []
    known = [p.unrealised for p in listed if p.unrealised is not None]
    sums = (sum(known, Decimal(0)), sum(p.realised for p in listed), -sum(p.fees for p in listed))
    start = 1 + sum(column.width + 1 for column in columns[:6])
    told = " ".join(
        column.set(number(Decimal(value), decimals, signed=True))
        for column, value in zip(columns[6:], sums, strict=True)
    )
    return [(left_of("total", start), "dim"), (told, "strong")]


def left_of(text: str, width: int) -> str:
    """A label before numbers."""
    return f" {text}".ljust(width)


def _wallet(wallet: list[WalletItem], model: Model, width: int, room: int) -> list[Line]:
    wide = 12 + min(8, max(0, width - 80) // 5)
    columns = [
        Column("WALLET", 8),
        Column("free", wide, True),
        Column("in orders", wide, True),
        Column("total", wide, True),
        Column("on exchange", wide, True),
        Column(" diff", max(5, width - 4 * wide - 15)),
    ]
    lines = [clip(heading(columns), width)]
    for item in wallet[:room]:
        decimals = min(8, max(2, *(places(v) for v in (item.free, item.locked, item.total, item.differs))))
        says = item.total + item.differs if item.differs is not None else None
        differs: str | Span = (" not asked yet", "dim")
        if item.differs is not None:
            differs = (
                (f" ~ {number(item.differs, places(item.differs), True)}", "alarm") if item.differs else " ="
            )
        amounts = (item.free, item.locked, item.total, says)
        lines.append(
            clip(cells(columns, [item.asset, *(amount(a, decimals) for a in amounts), differs]), width)
        )
    if not wallet:
        lines.append([(" no word of the wallet yet", "dim")])
    if len(wallet) > room:
        lines[-1] = spread(lines[-1], [(f" and {len(wallet) - room + 1} more ", "dim")], width)
    return lines + [[] for _ in range(room + 1 - len(lines))]


def _equity(model: Model, width: int, height: int) -> list[Line]:
    points = model.shown.equity or ()
    worths = [float(worth) for _, worth in points]
    if len(worths) < 2 or height < 2:
        return [[(" equity: no curve yet", "dim")], *[[] for _ in range(height - 1)]]
    decimals = cents(points[-1][1])
    span = uptime(points[-1][0] - points[0][0])
    labels = {0: number(max(worths), decimals), height - 2: number(min(worths), decimals)}
    beside = max(len(label) for label in labels.values()) + 1
    drawn = curve(worths, width - beside - 2, height - 1)
    lines: list[Line] = [[(f" equity, last {span}", "dim")]]
    for y, text in enumerate(drawn):
        lines.append([(f" {text}", "buy"), (right(labels.get(y, ""), beside), "dim")])
    return lines
