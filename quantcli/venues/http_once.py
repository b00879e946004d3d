"""HTTP that sends each request at most once, and knows whether any of it can have left.

HTTP clients repeat requests on their own: aiohttp sends GET, PUT and DELETE again when a connection that was
kept alive turns out to be dead.  On Binance these are a query, an amendment and a cancel.  So here every
error of a connection ends the call, whatever the method; no redirect is followed, no proxy of the environment
used, no cookie kept.  Knows no exchange, no signature and no meaning of an answer.
"""

from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

import aiohttp
import msgspec
from yarl import URL

from quantcli.errors import InvariantError
from quantcli.venues.calls import Answer, NoAnswer

# A complete exchangeInfo has about 15 MB; what is larger than this is no answer to any call of ours.
_MOST_BYTES = 64 * 1024 * 1024
# Placements that hang must not keep a cancel from its connection; they are fewer than this by the exchange's
# count of orders.
_CONNECTIONS = 256


class Prepared(msgspec.Struct, frozen=True):
    """A request as it goes out; `url` is encoded already."""

    method: str
    url: str
    headers: dict[str, str] = {}
    body: str | None = None


class _Broken(aiohttp.ClientError):
    """A connection failed under a request; of a kind that aiohttp does not send again."""


class HttpOnce:
    """Keeps connections open, and sends.  `origin` (`http://127.0.0.1:8080`), if given, is the only server it
    ever talks to."""

    def __init__(self, timeout_s: float = 10.0, origin: str | None = None) -> None:
        self._timeout = aiohttp.ClientTimeout(total=timeout_s)
        self._origin = URL(origin).origin() if origin else None
        self._session: aiohttp.ClientSession | None = None

    async def send(self, request: Prepared) -> Answer:
        """Send and read to the last byte.  Raises `NoAnswer` for everything but a complete answer."""
        url = URL(request.url, encoded=True)
        if self._origin is not None and url.origin() != self._origin:
            raise InvariantError(f"a request to {url.host} where all are to go to {self._origin}")
        way = SimpleNamespace(connected=False)
        try:
            return await self._exchanged(request, url, way)
        except TimeoutError as error:
            why = "connected" if way.connected else "no connection"
            raise NoAnswer(
                f"no answer to {request.method} {url.path} in time", sent=way.connected, why=why
            ) from error
        except (aiohttp.ClientError, OSError) as error:
            what = f"no answer to {request.method} {url.path}: {_in_words(error)}"
            raise NoAnswer(what, sent=way.connected) from error

    async def _exchanged(self, request: Prepared, url: URL, way: SimpleNamespace) -> Answer:
        async with self._open().request(
            request.method,
            url,
            data=request.body.encode() if request.body else None,
            headers=request.headers,
            allow_redirects=False,
            trace_request_ctx=way,
        ) as response:
            parts, size = [], 0
            async for part in response.content.iter_any():
                size += len(part)
                if size > _MOST_BYTES:
                    raise aiohttp.ClientPayloadError(f"the answer has more than {_MOST_BYTES} bytes")
                parts.append(part)
            return Answer(response.status, _lower(response.headers), b"".join(parts))

    def _open(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=_CONNECTIONS),
                timeout=self._timeout,
                trust_env=False,
                cookie_jar=aiohttp.DummyCookieJar(),
                middlewares=(_once,),
                trace_configs=[_watch_connecting()],
            )
        return self._session

    async def close(self) -> None:
        """Close every connection."""
        session, self._session = self._session, None
        if session is not None:
            await session.close()


async def _once(request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType) -> aiohttp.ClientResponse:
    """Let an error that aiohttp would answer by sending again appear as one that it hands on."""
    try:
        return await handler(request)
    except aiohttp.ClientConnectorError:
        raise
    except (aiohttp.ClientOSError, aiohttp.ServerDisconnectedError) as error:
        raise _Broken(_in_words(error)) from error


def _watch_connecting() -> aiohttp.TraceConfig:
    """Before there is a connection nothing of a request can have left; from then on anything may."""

    async def connected(session: Any, context: SimpleNamespace, params: Any) -> None:
        context.trace_request_ctx.connected = True

    watch = aiohttp.TraceConfig()
    watch.on_connection_create_end.append(connected)
    watch.on_connection_reuseconn.append(connected)
    return watch


def _in_words(error: BaseException) -> str:
    return str(error) or type(error).__name__


def _lower(headers: Mapping[str, str]) -> dict[str, str]:
    return {name.lower(): value for name, value in headers.items()}
