"""Binance's order book messages as typed structs, and the events they mean: best bid and ask, changed
levels, whole books.

Every struct shows a real message; fields that no event needs are skipped while decoding.  `event`
makes our event of it, under the canonical symbol and with our stamps; `channel` is what it counts as.
Whether updates fit together is `depth`'s business.
"""

from typing import ClassVar

import msgspec

from quantcli.codecs.binance_time import to_ns
from quantcli.model.market import BookUpdate, Channel, Level, Ticker

_TICKER_FIELDS = {
    "symbol": "s",
    "update_id": "u",
    "bid": "b",
    "bid_size": "B",
    "ask": "a",
    "ask_size": "A",
    "time": "T",
}


class UntypedTicker(msgspec.Struct, frozen=True, gc=False, rename=_TICKER_FIELDS):
    """`<symbol>@bookTicker` on spot, the one message without a type and without a time:

    {"u":50093239212,"s":"BTCUSDT","b":"61837.63000000","B":"3.78826000","a":"61837.64000000",
     "A":"1.54698000"}
    """

    channel: ClassVar[str] = Channel.QUOTES.value

    symbol: str
    update_id: int
    bid: float
    bid_size: float
    ask: float
    ask_size: float
    time: int = 0

    def event(self, symbol: str, local_ns: int, seq: int) -> Ticker:
        """The best bid and ask."""
        return Ticker(
            symbol,
            to_ns(self.time),
            local_ns,
            seq,
            self.bid,
            self.bid_size,
            self.ask,
            self.ask_size,
            self.update_id,
        )


class WireTicker(
    UntypedTicker, frozen=True, gc=False, tag_field="e", tag="bookTicker", rename=_TICKER_FIELDS
):
    """`<symbol>@bookTicker` on futures; `T` is when the match happened, `E` when it was sent:

    {"e":"bookTicker","u":2710246762461,"s":"BTCUSDT","b":"28145.10","B":"3.868","a":"28145.20",
     "A":"6.887","T":1680652700430,"E":1680652700435}
    """


class WireDepth(
    msgspec.Struct,
    frozen=True,
    gc=False,
    tag_field="e",
    tag="depthUpdate",
    rename={
        "symbol": "s",
        "first_id": "U",
        "last_id": "u",
        "prev_id": "pu",
        "bids": "b",
        "asks": "a",
        "sent": "E",
        "time": "T",
    },
):
    """`<symbol>@depth`: changed levels.  Futures add `T` and `pu`, the `u` of the message before.

    {"e":"depthUpdate","E":1633998512068,"s":"NKNUSDT","U":499869750,"u":499869752,
     "b":[["0.35130000","6195.00000000"]],"a":[]}
    {"e":"depthUpdate","E":1723161256299,"T":1723161256298,"s":"BTCUSDT","U":5123107832006,
     "u":5123107837557,"pu":5123107831937,"b":[["58710.20","0.014"]],"a":[["61800.30","2.510"]]}
    """

    channel: ClassVar[str] = Channel.BOOK.value

    symbol: str
    first_id: int
    last_id: int
    bids: list[Level]
    asks: list[Level]
    sent: int
    time: int = 0
    prev_id: int = 0

    def event(self, symbol: str, local_ns: int, seq: int) -> BookUpdate:
        """The changed levels."""
        return BookUpdate(
            symbol,
            to_ns(self.time or self.sent),
            local_ns,
            seq,
            False,
            self.first_id,
            self.last_id,
            self.prev_id,
            self.bids,
            self.asks,
        )


class WireSnapshot(
    msgspec.Struct,
    frozen=True,
    rename={"last_id": "lastUpdateId", "sent": "E", "time": "T"},
):
    """Reply to `GET …/depth`.  Futures say when, COIN-M also which symbol; spot says neither.

    {"lastUpdateId":50093239218,"bids":[["61837.63000000","3.78826000"]],
     "asks":[["61837.64000000","1.54698000"]]}
    {"lastUpdateId":167006089178,"E":1626916404580,"T":1626916404574,"symbol":"BCHUSD_PERP",
     "pair":"BCHUSD","bids":[["427.84","24"]],"asks":[["427.90","669"]]}
    """

    channel: ClassVar[str] = "snapshots"

    last_id: int
    bids: list[Level]
    asks: list[Level]
    sent: int = 0
    time: int = 0
    symbol: str = ""

    def event(self, symbol: str, local_ns: int, seq: int) -> BookUpdate:
        """The whole book as of `last_id`."""
        return BookUpdate(
            symbol,
            to_ns(self.time or self.sent),
            local_ns,
            seq,
            True,
            self.last_id,
            self.last_id,
            0,
            self.bids,
            self.asks,
        )
