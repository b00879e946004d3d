"""`quant fills`: what was executed, as the exchange told it."""

from collections.abc import Sequence
from typing import Annotated, Any

import typer

from quantcli.cli.output import Output, OutputOption, columns, emit, envelope, timestamp
from quantcli.cli.state import NameOption, Remembered, remembered
from quantcli.model.instrument import canonical
from quantcli.model.order import Fill


def command(
    name: NameOption = None,
    symbol: Annotated[str | None, typer.Option("--symbol", help="Only this market.")] = None,
    limit: Annotated[int | None, typer.Option("--limit", min=1, help="Only the newest so many.")] = None,
    output: OutputOption = Output.TABLE,
) -> None:
    """List fills, newest first."""
    state = remembered(name)
    listed = [fill for fill in reversed(state.fills) if symbol in (None, fill.symbol)][:limit]
    found = envelope("FillList", map(fill_item, listed), state.as_of_ns, state.stale)
    emit(found, output, lambda _: _table(state, listed))


def fill_item(fill: Fill) -> dict[str, Any]:
    """A fill as programs get it."""
    return {name: getattr(fill, name) for name in fill.__struct_fields__} | {"side": fill.side.name.lower()}


def _table(state: Remembered, fills: Sequence[Fill]) -> str:
    rows = [
        (
            timestamp(fill.exchange_ns),
            fill.symbol,
            fill.side.name.lower(),
            canonical(fill.qty),
            canonical(fill.price),
            f"{canonical(fill.fee)} {fill.fee_asset}",
            "maker" if fill.is_maker else "taker",
            fill.intent_id[-state.id_length :] or "-",
        )
        for fill in fills
    ]
    headers = ("TIME", "SYMBOL", "SIDE", "QTY", "PRICE", "FEE", "ROLE", "ORDER")
    table = columns(headers, rows, right={"QTY", "PRICE", "FEE"}) + "\n" if rows else ""
    return f"{table}{len(fills)} of {len(state.fills)} fills. {state.headline}"
