"""The terminal form: 80 columns, no colour needed, every state in words or signs."""

import io
from decimal import Decimal

import msgspec
import pytest
from rich.console import Console

from quantcli.report import terminal
from quantcli.report.summary import summarise


def shown(report, plot: bool = False, **options) -> str:
    out = io.StringIO()
    terminal.render(report, Console(file=out, width=80, **options), plot)
    return out.getvalue()


def test_the_report_reads_like_this(make_run) -> None:
    report = msgspec.structs.replace(
        summarise(make_run()),
        artifacts={"report": "runs/touchmaker-1/report.json", "fills": "runs/touchmaker-1/fills.parquet"},
    )
    assert shown(report) == (
        "touch.py:TouchMaker  binance BTC/USDT  2023-11-14 22:13..22:23\n"
        "  12,345 events in 0.5 s\n"
        "equity 1,000.00 -> 1,014.69 USDT  +1.47 %  by fill model -1.00 .. +2.00 %\n"
        + "-"
        * 79
        + f"\n sharpe {report.metrics.sharpe:,.1f}  sortino {report.metrics.sortino:,.1f}"
        "  (365 d, 10 x 1 min)   max dd -1.98 % 4m00s\n"
        " fees 0.31   turnover 0.31 x equity   exposure 100 % of time\n"
        " fills 2  maker 100 %   round trips 1  win 100 %   profit factor n/a\n"
        " orders 2 created  1 replaced  0 cancelled  3 rejected  0 unknown\n"
        "   1.0 per fill  rejected 2 by -2010  rejected 1 by -1013\n"
        " intent->ack p50 40 p95 40 ms   in drift 1.7 % of time  each p50 40 p95 40 ms\n"
        " mark-out bps   1s +0.50   10s -0.25   60s n/a   <- adverse selection\n"
        " invariants 14/14 held\n"
        " assumed latency 50 ms   fees maker 0.02 % taker 0.05 %   queue volume   seed 7\n"
        + "-" * 79
        + "\n wrote runs/touchmaker-1/  report.json  fills.parquet\n"
    )


def test_no_line_is_wider_than_80_columns(make_run) -> None:
    run = make_run(
        strategy="a/very/long/path/" * 8 + "x.py:VeryLongStrategyName",
        symbols=[f"COIN{n}/USDT:USDT" for n in range(9)],
        violated=[f"invariant number {n}" for n in range(9)],
        rejected_by_code={f"-{n} {'because ' * 20}": 10**6 + n for n in range(1000, 1020)},
    )
    text = shown(summarise(run))
    assert max(map(len, text.splitlines())) <= 80
    assert "VeryLongStrategyName" in text
    assert "+6" in text
    assert "rejected 1,001,019 by -1019 because" in text
    assert "and 16 more codes" in text


def test_broken_invariants_stand_out_without_colour(make_run) -> None:
    assert "invariants 13/14 held  ! broken: I2" in shown(summarise(make_run(violated=("I2",))))


def test_colour_only_adds_colour(make_run) -> None:
    report = summarise(make_run())
    coloured = shown(report, force_terminal=True, color_system="truecolor")
    assert "\x1b[" in coloured
    assert "\x1b[" not in shown(report)


def test_a_run_without_fills_is_shown(make_run) -> None:
    nothing = make_run(
        fills=(),
        order_rows=(),
        sample_ns=(),
        equity=(),
        exposure=(),
        rejected_by_code={},
        markout_bps={"1s": None},
    )
    text = shown(summarise(nothing))
    assert " fills 0  maker n/a   round trips 0  win n/a   profit factor n/a\n" in text
    assert " intent->ack n/a   in drift 0.0 % of time\n" in text
    assert " mark-out bps   1s n/a\n" in text
    assert "nothing written" in text
    assert "per fill" not in text


