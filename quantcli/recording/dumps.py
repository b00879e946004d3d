"""Imports the CSV files that Binance publishes (data.binance.vision): trades, aggTrades, bookTicker, klines.

They hold no time of receipt: `local_ns` is the exchange's time, for a bar the time it is complete.  Kind and
symbol come from the file's name, `BTCUSDT-trades-2024-03-01.zip` or `usdm_btcusdt_1m_20240330.csv.gz`.  The
market (spot, USD-M, COIN-M) is, in this order, what

1. the name begins with (`spot_`, `usdm_`, `coinm_`), or a folder of the path, the nearest first,
   is called (`spot`, `um`, `cm` or one of those);
2. the symbol says: `…USD_PERP` and `…USD_240628` are COIN-M, other `…_240628` USD-M;
3. the columns say: spot has one more than futures in trades (7, not 6) and aggTrades (8, not 7), there is no
   bookTicker of spot, and only files of futures begin with a line of column names.
"""

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

from quantcli.codecs.binance_symbols import Market, infer_symbol
from quantcli.codecs.binance_time import to_ns
from quantcli.errors import RecordingError
from quantcli.model.market import AggTrade, Bar, Channel, MarketEvent, Ticker, Trade
from quantcli.recording.sources import Imported, broken, lines, origin_of
from quantcli.recording.writer import Writer

_KIND = r"(?P<kind>trades|aggTrades|bookTicker|klines|\d+(?:s|m|h|d|w|mo))"
_PUBLISHED = re.compile(rf"(?P<symbol>[A-Z0-9]+(?:_[A-Z0-9]+)?)-{_KIND}-\d{{4}}-\d{{2}}(-\d{{2}})?")
_RENAMED = re.compile(rf"((?P<market>spot|usdm|coinm)_)(?P<symbol>[A-Za-z0-9]+(?:_perp)?)_{_KIND}_\d{{8}}.*")
_ENDINGS = re.compile(r"(\.csv)?(\.gz|\.zip)?$", re.IGNORECASE)

_MARKETS: dict[str | None, Market] = {
    **{"spot": "spot", "usdm": "usdm", "coinm": "coinm"},
    **{"um": "usdm", "cm": "coinm"},  # folders of data.binance.vision
}

Fields = list[bytes]


class _Name(NamedTuple):
    symbol: str
    kind: str
    market: Market | None


class _Layout(NamedTuple):
    """A kind of file: its channel, the first of its column names, how many columns it may have, and what
    makes an event of a line, its symbol and its number."""

    channel: Channel
    first_column: str
    columns: tuple[int, ...]
    event: Callable[[Fields, str, int], MarketEvent]


def import_dump(path: Path, root: Path, advance: Callable[[int], None]) -> Imported:
    """Record a CSV file of Binance's.

    Raises `RecordingError` if it is damaged, empty, or not such a file; then nothing is left behind.
    """
    rows = lines(path, advance)
    name = _read_name(path)
    layout = _LAYOUTS.get(name.kind, _BARS)
    first = next(rows, None)
    if first is None:
        raise RecordingError(f"{path} is empty", todo="get the file again")
    fields = _split(first[1])
    has_header = not fields[0].isdigit()
    _check_layout(path, layout, fields, has_header)
    market = name.market or _market_of(name.symbol, layout, len(fields), has_header)
    symbol = infer_symbol(name.symbol, market).name
    origin = origin_of(path, market=market, source="Binance public data (data.binance.vision)")
    with Writer(root, "binance", origin) as writer:
        count = _transcribe(path, _and_then(None if has_header else first, rows), layout, symbol, writer)
        if not count:
            raise RecordingError(f"{path} holds no rows", todo="get the file again")
        return Imported(writer.close(), {layout.channel.value: count})


def _transcribe(
    path: Path, rows: Iterator[tuple[int, bytes]], layout: _Layout, symbol: str, writer: Writer
) -> int:
    """Record every line; how many there were."""
    seq = last_ns = 0
    for number, line in rows:
        fields = _split(line)
        try:
            if len(fields) not in layout.columns:
                raise ValueError(f"it has {len(fields)} columns, not {' or '.join(map(str, layout.columns))}")
            event = layout.event(fields, symbol, seq + 1)
        except ValueError as error:
            raise broken(path, number, str(error)) from None
        seq += 1
        # Bars show by their own starts that they are out of order.
        if event.local_ns < last_ns and layout.channel is not Channel.BARS:
            writer.gap(symbol, layout.channel, last_ns, "time", f"{event.local_ns} after {last_ns}")
        last_ns = max(last_ns, event.local_ns)
        writer.append(event)
    return seq


