"""The way to a live exchange, made the same for everything that trades or looks there."""

import hashlib
import os
from random import Random

from quantcli.clock import Clock
from quantcli.runtime.world import World
from quantcli.venues.budget_file import budget_path
from quantcli.venues.inbox import Inbox
from quantcli.venues.live import Credentials, LiveVenue


def live_venue(world: World, credentials: Credentials, clock: Clock, inbox: Inbox) -> LiveVenue:
    """An account on an exchange, not yet open; all processes of one account share its request limits."""
    account = hashlib.sha256(f"{world.exchange} {world.endpoint} {credentials.api_key}".encode())
    return LiveVenue(
        world.exchange,
        clock,
        inbox,
        credentials,
        world.endpoint,
        shared=budget_path(account.hexdigest()[:16], os.environ),
        dice=Random(clock.now_ns()).random,  # pauses of several processes should not keep step
    )
