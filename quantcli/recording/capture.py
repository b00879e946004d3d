"""Imports captures: an exchange's messages as they were received, one JSON object per line.

    {"k":"meta","exchange":"binance","market":"spot","symbols":["BTCUSDT"],"licence":…,"source":[…]}
    {"k":"http","ts":<ns>,"url":…,"d":"<text>"}        a REST reply
    {"k":"conn","ts":<ns>,"c":"ws.1","url":…}          a connection opened
    {"k":"recv","ts":<ns>,"c":"ws.1","d":"<text>"}     a message received

What the texts mean is the codec's business; here they get their place in a session and are counted.
"""

import re
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Annotated, Any

import msgspec

from quantcli.codecs.binance import BinanceCodec, Decoded
from quantcli.codecs.binance_symbols import Market
from quantcli.errors import RecordingError
from quantcli.model.market import Channel
from quantcli.recording.sources import Imported, broken, lines, origin_of
from quantcli.recording.writer import Writer

_EXCHANGES = ("binance",)
_CHANNELS = frozenset(channel.value for channel in Channel)

# The market a message is about: `"s":"BTCUSDT"`, in a text that stands in JSON itself.
_SUBJECT = re.compile(rb'\\"s\\"\s*:\s*\\"(\w+)\\"')


class _Meta(msgspec.Struct, frozen=True, tag_field="k", tag="meta"):
    exchange: str
    market: str
    symbols: list[str] | None = None
    licence: Any = None
    notes: Any = None
    source: Any = None


class _Record(msgspec.Struct, frozen=True, gc=False):
    k: str
    ts: Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]
    url: str | None = None
    d: str = ""


def import_capture(path: Path, root: Path, advance: Callable[[int], None]) -> Imported:
    """Record a capture.

    Raises `RecordingError` if it is damaged, no capture, of an exchange that is not supported, or without
    market data; then nothing is left behind.
    """
    records = lines(path, advance)
    meta = _read_meta(path, records)
    codec = BinanceCodec(_market(path, meta), default_symbol=_only_symbol(path, meta))
    sources = meta.source if isinstance(meta.source, list) else [meta.source]
    details = {
        "market": meta.market,
        "licence": _text(meta.licence),
        "source": "\n".join(map(_text, sources)),
        "notes": _text(meta.notes),
    }
    with Writer(root, meta.exchange, origin_of(path, **details)) as writer:
        messages, connections, rows = _transcribe(path, records, codec, writer)
        if not rows:
            raise RecordingError(f"{path} holds no market data", why=f"its messages are {dict(messages)}")
        writer.instruments(codec.instruments().values())
        return Imported(writer.close(), dict(messages), connections)


def _transcribe(
    path: Path, records: Iterator[tuple[int, bytes]], codec: BinanceCodec, writer: Writer
) -> tuple[Counter[str], int, int]:
    """Decode and record every message: counts of messages by name, of connections, of rows."""
    decode = msgspec.json.Decoder(_Record).decode
    messages: Counter[str] = Counter()
    connections = rows = seq = 0
    for number, line in records:
        try:
            record = decode(line)
            if record.k not in {"recv", "http"}:
                connections += record.k == "conn"
                continue
            seq += 1
            decoded = _decoded(codec, record, seq)
        except msgspec.MsgspecError as error:
            raise broken(path, number, str(error)) from None
        except RecordingError as error:
            raise broken(path, number, f"{error.what}: {error.why}") from None
        messages[decoded.name] += 1
        if decoded.event is not None:
            writer.append(decoded.event)
            rows += 1
        elif decoded.name in _CHANNELS:
            writer.withhold(Channel(decoded.name))
    return messages, connections, rows


def _decoded(codec: BinanceCodec, record: _Record, seq: int) -> Decoded:
    if record.k == "recv":
        return codec.decode(record.d, record.ts, seq)
    return codec.decode_http(record.url or "", record.d, record.ts, seq)


def _read_meta(path: Path, records: Iterator[tuple[int, bytes]]) -> _Meta:
    first = next(records, None)
    if first is None:
        raise RecordingError(f"{path} is empty", todo="get the file again")
    try:
        meta = msgspec.json.decode(first[1], type=_Meta)
    except msgspec.MsgspecError as error:
        raise RecordingError(
            f"{path} line 1 is not the head of a capture",
            why=f"{error}; a capture begins with an object with k = meta, exchange and market",
            todo="check that this is a .capture.jsonl file",
        ) from None
    if meta.exchange not in _EXCHANGES:
        raise RecordingError(
            f"{path} is a capture of {meta.exchange}, which cannot be imported yet",
            why=f"captures are understood of: {', '.join(_EXCHANGES)}",
        )
    return meta


def _text(told: Any) -> str:
    """What a capture says of itself, for people to read; a place in a repository in one line."""
    match told:
        case None:
            return ""
        case str():
            return told
        case {"repo": repo, "path": path, **rest}:
            return f"{repo}@{rest.get('commit', '')}: {path}"
    return msgspec.json.encode(told).decode()


def _only_symbol(path: Path, meta: _Meta) -> str | None:
    """The market (in the exchange's writing) that all of a capture is about, if there is only one: whose a
    depth snapshot is that does not say so."""
    if meta.symbols:
        pair = meta.symbols[0].partition(":")[0]
        return pair.replace("/", "") if len(meta.symbols) == 1 else None
    seen: set[bytes] = set()
    for _, line in lines(path, lambda _: None):
        seen.update(_SUBJECT.findall(line))
        if len(seen) > 1:
            return None
    return seen.pop().decode() if seen else None


def _market(path: Path, meta: _Meta) -> Market:
    match meta.market:
        case "spot" | "usdm" | "coinm":
            return meta.market
    raise RecordingError(
        f"{path} is of market {meta.market!r}, which Binance does not have",
        why="its markets are spot, usdm and coinm",
    )
