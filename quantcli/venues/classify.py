"""What an exchange's error answer to a request means for the order it was about.

A pure function over a manifest's rules, and total: any status, code and text gets a meaning, and what no
rule names is ambiguous.  That is the safe side: a refusal taken for silence costs a look-up, silence
taken for a refusal can cost a second order.  Knows no exchange by name and reads no message bodies:
adapters find code and text in them, per order where a reply is about several.
"""

from collections.abc import Iterable
from enum import StrEnum

import msgspec

from quantcli.model.message import Asked, Refused


class Meaning(StrEnum):
    """What is known after an answer: a refusal of one of the kinds of `Refused`, or not even that.

    ABSENT     a look-up that did not find the order: weak evidence (`Absence`)
    AMBIGUOUS  nothing: the request may have been carried out or not (`Silence`)
    """

    FINAL = "final"
    BUSY = "busy"
    EXISTS = "exists"
    UNKNOWN_ORDER = "unknown_order"
    ABSENT = "absent"
    AMBIGUOUS = "ambiguous"

    @property
    def refused(self) -> Refused | None:
        """The kind of refusal, if it is one."""
        return None if self in (Meaning.ABSENT, Meaning.AMBIGUOUS) else Refused(self.value)


# To which requests a meaning can be an answer.  A cancel is never refused for good: it is asked again until
# the order is seen to have ended.
_ANSWERS: dict[Meaning, tuple[Asked, ...]] = {
    Meaning.FINAL: (Asked.PLACE, Asked.AMEND),
    Meaning.BUSY: (Asked.PLACE, Asked.AMEND, Asked.CANCEL),
    Meaning.EXISTS: (Asked.PLACE,),
    Meaning.UNKNOWN_ORDER: (Asked.AMEND, Asked.CANCEL),
    Meaning.ABSENT: (Asked.LOOKUP,),
    Meaning.AMBIGUOUS: tuple(Asked),
}


class ErrorRule(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One line of an exchange's error table; of several that fit, the first counts.

    It fits an answer to a request named in `at` (empty: to any that `means` can answer) whose code is among
    `codes` (empty: any), or begins with one and a colon, and whose code and text together contain
    `contains`, in whatever case.  `source` says where that is written; not `verified`: nobody has seen it.
    """

    means: Meaning
    source: str
    codes: tuple[str, ...] = ()
    contains: str = ""
    at: tuple[Asked, ...] = ()
    verified: bool = True

    def __post_init__(self) -> None:
        """Refuse a rule that fits everything, or that names a request it cannot answer."""
        if not self.codes and not self.contains:
            raise ValueError("an error rule names codes or a text")
        if not set(self.at) <= set(_ANSWERS[self.means]):
            raise ValueError(f"{self.means.value!r} is no answer to {', '.join(self.at)}")


def classify(
    rules: Iterable[ErrorRule],
    asked: Asked,
    http_status: int | None,
    code: int | str | None,
    message: str,
) -> Meaning:
    """What an error answer means.

    `http_status` is `None` on a socket without one.  `code` is the exchange's own, empty where it uses none,
    and `None` if the body is not one of the exchange's (HTML of a proxy, cut off, empty).
    """
    if code is None or _speaks_for_the_way(http_status):
        return Meaning.AMBIGUOUS
    text = f"{code} {message}".casefold()
    for rule in rules:
        if (
            asked in (rule.at or _ANSWERS[rule.means])
            and _names(rule.codes, str(code))
            and rule.contains.casefold() in text
        ):
            return rule.means
    return Meaning.AMBIGUOUS


def _speaks_for_the_way(http_status: int | None) -> bool:
    """Whether a status tells of the way to the exchange, or of its insides, not of the request.

    5xx may be a proxy's or follow an execution, 408 is impatience, 403 a firewall's, 3xx somebody else's.
    """
    if http_status is None:
        return False
    return not (200 <= http_status < 300 or 400 <= http_status < 500) or http_status in (403, 408)


def _names(codes: tuple[str, ...], code: str) -> bool:
    return not codes or any(code == listed or code.startswith(f"{listed}:") for listed in codes)
