"""`quant fills`: what was executed, as the exchange told it."""

from collections.abc import Sequence
from typing import Annotated

import typer

from quantcli.cli.moments import SinceOption, since_ns
from quantcli.cli.output import Output, OutputOption, Shape, columns, envelope, timestamp
from quantcli.cli.state import LiveOption, NameOption, SymbolOption, facts, headline, market, subject
from quantcli.cli.watching import Shown, WatchOption, present
from quantcli.model.instrument import canonical
from quantcli.runtime.control.rows import suffix_length
from quantcli.runtime.control.wire import FillItem

FILLS = Shape(FillItem, ("trade_id",))


def command(
    name: NameOption = None,
    symbol: SymbolOption = None,
    since: SinceOption = None,
    limit: Annotated[int | None, typer.Option("--limit", min=1, help="Only the newest so many.")] = None,
    require_live: LiveOption = False,
    watch: WatchOption = None,
    output: OutputOption = Output.TABLE,
) -> None:
    """List fills, newest first."""

    def look() -> Shown:
        found = facts(name, require_live)
        from_ns = since_ns(since)
        known = found.fills()
        only = market(symbol, (fill.symbol for fill in known.items))
        items = [fill for fill in known.items if only in (None, fill.symbol) and fill.exchange_ns >= from_ns][
            :limit
        ]

        def text(is_wide: bool = False) -> str:
            table = fill_table(items, is_wide) + "\n" if items else ""
            total = max(known.total, len(known.items))
            return f"{headline(found)}{table}{len(items)} of {total} fills. {subject(found)}"

        document = envelope("FillList", items, known.as_of_ns, found.stale)
        return Shown(document, text, lambda: text(is_wide=True), FILLS)

    present(look, output, watch)


def fill_table(fills: Sequence[FillItem], is_wide: bool = False) -> str:
    """Rows of fills under their headers."""
    length = 99 if is_wide else suffix_length([fill.intent_id for fill in fills if fill.intent_id])
    headers = ["TIME", "SYMBOL", "SIDE", "QTY", "PRICE", "FEE", "ROLE", "ORDER"]
    rows = [
        [
            timestamp(fill.exchange_ns),
            fill.symbol,
            fill.side,
            canonical(fill.qty),
            canonical(fill.price),
            f"{canonical(fill.fee)} {fill.fee_asset}",
            "maker" if fill.is_maker else "taker",
            fill.intent_id[-length:] or "-",
        ]
        for fill in fills
    ]
    if is_wide:
        headers += ["TRADE", "EXCHANGE ID", "CLIENT ID"]
        rows = [
            [*row, fill.trade_id, fill.exchange_order_id or "-", fill.client_order_id or "-"]
            for row, fill in zip(rows, fills, strict=True)
        ]
    return columns(headers, rows, right={"QTY", "PRICE", "FEE"})
