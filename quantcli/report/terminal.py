"""The report for a terminal of 80 columns: what the run earned, at what risk, and what the kernel did.

Readable without colour: signs and words carry every state.  Nothing is computed here but the form of
numbers.
"""

from collections.abc import Iterable
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from textwrap import shorten

from rich.console import Console
from rich.text import Text

from quantcli.clock import NS_PER_S
from quantcli.model.instrument import canonical
from quantcli.report.summary import Delay, SimulationReport

WIDTH = 80
_RULE = "-" * (WIDTH - 1)
_NONE = "n/a"
_PLOT_ROWS = 14
_CODES, _CODE_WIDTH = 4, 50  # codes of rejection that are shown, and how much of each


def render(report: SimulationReport, console: Console, plot: bool) -> None:
    """Print the report; with `plot`, the equity curve below it."""
    for line in lines(report):
        console.print(_styled(line), soft_wrap=True, highlight=False)
    if plot:
        console.print(Text.from_ansi(_plot(report)), soft_wrap=True, highlight=False)


def lines(report: SimulationReport) -> list[str]:
    """The lines of the report, none wider than `WIDTH`."""
    body = [
        _risk(report),
        _turnover(report),
        _trading(report),
        _orders(report),
        _rejections(report),
        _timing(report),
        _markouts(report),
        _invariants(report),
        _assumptions(report),
    ]
    return [
        *_flow(_heading(report)),
        *_flow(_result(report)),
        _RULE,
        *(line for pieces in body if pieces for line in _flow(pieces, " ")),
        _RULE,
        *_flow(_artifacts(report), " "),
    ]


# -- what each line says -------------------------------------------------------------------------------


def _heading(report: SimulationReport) -> list[str]:
    symbols = " ".join(report.symbols[:3])
    more = f" +{len(report.symbols) - 3}" if len(report.symbols) > 3 else ""
    return [
        report.strategy,
        f"{report.exchange} {symbols}{more}",
        _period(report.from_ns, report.to_ns),
        f"{report.events:,} events in {report.wall_s:.1f} s",
    ]


def _result(report: SimulationReport) -> list[str]:
    start, net = Decimal(report.start_equity), Decimal(report.net_pnl)
    pieces = [f"equity {_money(report.start_equity)} -> {_money(report.end_equity)} {report.currency}"]
    pieces.append(f"{_percent(net / start)} %" if start > 0 else f"{net:+,.2f}")
    known = [Decimal(r.net_pnl) for r in report.by_queue_model.values() if r is not None]
    if len(known) > 1 and start > 0:
        pieces.append(f"by fill model {_percent(min(known) / start)} .. {_percent(max(known) / start)} %")
    return pieces


def _risk(report: SimulationReport) -> list[str]:
    figures = report.metrics
    step = "1 h" if figures.sampling_s == 3600 else "1 min"
    fall = _NONE
    if figures.max_drawdown is not None and figures.max_drawdown_s is not None:
        fall = f"{-figures.max_drawdown * 100:z.2f} % {_duration(figures.max_drawdown_s)}"
    return [
        f"sharpe {_number(figures.sharpe)}",
        f"sortino {_number(figures.sortino)}",
        f"(365 d, {figures.returns:,} x {step})",
        f" max dd {fall}",
    ]


def _turnover(report: SimulationReport) -> list[str]:
    figures = report.metrics
    return [
        f"fees {_money(report.fees)}",
        f" turnover {_number(figures.turnover, 2)} x equity",
        f" exposure {_share(figures.exposure_time)} of time",
    ]


def _trading(report: SimulationReport) -> list[str]:
    figures = report.metrics
    maker = report.maker_fills / report.fills if report.fills else None
    return [
        f"fills {report.fills:,}",
        f"maker {_share(maker)}",
        f" round trips {figures.round_trips:,}",
        f"win {_share(figures.win_rate)}",
        f" profit factor {_number(figures.profit_factor, 2)}",
    ]


def _orders(report: SimulationReport) -> list[str]:
    counts = report.orders
    return [
        f"orders {counts.created:,} created",
        f"{counts.replaced:,} replaced",
        f"{counts.cancelled:,} cancelled",
        f"{counts.rejected:,} rejected",
        f"{counts.unknown:,} unknown",
    ]


def _rejections(report: SimulationReport) -> list[str]:
    """Orders a fill, and the commonest codes of rejection; the report has them all."""
    often = sorted(report.rejected_by_code.items(), key=lambda item: (-item[1], item[0]))
    pieces = [f"{report.orders.created / report.fills:.1f} per fill"] if report.fills else []
    pieces += [
        f"rejected {n:,} by {shorten(code, _CODE_WIDTH, placeholder=' ..')}" for code, n in often[:_CODES]
    ]
    if len(often) > _CODES:
        pieces.append(f"and {len(often) - _CODES} more codes")
    if not report.orders.created:
        pieces += [f"{slot} {why}" for slot, why in report.waiting.items()]
    return [f"  {pieces[0]}", *pieces[1:]] if pieces else []


