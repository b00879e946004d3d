"""Listens on loopback and shows each request to the door it belongs to: REST, websockets, control.

One plain port, and another with TLS if asked for.  What goes through the doors is not known here.
"""

import asyncio
import ssl
from collections.abc import Awaitable, Callable

from aiohttp import web

from quantcli.errors import QuantError
from quantcli.sandbox.control import PREFIX, Control
from quantcli.sandbox.doors.rest import RestDoor
from quantcli.sandbox.doors.sockets import Timing
from quantcli.sandbox.doors.upgrades import SocketDoors
from quantcli.sandbox.venue import Venue

HOST = "127.0.0.1"
_LEAVES_WITHIN_S = 0.5


class Server:
    """The venue behind real sockets.  `open`, then it serves; `close` ends every connection."""

    def __init__(self, venue: Venue, control: Control, timing: type[Timing] = Timing) -> None:
        self._venue = venue
        self._control = control
        self._rest = RestDoor(venue)
        self._sockets = SocketDoors(venue, timing)
        # A request that has arrived is carried out even if its client leaves.
        self._http = web.Server(self._answer, handler_cancellation=False, access_log=None)
        self._listening: list[asyncio.Server] = []

    async def open(self, port: int = 0, tls: ssl.SSLContext | None = None) -> int:
        """Listen on a port (0: any that is free), with TLS if a context is given; the port.

        Raises `QuantError` if it is taken.
        """
        loop = asyncio.get_running_loop()
        try:
            listening = await loop.create_server(self._http, HOST, port, ssl=tls, backlog=512)
        except OSError as error:
            raise QuantError(
                f"cannot listen on {HOST}:{port}",
                why=error.strerror or str(error),
                todo="choose another --port, or none and take what is free",
            ) from None
        self._listening.append(listening)
        number: int = listening.sockets[0].getsockname()[1]
        return number

    async def close(self) -> None:
        """End every connection and stop listening."""
        for listening in self._listening:
            listening.close()
        self._venue.disconnect()
        self._venue.close()
        await asyncio.sleep(0)
        await self._http.shutdown(_LEAVES_WITHIN_S)

    async def _answer(self, request: web.BaseRequest) -> web.StreamResponse:
        door = self._door(request)
        return await door(request)

    def _door(self, request: web.BaseRequest) -> Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]:
        if request.path.startswith(PREFIX):
            return self._command
        if request.headers.get("Upgrade", "").lower() == "websocket":
            return self._sockets.accept
        return self._rest.answer

    async def _command(self, request: web.BaseRequest) -> web.StreamResponse:
        body = (await request.read()).decode("utf-8", "replace")
        reply = self._control.answer(request.method, request.path, body)
        return web.Response(status=reply.status, body=reply.body, headers=reply.headers)
