"""Binance's candles and mark prices as typed structs, and the events they mean.

Every struct shows a real message; fields that no event needs are skipped while decoding.  `event`
makes our event of it, under the canonical symbol and with our stamps; `channel` is what it counts as.
"""

from typing import ClassVar, Literal

import msgspec

from quantcli.codecs.binance_time import INTERVAL_NS, to_ns
from quantcli.model.market import Bar, Channel, MarkPrice


class WireCandle(
    msgspec.Struct,
    frozen=True,
    gc=False,
    rename={
        "start": "t",
        "end": "T",
        "interval": "i",
        "open": "o",
        "high": "h",
        "low": "l",
        "close": "c",
        "volume": "v",
        "quote_volume": "q",
        "trades": "n",
        "is_closed": "x",
    },
):
    """The candle inside a kline message; `end` is its last millisecond (or microsecond)."""

    start: int
    end: int
    interval: str
    open: float
    high: float
    low: float
    close: float
    volume: float
    quote_volume: float
    trades: int
    is_closed: bool

    @property
    def interval_ns(self) -> int:
        """Length of the candle; months, which differ, by their start and end."""
        return INTERVAL_NS.get(self.interval) or to_ns(self.end + 1) - to_ns(self.start)


class WireKline(
    msgspec.Struct,
    frozen=True,
    gc=False,
    tag_field="e",
    tag="kline",
    rename={"symbol": "s", "sent": "E", "candle": "k"},
):
    """`<symbol>@kline_<interval>`, all markets:

    {"e":"kline","E":1633998523963,"s":"NKNUSDT","k":{"t":1633998480000,"T":1633998539999,"s":"NKNUSDT",
     "i":"1m","f":19862761,"L":19862790,"o":"0.35270000","c":"0.35280000","h":"0.35280000",
     "l":"0.35220000","v":"25877.00000000","n":30,"x":false,"q":"9116.04600000","V":"58.00000000",
     "Q":"20.46240000","B":"0"}}
    """

    channel: ClassVar[str] = Channel.BARS.value

    symbol: str
    sent: int
    candle: WireCandle

    def event(self, symbol: str, local_ns: int, seq: int) -> Bar:
        """The candle as it stands; it is final when `is_closed`."""
        k = self.candle
        return Bar(
            symbol,
            to_ns(self.sent),
            local_ns,
            seq,
            to_ns(k.start),
            k.interval_ns,
            k.open,
            k.high,
            k.low,
            k.close,
            k.volume,
            k.quote_volume,
            k.trades,
            k.is_closed,
        )


class WireMarkPrice(
    msgspec.Struct,
    frozen=True,
    gc=False,
    tag_field="e",
    tag="markPriceUpdate",
    rename={"symbol": "s", "sent": "E", "mark": "p", "index": "i", "funding_rate": "r", "next_funding": "T"},
):
    """`<symbol>@markPrice`, futures.  Delivery contracts have no funding: `"r":"","T":0`; the index is not
    in every COIN-M message and is 0 then.

        {"e":"markPriceUpdate","E":1680652701000,"s":"BTCUSDT","p":"28147.27373413","P":"28142.15563565",
         "i":"28159.75642857","r":"0.00002754","T":1680652800000}
    """

    channel: ClassVar[str] = Channel.MARKS.value

    symbol: str
    sent: int
    mark: float
    index: float = 0.0
    funding_rate: float | Literal[""] = ""
    next_funding: int = 0

    def event(self, symbol: str, local_ns: int, seq: int) -> MarkPrice:
        """Mark price, index and funding."""
        return MarkPrice(
            symbol,
            to_ns(self.sent),
            local_ns,
            seq,
            self.mark,
            self.index,
            self.funding_rate or 0.0,
            to_ns(self.next_funding),
        )
