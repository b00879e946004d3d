"""Everything that can be seen of a running desk, from memory: status, orders, positions, wallet, figures.

Looks and changes nothing; the store is not asked (`history` does that).  Who asks, and how often, is not
known here.
"""

from collections import Counter, deque
from collections.abc import Iterable, Mapping
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from quantcli.clock import NS_PER_S
from quantcli.errors import UsageError
from quantcli.kernel.health import Picture
from quantcli.kernel.policy import Policy
from quantcli.model.account import Position
from quantcli.model.instrument import Side
from quantcli.model.order import Order, OrderIntent, OrderState
from quantcli.runtime.control.bridge import Bridge
from quantcli.runtime.control.gauges import rate_used
from quantcli.runtime.control.rows import Wanted, foreign, item
from quantcli.runtime.control.sights import Sights
from quantcli.runtime.control.wire import Health, OrderItem, PositionItem, Status, WalletItem
from quantcli.runtime.stage import Stage
from quantcli.runtime.view import LiveView
from quantcli.runtime.wiring import Desk
from quantcli.store.halt import HaltFlag

if TYPE_CHECKING:
    from quantcli.venues.live import LiveVenue

_SAMPLE_NS = 5 * NS_PER_S
_SAMPLES = 4_320  # six hours of them
_ID_LEAST = 4
_ZERO = Decimal(0)


class Latest(msgspec.Struct, frozen=True):
    """What was seen last."""

    status: Status
    positions: tuple[PositionItem, ...]
    wallet: tuple[WalletItem, ...]