@pytest.mark.parametrize(("share", "text"), [(0.0, "0.0"), (0.00034, "0.03"), (0.01, "1.0"), (1.0, "100.0")])
def test_a_small_drift_is_not_shown_as_none(make_run, share: float, text: str) -> None:
    report = msgspec.structs.replace(summarise(make_run()), in_drift=share)
    assert f"in drift {text} % of time" in shown(report)


def test_a_run_that_never_lost_has_a_drawdown_of_zero(make_run) -> None:
    text = shown(summarise(make_run(sample_ns=(), equity=(), exposure=())))
    assert " max dd 0.00 % 0s" in text


def test_no_zero_is_negative(make_run) -> None:
    report = msgspec.structs.replace(summarise(make_run()), net_pnl="-0.001", by_queue_model={})
    figures = msgspec.structs.replace(report.metrics, max_drawdown=1e-7, sharpe=-0.01, sortino=-0.01)
    markouts = {"1s": -0.001}
    text = shown(msgspec.structs.replace(report, metrics=figures, markout_bps=markouts))
    assert "USDT  +0.00 %" in text
    assert "sharpe 0.0  sortino 0.0" in text
    assert "max dd 0.00 %" in text
    assert "1s +0.00" in text


def test_a_folder_below_the_working_one_is_named_from_there(make_run, tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    report = summarise(make_run())
    inside, outside = (
        shown(msgspec.structs.replace(report, artifacts={"report": str(folder / "r-1" / "report.json")}))
        for folder in (tmp_path / "runs", tmp_path.parent)
    )
    assert "\n wrote runs/r-1/  report.json\n" in inside
    assert f" wrote {tmp_path.parent}/r-1/" in outside


def test_a_reason_that_is_cut_shows_that_it_is(make_run) -> None:
    long = "refused by the exchange: -2010: Order would immediately match and take"
    report = summarise(make_run(rejected_by_code={long: 3, "-1013": 1}))
    assert "rejected 3 by refused by the exchange: -2010: Order would ..\n" in shown(report)


def test_a_code_is_not_coloured_like_a_loss(make_run) -> None:
    report = summarise(make_run(rejected_by_code={"exchange: -2010: no": 3}))
    coloured = shown(report, force_terminal=True, color_system="truecolor")
    assert "exchange: -2010: no" in coloured


def test_the_plot_is_the_equity_curve_below_the_report(make_run) -> None:
    report = summarise(make_run())
    plain, plotted = shown(report), shown(report, plot=True)
    assert plotted.startswith(plain)
    drawn = plotted.removeprefix(plain)
    assert "equity, USDT, by minutes" in drawn
    assert any(0x2800 < ord(c) < 0x2900 for c in drawn)
    assert max(map(len, drawn.splitlines())) <= 80


@pytest.mark.parametrize(
    ("seconds", "text"), [(0, "0s"), (59.9, "59s"), (60, "1m00s"), (15000, "4h10m"), (90000, "1d01h")]
)
def test_durations_are_short(make_run, seconds: float, text: str) -> None:
    report = summarise(make_run())
    figures = msgspec.structs.replace(report.metrics, max_drawdown_s=seconds)
    assert f"% {text}\n" in shown(msgspec.structs.replace(report, metrics=figures))


def test_small_amounts_show_their_decimals(make_run) -> None:
    run = make_run(fees=Decimal("0.00001234"), end_equity=Decimal("1014.99998766"))
    assert "fees 0.00001234" in shown(summarise(run))


@pytest.mark.parametrize(
    ("days", "text"), [(0, "2023-11-14 22:13..22:13"), (6, "2023-11-14..20"), (30, "2023-11-14..2023-12-14")]
)
def test_the_period_says_what_its_ends_share_once(make_run, days: int, text: str) -> None:
    run = make_run()
    report = summarise(make_run(to_ns=run.from_ns + days * 86_400_000_000_000))
    assert f" {text}\n" in shown(report).replace("  12,345", "\n")
