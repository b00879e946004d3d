"""The log of a bot: lines of JSON in `.quant/BOT.log`, and the three files before it.

    log = open_log(project.log(bot), bot)     the bot's process, once
    log.take(item)                            every `wire.EventItem`
    log.close()                               waits a moment for what is not written yet

Beside events it takes what strategies log (`logging.getLogger("strategy.…")`, from INFO on), and the warnings
of everybody else.  A thread writes: neither a disk that is full nor one that hangs stops anything; that
lines are lost is told once.  Secrets are masked (`secrecy`).

How a line reads to people is not known here.
"""

import logging
import os
import queue
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from logging.handlers import RotatingFileHandler
from pathlib import Path
from typing import Any, TextIO

import msgspec
from msgspec.structs import replace

from quantcli.runtime.control.log_lines import LogLine, Tail, read_log, stamped
from quantcli.runtime.control.secrecy import keep_secret, redacted
from quantcli.runtime.control.wire import EventItem

__all__ = ["BotLog", "LogLine", "Redacting", "Tail", "keep_secret", "open_log", "read_log"]

FILE_BYTES = 10 << 20
OLD_FILES = 3
STRATEGY = "strategy"

_EVENTS = "quantcli.events"
_MOST_WAITING = 10_000
_LONGEST = 1 << 16  # of one text of a line
_CLOSE_S = 2.0
_LEVELS = {"debug": logging.DEBUG, "info": logging.INFO, "warn": logging.WARNING, "error": logging.ERROR}


class Redacting(logging.Filter):
    """Masks secrets in what a record says: message, arguments, exception and stack."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Change the record; it passes always."""
        try:
            said = record.getMessage()
        except Exception as error:
            # Who logs wrongly is not to be stopped by it, and what was meant may be a secret.
            said = f"a message that cannot be formatted ({type(error).__name__}) at {record.pathname}:"
            said += f"{record.lineno}"
        record.msg, record.args = redacted(said), ()
        if record.exc_info and not record.exc_text:
            record.exc_text = logging.Formatter().formatException(record.exc_info)
        record.exc_info = None
        record.exc_text = redacted(record.exc_text) if record.exc_text else None
        record.stack_info = redacted(record.stack_info) if record.stack_info else None
        return True


class _Wanted(logging.Filter):
    """Lets through what strategies say, and warnings."""

    def filter(self, record: logging.LogRecord) -> bool:
        is_ours = record.name.partition(".")[0] == STRATEGY or record.name == _EVENTS
        return is_ours or record.levelno >= logging.WARNING


