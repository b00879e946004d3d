"""What markets look like to a running bot, for screens: books, and the prints of late, ours marked.

Remembers the last few; draws nothing, decides nothing.
"""

from collections import deque
from collections.abc import Mapping

from quantcli.bus import Bus
from quantcli.model.event import OrderEvent
from quantcli.model.instrument import SymbolMetadata
from quantcli.model.market import AggTrade, Trade
from quantcli.runtime.control.wire import BookView, Print
from quantcli.runtime.view import LiveView

_PRINTS, _LEVELS = 40, 20
_SIDES = {1: "buy", 2: "sell"}


class Sights:
    """Of all markets of a desk."""

    def __init__(self, bus: Bus, view: LiveView, markets: Mapping[str, SymbolMetadata]) -> None:
        self._view, self._markets = view, markets
        self._prints: dict[str, deque[Trade | AggTrade]] = {s: deque(maxlen=_PRINTS) for s in markets}
        self._ours: dict[str, deque[str]] = {s: deque(maxlen=_PRINTS) for s in markets}
        for symbol in markets:
            bus.subscribe(f"market.trade.{symbol}", self._prints[symbol].append)
            bus.subscribe(f"order.filled.{symbol}", self._filled)

    def _filled(self, event: OrderEvent) -> None:
        if event.fill is not None:
            self._ours[event.fill.symbol].append(event.fill.trade_id)

    def book(self, symbol: str) -> BookView | None:
        """One market; best prices alone where there is no book.  `None` for a market that is not ours."""
        rules = self._markets.get(symbol)
        if rules is None:
            return None
        quote, book = self._view.quote(symbol), self._view.book(symbol)
        if book is not None:
            bids, asks = book.depth(_LEVELS)
        else:
            bids = [(quote.bid, quote.bid_size)] if quote is not None else []
            asks = [(quote.ask, quote.ask_size)] if quote is not None else []
        prints = self._printed(symbol)
        seen_ns = max(quote.local_ns if quote is not None else 0, prints[0].at_ns if prints else 0)
        is_synced = book is not None or quote is not None
        return BookView(symbol, rules.price_tick, tuple(bids), tuple(asks), prints, is_synced, seen_ns)

    def _printed(self, symbol: str) -> tuple[Print, ...]:
        ours = {int(name) for name in self._ours[symbol] if name.isdecimal()}
        return tuple(
            Print(
                event.local_ns,
                _SIDES.get(event.side, ""),
                event.size,
                event.price,
                event.trade_id in ours
                if isinstance(event, Trade)
                else any(event.first_id <= one <= event.last_id for one in ours),
            )
            for event in reversed(tuple(self._prints[symbol]))
        )
