"""Which of ccxt.pro's calls watch what, exchange by exchange.

`has` is not enough to know what an exchange streams: where ccxt would mix one stream into another, or has
none, the best bid and ask come from somewhere else.  Calls nothing.
"""

import asyncio
from collections.abc import Awaitable, Callable, Collection
from enum import Enum
from typing import Any

from quantcli.model.market import Channel

Call = Callable[[list[str]], Awaitable[Any]]

# ccxt writes Bybit's stream of one level into the book of many, and Hyperliquid has no such stream.
_QUOTES_FROM_BOOK = frozenset({"bybit", "hyperliquid"})
_QUOTES_FROM_TICKER = frozenset({"coinbase"})
# Levels to ask for, where the usual number is few: Kraken 10 (of 1000), Bybit spot 50 (of 1000).
_LEVELS = {"kraken": 100, "bybit": 200}


class Source(Enum):
    """Where the best bid and ask come from: a stream of them, a ticker with more in it, the book."""

    BIDS_ASKS = "bids_asks"
    TICKER = "ticker"
    BOOK = "book"


class Watch:
    """A call that keeps some symbols subscribed; to be made again when it is `poked`."""

    def __init__(self, symbols: Collection[str], call: Call) -> None:
        self.symbols = list(symbols)
        self.call = call
        self.poked = asyncio.Event()


def quotes_source(ccxt: Any) -> Source:
    """Where an exchange object's best bid and ask are to be had."""
    if ccxt.id in _QUOTES_FROM_TICKER:
        return Source.TICKER
    if ccxt.id in _QUOTES_FROM_BOOK or not ccxt.has.get("watchBidsAsks"):
        return Source.BOOK
    return Source.BIDS_ASKS


def watches(
    ccxt: Any, channel: Channel, symbols: Collection[str], beside: Collection[Channel]
) -> list[Watch]:
    """The calls that watch a channel of some symbols, together where ccxt can do that, else one by one.  None
    for quotes that come with the book, if the book is `beside` them."""
    source = quotes_source(ccxt)
    if channel is Channel.TRADES:
        one, many = ccxt.watch_trades, ccxt.watch_trades_for_symbols
        return _calls(symbols, lambda s: one(s[0]), many if ccxt.has.get("watchTradesForSymbols") else None)
    if channel is Channel.QUOTES and source is not Source.BOOK:
        ticker, best = ccxt.watch_ticker, ccxt.watch_bids_asks
        return _calls(symbols, lambda s: ticker(s[0]), best if source is Source.BIDS_ASKS else None)
    if channel is Channel.QUOTES and Channel.BOOK in beside:
        return []
    limit = _LEVELS.get(ccxt.id)
    book, books = ccxt.watch_order_book, ccxt.watch_order_book_for_symbols
    return _calls(
        symbols,
        lambda s: book(s[0], limit),
        (lambda s: books(s, limit)) if ccxt.has.get("watchOrderBookForSymbols") else None,
    )


def _calls(symbols: Collection[str], one: Call, many: Call | None) -> list[Watch]:
    if many is not None:
        return [Watch(symbols, many)]
    return [Watch([symbol], one) for symbol in symbols]
