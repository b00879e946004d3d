"""The kill switch: three depths, what each would do now, and the bot's name typed to confirm."""

from decimal import Decimal

from quantcli.runtime.control.wire import OrderItem, PositionItem
from quantcli.tui.dialogs.dialog import box, edited
from quantcli.tui.effects import Do, Effect
from quantcli.tui.model import Model
from quantcli.tui.screens.chrome import resume
from quantcli.tui.screens.drawing import Page, Target
from quantcli.tui.typeset import Line, cents, cut, exact, number

_LEVELS = {"h": "HALT_NEW", "c": "CANCEL_ALL", "f": "FLATTEN"}
_FLAGS = {"h": "", "c": " --cancel", "f": " --flatten"}
_REASON = "by hand, from the screen"


class Kill:
    """Opening it does nothing; nor does anything but the whole name under a chosen depth."""

    def __init__(self) -> None:
        self.depth = ""
        self.typed = ""

    def draw(self, model: Model, width: int, height: int) -> Page:
        """The three depths with their numbers."""
        wide = min(72, width - 2)
        inner = wide - 4
        lines: list[Line] = [[]]
        targets = []
        for key, word, told in (
            ("h", "HALT   ", ["stop sending anything new, leave orders where they are"]),
            ("c", "CANCEL ", _cancels(model)),
            ("f", "FLATTEN", _flattens(model)),
        ):
            style = "button" if key == self.depth else "strong"
            targets.append(Target(len(lines), 0, inner, f"key:{key}"))
            lines.append([(f" {key}  {word}", style), ("  " + cut(told[0], inner - 13), "")])
            lines += [[(" " * 13 + cut(more, inner - 13), "")] for more in told[1:]]
        flag = _FLAGS[self.depth] if self.depth else " [--cancel | --flatten]"
        lines += [
            [],
            [(" stays halted over restarts until:  ", ""), (resume(model), "strong")],
            [(" the same: ", "dim"), (f"quant halt {model.bot}{flag} --reason …", "")],
            [],
        ]
        if self.depth:
            ask = f" {_LEVELS[self.depth]}: type the bot name, then Enter:  "
            lines.append([(ask, ""), (self.typed, "strong"), ("█", "")])
        else:
            lines.append([(" choose h, c or f, then type the bot name to confirm", "")])
        lines += [[], [(" [ Esc: back, nothing happens ]", "key"), (" " * 10 + "default: nothing", "dim")]]
        targets.append(Target(len(lines) - 1, 0, 32, "key:escape"))
        where = f"{model.status.exchange} [{model.status.world}]" if model.status else "not seen yet"
        return box(f"KILL SWITCH  {model.bot} @ {where}", lines, wide, height, targets)

    @property
    def is_typing(self) -> bool:
        """Whether keys are letters now."""
        return bool(self.depth)

    def press(self, model: Model, key: str) -> list[Effect]:
        """Choose, then type, then Enter."""
        if key == "escape":
            model.dialog = None
        elif not self.depth:
            self.depth = key if key in _LEVELS else ""
        elif key == "enter":
            if self.typed != model.bot:
                model.say(f"nothing done: the name is {model.bot}", is_alarm=True)
                return []
            model.dialog = None
            level = _LEVELS[self.depth]
            return [Do("halt", {"level": level, "reason": _REASON}, f"halt ({level})")]
        elif key == "backspace" and not self.typed:
            self.depth = ""
        elif (typed := edited(self.typed, key)) is not None:
            self.typed = typed[:80]
        return []


def _cancels(model: Model) -> list[str]:
    orders = model.shown.orders
    if orders is None:
        return ["halt, cancel my open orders, verify (which is not known)"]
    ours = [order for order in orders if order.intent_id and order.have_qty is not None]
    kept = [order for order in ours if order.protective]
    unknown = sum(order.mark in "!+" for order in orders if order.intent_id and order.have_qty is None)
    unknown += sum(order.mark == "!" for order in ours)
    count = len(ours) - len(kept)
    more = f" (+{unknown} in doubt)" if unknown else ""
    told = [f"halt, cancel my {count} open order{'s' * (count != 1)}{more}, verify"]
    if kept:
        told.append(f"keeps {', '.join(map(_brief, kept[:2]))}{_and_more(len(kept), 2)}, for protection")
    orphans = sum(not order.intent_id for order in orders)
    if orphans:
        told.append(
            f"leaves {orphans} order{'s' * (orphans != 1)} that {'are' if orphans > 1 else 'is'} not ours"
        )
    return told


def _flattens(model: Model) -> list[str]:
    positions = model.shown.positions
    if positions is None:
        return ["cancel all, then market-close all positions (not known)"]
    held = [position for position in positions if position.qty]
    if not held:
        return ["cancel all; nothing is held to be closed"]
    told = ["cancel all, then close at the market:", f"{_holdings(held[:2])}{_and_more(len(held), 2)}"]
    value = worth(held)
    if value is not None and model.status is not None:
        told.append(f"about {number(value, cents(value))} {held[0].currency} at the last price, plus fees")
    return told


def worth(positions: list[PositionItem]) -> Decimal | None:
    """What positions are worth at the last price; `None` if a price is missing, or they are of several
    currencies."""
    if len({position.currency for position in positions}) != 1:
        return None
    values = [abs(p.qty) * p.mark for p in positions if p.mark is not None]
    return sum(values, Decimal(0)) if len(values) == len(positions) else None


def _holdings(positions: list[PositionItem]) -> str:
    return ", ".join(f"{position.symbol} {exact(position.qty)}" for position in positions)


def _and_more(count: int, shown: int) -> str:
    return f" and {count - shown} more" if count > shown else ""


def _brief(order: OrderItem) -> str:
    return f"{order.slot or order.symbol} {exact(order.have_qty)}"
