"""The log of a bot: what is written, what never is, and how it is read back."""

import errno
import logging
import os
import stat
import threading
from logging.handlers import RotatingFileHandler

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from quantcli.errors import UsageError
from quantcli.runtime.control import log as bot_log
from quantcli.runtime.control import secrecy
from quantcli.runtime.control.log import Redacting, Tail, keep_secret, open_log, read_log
from quantcli.runtime.control.secrecy import redacted
from quantcli.runtime.control.wire import EventItem

T0 = 1_700_000_000_123_000_000
STRATEGY = logging.getLogger("strategy.maker")


def item(number=1, level="info", **fields):
    return EventItem(number, T0 + number, level, "filled", "BTC/USDT", "bought 1", **fields)


@pytest.fixture(autouse=True, scope="module")
def _no_secret_outlives_its_test():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(secrecy, "_secrets", set())
        patch.setattr(secrecy, "_pattern", None)
        yield


@pytest.fixture
def path(tmp_path):
    return tmp_path / ".quant" / "bot.log"


@pytest.fixture
def opened(path):
    told, heard = [], []
    log = open_log(path, "bot", heard.append, told.append)
    log.told, log.heard = told, heard
    yield log
    log.close()


def closed(log):
    log.close()
    return list(read_log(log.path, level="debug"))


def test_events_are_written_with_all_their_fields(opened):
    opened.take(item(1, "error", intent_id="i1", why="w", effect="e", todo="t"))
    (line,) = closed(opened)
    assert (line.bot, line.source, line.at) == ("bot", "quant", "2023-11-14T22:13:20.123Z")
    event = item(1, "error", intent_id="i1", why="w", effect="e", todo="t")
    assert [getattr(line, name) for name in event.__struct_fields__] == list(msgspec.structs.astuple(event))
    assert msgspec.json.decode(opened.path.read_bytes())["kind"] == "filled"


def test_the_file_is_for_its_owner_alone(path):
    path.parent.mkdir()
    path.touch(0o644)
    log = open_log(path, "bot")
    log.take(item())
    log.close()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_strategies_are_heard_from_info_on_and_others_when_they_warn(opened):
    STRATEGY.debug("not this")
    STRATEGY.info("spread %s", 3)
    logging.getLogger("aiohttp.client").info("nor this")
    logging.getLogger("websockets").warning("odd frame")
    lines = closed(opened)
    assert [(each.source, each.level, each.text) for each in lines] == [
        ("strategy.maker", "info", "spread 3"),
        ("websockets", "warn", "odd frame"),
    ]
    assert [each.text for each in opened.heard] == ["spread 3", "odd frame"]


def test_an_exception_is_written_with_its_traceback(opened):
    try:
        raise ValueError("bad tick")
    except ValueError:
        STRATEGY.exception("cannot go on")
    (line,) = closed(opened)
    assert (line.level, line.text) == ("error", "cannot go on")
    assert line.error.startswith("Traceback")
    assert line.error.endswith("ValueError: bad tick")


def test_events_reach_no_handler_that_a_strategy_sets_up(opened):
    records = []
    root = logging.getLogger()
    root.addHandler(theirs := logging.Handler())
    theirs.emit = records.append
    try:
        opened.take(item())
        STRATEGY.info("x")
    finally:
        root.removeHandler(theirs)
    assert [record.getMessage() for record in records] == ["x"]


def test_after_closing_nothing_is_left_behind(path):
    before = list(logging.getLogger().handlers), logging.getLogger("strategy").level
    log = open_log(path, "bot")
    log.close()
    log.close()
    assert (list(logging.getLogger().handlers), logging.getLogger("strategy").level) == before
    assert "log" not in {thread.name for thread in threading.enumerate()}


# Secrets.


def test_a_secret_is_in_no_line_whatever_way_it_takes(opened):
    secret = 'k3y/with+odd="chars\\'
    keep_secret(secret)
    STRATEGY.info("the key is %s", secret)
    STRATEGY.warning(f"https://x/?key={secret}")
    STRATEGY.warning("https://x/?key=k3y%2Fwith%2Bodd%3D%22chars%5C&more")
    STRATEGY.info("args %r", {"key": secret})
    try:
        raise RuntimeError(secret)
    except RuntimeError:
        STRATEGY.exception("failed")
    STRATEGY.info("stack", stack_info=True)
    opened.take(item(why=f"refused: {secret}"))
    lines = closed(opened)
    assert len(lines) == 7
    text = opened.path.read_text()
    assert "k3y" not in text
    assert text.count("***") >= 6


def test_a_record_is_masked_for_whoever_handles_it_next():
    keep_secret("tops3cret")
    record = logging.LogRecord("a", logging.INFO, "f.py", 1, "key %s", ("tops3cret",), None)
    assert Redacting().filter(record)
    assert record.getMessage() == "key ***"


