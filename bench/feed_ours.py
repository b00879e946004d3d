"""Our feed as a client of `make bench-live`: socket, codec, book, then a bus topic with one subscriber.

With `"book": false` no book is kept: events only.  See `feed_watch`.
"""

import asyncio
import sys

from feed_watch import BOOK, QUOTES, TRADES, Watch

from quantcli.bus import Bus, Topic
from quantcli.clock import SteadyClock
from quantcli.model.event import market_topic
from quantcli.model.market import EVENT_TYPES, BookUpdate, Channel, MarketEvent, Ticker, Trade
from quantcli.runtime.view import LiveView
from quantcli.venues.feed import open_feed
from quantcli.venues.inbox import Item

CHANNELS = (Channel.TRADES, Channel.QUOTES, Channel.BOOK)
_CHANNEL_OF = {EVENT_TYPES[channel]: channel for channel in CHANNELS}


async def main() -> None:
    watch, bus, clock = Watch(), Bus(), SteadyClock()
    topics: dict[tuple[type, str], Topic] = {}
    view = LiveView(clock.now_ns) if watch.job["book"] else None

    def put(item: Item) -> None:
        channel = _CHANNEL_OF.get(type(item))  # type: ignore[arg-type]
        if channel is None:
            sys.stderr.write(f"{item}\n")
            return
        event: MarketEvent = item  # type: ignore[assignment]
        if view is not None:
            view.take(event)
        topic = topics.get((type(event), event.symbol))
        if topic is None:
            topic = topics[type(event), event.symbol] = bus.topic(market_topic(channel, event.symbol))
        topic.publish(event)

    def hear(event: MarketEvent) -> None:
        match event:
            case Trade():
                watch.show(TRADES, event.trade_id)
            case Ticker():
                watch.show(QUOTES, event.update_id)
            case BookUpdate(is_snapshot=True):
                asyncio.get_running_loop().call_soon(watch.begin)
            case BookUpdate():
                watch.show(BOOK, event.last_id)

    bus.subscribe("market.**", hear)
    await open_feed("binance", [watch.job["symbol"]], CHANNELS, clock, put, watch.job["endpoint"]).run()


if __name__ == "__main__":
    asyncio.run(main())
