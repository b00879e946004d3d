"""What a bot's database remembers, for those who look: fills, settled orders, one order's whole story.

Each question opens the file read-only and closes it again, in whatever loop it is asked: the trading loop is
never waited for.
"""

from pathlib import Path

from quantcli.errors import NotFoundError, UsageError
from quantcli.kernel.policy import Policy
from quantcli.runtime.control.rows import Wanted, fill_item, item
from quantcli.runtime.control.stories import story as story_of
from quantcli.runtime.control.wire import FillItem, OrderItem, Story
from quantcli.store.sqlite import open_readonly


async def fills(
    database: Path, symbol: str = "", order: str = "", limit: int = 100
) -> tuple[tuple[FillItem, ...], int]:
    """The newest fills, newest first, of one market or order if named; and how many there are in all."""
    async with open_readonly(database) as store:
        found, total = await store.latest_fills(symbol or None, order or None, limit)
    return tuple(map(fill_item, found)), total


async def settled(database: Path, symbol: str = "", limit: int = 500) -> tuple[OrderItem, ...]:
    """Orders that are settled, newest first."""
    async with open_readonly(database) as store:
        found = await store.latest_settled(symbol or None, limit)
    return tuple(item(Wanted(intent, tuple(attempts))) for intent, attempts in found)


async def wanted_of(database: Path, name: str) -> Wanted:
    """The wish that an intent id names, or its beginning or end; raises `NotFoundError`, `UsageError`."""
    async with open_readonly(database) as store:
        found = await store.named(name)
    if not found:
        raise NotFoundError(
            f"no order is called {name!r}",
            why="it is neither an intent id nor the beginning or end of one",
            todo="quant orders --all",
        )
    if len(found) > 1:
        ids = "\n".join(intent.intent_id for intent, _ in found[:10])
        raise UsageError(f"{name!r} could be {len(found)} orders", why=ids, todo="give more of the id")
    ((intent, attempts),) = found
    return Wanted(intent, tuple(attempts))


async def story(database: Path, wanted: Wanted, slot_status: str, now_ns: int, policy: Policy) -> Story:
    """One order's whole story."""
    async with open_readonly(database) as store:
        journal = await store.journal(wanted.intent.intent_id)
        traded, _ = await store.latest_fills(None, wanted.intent.intent_id, 1_000)
    return story_of(wanted, reversed(traded), journal[-200:], now_ns, policy, slot_status)
