"""`quant import` and `quant recordings` as a user meets them."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest


def quant(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", "from quantcli.cli.app import main; main()", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def candles(data: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    root = tmp_path_factory.mktemp("verbs") / "recordings"
    ran = quant("import", data / "usdm_btcusdt_1m_20240330.csv.gz", "--to", root, "-o", "json")
    assert (ran.returncode, ran.stderr) == (0, "")
    return root, json.loads(ran.stdout)


def test_import_tells_what_it_did(candles: tuple[Path, dict[str, Any]]) -> None:
    found = candles[1]
    assert (found["api"], found["kind"]) == ("quant/v1", "ImportSummary")
    assert (found["events"], found["gaps"], found["symbols"]) == ({"bars": 1440}, 0, ["BTC/USDT:USDT"])
    assert found["to_ns"] - found["from_ns"] == 1439 * 60_000_000_000


def test_list_and_verify_show_the_same_files(candles: tuple[Path, dict[str, Any]]) -> None:
    root, found = candles
    listed, checked = (
        json.loads(quant("recordings", verb, root, "-o", "json").stdout) for verb in ("list", "verify")
    )
    assert (listed["kind"], checked["kind"]) == ("RecordingList", "RecordingCheck")
    assert [item["path"] for item in listed["items"]] == found["files"]
    assert [item | {"ok": True, "problem": ""} for item in listed["items"]] == checked["items"]


def test_verify_leaves_with_six_after_one_changed_byte(
    candles: tuple[Path, dict[str, Any]], tmp_path: Path
) -> None:
    root, found = candles
    path = root / found["files"][0]
    sound = path.read_bytes()
    path.write_bytes(sound[:-1] + bytes([sound[-1] ^ 1]))
    ran = quant("recordings", "verify", root, "-o", "json")
    path.write_bytes(sound)
    assert ran.returncode == 6
    assert [item["ok"] for item in json.loads(ran.stdout)["items"]] == [False, True]
    assert found["files"][0] in ran.stderr


def test_errors_leave_with_their_codes(tmp_path: Path) -> None:
    (tmp_path / "x.txt").touch()
    assert quant("import", tmp_path / "x.txt", "--to", tmp_path / "out").returncode == 1
    assert quant("import", tmp_path / "absent.csv", "--to", tmp_path / "out").returncode == 7
    assert quant("recordings", "list", tmp_path / "absent").returncode == 7
    assert list(tmp_path.iterdir()) == [tmp_path / "x.txt"]


def test_listing_and_help_do_without_pyarrow(candles: tuple[Path, dict[str, Any]]) -> None:
    script = (
        "import sys\n"
        "from quantcli.cli.app import main\n"
        "try: main()\n"
        "finally: print(sorted({'pyarrow', 'numpy', 'pandas'} & sys.modules.keys()), file=sys.stderr)"
    )
    for arguments in (
        ["recordings", "list", str(candles[0])],
        ["import", "--help"],
        ["recordings", "--help"],
    ):
        ran = subprocess.run(
            [sys.executable, "-c", script, *arguments], capture_output=True, text=True, check=False
        )
        assert (ran.returncode, ran.stderr.strip()) == (0, "[]")
