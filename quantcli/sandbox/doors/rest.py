"""The REST door: an HTTP request becomes a call, meets its fault, and its reply becomes a response.

Whether a call is applied when the client leaves is settled here as it is on an exchange: what has arrived is
carried out, whoever is left to hear of it.  What calls mean is the dispatcher's business.
"""

import asyncio
from collections.abc import Mapping
from urllib.parse import parse_qsl

from aiohttp import web

from quantcli.sandbox.dispatch import Call, Reply
from quantcli.sandbox.doors import transport as wire
from quantcli.sandbox.faults.chaos import PASSES, Verdict, altered
from quantcli.sandbox.faults.false_answers import NO_ANSWER, false_answer
from quantcli.sandbox.faults.rules import Rule
from quantcli.sandbox.venue import Venue

# In place of a reply, on a connection that is no longer there.
GONE = web.Response


class RestDoor:
    """Answers requests to `/api`, `/sapi` and `/fapi`."""

    def __init__(self, venue: Venue) -> None:
        self._venue = venue

    async def answer(self, request: web.BaseRequest) -> web.StreamResponse:
        """Carry out one request."""
        body = (await request.read()).decode("utf-8", "replace")
        # The query as it was sent: its bytes are signed.
        path, _, query = request.raw_path.partition("?")
        endpoint = self._venue.dispatcher_of(path).endpoint_of(request.method, path)
        name = endpoint.name if endpoint is not None else f"{request.method} {path}"
        self._venue.calls[name] += 1
        verdict = self._venue.chaos.call(name, _params(query, body))
        await self._venue.precede(verdict)
        headers = {key.lower(): value for key, value in request.headers.items()}
        at_ns = self._venue.clock.now_ns()
        call = Call(request.method, path, query, body, headers, at_ns)
        if verdict is PASSES:
            return _response(self._apply(call))
        return await self._troubled(request, call, verdict)

    def _apply(self, call: Call, lag_s: float = 0.0) -> Reply:
        if not lag_s:
            reply = self._venue.dispatcher_of(call.path).reply(call)
        else:
            with self._venue.looking_back(lag_s):
                reply = self._venue.dispatcher_of(call.path).reply(call)
        self._venue.settle()
        return reply

    async def _troubled(self, request: web.BaseRequest, call: Call, verdict: Verdict) -> web.StreamResponse:
        rule = verdict.ending
        reply = NO_ANSWER
        if rule is None or rule.applied:
            reply = self._apply(call, verdict.lag_s)
        if verdict.changes:
            changed = altered(reply.body.decode(), verdict.changes)
            reply = Reply(reply.status, changed.encode(), reply.headers)
        if verdict.after_s:
            await asyncio.sleep(verdict.after_s)
        if rule is None:
            return _response(reply)
        return await _end(request, reply, rule, verdict.remaining_s)


def _params(query: str, body: str) -> Mapping[str, str]:
    return dict(parse_qsl(f"{query}&{body}", keep_blank_values=True))


def _response(reply: Reply) -> web.Response:
    return web.Response(status=reply.status, body=reply.body, headers=reply.headers)


async def _end(request: web.BaseRequest, reply: Reply, rule: Rule, remaining_s: float) -> web.StreamResponse:
    """Let a call end as the rule says."""
    transport = request.transport
    more = {"Connection": "close"} if rule.fault == "trickle" else {}
    data = wire.head(reply.status, reply.headers | more, len(reply.body))
    match rule.fault:
        case "lost_request" | "lost_answer" if not rule.hold:
            wire.close(transport)
        case "lost_request" | "lost_answer" | "half_open":
            await wire.hold(transport)
        case "truncate":
            await wire.cut(transport, data + reply.body[: rule.bytes])
        case "trickle":
            await wire.trickle(transport, data + reply.body, rule.seconds)
        case "reset":
            await wire.break_after(transport, (data + reply.body)[: rule.bytes])
        case _:
            return _response(false_answer(rule, remaining_s))
    return GONE()
