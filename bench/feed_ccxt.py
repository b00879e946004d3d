"""ccxt.pro as a client of `make bench-live`: one loop for each thing watched, as its manual shows it.

A watched book or quote is told as it is when its loop's turn comes, with what came meanwhile in it; trades
are all told.  Whether the last row has come is therefore read from what the client keeps.  See `feed_watch`;
`settings` are ccxt's own, with the sandbox's addresses.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import ccxt.pro
from feed_watch import BOOK, QUOTES, TRADES, Watch

_LOOK_S = 0.01
_KEEP = 20_000  # trades: of more than these between two turns the oldest would be lost
_SUBSCRIBE_S = 0.3


async def main() -> None:
    watch = Watch()
    symbol = watch.job["symbol"]
    client = ccxt.pro.binance(watch.job["settings"])
    client.options["tradesLimit"] = _KEEP
    await client.load_markets()

    async def trades() -> None:
        watch.seen[TRADES] += len(await client.watch_trades(symbol))

    async def quotes() -> None:
        await client.watch_bids_asks([symbol])
        watch.seen[QUOTES] += 1

    async def books() -> None:
        await client.watch_order_book(symbol)
        watch.seen[BOOK] += 1

    loops = [asyncio.create_task(for_ever(turn)) for turn in (trades, quotes, books)]
    while client.orderbooks.get(symbol, {}).get("nonce") is None:
        await look(loops)
    await asyncio.sleep(_SUBSCRIBE_S)
    watch.seen[BOOK] = 0  # the snapshot
    watch.begin()
    while True:
        await look(loops)
        if symbol in client.trades and symbol in client.bidsasks:
            watch.show(QUOTES, int(client.bidsasks[symbol]["info"]["u"]), 0)
            watch.show(BOOK, client.orderbooks[symbol]["nonce"], 0)
            newest = int(client.trades[symbol][-1]["id"])
            await look(loops)  # and its loop its turn
            watch.show(TRADES, newest, 0)


async def for_ever(turn: Callable[[], Awaitable[Any]]) -> None:
    while True:
        await turn()


async def look(loops: list["asyncio.Task[None]"]) -> None:
    """Wait a moment; an error in a loop is raised here."""
    done, _ = await asyncio.wait(loops, timeout=_LOOK_S)
    for task in done:
        task.result()


if __name__ == "__main__":
    asyncio.run(main())
