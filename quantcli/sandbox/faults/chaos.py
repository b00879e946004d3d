"""Decides which calls, events and connections meet which fault, and keeps a record of it.

Decisions only: the same plan and the same sequence of calls give the same faults.  Chance is seeded, for each
rule by itself, so that adding a rule leaves the luck of the others alone.  How a fault is carried out on a
socket is the server's business.
"""

from collections import deque
from collections.abc import Iterable, Mapping
from fnmatch import fnmatchcase
from random import Random
from typing import Any

import msgspec

from quantcli.clock import NS_PER_MS, NS_PER_S, Clock
from quantcli.sandbox.faults.rules import CALL, CONNECT, PUSH, FaultPlan, Rule

_KEPT = 10_000
_NAMES_KEPT = 4096
# What tells one order from another, for the record.
_KEYS = (
    *("newClientOrderId", "origClientOrderId", "listClientOrderId", "orderId", "c", "C"),
    *("clientAlgoId", "algoId", "caid"),
)


class Verdict(msgspec.Struct, frozen=True):
    """What one call or connection meets.  Seconds; `ending` is the rule that decides what is answered."""

    before_s: float = 0.0
    after_s: float = 0.0
    lag_s: float = 0.0
    jump_s: float = 0.0
    disconnect: str = ""  # which sockets
    disconnect_s: float = 0.0
    changes: Mapping[str, Any] = {}
    ending: Rule | None = None
    remaining_s: float = 0.0  # of a ban or a maintenance


class Parcel(msgspec.Struct, frozen=True):
    """A pushed message on its way: `delay_s` late, or (`until_next`) when the next has gone, but not later.

    `ending` is set where the socket itself meets a fault instead.
    """

    text: str
    delay_s: float = 0.0
    until_next: bool = False
    ending: Rule | None = None


PASSES = Verdict()
# Faults after which nothing is left to decide about a call; the others add up.
_ADD_UP = frozenset({"delay", "lag", "clock", "disconnect", "alter"})
_WINDOWS = frozenset({"ban", "maintenance"})


class _Counter:
    """How often a rule has matched and struck."""

    __slots__ = ("dice", "done", "first_ns", "gap_left", "last_ns", "seen", "values")

    def __init__(self, seed: str) -> None:
        self.dice = Random(seed)
        self.seen = self.done = self.gap_left = 0
        self.first_ns = self.last_ns = 0
        self.values: set[str] = set()


class Chaos:
    """The fault plan in force.  `clock` is one that is never made to jump."""

    def __init__(self, plan: FaultPlan, seed: int, clock: Clock) -> None:
        self._own_seed = seed
        self._clock = clock
        self.replace(plan)

    def replace(self, plan: FaultPlan) -> None:
        """Put another plan in force; counts and record begin anew, bans and maintenance end."""
        self.rules = plan.rules
        self._seed = self._own_seed if plan.seed is None else plan.seed
        self._counters = [_Counter(f"{self._seed}:{number}") for number in range(len(self.rules))]
        self._done: deque[dict[str, Any]] = deque(maxlen=_KEPT)
        self._routes: dict[tuple[str, str], tuple[int, ...]] = {}
        self._window: tuple[Rule, int] | None = None
        self._refused = 0

    @property
    def longest_lag_s(self) -> float:
        """How far back answers may have to look."""
        return max((rule.seconds for rule in self.rules if rule.fault == "lag"), default=0.0)

    def call(self, name: str, params: Mapping[str, Any]) -> Verdict:
        """What the call of an endpoint meets, which it counts as one more."""
        if not self.rules:
            return PASSES
        return self._in_window() or self._verdict(CALL, name, params)

    def connection(self, path: str) -> Verdict:
        """What a connection to a socket's path meets."""
        if not self.rules:
            return PASSES
        return self._in_window() or self._verdict(CONNECT, f"connect {path}", {})

    def push(self, kind: str, text: str) -> list[Parcel]:
        """What becomes of a message about to be sent on one socket; `kind` is `user …` or `market …`."""
        numbers = self._rules_for(PUSH, kind) if self.rules else ()
        if not numbers:
            return [Parcel(text)]
        parcels = [Parcel(text)]
        params = _fields_of(text) if any(self._looks_inside(number) for number in numbers) else {}
        for number in numbers:
            rule, counter = self.rules[number], self._counters[number]
            if counter.gap_left:
                counter.gap_left -= 1
                self._note(number, kind, params)
                return []
            if not self._strikes(number, params):
                continue
            self._note(number, kind, params)
            parcels = [handled for parcel in parcels for handled in _handle(rule, parcel)]
            if rule.fault == "gap":
                counter.gap_left = rule.count - 1
        return parcels

    def log(self) -> dict[str, Any]:
        """The record: each rule with its counts, and every strike in order of time (the latest 10,000)."""
        return {
            "seed": self._seed,
            "rules": [
                {
                    **_given(rule),
                    "matched": counter.seen,
                    "done": counter.done,
                    "first_ms": counter.first_ns // NS_PER_MS,
                    "last_ms": counter.last_ns // NS_PER_MS,
                }
                for rule, counter in zip(self.rules, self._counters, strict=True)
            ],
            "refused": self._refused,
            "strikes": list(self._done),
        }

    def _in_window(self) -> Verdict | None:
        if self._window is None:
            return None
        rule, until_ns = self._window
        left_ns = until_ns - self._clock.now_ns()
        if left_ns <= 0:
            self._window = None
            return None
        self._refused += 1
        return Verdict(ending=rule, remaining_s=left_ns / NS_PER_S)

    def _verdict(self, moment: str, name: str, params: Mapping[str, Any]) -> Verdict:
        numbers = self._rules_for(moment, name)
        if not numbers:
            return PASSES
        struck: list[Rule] = []
        ending: Rule | None = None
        for number in numbers:
            rule = self.rules[number]
            ends = rule.fault not in _ADD_UP or (moment == CONNECT and rule.fault == "disconnect")
            if not self._strikes(number, params) or (ends and ending is not None):
                continue
            self._note(number, name, params)
            if ends:
                ending = rule
            else:
                struck.append(rule)
        if ending is None and not struck:
            return PASSES
        if ending is not None and ending.fault in _WINDOWS:
            self._window = (ending, self._clock.now_ns() + int(ending.seconds * NS_PER_S))
        return _sum_up(struck, ending)

    def _rules_for(self, moment: str, name: str) -> tuple[int, ...]:
        found = self._routes.get((moment, name))
        if found is None:
            found = tuple(
                number
                for number, rule in enumerate(self.rules)
                if moment in rule.moments and fnmatchcase(name, rule.on)
            )
            if len(self._routes) >= _NAMES_KEPT:  # whoever asks for ever new paths shall not fill the memory
                self._routes.clear()
            self._routes[moment, name] = found
        return found

    def _looks_inside(self, number: int) -> bool:
        rule = self.rules[number]
        return bool(rule.where or rule.once_per)

    def _strikes(self, number: int, params: Mapping[str, Any]) -> bool:
        rule, counter = self.rules[number], self._counters[number]
        if any(not fnmatchcase(str(params.get(key, "")), value) for key, value in rule.where.items()):
            return False
        if rule.once_per:
            value = params.get(rule.once_per)
            if value is None or str(value) in counter.values:
                return False
            counter.values.add(str(value))
        counter.seen += 1
        if (rule.calls and counter.seen not in rule.calls) or counter.seen % rule.every:
            return False
        if rule.until and counter.seen > rule.until:
            return False
        return rule.chance >= 1 or counter.dice.random() < rule.chance

    def _note(self, number: int, name: str, params: Mapping[str, Any]) -> None:
        counter = self._counters[number]
        now_ns = self._clock.now_ns()
        counter.done += 1
        counter.first_ns = counter.first_ns or now_ns
        counter.last_ns = now_ns
        self._done.append(
            {
                "at_ms": now_ns // NS_PER_MS,
                "rule": number + 1,
                "fault": self.rules[number].fault,
                "on": name,
                "call": counter.seen,
                **{key: params[key] for key in _KEYS if params.get(key)},
            }
        )


