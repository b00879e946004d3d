"""`quant positions`: what is held, market by market, and closing it.

A running bot values it at the market; of one that does not run, its own fills are added up.
"""

from collections.abc import Sequence
from decimal import Decimal
from typing import Annotated

import typer

from quantcli.cli.asking import DryRunOption, YesOption, consent
from quantcli.cli.fills import fill_table
from quantcli.cli.group import listing
from quantcli.cli.order_view import want
from quantcli.cli.order_words import ReasonOption, needed, report
from quantcli.cli.output import Output, OutputOption, Shape, columns, document, envelope
from quantcli.cli.state import (
    Facts,
    LiveOption,
    NameOption,
    SymbolOption,
    Told,
    facts,
    headline,
    market,
    name_to_type,
    subject,
    the_bot,
)
from quantcli.cli.watching import Shown, WatchOption, present
from quantcli.errors import NotFoundError
from quantcli.model.instrument import canonical
from quantcli.runtime.control.wire import PositionItem, PositionList, WalletItem

group = listing("What is held, and what it has earned")

POSITIONS = Shape(PositionItem, ("symbol",))
MarketArgument = Annotated[str, typer.Argument(metavar="SYMBOL", help="BTC/USDT or btcusdt.")]
_FILLS_SHOWN = 10


@group.command("list")
def list_positions(
    name: NameOption = None,
    symbol: SymbolOption = None,
    require_live: LiveOption = False,
    watch: WatchOption = None,
    output: OutputOption = Output.TABLE,
) -> None:
    """List positions, flat ones included: quantity, average price, profit, fees."""

    def look() -> Shown:
        found = facts(name, require_live)
        listed = found.positions()
        only = market(symbol, (item.symbol for item in listed.items))
        items = [item for item in listed.items if only in (None, item.symbol)]
        wallet = listed.wallet if only is None else ()
        return Shown(
            envelope("PositionList", items, listed.as_of_ns, found.stale)
            | document("", {"wallet": wallet})
            | {"kind": "PositionList"},
            lambda: _table(found, items, wallet),
            lambda: _table(found, items, wallet, is_wide=True),
            POSITIONS,
        )

    present(look, output, watch)


@group.command("show")
def show(
    symbol: MarketArgument,
    name: NameOption = None,
    watch: WatchOption = None,
    output: OutputOption = Output.TABLE,
) -> None:
    """Show one market: what is held, what works there, and the last fills."""

    def look() -> Shown:
        found = facts(name)
        listed = found.positions()
        item = _held(found, listed, symbol)
        fills = [fill for fill in found.fills().items if fill.symbol == item.symbol]
        orders = [order for order in found.orders().items if order.symbol == item.symbol]
        parts = {"fills": fills, "orders": orders, "as_of_ns": listed.as_of_ns, "stale": found.stale}
        text = [_table(found, [item], (), is_wide=True)]
        text += [f"works    {order.mark} {order.slot or '-'} {want(order)}" for order in orders]
        text += [fill_table(fills[:_FILLS_SHOWN])] if fills else []
        return Shown(
            document("Position", item) | document("Position", parts), lambda: "\n".join(text), shape=POSITIONS
        )

    present(look, output, watch)


@group.command("flatten")
def flatten(
    symbol: MarketArgument,
    name: NameOption = None,
    yes: YesOption = False,
    dry_run: DryRunOption = False,
    output: OutputOption = Output.TABLE,
) -> None:
    """Cancel what works in a market, and close the position there at the market's price."""
    bot = the_bot(name)
    told = needed(bot)
    listed = told.positions()
    item = _held(told, listed, symbol)
    consent(_closing(told, item), yes, dry_run, name_to_type(bot, told))
    report([told.client.do("flatten", symbol=item.symbol)], output)


@group.command("accept")
def accept(
    symbol: MarketArgument,
    reason: ReasonOption = "by hand",
    name: NameOption = None,
    yes: YesOption = False,
    dry_run: DryRunOption = False,
    output: OutputOption = Output.TABLE,
) -> None:
    """Reckon from now on with what the exchange holds more, or less, than our books say."""
    bot = the_bot(name)
    told = needed(bot)
    item = _held(told, told.positions(), symbol)
    plan = [f"{item.symbol}: the exchange holds {canonical(item.drift)} more than our books; accept it"]
    consent(plan, yes, dry_run, name_to_type(bot, told))
    report([told.client.do("accept_drift", symbol=item.symbol, reason=reason)], output)


def _held(found: Facts, listed: PositionList, symbol: str) -> PositionItem:
    known = {item.symbol: item for item in listed.items}
    status = found.status
    name = market(symbol, {*known, *(status.symbols if status else ())})
    if name in known:
        return known[name]
    raise NotFoundError(
        f"{found.bot} holds nothing of {name}",
        why=f"it has traded {', '.join(sorted(known)) or 'nothing'}",
        todo=f"quant positions --name {found.bot}",
    )


def _closing(told: Told, item: PositionItem) -> list[str]:
    """What flattening does, with numbers."""
    orders = [order for order in told.orders().items if order.symbol == item.symbol and order.intent_id]
    cancelled = f"cancel {len(orders)} {'order' if len(orders) == 1 else 'orders'} of {item.symbol}"
    cancelled += ", and pause its slots until `quant orders resume`"
    if not item.qty:
        return [cancelled, "nothing is held there"]
    worth = "" if item.mark is None else f", about {abs(item.qty * item.mark):,.2f} {item.currency}"
    side = "sell" if item.qty > 0 else "buy"
    return [cancelled, f"{side} {canonical(abs(item.qty))} at the market{worth}"]


def _table(
    found: Facts, items: Sequence[PositionItem], wallet: Sequence[WalletItem], is_wide: bool = False
) -> str:
    headers = ["SYMBOL", "SIDE", "QTY", "AVG PRICE", "MARK", "UNREALISED", "REALISED", "FEES", "UNIT"]
    rows = [
        [
            item.symbol,
            item.side,
            canonical(abs(item.qty)),
            f"{item.avg_price:.8g}" if item.qty else "-",
            _known(item.mark),
            _known(item.unrealised),
            canonical(item.realised),
            " ".join([canonical(item.fees), *(f"{canonical(n)} {a}" for a, n in item.other_fees.items())]),
            item.currency,
        ]
        for item in items
    ]
    if is_wide or any(item.drift for item in items):
        headers.append("DRIFT")
        rows = [
            [*row, canonical(item.drift) if item.drift else "="]
            for row, item in zip(rows, items, strict=True)
        ]
    right = {"QTY", "AVG PRICE", "MARK", "UNREALISED", "REALISED", "FEES", "DRIFT"}
    table = columns(headers, rows, right) + "\n" if rows else ""
    held = f"{sum(item.side != 'flat' for item in items)} held. {subject(found)}"
    return f"{headline(found)}{table}{_wallet(wallet)}{held}"


def _known(value: Decimal | None) -> str:
    return "-" if value is None else canonical(value)


def _wallet(items: Sequence[WalletItem]) -> str:
    if not items:
        return ""
    rows = [
        [
            item.asset,
            canonical(item.free),
            canonical(item.locked),
            canonical(item.total),
            "-" if item.differs is None else canonical(item.differs) if item.differs else "=",
        ]
        for item in items
    ]
    headers = ("WALLET", "FREE", "IN ORDERS", "TOTAL", "EXCHANGE SAYS")
    return columns(headers, rows, right={*headers[1:]}) + "\n"
