"""The folder of a run: whole, the same bytes for the same run, true numbers in every reader."""

import json
import re
from decimal import Decimal
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from quantcli.errors import RecordingError
from quantcli.report.folder import write_run
from quantcli.report.summary import summarise

D = Decimal


@pytest.fixture
def strategy(tmp_path: Path) -> Path:
    path = tmp_path / "touch.py"
    path.write_text("class TouchMaker: ...\n")
    return path


@pytest.fixture
def write(tmp_path: Path, strategy: Path):
    def write(run, root: str = "runs", config: str = "[bot]\n") -> Path:
        artifacts = write_run(tmp_path / root, run, summarise(run), config, strategy)
        return Path(artifacts["report"]).parent

    return write


def test_the_folder_holds_everything_and_nothing_else(tmp_path: Path, strategy: Path, make_run) -> None:
    run = make_run()
    artifacts = write_run(tmp_path / "runs", run, summarise(run), "[bot]\nseed = 7\n", strategy)
    folder = tmp_path / "runs" / summarise(run).run_id
    assert set(artifacts) == {"report", "fills", "orders", "equity", "config", "strategy"}
    assert {Path(p) for p in artifacts.values()} == set(folder.iterdir())
    assert list((tmp_path / "runs").iterdir()) == [folder]
    assert (folder / "config.toml").read_text() == "[bot]\nseed = 7\n"
    assert (folder / "touch.py").read_text() == strategy.read_text()
    report = json.loads((folder / "report.json").read_text())
    assert report["artifacts"]["fills"] == "fills.parquet"
    assert report["end_equity"] == "1014.69"


def test_fills_are_true_decimals(write, make_run) -> None:
    table = pq.read_table(write(make_run()) / "fills.parquet")
    assert table.column("price").to_pylist() == [D(100), D(110)]
    assert table.column("fee").to_pylist() == [D("0.2"), D("0.11")]
    assert table.column("side").to_pylist() == ["BUY", "SELL"]
    assert table.column("is_maker").to_pylist() == [True, True]
    # As narrow as the values: the product of two such columns fits in 38 digits.
    assert [str(table.schema.field(n).type) for n in ("qty", "fee")] == [
        "decimal128(38, 0)",
        "decimal128(38, 2)",
    ]


def test_orders_keep_what_never_happened_as_null(write, make_run) -> None:
    rows = pq.read_table(write(make_run()) / "orders.parquet").to_pylist()
    assert list(rows[0])[:7] == ["intent_id", "client_order_id", "slot", "symbol", "side", "type", "qty"]
    assert list(rows[0])[7:11] == ["price", "placed_ns", "acked_ns", "cancel_ns"]
    assert list(rows[0])[11:] == ["ended_ns", "status", "filled", "reason"]
    assert (rows[0]["price"], rows[0]["type"], rows[0]["status"]) == (D("100.5"), "LIMIT_MAKER", "FILLED")
    assert (rows[1]["price"], rows[1]["acked_ns"], rows[1]["ended_ns"]) == (None, None, None)


def test_the_equity_curve_has_its_exact_ends(write, make_run) -> None:
    run = make_run()
    rows = pq.read_table(write(run) / "equity.parquet").to_pylist()
    assert rows[0] == {"at_ns": run.from_ns, "equity": 1000.0, "exposure": None}
    assert rows[1] == {"at_ns": run.sample_ns[0], "equity": 1000.0, "exposure": 0.0}
    assert rows[-1]["equity"] == 1014.69
    assert len(rows) == len(run.sample_ns) + 2


def test_the_same_run_gives_the_same_bytes(write, make_run) -> None:
    one, other = write(make_run(), "a"), write(make_run(wall_s=3.0), "b")
    for file in sorted(one.iterdir()):
        mine, theirs = file.read_bytes(), (other / file.name).read_bytes()
        if file.name == "report.json":
            assert mine != theirs
            mine, theirs = (re.sub(rb'"(wall_s|events_per_s)": [\d.]+', b"", raw) for raw in (mine, theirs))
        assert mine == theirs, file.name


def test_an_older_folder_of_the_same_run_is_replaced_as_a_whole(tmp_path: Path, write, make_run) -> None:
    folder = write(make_run())
    (folder / "stray").write_text("old")
    assert write(make_run(), config="# new\n") == folder
    assert (folder / "config.toml").read_text() == "# new\n"
    assert not (folder / "stray").exists()
    assert list((tmp_path / "runs").iterdir()) == [folder]


def test_a_run_without_fills_writes_empty_tables(write, make_run) -> None:
    folder = write(make_run(fills=(), order_rows=()))
    assert pq.read_table(folder / "fills.parquet").num_rows == 0
    assert pq.read_table(folder / "orders.parquet").column_names[0] == "intent_id"


def test_a_value_of_too_many_digits_loses_decimals_not_size(write, make_run, make_fill) -> None:
    fill = make_fill("BUY", "12345678.123456789", "1", "0." + "1" * 45)
    table = pq.read_table(write(make_run(fills=[fill])) / "fills.parquet")
    assert table.column("qty").to_pylist() == [D("12345678.123456789")]
    assert table.column("fee").to_pylist() == [D("0." + "1" * 37)]


def test_what_cannot_be_written_is_told_and_leaves_nothing(tmp_path: Path, strategy: Path, make_run) -> None:
    run = make_run()
    with pytest.raises(RecordingError) as caught:
        write_run(tmp_path / "runs", run, summarise(run), "", tmp_path / "gone.py")
    assert caught.value.why
    assert list((tmp_path / "runs").iterdir()) == []
