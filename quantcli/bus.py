"""Who hears what: typed, synchronous publish and subscribe inside one process.

    topic     order.filled.BTC/USDT         dotted segments
    pattern   order.filled.*   order.**     `*` is any one segment, a closing `**` one or more

Patterns are matched when somebody subscribes or a topic is first named, never when an event is
published: a publisher holds its `Topic`, and with it the list of its handlers.

    - Handlers run in the publisher's call, in order of subscription, whatever their patterns.
    - Subscribing and unsubscribing take effect from the next publish; one that is under way calls exactly
      the handlers it began with.
    - What a handler raises reaches the publisher, and later handlers miss that event: handlers are our own
      code, and a broken promise of theirs must not pass unseen.

Knows nothing of threads, queues or other processes.  Readers slower than the events use an `Outlet`.
"""

from collections import deque
from collections.abc import Callable
from typing import Any

from quantcli.errors import NotFoundError, ValidationError
from quantcli.model.event import Event
from quantcli.model.market import MarketEvent

BusEvent = MarketEvent | Event
# A handler may accept a narrower type than `BusEvent`: its pattern decides what it is handed.
Handler = Callable[[Any], object]


class Topic:
    """One topic.  `handlers` is edited in place and stays the same list for ever, so that a publisher may
    keep it to see whether anybody listens; whoever calls the handlers himself iterates over a copy."""

    __slots__ = ("handlers", "name")

    def __init__(self, name: str) -> None:
        self.name = name
        self.handlers: list[Handler] = []

    def publish(self, event: BusEvent) -> None:
        """Call every handler."""
        for handler in self.handlers.copy():
            handler(event)


class Outlet:
    """The last `capacity` events of a pattern, for a reader that comes by now and then.

    When full, the oldest event makes room; `dropped` counts those.  `subscription` is what
    `Bus.unsubscribe` takes.
    """

    def __init__(self, bus: "Bus", pattern: str, capacity: int) -> None:
        if capacity < 1:
            raise ValidationError(
                f"an outlet cannot hold {capacity} events", todo="give it room for one or more"
            )
        self.dropped = 0
        self._events: deque[BusEvent] = deque(maxlen=capacity)
        self.subscription = bus.subscribe(pattern, self._take)

    def drain(self) -> list[BusEvent]:
        """What has gathered since the last call, oldest first."""
        events = list(self._events)
        self._events.clear()
        return events

    def _take(self, event: BusEvent) -> None:
        if len(self._events) == self._events.maxlen:
            self.dropped += 1
        self._events.append(event)


class Bus:
    """The topics of one process and their subscribers."""

    def __init__(self) -> None:
        self._topics: dict[str, Topic] = {}
        self._subscriptions: dict[int, tuple[tuple[str, ...], Handler]] = {}
        self._last_id = 0

    def topic(self, name: str) -> Topic:
        """The topic of this name, always the same object.  Raises `ValidationError` for a pattern."""
        topic = self._topics.get(name)
        if topic is None:
            _segments(name, what="topic")
            if "*" in name:
                raise ValidationError(
                    f"{name!r} is a pattern, not a topic", todo="publish to one topic by its full name"
                )
            topic = self._topics[name] = Topic(name)
            self._resolve(topic)
        return topic

    def publish(self, name: str, event: BusEvent) -> None:
        """Publish to a topic by name; publishers of many events hold the `Topic` instead."""
        self.topic(name).publish(event)

    def subscribe(self, pattern: str, handler: Handler) -> int:
        """Call `handler` with every event of the matching topics; returns the id for `unsubscribe`.

        A handler subscribed twice is called twice.  Raises `ValidationError` for a malformed pattern.
        """
        segments = _segments(pattern, what="pattern")
        self._last_id += 1
        self._subscriptions[self._last_id] = (segments, handler)
        for topic in self._topics.values():
            if _matches(segments, topic.name):
                topic.handlers.append(handler)
        return self._last_id

    def unsubscribe(self, subscription: int) -> None:
        """End a subscription; raises `NotFoundError` if there is none of this id."""
        if self._subscriptions.pop(subscription, None) is None:
            raise NotFoundError(
                f"no subscription {subscription}", todo="pass the id that subscribe returned, once"
            )
        for topic in self._topics.values():
            self._resolve(topic)

    def outlet(self, pattern: str, capacity: int) -> Outlet:
        """A bounded store of the pattern's events for a slow reader."""
        return Outlet(self, pattern, capacity)

    def _resolve(self, topic: Topic) -> None:
        topic.handlers[:] = [
            handler for segments, handler in self._subscriptions.values() if _matches(segments, topic.name)
        ]


def _segments(text: str, *, what: str) -> tuple[str, ...]:
    """The segments of a name or pattern; a wildcard stands alone, and `**` last."""
    segments = tuple(text.split("."))
    for i, segment in enumerate(segments):
        closing = segment == "**" and i == len(segments) - 1
        if not segment or ("*" in segment and segment != "*" and not closing):
            raise ValidationError(
                f"{text!r} is not a {what}",
                why="segments are separated by dots, * stands for a whole one, ** for all that remain",
                todo="write it like order.filled.BTC/USDT, order.filled.* or order.**",
            )
    return segments


def _matches(pattern: tuple[str, ...], name: str) -> bool:
    segments = name.split(".")
    if pattern[-1] == "**" and len(segments) >= len(pattern):
        pattern = pattern[:-1]
        segments = segments[: len(pattern)]
    return len(pattern) == len(segments) and all(
        want in ("*", have) for want, have in zip(pattern, segments, strict=True)
    )
