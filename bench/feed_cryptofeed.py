"""cryptofeed as a client of `make bench-live`: one feed, a callback for each of trades, ticker and book.

It speaks TLS only; the sandbox's authority is trusted by SSL_CERT_FILE.  Its trades are Binance's aggregated
ones, of which the sandbox makes one for each trade.  Its book asks for a snapshot when the first difference
comes, so the first rows come at a hundred times their own speed, and all others as fast as they are read.
See `feed_watch`; runs in cryptofeed's own environment.
"""

import asyncio
from typing import Any, ClassVar

from cryptofeed import FeedHandler
from cryptofeed.connection import RestEndpoint, Routes, WebsocketEndpoint
from cryptofeed.defines import L2_BOOK, TICKER, TRADES
from cryptofeed.exchanges import Binance
from feed_watch import BOOK, QUOTES, Watch
from feed_watch import TRADES as TRADED

_FIRST_SPEED = 100
_CONFIG = {"uvloop": True, "log": {"disabled": True}}  # as it comes, but for a log file in this folder


def main() -> None:
    watch = Watch()

    class Here(Binance):
        websocket_endpoints: ClassVar = [WebsocketEndpoint(watch.job["ws_url"])]
        rest_endpoints: ClassVar = [
            RestEndpoint(
                watch.job["url"],
                routes=Routes("/api/v3/exchangeInfo", l2book="/api/v3/depth?symbol={}&limit={}"),
            )
        ]

        async def subscribe(self, conn: Any) -> None:
            await super().subscribe(conn)
            asyncio.get_running_loop().call_soon(watch.begin, _FIRST_SPEED)

    async def trade(trade: Any, _: float) -> None:
        watch.show(TRADED, int(trade.id))

    async def ticker(ticker: Any, _: float) -> None:
        watch.show(QUOTES, ticker.raw["u"])

    async def book(book: Any, _: float) -> None:
        if book.delta is None:
            watch.hurry()
        else:
            watch.show(BOOK, book.sequence_number)

    handler = FeedHandler(config=_CONFIG)
    symbol = watch.job["symbol"].replace("/", "-")
    callbacks = {TRADES: trade, TICKER: ticker, L2_BOOK: book}
    handler.add_feed(
        Here(symbols=[symbol], channels=[TRADES, TICKER, L2_BOOK], callbacks=callbacks, config=_CONFIG)
    )
    asyncio.set_event_loop(asyncio.new_event_loop())  # which today's uvloop does not make by itself
    handler.run()


if __name__ == "__main__":
    main()
