"""A run as a short sequence diagram in text: when, who to whom, what."""

from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import Any

from quantcli.model.message import (
    Absence,
    Amend,
    Cancel,
    Correction,
    Lookup,
    Observation,
    Place,
    PlaceList,
    Refusal,
    Silence,
    Statement,
    Survey,
)
from quantcli.model.order import StandardOrder

Line = tuple[int, str, str, object]


def story(lines: Sequence[Line], first: int = 120, last: int = 30) -> str:
    """The first and the last lines as text; orders go by short names, in order of appearance."""
    names: dict[str, str] = {}
    if not lines:
        return ""
    start_ns = lines[0][0]
    told = [
        f"{(ns - start_ns) / 1e9:10.3f}  {source:>9} -> {target:<9} {_say(what, names)}"
        for ns, source, target, what in lines
    ]
    if len(told) > first + last:
        told[first:-last] = [f"{'…':>10}  ({len(told) - first - last} lines)"]
    return "\n".join(told)


def _say(what: object, names: dict[str, str]) -> str:
    if isinstance(what, str):
        return what
    if isinstance(what, PlaceList):
        return "linked: " + "; ".join(_say(place, names) for place in what.places)
    if isinstance(what, Statement):
        orders = ", ".join(_name(order.client_order_id, names) for order in what.orders)
        fills = ", ".join(fill.trade_id for fill in what.fills)
        return f"statement {what.symbol}: position {what.position}, open [{orders}], trades [{fills}]"
    if isinstance(what, Survey):
        return f"survey {what.symbol}"
    if isinstance(what, Correction):
        return f"position of {what.symbol} moved by {what.delta}: {what.cause}"
    return _say_of_order(what, _name(getattr(what, "client_order_id", ""), names))


def _say_of_order(what: object, name: str) -> str:
    say = _OF_ORDERS.get(type(what))
    return say(what, name) if say is not None else str(what)


def _observed(seen: Observation, name: str) -> str:
    fills = ", ".join(f"{fill.trade_id} {fill.qty}" for fill in seen.fills)
    return f"{name} is {seen.status.name}, filled {seen.filled} [{fills}] {seen.reason}".rstrip()


_OF_ORDERS: dict[type, Callable[[Any, str], str]] = {
    Place: lambda place, name: f"place {name}: {_terms(place.order)}",
    Amend: lambda amend, name: f"amend {name} (no. {amend.number}): {_terms(amend.order)}",
    Cancel: lambda _, name: f"cancel {name}",
    Lookup: lambda _, name: f"look up {name}",
    Observation: _observed,
    Refusal: lambda no, name: f"{no.request} of {name} refused ({no.kind.value}): {no.message}",
    Silence: lambda no, name: f"{no.request} of {name}: {no.reason}{'' if no.sent else ', never sent'}",
    Absence: lambda _, name: f"no order {name} found",
}


def _terms(order: StandardOrder) -> str:
    at = f" at {order.price}" if isinstance(order.price, Decimal) else ""
    return f"{order.side.name.lower()} {order.quantity} {order.symbol} {order.type.name.lower()}{at}"


def _name(client_order_id: str, names: dict[str, str]) -> str:
    if not client_order_id:
        return "(unnamed)"
    return names.setdefault(client_order_id, f"#{len(names) + 1}")
