"""The websocket doors: market streams, and the websocket API with its account events.

A door accepts a connection (or a fault does something else with it), joins its session to the socket, and
lets requests meet their faults.  What the messages mean is the business of the sessions.
"""

import asyncio
from collections.abc import Callable
from functools import partial
from typing import Any

import msgspec
from aiohttp import web

from quantcli.clock import NS_PER_MS
from quantcli.sandbox.doors import transport as wire
from quantcli.sandbox.doors.sockets import Socket, Timing
from quantcli.sandbox.faults.chaos import PASSES, Verdict, altered
from quantcli.sandbox.faults.false_answers import false_answer, false_ws_answer
from quantcli.sandbox.faults.rules import Rule
from quantcli.sandbox.futures.sources import FuturesStreams
from quantcli.sandbox.futures.user_stream import FuturesListenKeys
from quantcli.sandbox.streams.sessions import MarketSession
from quantcli.sandbox.streams.user import UserStream
from quantcli.sandbox.streams.ws_api import ApiSession
from quantcli.sandbox.venue import Venue

API_PATH, FUTURES_API_PATH = "/ws-api/v3", "/ws-fapi/v1"
# Where futures streams are, beside every path of a host of this name.
_FUTURES_PATHS = ("/public/", "/market/", "/private/")
_FUTURES_HOST = "fstream."
Push = Callable[[str, str], None]
_LONGEST_MESSAGE_BYTES = 4 << 20


class SocketDoors:
    """Accepts websockets at the exchange's paths."""

    def __init__(self, venue: Venue, timing: type[Timing] = Timing) -> None:
        self._venue = venue
        self._timing = timing

    async def accept(self, request: web.BaseRequest) -> web.StreamResponse:
        """Serve one websocket until it ends."""
        path, _, query = request.raw_path.partition("?")
        self._venue.calls[f"connect {path}"] += 1
        verdict = self._venue.chaos.connection(path)
        await self._venue.precede(verdict)
        rule = verdict.ending
        if rule is not None and rule.fault == "reset":
            wire.reset(request.transport)
            return web.Response()
        if rule is not None and rule.fault not in ("half_open", "disconnect"):
            refusal = false_answer(rule, verdict.remaining_s)
            return web.Response(status=refusal.status, body=refusal.body, headers=refusal.headers)
        return await self._serve(request, path, query, rule)

    async def _serve(
        self, request: web.BaseRequest, path: str, query: str, rule: Rule | None
    ) -> web.StreamResponse:
        response = web.WebSocketResponse(
            timeout=self._timing.says_goodbye_s,
            autoping=False,
            autoclose=False,
            compress=False,
            max_msg_size=_LONGEST_MESSAGE_BYTES,
        )
        await response.prepare(request)
        purpose = "user" if path.startswith((API_PATH, FUTURES_API_PATH)) else "market"
        socket = Socket(purpose, response, request.transport, self._venue.chaos, self._timing)
        session = self._session(socket, path, query, request.host)
        if rule is not None:
            socket.meet(rule)
        self._venue.sockets.add(socket)
        try:
            await socket.run(session.receive)
        finally:
            self._venue.sockets.discard(socket)
            session.close()
        return response

    def _session(self, socket: Socket, path: str, query: str, host: str) -> "MarketSession | _ApiDoor":
        if path.startswith(FUTURES_API_PATH):
            return _ApiDoor(self._venue, socket, query, is_futures=True)
        if path.startswith(API_PATH):
            return _ApiDoor(self._venue, socket, query, is_futures=False)
        if self._is_futures(path, host):
            public, open_account = self._venue.futures.public, partial(self._open_futures, socket)
            return MarketSession(public, path, query, socket.push, open_account, FuturesStreams)
        public = self._venue.spot.public
        return MarketSession(public, path, query, socket.push, partial(self._open_spot, socket))

    def _is_futures(self, path: str, host: str) -> bool:
        """Streams of futures are meant; where no path or host says so, if there is nothing else."""
        if path.startswith(_FUTURES_PATHS) or host.startswith(_FUTURES_HOST):
            return True
        return not self._venue.spot.account.instruments and bool(self._venue.futures.account.instruments)

    def _open_spot(self, socket: Socket, listen_key: str, send: Push) -> Callable[[], None] | None:
        """The account's events in the old way, on a market socket; what ends them."""
        if not self._venue.spot.dispatcher.listen_keys.is_valid(listen_key):
            return None
        socket.purpose = "user"
        return UserStream(self._venue.spot.account, send).close

    def _open_futures(self, socket: Socket, listen_key: str, send: Push) -> Callable[[], None] | None:
        """The futures account's events; what ends them."""
        keys: FuturesListenKeys = self._venue.futures.dispatcher.listen_keys
        if not keys.is_valid(listen_key):
            return None
        socket.purpose = "user"
        return keys.open(send).close


class _ApiDoor:
    """One connection to the websocket API: its requests meet their faults on the way in and out."""

    def __init__(self, venue: Venue, socket: Socket, query: str, is_futures: bool) -> None:
        self._venue = venue
        self._socket = socket
        self._prefix = "ws-fapi" if is_futures else "ws"
        dispatcher = (venue.futures if is_futures else venue.spot).dispatcher
        account = None if is_futures else venue.spot.account
        self._session = ApiSession(dispatcher, account, venue.clock, socket.push, query)
        venue.api_sessions.add(self._session)

    def close(self) -> None:
        """The connection has ended."""
        self._venue.api_sessions.discard(self._session)
        self._session.close()

    def receive(self, text: str) -> None:
        """Carry out one request."""
        name, params = self._session.endpoint_of(text)
        name = f"{self._prefix} {name}"
        self._venue.calls[name] += 1
        verdict = self._venue.chaos.call(name, params)
        if verdict is PASSES:
            self._reply(self._apply(text))
        else:
            self._venue.spawn(self._troubled(text, verdict))

    def _reply(self, text: str | None) -> None:
        if text is not None:
            self._socket.send(text)

    def _apply(self, text: str, lag_s: float = 0.0) -> str | None:
        if not lag_s:
            reply = self._session.receive(text)
        else:
            with self._venue.looking_back(lag_s):
                reply = self._session.receive(text)
        self._venue.settle()
        return reply

    async def _troubled(self, text: str, verdict: Verdict) -> None:
        rule = verdict.ending
        await self._venue.precede(verdict)
        reply: str | None = None
        if rule is None or rule.applied:
            reply = self._apply(text, verdict.lag_s)
        if reply is not None:
            reply = altered(reply, verdict.changes)
        if verdict.after_s:
            await asyncio.sleep(verdict.after_s)
        if rule is None:
            self._reply(reply)
        else:
            self._end(text, reply or "", rule, verdict.remaining_s)

    def _end(self, text: str, reply: str, rule: Rule, remaining_s: float) -> None:
        match rule.fault:
            case "lost_request" | "lost_answer":
                if not rule.hold:
                    self._socket.reset()
            case "reset" | "half_open":
                self._socket.meet(rule)
            case "truncate":
                self._socket.send(reply[: rule.bytes])
            case "wrong_id":
                self._socket.send(altered(reply, {"id": "0"}))
            case "trickle":
                self._socket.send(reply)
            case _:
                now_ms = self._venue.clock.now_ns() // NS_PER_MS
                self._socket.send(false_ws_answer(rule, remaining_s, _id_of(text), now_ms))


def _id_of(text: str) -> Any:
    try:
        request = msgspec.json.decode(text)
    except msgspec.DecodeError:
        return None
    return request.get("id") if isinstance(request, dict) else None
