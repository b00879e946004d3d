"""Binance's request limits, as its exchangeInfo states them."""

import msgspec

from quantcli.codecs.errors import CodecError

_KINDS = {"REQUEST_WEIGHT": "weight", "ORDERS": "orders"}
_SECONDS = {"SECOND": 1, "MINUTE": 60, "HOUR": 3_600, "DAY": 86_400}


class _Limit(msgspec.Struct, frozen=True, rename="camel"):
    """`{"rateLimitType":"REQUEST_WEIGHT","interval":"MINUTE","intervalNum":1,"limit":6000}`"""

    rate_limit_type: str
    interval: str
    interval_num: int
    limit: int


class _Info(msgspec.Struct, frozen=True, rename="camel"):
    rate_limits: tuple[_Limit, ...]


def rate_limits(body: bytes | str) -> tuple[tuple[str, int, int], ...]:
    """What counts ("weight" or "orders"), how much of it, in how many nanoseconds.

    Others (RAW_REQUESTS, which counts calls) are left out: no weight is less than 1, and their limit is
    wider.  Raises `CodecError` if the body is no exchangeInfo.
    """
    try:
        limits = msgspec.json.decode(body, type=_Info).rate_limits
    except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
        raise CodecError(f"no exchangeInfo: {error}") from None
    return tuple(
        (
            _KINDS[each.rate_limit_type],
            each.limit,
            each.interval_num * _SECONDS[each.interval] * 1_000_000_000,
        )
        for each in limits
        if each.rate_limit_type in _KINDS and each.interval in _SECONDS
    )
