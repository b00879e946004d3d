"""Screen 5: how long things take, how much of the exchange's limits is used, which connections hold."""

from quantcli.runtime.control.wire import BudgetLine, Health, Latency, LinkLine
from quantcli.tui.model import Model
from quantcli.tui.screens.drawing import Column, Page, cells, heading, rule
from quantcli.tui.typeset import NONE, Line, bar, clip, milliseconds, number, sparks, uptime


def keys(model: Model) -> list[str]:
    """Nothing is chosen here."""
    return []


def summary(model: Model, width: int) -> Line:
    """What is not as it should be."""
    health = model.shown.health
    if health is None:
        return [(" no word of health yet", "dim")]
    problems = [*health.problems, *(f"{link.name} is down" for link in health.links if link.state == "down")]
    if not problems:
        checked = f" ({sum(health.checks.values()):,} checks)" if health.checks else ""
        return [(f" all well{checked}", "")]
    return [(f" {len(problems)} not well: ", "alarm"), (" " + "; ".join(problems), "")]


def aside(model: Model) -> str:
    """What time the figures are of."""
    return "window: 15 min"


def body(model: Model, width: int, height: int) -> Page:
    """Latencies, limits, connections, and the machine."""
    health = model.shown.health
    if health is None:
        return Page([[], [(" waiting for the first figures", "dim")]] + [[]] * (height - 2))
    lines: list[Line] = []
    spare = height - 6  # three headings, two rules, the machine
    for_links = min(len(health.links), max(2, spare // 3))
    for_budget = min(len(health.budgets), max(2, (spare - for_links - 1) // 2))
    for_latency = max(1, spare - max(1, for_links) - max(1, for_budget))
    lines += _latencies(health.latencies[:for_latency], width)
    lines.append(rule(width))
    lines += _budgets(health.budgets[:for_budget], width)
    lines.append(rule(width))
    lines += _links(health.links[:for_links], model, width)
    lines += _machine(health, model, width)
    lines += [[] for _ in range(height - len(lines))]
    return Page(lines[:height])


def _latencies(latencies: tuple[Latency, ...], width: int) -> list[Line]:
    graph = min(60, width - 54)
    columns = [
        Column("LATENCY ms", 20),
        *(Column(title, 6, True) for title in ("p50", "p95", "p99", "max")),
        Column(" last 60 s", max(4, graph)),
    ]
    lines = [clip(heading(columns), width)]
    for one in latencies:
        if not one.count:
            lines.append(clip([*cells(columns, [one.name, *[NONE] * 4, " nothing yet"])], width))
            continue
        figures = [milliseconds(value) for value in (one.p50, one.p95, one.p99, one.worst)]
        lines.append(
            clip(
                cells(columns, [one.name, *figures, (" " + sparks(one.recent, graph - 1, one.p99), "buy")]),
                width,
            )
        )
    if not latencies:
        lines.append([(" nothing was measured yet", "dim")])
    return lines


def _budgets(budgets: tuple[BudgetLine, ...], width: int) -> list[Line]:
    columns = [
        Column("LIMITS of exchange", 20),
        Column("used", 9, True),
        Column("/ limit", 10),
        Column("", 11),
        Column("per", 6),
        Column("reset", 7, True),
        Column("waiting", 8, True),
    ]
    lines = [clip(heading(columns), width)]
    for one in budgets:
        part = one.used / one.limit if one.limit else 0.0
        lines.append(
            clip(
                cells(
                    columns,
                    [
                        one.kind,
                        f"{one.used:,}",
                        f"/ {one.limit:,}",
                        (bar(part, 10), "alarm" if part > 0.9 else ""),
                        uptime(round(one.per_s * 1e9)),
                        uptime(round(one.reset_s * 1e9)),
                        (f"{one.waiting:,}", "warn" if one.waiting else ""),
                    ],
                ),
                width,
            )
        )
    if not budgets:
        lines.append([(" no limit is known here", "dim")])
    return lines


def _links(links: tuple[LinkLine, ...], model: Model, width: int) -> list[Line]:
    columns = [
        Column("LINKS", 20),
        Column("state", 8),
        Column("since", 7, True),
        Column("drops", 6, True),
        Column(" last reason", max(12, width - 46)),
    ]
    lines = [clip(heading(columns), width)]
    for one in links:
        held = uptime(model.now_ns - one.since_ns) if one.since_ns else NONE
        state = (one.state, "" if one.state == "ok" else "alarm" if one.state == "down" else "dim")
        lines.append(
            clip(cells(columns, [one.name, state, held, f"{one.drops:,}", f" {one.reason or NONE}"]), width)
        )
    if not links:
        lines.append([(" no connections: nothing outside is needed", "dim")])
    return lines


def _machine(health: Health, model: Model, width: int) -> list[Line]:
    status = model.status
    text = (
        f" cpu {health.cpu_share * 100:.0f} %  memory {health.rss_mb:.0f} MB  loop late "
        f"{milliseconds(health.loop_lag_ms)} ms  database {number(health.database_mb, 1)} MB  "
    )
    line: Line = [(text, "")]
    errors = health.strategy_errors
    line.append((f"strategy errors {errors}", "alarm" if errors else ""))
    if status is not None and width >= 110:
        line.append(
            (
                f"  reconcile lag {milliseconds(status.reconciliation_lag_ms)} ms, "
                f"{status.pending_reconciliations} pending, {status.retry_count} retries, "
                f"{status.error_count} errors",
                "",
            )
        )
    return [clip(line, width)]
