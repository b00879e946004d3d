"""`quant positions`: what a bot's own fills add up to, market by market.

Counted exactly from the state database.  It keeps no prices, so nothing is valued at the market here; and
what the account held before the bot's first fill is not part of it.
"""

from collections.abc import Iterable
from decimal import Decimal
from typing import Annotated

import typer

from quantcli.cli.output import Output, OutputOption, columns, emit, envelope
from quantcli.cli.state import NameOption, Remembered, remembered
from quantcli.clock import VirtualClock
from quantcli.model.instrument import Symbol, SymbolMetadata, canonical
from quantcli.model.order import Fill
from quantcli.runtime.control.wire import PositionItem
from quantcli.trading.portfolio import Portfolio


def command(
    name: NameOption = None,
    symbol: Annotated[str | None, typer.Option("--symbol", help="Only this market.")] = None,
    output: OutputOption = Output.TABLE,
) -> None:
    """List positions, flat ones included: quantity, average price, realised profit, fees."""
    state = remembered(name)
    items = positions(fill for fill in state.fills if symbol in (None, fill.symbol))
    found = envelope("PositionList", items, state.as_of_ns, state.stale)
    emit(found, output, lambda _: _table(state, items))


def positions(fills: Iterable[Fill]) -> list[PositionItem]:
    """What fills add up to, in order of symbol."""
    of_symbol: dict[str, list[Fill]] = {}
    for fill in fills:
        of_symbol.setdefault(fill.symbol, []).append(fill)
    return [_position(symbol, of_symbol[symbol]) for symbol in sorted(of_symbol)]


def _position(name: str, fills: list[Fill]) -> PositionItem:
    symbol = Symbol.parse(name)
    currency = symbol.settle or symbol.quote
    clock = VirtualClock()
    books = Portfolio("", currency, {}, {name: _rules(symbol)}, lambda _: None, clock)
    for fill in fills:
        clock.advance_to(fill.exchange_ns)
        books.apply(fill)
    held = books.position(name)
    side = "flat" if not held.qty else "long" if held.qty > 0 else "short"
    return PositionItem(
        name,
        side,
        held.qty,
        held.avg_price,
        held.realised,
        held.fees,
        books.fees_by_asset,
        currency,
        held.updated_ns,
    )


def _rules(symbol: Symbol) -> SymbolMetadata:
    """As much of a market's rules as counting takes: its currencies."""
    one = Decimal(1)
    return SymbolMetadata(symbol, "", symbol.name, one, one, inverse=symbol.settle == symbol.base)


def _table(state: Remembered, items: list[PositionItem]) -> str:
    rows = [
        (
            item.symbol,
            item.side,
            canonical(abs(item.qty)),
            f"{item.avg_price:.8g}" if item.qty else "-",
            canonical(item.realised),
            " ".join([canonical(item.fees), *(f"{canonical(n)} {a}" for a, n in item.other_fees.items())]),
            item.currency,
        )
        for item in items
    ]
    headers = ("SYMBOL", "SIDE", "QTY", "AVG PRICE", "REALISED", "FEES", "UNIT")
    right = {"QTY", "AVG PRICE", "REALISED", "FEES"}
    table = columns(headers, rows, right) + "\n" if rows else ""
    return f"{table}{sum(item.side != 'flat' for item in items)} held. {state.headline}"
