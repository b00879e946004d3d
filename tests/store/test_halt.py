"""The kill switch: durable, never lowered by accident, and shut when in doubt."""

import os

import pytest

from quantcli.errors import StoreError
from quantcli.store.halt import HaltFlag, KillLevel


@pytest.fixture(params=["file", "memory"])
def flag(request, tmp_path):
    return HaltFlag(tmp_path / "halt" if request.param == "file" else None)


def test_nothing_is_halted_at_first(flag):
    assert flag.level == 0
    assert flag.reason == ""


def test_a_level_is_in_force_with_its_reason(flag):
    flag.raise_to(KillLevel.CANCEL_ALL, "too many losses", 5)
    assert flag.level is KillLevel.CANCEL_ALL
    assert flag.reason == "too many losses"


def test_a_level_is_raised_but_never_lowered(flag):
    flag.raise_to(KillLevel.CANCEL_ALL, "second", 5)
    flag.raise_to(KillLevel.HALT_NEW, "first", 6)
    flag.raise_to(KillLevel.NONE, "none", 7)
    assert (flag.level, flag.reason) == (KillLevel.CANCEL_ALL, "second")
    flag.raise_to(KillLevel.FLATTEN, "third", 8)
    assert (flag.level, flag.reason) == (KillLevel.FLATTEN, "third")


def test_clearing_lifts_every_level_and_can_be_repeated(flag):
    flag.raise_to(KillLevel.FLATTEN, "x", 5)
    flag.clear()
    flag.clear()
    assert (flag.level, flag.reason) == (KillLevel.NONE, "")
    flag.raise_to(KillLevel.HALT_NEW, "again", 6)
    assert flag.level == KillLevel.HALT_NEW


def test_a_level_survives_restarts(tmp_path):
    HaltFlag(tmp_path / "deep" / "halt").raise_to(KillLevel.FLATTEN, "reason", 5)
    again = HaltFlag(tmp_path / "deep" / "halt")
    assert (again.level, again.reason) == (KillLevel.FLATTEN, "reason")
    assert os.listdir(tmp_path / "deep") == ["halt"]


def test_another_process_raises_and_clears_what_this_one_sees(tmp_path):
    ours, theirs = HaltFlag(tmp_path / "halt"), HaltFlag(tmp_path / "halt")
    assert ours.level == KillLevel.NONE
    theirs.raise_to(KillLevel.HALT_NEW, "theirs", 5)
    assert (ours.level, ours.reason) == (KillLevel.HALT_NEW, "theirs")
    ours.raise_to(KillLevel.FLATTEN, "ours", 6)
    assert theirs.level == KillLevel.FLATTEN
    theirs.clear()
    assert ours.level == KillLevel.NONE


@pytest.mark.parametrize(
    "content",
    [b"", b"{}", b"null", b"\xff\xfe", b'{"level":9}', b'{"level":"3"}', b'{"level":2,"reason":"torn'],
)
def test_a_file_that_makes_no_sense_halts_new_orders(tmp_path, content):
    (tmp_path / "halt").write_bytes(content)
    flag = HaltFlag(tmp_path / "halt")
    assert flag.level == KillLevel.HALT_NEW
    assert "cannot be read" in flag.reason
    flag.raise_to(KillLevel.CANCEL_ALL, "more", 5)
    assert (flag.level, flag.reason) == (KillLevel.CANCEL_ALL, "more")
    flag.clear()
    assert flag.level == KillLevel.NONE


def test_what_is_no_file_halts_new_orders(tmp_path):
    (tmp_path / "halt").mkdir()
    (tmp_path / "file").touch()
    for path in (tmp_path / "halt", tmp_path / "file" / "halt"):
        assert HaltFlag(path).level == KillLevel.HALT_NEW


def test_a_level_that_cannot_be_written_holds_in_this_process(tmp_path):
    folder = tmp_path / "halt"
    folder.mkdir()
    flag = HaltFlag(folder)
    with pytest.raises(StoreError) as refused:
        flag.raise_to(KillLevel.FLATTEN, "reason", 5)
    assert refused.value.todo
    assert (flag.level, flag.reason) == (KillLevel.FLATTEN, "reason")
    assert HaltFlag(folder).level == KillLevel.HALT_NEW
    assert os.listdir(tmp_path) == ["halt"]


def test_a_level_whose_file_cannot_be_removed_stays(tmp_path):
    folder = tmp_path / "halt"
    folder.mkdir()
    (folder / "inside").touch()
    flag = HaltFlag(folder)
    with pytest.raises(StoreError) as refused:
        flag.clear()
    assert refused.value.todo
    assert flag.level == KillLevel.HALT_NEW
