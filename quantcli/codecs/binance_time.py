"""Binance's times: stamps and the lengths of candles, in nanoseconds."""

# Milliseconds reach this in the year 5138, microseconds passed it in 1973.
_FIRST_MICROSECOND = 100_000_000_000_000

# Lengths of candles by their name; months differ and are left out.
INTERVAL_NS = {
    f"{count}{unit}": count * seconds * 1_000_000_000
    for unit, seconds, counts in (
        ("s", 1, (1,)),
        ("m", 60, (1, 3, 5, 15, 30)),
        ("h", 3600, (1, 2, 4, 6, 8, 12)),
        ("d", 86400, (1, 3)),
        ("w", 604800, (1,)),
    )
    for count in counts
}


def to_ns(stamp: int) -> int:
    """Nanoseconds of a Binance time: milliseconds, or microseconds (spot, `timeUnit=MICROSECOND`)."""
    return stamp * 1_000_000 if stamp < _FIRST_MICROSECOND else stamp * 1_000
