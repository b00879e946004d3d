"""`quant halt` and `quant resume`: the durable kill flag of a bot, set and cleared; `quant trust`.

A running bot does it at once, and any other at its next start; where a running bot does not answer the flag
is written all the same, and it sees that within a second.
"""

from typing import Annotated

import typer

from quantcli.cli.asking import DryRunOption, YesOption, consent
from quantcli.cli.order_words import needed, report
from quantcli.cli.output import Output, OutputOption, Shape, document, emit, note
from quantcli.cli.state import Bot, BotArgument, NameOption, facts, name_to_type, the_bot, which
from quantcli.clock import WallClock
from quantcli.errors import DaemonAbsent, OutcomeUnknown, RemoteError
from quantcli.model.instrument import canonical
from quantcli.store.halt import HaltFlag, KillLevel


def command(
    bot: BotArgument = None,
    reason: Annotated[
        str, typer.Option("--reason", help="Why; the bot says so when it refuses an order.")
    ] = "by hand",
    cancel: Annotated[
        bool, typer.Option("--cancel", help="Also cancel its orders, but for those that protect a position.")
    ] = False,
    flatten: Annotated[
        bool, typer.Option("--flatten", help="Also cancel everything and close its positions at the market.")
    ] = False,
    yes: YesOption = False,
    dry_run: DryRunOption = False,
    name: NameOption = None,
    output: OutputOption = Output.TABLE,
) -> None:
    """Stop a bot from adding exposure, now and after restarts, until `quant resume`.

    Asks nothing, but before it flattens.
    """
    meant = the_bot(which(bot, name))
    level = KillLevel.FLATTEN if flatten else KillLevel.CANCEL_ALL if cancel else KillLevel.HALT_NEW
    if dry_run or (flatten and not yes):
        consent(_plan(meant, level), yes=False, dry_run=dry_run, typed=name_to_type(meant, None))
    _tell(meant, "halt", level=level.name, reason=reason)
    flag = _flag(meant)
    flag.raise_to(level, reason, WallClock().now_ns())
    _report(meant, flag, output)


def resume(bot: BotArgument = None, name: NameOption = None, output: OutputOption = Output.TABLE) -> None:
    """Let a halted bot send orders again."""
    meant = the_bot(which(bot, name))
    flag = _flag(meant)
    if not _tell(meant, "resume") or flag.level:
        flag.clear()
    _report(meant, flag, output)


def trust(
    bot: BotArgument = None,
    yes: YesOption = False,
    dry_run: DryRunOption = False,
    name: NameOption = None,
    output: OutputOption = Output.TABLE,
) -> None:
    """Have a bot go on after you have looked at what was found on the exchange."""
    meant = the_bot(which(bot, name))
    told = needed(meant)
    plan = [f"found: {text}" for text in told.status.findings] or ["nothing was found"]
    consent([*plan, f"{meant.name} places orders again"], yes, dry_run, name_to_type(meant, told))
    report([told.client.do("trust")], output)


def _tell(bot: Bot, verb: str, **words: str) -> bool:
    """Tell a running bot; whether it has done it."""
    if (client := bot.client) is None:
        return False
    try:
        client.do(verb, **words)
    except DaemonAbsent:
        return False
    except (OutcomeUnknown, RemoteError) as error:
        note(f"{error.what}; the flag is written for it to see")
        return False
    return True


def _plan(bot: Bot, level: KillLevel) -> list[str]:
    """What a halt does, with numbers."""
    known = facts(bot.name)
    plan = [f"halt {bot.name}: nothing that adds exposure is sent until `quant resume`"]
    orders = [item for item in known.orders().items if item.intent_id]
    doomed = [item for item in orders if level is KillLevel.FLATTEN or not item.protective]
    if level is not KillLevel.HALT_NEW:
        plan.append(f"cancel {len(doomed)} of {len(orders)} {'order' if len(orders) == 1 else 'orders'}")
    for item in known.positions().items if level is KillLevel.FLATTEN else ():
        if item.qty:
            worth = "" if item.mark is None else f", about {abs(item.qty * item.mark):,.2f} {item.currency}"
            side = "sell" if item.qty > 0 else "buy"
            plan.append(f"{side} {canonical(abs(item.qty))} {item.symbol} at the market{worth}")
    return plan


def _flag(bot: Bot) -> HaltFlag:
    return HaltFlag(bot.project.halt_flag(bot.name))


def _report(bot: Bot, flag: HaltFlag, output: Output) -> None:
    level, reason = flag.level, flag.reason
    text = f"{bot.name} is halted: {reason}" if level else f"{bot.name} may send orders"
    found = document("HaltState", {"bot": bot.name, "level": level.name, "reason": reason})
    emit(found, output, lambda _: text, shape=Shape(None, ("bot",)))
