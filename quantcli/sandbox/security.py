"""Who asks, and when: API keys, signatures, timestamps.

Source: binance-spot-api-docs, rest-api.md, "Request Security" (signature cases, timing) and
web-socket-api.md, "SIGNED request security".  Knows nothing of endpoints; is told what time it is.
"""

import hmac
import re
from collections.abc import Mapping
from hashlib import sha256
from typing import Any

import msgspec

from quantcli.clock import NS_PER_MS
from quantcli.sandbox import errors
from quantcli.sandbox.errors import ApiError
from quantcli.sandbox.params import MICROSECONDS_FROM, WHOLE

DEFAULT_WINDOW_NS = 5_000 * NS_PER_MS
MAX_WINDOW_NS = 60_000 * NS_PER_MS
AHEAD_NS = 1_000 * NS_PER_MS
# Parameters that the security reads, and no handler.
READ_HERE = ("timestamp", "recvWindow", "signature", "apiKey")

_KEY = re.compile(r"[A-Za-z0-9]{64}")
_WINDOW = r"^([0-9]{1,20})(\.[0-9]{1,3})?$"
_SIGNATURE = re.compile(r"(^|&)signature=[^&]*")


class Keys(msgspec.Struct, frozen=True):
    """The one API key of the account, and its secret (HMAC)."""

    api_key: str
    secret: str

    def __repr__(self) -> str:
        return "Keys(…)"


def check_key(api_key: str | None, keys: Keys) -> None:
    """The key is the account's.  Raises `ApiError`."""
    if api_key == keys.api_key:
        return
    raise ApiError(*(errors.KEY_UNKNOWN if _KEY.fullmatch(api_key or "") else errors.KEY_FORMAT))


def signed_text(query: str, body: str) -> str:
    """What a REST request signs: query string and body, one directly after the other, without `signature`."""
    return _SIGNATURE.sub("", query).lstrip("&") + _SIGNATURE.sub("", body).lstrip("&")


def signed_params(params: Mapping[str, Any]) -> str:
    """What a ws-api request signs: its parameters but the signature, in order of name."""
    return "&".join(f"{name}={params[name]}" for name in sorted(params) if name != "signature")


def check_signature(text: str, signature: str | None, keys: Keys) -> None:
    """The signature is that of the text, in whatever case.  Raises `ApiError`."""
    if signature is None:
        raise errors.missing("signature")
    if not signature:
        raise errors.empty("signature")
    right = hmac.new(keys.secret.encode(), text.encode(errors="replace"), sha256).hexdigest()
    if not hmac.compare_digest(right.encode(), signature.lower().encode(errors="replace")):
        raise ApiError(*errors.BAD_SIGNATURE)


class Validity(msgspec.Struct, frozen=True):
    """From when and for how long a request is valid."""

    timestamp_ns: int
    window_ns: int

    def check_arrival(self, at_ns: int) -> None:
        """It arrives at `at_ns`: neither from the future nor too late.  Raises `ApiError`."""
        if self.timestamp_ns >= at_ns + AHEAD_NS:
            raise ApiError(*errors.TOO_EARLY)
        self.check_matching(at_ns)

    def check_matching(self, at_ns: int) -> None:
        """It is about to be carried out at `at_ns`: still not too late.  Raises `ApiError`."""
        if at_ns - self.timestamp_ns > self.window_ns:
            raise ApiError(*errors.TOO_LATE)


def validity(params: Mapping[str, Any]) -> Validity:
    """`timestamp` (milliseconds or microseconds) and `recvWindow` (milliseconds, up to three decimals).

    "Timing security" (rest-api.md).  Raises `ApiError`.
    """
    timestamp = params.get("timestamp")
    if timestamp is None:
        raise errors.missing("timestamp")
    if not timestamp:
        raise errors.empty("timestamp")
    if not re.fullmatch(WHOLE, timestamp, re.ASCII):
        raise errors.illegal("timestamp", WHOLE)
    number = int(timestamp)
    unit = NS_PER_MS // 1000 if number >= MICROSECONDS_FROM else NS_PER_MS
    return Validity(number * unit, _window_ns(params.get("recvWindow")))


def _window_ns(text: str | None) -> int:
    if text is None:
        return DEFAULT_WINDOW_NS
    if not text:
        raise errors.empty("recvWindow")
    if not re.fullmatch(_WINDOW, text, re.ASCII):
        raise errors.illegal("recvWindow", _WINDOW)
    whole, _, part = text.partition(".")
    window_ns = int(whole) * NS_PER_MS + int(part.ljust(6, "0"))
    if window_ns > MAX_WINDOW_NS:
        raise ApiError(*errors.WIDE_WINDOW)
    return window_ns
