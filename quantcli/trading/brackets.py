"""What a bracket means in one market: the orders of its group, and which of them have to move.

    bracket("long", size=1, entry_stop=101, stop_loss=98, take_profit=107)
        -> entry  buy 1, stop 101        stop  sell, 98        target  sell, limit 107

Whether the exits are on the exchange, and for how much, is `kernel.groups`' business.  Knows the market's
rules; sends nothing.
"""

from collections.abc import Callable
from decimal import ROUND_DOWN, Decimal

from msgspec.structs import replace

from quantcli.clock import NS_PER_S
from quantcli.errors import ValidationError
from quantcli.model.instrument import Number, Side, SymbolMetadata, round_price, round_to_step, to_decimal
from quantcli.model.order import OcoMode, OrderType, StandardOrder, StandardOrderGroup
from quantcli.trading.slot import MOVES_MAX, Slot, Stage
from quantcli.trading.wishes import Bracket, CancelOrder, Command, ModifyOrder

_STOPS = frozenset({OrderType.STOP_LIMIT, OrderType.STOP_MARKET})
_REST_NS = NS_PER_S  # an order of a bracket is moved at most so often
_FUZZ = Decimal("0.000001")  # of a tick
_SIZE_TOLERANCE = Decimal("0.05")  # an entry is not moved for less of its size


def entry_price(wish: Bracket) -> Number:
    """Where a bracket enters: at its limit, or where its stop lets it go."""
    price = wish.entry if wish.entry is not None else wish.entry_stop
    assert price is not None  # `wishes.bracket` sees to it
    return price


def entry_side(wish: Bracket) -> Side:
    """A stop loss below the entry makes it a buy."""
    return Side.BUY if to_decimal(wish.stop_loss) < to_decimal(entry_price(wish)) else Side.SELL


def bracket_group(wish: Bracket, quantity: Decimal, rules: SymbolMetadata) -> StandardOrderGroup:
    """The orders of a bracket, on the market's steps; raises `ValidationError` for prices in a wrong order.

    On spot only one exit is on the exchange at a time, for two cannot sell the same coins.
    """
    side, tick = entry_side(wish), rules.price_tick
    out, is_futures = side.opposite, rules.symbol.is_futures
    symbol = rules.symbol.name
    # A stop rounded to the passive side waits a little longer.
    stop = round_price(wish.stop_loss, side, tick)
    exits = [
        StandardOrder(symbol, out, OrderType.STOP_MARKET, quantity, stop_price=stop, reduce_only=is_futures)
    ]
    if wish.take_profit is not None:
        target = round_price(wish.take_profit, out, tick)
        exits.append(
            StandardOrder(symbol, out, OrderType.LIMIT, quantity, price=target, reduce_only=is_futures)
        )
    entry = _entry(wish, side, quantity, rules)
    _check_order_of_prices(entry, exits)
    is_alone = is_futures or len(exits) == 1
    return StandardOrderGroup(
        orders=tuple(exits),
        mode=OcoMode.REDUCE_ON_PARTIAL if is_alone else OcoMode.ONE_LIVE,
        entry=entry,
        trail=None if wish.trail is None else _distance(wish.trail, tick),
    )


def _entry(wish: Bracket, side: Side, quantity: Decimal, rules: SymbolMetadata) -> StandardOrder:
    tick = rules.price_tick
    limit = None if wish.entry is None else round_price(wish.entry, side, tick)
    stop = None if wish.entry_stop is None else round_price(wish.entry_stop, side.opposite, tick)
    kind = OrderType.LIMIT
    if stop is not None:
        kind = OrderType.STOP_MARKET if limit is None else OrderType.STOP_LIMIT
    return StandardOrder(rules.symbol.name, side, kind, quantity, price=limit, stop_price=stop)


def _check_order_of_prices(entry: StandardOrder, exits: list[StandardOrder]) -> None:
    at, sign = entry.price or entry.stop_price, entry.side.sign
    stop, target = exits[0].stop_price, exits[-1].price
    assert at is not None
    assert stop is not None
    if stop <= 0 or (at - stop) * sign <= 0 or (target is not None and (target - at) * sign <= 0):
        raise ValidationError(
            f"a bracket from {at} with a stop at {stop}" + (f" and a target at {target}" if target else ""),
            why="the entry lies between its stop and its target, by a tick or more",
            todo="check stop_loss and take_profit",
        )


def _distance(trail: Number, tick: Decimal) -> Decimal:
    distance = round_to_step(trail, tick, ROUND_DOWN)
    if distance <= 0:
        raise ValidationError(
            f"a stop cannot trail by {trail}", why=f"the market moves in steps of {tick}", todo="widen it"
        )
    return distance


def moves(
    slot: Slot,
    group: StandardOrderGroup,
    tolerance: float,
    tick: Decimal,
    now_ns: int,
    waits: Callable[[int, int], bool],
) -> list[Command]:
    """The commands that bring a bracket's open orders to the terms of `group`.

    `waits(until_ns, now_ns)` says whether it is too early, and sees to it that it is asked again.
    """
    commands: list[Command] = []
    if slot.stage is Stage.RESTING and slot.order is not None and group.entry is not None:
        if slot.order.type is not group.entry.type or slot.order.side is not group.entry.side:
            slot.cancelling()
            return [CancelOrder(slot.intent_id)]
        order = _moved_entry(slot.order, group.entry, slot.filled, tolerance, tick)
        earliest = max(slot.not_before_ns, slot.sent_ns + _REST_NS)
        if order is not None and slot.generation <= MOVES_MAX and not waits(earliest, now_ns):
            slot.sent(order, now_ns)
            commands.append(ModifyOrder(slot.intent_id, order))
    for intent_id, known in slot.exits.items():
        order = _moved_exit(known.intent.order, group, tolerance, tick)
        if order is not None and slot.order is not None:  # an exit of more than the entry closes too much
            order = replace(order, quantity=min(order.quantity, slot.order.quantity))
        trails = group.trail is not None and known.intent.order.type in _STOPS and not known.intent.held
        if order is None or trails or not known.is_movable or waits(known.sent_ns + _REST_NS, now_ns):
            continue
        known.sent_ns = now_ns
        commands.append(ModifyOrder(intent_id, order))
    return commands


def _moved_entry(
    now: StandardOrder, wanted: StandardOrder, filled: Decimal, tolerance: float, tick: Decimal
) -> StandardOrder | None:
    """New terms for an open entry; `None` if it may stay as it is.  One that has begun to fill keeps its
    quantity, as does one whose size has become too small to be an order."""
    order = replace(wanted, quantity=now.quantity) if filled or not wanted.quantity else wanted
    more = abs(order.quantity - now.quantity)
    if _is_near(now, order, tolerance, tick) and more <= order.quantity * _SIZE_TOLERANCE:
        return None
    return order


def _moved_exit(
    now: StandardOrder, group: StandardOrderGroup, tolerance: float, tick: Decimal
) -> StandardOrder | None:
    """New terms for an open exit, at the price its bracket gives it by now; `None` if it may stay."""
    for order in group.orders:
        if order.type is now.type and order.side is now.side:
            wanted = replace(order, quantity=now.quantity)
            return None if _is_near(now, wanted, tolerance, tick) else wanted
    return None


def _is_near(now: StandardOrder, wanted: StandardOrder, tolerance: float, tick: Decimal) -> bool:
    pairs = ((now.price, wanted.price), (now.stop_price, wanted.stop_price))
    most = Decimal(repr(tolerance)) * tick + _FUZZ * tick
    return all(a is b is None or (a is not None and b is not None and abs(a - b) <= most) for a, b in pairs)
