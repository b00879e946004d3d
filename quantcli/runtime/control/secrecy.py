"""Values that nobody may get to read: each is told here when it is read, and taken out of texts before they
leave the process.

    keep_secret(key)          where a key, a password, an address with a token in it is read
    redacted(text)            before a text is logged, sent or shown

Kept for the whole process: a secret does not stop being one.  Light to import.
"""

import re
import threading
from urllib.parse import quote, quote_plus

MASK = "***"
# Shorter ones stand everywhere by chance, and masking them would tell where.
_SHORTEST = 4

_lock = threading.Lock()
_secrets: set[str] = set()
_pattern: re.Pattern[str] | None = None


def keep_secret(value: str) -> None:
    """Never let this value be read, in any of the forms in which texts carry it."""
    global _pattern  # noqa: PLW0603  (one for the process: whoever writes does not know who read a key)
    value = value.strip()
    if len(value) < _SHORTEST:
        return
    with _lock:
        _secrets.update({value, quote(value, safe=""), quote_plus(value), repr(value)[1:-1]})
        longest_first = sorted(_secrets, key=len, reverse=True)
        _pattern = re.compile("|".join(map(re.escape, longest_first)))


def redacted(text: str) -> str:
    """The text with `MASK` in place of every secret."""
    pattern = _pattern
    return text if pattern is None else pattern.sub(MASK, text)
