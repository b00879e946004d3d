"""How a run is joined with those who watch and steer it: everything that happens is told, everything is seen.

Called by whoever composes a run, once all is open; makes the cockpit and the deeds.
"""

from pathlib import Path
from typing import TYPE_CHECKING

from quantcli.kernel.policy import Policy
from quantcli.runtime.control.bridge import Bridge
from quantcli.runtime.control.cockpit import Cockpit
from quantcli.runtime.control.deeds import Deeds
from quantcli.runtime.stage import Stage
from quantcli.runtime.view import LiveView
from quantcli.runtime.wiring import Desk
from quantcli.store.halt import HaltFlag

if TYPE_CHECKING:
    from quantcli.venues.live import LiveVenue


def seat(
    bridge: Bridge,
    desk: Desk,
    stage: Stage,
    view: LiveView,
    halt: HaltFlag,
    database: Path,
    policy: Policy,
    venue: "LiveVenue | None" = None,
) -> None:
    """Let a desk be seen and steered."""
    for topics in ("order.**", "position.**", "portfolio.risk_limit"):
        desk.bus.subscribe(topics, bridge.notes.take)
    desk.bus.subscribe("order.**", bridge.gauges.take)
    stage.gauges = bridge.gauges
    cockpit = Cockpit(bridge, desk, stage, view, halt, database, policy, venue)
    bridge.seat(cockpit, Deeds(desk.engine, stage, halt, bridge.clock, cockpit))