class _File(RotatingFileHandler):
    """The files.  Takes lines; what goes wrong is told once until it goes right again."""

    def __init__(self, path: Path, tell: Callable[[str], None]) -> None:
        super().__init__(
            path, maxBytes=FILE_BYTES, backupCount=OLD_FILES, encoding="utf-8", delay=True
        )  # what is to be written was made of bytes: it can be encoded
        self._tell, self._is_torn, self._has_told = tell, False, False

    def write(self, line: str) -> None:
        """Write a line, if that can be."""
        before, self._is_torn = self._is_torn, False
        self.emit(logging.makeLogRecord({"msg": f"\n{line}" if before else line}))
        if not self._is_torn:
            self._has_told = False

    def handleError(self, record: logging.LogRecord) -> None:
        """Forget the line, and open the file anew for the next."""
        self._is_torn = True
        stream, self.stream = self.stream, None  # as `FileHandler.close` does
        if stream is not None:
            with suppress(OSError, ValueError):
                stream.close()
        if not self._has_told:
            self._has_told = True
            self._tell(f"the log cannot be written for now: {sys.exc_info()[1]}")

    def _open(self) -> Any:
        """Open the file for its owner alone; one that was there before is closed to others."""
        handle = os.open(self.baseFilename, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            os.fchmod(handle, 0o600)
            return os.fdopen(handle, "a", encoding=self.encoding)
        except BaseException:
            os.close(handle)
            raise


class _Writer(threading.Thread):
    """Writes lines that are put into its queue; `None` ends it."""

    def __init__(self, file: _File) -> None:
        super().__init__(name="log", daemon=True)
        self.lines: queue.Queue[str | None] = queue.Queue(_MOST_WAITING)
        self._file = file

    def end(self) -> None:
        """Let it end after what waits; of too much the oldest is forgotten."""
        while True:
            try:
                self.lines.put_nowait(None)
            except queue.Full:
                with suppress(queue.Empty):
                    self.lines.get_nowait()
            else:
                return

    def run(self) -> None:
        """Write until it is ended."""
        while (line := self.lines.get()) is not None:
            self._file.write(line)
        with suppress(OSError, ValueError):
            self._file.close()


class _Handler(logging.Handler):
    """Makes lines of records, and hands them to the writer."""

    def __init__(self, bot: str, writer: _Writer, heard: Callable[[LogLine], None]) -> None:
        super().__init__()
        self._bot, self._writer, self._heard = bot, writer, heard
        self._lost = 0
        self.addFilter(_Wanted())
        self.addFilter(Redacting())

    def emit(self, record: logging.LogRecord) -> None:
        """Never waits and never raises."""
        try:
            item: EventItem | None = getattr(record, "item", None)
            line = _line_of(self._bot, record) if item is None else _event(self._bot, item)
            self._put(line)
            if item is None:
                self._heard(line)
        except Exception:
            self._lost += 1

    def _put(self, line: LogLine) -> None:
        try:
            if self._lost:
                told = f"{self._lost} lines were lost: more than could be written"
                self._writer.lines.put_nowait(_encoded(replace(line, level="warn", kind="log", text=told)))
                self._lost = 0
            self._writer.lines.put_nowait(_encoded(line))
        except queue.Full:
            self._lost += 1


class BotLog:
    """The open log of one bot, one in a process.

    `heard` is called with every line that is no event, in whatever thread it was logged: what strategies and
    libraries say.  `tell` is called, in the writing thread, when writing begins to fail.
    """

    def __init__(
        self,
        path: Path,
        bot: str,
        heard: Callable[[LogLine], None] = lambda line: None,
        tell: Callable[[str], None] | None = None,
    ) -> None:
        self.path = path
        self._writer = _Writer(_File(path, tell or _tell))
        self._handler = _Handler(bot, self._writer, heard)
        self._events, self._strategy = logging.getLogger(_EVENTS), logging.getLogger(STRATEGY)
        self._levels = [(each, each.level) for each in (self._events, self._strategy)]
        self._events.propagate = False
        self._events.setLevel(logging.DEBUG)
        self._events.addHandler(self._handler)
        if not self._strategy.level:
            self._strategy.setLevel(logging.INFO)
        logging.getLogger().addHandler(self._handler)
        self._writer.start()

    def take(self, item: EventItem) -> None:
        """Write an event down, soon."""
        self._events.log(_LEVELS.get(item.level, logging.INFO), "event", extra={"item": item})

    def close(self) -> None:
        """Write what is left, as far as that can be done in a moment.  Twice does no harm."""
        for logger in (logging.getLogger(), self._events):
            logger.removeHandler(self._handler)
        for logger, level in self._levels:
            logger.setLevel(level)
        self._writer.end()
        self._writer.join(_CLOSE_S)


def open_log(
    path: Path,
    bot: str,
    heard: Callable[[LogLine], None] = lambda line: None,
    tell: Callable[[str], None] | None = None,
) -> BotLog:
    """Open the log of a bot; the folder is made if there is none, and if it cannot be made nothing is
    written."""
    with suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
    return BotLog(path, bot, heard, tell)


def _event(bot: str, item: EventItem) -> LogLine:
    fields = {name: getattr(item, name) for name in item.__struct_fields__}
    return LogLine(at=stamped(item.at_ns), source="quant", bot=bot, **fields)


def _line_of(bot: str, record: logging.LogRecord) -> LogLine:
    at_ns = int(record.created * 1e9)
    level = next((n for n, number in reversed(_LEVELS.items()) if record.levelno >= number), "debug")
    return LogLine(
        at=stamped(at_ns),
        at_ns=at_ns,
        level=level,
        source=record.name,
        kind="log",
        text=str(record.msg),
        bot=bot,
        error="\n".join(text for text in (record.exc_text, record.stack_info) if text),
    )


def _encoded(line: LogLine) -> str:
    """A line without secrets, and of a length that can be read."""
    texts = {
        name: _clean(value)
        for name in line.__struct_fields__
        if isinstance(value := getattr(line, name), str)
    }
    return msgspec.json.encode(replace(line, **texts)).decode()


def _clean(text: str) -> str:
    text = redacted(text).encode("utf-8", "backslashreplace").decode()
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"


def _tell(text: str) -> None:
    err: TextIO | None = sys.stderr
    with suppress(OSError, ValueError, AttributeError):
        assert err is not None
        err.write(text + "\n")
