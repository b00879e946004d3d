"""An order from the call to its acceptance, through everything there is, beside the same request sent bare.

Two processes on one sandbox, by turns: `ours` is a kernel with store, gate and venue; `bare` signs
`POST /api/v3/order` and sends it with one aiohttp session, one after the other.  They trade different markets
of one account, so that the kernel does not take the other's orders for its business.

    python bench/live_submit.py ours|bare '{"url": …, "api_key": …, "secret": …, "orders": 400}'
"""

import asyncio
import hashlib
import hmac
import json
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

DATA = Path(__file__).parent / ".data"
SLICE = 25  # so many of one kind in turn, then of the other
OURS, THEIRS = "BTC/USDT", "ETH/USDT"
MARKETS = (OURS, THEIRS)


def main() -> None:
    which, told = sys.argv[1], json.loads(sys.argv[2])
    work: Callable[[Any], Awaitable[None]] = {"ours": ours, "bare": bare}[which]
    asyncio.run(work(told))  # type: ignore[arg-type]


# Ours.


async def ours(told: Mapping[str, Any]) -> None:
    """Run both by turns and print what each order took, in seconds."""
    from live_desk import desk_at

    words = [sys.executable, __file__, "bare", json.dumps(told)]
    pipe = asyncio.subprocess.PIPE
    other = await asyncio.create_subprocess_exec(*words, stdin=pipe, stdout=pipe, limit=1 << 20)
    assert other.stdin is not None
    assert other.stdout is not None
    seconds: dict[str, list[float]] = {"bare": [], "ours": [], "commits": [], "handed over": []}
    with tempfile.TemporaryDirectory(dir=DATA) as folder:
        async with desk_at(told, Path(folder) / "bot.db", [OURS], [THEIRS]) as desk:
            line = _Line(desk)
            for first in range(-SLICE, told["orders"], SLICE):
                found = await line.slice(SLICE)
                other.stdin.write(b"go\n")
                found["bare"] = json.loads(await other.stdout.readline())
                for name, figures in found.items() if first >= 0 else ():  # the first turn warms up
                    seconds[name] += figures
    other.stdin.close()
    await other.wait()
    print(json.dumps(seconds))


class _Line:
    """Orders one after the other through a kernel, and the time of the commits on the way."""

    def __init__(self, desk: Any) -> None:
        from quantcli.model.event import OrderEventKind

        self._desk = desk
        self._accepted = asyncio.Event()
        self._accepted_s = 0.0
        self._commits: list[float] = []
        self._commit = desk.store.commit
        desk.store.commit = self._timed
        desk.kernel.subscribe_events(self._hear, {OrderEventKind.ACCEPTED})

    async def _timed(self, rows: Sequence[Any]) -> None:
        began = time.perf_counter()
        await self._commit(rows)
        self._commits.append(time.perf_counter() - began)

    def _hear(self, _: Any) -> None:
        self._accepted_s = time.perf_counter()
        self._accepted.set()

    async def slice(self, count: int) -> dict[str, list[float]]:
        """Place so many, each when the one before was accepted; then cancel them."""
        found: dict[str, list[float]] = {"ours": [], "commits": [], "handed over": []}
        kernel, order = self._desk.kernel, self._desk.rests[OURS]
        for _ in range(count):
            self._accepted.clear()
            self._commits.clear()
            began = time.perf_counter()
            await kernel.place_order(order, {"by": "bench"})
            found["handed over"].append(time.perf_counter() - began)
            await self._accepted.wait()
            found["ours"].append(self._accepted_s - began)
            found["commits"].append(sum(self._commits))
        await kernel.cancel_all_orders()
        while kernel.working():  # noqa: ASYNC110
            await asyncio.sleep(0.005)
        return found


# Bare.


async def bare(told: Mapping[str, Any]) -> None:
    """At each line on stdin place a slice of orders, cancel them, and print what each took."""
    import aiohttp

    async with aiohttp.ClientSession(headers={"X-MBX-APIKEY": told["api_key"]}) as session:
        terms = await _terms(session, told["url"])
        while await asyncio.to_thread(sys.stdin.readline):
            seconds = []
            for _ in range(SLICE):
                began = time.perf_counter()
                await _signed(session, "POST", f"{told['url']}/api/v3/order", told["secret"], terms)
                seconds.append(time.perf_counter() - began)
            gone = {"symbol": terms["symbol"]}
            await _signed(session, "DELETE", f"{told['url']}/api/v3/openOrders", told["secret"], gone)
            print(json.dumps(seconds), flush=True)


async def _terms(session: Any, url: str) -> dict[str, str]:
    """A limit order far from the market, with the answer that ours asks for."""
    name = THEIRS.replace("/", "")
    async with session.get(f"{url}/api/v3/ticker/bookTicker", params={"symbol": name}) as answer:
        bid = float((await answer.json())["bidPrice"])
    return {
        "symbol": name,
        "side": "BUY",
        "type": "LIMIT",
        "timeInForce": "GTC",
        "quantity": "0.02",
        "price": f"{bid * 0.6:.2f}",
        "newOrderRespType": "FULL",
    }


async def _signed(session: Any, method: str, url: str, secret: str, terms: Mapping[str, str]) -> None:
    query = urlencode({**terms, "recvWindow": 5000, "timestamp": time.time_ns() // 1_000_000})
    signature = hmac.new(secret.encode(), query.encode(), hashlib.sha256).hexdigest()
    async with session.request(method, f"{url}?{query}&signature={signature}") as answer:
        body = await answer.read()
        if answer.status != 200:
            raise RuntimeError(f"{method} {url}: {answer.status} {body.decode()}")


if __name__ == "__main__":
    main()
