"""Binance's public data, spot and futures: text in, market events out.

The codec of one market (spot, USD-M or COIN-M): which kind of message a text is, and which canonical
symbol it speaks of.  What a message means stands with its struct (see `binance_wire`).  It keeps no order
book, checks no sequence (see `depth`), and does not know where texts come from.
"""

import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qs, urlsplit

import msgspec

from quantcli.codecs.binance_books import UntypedTicker, WireDepth, WireSnapshot
from quantcli.codecs.binance_rules import parse_exchange_info
from quantcli.codecs.binance_symbols import Market, infer_symbol
from quantcli.codecs.binance_wire import Message, TypedFrame, TypedMessage, UntypedFrame
from quantcli.errors import RecordingError
from quantcli.model.instrument import Symbol, SymbolMetadata
from quantcli.model.market import MarketEvent

__all__ = ["BinanceCodec", "Decoded", "Market", "parse_exchange_info"]

# Diffs of the whole book; `@depth20`, `@rpiDepth` and the like have the same shape but are other books.
_DIFF_STREAM = re.compile(r"@depth(@\d+ms)?$")

# A reply to a request has an `id` and one of these.
_REPLY_KEYS = frozenset({"result", "error", "code"})

# How a reply of Binance's begins that is not the page of something between it and us.
_JSON_BEGINS = frozenset({"{", "[", b"{", b"["})

_S, _QUOTE = b's"'


class Decoded(msgspec.Struct, frozen=True, gc=False):
    """What a text was: the name it is counted under, and the event it means, if any.

    `name` is a channel (`trades`, `agg_trades`, `quotes`, `book`, `bars`, `marks`), `snapshots` (whole
    books), `instruments` (exchangeInfo), `control` (replies to subscriptions) or `unknown:<what>`.
    """

    name: str
    event: MarketEvent | None = None


class _Names(dict[str, str]):
    """Canonical names by exchange symbol; one that is not there yet is inferred, once."""

    def __init__(self, market: Market) -> None:
        super().__init__()
        self._market: Market = market

    def __missing__(self, exchange_symbol: str) -> str:
        name = self[exchange_symbol] = infer_symbol(exchange_symbol, self._market).name
        return name


