"""Where a bot's orders and money are, as its state database remembers it.

A bot stays in its world: orders of one exchange mean nothing on another, nor on paper.  Light to import, for
the listings.
"""

from typing import TYPE_CHECKING

import msgspec

from quantcli.errors import SafetyError

if TYPE_CHECKING:
    from quantcli.store.reading import ReadStore
    from quantcli.store.sqlite import SQLiteStore

WORLD_META = "session.world"
_OWNER_META = "session.account"
# What the account held when the bot first began, on paper and live.
CASH_META, BALANCES_META = "paper.cash", "live.balances"


class World(msgspec.Struct, frozen=True):
    """Where a bot's orders and money are: on paper, or live on an exchange (or what stands in for it)."""

    exchange: str = ""
    endpoint: str | None = None

    @property
    def is_live(self) -> bool:
        """Whether it is not on paper."""
        return bool(self.exchange)

    def __str__(self) -> str:
        if not self.is_live:
            return "paper"
        return f"{self.exchange} at {self.endpoint}" if self.endpoint else self.exchange


PAPER = World()


async def world_of(store: "SQLiteStore | ReadStore") -> World | None:
    """Where the orders of a database are; `None` if it has none yet."""
    known = await store.get_meta(WORLD_META)
    if known is not None:
        return msgspec.json.decode(known, type=World)
    has_traded = bool((await store.everything()).intents)
    return PAPER if has_traded else None  # it was made before worlds were told apart


async def same_world(store: "SQLiteStore", world: World) -> None:
    """Refuse to go on with a bot's orders and books where they are not."""
    known = await world_of(store)
    if known is None:
        await store.set_meta(WORLD_META, msgspec.json.encode(world).decode())
    elif known != world:
        raise SafetyError(
            f"this bot trades on {known}, not on {world}",
            why="its orders and its books belong there",
            todo="choose another --name",
        )


async def same_owner(store: "SQLiteStore", account: str) -> None:
    """Refuse to go on with a bot's orders in another account, where they would all seem to be gone; `account`
    is the exchange's number of it, empty if it tells none."""
    known = await store.get_meta(_OWNER_META)
    if known is None and account:
        await store.set_meta(_OWNER_META, account)
    elif account and known != account:
        raise SafetyError(
            f"this bot trades for account {known}, the key is of account {account}",
            why="its orders and its books belong to the first",
            todo="use a key of that account, or choose another --name",
        )
