"""`quant orders`: what is wanted beside what the exchange has, one order's story, and what it waits for.

Looks only; what changes an order is in `order_words`, how it reads in `order_view`.
"""

from typing import Annotated

import typer

from quantcli.cli import order_view, order_words
from quantcli.cli.group import listing
from quantcli.cli.order_words import OrderArgument
from quantcli.cli.output import Output, OutputOption, Shape, document, emit, envelope
from quantcli.cli.state import LiveOption, NameOption, SymbolOption, facts, market, running
from quantcli.cli.watching import Shown, WatchOption, present
from quantcli.runtime.control.wire import OrderItem

group = listing("Wanted orders, beside what the exchange has")

ORDERS = Shape(OrderItem, ("intent_id", "exchange_order_id"))


@group.command("list")
def list_orders(
    name: NameOption = None,
    every: Annotated[bool, typer.Option("--all", help="Settled ones too.")] = False,
    symbol: SymbolOption = None,
    exchange: Annotated[
        bool, typer.Option("--exchange", help="Have a running bot ask the exchange first.")
    ] = False,
    require_live: LiveOption = False,
    watch: WatchOption = None,
    output: OutputOption = Output.TABLE,
) -> None:
    """List orders: = in sync, ~ differs, + missing, x not wanted, / partly filled, ! unknown."""

    def look() -> Shown:
        if exchange:
            running(name)[1].do("reconcile")
        found = facts(name, require_live, settled=every)
        listed = found.orders(settled=every)
        only = market(symbol, (item.symbol for item in listed.items))
        items = [item for item in listed.items if only in (None, item.symbol)]
        return Shown(
            envelope("OrderList", items, listed.as_of_ns, found.stale),
            lambda: order_view.table(found, items),
            lambda: order_view.table(found, items, is_wide=True),
            ORDERS,
        )

    present(look, output, watch)


@group.command("show")
def show(
    intent_id: OrderArgument,
    name: NameOption = None,
    watch: WatchOption = None,
    output: OutputOption = Output.TABLE,
) -> None:
    """Show one order: what is wanted, what was tried, and what the exchange has."""

    def look() -> Shown:
        story = facts(name, settled=True).story(intent_id)
        parts = {
            "metadata": story.metadata,
            "attempts": story.attempts,
            "fills": story.fills,
            "journal": story.journal,
        }
        found = document("Order", story.order) | document("", parts) | {"kind": "Order"}
        return Shown(found, lambda: order_view.shown(story), shape=ORDERS)

    present(look, output, watch)


@group.command("why")
def why(intent_id: OrderArgument, name: NameOption = None, output: OutputOption = Output.TABLE) -> None:
    """Say what state an order is in, how it came to be so, and what happens next."""
    known = facts(name, settled=True)
    story = known.story(intent_id)
    item = story.order
    found = document(
        "OrderReason",
        {
            "intent_id": item.intent_id,
            "phase": item.phase,
            "means": story.means,
            "condition": item.condition,
            "slot_status": item.slot_status,
            "next": story.next,
            "look_again_at_ns": story.look_again_at_ns,
            "journal": story.journal,
        },
    )
    emit(found, output, lambda _: order_view.reasoned(story, known.now_ns), shape=ORDERS)


group.command("cancel")(order_words.cancel)
group.command("adopt")(order_words.adopt)
group.command("pause")(order_words.pause)
group.command("resume")(order_words.resume)
group.command("declare-dead")(order_words.declare_dead)
