"""What is asked before the bot is told something: a `Confirm` for each word, with the numbers it is about."""

from collections.abc import Callable

from quantcli.runtime.control.wire import OrderItem, PositionItem
from quantcli.tui.dialogs.confirm import Confirm
from quantcli.tui.dialogs.kill import worth
from quantcli.tui.effects import Do, Effect
from quantcli.tui.model import Model
from quantcli.tui.screens import orders, positions
from quantcli.tui.screens.chrome import resume
from quantcli.tui.typeset import cents, exact, number


def cancel(model: Model) -> list[Effect]:
    """Cancel the chosen order."""
    order = orders.chosen(model)
    if order is None:
        return _nothing(model, "no order is chosen")
    name = order.intent_id or order.exchange_order_id or ""
    facts = _order_facts(order)
    if order.protective:
        facts.append("It PROTECTS a position: without it nothing limits the loss.")
    if order.intent_id and order.slot:
        facts.append("Its slot pauses, so that it does not come back; p lets it go on.")
    command = f"quant orders cancel {name} --name {model.bot}"
    return _ask(model, "CANCEL", facts, command, "Cancel the order", "cancel", {"order": name})


def adopt(model: Model) -> list[Effect]:
    """Take the chosen foreign order as our own."""
    order = orders.chosen(model)
    if order is None or order.intent_id or not order.exchange_order_id:
        return _nothing(model, "only an orphan can be adopted: choose a row marked x (none)")
    name = order.exchange_order_id
    facts = [*_order_facts(order), "From then on it is this bot's: kept, moved and cancelled as its own."]
    command = f"quant orders adopt {name} --slot SLOT --name {model.bot}"

    def act(slot: str) -> list[Effect]:
        return [Do("adopt", {"order": name, "slot": slot.strip()}, f"adopt {name}")]

    model.dialog = Confirm(
        _title(model, "ADOPT"), facts, command, "Adopt it", act, "into slot (may be empty)"
    )
    return []


def pause(model: Model) -> list[Effect]:
    """Pause the chosen order's slot, or let it go on."""
    order = orders.chosen(model)
    if order is None or not order.slot:
        return _nothing(model, "only a slot of the strategy can be paused")
    is_paused = order.slot_status.startswith("paused")
    verb = "unpause" if is_paused else "pause"
    facts = [f"{order.symbol}  slot {order.slot}  {order.slot_status}".rstrip()]
    facts += ["Its orders go on as the strategy wishes."] if is_paused else [
        "Its order is withdrawn, and the slot stays empty until p again."
    ]  # fmt: skip
    shell = "resume" if is_paused else "pause"
    command = f"quant orders {shell} {order.symbol}/{order.slot} --name {model.bot}"
    words = {"symbol": order.symbol, "slot": order.slot}
    return _ask(model, verb.upper(), facts, command, f"{verb.capitalize()} the slot", verb, words)


def flatten(model: Model) -> list[Effect]:
    """Close the chosen position at the market."""
    position = positions.chosen(model)
    if position is None or not position.qty:
        return _nothing(model, "there is no position to close")
    return _flatten(model, [position])


def flatten_all(model: Model) -> list[Effect]:
    """Close all positions at the market."""
    held = [position for position in model.shown.positions or () if position.qty]
    return _flatten(model, held) if held else _nothing(model, "there is no position to close")


def _flatten(model: Model, held: list[PositionItem]) -> list[Effect]:
    """In a live account the bot's name has to be typed."""
    equity = model.status.equity if model.status else None
    facts = [
        f"{'sell' if p.qty > 0 else 'buy '} {exact(abs(p.qty))} {p.symbol} at the market"
        + (
            f", about {number(value, cents(equity))} {p.currency}"
            if (value := worth([p])) is not None
            else ""
        )
        for p in held[:8]
    ]
    facts += [f"and {len(held) - 8} more"] if len(held) > 8 else []
    facts += [
        "What rests there is cancelled first.",
        "The strategy may open it again: pause it, or halt the bot.",
    ]
    each = [f"quant positions flatten {p.symbol} --name {model.bot}" for p in held]
    command = each[0] + (f"  (and {len(each) - 1} more)" if len(each) > 1 else "")
    is_live = model.status is not None and model.status.world == "LIVE"

    def act(_: str) -> list[Effect]:
        return [Do("flatten", {"symbol": p.symbol}, f"flatten {p.symbol}") for p in held]

    model.dialog = Confirm(
        _title(model, "FLATTEN"),
        facts,
        command,
        "Close at the market",
        act,
        entry=f"type {model.bot} to confirm" if is_live else "",
        must_be=model.bot if is_live else "",
    )
    return []