def _read_name(path: Path) -> _Name:
    stem = _ENDINGS.sub("", path.name)
    match = _PUBLISHED.fullmatch(stem) or _RENAMED.fullmatch(stem)
    if match is None:
        raise RecordingError(
            f"cannot tell from its name what {path} holds",
            why="Binance's files are named like BTCUSDT-trades-2024-03-01 or BTCUSDT-1m-2024-03-30, with "
            "kinds trades, aggTrades, bookTicker and intervals",
            todo="give the file the name it was published under",
        )
    told = [match.groupdict().get("market"), *reversed(path.parent.parts)]
    market = next((_MARKETS[word] for word in told if word in _MARKETS), None)
    return _Name(match["symbol"].upper(), match["kind"], market)


def _check_layout(path: Path, layout: _Layout, fields: Fields, has_header: bool) -> None:
    if has_header and fields[0].decode("utf-8", "replace") != layout.first_column:
        raise broken(path, 1, f"its first column is {fields[0]!r}, not {layout.first_column!r}")
    if len(fields) not in layout.columns:
        raise broken(path, 1, f"it has {len(fields)} columns, not {' or '.join(map(str, layout.columns))}")


def _market_of(symbol: str, layout: _Layout, columns: int, has_header: bool) -> Market:
    """Rules 2 and 3 of the module's docstring."""
    if "_" in symbol:
        return "coinm" if symbol.partition("_")[0].endswith("USD") else "usdm"
    if layout.channel is Channel.QUOTES:
        return "usdm"
    if layout.channel is Channel.BARS:
        return "usdm" if has_header else "spot"
    return "spot" if columns == max(layout.columns) else "usdm"


def _split(line: bytes) -> Fields:
    return line.rstrip(b"\r\n").split(b",")


def _and_then(
    first: tuple[int, bytes] | None, rest: Iterator[tuple[int, bytes]]
) -> Iterator[tuple[int, bytes]]:
    if first is not None:
        yield first
    yield from rest


def _side(buyer_is_maker: bytes) -> int:
    return 2 if buyer_is_maker.lower() == b"true" else 1


def _trade(f: Fields, symbol: str, seq: int) -> Trade:
    """id, price, qty, quote_qty, time, is_buyer_maker[, is_best_match]"""
    at_ns = to_ns(int(f[4]))
    return Trade(symbol, at_ns, at_ns, seq, float(f[1]), float(f[2]), _side(f[5]), int(f[0]))


def _agg_trade(f: Fields, symbol: str, seq: int) -> AggTrade:
    """agg_trade_id, price, quantity, first_trade_id, last_trade_id, transact_time, is_buyer_maker[,
    is_best_match]"""
    at_ns = to_ns(int(f[5]))
    ids = (int(f[0]), int(f[3]), int(f[4]))
    return AggTrade(symbol, at_ns, at_ns, seq, float(f[1]), float(f[2]), _side(f[6]), *ids)


def _quote(f: Fields, symbol: str, seq: int) -> Ticker:
    """update_id, best_bid_price, best_bid_qty, best_ask_price, best_ask_qty, transaction_time, event_time"""
    at_ns = to_ns(int(f[5]))
    prices = (float(f[1]), float(f[2]), float(f[3]), float(f[4]))
    return Ticker(symbol, at_ns, at_ns, seq, *prices, int(f[0]))


def _bar(f: Fields, symbol: str, seq: int) -> Bar:
    """open_time, open, high, low, close, volume, close_time, quote_volume, count, taker_buy_volume,
    taker_buy_quote_volume, ignore.  The close time is the last millisecond or microsecond of the bar."""
    open_ns, end_ns = to_ns(int(f[0])), to_ns(int(f[6]) + 1)
    prices = (float(f[1]), float(f[2]), float(f[3]), float(f[4]))
    stamps = (end_ns, end_ns, seq, open_ns, end_ns - open_ns)
    return Bar(symbol, *stamps, *prices, float(f[5]), float(f[7]), int(f[8]), True)


_BARS = _Layout(Channel.BARS, "open_time", (12,), _bar)
_LAYOUTS = {
    "trades": _Layout(Channel.TRADES, "id", (6, 7), _trade),
    "aggTrades": _Layout(Channel.AGG_TRADES, "agg_trade_id", (7, 8), _agg_trade),
    "bookTicker": _Layout(Channel.QUOTES, "update_id", (7,), _quote),
}
