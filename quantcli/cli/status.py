"""`quant status`: how one bot is, all its figures, and what would be the next step."""

from typing import Any

import msgspec

from quantcli.cli.ledger import owner_pid
from quantcli.cli.output import Output, OutputOption, Shape, columns, document, timestamp
from quantcli.cli.remembered import remember
from quantcli.cli.state import Bot, BotArgument, LiveOption, NameOption, absent, the_bot, which, world_of_bot
from quantcli.cli.watching import Shown, WatchOption, present
from quantcli.clock import WallClock
from quantcli.errors import DaemonAbsent, OutcomeUnknown, RemoteError
from quantcli.model.instrument import canonical
from quantcli.runtime.control.rows import MARKS, age
from quantcli.runtime.control.wire import Health, Status
from quantcli.store.halt import HaltFlag

_SHAPE = Shape(Status, ("bot",))


def command(
    bot: BotArgument = None,
    name: NameOption = None,
    require_live: LiveOption = False,
    watch: WatchOption = None,
    output: OutputOption = Output.TABLE,
) -> None:
    """Show how a bot is: its orders and money, what was found, and what to do next."""

    def look() -> Shown:
        meant = the_bot(which(bot, name))
        status, stale = status_of(meant)
        if stale and require_live:
            raise absent(meant.name)
        as_of_ns = status.now_ns if stale else WallClock().now_ns()
        step = next_step(status, stale)
        found = document("Status", status) | {
            "as_of": timestamp(as_of_ns),
            "stale": stale,
            "next": step,
        }
        return Shown(
            found,
            lambda: _table(status, stale, step),
            lambda: f"{_table(status, stale, step)}\n{_health(meant)}",
            _SHAPE,
        )

    present(look, output, watch)


def status_of(bot: Bot) -> tuple[Status, bool]:
    """How a bot is, and whether nobody keeps that up to date: by its own word, else by what it left."""
    client = bot.client
    why = ""
    if client is not None:
        try:
            return client.get("status", Status), False
        except DaemonAbsent:  # a crash left its socket behind
            pass
        except (OutcomeUnknown, RemoteError) as error:
            why = error.what
    database = bot.project.database(bot.name)
    pid = owner_pid(database)
    known = remember(bot.name, database, settled=False)
    world = world_of_bot(bot)
    halt = HaltFlag(bot.project.halt_flag(bot.name))
    items = [item for item in known.orders().items if item.intent_id]
    log = bot.project.log(bot.name)
    status = Status(
        bot=bot.name,
        pid=pid or 0,
        exchange=world.exchange if world else "",
        endpoint=(world.endpoint or "") if world else "",
        world="PAPER" if world is None or not world.is_live else "TESTNET" if world.endpoint else "LIVE",
        strategy="",
        symbols=tuple(sorted({item.symbol for item in items} | {fill.symbol for fill in known.rows.fills})),
        started_ns=0,
        now_ns=known.as_of_ns,
        state="stopped" if pid is None else "stuck",
        why=why if pid is not None else "",
        halt_level=halt.level.name,
        halt_reason=halt.reason,
        marks={mark: n for mark in MARKS if (n := sum(item.mark == mark for item in items))},
        open_orders=sum(item.have_qty is not None for item in items),
        findings=tuple(
            f"{row.symbol}: the exchange holds {canonical(row.drift)} more than our books say"
            for row in known.rows.markets
            if row.drift
        ),
        project=str(bot.project.root),
        log=str(log) if log.exists() else "",
    )
    return status, pid is None


def next_step(status: Status, stale: bool) -> str:
    """The command that comes next: what is wrong first, then the way from a recording to money."""
    name = status.bot
    if status.state in ("stuck", "failed"):
        return f"quant logs --name {name} --level warn     then: quant stop {name}"
    if status.findings:
        return f"quant reconcile --plan --name {name}     then: quant trust {name}"
    if status.halt_level not in ("", "NONE"):
        return f"quant resume {name}     once the cause is found"
    if stale:
        return f"quant trade --name {name} --strategy FILE"
    return {
        "REPLAY": "quant trade --paper --strategy FILE     on the live market",
        "PAPER": "quant trade --live --endpoint URL     at a testnet, or `quant sandbox binance`",
        "TESTNET": "quant trade --live     with the limits of quant.toml",
    }.get(status.world, f"quant orders --watch --name {name}")


