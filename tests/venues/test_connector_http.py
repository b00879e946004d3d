"""Sending at most once: proved on raw sockets, beside a client that does send again."""

import asyncio

import aiohttp
import pytest

from quantcli.errors import InvariantError
from quantcli.venues.calls import NoAnswer
from quantcli.venues.http_once import HttpOnce, Prepared
from tests.venues import stand_in as faults
from tests.venues.opened import running

METHODS = ["GET", "PUT", "DELETE", "POST"]
GOOD = faults.answer(200, b"{}")


class Socket:
    """Reads whole requests and answers each connection's n-th by a script: bytes, or None to close."""

    def __init__(self, *script):
        self.script, self.connections, self.requests = script, 0, []
        self.url = ""

    async def __aenter__(self):
        self.server = await asyncio.start_server(self.serve, "127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{self.server.sockets[0].getsockname()[1]}/path"
        return self

    async def __aexit__(self, *error):
        self.server.close()
        await self.server.wait_closed()

    async def serve(self, reader, writer):
        self.connections += 1
        try:
            for step in self.script:
                head = await reader.readuntil(b"\r\n\r\n")
                self.requests.append(head.split(b" ")[0].decode())
                if step is None:
                    break
                writer.write(step)
        except asyncio.IncompleteReadError:
            pass
        finally:
            writer.close()


@pytest.fixture
async def http():
    once = HttpOnce(timeout_s=0.5)
    yield once
    await once.close()


async def lost(http, request):
    with pytest.raises(NoAnswer) as failure:
        await http.send(request)
    return failure.value


@pytest.mark.parametrize("method", METHODS)
async def test_a_kept_connection_that_dies_under_a_request_is_not_tried_again(http, method):
    async with Socket(GOOD, None) as server:
        await http.send(Prepared("GET", server.url))
        failure = await lost(http, Prepared(method, server.url))
        await asyncio.sleep(0.05)
        assert failure.sent is True
        assert (server.requests, server.connections) == (["GET", method], 1)


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE"])
async def test_an_ordinary_client_would_have_tried_again(method):
    async with Socket(GOOD, None) as server, aiohttp.ClientSession() as session:
        async with session.get(server.url) as response:
            await response.read()
        async with session.request(method, server.url) as response:
            await response.read()
        assert (server.requests, server.connections) == (["GET", method, method], 2)


@pytest.mark.parametrize("method", METHODS)
async def test_a_fresh_connection_that_dies_is_not_tried_again_either(http, method):
    async with Socket(None) as server:
        failure = await lost(http, Prepared(method, server.url))
        await asyncio.sleep(0.05)
        assert failure.sent is True
        assert (server.requests, server.connections) == ([method], 1)


async def test_a_connection_that_the_other_side_closed_while_idle_is_replaced(http):
    async with Socket(GOOD) as server:
        await http.send(Prepared("GET", server.url))
        await asyncio.sleep(0.05)
        assert (await http.send(Prepared("PUT", server.url))).status == 200
        assert (server.requests, server.connections) == (["GET", "PUT"], 2)


@pytest.mark.parametrize(
    "answer",
    [
        faults.answer(200, b'{"a":1}', length=8),
        faults.answer(200, b"", length=1),
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n{}",
        b"HTTP/1.1 200 OK\r\nContent-Le",
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Encoding: gzip\r\n\r\n{}",
        b"not HTTP at all\r\n\r\n",
    ],
)
async def test_an_answer_that_is_not_whole_is_none(http, answer):
    async with Socket(answer) as server:
        assert (await lost(http, Prepared("POST", server.url))).sent is True
        assert server.requests == ["POST"]


async def test_a_whole_answer_comes_as_it_is(http):
    head = {"X-MBX-USED-WEIGHT-1M": "7"}
    async with Socket(faults.answer(418, b"\xff\x00", head)) as server:
        answer = await http.send(Prepared("GET", server.url))
        assert (answer.status, answer.body, answer.headers["x-mbx-used-weight-1m"]) == (418, b"\xff\x00", "7")


async def test_the_time_for_a_call_is_over_in_all(http):
    async with Socket(faults.answer(200, b"{", length=1000)) as server:
        server.script = (b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n", *[b"x"])
        assert (await lost(http, Prepared("GET", server.url))).sent is True


async def test_without_a_connection_nothing_can_have_left(http):
    async with Socket(GOOD) as server:
        url = server.url
    assert (await lost(http, Prepared("POST", url))).sent is False
    assert (await lost(http, Prepared("POST", "http://no-such-host.invalid/x"))).sent is False
    async with Socket(b"") as plain:
        secure = plain.url.replace("http:", "https:")
        assert (await lost(http, Prepared("POST", secure))).sent is False


async def test_a_connection_that_is_never_made_is_given_up_as_not_sent(http):
    """A full backlog swallows the handshake."""
    import socket

    with socket.socket() as deaf:
        deaf.bind(("127.0.0.1", 0))
        deaf.listen(0)
        address = deaf.getsockname()
        fillers = [socket.socket() for _ in range(3)]
        for filler in fillers:
            filler.setblocking(False)
            filler.connect_ex(address)
        failure = await lost(http, Prepared("POST", f"http://127.0.0.1:{address[1]}/"))
        for filler in fillers:
            filler.close()
        assert failure.sent is False


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_no_redirect_is_followed(http, status):
    async with running() as elsewhere:
        moved = faults.answer(status, b"", {"Location": elsewhere.endpoint + "/api/v3/ping"})
        async with Socket(moved) as server:
            assert (await http.send(Prepared("GET", server.url))).status == status
            assert elsewhere.calls == []


async def test_proxies_of_the_environment_are_not_used(http, monkeypatch):
    async with Socket(GOOD) as proxy, Socket(GOOD) as server:
        monkeypatch.setenv("HTTP_PROXY", proxy.url.removesuffix("/path"))
        monkeypatch.setenv("http_proxy", proxy.url.removesuffix("/path"))
        monkeypatch.delenv("NO_PROXY", raising=False)
        monkeypatch.delenv("no_proxy", raising=False)
        await http.send(Prepared("GET", server.url))
        assert (proxy.requests, server.requests) == ([], ["GET"])


async def test_cookies_are_not_kept(http):
    async with running() as server:
        server.headers["Set-Cookie"] = "session=1"
        request = Prepared("GET", server.endpoint + "/api/v3/ping")
        await http.send(request)
        assert len(http._session.cookie_jar) == 0


async def test_a_request_to_another_server_than_the_given_one_is_a_fault_of_ours():
    http = HttpOnce(origin="http://127.0.0.1:1")
    for url in ("https://api.binance.com/api/v3/ping", "http://127.0.0.1:2/x", "https://127.0.0.1:1/x"):
        with pytest.raises(InvariantError):
            await http.send(Prepared("GET", url))
    await http.close()
