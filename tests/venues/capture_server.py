"""A server that says what was recorded of an exchange: REST replies by path and query, and every message of a
socket to whoever has subscribed to anything, in order and all at once."""

import asyncio
import gzip
import json
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest
from aiohttp import WSMsgType, web

_DATA = Path(__file__).resolve().parents[2] / ".." / "shared" / "data"


class CaptureServer:
    """`requests` is how many subscriptions it waits for; `messages` are those of sockets whose address ends
    in `path`."""

    def __init__(self, capture: str, path: str, requests: int) -> None:
        file = _DATA / f"{capture}.capture.jsonl.gz"
        if not file.is_file():
            pytest.skip("the recorded exchange data is not here")
        self.messages: list[str] = []
        self._replies: list[tuple[str, dict[str, str], str]] = []
        self._wanted = requests
        self._asked = 0
        self._done = asyncio.Event()
        self.url = ""
        wanted = set()
        with gzip.open(file, "rt") as lines:
            for record in map(json.loads, lines):
                if record["k"] == "http":
                    parts = urlsplit(record["url"])
                    self._replies.append((parts.path, dict(parse_qsl(parts.query)), record["d"]))
                elif record["k"] == "conn" and record["url"].endswith(path):
                    wanted.add(record["c"])
                elif record["k"] == "recv" and record["c"] in wanted:
                    self.messages.append(record["d"])

    def parsed(self) -> list[dict[str, Any]]:
        return [json.loads(message) for message in self.messages]

    async def __aenter__(self) -> "CaptureServer":
        app = web.Application()
        app.router.add_get("/{path:.*}", self._answer)
        self._runner = web.AppRunner(app, shutdown_timeout=0.1)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        self.url = f"http://127.0.0.1:{self._runner.addresses[0][1]}"
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._runner.cleanup()

    async def said_everything(self) -> None:
        await asyncio.wait_for(self._done.wait(), 10)

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        if request.headers.get("Upgrade", "").lower() == "websocket":
            return await self._stream(request)
        for path, query, body in self._replies:
            if path == request.path and all(request.query.get(k, v) == v for k, v in query.items()):
                return web.Response(text=body, content_type="application/json")
        return web.json_response({"retCode": 0, "result": {"list": []}, "products": []})

    async def _stream(self, request: web.Request) -> web.StreamResponse:
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        async for message in socket:
            if message.type is WSMsgType.TEXT and "subscribe" in message.data:
                self._asked += 1
                if self._asked == self._wanted:
                    for text in self.messages:
                        await socket.send_str(text)
                    self._done.set()
        return socket
