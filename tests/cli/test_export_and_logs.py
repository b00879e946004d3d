"""What a bot leaves as files: exports for notebooks and spreadsheets, and its log."""

import csv
import io
import json
from decimal import Decimal

import pytest

from quantcli.runtime.control.log import open_log
from quantcli.runtime.control.wire import EventItem

S = 1_000_000_000
T0 = 1_763_630_042 * S


def table(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))


def test_fills_are_exported_oldest_first(quant, project):
    rows = table(quant("export", "fills").stdout)
    assert [row["trade_id"] for row in rows] == ["1", "2", "3"]
    assert rows[2]["fee"] == "0.001"
    lines = quant("export", "fills", "-o", "jsonl", "--since", "2025-11-20T09:14:14Z").stdout.splitlines()
    assert [json.loads(line)["trade_id"] for line in lines] == ["2", "3"]


def test_a_file_is_put_in_place_as_a_whole(quant, project):
    said = quant("export", "orders", "--to", "out/orders.csv")
    assert (said.stdout, said.stderr) == ("", "6 orders of mm in out/orders.csv\n")
    assert len(table((project / "out" / "orders.csv").read_text())) == 6
    assert [path.name for path in (project / "out").iterdir()] == ["orders.csv"]
    assert quant("export", "orders", "--to", "out").returncode == 2


@pytest.mark.parametrize("what", ["fills", "orders", "equity", "events"])
def test_parquet_keeps_numbers_exact(quant, project, what):
    import pyarrow.parquet as pq

    said = quant("export", what, "-o", "parquet")
    assert (said.returncode, said.stdout) == (0, "")
    found = pq.read_table(project / f"mm-{what}.parquet")
    if what == "fills":
        assert found["price"].to_pylist() == [Decimal(64200), Decimal(64199), Decimal(64199)]
        assert str(found.schema.field("price").type).startswith("decimal128")
    if what == "orders":
        assert found["price"].to_pylist().count(None) == 1


def test_nothing_makes_an_empty_file(quant, project, add_bot):
    import pyarrow.parquet as pq

    add_bot("calm")
    assert quant("export", "fills", "--name", "calm", "-o", "parquet", "--to", "x.parquet").returncode == 0
    assert pq.read_table(project / "x.parquet").num_rows == 0


def test_equity_is_counted_from_fills(quant, add_bot, sale):
    add_bot("bear", sale)
    [row] = table(quant("export", "equity", "--name", "bear").stdout)
    assert (row["currency"], row["realised"], row["fees"], row["net_pnl"]) == ("USDT", "0", "0.1", "-0.1")
    assert row["equity"] == ""


def test_equity_is_valued_at_the_latest_fill(quant, project):
    rows = table(quant("export", "equity").stdout)
    # 0.01 bought at 64200, then the market is at 64199: 0.01 less; 0.1 and 0.962985 USDT of fees, and the
    # fee in BTC bought back at its price.
    assert [row["net_pnl"] for row in rows][:2] == ["-0.1", "-1.072985"]


@pytest.fixture
def log(project):
    path = project / ".quant" / "mm.log"
    opened = open_log(path, "mm")
    yield opened
    opened.close()


def test_the_log_is_read_whether_the_bot_runs_or_not(quant, project, log):
    log.take(EventItem(1, T0, "info", "filled", "BTC/USDT", "BTC/USDT bid B 0.03"))
    log.take(EventItem(2, T0 + S, "warn", "unknown", "BTC/USDT", "no answer", why="silence"))
    log.close()
    assert quant("logs").stdout.splitlines() == [
        "2025-11-20 09:14:02.000       filled     BTC/USDT bid B 0.03",
        "2025-11-20 09:14:03.000 WARN  unknown    no answer",
    ]
    assert len(quant("logs", "--level", "warn").stdout.splitlines()) == 1
    found = json.loads(quant("logs", "-n", "1", "--json").stdout)
    assert [item["number"] for item in found["items"]] == [2]
    # Events of a bot that does not run come from there, too, with what they mean.
    assert [item["why"] for item in json.loads(quant("events", "--json").stdout)["items"]] == ["", "silence"]


def test_a_log_is_followed_as_it_grows(start, project, log):
    follower = start("logs", "-f", "-o", "jsonl")
    log.take(EventItem(1, T0, "info", "filled", "BTC/USDT", "one"))
    assert json.loads(follower.stdout.readline())["text"] == "one"
    log.take(EventItem(2, T0, "info", "filled", "BTC/USDT", "two"))
    assert json.loads(follower.stdout.readline())["text"] == "two"


def test_without_a_log_there_is_a_remedy(quant, project):
    said = quant("logs")
    assert (said.returncode, said.stdout) == (7, "")
    assert "quant trade --name mm" in said.stderr


def test_without_a_log_events_are_those_of_the_journal(quant, project, add_bot):
    from quantcli.store.api import JournalEntry

    add_bot(
        "mm",
        [
            JournalEntry(T0, "ab000000000000000001", 1, "placed", "as c1"),
            JournalEntry(T0 + S, "ab000000000000000001", 1, "silent", "no answer in 5 s"),
        ],
    )
    items = json.loads(quant("events", "--json").stdout)["items"]
    assert [(item["kind"], item["level"], item["symbol"]) for item in items] == [
        ("placed", "info", "BTC/USDT"),
        ("silent", "warn", "BTC/USDT"),
    ]
