"""OKX's public protocol on a loopback socket, with real recorded traffic as its market."""

import asyncio
import gzip
import json
from collections import defaultdict
from pathlib import Path
from typing import Any

import pytest
from aiohttp import WSMsgType, web

_CAPTURE = Path(__file__).resolve().parents[2] / ".." / "shared" / "data" / "okx"


def captured() -> tuple[dict[str, str], list[dict[str, Any]]]:
    """REST replies by kind of instrument, and the messages of the capture in order."""
    path = _CAPTURE / "public_20220513.capture.jsonl.gz"
    if not path.is_file():
        pytest.skip("the recorded exchange data is not here")
    replies, messages = {}, []
    with gzip.open(path, "rt") as lines:
        for line in lines:
            record = json.loads(line)
            if record["k"] == "http":
                replies[record["url"].rpartition("instType=")[2]] = record["d"]
            elif record["k"] == "recv" and '"data"' in record["d"]:
                messages.append(json.loads(record["d"]))
    return replies, messages


class OkxServer:
    """`pump` sends `messages` one by one, each to those who subscribed to its channel and instrument."""

    def __init__(self) -> None:
        self._replies, self.messages = captured()
        self.connections = 0
        self.is_mute = False
        self.snapshots: dict[str, dict[str, Any]] = {}
        self._at = 0
        self._sockets: dict[web.WebSocketResponse, set[tuple[str, str]]] = defaultdict(set)
        self._runner: web.AppRunner | None = None
        self.url = ""

    async def __aenter__(self) -> "OkxServer":
        app = web.Application()
        app.router.add_get("/api/v5/public/instruments", self._instruments)
        app.router.add_get("/ws/v5/public", self._stream)
        self._runner = web.AppRunner(app, shutdown_timeout=0.1)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        self.url = f"http://127.0.0.1:{self._runner.addresses[0][1]}"
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.cut()
        assert self._runner is not None
        await self._runner.cleanup()

    async def pump(self, count: int) -> None:
        """Send the next messages."""
        for message in self.messages[self._at : self._at + count]:
            await self.say(message)
        self._at += count

    async def say(self, message: dict[str, Any]) -> None:
        await self.raw(json.dumps(message), (message["arg"]["channel"], message["arg"]["instId"]))

    async def raw(self, frame: str, about: tuple[str, str] | None = None) -> None:
        for socket, topics in list(self._sockets.items()):
            if (about is None or about in topics) and not socket.closed:
                await socket.send_str(frame)

    async def cut(self) -> None:
        for socket in list(self._sockets):
            await socket.close()

    @property
    def topics(self) -> set[tuple[str, str]]:
        return set().union(*self._sockets.values())

    async def _instruments(self, request: web.Request) -> web.Response:
        return web.Response(text=self._replies[request.query["instType"]], content_type="application/json")

    async def _stream(self, request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse(autoping=not self.is_mute)
        await socket.prepare(request)
        self.connections += 1
        topics = self._sockets[socket]
        try:
            async for message in socket:
                if message.type is not WSMsgType.TEXT or self.is_mute:
                    continue
                if message.data == "ping":
                    await socket.send_str("pong")
                    continue
                for topic in json.loads(message.data)["args"]:
                    topics.add((topic["channel"], topic["instId"]))
                    await socket.send_str(json.dumps({"event": "subscribe", "arg": topic}))
                    if topic["channel"] == "books" and topic["instId"] in self.snapshots:
                        await socket.send_str(json.dumps(self.snapshots[topic["instId"]]))
        finally:
            del self._sockets[socket]
        return socket


async def until(holds: Any, seconds: float = 10.0, every_s: float = 0.005) -> None:
    async def wait() -> None:
        while not holds():  # noqa: ASYNC110
            await asyncio.sleep(every_s)

    await asyncio.wait_for(wait(), seconds)