def _table(status: Status, stale: bool, step: str) -> str:
    where = " at ".join(part for part in (status.exchange, status.endpoint) if part)
    up = f"up {age(status.started_ns, status.now_ns)}" if status.started_ns else ""
    pid = f"pid {status.pid}" if status.pid else ""
    first = "   ".join(part for part in (status.bot, status.world, where, status.state, up, pid) if part)
    lines = [first]
    if stale:
        lines.insert(0, f"STALE as of {timestamp(status.now_ns)}, {status.bot} is not running")
    lines += [f"  {label:<10} {text}" for label, text in _lines(status) if text]
    return "\n".join([*lines, f"  {'next':<10} {step}"])


def _lines(status: Status) -> list[tuple[str, str]]:
    halted = status.halt_level not in ("", "NONE")
    marks = ", ".join(f"{n} {MARKS.get(mark, mark)}" for mark, n in status.marks.items())
    swept = f"; swept {age(status.swept_ns, status.now_ns)} ago" if status.swept_ns else ""
    seen = "" if status.feed_age_ms is None else f"seen {status.feed_age_ms:.0f} ms ago"
    rate = "" if status.rate_used is None else f"{status.rate_used:.0%} of the request budget used"
    kernel = (
        f"lag {status.reconciliation_lag_ms:.1f} ms, {status.pending_reconciliations} pending, "
        f"{status.error_count} errors, {status.retry_count} retries"
    )
    findings = status.findings or ("none",)
    return [
        ("why", status.why),
        ("strategy", status.strategy),
        ("markets", ", ".join(status.symbols)),
        ("halt", f"{status.halt_level}: {status.halt_reason}" if halted else "none"),
        ("orders", f"{status.open_orders} open" + (f": {marks}" if marks else "") + swept),
        ("money", _money(status)),
        ("feed", ", ".join(part for part in (seen, rate) if part)),
        ("kernel", kernel if status.started_ns else ""),
        *(("found", text) for text in findings),
        ("project", status.project),
        ("log", status.log),
    ]


def _money(status: Status) -> str:
    if status.equity is None:
        return ""
    text = f"equity {status.equity:,.2f} {status.currency}"
    if status.start_equity is not None:
        text += f" ({status.equity - status.start_equity:+,.2f} since the bot began)"
    return text + (f", exposure {status.exposure:,.2f}" if status.exposure is not None else "")


def _health(bot: Bot) -> str:
    """Latencies, budgets and links of a running bot."""
    if (client := bot.client) is None:
        return ""
    try:
        health = client.get("health", Health)
    except (DaemonAbsent, OutcomeUnknown, RemoteError) as error:
        return error.what
    tables = [
        columns(
            ("LATENCY MS", "COUNT", "P50", "P95", "P99", "WORST"),
            [
                (
                    each.name,
                    str(each.count),
                    *(f"{ms:.1f}" for ms in (each.p50, each.p95, each.p99, each.worst)),
                )
                for each in health.latencies
            ],
            right={"COUNT", "P50", "P95", "P99", "WORST"},
        ),
        columns(
            ("BUDGET", "USED", "LIMIT", "PER S", "RESET S", "WAITING"),
            [
                [f"{value:g}" if isinstance(value, float) else str(value) for value in _values(line)]
                for line in health.budgets
            ],
            right={"USED", "LIMIT", "PER S", "RESET S", "WAITING"},
        ),
        columns(
            ("LINK", "STATE", "SINCE", "DROPS", "REASON"),
            [
                (link.name, link.state, timestamp(link.since_ns), str(link.drops), link.reason)
                for link in health.links
            ],
        ),
        f"memory {health.rss_mb:.0f} MB, processor {health.cpu_share:.0%}, "
        f"loop {health.loop_lag_ms:.1f} ms late, database {health.database_mb:.1f} MB, "
        f"strategy errors {health.strategy_errors}",
        *health.problems,
    ]
    return "\n".join(tables)


def _values(line: msgspec.Struct) -> tuple[Any, ...]:
    return msgspec.structs.astuple(line)
