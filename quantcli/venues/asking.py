"""How a call is asked: its turn in the budget, its deadline, its moment, and a second try if it may have one.

    ask(call, lane) -> Answer        raises NoAnswer

One of these serves a whole account, so that what the exchange says to one call (slow down, your clock is
wrong) holds for all.  What places, cancels or amends is tried once, whatever happens; reads are tried again,
later each time and at odd moments.  Knows no exchange and reads no answer beyond its status.
"""

import asyncio
from collections.abc import Callable

from msgspec.structs import replace

from quantcli.clock import NS_PER_MS, NS_PER_S, Clock
from quantcli.venues.backoff import Backoff
from quantcli.venues.breaker import Breaker
from quantcli.venues.calls import Answer, Call, NoAnswer, Transport
from quantcli.venues.error_body import fault_of
from quantcli.venues.limits import Budget, Lane, TooLate
from quantcli.venues.manifest import ErrorBody
from quantcli.venues.server_clock import ServerClock

READ_TRIES = 3
_PAUSE_S, _LONGEST_PAUSE_S = 0.2, 5.0
_MOST_WINDOW_MS = 60_000  # rest-api.md, Timing security: recvWindow is at most 60 s
_READ_WINDOW_NS = 5 * NS_PER_S
_PATIENCE_NS = 30 * NS_PER_S  # what has no deadline waits for its turn no longer than this
_TOO_MANY = (429, 418)


class NotAsked(NoAnswer):
    """We did not ask at all: no turn in time, too late, or the exchange is left alone for now."""

    def __init__(self, what: str) -> None:
        super().__init__(what, sent=False)


class Asking:
    """The one way of an account's calls.

    `fence` turns milliseconds into the parameter that limits how late a signed call may be carried out;
    `dice` gives numbers in [0, 1) for the pauses.  `on_clock_doubt` is called when the exchange finds our
    timestamps wrong.
    """

    def __init__(
        self,
        transport: Transport,
        clock: Clock,
        server_clock: ServerClock,
        budget: Budget,
        breaker: Breaker,
        *,
        fence: Callable[[int], dict[str, str]],
        errors: ErrorBody,
        dice: Callable[[], float],
    ) -> None:
        self.budget, self.breaker = budget, breaker
        self.on_clock_doubt: Callable[[], None] = lambda: None
        self._transport, self._clock, self._server_clock = transport, clock, server_clock
        self._fence, self._errors, self._dice = fence, errors, dice

    async def ask(self, call: Call, lane: Lane) -> Answer:
        """Ask, and again if it is a read that failed.  Raises `NoAnswer`; other errors of the exchange are
        answers."""
        pauses = Backoff(_PAUSE_S, _LONGEST_PAUSE_S, self._dice)
        for _ in range(READ_TRIES - 1 if call.is_read else 0):
            try:
                answer = await self._once(call, lane)
            except NotAsked:
                raise
            except NoAnswer:
                pass
            else:
                if answer.status < 500 and answer.status not in _TOO_MANY:
                    return answer
            await asyncio.sleep(pauses.next())
        return await self._once(call, lane)

    async def _once(self, call: Call, lane: Lane) -> Answer:
        # Look-ups and cancels end doubt; they go on while the exchange is left alone otherwise.
        if lane not in (Lane.CANCEL, Lane.RECONCILE) and not self.breaker.allows(lane):
            raise NotAsked(f"{call.name} was not sent: the exchange did not answer properly for a while")
        deadline_ns = call.deadline_ns or self._clock.now_ns() + _PATIENCE_NS
        try:
            await self.budget.admit(lane, call.weight, call.orders, deadline_ns=deadline_ns)
        except TooLate as error:
            raise NotAsked(f"{call.name} was not sent: no turn for it in time") from error
        now_ns = self._clock.now_ns()
        fenced = self._fenced(call, now_ns) if call.is_signed else call
        try:
            answer = await self._transport.ask(fenced, self._timestamp_ms(now_ns))
        except NoAnswer as lost:
            self.breaker.failed(lost.what)
            raise
        self._heard(call, answer, now_ns)
        return answer

    def _timestamp_ms(self, now_ns: int) -> int:
        return (now_ns + self._server_clock.offset_ns) // NS_PER_MS

    def _fenced(self, call: Call, now_ns: int) -> Call:
        """The call with what keeps it from being carried out after its deadline."""
        until_ns = call.deadline_ns if call.deadline_ns is not None else now_ns + _READ_WINDOW_NS
        window_ms = min((until_ns - now_ns) // NS_PER_MS, _MOST_WINDOW_MS)
        if window_ms < 1:
            raise NotAsked(f"{call.name} was not sent: its deadline has passed")
        return replace(call, params=call.params | self._fence(window_ms))

    def _heard(self, call: Call, answer: Answer, sent_ns: int) -> None:
        """What an answer says beside what was asked: of limits, of the exchange's health, of our clock."""
        self.budget.seen(answer.headers, answer.status, sent_ns)
        if answer.status >= 500:
            self.breaker.failed(f"HTTP {answer.status} to {call.name}")
        else:
            self.breaker.succeeded()
        if 400 <= answer.status < 500 and call.is_signed:
            fault = fault_of(answer.body, self._errors)
            if fault is not None and str(fault.code) in self._errors.clock:
                self.on_clock_doubt()