def test_a_log_call_that_is_wrong_stops_nobody(opened):
    STRATEGY.info("%d of %d", "one")
    (line,) = closed(opened)
    assert "cannot be formatted" in line.text


@given(st.lists(st.text(min_size=4).map(str.strip).filter(lambda s: len(s) >= 4), max_size=4), st.text())
def test_no_text_shows_a_secret(values, around):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(secrecy, "_secrets", set())
        patch.setattr(secrecy, "_pattern", None)
        for value in values:
            keep_secret(value)
        texts = [redacted(f"{around}{value}{around}") for value in values]
    for value, text in zip(values, texts, strict=True):
        assert value not in text.replace("***", "")


def test_what_is_too_short_to_be_a_secret_is_not_masked():
    keep_secret("")
    keep_secret(" a ")
    assert redacted("a cat") == "a cat"


# Trouble.


def full(*_):
    raise OSError(errno.ENOSPC, "No space left on device")


def test_a_full_disk_is_told_once_and_lines_go_on_when_there_is_room(path, monkeypatch):
    told, wrote = [], threading.Semaphore(0)
    write = bot_log._File.write

    def watched(file, line):
        write(file, line)
        wrote.release()

    monkeypatch.setattr(bot_log._File, "write", watched)
    log = open_log(path, "bot", tell=told.append)
    for number, is_full in enumerate((False, True, True, False, True), 1):
        with monkeypatch.context() as patch:
            if is_full:
                patch.setattr(RotatingFileHandler, "flush", full)
            log.take(item(number))
            assert wrote.acquire(timeout=5)
    numbers = [line.number for line in closed(log)]
    assert {1, 4} <= set(numbers)
    assert [text.partition(":")[0] for text in told] == ["the log cannot be written for now"] * 2


def test_a_folder_that_cannot_be_made_stops_nothing(tmp_path):
    (tmp_path / ".quant").write_text("a file")
    told = []
    log = open_log(tmp_path / ".quant" / "bot.log", "bot", tell=told.append)
    log.take(item())
    log.take(item())
    log.close()
    assert len(told) == 1


def test_a_disk_that_hangs_holds_nobody_up(path, monkeypatch):
    gate = threading.Event()
    monkeypatch.setattr(bot_log, "_CLOSE_S", 0.05)
    monkeypatch.setattr(bot_log._File, "write", lambda *_: gate.wait(10))
    log = open_log(path, "bot")
    for number in range(bot_log._MOST_WAITING + 500):
        log.take(item(number))
    log.close()
    gate.set()
    log._writer.join(10)


def test_files_are_cut_and_the_oldest_goes(path, monkeypatch):
    monkeypatch.setattr(bot_log, "FILE_BYTES", 2_000)
    log = open_log(path, "bot")
    for number in range(1, 201):
        log.take(item(number))
    lines = closed(log)
    assert [line.number for line in lines] == list(range(lines[0].number, 201))
    assert len(list(path.parent.iterdir())) == 4
    assert all(each.stat().st_size <= 2_000 for each in path.parent.iterdir())


# Reading.


def test_lines_are_read_by_time_and_level(opened):
    for number, level in enumerate(("info", "warn", "error"), 1):
        opened.take(item(number, level))
    opened.close()
    numbers = {
        level: [line.number for line in read_log(opened.path, level=level)]
        for level in ("info", "warn", "error")
    }
    assert numbers == {"info": [1, 2, 3], "warn": [2, 3], "error": [3]}
    assert [line.number for line in read_log(opened.path, since_ns=T0 + 2)] == [2, 3]


def test_a_level_that_is_none_is_refused(path):
    with pytest.raises(UsageError, match="loud"):
        list(read_log(path, level="loud"))


def test_torn_lines_are_left_out_and_no_file_is_no_line(path):
    assert list(read_log(path)) == []
    path.parent.mkdir()
    good = msgspec.json.encode(bot_log.LogLine("t", T0, "info", "quant", "filled", "x"))
    path.write_bytes(good[:20] + b"\n" + good + b"\n\xff\xfe\n[]\n" + good[:9])
    assert [line.text for line in read_log(path)] == ["x"]


def test_who_follows_gets_what_comes_across_files(path):
    tail = Tail(path)
    assert tail.more() == []
    path.parent.mkdir()

    def line(number):
        return msgspec.json.encode(bot_log.LogLine("t", T0, "info", "quant", "x", "y", number=number))

    path.write_bytes(line(1) + b"\n" + line(2)[:10])
    assert [each.number for each in tail.more()] == [1]
    with path.open("ab") as file:
        file.write(line(2)[10:] + b"\n" + line(3) + b"\n")
    os.rename(path, f"{path}.1")
    assert [each.number for each in tail.more()] == [2, 3]
    path.write_bytes(line(4) + b"\n")
    assert [each.number for each in tail.more()] == [4]
    tail.close()
    later = Tail(path)
    assert later.more() == []
    later.close()
