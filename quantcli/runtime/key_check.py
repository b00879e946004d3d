"""Asks an exchange what a key may do, or only what time it is; opens nothing else, and places nothing."""

from quantcli.clock import NS_PER_MS, SteadyClock
from quantcli.runtime.connection import live_venue
from quantcli.runtime.world import World
from quantcli.venues.account_check import Permissions
from quantcli.venues.inbox import Inbox
from quantcli.venues.live import Credentials, LiveVenue
from quantcli.venues.server_clock import Sample


async def key_permissions(exchange: str, endpoint: str | None, credentials: Credentials) -> Permissions:
    """What a key may do.  Raises `ConfigError` for one that the exchange does not accept, and for an exchange
    on which we do not trade live."""
    clock = SteadyClock()
    venue = live_venue(World(exchange, endpoint), credentials, clock, Inbox())
    try:
        venue.server_clock.take([await _asked(venue, clock)])
        return await venue.permissions()
    finally:
        await venue.close()


async def clock_offset_ms(exchange: str, endpoint: str | None) -> float:
    """How far ahead of ours an exchange's clock is.  Raises as every read of a connector."""
    clock = SteadyClock()
    venue = LiveVenue(exchange, clock, Inbox(), endpoint=endpoint)
    try:
        samples = [await _asked(venue, clock) for _ in range(3)]
        venue.server_clock.take(samples)
        return venue.server_clock.offset_ns / NS_PER_MS
    finally:
        await venue.close()


async def _asked(venue: LiveVenue, clock: SteadyClock) -> Sample:
    asked_ns = clock.now_ns()
    return Sample(asked_ns, await venue.connector.get_server_time(), clock.now_ns())
