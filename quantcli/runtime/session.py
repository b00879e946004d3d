"""A run of one strategy on a state database, from start to stop: what paper and live trading share.

Whatever makes it end, no kept order is left unattended: it is withdrawn, and what can still trade
afterwards is told.  Where orders go and where events come from is for `paper` and `daemon` to say.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping
from contextlib import asynccontextmanager
from decimal import Decimal
from pathlib import Path

import msgspec

from quantcli.config import parse_money
from quantcli.errors import SafetyError
from quantcli.kernel.api import ExchangeKernel
from quantcli.model.event import Event
from quantcli.model.instrument import canonical
from quantcli.model.order import Working
from quantcli.runtime.wiring import Desk
from quantcli.store.api import Loaded
from quantcli.store.sqlite import SQLiteStore
from quantcli.trading.loader import strategy_error

# How long stopping waits for the exchange to confirm cancels, in real seconds.
SETTLE_S = 10.0


class Session(msgspec.Struct, frozen=True):
    """Where a run keeps its state, for how many real seconds it goes on (`None`: until it is stopped), and
    whether stopping withdraws what slots keep."""

    database: Path
    halt_flag: Path
    for_s: float | None
    cancel_on_stop: bool


class Outcome(msgspec.Struct, frozen=True):
    """What a run leaves behind; `left_working` may still trade before it is started again.

    `unconfirmed` of them are orders to which the exchange has not answered.  `failure` is what ended the
    run early: mostly an error in the strategy.
    """

    events: int
    equity: Decimal | None
    currency: str
    left_working: tuple[Working, ...]
    unconfirmed: int
    failure: BaseException | None


@asynccontextmanager
async def opened(database: Path) -> AsyncIterator[SQLiteStore]:
    """A bot's state database, made if there is none, and ours alone while it is open."""
    database.parent.mkdir(parents=True, exist_ok=True)
    store = SQLiteStore(database)
    await store.open()
    try:
        yield store
    finally:
        await store.close()


def listen(desk: Desk, on_event: Callable[[Event], None]) -> None:
    """Have `on_event` told of all that happens to orders and money."""
    for topics in ("order.**", "position.**", "portfolio.**"):
        desk.bus.subscribe(topics, on_event)


async def run_strategy(
    desk: Desk, drive: Callable[[], Awaitable[None]], cancel_on_stop: bool
) -> BaseException | None:
    """Start the strategy, let `drive` hand it what happens, stop it; what made it fail, if it did.

    Raises where the kernel itself cannot go on.
    """
    try:
        await desk.engine.start()
        await drive()
        await desk.engine.stop(cancel_kept=cancel_on_stop)
    except (Exception, SystemExit) as error:
        # Whatever it is: without its strategy a kept order is nobody's.
        if not (await desk.kernel.health_check()).ok:
            raise
        await _withdraw_kept(desk.kernel)
        leaves = isinstance(error, SystemExit)  # an author's way to stop
        return strategy_error(error, desk.engine.strategy) if leaves else error
    return None


async def _withdraw_kept(kernel: ExchangeKernel) -> None:
    """Cancel every order that a slot keeps, without asking the strategy; what guards a position stays."""
    wishes = [intent for intent, _ in kernel.picture().wishes]
    kept = [intent.intent_id for intent in wishes if "slot" in intent.metadata and not intent.protective]
    if kept:
        await kernel.cancel_orders(kept, "its strategy failed")


def outcome(desk: Desk, events: int, failure: BaseException | None) -> Outcome:
    """What there is now, at the end."""
    return Outcome(
        events,
        desk.portfolio.equity(),
        desk.portfolio.currency,
        tuple(desk.kernel.working()),
        desk.kernel.get_reconciliation_metrics().pending_reconciliations,
        failure,
    )


# Going on where it stopped.


def same_markets(rows: Loaded, markets: Collection[str]) -> None:
    """Refuse to go on without a market in which the bot has traded or still works."""
    working = {intent.order.symbol for intent in rows.intents if not intent.phase.is_terminal}
    missing = sorted((working | {fill.symbol for fill in rows.fills}) - set(markets))
    if missing:
        raise SafetyError(
            f"this bot has traded {', '.join(missing)}, which it is not given now",
            why="its orders and its position there would be out of sight",
            todo="add the market with --symbol, or choose another --name",
        )


async def same_account(store: SQLiteStore, key: str, asked: Mapping[str, Decimal]) -> dict[str, Decimal]:
    """The balances a bot's account began with: remembered under `key`, not given anew at each start."""
    known = await store.get_meta(key)
    if known is None:
        await store.set_meta(key, ", ".join(f"{canonical(n)} {asset}" for asset, n in asked.items()))
        return dict(asked)
    remembered = [parse_money(text) for text in known.split(",")]
    return {money.currency: money.amount for money in remembered}
