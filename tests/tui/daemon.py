"""A bot's socket without a bot: serves frames that a test pushes, remembers the words it is told.

Also a program, `python daemon.py SOCKET [UPDATES_PER_S]`, for terminals of their own.
"""

import asyncio
import contextlib
import sys
from decimal import Decimal
from pathlib import Path

import msgspec
from aiohttp import WSMsgType, web
from msgspec.structs import replace

from quantcli.runtime.control.wire import Done, FillItem, FillList, Frame, Look, Refusal, Word

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
from tests.tui import sample


class Daemon:
    """Answers at a socket while it is entered.  `refuse` makes it refuse every word."""

    def __init__(self, path, frame=sample.FRAME, refuse=None):
        self.path = Path(path)
        self.frame = frame
        self.refuse = refuse
        self.words = []
        self.looks = []
        self.watchers = set()
        self.joined = asyncio.Event()

    async def __aenter__(self):
        app = web.Application()
        app.router.add_get("/v1/status", self._status)
        app.router.add_get("/v1/fills", self._fills)
        app.router.add_get("/v1/watch", self._watch)
        app.router.add_post("/v1/do/{verb}", self._do)
        self._runner = web.AppRunner(app, shutdown_timeout=0.1)
        await self._runner.setup()
        self.path.unlink(missing_ok=True)
        await web.UnixSite(self._runner, str(self.path)).start()
        return self

    async def __aexit__(self, *_):
        for socket in list(self.watchers):
            await socket.close()
        await self._runner.cleanup()
        self.path.unlink(missing_ok=True)

    async def push(self, frame):
        """Tell every watcher; those who come later are told all of it."""
        changes = {
            name: told for name in Frame.__struct_fields__ if (told := getattr(frame, name)) is not None
        }
        self.frame = replace(self.frame, **changes)
        for socket in list(self.watchers):
            with contextlib.suppress(ConnectionError):
                await socket.send_str(msgspec.json.encode(frame).decode())

    async def _status(self, _):
        return web.Response(body=msgspec.json.encode(self.frame.status))

    async def _fills(self, request):
        fill = FillItem(
            "t1", request.query["symbol"], "buy", Decimal("0.0014"), Decimal("64210.1"), Decimal("0.0009"),
            "USDT", True, sample.NOW, "c1", "884120771", "i-81f2",
        )  # fmt: skip
        return web.Response(body=msgspec.json.encode(FillList(sample.NOW, (fill,), 1)))

    async def _do(self, request):
        word = msgspec.json.decode(await request.read(), type=Word)
        self.words.append((request.match_info["verb"], word.words))
        if self.refuse is not None:
            return web.Response(status=409, body=msgspec.json.encode(self.refuse))
        return web.Response(body=msgspec.json.encode(Done(f"{request.match_info['verb']}: done")))

    async def _watch(self, request):
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        await socket.send_str(msgspec.json.encode(self.frame).decode())
        self.watchers.add(socket)
        self.joined.set()
        try:
            async for message in socket:
                assert message.type is WSMsgType.TEXT
                self.looks.append(msgspec.json.decode(message.data, type=Look))
        finally:
            self.watchers.discard(socket)
        return socket


REFUSAL = Refusal("the order is gone", "it was filled a moment ago", "quant fills", "QNT-202", 7)


async def serve(path, updates_per_s):
    """A bot whose orders change so often, each change a frame of its own."""
    loop = asyncio.get_running_loop()
    async with Daemon(path) as daemon:
        began, sent = loop.time(), 0
        while True:
            await asyncio.sleep(0.02)
            due = int((loop.time() - began) * updates_per_s)
            while sent < due:
                sent += 1
                await daemon.push(changed(daemon.frame, sent))


def changed(frame, count):
    """The frame after one order's price moved."""
    at = count % 2
    orders = list(frame.orders)
    price = Decimal("64210.1") + Decimal(count % 97) / 10
    orders[at] = replace(orders[at], price=price, have_price=price)
    status = replace(frame.status, now_ns=sample.NOW + count * 500_000, feed_age_ms=float(count % 90))
    return Frame(status=status, orders=tuple(orders))


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(serve(sys.argv[1], float(sys.argv[2]) if len(sys.argv) > 2 else 0.0))
