"""All WebSocket messages of Binance that mean an event, and the frame of combined streams around them.

What each message means stands with it: `binance_trades`, `binance_books`, `binance_candles`.
"""

import msgspec

from quantcli.codecs.binance_books import UntypedTicker, WireDepth, WireTicker
from quantcli.codecs.binance_candles import WireKline, WireMarkPrice
from quantcli.codecs.binance_trades import WireAggTrade, WireTrade

# Told apart by their field `e`; the spot ticker has none.
TypedMessage = WireTrade | WireAggTrade | WireTicker | WireDepth | WireKline | WireMarkPrice
Message = TypedMessage | UntypedTicker


class TypedFrame(msgspec.Struct, frozen=True, gc=False):
    """A message of a combined stream: `{"stream":"btcusdt@trade","data":{"e":"trade",…}}`."""

    stream: str
    data: TypedMessage


class UntypedFrame(msgspec.Struct, frozen=True, gc=False):
    """A message of a combined stream whose data has no type: `{"stream":"btcusdt@bookTicker","data":{…}}`."""

    data: UntypedTicker
