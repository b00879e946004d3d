"""What a run says while it goes on: events on stdout, the state of its connections on stderr.

Knows how events read; decides nothing but what to do when nobody reads any more.
"""

from collections.abc import Callable, Collection
from decimal import Decimal
from typing import TYPE_CHECKING, TextIO

import msgspec

from quantcli.cli.output import Output, emit_line, note, one_line, timestamp
from quantcli.model.event import Event, OrderEvent, PositionEvent, RiskLimit
from quantcli.model.instrument import canonical

if TYPE_CHECKING:
    from quantcli.cli.status_line import StatusLine
    from quantcli.venues.inbox import Notice
    from quantcli.venues.live import Permissions


class Teller:
    """Shows events on `out` as they happen: lines for people on a terminal, else lines of JSON, unless told.

    `gone` is called when nobody reads any more: who trades unwatched by accident had better not.
    """

    def __init__(self, out: TextIO, form: Output | None) -> None:
        self.gone: Callable[[], None] = lambda: None
        self._out = out
        self._is_read = True
        self._for_people = out.isatty() if form is None else form is Output.TABLE

    def stay_above(self, line: "StatusLine | None") -> None:
        """Write above a line that stays at the bottom of the terminal."""
        if line is not None and self._out.isatty():
            self._out = line.above(self._out)

    def begun(self, markets: Collection[str], permissions: "Permissions | None") -> None:
        """Say that everything is open."""
        note(f"ready: {' '.join(markets)}")
        if permissions is not None:
            withdrawals = {True: "YES", False: "no (good)", None: "unknown: the exchange does not say"}
            note(f"key: trade yes, withdraw {withdrawals[permissions.can_withdraw]}")

    def note(self, notice: "Notice") -> None:
        """Say how the connections are."""
        note(one_line(f"{notice.kind}: {notice.message}"))

    def tell(self, event: Event) -> None:
        """Show one event."""
        if not self._is_read:
            return
        try:
            if not self._for_people:
                emit_line({"topic": event.topic, **msgspec.structs.asdict(event)}, self._out)
            elif line := _line(event):
                self._out.write(one_line(line) + "\n")
                self._out.flush()
        except OSError:
            self._is_read = False
            self.gone()


def _line(event: Event) -> str:
    match event:
        case OrderEvent(kind=kind, intent=intent, state=state, fill=fill, reason=reason):
            order = state.order if state is not None else intent.order  # as placed: without what had traded
            qty, price = (fill.qty, fill.price) if fill else (order.quantity, order.price)
            slot = intent.metadata.get("slot", "")
            words = (
                f"{kind.value:<9} {order.symbol} {slot:<6} {order.side.name[0]} {canonical(qty)}",
                f"@ {canonical(price)}" if isinstance(price, Decimal) else "at market",
                reason,
            )
            return f"{timestamp(event.at_ns)[11:23]} {' '.join(w for w in words if w)}"
        case PositionEvent(position=position):
            return f"{timestamp(event.at_ns)[11:23]} position  {position.symbol} {canonical(position.qty)}"
        case RiskLimit(check=check, symbol=symbol, reason=reason):
            return f"{timestamp(event.at_ns)[11:23]} refused   {symbol} {check}: {reason}"
        case _:
            return ""
