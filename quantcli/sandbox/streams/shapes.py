"""Texts of the market streams: events and what is shown of a market, as Binance pushes them.

Source: binance-spot-api-docs, web-socket-streams.md ("Detailed Stream information").  Prices and sizes have
eight decimals and read back as the floats they were.  Knows nothing of subscriptions or of when a text is
due.
"""

from collections.abc import Callable, Iterable
from decimal import Decimal
from typing import Any

import msgspec

from quantcli.clock import NS_PER_MS
from quantcli.codecs.binance_time import INTERVAL_NS
from quantcli.model.market import AggTrade, Bar, BookUpdate, Level, Ticker, Trade
from quantcli.sandbox.candles import Candle
from quantcli.sandbox.public import DayStats

_SELL = 2
_NS_PER_US = 1_000

# Below this a float has its eight decimals right, as it is printed: 15 digits in all.
_EXACT_BELOW = 1e7
_DECIMALS = Decimal("1E-8")

_INTERVAL_NAMES = {ns: name for name, ns in INTERVAL_NS.items()}

# A stamp in nanoseconds as it goes on the wire.
Stamp = Callable[[int], int]


def millis(at_ns: int) -> int:
    """Milliseconds, which is what Binance sends unless asked otherwise."""
    return at_ns // NS_PER_MS


def micros(at_ns: int) -> int:
    """Microseconds, for connections with `timeUnit=MICROSECOND`."""
    return at_ns // _NS_PER_US


def number(value: float) -> str:
    """A price or size with eight decimals, and with more where it has more."""
    text = f"{value:.8f}"
    if -_EXACT_BELOW < value < _EXACT_BELOW and float(text) == value:
        return text
    exact = Decimal(repr(value))
    rounded = exact.quantize(_DECIMALS)
    return f"{rounded if rounded == exact else exact:f}"


def sums(value: float) -> str:
    """A price or amount that was reckoned: eight decimals."""
    return f"{value:.8f}"


# Events, as they are.


def trade_text(trade: Trade, symbol: str, stamp: Stamp) -> str:
    """`<symbol>@trade`; a trade whose taker is not known counts as bought."""
    at = stamp(trade.exchange_ns)
    maker = "true" if trade.side == _SELL else "false"
    return (
        f'{{"e":"trade","E":{at},"s":"{symbol}","t":{trade.trade_id},"p":"{number(trade.price)}",'
        f'"q":"{number(trade.size)}","T":{at},"m":{maker},"M":true}}'
    )


def agg_trade_text(trade: AggTrade, symbol: str, stamp: Stamp) -> str:
    """`<symbol>@aggTrade`."""
    at = stamp(trade.exchange_ns)
    maker = "true" if trade.side == _SELL else "false"
    return (
        f'{{"e":"aggTrade","E":{at},"s":"{symbol}","a":{trade.trade_id},"p":"{number(trade.price)}",'
        f'"q":"{number(trade.size)}","f":{trade.first_id},"l":{trade.last_id},"T":{at},"m":{maker},"M":true}}'
    )


def quote_text(quote: Ticker, symbol: str) -> str:
    """`<symbol>@bookTicker`, which on spot says no time."""
    return (
        f'{{"u":{quote.update_id},"s":"{symbol}","b":"{number(quote.bid)}","B":"{number(quote.bid_size)}",'
        f'"a":"{number(quote.ask)}","A":"{number(quote.ask_size)}"}}'
    )


def diff_text(update: BookUpdate, symbol: str, stamp: Stamp) -> str:
    """`<symbol>@depth`: the changed levels."""
    return (
        f'{{"e":"depthUpdate","E":{stamp(update.exchange_ns)},"s":"{symbol}","U":{update.first_id},'
        f'"u":{update.last_id},"b":{levels_text(update.bids)},"a":{levels_text(update.asks)}}}'
    )


def levels_text(levels: Iterable[Level]) -> str:
    """Levels as pairs of texts."""
    return "[" + ",".join(f'["{number(price)}","{number(size)}"]' for price, size in levels) + "]"


# What is shown of a market.


