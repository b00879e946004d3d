"""Which order somebody means, who gives an id or a part of one.

Pure; where the orders come from is not known here.
"""

from collections.abc import Iterable

from quantcli.errors import NotFoundError, UsageError
from quantcli.runtime.control.wire import OrderItem

_OPEN_PHASES = ("", "PENDING", "ACTIVE", "CANCEL_REQUESTED")


def one_order(bot: str, name: str, orders: Iterable[OrderItem]) -> OrderItem:
    """The order that an id names, or its beginning or end; one that is not settled comes before those that
    are.  An order that is nobody's wish goes by the exchange's id.

    Raises `NotFoundError` for none, `UsageError` for several.
    """
    found = [item for item in orders if name and any(_fits(name, each) for each in _ids(item))]
    found = [item for item in found if item.phase in _OPEN_PHASES] or found
    if not found:
        raise NotFoundError(
            f"no order of {bot} is called {name!r}",
            why="it is neither an intent id nor the beginning or end of one",
            todo=f"quant orders --all --name {bot}",
        )
    if len(found) > 1:
        raise UsageError(
            f"{name!r} could be {len(found)} orders",
            why="\n".join(_ids(item)[0] for item in found[:10]),
            todo="give more of the id",
        )
    return found[0]


def _ids(item: OrderItem) -> tuple[str, ...]:
    return (item.intent_id,) if item.intent_id else (item.exchange_order_id or "",)


def _fits(name: str, known: str) -> bool:
    return known.startswith(name) or known.endswith(name)
