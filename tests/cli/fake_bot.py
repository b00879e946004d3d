"""A bot as those who ask it see it: a Unix socket at its place that serves the wire's structs.

Answers what it is given; keeps the words it is told.
"""

import os
import socketserver
import threading
from decimal import Decimal
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import unquote, urlsplit

import msgspec

from quantcli.places import Project, socket_path
from quantcli.runtime.control import wire
from quantcli.store.database import LockFile

S = 1_000_000_000
NOW = 1_763_630_042 * S


def order(number: int, slot: str, **fields: Any) -> wire.OrderItem:
    """A wish of BTC/USDT that is in sync, unless told otherwise."""
    known = {
        "intent_id": f"ab00000000000000{number:04d}",
        "client_order_id": f"c{number}",
        "exchange_order_id": f"88{number}",
        "symbol": "BTC/USDT",
        "side": "buy",
        "type": "LIMIT",
        "slot": slot,
        "phase": "ACTIVE",
        "status": "NEW",
        "qty": Decimal("0.01"),
        "price": Decimal("64210.1"),
        "stop_price": None,
        "filled": Decimal(0),
        "condition": "InSync",
        "drift": "-",
        "reason": "",
        "created_ns": NOW - 42 * S,
        "updated_ns": NOW - 42 * S,
        "have_qty": Decimal("0.01"),
        "have_price": Decimal("64210.1"),
    }
    return wire.OrderItem(**known | fields)


STRANGER = order(
    9, "", intent_id="", exchange_order_id="9001", phase="", mark="x", drift="orphan", condition="Foreign"
)
FILL = wire.FillItem(
    "77", "BTC/USDT", "buy", Decimal("0.03"), Decimal(64101), Decimal("0.1"), "USDT", True, NOW, "c1", "881"
)
EVENTS = (
    wire.EventItem(1, NOW - 9 * S, "info", "filled", "BTC/USDT", "BTC/USDT bid B 0.03 @ 64101"),
    wire.EventItem(2, NOW - 2 * S, "warn", "unknown", "BTC/USDT", "no answer", why="silence", todo="wait"),
)


class FakeBot:
    """`mm` of a project, running: it holds its lock, as a bot does."""

    def __init__(self, root: Path) -> None:
        self.project = Project(root)
        self.words: list[tuple[str, dict[str, str]]] = []
        self.refuses: wire.Refusal | None = None
        self.on_stop = lambda: None
        self.status = wire.Status(
            bot="mm",
            pid=os.getpid(),
            exchange="binance",
            endpoint="",
            world="PAPER",
            strategy="touch.py:Touch",
            symbols=("BTC/USDT",),
            started_ns=NOW - 3 * 3600 * S,
            now_ns=NOW,
            state="trading",
            marks={"=": 1, "~": 1},
            open_orders=2,
            swept_ns=NOW - 2 * S,
            currency="USDT",
            equity=Decimal("10012.31"),
            start_equity=Decimal(10000),
            project=str(root),
        )
        self.orders = [
            order(1, "bid"),
            order(2, "ask", side="sell", mark="~", drift="px +0.5", have_price=Decimal("64213.4")),
            STRANGER,
        ]
        self.positions = [
            wire.PositionItem(
                "BTC/USDT",
                "long",
                Decimal("0.03"),
                Decimal("64101"),
                Decimal("7.13"),
                Decimal("0.84"),
                {},
                "USDT",
                NOW,
                Decimal("64211.5"),
                Decimal("3.315"),
            )
        ]
        self.events = list(EVENTS)
        path = socket_path(self.project, "mm", os.environ)
        assert path is not None
        lock = self.project.database("mm").with_name("mm.db.lock")
        self._lock = LockFile(lock)
        lock.write_bytes(b"")  # this process will not end when the bot does
        self._server = _Server(str(path), _handler(self))
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))
        self._path = path

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.leave()

    def leave(self) -> None:
        """End; twice does no harm."""
        if self._thread.is_alive():
            self._server.shutdown()
            self._thread.join()
            self._server.server_close()
            self._path.unlink()
            self._lock.release()

    def answer(self, what: str) -> msgspec.Struct:
        """What a GET gets."""
        wallet = (wire.WalletItem("USDT", Decimal(8000), Decimal(500), Decimal(8500), Decimal(0)),)
        kind, _, name = what.partition("/")
        answers = {
            "status": self.status,
            "orders": self._story(name) if name else wire.OrderList(NOW, tuple(self.orders)),
            "positions": wire.PositionList(NOW, tuple(self.positions), wallet),
            "fills": wire.FillList(NOW, (FILL,), 1),
            "events": wire.EventList(NOW, tuple(self.events)),
            "health": wire.Health((), (), ()),
        }
        return answers[kind]

    def _story(self, name: str) -> wire.Story:
        item = next(item for item in self.orders if name in item.intent_id)
        steps = (wire.Next("cancel", "no longer wanted as it is"),)
        told = (wire.Happened(NOW - S, 1, "placed", "as c1"),)
        tried = ({"attempt": 1, "state": "LIVE", "status": "NEW", "client_order_id": "c1"},)
        return wire.Story(item, "working on the exchange", {"slot": item.slot}, tried, (), told, steps)

    def do(self, verb: str, words: dict[str, str]) -> wire.Done:
        """What a POST gets."""
        self.words.append((verb, words))
        if verb == "stop":
            threading.Thread(target=self.on_stop).start()
        return wire.Done(f"{verb} is done", tuple(words.values()))


class _Server(socketserver.ThreadingUnixStreamServer):
    daemon_threads = True


def _handler(bot: FakeBot) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            what = unquote(urlsplit(self.path).path).removeprefix("/v1/")
            self._reply(200, bot.answer(what))

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            verb = self.path.removeprefix("/v1/do/")
            if bot.refuses is not None:
                self._reply(409, bot.refuses)
            else:
                self._reply(200, bot.do(verb, msgspec.json.decode(body, type=wire.Word).words))

        def _reply(self, status: int, answer: msgspec.Struct) -> None:
            body = msgspec.json.encode(answer)
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:
            """Say nothing."""

    return Handler
