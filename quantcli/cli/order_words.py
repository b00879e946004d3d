"""What an operator may have done with orders: cancelled, adopted, a slot paused and resumed, a doubt ended.

A running bot does it, so that its strategy knows; the orders of one that does not run are cancelled at the
exchange from here, and written down.  Each says first what will be done.
"""

from typing import Annotated

import typer

from quantcli.cli.asking import DryRunOption, YesOption, consent
from quantcli.cli.order_names import one_order
from quantcli.cli.order_view import have, want
from quantcli.cli.output import Output, OutputOption, Shape, document, emit
from quantcli.cli.state import (
    Bot,
    Facts,
    NameOption,
    Told,
    absent,
    ask,
    facts,
    live_world,
    market,
    name_to_type,
    the_bot,
)
from quantcli.errors import DaemonAbsent, NotFoundError, OutcomeUnknown, UsageError
from quantcli.runtime.control.wire import Done, OrderItem

OrderArgument = Annotated[str, typer.Argument(metavar="ID", help="An intent id, or its beginning or end.")]
OrdersArgument = Annotated[
    list[str], typer.Argument(metavar="ID...", help="Intent ids, or their beginnings or ends.")
]
SlotArgument = Annotated[
    str, typer.Argument(metavar="SLOT", help="SLOT, SYMBOL/SLOT as BTC/USDT/bid, or all of a SYMBOL.")
]
ReasonOption = Annotated[str, typer.Option("--reason", help="Why; it is written into the journal.")]


def cancel(
    ids: OrdersArgument,
    name: NameOption = None,
    yes: YesOption = False,
    dry_run: DryRunOption = False,
    output: OutputOption = Output.TABLE,
) -> None:
    """Cancel orders.  A slot whose order is cancelled pauses, until `quant orders resume`.

    Where the bot does not run they are cancelled at the exchange from here, with the key in the environment.
    """
    bot = the_bot(name)
    told = ask(bot)
    known = told or facts(name, settled=True)
    items = [_open_order(known, each) for each in ids]
    consent([f"cancel {_told(item)}" for item in items], yes, dry_run, name_to_type(bot, told))
    if told is not None:
        done = [
            told.client.do("cancel", order=item.intent_id or item.exchange_order_id or "") for item in items
        ]
    else:
        done = [_cancel_from_here(bot, items)]
    report(done, output)


def _open_order(known: Facts, name: str) -> OrderItem:
    try:
        return one_order(known.bot, name, known.orders().items)
    except NotFoundError:
        item = one_order(known.bot, name, known.orders(settled=True).items)
        raise UsageError(
            f"{item.intent_id} is settled already", why=f"{item.phase.lower()}, {have(item)}"
        ) from None


def adopt(
    order: Annotated[str, typer.Argument(metavar="ID", help="The exchange's id of an order.")],
    slot: Annotated[str, typer.Option("--slot", help="The slot of the strategy that it becomes.")] = "",
    name: NameOption = None,
    yes: YesOption = False,
    dry_run: DryRunOption = False,
    output: OutputOption = Output.TABLE,
) -> None:
    """Take over an order on the exchange that is nobody's wish."""
    told = needed(the_bot(name))
    strangers = [item for item in told.orders().items if not item.intent_id]
    item = one_order(told.bot, order, strangers)
    into = f" into slot {slot!r}" if slot else ""
    consent([f"adopt {_told(item)}{into}"], yes, dry_run, name_to_type(the_bot(name), told))
    report([told.client.do("adopt", order=item.exchange_order_id or "", slot=slot)], output)


def pause(
    slot: SlotArgument,
    name: NameOption = None,
    yes: YesOption = False,
    dry_run: DryRunOption = False,
    output: OutputOption = Output.TABLE,
) -> None:
    """Withdraw a slot's order, and keep the slot empty until `quant orders resume`."""
    _slot_word("pause", slot, name, yes, dry_run, output)


def resume(
    slot: SlotArgument,
    name: NameOption = None,
    yes: YesOption = False,
    dry_run: DryRunOption = False,
    output: OutputOption = Output.TABLE,
) -> None:
    """Let the strategy use a slot again."""
    _slot_word("unpause", slot, name, yes, dry_run, output)


def declare_dead(
    order: Annotated[str, typer.Argument(metavar="ID", help="An order in doubt.")],
    reason: ReasonOption = "by hand",
    name: NameOption = None,
    yes: YesOption = False,
    dry_run: DryRunOption = False,
    output: OutputOption = Output.TABLE,
) -> None:
    """Say of an order in doubt that it was never on the exchange; what waits for it goes on.

    Look at the exchange yourself first.  Should the order be there after all, it is adopted.
    """
    bot = the_bot(name)
    told = needed(bot)
    item = one_order(bot.name, order, told.orders().items)
    plan = [f"declare dead {_told(item)}", "it may be placed again: be sure that it is not on the exchange"]
    consent(plan, yes, dry_run, name_to_type(bot, told))
    report([told.client.do("declare_dead", order=item.client_order_id or "", reason=reason)], output)


