"""How a kernel is: whether it can place orders, what is open, and what an operator should look at.

Looks only.
"""

from collections.abc import Iterator

import msgspec

from quantcli.kernel.core import Core
from quantcli.kernel.shell import ReconciliationEngine
from quantcli.model.order import OrderIntent, OrderState, ReconciliationStatus
from quantcli.store.api import MarketRow


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


class Picture(msgspec.Struct, frozen=True):
    """Everything that is open, as it is remembered at this moment: each wish with its attempts, oldest first,
    and each market.  Of the markets in `seen` a statement was folded since the start or the last gap."""

    wishes: tuple[tuple[OrderIntent, tuple[OrderState, ...]], ...]
    markets: tuple[MarketRow, ...]
    seen: frozenset[str]


def pictured(core: Core) -> Picture:
    """What a kernel remembers of what is open."""
    markets = core.view.markets.values()
    return Picture(
        tuple((entry.intent, tuple(entry.attempts)) for entry in core.view.open.values()),
        tuple(market.row for market in markets),
        frozenset(market.row.symbol for market in markets if market.is_synced),
    )


def remembered(core: Core, intent_ids: Iterator[str]) -> Iterator[tuple[OrderIntent, tuple[OrderState, ...]]]:
    """Those of some wishes, settled ones too, that are not forgotten yet."""
    for intent_id in intent_ids:
        if (entry := core.view.find(intent_id)) is not None:
            yield entry.intent, tuple(entry.attempts)


def examined(core: Core, engine: ReconciliationEngine) -> Health:
    """The health of a kernel that was started."""
    conditions = {status: count for status, count in core.view.conditions().items() if count}
    running = engine.get_metrics().running
    failure = str(engine.failure) if engine.failure else "" if running else "stopped"
    return Health(running, failure, conditions, tuple(core.findings()))
