"""Binance's trade messages as typed structs, and the events they mean.

Every struct shows a real message; fields that no event needs are skipped while decoding.  `event`
makes our event of it, under the canonical symbol and with our stamps; `channel` is what it counts as.
"""

from typing import ClassVar

import msgspec

from quantcli.codecs.binance_time import to_ns
from quantcli.model.market import AggTrade, Channel, Trade

_BUY, _SELL = 1, 2


class WireTrade(
    msgspec.Struct,
    frozen=True,
    gc=False,
    tag_field="e",
    tag="trade",
    rename={"symbol": "s", "id": "t", "price": "p", "size": "q", "time": "T", "sold": "m", "origin": "X"},
):
    """`<symbol>@trade`, spot and USD-M (where it has `X`):

        {"e":"trade","E":1723161255315,"s":"BTCUSDT","t":3728563271,"p":"61837.64000000","q":"0.00097000",
         "T":1723161255315,"m":false,"M":true}
        {"e":"trade","E":1680652700455,"T":1680652700452,"s":"BTCUSDT","t":3535186032,"p":"28145.10",
         "q":"0.002","X":"MARKET","m":true}

    Only `X` = MARKET is a print.  Transfers to the insurance fund (INSURANCE_FUND), auto-deleveraging (ADL)
    and placeholders with price 0 (NA) never met the order book, and their prices can lie far off it;
    Binance keeps them out of its own public tape too: "Market trades means trades filled in the order
    book.  Only market trades will be returned, which means the insurance fund trades and ADL trades won't
    be returned" (USDⓈ-M Futures, Recent Trades List; the same in Aggregate Trade Streams).
    """

    channel: ClassVar[str] = Channel.TRADES.value

    symbol: str
    id: int
    price: float
    size: float
    time: int
    sold: bool
    origin: str = "MARKET"

    def event(self, symbol: str, local_ns: int, seq: int) -> Trade | None:
        """The print; `None` for what did not trade in the order book."""
        if self.origin != "MARKET":
            return None
        return Trade(
            symbol,
            to_ns(self.time),
            local_ns,
            seq,
            self.price,
            self.size,
            _SELL if self.sold else _BUY,
            self.id,
        )


class WireAggTrade(
    msgspec.Struct,
    frozen=True,
    gc=False,
    tag_field="e",
    tag="aggTrade",
    rename={
        "symbol": "s",
        "id": "a",
        "price": "p",
        "size": "q",
        "first_id": "f",
        "last_id": "l",
        "time": "T",
        "sold": "m",
    },
):
    """`<symbol>@aggTrade`, all markets:

    {"e":"aggTrade","E":1633998523963,"s":"NKNUSDT","a":15683430,"p":"0.35280000","q":"58.00000000",
     "f":19862790,"l":19862790,"T":1633998523963,"m":false,"M":true}
    """

    channel: ClassVar[str] = Channel.AGG_TRADES.value

    symbol: str
    id: int
    price: float
    size: float
    first_id: int
    last_id: int
    time: int
    sold: bool

    def event(self, symbol: str, local_ns: int, seq: int) -> AggTrade:
        """The trades of one taker order at one price."""
        return AggTrade(
            symbol,
            to_ns(self.time),
            local_ns,
            seq,
            self.price,
            self.size,
            _SELL if self.sold else _BUY,
            self.id,
            self.first_id,
            self.last_id,
        )