def _timing(report: SimulationReport) -> list[str]:
    pieces = [f"intent->ack {_delay(report.intent_to_ack_ms)}"]
    if report.in_drift is not None:
        share = report.in_drift * 100
        pieces.append(f" in drift {share:.{1 if share >= 1 or not share else 2}f} % of time")
        if report.drift_to_sync_ms.p50 is not None:
            pieces.append(f"each {_delay(report.drift_to_sync_ms)}")
    return pieces


def _markouts(report: SimulationReport) -> list[str]:
    known = [value for value in report.markout_bps.values() if value is not None]
    pieces = [f"{name} {_signed(value)}" for name, value in report.markout_bps.items()]
    verdict = [" <- adverse selection"] if known and known[-1] < 0 else []
    return ["mark-out bps", *(f" {piece}" for piece in pieces), *verdict]


def _invariants(report: SimulationReport) -> list[str]:
    found = report.invariants
    held = f"invariants {found.checked - found.violated}/{found.checked} held"
    return [held, *(f"! broken: {name}" for name in found.names)]


def _assumptions(report: SimulationReport) -> list[str]:
    maker, taker = (_rate(report.fees_rate[name]) for name in ("maker", "taker"))
    return [
        f"assumed latency {report.latency_ms:g} ms",
        f" fees maker {maker} taker {taker}",
        f" queue {report.queue}",
        f" seed {report.seed}",
    ]


def _artifacts(report: SimulationReport) -> list[str]:
    if not report.artifacts:
        return ["nothing written"]
    paths = list(report.artifacts.values())
    folder = paths[0].rpartition("/")[0].removeprefix(f"{Path.cwd()}/")
    return [f"wrote {folder}/", *(path.rpartition("/")[2] for path in paths)]


# -- the form of numbers -------------------------------------------------------------------------------


def _money(text: str) -> str:
    """Cents, or as many decimals as a small amount needs to show something."""
    value = Decimal(text)
    return f"{value:,.2f}" if abs(value) >= Decimal("0.1") or not value else f"{value:.8f}"


def _number(value: float | None, decimals: int = 1) -> str:
    return _NONE if value is None else f"{value:z,.{decimals}f}"


def _signed(value: float | None) -> str:
    return _NONE if value is None else f"{value:+z.2f}"


def _share(value: float | None) -> str:
    return _NONE if value is None else f"{value * 100:.0f} %"


def _delay(delay: Delay) -> str:
    return _NONE if delay.p50 is None else f"p50 {_number(delay.p50, 0)} p95 {_number(delay.p95, 0)} ms"


def _rate(fraction: str) -> str:
    return f"{canonical(Decimal(fraction) * 100)} %"


def _percent(fraction: Decimal) -> str:
    return f"{fraction * 100:+z.2f}"


def _duration(seconds: float) -> str:
    minutes, left = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    if days:
        return f"{days}d{hours:02}h"
    if hours:
        return f"{hours}h{minutes:02}m"
    return f"{minutes}m{left:02}s" if minutes else f"{left}s"


def _period(from_ns: int, to_ns: int) -> str:
    """Whole days for runs of several, else times of day, UTC; what the ends share is said once."""
    start, end = (datetime.fromtimestamp(ns // NS_PER_S, UTC) for ns in (from_ns, to_ns))
    if start.date() == end.date():
        return f"{start:%Y-%m-%d %H:%M}..{end:%H:%M}"
    if (start.year, start.month) == (end.year, end.month):
        return f"{start:%Y-%m-%d}..{end:%d}"
    return f"{start:%Y-%m-%d}..{end:%Y-%m-%d}"


# -- the page ------------------------------------------------------------------------------------------


def _flow(pieces: Iterable[str], indent: str = "") -> list[str]:
    """Pieces on as few lines as fit, two blanks apart; a piece wider than a line is cut at its front."""
    done: list[str] = []
    line = indent
    for piece in pieces:
        gap = "  " if line.strip() else ""
        if len(line) + len(gap) + len(piece) > WIDTH and line.strip():
            done.append(line)
            line, gap = f"{indent}  ", ""
        room = WIDTH - len(line) - len(gap)
        line += gap + (piece if len(piece) <= room else ".." + piece[2 - room :])
    return [*done, line]


def _styled(line: str) -> Text:
    text = Text(line)
    text.highlight_regex(r"\+\d[\d,.]*", "green")
    text.highlight_regex(r"(?<= )-\d[\d,.]*(?![\d,.:])", "red")
    text.highlight_regex(r"! broken.*", "bold red")
    return text


def _plot(report: SimulationReport) -> str:
    import plotext  # noqa: PLC0415  (only who asks for the curve waits for it)

    unit, unit_s = ("hours", 3600) if report.to_ns - report.from_ns > 7200 * NS_PER_S else ("minutes", 60)
    times = [(at_ns - report.from_ns) / NS_PER_S / unit_s for at_ns, _ in report.equity_curve]
    figure = plotext.figure.clear()
    figure.plot_size(WIDTH, _PLOT_ROWS).theme("colorless")
    figure.title(f"equity, {report.currency}, by {unit}")
    equity = [float(money) for _, money in report.equity_curve]
    figure.draw(figure.signal(times, equity, marker="braille").lines())
    return str(figure.build())