class BinanceCodec:
    """Decodes the texts of one market.

    A symbol's canonical name comes from `symbols` (by exchange symbol), else from an exchangeInfo seen by
    `decode_http`, else from its own letters.  `default_symbol` (as Binance writes it) is whose book
    a depth snapshot shows that says so neither itself nor in its URL.
    """

    def __init__(
        self,
        market: Market,
        symbols: Mapping[str, Symbol] | None = None,
        default_symbol: str | None = None,
    ) -> None:
        given = symbols or {}
        self._market: Market = market
        self._is_spot = market == "spot"
        self._default_symbol = default_symbol
        self._given = frozenset(given)
        self._names = _Names(market)
        self._names.update({key: symbol.name for key, symbol in given.items()})
        self._instruments: dict[str, SymbolMetadata] = {}
        self._typed_frame = msgspec.json.Decoder(TypedFrame, strict=False).decode
        self._untyped_frame = msgspec.json.Decoder(UntypedFrame, strict=False).decode
        self._typed = msgspec.json.Decoder(TypedMessage, strict=False).decode
        self._untyped = msgspec.json.Decoder(UntypedTicker, strict=False).decode

    def instruments(self) -> dict[str, SymbolMetadata]:
        """Trading rules by canonical name, from every exchangeInfo seen so far."""
        return dict(self._instruments)

    def decode(self, text: str | bytes, local_ns: int, seq: int) -> Decoded:
        """Decode a WebSocket text, raw or of a combined stream, received at `local_ns` as the `seq`-th.

        Raises `RecordingError` for text that is no JSON, and for an event whose symbol cannot be told;
        any other JSON comes back as `unknown:<type>`.
        """
        data = text.encode("utf-8", "surrogatepass") if isinstance(text, str) else text
        message: Message
        # Guesses from single bytes, several times faster than a search; a wrong one ends in `_decode_odd`,
        # with the same result.  A frame begins {"stream"; only spot's untyped ticker ends with a text.
        try:
            if data[2] != _S:
                untyped = self._is_spot and data[-2] == _QUOTE
                message = self._untyped(data) if untyped else self._typed(data)
            elif self._is_spot and data[-3] == _QUOTE:
                message = self._untyped_frame(data).data
            else:
                frame = self._typed_frame(data)
                message = frame.data
                if type(message) is WireDepth and not _DIFF_STREAM.search(frame.stream):
                    return Decoded(f"unknown:{_channel_of(frame.stream)}")
        except (msgspec.DecodeError, UnicodeError, IndexError, RecursionError):
            return self._decode_odd(data, local_ns, seq)
        return Decoded(message.channel, message.event(self._names[message.symbol], local_ns, seq))

    def _decode_odd(self, data: bytes, local_ns: int, seq: int) -> Decoded:
        """What the fast way does not know: a reply, another type, a message written in another way."""
        body = _parse(data)
        if isinstance(body, dict) and "id" in body and not body.keys().isdisjoint(_REPLY_KEYS):
            return Decoded("control")
        framed = isinstance(body, dict) and "stream" in body and "data" in body
        inner, stream = (body["data"], str(body["stream"])) if framed else (body, "")
        kind: Any = TypedMessage if isinstance(inner, dict) and "e" in inner else UntypedTicker
        unknown = Decoded(f"unknown:{_type_of(inner) or _channel_of(stream) or 'message'}")
        try:
            message: Message = msgspec.convert(inner, kind, strict=False)
        except msgspec.ValidationError:
            return unknown
        if framed and type(message) is WireDepth and not _DIFF_STREAM.search(stream):
            return Decoded(f"unknown:{_channel_of(stream)}")
        return Decoded(message.channel, message.event(self._names[message.symbol], local_ns, seq))

    def decode_http(self, url: str, text: str | bytes, local_ns: int, seq: int) -> Decoded:
        """Decode a REST reply; `url` may be empty where it is not known.

        Whatever means nothing here comes back as `unknown:<endpoint>`: a depth snapshot of which nobody says
        whose it is, the HTML page of a proxy.  Raises `RecordingError` for JSON that is broken, a symbol that
        cannot be told, and an exchangeInfo that cannot be read.
        """
        parts = urlsplit(url)
        endpoint = parts.path.rpartition("/")[2]
        if text.lstrip()[:1] not in _JSON_BEGINS:
            return Decoded(f"unknown:{endpoint or 'http'}")
        body = _parse(text)
        keys = body.keys() if isinstance(body, dict) else ()
        if "symbols" in keys and endpoint in {"", "exchangeInfo"}:
            self._learn(parse_exchange_info(text, self._market))
            return Decoded("instruments")
        if "lastUpdateId" in keys and endpoint in {"", "depth"}:
            asked_for = parse_qs(parts.query).get("symbol", [""])[0]
            return self._decode_snapshot(body, asked_for, local_ns, seq)
        return Decoded(f"unknown:{endpoint or 'http'}")

    def _decode_snapshot(self, body: Any, asked_for: str, local_ns: int, seq: int) -> Decoded:
        try:
            snapshot = msgspec.convert(body, WireSnapshot, strict=False)
        except msgspec.ValidationError:
            return Decoded("unknown:depth")
        whose = asked_for or snapshot.symbol or self._default_symbol
        if not whose:
            return Decoded("unknown:depth")
        return Decoded(snapshot.channel, snapshot.event(self._names[whose.upper()], local_ns, seq))

    def _learn(self, rules: list[SymbolMetadata]) -> None:
        self._instruments.update({rule.symbol.name: rule for rule in rules})
        named = {rule.exchange_symbol: rule.symbol.name for rule in rules}
        self._names.update({key: name for key, name in named.items() if key not in self._given})


def _type_of(message: Any) -> str:
    """The type that a message, or the first of a list of them, gives itself."""
    if isinstance(message, list):
        return f"{_type_of(message[0]) if message else ''}[]"
    return str(message.get("e", "")) if isinstance(message, dict) else ""


def _channel_of(stream: str) -> str:
    """`depth20@100ms` of `btcusdt@depth20@100ms`; streams of a whole market begin with their channel."""
    return stream if stream.startswith("!") else stream.partition("@")[2] or stream


def _parse(text: str | bytes) -> Any:
    try:
        return msgspec.json.decode(text)
    except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
        raise RecordingError(
            "a message that should be Binance's is no JSON",
            why=f"{error}; it begins with {text[:60]!r}",
            todo="check where the data comes from, or leave that message out",
        ) from None
