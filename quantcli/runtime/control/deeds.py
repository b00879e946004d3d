"""What operators may do to a running desk, each a coroutine for the trading loop between two of its events.

A deed begins something and says what: `Begun` names the wishes whose end is to be waited for.  Nothing here
waits for the exchange, because the loop that would bring its answer is the one that acts.
"""

from collections.abc import Mapping
from decimal import Decimal

import msgspec

from quantcli.clock import Clock
from quantcli.errors import NotFoundError, QuantError, SafetyError, StoreError, UsageError
from quantcli.kernel.api import ExchangeKernel
from quantcli.model.instrument import Side, canonical, round_qty
from quantcli.model.order import Order, OrderIntent, OrderState, OrderType, StandardOrder
from quantcli.runtime.control.cockpit import Cockpit
from quantcli.runtime.stage import Stage
from quantcli.store.halt import HaltFlag, KillLevel
from quantcli.trading.engine import Engine
from quantcli.trading.quotes import Slots
from quantcli.trading.risk import BY_OPERATOR
from quantcli.trading.wishes import CancelOrder

_OPERATOR = "cancelled by the operator"


class Begun(msgspec.Struct, frozen=True):
    """What a deed has begun: a line, what it is about, and the wishes whose end is awaited.

    `left` says what stays on purpose, `trouble` what went wrong meanwhile.  Of orders that are cancelled past
    the database no end can be seen here, and none is awaited."""

    what: str
    items: tuple[str, ...] = ()
    awaited: tuple[str, ...] = ()
    left: str = ""
    trouble: str = ""