def partial_book_text(last_id: int, bids: Iterable[Level], asks: Iterable[Level]) -> str:
    """`<symbol>@depth<levels>`: the best levels."""
    return f'{{"lastUpdateId":{last_id},"bids":{levels_text(bids)},"asks":{levels_text(asks)}}}'


def kline_text(bar: Bar, symbol: str, stamp: Stamp) -> str:
    """`<symbol>@kline_<interval>`."""
    extra = bar if isinstance(bar, Candle) else None
    candle = {
        "t": stamp(bar.open_ns),
        "T": stamp(bar.open_ns + bar.interval_ns) - 1,
        "s": symbol,
        "i": _INTERVAL_NAMES[bar.interval_ns],
        "f": extra.first_id if extra else -1,
        "L": extra.last_id if extra else -1,
        "o": number(bar.open),
        "c": number(bar.close),
        "h": number(bar.high),
        "l": number(bar.low),
        "v": number(bar.volume) if extra is None else sums(bar.volume),
        "n": bar.trades,
        "x": bar.is_closed,
        "q": number(bar.quote_volume) if extra is None else sums(bar.quote_volume),
        "V": sums(extra.taker_volume if extra else 0.0),
        "Q": sums(extra.taker_quote_volume if extra else 0.0),
        "B": "0",
    }
    return _text({"e": "kline", "E": stamp(bar.exchange_ns), "s": symbol, "k": candle})


def mini_ticker(stats: DayStats, symbol: str, now: int) -> dict[str, Any]:
    """`<symbol>@miniTicker`: the last 24 hours in short."""
    return {
        "e": "24hrMiniTicker",
        "E": now,
        "s": symbol,
        "c": number(stats.last),
        "o": number(stats.open),
        "h": number(stats.high),
        "l": number(stats.low),
        "v": sums(stats.volume),
        "q": sums(stats.quote_volume),
    }


def ticker(stats: DayStats, quote: Ticker | None, symbol: str, now: int, stamp: Stamp) -> dict[str, Any]:
    """`<symbol>@ticker`: the last 24 hours."""
    return {
        "e": "24hrTicker",
        "E": now,
        "s": symbol,
        "p": sums(stats.change),
        "P": f"{stats.change_percent:.3f}",
        "w": sums(stats.weighted_average),
        "x": number(stats.before or stats.open),
        "c": number(stats.last),
        "Q": number(stats.last_size),
        "b": number(quote.bid if quote else 0.0),
        "B": number(quote.bid_size if quote else 0.0),
        "a": number(quote.ask if quote else 0.0),
        "A": number(quote.ask_size if quote else 0.0),
        **_span(stats, stamp),
    }


def window_ticker(name: str, stats: DayStats, symbol: str, now: int, stamp: Stamp) -> dict[str, Any]:
    """`<symbol>@ticker_<window>`: the last hour, four hours or day."""
    return {
        "e": f"{name}Ticker",
        "E": now,
        "s": symbol,
        "p": sums(stats.change),
        "P": f"{stats.change_percent:.2f}",
        "w": sums(stats.weighted_average),
        "c": number(stats.last),
        **_span(stats, stamp),
    }


def _span(stats: DayStats, stamp: Stamp) -> dict[str, Any]:
    return {
        "o": number(stats.open),
        "h": number(stats.high),
        "l": number(stats.low),
        "v": sums(stats.volume),
        "q": sums(stats.quote_volume),
        "O": stamp(stats.open_ms * NS_PER_MS),
        "C": stamp(stats.close_ms * NS_PER_MS),
        "F": stats.first_id,
        "L": stats.last_id,
        "n": stats.count,
    }


def average_text(price: float, last_trade: int, symbol: str, now: int) -> str:
    """`<symbol>@avgPrice`: the mean of five minutes."""
    return _text({"e": "avgPrice", "E": now, "s": symbol, "i": "5m", "w": sums(price), "T": last_trade})


def _text(body: Any) -> str:
    return msgspec.json.encode(body).decode()


def texts(bodies: dict[str, Any] | list[dict[str, Any]]) -> str:
    """JSON of a body, or of a list of them."""
    return _text(bodies)