def needed(bot: Bot) -> Told:
    """The bot itself; raises `DaemonAbsent`."""
    told = ask(bot)
    if told is None:
        raise absent(bot.name)
    return told


def report(done: list[Done], output: Output) -> None:
    """Say what came of it."""
    what = "\n".join(each.what for each in done)
    items = [item for each in done for item in each.items]
    emit(
        document("Done", {"what": what, "items": items}), output, lambda _: what, shape=Shape(None, ("what",))
    )


def _slot_word(verb: str, slot: str, name: str | None, yes: bool, dry_run: bool, output: Output) -> None:
    bot = the_bot(name)
    told = needed(bot)
    symbol, slot = _slot(told, slot)
    resting = [
        item
        for item in told.orders().items
        if item.symbol == symbol and slot in ("", item.slot) and item.slot and item.have_qty is not None
    ]
    which = f"slot {slot} of {symbol}" if slot else f"every slot of {symbol}"
    plan = [f"{'pause' if verb == 'pause' else 'resume'} {which}"]
    if verb == "pause":
        plan += [f"cancel {_told(item)}" for item in resting]
    consent(plan, yes, dry_run, name_to_type(bot, told))
    report([told.client.do(verb, symbol=symbol, slot=slot)], output)


def _slot(told: Told, text: str) -> tuple[str, str]:
    """Market and slot of `SYMBOL/SLOT` or `SLOT`; of a market alone all slots are meant ("")."""
    items = [item for item in told.orders(settled=True).items if item.slot]
    markets = sorted({*told.status.symbols, *(item.symbol for item in items)})
    for name in markets:
        if text.upper() in (name, name.replace("/", "")):
            return name, ""
    symbol, slash, slot = text.rpartition("/")
    if slash:
        meant = market(symbol, markets)
        if meant is None or meant not in markets:
            raise NotFoundError(f"{told.bot} has no market {symbol}", why=f"it has {', '.join(markets)}")
        return meant, slot
    holders = sorted({item.symbol for item in items if item.slot == text}) or list(told.status.symbols)
    if len(holders) != 1:
        raise UsageError(
            f"slot {text!r} could be in {len(holders)} markets",
            why=", ".join(holders),
            todo=f"name it like {holders[0] if holders else 'BTC/USDT'}/{text}",
        )
    return holders[0], text


def _told(item: OrderItem) -> str:
    """An order as a plan names it: `BTC/USDT bid buy 0.01 @ 64210.1 (…0001)`."""
    slot = f" {item.slot}" if item.slot else ""
    ours = item.intent_id or f"{item.exchange_order_id}, nobody's wish"
    protects = ", protects a position" if item.protective else ""
    terms = want(item) if item.intent_id else have(item)
    return f"{item.symbol}{slot} {terms} ({ours}{protects})"


def _cancel_from_here(bot: Bot, items: list[OrderItem]) -> Done:
    """Cancel orders of a bot that does not run, at its exchange."""
    import asyncio

    from quantcli.cli.keys import required_key
    from quantcli.cli.ledger import owner_pid
    from quantcli.runtime.inspection import inspect

    database = bot.project.database(bot.name)
    world = live_world(bot)
    if owner_pid(database) is not None:
        raise _not_there(bot, "it runs, but does not answer", f"quant status {bot.name}")
    if world is None:
        raise _not_there(bot, "a bot on paper has no exchange where they could be")
    if any(not item.intent_id for item in items):
        raise _not_there(bot, "what is nobody's wish only a running bot can cancel")
    key = required_key(world.exchange)
    ids = [item.intent_id for item in items]
    found = asyncio.run(inspect(database, world, key, applies=True, cancels=ids))
    ended = {intent.intent_id for intent in found.rows.intents if intent.phase.is_terminal}
    left = [each for each in ids if each not in ended]
    if left:
        raise OutcomeUnknown(
            f"{len(left)} of {len(ids)} cancels are not confirmed",
            why=", ".join(left),
            todo=f"quant reconcile --plan --name {bot.name}",
        )
    return Done(f"cancelled {len(ids)} at {world}", tuple(ids))


def _not_there(bot: Bot, why: str, todo: str = "") -> DaemonAbsent:
    todo = todo or f"quant trade --name {bot.name} --strategy FILE"
    return DaemonAbsent(f"{bot.name} is not there to cancel them", why=why, todo=todo)
