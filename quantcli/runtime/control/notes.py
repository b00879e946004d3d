"""What has happened in a run, as lines for people: the last two thousand, numbered, and who wants each.

Says what an event means for somebody who looks after the bot (why, what follows, what to do); where events
come from, and where lines go, is for others.
"""

import threading
from collections import deque
from collections.abc import Callable, Iterable

from quantcli.clock import Clock
from quantcli.model.event import Event, OrderEvent, OrderEventKind, PositionEvent, RiskLimit
from quantcli.model.instrument import canonical
from quantcli.runtime.control.wire import EventItem
from quantcli.venues.inbox import Notice

KEPT = 2_000
_LEVELS = ("info", "warn", "error")

# Remarks on the connections that somebody should care about: what follows, what to do.
_ABOUT_NOTICES: dict[str, tuple[str, str, str]] = {
    "breaker": (
        "warn",
        "nothing is placed until the exchange answers again; cancels go on",
        "",
    ),
    "limit": ("warn", "requests wait for their turn", "quant status: see the budget"),
    "reconnect": ("warn", "orders are looked up as soon as it is back", ""),
    "stale": ("warn", "what the strategy keeps resting is withdrawn until the market is seen again", ""),
    "gap": ("warn", "the book is built anew", ""),
    "malformed": ("warn", "the message is left out", ""),
    "stopped": ("error", "part of the way to the exchange has failed", "quant stop, and start again"),
    "trading_disabled": ("error", "the exchange accepts no orders", "look at the account on the exchange"),
    "balance": ("info", "", ""),
}


class Notes:
    """The ring, for any thread; a subscriber that raises is let go."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._turn = threading.RLock()
        self._items: deque[EventItem] = deque(maxlen=KEPT)
        self._subscribers: list[Callable[[EventItem], object]] = []
        self.last = 0

    def subscribe(self, hear: Callable[[EventItem], object]) -> None:
        """Have `hear` called with every item from now on."""
        self._subscribers.append(hear)

    def add(
        self,
        kind: str,
        text: str,
        level: str = "info",
        symbol: str = "",
        intent_id: str = "",
        why: str = "",
        effect: str = "",
        todo: str = "",
        at_ns: int | None = None,
    ) -> EventItem:
        """Write something down."""
        with self._turn:
            self.last += 1
            at = self._clock.now_ns() if at_ns is None else at_ns
            item = EventItem(self.last, at, level, kind, symbol, text, intent_id, why, effect, todo)
            self._items.append(item)
            for hear in tuple(self._subscribers):
                try:
                    hear(item)
                except Exception as error:  # a full disk under a log must not end trading
                    self._subscribers.remove(hear)
                    self.add("subscriber", f"events are not passed on any more: {error!r}", "error")
        return item

    def since(self, number: int = 0, level: str = "info", limit: int = KEPT) -> tuple[EventItem, ...]:
        """Those after a number, of a level or worse, the newest `limit` of them, oldest first."""
        least = _LEVELS.index(level) if level in _LEVELS else 0
        with self._turn:
            items = tuple(self._items)
        found = [item for item in items if item.number > number and _LEVELS.index(item.level) >= least]
        return tuple(found[-limit:]) if limit > 0 else ()

    # Where it comes from.

    def take(self, event: Event) -> None:
        """Something happened to an order, a position, or a wish."""
        match event:
            case OrderEvent():
                self._order(event)
            case PositionEvent(position=position):
                text = f"position {position.symbol} {canonical(position.qty)}"
                self.add("position", text, symbol=position.symbol, at_ns=event.at_ns)
            case RiskLimit(check=check, symbol=symbol, reason=reason):
                self.add(
                    "refused",
                    f"{symbol} {check}: {reason}",
                    "warn",
                    symbol,
                    why=f"limits or the market's rules forbid it ({check})",
                    effect="nothing was sent; the slot tries again, later each time",
                    todo="quant config show, or change what the strategy wishes for",
                    at_ns=event.at_ns,
                )

    def _order(self, event: OrderEvent) -> None:
        intent, is_ours = event.intent, bool(event.intent.intent_id)
        text = told_of(event)
        fields = {"symbol": intent.order.symbol, "intent_id": intent.intent_id}
        if event.kind is OrderEventKind.UNKNOWN:
            why = event.reason or "the exchange has not answered"
            effect = "it counts as open in full; nothing is placed in its place until it is known"
            todo = f"it is looked up by itself; quant orders why {intent.intent_id}"
            self.add("unknown", text, "warn", why=why, effect=effect, todo=todo, at_ns=event.at_ns, **fields)
        elif event.kind is OrderEventKind.REJECTED:
            effect = "the slot tries again, later each time" if "slot" in intent.metadata else ""
            self.add("rejected", text, "warn", why=event.reason, effect=effect, at_ns=event.at_ns, **fields)
        elif event.kind is OrderEventKind.FILLED and not is_ours:
            effect = "the position has changed; a strategy that holds a target pauses in this market"
            why = event.reason or "somebody trades on this account"
            self.add("foreign", text, "warn", why=why, effect=effect, at_ns=event.at_ns, **fields)
        elif event.kind is OrderEventKind.CANCELLED and event.reason.startswith("external"):
            self.add("cancelled", text, "warn", why=event.reason, at_ns=event.at_ns, **fields)
        else:
            self.add(event.kind.value, text, at_ns=event.at_ns, **fields)

    def notice(self, notice: Notice) -> None:
        """Something was remarked about the connections."""
        level, effect, todo = _ABOUT_NOTICES.get(notice.kind, ("info", "", ""))
        self.add(notice.kind, notice.message, level, effect=effect, todo=todo)

    def findings(self, before: Iterable[str], now: Iterable[str]) -> None:
        """What an operator should look at has changed."""
        known = set(before)
        for text in now:
            if text not in known:
                self.add("finding", text, "warn", effect="see quant status", todo="quant reconcile --plan")


def told_of(event: OrderEvent) -> str:
    """`filled    BTC/USDT bid B 0.01 @ 64210.1`: an order event for people."""
    intent, state, fill = event.intent, event.state, event.fill
    order = state.order if state is not None else intent.order  # as placed: without what had traded
    qty, price = (fill.qty, fill.price) if fill else (order.quantity, order.price)
    words = (
        order.symbol,
        intent.metadata.get("slot", ""),
        order.side.name[0],
        canonical(qty),
        f"@ {canonical(price)}" if price is not None else "at market",
        event.reason,
    )
    return " ".join(word for word in words if word)
