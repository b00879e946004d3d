"""What `buy` and `sell` mean: their arguments as the terms of one order.

    no limit                 MARKET                 limit                  LIMIT
    post_only                LIMIT_MAKER            tif "IOC", "FOK"       IMMEDIATE_OR_CANCEL, FILL_OR_KILL
    stop                     STOP_MARKET            stop and limit         STOP_LIMIT
    ttl                      a LIMIT good till a date

Knows the market's steps; knows nothing of strategies, risk or the exchange's further rules.
"""

from decimal import Decimal

import msgspec

from quantcli.config import parse_duration
from quantcli.errors import ValidationError
from quantcli.model.instrument import Number, Side, SymbolMetadata, round_price, to_decimal
from quantcli.model.market import Ticker
from quantcli.model.order import OrderType, StandardOrder, TimeInForce
from quantcli.trading.sizes import quantity

_TIF = {
    "GTC": (OrderType.LIMIT, TimeInForce.GTC),
    "IOC": (OrderType.IMMEDIATE_OR_CANCEL, TimeInForce.IOC),
    "FOK": (OrderType.FILL_OR_KILL, TimeInForce.FOK),
}


class Terms(msgspec.Struct, frozen=True):
    """The arguments of a verb, as the strategy gave them."""

    side: Side
    size: Number
    limit: Number | None
    stop: Number | None
    ttl: str | None
    post_only: bool
    reduce_only: bool
    tif: str | None


def build_order(terms: Terms, instrument: SymbolMetadata, quote: Ticker | None, now_ns: int) -> StandardOrder:
    """The order that a verb asks for; a size in quote currency is taken at the limit, the stop, or the
    far side of `quote`.

    Raises `ValidationError` or `UsageError` for what can never be an order.
    """
    kind, time_in_force = _kind(terms)
    side, tick = terms.side, instrument.price_tick
    price = None if terms.limit is None else round_price(_positive(terms.limit, "limit"), side, tick)
    # A stop rounded to the passive side waits a little longer: up for a buy, down for a sell.
    stop = None if terms.stop is None else round_price(_positive(terms.stop, "stop"), side.opposite, tick)
    far_side = 0.0 if quote is None else quote.ask if side is Side.BUY else quote.bid
    at = terms.limit if terms.limit is not None else terms.stop if terms.stop is not None else far_side
    return StandardOrder(
        symbol=instrument.symbol.name,
        side=side,
        type=kind,
        quantity=_tradable(terms.size, instrument, at),
        price=price,
        stop_price=stop,
        time_in_force=time_in_force,
        reduce_only=terms.reduce_only,
        expire_ns=None if terms.ttl is None else now_ns + _lifetime(terms.ttl),
    )


def _kind(terms: Terms) -> tuple[OrderType, TimeInForce]:
    if terms.tif is not None and terms.tif.upper() not in _TIF:
        raise ValidationError(f"there is no tif {terms.tif!r}", todo='use "IOC" or "FOK", or ttl="3s"')
    _refuse_contradictions(terms)
    if terms.stop is not None:
        kind = OrderType.STOP_MARKET if terms.limit is None else OrderType.STOP_LIMIT
        return kind, TimeInForce.GTC
    if terms.limit is None:
        return OrderType.MARKET, TimeInForce.GTC
    lasting = TimeInForce.GTD if terms.ttl is not None else TimeInForce.GTC
    if terms.post_only:
        return OrderType.LIMIT_MAKER, lasting
    return _TIF[terms.tif.upper()] if terms.tif else (OrderType.LIMIT, lasting)


def _refuse_contradictions(terms: Terms) -> None:
    given = {
        "post_only": terms.post_only,
        "tif": terms.tif is not None,
        "ttl": terms.ttl is not None,
        "stop": terms.stop is not None,
    }
    names = [name for name, is_given in given.items() if is_given]
    resting = [name for name in names if name != "stop"]
    if terms.limit is None and resting:
        raise ValidationError(
            f"{resting[0]} needs a limit",
            why="a market order never rests",
            todo=f"give limit=…, or leave {resting[0]} out",
        )
    if len(names) > 1 and names != ["post_only", "ttl"]:
        raise ValidationError(
            f"{' and '.join(names)} contradict each other",
            why="no exchange has an order like that",
            todo=f"keep one of {', '.join(names)}",
        )


def _positive(price: Number, name: str) -> Number:
    if to_decimal(price) <= 0:
        raise ValidationError(f"a {name} of {price} is no price", todo="is the market quoted yet?")
    return price


def _tradable(size: Number, instrument: SymbolMetadata, at: Number) -> Decimal:
    amount = quantity(size, instrument, at)
    if amount <= 0:
        raise ValidationError(
            f"a size of {size} buys or sells nothing on {instrument.symbol.name}",
            why=f"the smallest step there is {instrument.lot} {instrument.symbol.base}",
            todo="give a larger size",
        )
    return amount


def _lifetime(ttl: str) -> int:
    lifetime_ns = parse_duration(ttl)
    if lifetime_ns <= 0:
        raise ValidationError(f"a ttl of {ttl} is over at once", todo='write it like ttl="3s"')
    return lifetime_ns
