"""The way there and back: a `ports.Gateway` that delays, loses, repeats and reorders, by choices.

A request travels as a letter.  Its answer, or `Silence`, or nothing, reaches the process that sent it, unless
that process has died since: `life` counts them.  The stream tells what nobody asked for.  Nothing here
looks into a report.
"""

from collections import Counter, deque
from collections.abc import Callable
from typing import TYPE_CHECKING

from quantcli.model.message import (
    Amend,
    Asked,
    Cancel,
    Lookup,
    Place,
    PlaceList,
    Report,
    Request,
    Silence,
    Survey,
)

from .choices import Choices
from .marks import Marks
from .oracle import Oracle
from .swarm import LATENCIES, Faults
from .timeline import Timeline
from .trace import Trace

if TYPE_CHECKING:
    from .venue import Venue

_MS = 1_000_000
TIMEOUT_NS = 3_000 * _MS
_REPLAYED = 12
_KINDS = {
    Place: Asked.PLACE,
    PlaceList: Asked.PLACE,
    Amend: Asked.AMEND,
    Cancel: Asked.CANCEL,
    Lookup: Asked.LOOKUP,
}


class Letter:
    """A request on its way.  `addressees`: of which orders (and numbered amendments) its answers speak."""

    __slots__ = ("addressees", "is_given_up", "kind", "life", "request", "sent_ns")

    def __init__(self, request: Request, sent_ns: int, life: int) -> None:
        self.request, self.sent_ns, self.life = request, sent_ns, life
        self.kind = _KINDS.get(type(request), "")
        self.is_given_up = False
        if isinstance(request, PlaceList):
            self.addressees = [(place.client_order_id, 0) for place in request.places]
        elif isinstance(request, Survey):
            self.addressees = []
        else:
            number = request.number if isinstance(request, Amend) else 0
            self.addressees = [(request.client_order_id, number)]


class Network:
    """See the module's docstring.  Times until which something is cut are public: episodes set them."""

    def __init__(
        self, choices: Choices, timeline: Timeline, oracle: Oracle, marks: Marks, trace: Trace
    ) -> None:
        self.faults: Faults
        self.venue: Venue
        self.deliver: Callable[[int, Report], None]
        self.life = 0
        self.requests_cut_until_ns = 0
        self.stream_cut_until_ns = 0
        self.there_stuck_until_ns = 0
        self.back_stuck_until_ns = 0
        self.travelling: Counter[str] = Counter()  # placements on their way, by client order id
        self._told: deque[Report] = deque(maxlen=_REPLAYED)
        self.oracle = oracle
        self._choices, self._timeline, self._marks, self._trace = choices, timeline, marks, trace

    def send(self, request: Request) -> None:
        """See `ports.Gateway`."""
        self._trace.tell("kernel", "exchange", request)
        choices, now_ns = self._choices, self._timeline.now_ns
        letter = Letter(request, now_ns, self.life)
        if now_ns < self.requests_cut_until_ns:
            self._marks.hit("partition")
            fate = 1 + choices.choose(2, "net.cut")
        else:
            fate = choices.weighted(self.faults.there, "net.there")
        if fate == 1:
            self._trace.tell("network", "kernel", "it never left")
            self._give_up(letter, now_ns + _MS, "no route", was_sent=False)
            return
        delay_ns = self._delay(self.there_stuck_until_ns)
        if fate == 2 or delay_ns >= TIMEOUT_NS:
            self._give_up(letter, now_ns + TIMEOUT_NS, "time-out")
        if fate == 2:
            self._trace.tell("network", "exchange", "lost")
            return
        if letter.kind is Asked.PLACE:
            self.travelling.update(client_id for client_id, _ in letter.addressees)
        self._timeline.after(delay_ns, self.venue.receive, letter)
        if isinstance(request, Cancel | Lookup) and choices.chance(self.faults.twice, "net.twice"):
            self._timeline.after(self._delay(0), self.venue.receive, letter)

    def decided(self, request: Request) -> None:
        """The exchange has made up its mind about a placement."""
        if isinstance(request, Place):
            self.travelling[request.client_order_id] -= 1
        elif isinstance(request, PlaceList):
            self.travelling.subtract(place.client_order_id for place in request.places)

    def answer(self, letter: Letter, report: Report) -> None:
        """What the exchange says to a letter."""
        self._trace.tell("exchange", "network", report)
        choices, now_ns = self._choices, self._timeline.now_ns
        if now_ns < self.requests_cut_until_ns or choices.chance(self.faults.back, "net.back"):
            self._marks.hit("answer lost")
            self._trace.tell("network", "kernel", "the answer is lost")
            self._give_up(letter, letter.sent_ns + TIMEOUT_NS, "time-out")
            return
        arrives_ns = now_ns + self._delay(self.back_stuck_until_ns)
        if arrives_ns > letter.sent_ns + TIMEOUT_NS:
            self._give_up(letter, letter.sent_ns + TIMEOUT_NS, "time-out")
            if choices.choose(2, "net.late_answer") == 1:
                return  # the client has closed the connection
        self._timeline.at(arrives_ns, self.deliver, letter.life, report)
        if choices.chance(self.faults.twice, "net.twice"):
            self._timeline.after(self._delay(0), self.deliver, letter.life, report)

    def stream(self, report: Report) -> None:
        """What the exchange says of its own accord."""
        self._told.append(report)
        choices = self._choices
        cut = self._timeline.now_ns < self.stream_cut_until_ns
        if cut or choices.chance(self.faults.stream, "net.stream"):
            self._marks.hit("stream lost")
            self._trace.tell("network", "kernel", "the stream loses it")
            return
        self._timeline.after(self._delay(self.back_stuck_until_ns), self.deliver, self.life, report)
        if choices.chance(self.faults.again, "net.again"):
            self._timeline.after(self._delay(0), self.deliver, self.life, report)

    def replay_stream(self) -> None:
        """A connection anew, and the latest messages once more."""
        for report in self._told:
            self._timeline.after(self._delay(0), self.deliver, self.life, report)

    def _delay(self, stuck_until_ns: int) -> int:
        delay_ns = LATENCIES[self._choices.weighted(self.faults.latency, "net.delay")]
        return max(stuck_until_ns - self._timeline.now_ns, 0) + delay_ns

    def _give_up(self, letter: Letter, at_ns: int, reason: str, was_sent: bool = True) -> None:
        """Tell the sender once that nothing came; or let him find out."""
        if letter.is_given_up:
            return
        letter.is_given_up = True
        if was_sent and self._choices.chance(self.faults.quiet, "net.quiet"):
            return
        for client_order_id, number in letter.addressees:
            silence = Silence(client_order_id, letter.kind, reason, was_sent, number)
            self._timeline.at(at_ns, self.deliver, letter.life, silence)
