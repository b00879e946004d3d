"""The end of a live run whose kernel has failed: what does not protect a position is cancelled past it.

The kernel can neither write nor decide any more, but it knows which orders may be there.  The exchange's
answers are read here only to tell people what is left; the next start finds out everything anew.
"""

import time
from collections.abc import Callable, Collection

from quantcli.clock import Clock
from quantcli.errors import QuantError, SafetyError
from quantcli.kernel.api import ExchangeKernel
from quantcli.model.instrument import canonical
from quantcli.model.message import Asked, Observation, Refusal, Refused
from quantcli.model.order import AttemptState, OrderState
from quantcli.venues.inbox import Inbox, Item

# Cancels that were not confirmed are sent again after so long.
_AGAIN_S = 2.0


async def abandon(
    kernel: ExchangeKernel,
    inbox: Inbox,
    clock: Clock,
    cause: Exception,
    within_s: float,
    asked: Collection[OrderState] = (),
    monotonic: Callable[[], float] = time.monotonic,
) -> SafetyError:
    """Cancel, wait for the exchange for a while, and return the error that says what is left.

    `asked` are orders that somebody has just had cancelled past the kernel already."""
    states = asked or await kernel.cancel_everything(spare_protective=True)
    doomed = {state.client_order_id: state for state in states}
    kept = [
        state
        for intent, attempts in kernel.picture().wishes
        for state in attempts
        if intent.protective and not state.state.is_closed
    ]
    waiting = dict(doomed)
    now_s = monotonic()
    ends_s, again_s = now_s + within_s, now_s + _AGAIN_S
    while waiting and now_s < ends_s:
        await inbox.wait(min(again_s, ends_s) - now_s)
        while inbox:
            _heard(inbox.take(), waiting, clock.now_ns())
        now_s = monotonic()
        if waiting and again_s <= now_s < ends_s:
            await kernel.cancel_everything(spare_protective=True, among=set(waiting))
            again_s = now_s + _AGAIN_S
    return _told(cause, len(doomed), list(waiting.values()), kept)


def _heard(item: Item, waiting: dict[str, OrderState], now_ns: int) -> None:
    """An order is gone when it was seen to have ended; or when the exchange knows none such, if it was there
    before, or can no longer come."""
    match item:
        case Observation() if item.status.is_terminal:
            waiting.pop(item.client_order_id, None)
        case Refusal(request=Asked.CANCEL, kind=Refused.UNKNOWN_ORDER):
            state = waiting.get(item.client_order_id)
            if state is not None and (state.state is AttemptState.LIVE or now_ns > state.deadline_ns):
                del waiting[item.client_order_id]


def _told(
    cause: Exception, asked: int, left: Collection[OrderState], kept: Collection[OrderState]
) -> SafetyError:
    lines = [cause.why] if isinstance(cause, QuantError) and cause.why else []
    if asked:
        lines.append(f"cancelled past the database: {asked - len(left)} of {asked} confirmed")
    lines += [f"left, not confirmed: {_line(state)}" for state in left]
    lines += [f"left on purpose, protects a position: {_line(state)}" for state in kept]
    return SafetyError(
        f"the kernel has stopped: {cause}",
        why="\n".join(lines),
        todo="see to the cause, then start again: what is durable is still there, and the exchange is asked",
    )


def _line(state: OrderState) -> str:
    order = state.order
    price = f"@ {canonical(order.price)}" if order.price is not None else "at market"
    number = state.exchange_order_id or state.client_order_id
    return f"{order.symbol} {order.side.name} {canonical(order.quantity)} {price} (order {number})"
