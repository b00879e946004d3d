"""`quant export`: a bot's fills, orders, equity or events as a file for notebooks and spreadsheets.

Reads the state database, in which everything is before it counts, whether the bot runs or not.
"""

import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer

from quantcli.cli.ledger import began_with
from quantcli.cli.moments import SinceOption, since_ns
from quantcli.cli.output import Output, Shape, note, plain
from quantcli.cli.remembered import Remembered, market_rules
from quantcli.cli.state import NameOption, SymbolOption, market, remembered
from quantcli.clock import VirtualClock
from quantcli.errors import QuantError, UsageError
from quantcli.model.instrument import Symbol
from quantcli.model.order import Fill
from quantcli.runtime.control.wire import EventItem, FillItem, OrderItem


class What(StrEnum):
    """What can be had."""

    FILLS = "fills"
    ORDERS = "orders"
    EQUITY = "equity"
    EVENTS = "events"


class Form(StrEnum):
    """As which kind of file."""

    PARQUET = "parquet"
    CSV = "csv"
    JSONL = "jsonl"


class EquityItem(msgspec.Struct, frozen=True):
    """What a bot had earned right after a fill, in `currency`, what it held valued at the latest fill of its
    market.  `equity` is with what its account began with, where that is known; fees paid in other assets are
    not in it."""

    at_ns: int
    currency: str
    net_pnl: Decimal
    realised: Decimal
    unrealised: Decimal
    fees: Decimal
    equity: Decimal | None


_KINDS: dict[What, type[msgspec.Struct]] = {
    What.FILLS: FillItem,
    What.ORDERS: OrderItem,
    What.EQUITY: EquityItem,
    What.EVENTS: EventItem,
}


def command(
    what: Annotated[What, typer.Argument(help="What to export.")],
    output: Annotated[Form, typer.Option("--output", "-o", help="Kind of file.")] = Form.CSV,
    to: Annotated[
        Path | None,
        typer.Option("--to", metavar="FILE", help="Where to; without it stdout, but for Parquet."),
    ] = None,
    since: SinceOption = None,
    symbol: SymbolOption = None,
    name: NameOption = None,
) -> None:
    """Write fills, orders, equity or events to a file, oldest first.

    Equity is counted from fills: one row after each, valued at the latest fill of each market.
    """
    state = remembered(name, settled=True)
    only = market(symbol, {intent.order.symbol for intent in state.rows.intents} | _traded(state))
    from_ns = since_ns(since)
    rows = [row for row in _rows(state, what, only) if _at(row) >= from_ns]
    if output is Form.PARQUET:
        path = to or Path(f"{state.bot}-{what.value}.parquet")
        _write_parquet(path, rows, _KINDS[what])
    elif to is not None:
        path = to
        _replace(path, lambda draft: draft.write_text(_text(rows, what, output), "utf-8"))
    else:
        sys.stdout.write(_text(rows, what, output))
        sys.stdout.flush()
        return
    note(f"{len(rows):,} {what.value} of {state.bot} in {path}")


def _traded(state: Remembered) -> set[str]:
    return {fill.symbol for fill in state.rows.fills}


def _rows(state: Remembered, what: What, symbol: str | None) -> Sequence[msgspec.Struct]:
    match what:
        case What.FILLS:
            items: Sequence[Any] = state.fills().items[::-1]
        case What.ORDERS:
            items = [item for item in state.orders(settled=True).items if item.intent_id]
        case What.EVENTS:
            items = state.events().items
        case _:
            fills = [fill for fill in state.rows.fills if symbol in (None, fill.symbol)]
            return list(_equity(fills, began_with(state.path)))
    return [item for item in items if symbol in (None, item.symbol)]


def _at(row: Any) -> int:
    for name in ("at_ns", "exchange_ns", "created_ns"):
        if hasattr(row, name):
            return int(getattr(row, name))
    return 0


def _equity(fills: Sequence[Fill], start: Mapping[str, Decimal]) -> Iterator[EquityItem]:
    from quantcli.trading.portfolio import Portfolio

    marks: dict[str, Decimal] = {}
    books: dict[str, Portfolio] = {}
    clock = VirtualClock()
    symbols = {fill.symbol: Symbol.parse(fill.symbol) for fill in fills}
    only_cash = sum(bool(amount) for amount in start.values()) == 1  # else a part is valued at no price
    for fill in fills:
        currency = symbols[fill.symbol].settle or symbols[fill.symbol].quote
        if currency not in books:
            rules = {
                name: market_rules(each)
                for name, each in symbols.items()
                if (each.settle or each.quote) == currency
            }
            books[currency] = Portfolio("", currency, {}, rules, marks.get, clock)
        clock.advance_to(fill.exchange_ns)
        marks[fill.symbol] = fill.price
        book = books[currency]
        book.apply(fill)
        net = book.equity() or Decimal(0)
        cash = start.get(currency) if only_cash else None
        yield EquityItem(
            at_ns=fill.exchange_ns,
            currency=currency,
            net_pnl=net,
            realised=book.realised,
            unrealised=book.unrealised() or Decimal(0),
            fees=book.fees,
            equity=None if cash is None else cash + net,
        )


def _text(rows: Sequence[msgspec.Struct], what: What, form: Form) -> str:
    from quantcli.cli.forms import lines

    shape, as_ = Shape(_KINDS[what]), Output.CSV if form is Form.CSV else Output.JSONL
    return "".join(f"{line}\n" for line in lines(plain({"items": list(rows)}), as_, shape))


def _write_parquet(path: Path, rows: Sequence[msgspec.Struct], kind: type[msgspec.Struct]) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    columns = {
        field.name: _column(pa, field.type, [getattr(row, field.name) for row in rows])
        for field in msgspec.structs.fields(kind)
    }
    _replace(path, lambda draft: pq.write_table(pa.table(columns), draft, compression="zstd"))


def _column(pa: Any, annotation: Any, values: list[Any]) -> Any:
    """A column: exact decimals as such, times as UTC nanoseconds in integers, what has parts as JSON."""
    kinds = set(getattr(annotation, "__args__", (annotation,))) - {type(None)}
    if kinds == {Decimal}:
        return (
            pa.array(values)
            if any(v is not None for v in values)
            else pa.array(values, pa.decimal128(38, 18))
        )
    for kind, make in ((bool, pa.bool_), (int, pa.int64), (float, pa.float64), (str, pa.string)):
        if kinds == {kind}:
            return pa.array(values, make())
    return pa.array([msgspec.json.encode(plain(value)).decode() for value in values], pa.string())


def _replace(path: Path, write: Any) -> None:
    """Put a whole file in place, or none."""
    if path.is_dir():
        raise UsageError(f"{path} is a folder", todo="name a file")
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write(draft)
        draft.replace(path)
    except OSError as error:
        draft.unlink(missing_ok=True)
        raise QuantError(f"{path} cannot be written", why=error.strerror or str(error)) from error
