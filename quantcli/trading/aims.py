"""What a wish means in one market: its numbers checked, its size in base units, its order's terms.

    Keep("bid", …, "50 USDT", 64000.013)   ->   0.00078 at 64000.01
    Hold("hold", "100 USDT")               ->   a position of 0.0015625
    Bracket("long", "100 USDT", …)         ->   the group of its orders (`trading.brackets`)

Knows the market's rules; knows nothing of the orders there are.
"""

from decimal import Decimal

import msgspec

from quantcli.errors import ValidationError
from quantcli.model.instrument import Number, Side, SymbolMetadata, round_price, round_qty, to_decimal
from quantcli.model.order import OrderType, StandardOrder, StandardOrderGroup
from quantcli.trading.brackets import bracket_group, entry_price, entry_side
from quantcli.trading.sizes import Size, parse_size
from quantcli.trading.wishes import Bracket, Hold, Keep, Wish

_FUZZ = 1e-6  # of a quantity: the least one is not refused for a float's last digit


class Aim(msgspec.Struct, frozen=True):
    """A wish in numbers.

    `price` is that of the order, of a `Hold` the middle of the market (0 while unknown); `size` the order's
    quantity, of a `Hold` the position.  `crosses`: the order would trade at once; of a `Bracket`: the market
    is beyond its entry stop.
    """

    wish: Wish
    price: float
    size: float
    crosses: bool
    group: StandardOrderGroup | None = None


class Aims:
    """Reads the wishes for one market."""

    def __init__(self, instrument: SymbolMetadata) -> None:
        self._instrument = instrument
        self._symbol = instrument.symbol.name
        self._sizes: dict[str, Size] = {}

    def read(self, wish: Wish, bid: float, ask: float) -> Aim:
        """A wish in numbers.  Raises `ValidationError` for one that can never be an order."""
        if isinstance(wish, Keep):
            return self._keep(wish, bid, ask)
        return self._hold(wish, bid, ask) if isinstance(wish, Hold) else self._bracket(wish, bid, ask)

    def _keep(self, wish: Keep, bid: float, ask: float) -> Aim:
        price = float(to_decimal(wish.price))
        if price <= 0:
            raise ValidationError(f"{wish.price} is no price", todo="is this side of the market quoted?")
        size = self._size(wish.size).at(price)
        if size <= 0:
            raise ValidationError(f"an order of {wish.size} is none", todo="yield it only when it has a size")
        return Aim(wish, price, size, price >= ask > 0 if wish.side is Side.BUY else price <= bid)

    def _hold(self, wish: Hold, bid: float, ask: float) -> Aim:
        target = self._size(wish.target)
        if target.amount < 0 and not self._instrument.symbol.is_futures:
            raise ValidationError(
                f"{self._symbol} cannot be held at {wish.target}",
                why="a spot market has no short positions",
                todo="hold 0 instead, or trade the future",
            )
        mid = (bid + ask) / 2 if bid and ask else 0.0
        return Aim(wish, mid, target.at(mid) if mid else 0.0, crosses=True)

    def _bracket(self, wish: Bracket, bid: float, ask: float) -> Aim:
        side, price = entry_side(wish), float(to_decimal(entry_price(wish)))
        if price <= 0:
            raise ValidationError(f"{price:g} is no price", todo="is there a value to reckon with yet?")
        if side is Side.SELL and not self._instrument.symbol.is_futures:
            raise ValidationError(
                f"{self._symbol} cannot be entered with a stop loss above the entry",
                why="that is a sale, and a spot market has no short positions",
                todo="set the stop loss below the entry, or trade the future",
            )
        size = self._size(wish.size).at(price)
        group = bracket_group(wish, self.lots(max(size, 0.0)), self._instrument)
        trigger = wish.entry_stop
        far_side = (ask or bid) if side is Side.BUY else (bid or ask)
        # The exchange refuses a stop that would be triggered at once.
        crosses = trigger is not None and bool(far_side) and side.sign * (far_side - float(trigger)) >= 0
        return Aim(wish, price, size, crosses, group)

    def _size(self, size: Number) -> Size:
        if not isinstance(size, str):
            return parse_size(size, self._instrument)
        if size not in self._sizes:
            self._sizes[size] = parse_size(size, self._instrument)
        return self._sizes[size]

    def quickly(self, size: Number, price: Number) -> float | None:
        """The quantity of a keep, if that takes no more than a division; else `None`."""
        if isinstance(size, float):
            return size
        parsed = self._sizes.get(size) if isinstance(size, str) else None
        return parsed.at(price) if parsed is not None and isinstance(price, float) and price > 0 else None

    def lots(self, size: float | Decimal) -> Decimal:
        """A quantity rounded down to the lot."""
        return round_qty(size, self._instrument.lot)

    def is_enough(self, quantity: Decimal | float, price: float) -> bool:
        """The exchange accepts an order as small as this."""
        rules = self._instrument
        by_value = float(rules.min_notional) / price if rules.min_notional else 0.0
        least = max(float(rules.lot), float(rules.min_qty or 0), by_value)
        return float(quantity) >= least * (1 - _FUZZ)

    def limit_order(self, wish: Keep, price: float, quantity: Decimal) -> StandardOrder:
        """The order that a keep wants, of a total quantity."""
        kind = OrderType.LIMIT_MAKER if wish.post_only else OrderType.LIMIT
        exact = round_price(price, wish.side, self._instrument.price_tick)
        return StandardOrder(self._symbol, wish.side, kind, quantity, price=exact)

    def market_order(self, side: Side, quantity: Decimal, *, reduce_only: bool) -> StandardOrder:
        """The order that closes the gap of a hold."""
        return StandardOrder(self._symbol, side, OrderType.MARKET, quantity, reduce_only=reduce_only)
