"""How orders read: a row of want beside have, one order's story, and what it waits for.

Takes what travels (`wire`), whether a running bot said it or its database; asks nobody.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from decimal import Decimal

from quantcli.cli.output import columns, timestamp
from quantcli.cli.state import Facts, headline, subject
from quantcli.model.instrument import canonical
from quantcli.runtime.control.rows import MARKS, age, suffix_length
from quantcli.runtime.control.wire import FillItem, Happened, OrderItem, Story

_STOPS = ("STOP_LIMIT", "STOP_MARKET")
_EVENTS_SHOWN = 8

Cell = Callable[[OrderItem], str]


def table(found: Facts, items: Sequence[OrderItem], is_wide: bool = False) -> str:
    """The listing."""
    length = suffix_length([item.intent_id for item in items])
    cells: dict[str, Cell] = {
        "  SYMBOL": lambda item: f"{item.mark} {item.symbol}",
        "SLOT": lambda item: item.slot or "-",
        "WANT": want,
        "HAVE": have,
        "DRIFT": lambda item: item.drift,
        "AGE": lambda item: age(item.created_ns, found.now_ns),
    }
    if is_wide:
        cells |= {
            "FILLED": lambda item: canonical(item.filled),
            "PHASE": lambda item: item.phase or "-",
            "STATUS": lambda item: item.status,
            "CONDITION": lambda item: item.condition,
            "ID": lambda item: item.intent_id or "-",
            "CLIENT ID": lambda item: item.client_order_id or "-",
            "EXCHANGE ID": lambda item: item.exchange_order_id or "-",
            "WAITS": lambda item: item.slot_status or item.reason or "-",
        }
    else:
        cells["ID"] = lambda item: (
            item.intent_id[-length:] if item.intent_id else item.exchange_order_id or "-"
        )
    rows = [[cell(item) for cell in cells.values()] for item in items]
    text = columns(tuple(cells), rows, right={"AGE", "FILLED"}) + "\n" if rows else ""
    return f"{headline(found)}{text}{summary(found, items)}"


def summary(found: Facts, items: Sequence[OrderItem]) -> str:
    """`6 orders, 5 in sync, 1 unknown. mm-btc binance LIVE, swept 2s ago`."""
    counts = Counter(item.mark for item in items)
    told = [
        f"{len(items)} orders",
        *(f"{counts[mark]} {what}" for mark, what in MARKS.items() if counts[mark]),
    ]
    status = found.status
    swept = f", swept {age(status.swept_ns, status.now_ns)} ago" if status and status.swept_ns else ""
    return f"{', '.join(told)}. {subject(found)}{swept}"


def want(item: OrderItem) -> str:
    """What is wished for: `buy 0.01 @ 64210.1`."""
    quantity = item.qty if item.want_qty is None else item.want_qty
    return _terms(item, quantity, item.price) if item.intent_id else "-"


def have(item: OrderItem) -> str:
    """What the exchange has of it."""
    if item.have_state or item.have_qty is None:
        return item.have_state or "-"
    return _terms(item, item.have_qty, item.have_price)


def _terms(item: OrderItem, qty: Decimal, price: Decimal | None) -> str:
    text = f"{item.side} {canonical(qty)}"
    if item.type in _STOPS and item.stop_price is not None:
        text += f" stop {canonical(item.stop_price)}"
    return text + (f" @ {canonical(price)}" if price is not None else " @ market")


def heading(item: OrderItem) -> str:
    """The first line about one order."""
    subject = f"{item.symbol} {item.slot}".rstrip()
    if not item.intent_id:
        return f"{item.mark} {subject}   nobody's wish   {item.exchange_order_id}"
    tried = f", tried {item.seen_generation}" if item.seen_generation else ""
    generation = f"generation {item.generation}{tried}"
    return f"{item.mark} {subject}   intent {item.intent_id}   {item.phase}   {generation}"


def shown(story: Story) -> str:
    """What is wanted, what was tried, what the exchange has, and what happened last."""
    item = story.order
    rules = _rules(story)
    told = [f"{key} {value}" for key, value in story.metadata.items() if key != "slot"]
    because = told + ([item.reason] if item.reason and item.reason not in told else [])
    lines = [
        heading(item),
        f"want     {want(item)}  {' '.join(rules)}".rstrip(),
        f"have     {have(item)}; {canonical(item.filled)} of {canonical(item.qty)} filled",
        f"because  {', '.join(because) or '-'}",
    ]
    lines += [f"tried    {_tried(attempt, item)}" for attempt in story.attempts]
    lines += [f"filled   {_traded(fill)}" for fill in story.fills]
    if story.journal:
        lines += ["events", *map(_happened, story.journal[-_EVENTS_SHOWN:])]
    return "\n".join(lines)


def reasoned(story: Story, now_ns: int) -> str:
    """What state it is in, what comes next, and everything that happened."""
    item = story.order
    lines = [heading(item), f"is       {story.means}", f"stands   {item.condition}"]
    if item.slot_status:
        lines.append(f"waits    {item.slot_status}")
    if item.reason and item.reason != story.means.removeprefix("settled: "):
        lines.append(f"because  {item.reason}")
    lines += [f"next     {step.action}: {step.why}" for step in story.next]
    if not story.next:
        lines.append("next     nothing, unless something happens")
    if story.look_again_at_ns is not None:
        in_ = age(now_ns, story.look_again_at_ns)
        lines.append(f"again    at {timestamp(story.look_again_at_ns)}, {in_} from then on")
    if story.journal:
        lines.append(f"journal  {timestamp(story.journal[0].at_ns)[:10]}")
    return "\n".join([*lines, *map(_happened, story.journal)])


def _rules(story: Story) -> list[str]:
    attempts = story.attempts
    force = str(attempts[-1].get("time_in_force", "")) if attempts else ""
    return [story.order.type, *([force] if force else []), *(["protects"] if story.order.protective else [])]


def _tried(attempt: dict[str, object], item: OrderItem) -> str:
    qty, price = _decimal(attempt.get("qty")), _decimal(attempt.get("price"))
    prepared = timestamp(int(str(attempt.get("prepared_ns") or 0)))[11:23]
    seen = f"{attempt.get('state')}, {attempt.get('status')}, filled {attempt.get('filled')}"
    placed = f"{attempt.get('attempt')}: {prepared}  {_terms(item, qty or item.qty, price)}"
    return f"{placed}  {seen}  as {attempt.get('client_order_id')}"


def _decimal(value: object) -> Decimal | None:
    return None if value is None else Decimal(str(value))


def _traded(fill: FillItem) -> str:
    kind = "maker" if fill.is_maker else "taker"
    traded = f"{timestamp(fill.exchange_ns)[11:23]}  {canonical(fill.qty)} @ {canonical(fill.price)}"
    return f"{traded}, {kind}, fee {canonical(fill.fee)} {fill.fee_asset} (trade {fill.trade_id})"


def _happened(entry: Happened) -> str:
    number = f"{entry.attempt}" if entry.attempt else " "
    return f"  {timestamp(entry.at_ns)[11:23]}  {number}  {entry.what:<12} {entry.detail}".rstrip()
