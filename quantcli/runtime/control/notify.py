"""Messages to people far away, by chat, mail or telephone: what `apprise` can reach.

    notifier = open_notifier(urls, "warn", bot, failed)     raises `ConfigError`; needs the extra `notify`
    notifier.take(item)                                     every `wire.EventItem`
    notifier.close()                                        sends what was held back, for some seconds

Of one kind at most one message goes out in half a minute; what happens meanwhile is counted and told in the
next.  A thread sends: nothing that happens to a message reaches who trades, but that messages begin to
fail is told once, to `failed`, in that thread.
"""

import queue
import re
import threading
import time
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

from quantcli.errors import ConfigError
from quantcli.runtime.control.log_lines import levels_from
from quantcli.runtime.control.secrecy import keep_secret, redacted
from quantcli.runtime.control.wire import EventItem

# Events of this kind are about messages, and no message is sent about them.
KIND = "notify"

_PAUSE_S = 30.0
_CLOSE_S = 5.0
_MOST_WAITING = 1_000
_SEVERITY = {"info": "info", "warn": "warning", "error": "failure"}  # in apprise's words


class Message(NamedTuple):
    """What is sent; `severity` is info, warning or failure."""

    title: str
    body: str
    severity: str


class Sheaf:
    """Events that wait to be told, by kind: the first of a kind at once, further ones after a pause.

    Times are seconds of whatever clock the caller has.
    """

    def __init__(self, pause_s: float = _PAUSE_S) -> None:
        self._pause_s = pause_s
        self._held: dict[str, tuple[EventItem, int]] = {}  # the newest, and how many
        self._told_s: dict[str, float] = {}

    def add(self, item: EventItem) -> None:
        """A further event."""
        _, count = self._held.get(item.kind, (item, 0))
        self._held[item.kind] = item, count + 1

    def due_s(self) -> float | None:
        """When the next is to be told; `None` if none waits."""
        return min((self._free_s(kind) for kind in self._held), default=None)

    def take(self, now_s: float) -> list[tuple[EventItem, int]]:
        """What is to be told by now: the newest of each kind, and how many there were."""
        free = [kind for kind in self._held if self._free_s(kind) <= now_s]
        self._told_s = {k: at_s for k, at_s in self._told_s.items() if at_s + self._pause_s > now_s}
        self._told_s |= dict.fromkeys(free, now_s)
        return [self._held.pop(kind) for kind in free]

    def _free_s(self, kind: str) -> float:
        return self._told_s.get(kind, float("-inf")) + self._pause_s


class Notifier:
    """Tells events of `level` and above to `send`, which returns whether that went well."""

    def __init__(
        self,
        send: Callable[[Message], bool],
        level: str,
        bot: str,
        failed: Callable[[str], None],
        monotonic: Callable[[], float] = time.monotonic,
        pause_s: float = _PAUSE_S,
    ) -> None:
        self._send, self._bot, self._failed, self._monotonic = send, bot, failed, monotonic
        self._levels = levels_from(level)
        self._items: queue.Queue[EventItem | None] = queue.Queue(_MOST_WAITING)
        self._sheaf = Sheaf(pause_s)
        self._is_failing = False
        self._thread = threading.Thread(target=self._run, name="notify", daemon=True)
        self._thread.start()

    def take(self, item: EventItem) -> None:
        """Tell an event, if it is bad enough.  Never waits and never raises."""
        if item.level in self._levels and item.kind != KIND:
            try:
                self._items.put_nowait(item)
            except queue.Full:
                return  # a thousand wait already: this one says nothing new

    def close(self, timeout_s: float = _CLOSE_S) -> None:
        """Tell what was held back, then no more; gives up after a while.  Twice does no harm."""
        try:
            self._items.put(None, timeout=timeout_s)
        except queue.Full:
            return
        self._thread.join(timeout_s)

    def _run(self) -> None:
        while True:
            now_s, due_s = self._monotonic(), self._sheaf.due_s()
            if due_s is not None and due_s <= now_s:
                self._tell(now_s)
                continue
            try:
                item = self._items.get(timeout=None if due_s is None else due_s - now_s)
            except queue.Empty:
                continue
            if item is None:
                self._tell(float("inf"))
                return
            self._sheaf.add(item)

    def _tell(self, now_s: float) -> None:
        for item, count in self._sheaf.take(now_s):
            try:
                went_well, why = self._send(_message(self._bot, item, count)), "it was not accepted"
            except Exception as error:
                went_well, why = False, f"{type(error).__name__}: {error}"
            if not went_well and not self._is_failing:
                self._failed(redacted(f"a message could not be sent: {why}"))
            self._is_failing = not went_well


def open_notifier(
    urls: Iterable[str], level: str, bot: str, failed: Callable[[str], None]
) -> Notifier | None:
    """Who sends to these addresses; `None` if there are none.

    Raises `ConfigError` without the extra, and for an address that cannot be understood: it is named by its
    place and kind, never shown.
    """
    wanted = tuple(urls)
    if not wanted:
        return None
    apprise = _library()
    target = apprise.Apprise(asset=apprise.AppriseAsset(app_id="quant", app_desc=bot, async_mode=False))
    for number, url in enumerate(wanted, 1):
        _keep(url)
        if not target.add(url):
            raise ConfigError(
                f"address {number} of {len(wanted)} to notify is not understood",
                why=f"it begins with {url.partition('://')[0]}://" if "://" in url else "it is no address",
                todo="see https://appriseit.com for how each service is written",
            )

    def send(message: Message) -> bool:
        sent = target.notify(
            title=message.title, body=message.body, notify_type=message.severity, body_format="text"
        )
        return bool(sent)

    return Notifier(send, level, bot, failed)


def _library() -> Any:
    try:
        import apprise  # noqa: PLC0415  (an extra)
    except ImportError as error:
        raise ConfigError(
            "notifications need a library that is not installed",
            why="apprise is an extra",
            todo='pip install "quantcli[notify]"',
        ) from error
    return apprise


def _message(bot: str, item: EventItem, count: int) -> Message:
    times = f" ({count} times)" if count > 1 else ""
    about = [item.text, *(f"{label}: {text}" for label, text in _more(item) if text)]
    title = f"{bot}: {item.kind}{times}"
    return Message(redacted(title), redacted("\n".join(about)), _SEVERITY.get(item.level, "info"))


def _more(item: EventItem) -> list[tuple[str, str]]:
    return [("why", item.why), ("effect", item.effect), ("do", item.todo), ("order", item.intent_id)]


def _keep(url: str) -> None:
    """An address as a whole is a secret, and so is every part of it that could be a password: libraries
    that fail name them one by one.  Names of machines are not."""
    keep_secret(url)
    for part in re.split(r"[/@:?&=#]+", url.partition("://")[2]):
        if len(part) >= 8 and not re.fullmatch(r"[\w-]+(\.[\w-]+)+", part):
            keep_secret(part)