class Deeds:
    """To one desk; `doomed` are orders that were cancelled past a kernel which had failed."""

    def __init__(self, engine: Engine, stage: Stage, halt: HaltFlag, clock: Clock, cockpit: Cockpit) -> None:
        self._engine, self._stage, self._flag = engine, stage, halt
        self._clock, self._cockpit = clock, cockpit
        self.doomed: tuple[OrderState, ...] = ()

    @property
    def _kernel(self) -> ExchangeKernel:
        return self._engine.kernel

    # The kill switch.

    async def halt(self, level: KillLevel, reason: str) -> Begun:
        """Stop adding exposure, and as the level says cancel and close; what cannot be written down is done
        all the same."""
        trouble = ""
        try:
            self._flag.raise_to(level, reason, self._clock.now_ns())
        except StoreError as error:
            trouble = f"{error.what} ({error.why}): it holds until this bot ends"
        wishes = [intent for intent, _ in self._kernel.picture().wishes]
        spared = [intent for intent in wishes if intent.protective and level < KillLevel.FLATTEN]
        doomed = tuple(i.intent_id for i in wishes if i not in spared and level >= KillLevel.CANCEL_ALL)
        left = f"{_orders(len(spared))} that protect a position" if spared and doomed else ""
        try:
            await self._engine.heed()
            if level >= KillLevel.CANCEL_ALL:  # also where it was moved before, and could not act then
                await self._kernel.cancel_orders(doomed, reason or "halted")
        except QuantError as error:
            if level < KillLevel.CANCEL_ALL or self._kernel.health().ok:
                raise
            return await self._cancel_blindly(level, left, f"{trouble}; {error.what}".strip("; "))
        if level is KillLevel.HALT_NEW:
            return Begun(f"halted: nothing that adds exposure is sent; {_rest(len(wishes))}", trouble=trouble)
        closing = "; positions are closed at the market" if level is KillLevel.FLATTEN else ""
        what = f"halted{closing}; {_orders(len(doomed))} to cancel"
        return Begun(what, doomed, doomed, left, trouble)

    async def _cancel_blindly(self, level: KillLevel, left: str, trouble: str) -> Begun:
        """Nothing can be written down any more: cancel past the database."""
        doomed = await self._kernel.cancel_everything(spare_protective=level < KillLevel.FLATTEN)
        self.doomed = tuple(doomed)
        ids = tuple(dict.fromkeys(state.intent_id for state in doomed))
        flat = "; positions are NOT closed: nothing can be placed" if level is KillLevel.FLATTEN else ""
        what = f"halted; asked to cancel {_orders(len(doomed))} past the database{flat}; the bot ends"
        return Begun(what, ids, left=left, trouble=trouble)

    async def resume(self) -> Begun:
        """Trade again."""
        self._flag.clear()
        await self._engine.heed()
        for slots in self._engine.slots.values():
            slots.hurry()
        await self._go_on()
        return Begun("the halt is lifted: orders may be sent")

    # Single orders.

    async def cancel(self, name: str) -> Begun:
        """Want nothing more of an order, and have its slot not wish for it again; or cancel one on the
        exchange that is nobody's wish."""
        wanted = self._cockpit.find(name)
        if wanted is None:
            intent_id = await self._adopted(name, {"operator": "cancel"})
            await self._kernel.cancel_orders((intent_id,), _OPERATOR)
            return Begun("adopted it, to cancel it", (intent_id,), (intent_id,))
        intent = wanted.intent
        if intent.phase.is_terminal and wanted.open is None:
            raise NotFoundError(f"order {intent.intent_id} is {intent.phase.value} already")
        slot = self._pause_slot_of(intent)
        await self._kernel.cancel_orders((intent.intent_id,), _OPERATOR)
        paused = f"; slot {slot} is paused" if slot else ""
        what = f"cancelling {intent.order.symbol} {slot}".rstrip() + paused
        return Begun(what, (intent.intent_id,), (intent.intent_id,))

    def _pause_slot_of(self, intent: OrderIntent) -> str:
        slots, name = self._engine.slots.get(intent.order.symbol), intent.metadata.get("slot", "")
        if slots is None or not name:
            return ""
        try:
            slots.pause(name, _OPERATOR)  # its cancel goes out with the word, not with the slot's command
        except NotFoundError:
            return ""  # the strategy does not wish for it any more
        return name

    async def adopt(self, name: str, slot: str) -> Begun:
        """Take over an order on the exchange that is not ours, as a single order or into a slot."""
        metadata = {"strategy": self._engine.strategy.name}
        symbol = next((order.symbol for order in self._foreign(name)), "")
        slots = self._engine.slots.get(symbol)
        if slot and slots is not None and not slots.is_free(slot):
            raise UsageError(
                f"slot {slot} of {symbol} has an order already",
                todo="adopt it into another slot, or cancel one of the two",
            )
        intent_id = await self._adopted(name, metadata | {"slot": slot} if slot else metadata)
        if slot and slots is not None:
            ((intent, attempts),) = self._kernel.recall([intent_id])
            slots.adopt(intent, attempts[-1], attempts[-1].fills_qty)
            await self._go_on()
        return Begun(f"adopted {name}" + (f" into slot {slot}" if slot else ""), (intent_id,))

    def _foreign(self, name: str) -> list[Order]:
        found = [order for market in self._kernel.picture().markets for order in market.foreign]
        return [order for order in found if name in (order.exchange_order_id, order.client_order_id)]

    async def _adopted(self, name: str, metadata: Mapping[str, str]) -> str:
        found = self._foreign(name)
        if not found:
            raise NotFoundError(
                f"no open order is called {name!r}",
                why="it is neither an order of this bot nor a foreign one that the exchange lists",
                todo="quant orders",
            )
        return await self._kernel.adopt_order(found[0].exchange_order_id, metadata)

    # Slots.

    async def pause(self, symbol: str, slot: str) -> Begun:
        """Withdraw what a slot keeps (no slot: all of the market) and wish nothing there until `unpause`."""
        commands = self._slots(symbol).pause(slot, "by the operator")
        self._engine.strategy.outbox.extend(commands)
        await self._go_on()
        awaited = tuple(each.intent_id for each in commands if isinstance(each, CancelOrder))
        return Begun(f"paused {symbol} {slot}".rstrip(), (f"{symbol} {slot}".rstrip(),), awaited)

    async def unpause(self, symbol: str, slot: str) -> Begun:
        """Let a slot (no slot: all of the market) act again."""
        self._slots(symbol).unpause(slot)
        await self._go_on()
        return Begun(f"{symbol} {slot}".rstrip() + " acts again", (f"{symbol} {slot}".rstrip(),))

    def _slots(self, symbol: str) -> Slots:
        if self._stage.is_closed:
            raise SafetyError("the strategy is not running any more", why="the bot is stopping")
        found = self._engine.slots.get(symbol)
        if found is None:
            known = ", ".join(self._engine.slots)
            raise NotFoundError(f"this bot does not trade {symbol!r}", why=f"it trades {known}")
        return found

    # Positions.

    async def clear(self, symbol: str) -> Begun:
        """The first half of flattening a market: wish nothing there, and cancel what rests."""
        self._slots(symbol).pause("", "flattened by the operator")
        wishes = self._kernel.picture().wishes
        doomed = tuple(intent.intent_id for intent, _ in wishes if intent.order.symbol == symbol)
        await self._kernel.cancel_orders(doomed, "flattened by the operator")
        return Begun(f"{symbol} is paused; {_orders(len(doomed))} to cancel", doomed, doomed)

    async def close(self, symbol: str) -> Begun:
        """The second half: undo at the market what our orders have done there."""
        rules = self._engine.instruments[symbol]
        rows = {row.symbol: row for row in self._kernel.picture().markets}
        own = rows[symbol].own if symbol in rows else Decimal(0)
        quantity = round_qty(abs(own), rules.lot)
        if quantity <= 0 or quantity < (rules.min_qty or 0):
            rest = f"; {canonical(own)} is less than can be traded" if own else ""
            return Begun(f"nothing to close in {symbol}{rest}", (symbol,))
        side = Side.SELL if own > 0 else Side.BUY
        order = StandardOrder(symbol, side, OrderType.MARKET, quantity, reduce_only=rules.symbol.is_futures)
        intent_id = await self._kernel.place_order(order, BY_OPERATOR)
        what = f"{side.name.lower()} {canonical(quantity)} {symbol} at the market"
        return Begun(what, (intent_id,), (intent_id,))

    # Doubts.

    async def reconcile(self) -> Begun:
        """Ask the exchange about everything, now."""
        if self._cockpit.policy.venue.statement:
            await self._kernel.resync("asked for by the operator")
        await self._kernel.force_reconciliation()
        return Begun("asked the exchange about everything")

    async def trust(self) -> Begun:
        """Go on after what was found was looked at."""
        findings = self._kernel.health().findings
        await self._kernel.trust()
        return Begun("trading goes on", findings)

    async def accept_drift(self, symbol: str, reason: str) -> Begun:
        """Reckon with a difference of positions."""
        await self._kernel.accept_drift(symbol, reason)
        return Begun(f"the difference in {symbol} is reckoned with", (symbol,))

    async def declare_dead(self, client_order_id: str, reason: str) -> Begun:
        """An order in doubt never existed."""
        await self._kernel.declare_dead(client_order_id, reason)
        return Begun(f"{client_order_id} is taken never to have been", (client_order_id,))

    async def _go_on(self) -> None:
        """Let the strategy answer to what has changed, unless it is shown nothing any more."""
        if not self._stage.is_closed:
            self._engine.wake()
            await self._engine.flush()


def _orders(count: int) -> str:
    return f"{count} {'order' if count == 1 else 'orders'}"


def _rest(count: int) -> str:
    return f"{_orders(count)} {'rests' if count == 1 else 'rest'} as {'it is' if count == 1 else 'they are'}"