def _sum_up(struck: Iterable[Rule], ending: Rule | None) -> Verdict:
    before_s = after_s = lag_s = jump_s = disconnect_s = 0.0
    disconnect = ""
    changes: dict[str, Any] = {}
    for rule in struck:
        if rule.fault == "delay":
            before_s += 0.0 if rule.after else rule.seconds
            after_s += rule.seconds if rule.after else 0.0
        elif rule.fault == "lag":
            lag_s = max(lag_s, rule.seconds)
        elif rule.fault == "clock":
            jump_s += rule.seconds
        elif rule.fault == "disconnect":
            disconnect = rule.sockets if disconnect in ("", rule.sockets) else "all"
            disconnect_s = max(disconnect_s, rule.seconds)
        elif rule.fault == "alter":
            changes |= rule.set
    remaining_s = ending.seconds if ending is not None and ending.fault in _WINDOWS else 0.0
    return Verdict(before_s, after_s, lag_s, jump_s, disconnect, disconnect_s, changes, ending, remaining_s)


def _handle(rule: Rule, parcel: Parcel) -> list[Parcel]:
    """What one fault makes of one message."""
    if rule.fault in ("drop", "gap"):
        return []
    if rule.fault == "duplicate":
        return [parcel] * (1 + rule.count)
    if rule.fault in ("late", "reorder"):
        changed: dict[str, Any] = {"delay_s": parcel.delay_s + rule.seconds}
        changed["until_next"] = parcel.until_next or rule.fault == "reorder"
    elif rule.fault == "garbled":
        changed = {"text": rule.text or parcel.text[: rule.bytes]}
    elif rule.fault == "alter":
        changed = {"text": altered(parcel.text, rule.set)}
    else:
        changed = {"ending": rule}
    return [msgspec.structs.replace(parcel, **changed)]


def altered(text: str, changes: Mapping[str, Any]) -> str:
    """JSON with some fields set to other values; `event.z` names a field within a field.  What is no object
    or lacks the way to the field stays as it is."""
    if not changes:
        return text
    try:
        document = msgspec.json.decode(text)
    except msgspec.DecodeError:
        return text
    for path, value in changes.items():
        *way, last = path.split(".")
        place = document
        for step in way:
            place = place.get(step) if isinstance(place, dict) else None
        if isinstance(place, dict):
            place[last] = value
    return msgspec.json.encode(document).decode()


def _fields_of(text: str) -> Mapping[str, Any]:
    """The fields of an event, whatever it is wrapped in."""
    try:
        document = msgspec.json.decode(text)
    except msgspec.DecodeError:
        return {}
    if not isinstance(document, dict):
        return {}
    for wrapper in ("event", "data"):
        if isinstance(inner := document.get(wrapper), dict):
            document = inner
            break
    order = document.get("o")  # of futures events
    return document | order if isinstance(order, dict) else document


def _given(rule: Rule) -> dict[str, Any]:
    """A rule as it was written, without what was left out."""
    fields = msgspec.structs.asdict(rule)
    usual = msgspec.structs.asdict(Rule(rule.on, rule.fault))
    return {
        key: sorted(value) if isinstance(value, frozenset) else value
        for key, value in fields.items()
        if key in ("on", "fault") or value != usual[key]
    }
