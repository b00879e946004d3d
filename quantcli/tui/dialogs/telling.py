"""What is opened to be read: an object as YAML-like text, an order's story, fills, help, what went wrong."""

from collections.abc import Sequence
from typing import Any

import msgspec

from quantcli.model.instrument import canonical
from quantcli.runtime.control.wire import FillItem, OrderItem, Refusal, Story
from quantcli.tui.dialogs.reading import Reading
from quantcli.tui.typeset import Line, clock_time, exact, harmless, left, right


def raw(title: str, found: msgspec.Struct) -> Reading:
    """An object with all its fields; `o` copies it as JSON."""
    told = msgspec.to_builtins(found, enc_hook=str)
    text = msgspec.json.format(msgspec.json.encode(found), indent=2).decode()
    return Reading(title, [[(line, "")] for line in _fields(told, 0)], copied=text)


def _fields(value: Any, depth: int) -> list[str]:
    pad = "  " * depth
    if isinstance(value, dict):
        lines = []
        for name, item in value.items():
            if isinstance(item, dict | list) and item:
                lines += [f"{pad}{name}:", *_fields(item, depth + 1)]
            else:
                lines.append(f"{pad}{name}: {_scalar(item)}")
        return lines
    if isinstance(value, list):
        lines = []
        for item in value:
            inside = _fields(item, depth + 1)
            lines += [f"{pad}- {inside[0].lstrip()}", *inside[1:]] if inside else [f"{pad}- {_scalar(item)}"]
        return lines
    return [f"{pad}{_scalar(value)}"]


def _scalar(value: Any) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    return harmless(str(value)) if value not in ("", [], {}) else {"": '""'}.get(str(value), str(value))


def order(found: OrderItem, story: Story | None) -> Reading:
    """One order: want, have, why, and all that happened."""
    at = f" @ {exact(found.price)}" if found.price is not None else " at the market"
    stop = f" stop {exact(found.stop_price)}" if found.stop_price is not None else ""
    have = found.have_state or "nothing"
    if found.have_qty is not None and not found.have_state:
        have = f"{found.side} {exact(found.have_qty)}"
        have += f" @ {exact(found.have_price)}" if found.have_price is not None else ""
    pairs = [
        (
            "want",
            f"{found.side} {exact(found.qty)}{stop}{at}   {found.type}" if found.intent_id else "nothing",
        ),
        ("have", f"{have}   {found.exchange_order_id or ''}".rstrip()),
        ("filled", exact(found.filled)),
        ("state", f"{found.mark} {found.drift}   {found.phase}   {found.status}   {found.condition}"),
        ("slot", found.slot_status),
        ("why", found.reason),
        ("intent", f"{found.intent_id}   generation {found.generation}, asked {found.seen_generation}"),
        ("client", found.client_order_id or ""),
    ]
    lines: list[Line] = [[(left(name, 8), "dim"), (text, "")] for name, text in pairs if text]
    if story is not None and found.intent_id and story.order.intent_id == found.intent_id:
        lines += [[("means   ", "dim"), (story.means, "")]] if story.means else []
        lines += [[("next    ", "dim"), (f"{step.action}: {step.why}", "strong")] for step in story.next]
        lines += [[], [("happened", "heading")]]
        lines += [
            [(f"  {clock_time(e.at_ns)}  ", "dim"), (f"{e.attempt or ' '}  {e.what}  {e.detail}", "")]
            for e in story.journal
        ]
    return Reading(f"{found.symbol} {found.slot or '(none)'}", lines)


def fills(symbol: str, found: Sequence[FillItem], total: int) -> Reading:
    """The last executions in a market."""
    lines: list[Line] = [
        [(f"{'TIME':<13} S {'QTY':>12} {'PRICE':>14} {'FEE':>16}  ORDER", "heading")],
        *(
            [
                (f"{clock_time(fill.exchange_ns)}  ", "dim"),
                ("B" if fill.side == "buy" else "S", "buy" if fill.side == "buy" else "sell"),
                (f" {right(exact(fill.qty), 12)} {right(exact(fill.price), 14)} ", ""),
                (right(f"{exact(fill.fee)} {fill.fee_asset}", 16), ""),
                (
                    f"  {fill.intent_id[-12:] or fill.exchange_order_id}{'' if fill.is_maker else '  taker'}",
                    "",
                ),
            ]
            for fill in found
        ),
    ]
    if not found:
        lines.append([("nothing was executed there yet", "dim")])
    said = f"fills of {symbol}" + (f", the last {len(found)} of {total:,}" if total > len(found) else "")
    text = "\n".join(
        f"{f.trade_id},{f.symbol},{f.side},{canonical(f.qty)},{canonical(f.price)},{canonical(f.fee)},{f.fee_asset}"
        for f in found
    )
    return Reading(said, lines, copied=text)


def refusal(about: str, told: Refusal) -> Reading:
    """What was not done, why, and what to do."""
    lines: list[Line] = [[(f"{about} was not done", "strong")], []]
    for label, text in (("what", told.what), ("why", told.why), ("do", told.todo)):
        lines += [
            [((label if first else "").ljust(6), "dim"), (row, "")]
            for first, row in ((n == 0, row) for n, row in enumerate(text.splitlines()))
        ]
    if told.help_id:
        lines.append([("docs  ", "dim"), (f"quant help {told.help_id}", "")])
    return Reading("NOT DONE", lines)


def export(bot: str) -> Reading:
    """The commands that write what was traded to files."""
    kinds = ("fills", "orders", "equity", "events")
    lines: list[Line] = [
        [(f"quant export {kind} -o parquet --to {kind}.parquet --name {bot}", "strong")] for kind in kinds
    ]
    return Reading("export: in a shell", [*lines, [], [("or -o csv, -o jsonl, to stdout", "dim")]])