def go_on(model: Model) -> list[Effect]:
    """End a halt."""
    status = model.status
    if status is None or status.halt_level == "NONE":
        return _nothing(model, f"{model.bot} is not halted")
    facts = [f"It was halted ({status.halt_level}): {status.halt_reason or 'no reason given'}.",
             "The strategy may place orders again at once."]  # fmt: skip
    return _ask(model, "RESUME", facts, resume(model), "Resume trading", "resume", {})


def stop(model: Model) -> list[Effect]:
    """Stop the program."""
    facts = [
        "As Ctrl-C in its terminal: nothing new is sent, and what the strategy",
        "keeps is withdrawn. What protects a position stays. The program ends",
        "when the exchange has confirmed.",
    ]
    return _ask(model, "STOP", facts, f"quant stop {model.bot}", "Stop the bot", "stop", {})


def trust(model: Model) -> list[Effect]:
    """Go on after what was found."""
    found = list(model.status.findings) if model.status else []
    if not found:
        return _nothing(model, "nothing was found that waits for you")
    facts = [
        "Found on the exchange:",
        *(f"  {finding}" for finding in found[:6]),
        "If you have looked at it, trading goes on.",
    ]
    return _ask(model, "TRUST", facts, f"quant trust {model.bot}", "Go on", "trust", {})


def accept_drift(model: Model) -> list[Effect]:
    """Take the exchange's holding for right."""
    position = positions.chosen(model)
    if position is None or not position.drift:
        return _nothing(model, "books and exchange agree here")
    facts = [
        f"{position.symbol}: our books say {exact(position.qty)}, the exchange "
        f"{exact(position.qty + position.drift)}.",
        "The exchange's number becomes ours.",
        "The difference is written down, with your reason.",
    ]
    command = f"quant positions accept {position.symbol} --name {model.bot} --reason …"

    def act(reason: str) -> list[Effect]:
        words = {"symbol": position.symbol, "reason": reason.strip() or "from the screen"}
        return [Do("accept_drift", words, f"accept {position.symbol}")]

    model.dialog = Confirm(_title(model, "ACCEPT"), facts, command, "Accept it", act, entry="reason")
    return []


def declare_dead(model: Model) -> list[Effect]:
    """Say that an order in doubt is not on the exchange."""
    order = orders.chosen(model)
    if order is None or order.mark != "!" or not order.client_order_id:
        return _nothing(model, "only an order in doubt (!) can be declared dead")
    name = order.client_order_id
    facts = [
        *_order_facts(order),
        "You say that it is NOT on the exchange and never was filled.",
        "Look there first: if that is wrong, it is placed twice.",
    ]
    command = f"quant orders declare-dead {name} --name {model.bot} --reason …"

    def act(reason: str) -> list[Effect]:
        words = {"order": name, "reason": reason.strip() or "from the screen"}
        return [Do("declare_dead", words, f"declare {name} dead")]

    model.dialog = Confirm(_title(model, "DECLARE DEAD"), facts, command, "It is dead", act, entry="reason")
    return []


def _ask(
    model: Model, title: str, facts: list[str], command: str, button: str, verb: str, words: dict[str, str]
) -> list[Effect]:
    about = " ".join([verb, *words.values()])
    act: Callable[[str], list[Effect]] = lambda _: [Do(verb, words, about)]  # noqa: E731
    model.dialog = Confirm(_title(model, title), facts, command, button, act)
    return []


def _nothing(model: Model, why: str) -> list[Effect]:
    model.say(why, is_alarm=True)
    return []


def _title(model: Model, what: str) -> str:
    world = f" [{model.status.world}]" if model.status else ""
    return f"{what}  {model.bot}{world}"


def _order_facts(order: OrderItem) -> list[str]:
    at = f" @ {exact(order.price)}" if order.price is not None else " at the market"
    stop_at = f" stop {exact(order.stop_price)}" if order.stop_price is not None else ""
    facts = [f"{order.side} {exact(order.qty)} {order.symbol}{stop_at}{at}   {order.slot or '(none)'}"]
    if order.filled:
        facts.append(f"filled so far: {exact(order.filled)}")
    facts.append(f"on the exchange: {_have(order)}   {order.exchange_order_id or ''}".rstrip())
    return facts


def _have(order: OrderItem) -> str:
    if order.have_qty is None or order.have_state:
        return order.have_state or "nothing"
    at = f" @ {exact(order.have_price)}" if order.have_price is not None else ""
    return f"{order.side} {exact(order.have_qty)}{at}"
