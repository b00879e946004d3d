"""The kernel's way to a live exchange: each request a task, each outcome a report in the inbox.

`send` only begins; it never waits and never raises.  Whatever becomes of a request becomes a report: what the
connector makes of the answer, or `Silence` where a task was ended, failed, or never began.  How calls are
asked, and in which order, is the connector's business; what a report means is the kernel's.
"""

import asyncio
from collections.abc import Iterator

from quantcli.model.message import (
    Amend,
    Asked,
    Cancel,
    Lookup,
    Place,
    PlaceList,
    Refusal,
    Request,
    Silence,
    Survey,
)
from quantcli.venues.connector import Connector
from quantcli.venues.error_body import says_disabled
from quantcli.venues.inbox import Inbox, Notice

# More requests under way than this can only be an error of ours, or an exchange that answers nothing.
_MOST_TASKS = 1_000
# Kept free for what makes things better rather than larger.
_RESERVED = 200


class VenueGateway:
    """`ports.Gateway` over a connector; needs a running event loop."""

    def __init__(self, connector: Connector, inbox: Inbox, most_tasks: int = _MOST_TASKS) -> None:
        self._connector, self._inbox = connector, inbox
        self._most = most_tasks
        self._tasks: dict[asyncio.Task[None], Request] = {}
        self._surveys: dict[str, Survey | None] = {}  # by symbol: under way, and the one to follow
        self._is_closed = False

    def __len__(self) -> int:
        """How many requests are under way."""
        return len(self._tasks)

    def send(self, request: Request) -> None:
        """Begin a request; what comes of it is put into the inbox."""
        reserved = 0 if isinstance(request, Cancel | Lookup | Survey) else min(_RESERVED, self._most // 2)
        if self._is_closed:
            self._say_silence(request, "the way to the exchange is closed", sent=False)
        elif len(self._tasks) >= self._most - reserved:
            self._say_silence(request, f"{len(self._tasks)} requests are under way already", sent=False)
        elif isinstance(request, Survey) and request.symbol in self._surveys:
            self._surveys[request.symbol] = request  # the latest one, when the one under way is done
        else:
            self._begin(request)

    def _begin(self, request: Request) -> None:
        if isinstance(request, Survey):
            self._surveys[request.symbol] = None
        task = asyncio.get_running_loop().create_task(self._carry_out(request))
        self._tasks[task] = request
        task.add_done_callback(self._ended)

    async def _carry_out(self, request: Request) -> None:
        for report in await self._connector.report(request):
            self._inbox.put(report)
            places = self._connector.manifest.error_body
            if isinstance(report, Refusal) and says_disabled(report.message, places):
                self._inbox.put(Notice("trading_disabled", f"{report.code}: {report.message}"))

    def _ended(self, task: asyncio.Task[None]) -> None:
        """A task that came to no report was cancelled, or failed by a fault of ours: nobody knows how far the
        request came."""
        request = self._tasks.pop(task)
        if task.cancelled():
            self._say_silence(request, "given up when the way to the exchange was closed", sent=True)
        elif (error := task.exception()) is not None:
            self._say_silence(request, f"{type(error).__name__}: {error}", sent=True)
        if isinstance(request, Survey):
            following = self._surveys.pop(request.symbol)
            if following is not None:
                self.send(following)

    def _say_silence(self, request: Request, reason: str, sent: bool) -> None:
        for silence in silences(request, reason, sent):
            self._inbox.put(silence)

    async def close(self, grace_s: float = 2.0) -> None:
        """Accept nothing more; give what is under way so long to end, then end it."""
        self._is_closed = True
        if self._tasks:
            await asyncio.wait(list(self._tasks), timeout=grace_s)
        left = list(self._tasks)
        for task in left:
            task.cancel()
        if left:
            await asyncio.wait(left)


def silences(request: Request, reason: str, sent: bool) -> Iterator[Silence]:
    """One for every order that a request was about; a survey is about none."""
    match request:
        case Place():
            yield Silence(request.client_order_id, Asked.PLACE, reason, sent)
        case PlaceList():
            for place in request.places:
                yield Silence(place.client_order_id, Asked.PLACE, reason, sent)
        case Amend():
            yield Silence(request.client_order_id, Asked.AMEND, reason, sent, request.number)
        case Cancel():
            yield Silence(request.client_order_id, Asked.CANCEL, reason, sent)
        case Lookup():
            yield Silence(request.client_order_id, Asked.LOOKUP, reason, sent)
