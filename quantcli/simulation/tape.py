"""The tape: what each row of recorded market data does to our working orders.

For one row resting orders are filled, then futures orders with nothing left to reduce end, then stops are
triggered.  Knows nothing of requests or of latency.
"""

from collections.abc import Sequence

import numpy as np

from quantcli.model.market import AggTrade, BookUpdate, MarketEvent, Ticker, Trade
from quantcli.model.message import Report
from quantcli.model.order import OrderStatus, OrderType
from quantcli.simulation.account import Account
from quantcli.simulation.market import Market
from quantcli.simulation.matching import Hit, Matcher
from quantcli.simulation.orders import OwnOrders
from quantcli.simulation.working import WorkingOrders


class Tape:
    """Takes rows over into their markets, and lets the orders there meet them."""

    def __init__(self, working: WorkingOrders, account: Account, matcher: Matcher) -> None:
        self._working = working
        self._account = account
        self._matcher = matcher

    def see(self, event: MarketEvent, at_ns: int) -> list[Report]:
        """Take over a row of market data; what it does to our orders."""
        market = self._working.markets.get(event.symbol)
        if market is None:
            return []
        own = self._working.own[event.symbol]
        match event:
            case Ticker():
                return self._see_quote(event, market, own, at_ns)
            case Trade() | AggTrade():
                return self._see_trade(event, market, own, at_ns)
            case BookUpdate():
                if market.update_book(event) and own and self._matcher.keeps_queues:
                    self._matcher.see_book(own, market, event)
        return []

    def _see_quote(self, quote: Ticker, market: Market, own: OwnOrders, at_ns: int) -> list[Report]:
        market.quote(quote.bid, quote.bid_size, quote.ask, quote.ask_size)
        if not own:
            return []
        if self._matcher.keeps_queues:
            sides = (quote.bid, quote.bid_size, quote.ask, quote.ask_size)
            self._matcher.see_quotes(own, *(np.array([side]) for side in sides))
        reports = self._fill_resting(self._matcher.quote(own, market), market, at_ns)
        return reports if market.last else reports + self._trigger(market, own, at_ns)

    def _see_trade(self, trade: Trade | AggTrade, market: Market, own: OwnOrders, at_ns: int) -> list[Report]:
        if isinstance(trade, Trade):
            market.has_prints = True
        elif market.has_prints:
            return []  # told again what the trades have told
        market.last = trade.price
        if not own:
            return []
        hits = self._matcher.trade(own, trade.price, trade.size, trade.side)
        return self._fill_resting(hits, market, at_ns) + self._trigger(market, own, at_ns)

    def _fill_resting(self, hits: Sequence[Hit], market: Market, at_ns: int) -> list[Report]:
        """Fill resting orders, as far as they may be."""
        reports: list[Report] = []
        for order, most in hits:
            reports += self._working.make(order, most, at_ns)
        return reports + self._working.end_idle_reducers(market, at_ns) if reports else reports

    def _trigger(self, market: Market, own: OwnOrders, at_ns: int) -> list[Report]:
        """Let stops whose price has come enter the market."""
        reports: list[Report] = []
        for order in tuple(own.stops):
            last = market.last_price(order.terms.side)
            if order.status.is_terminal or not (last and order.tripped_by(last)):
                continue
            reports += self._working.activate(order, at_ns)
            own.discard(order)
            order.armed = False
            if order.terms.type is OrderType.STOP_LIMIT:
                entered = self._working.enter(order, at_ns)
                reports += entered if order.fills or order.status.is_terminal else entered[1:]
                continue
            # What it holds was reckoned at its stop price; it trades at the market's.
            self._account.release(order)
            if self._account.covers(order, self._working.takes(order, market)):
                reports += self._working.enter(order, at_ns)
            else:
                reason = "insufficient balance"
                reports.append(self._working.end(order, OrderStatus.EXPIRED, at_ns, reason=reason))
        return reports
