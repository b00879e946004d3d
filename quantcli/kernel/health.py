"""How a kernel is: whether it can place orders, and what an operator should look at.

Looks only.
"""

import msgspec

from quantcli.kernel.core import Core
from quantcli.kernel.shell import ReconciliationEngine
from quantcli.model.order import ReconciliationStatus


class Health(msgspec.Struct, frozen=True):
    """Whether orders can be placed, what stopped the kernel if not, and how many open intents are in which
    condition (only those that occur).

    `findings` are what an operator should look at: why nothing is placed, contracts broken, positions that
    differ, positions unguarded.
    """

    ok: bool
    failure: str
    conditions: dict[ReconciliationStatus, int]
    findings: tuple[str, ...] = ()


def examined(core: Core, engine: ReconciliationEngine) -> Health:
    """The health of a kernel that was started."""
    conditions = {status: count for status, count in core.view.conditions().items() if count}
    running = engine.get_metrics().running
    failure = str(engine.failure) if engine.failure else "" if running else "stopped"
    return Health(running, failure, conditions, tuple(core.findings()))