class Cockpit:
    """Of one desk; `venue` is the live account, `None` on paper."""

    def __init__(
        self,
        bridge: Bridge,
        desk: Desk,
        stage: Stage,
        view: LiveView,
        halt: HaltFlag,
        database: Path,
        policy: Policy,
        venue: "LiveVenue | None" = None,
    ) -> None:
        self.policy, self.database = policy, database
        self.sights = Sights(desk.bus, view, desk.engine.instruments)
        self.equity: deque[tuple[int, Decimal]] = deque(maxlen=_SAMPLES)
        self._about, self._bridge, self._desk, self._stage = bridge.about, bridge, desk, stage
        self._halt, self._venue = halt, venue
        self.latest: Latest | None = None
        self._findings: tuple[str, ...] = ()

    # Status.

    def status(self) -> Status:
        """How the bot is, as far as the loop itself can tell."""
        desk, about, bridge = self._desk, self._about, self._bridge
        picture, portfolio = desk.kernel.picture(), desk.portfolio
        metrics, kept = desk.kernel.get_reconciliation_metrics(), desk.kernel.health()
        marks = Counter(row.mark for row in self._rows(picture))
        surveyed = [row.surveyed_ns for row in picture.markets if row.symbol in desk.engine.markets]
        return Status(
            bot=about.bot,
            pid=about.pid,
            exchange=about.exchange,
            endpoint=about.endpoint,
            world=about.world,
            strategy=about.strategy,
            symbols=tuple(desk.engine.markets),
            started_ns=about.started_ns,
            now_ns=bridge.clock.now_ns(),
            state=bridge.state if kept.ok or bridge.state != "trading" else "failed",
            why=bridge.why or kept.failure,
            halt_level=self._halt.level.name,
            halt_reason=self._halt.reason,
            marks=dict(marks),
            open_orders=sum(marks.values()),
            swept_ns=min(surveyed, default=0),
            feed_age_ms=bridge.gauges.feed_age_ms(),
            rate_used=rate_used(self._venue.budget_lines()) if self._venue is not None else None,
            currency=portfolio.currency,
            equity=portfolio.equity(),
            start_equity=portfolio.start_equity,
            exposure=self._exposure(),
            findings=kept.findings,
            reconciliation_lag_ms=metrics.reconciliation_lag_ms,
            pending_reconciliations=metrics.pending_reconciliations,
            error_count=metrics.error_count,
            retry_count=metrics.retry_count,
            project=about.project,
            log=about.log,
            version=about.version,
        )

    def _exposure(self) -> Decimal | None:
        total = _ZERO
        for position in self._desk.portfolio.positions():
            if not position.qty:
                continue
            if position.mark is None:
                return None
            total += abs(position.qty) * position.mark
        return total

    def sample(self) -> None:
        """Look now and then, for those who ask while the loop does not answer (`latest`), what the account is
        worth, and whether there is something new to be looked at."""
        self.latest = Latest(self.status(), self.positions(), self.wallet())
        now_ns = self._bridge.clock.now_ns()
        if not self.equity or now_ns - self.equity[-1][0] >= _SAMPLE_NS:
            worth = self._desk.portfolio.equity()
            if worth is not None:
                self.equity.append((now_ns, worth))
        findings = self._desk.kernel.health().findings
        if findings != self._findings:
            self._bridge.notes.findings(self._findings, findings)
            self._findings = findings

    # Orders.

    def orders(self, symbol: str = "") -> tuple[OrderItem, ...]:
        """Every open wish, what paused slots had last, and orders on the exchange that are nobody's wish."""
        rows = self._rows(self._desk.kernel.picture())
        return tuple(row for row in rows if symbol in ("", row.symbol))

    def _rows(self, picture: Picture) -> list[OrderItem]:
        slots = {name: slots.status() for name, slots in self._desk.engine.slots.items()}

        def row(intent: OrderIntent, attempts: tuple[OrderState, ...]) -> OrderItem:
            return item(Wanted(intent, attempts), _waits(intent, slots.get(intent.order.symbol, {})))

        rows = [row(*wish) for wish in picture.wishes]
        listed = {intent.intent_id for intent, _ in picture.wishes}
        ended = [i for each in self._desk.engine.slots.values() for i in each.ended() if i not in listed]
        occupied = {(each.symbol, each.slot) for each in rows if each.slot}
        for intent, attempts in self._desk.kernel.recall(ended):
            if (intent.order.symbol, intent.metadata.get("slot", "")) not in occupied:
                rows.append(row(intent, attempts))
        return rows + [foreign(order) for market in picture.markets for order in market.foreign]

    def find(self, name: str) -> Wanted | None:
        """The open wish that an intent id names, or its beginning or end (four characters at least), or an id
        of its order; `None` if there is none, or a foreign order has that id.  Raises `UsageError` for
        several."""
        picture = self._desk.kernel.picture()
        exact = [wish for wish in picture.wishes if name in _names(*wish)]
        strangers = [o for m in picture.markets for o in m.foreign if name in _foreign_names(o)]
        if len(exact) + len(strangers) > 1:
            raise UsageError(
                f"{name!r} is an id of {len(exact) + len(strangers)} orders",
                why="exchanges number the orders of each market for themselves",
                todo="name its client order id",
            )
        if strangers:
            return None
        found = exact or [w for w in picture.wishes if len(name) >= _ID_LEAST and _is_part(name, w[0])]
        if len(found) > 1:
            raise UsageError(f"{name!r} could be {len(found)} orders", todo="give more of the id")
        found = found or self._desk.kernel.recall([name])
        return Wanted(*found[0]) if found else None

    def slot_status(self, intent: OrderIntent) -> str:
        """What the slot of a wish waits for, if it does."""
        slots = self._desk.engine.slots.get(intent.order.symbol)
        return "" if slots is None else _waits(intent, slots.status())

    # Money.

    def positions(self, symbol: str = "") -> tuple[PositionItem, ...]:
        """Every market that was ever held or traded."""
        drifts = {row.symbol: row.drift for row in self._desk.kernel.picture().markets}
        return tuple(
            self._position(each, drifts.get(each.symbol, _ZERO))
            for each in self._desk.portfolio.positions(symbol or None)
        )

    def _position(self, held: Position, drift: Decimal) -> PositionItem:
        return PositionItem(
            held.symbol,
            "flat" if not held.qty else "long" if held.qty > 0 else "short",
            held.qty,
            held.avg_price,
            held.realised,
            held.fees,
            dict(self._desk.portfolio.fees_by_asset),
            self._desk.portfolio.currency,
            held.updated_ns,
            held.mark,
            held.unrealised if held.mark is not None or not held.qty else None,
            drift,
        )

    def wallet(self) -> tuple[WalletItem, ...]:
        """Every asset by our books, less what open orders hold of it."""
        locked = self._locked()
        spot = {rules.symbol.base: name for name, rules in self._desk.engine.instruments.items()}
        rows = {row.symbol: row for row in self._desk.kernel.picture().markets}
        items = []
        for balance in self._desk.portfolio.account_state().balances:
            row = rows.get(spot.get(balance.asset, ""))
            is_told = row is not None and row.surveyed_ns > 0 and not _is_futures(self._desk, row.symbol)
            held = min(locked.get(balance.asset, _ZERO), max(balance.total, _ZERO))
            differs = row.drift if row is not None and is_told else None
            items.append(WalletItem(balance.asset, balance.total - held, held, balance.total, differs))
        return tuple(items)

    def _locked(self) -> dict[str, Decimal]:
        """What spot orders hold, by asset: of buys at their limit."""
        locked: dict[str, Decimal] = {}
        for each in self._desk.kernel.working():
            rules, order = self._desk.engine.instruments.get(each.order.symbol), each.order
            if rules is None or rules.symbol.is_futures:
                continue
            is_sale = order.side is Side.SELL
            asset = rules.symbol.base if is_sale else rules.symbol.quote
            amount = each.remaining if is_sale else each.remaining * (order.price or _ZERO)
            locked[asset] = locked.get(asset, _ZERO) + amount
        return locked

    # Figures.

    def health(self) -> Health:
        """Figures of the machinery."""
        kernel, venue = self._desk.kernel, self._venue
        return self._bridge.gauges.health(
            budgets=venue.budget_lines() if venue is not None else (),
            links=venue.links() if venue is not None else None,
            checks=kernel.checks(),
            database=self.database,
            loop_lag_ms=self._bridge.lag_ms(),
            problems=kernel.health().findings,
        )

    # For those who act.

    def is_swept(self, since_ns: int) -> bool:
        """Whether the exchange has answered everything that was asked since then."""
        kernel, markets = self._desk.kernel, self._desk.engine.markets
        picture = kernel.picture()
        if self.policy.venue.statement and any(
            row.surveyed_ns < since_ns or row.symbol not in picture.seen
            for row in picture.markets
            if row.symbol in markets
        ):
            return False
        last = [attempts[-1] for _, attempts in picture.wishes if attempts]
        return all(one.state.is_closed or one.last_sync_at >= one.lookup_sent_ns for one in last)

    def open_of(self, intent_ids: Iterable[str]) -> list[str]:
        """Which of some wishes still have something open."""
        still = self.open_now()
        return [intent_id for intent_id in intent_ids if intent_id in still]

    def open_now(self) -> set[str]:
        """The wishes that have something open."""
        return {intent.intent_id for intent, _ in self._desk.kernel.picture().wishes}


def _names(intent: OrderIntent, attempts: tuple[OrderState, ...]) -> set[str | None]:
    ids = {one.client_order_id for one in attempts} | {one.exchange_order_id for one in attempts}
    return {intent.intent_id, *ids}


def _foreign_names(order: Order) -> tuple[str, str]:
    return order.exchange_order_id, order.client_order_id


def _waits(intent: OrderIntent, of_slots: Mapping[str, str]) -> str:
    """What the wish's slot waits for: only a state with a reason says so."""
    told = of_slots.get(intent.metadata.get("slot", ""), "")
    return told if ": " in told else ""


def _is_part(name: str, intent: OrderIntent) -> bool:
    return intent.intent_id.startswith(name) or intent.intent_id.endswith(name)


def _is_futures(desk: Desk, symbol: str) -> bool:
    rules = desk.engine.instruments.get(symbol)
    return rules is not None and rules.symbol.is_futures
