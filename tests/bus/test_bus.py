"""Who hears what, in which order, and what happens in the middle of a publish."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quantcli.bus import Bus
from quantcli.errors import NotFoundError, ValidationError
from quantcli.model.event import PortfolioValue


def value(n: int = 0) -> PortfolioValue:
    return PortfolioValue(n, "USDT", Decimal(1))


@pytest.fixture
def bus() -> Bus:
    return Bus()


@pytest.mark.parametrize(
    ("pattern", "topic", "heard"),
    [
        ("order.filled.BTC/USDT", "order.filled.BTC/USDT", True),
        ("order.filled.BTC/USDT", "order.filled.ETH/USDT", False),
        ("order.filled.BTC/USDT", "order.filled", False),
        ("order.*.BTC/USDT", "order.filled.BTC/USDT", True),
        ("order.*.BTC/USDT", "order.filled.ETH/USDT", False),
        ("order.*", "order.filled.BTC/USDT", False),
        ("order.*", "order", False),
        ("*.*", "portfolio.value", True),
        ("order.**", "order.filled.BTC/USDT", True),
        ("order.**", "order.filled", True),
        ("order.**", "order", False),
        ("order.**", "orders.filled", False),
        ("*.filled.**", "order.filled.BTC/USDT", True),
        ("**", "order", True),
        ("**", "order.filled.BTC/USDT:USDT", True),
    ],
)
@pytest.mark.parametrize("topic_first", [True, False])
def test_a_pattern_hears_the_topics_it_matches(bus, pattern, topic, heard, topic_first):
    got = []
    if topic_first:
        bus.topic(topic)
    bus.subscribe(pattern, got.append)
    bus.publish(topic, value())
    assert got == [value()] * heard


@pytest.mark.parametrize(
    "pattern", ["", ".", "order.", ".order", "order..x", "order.BTC*", "***", "**.x", "a.**.b"]
)
def test_a_malformed_pattern_is_refused(bus, pattern):
    with pytest.raises(ValidationError) as refused:
        bus.subscribe(pattern, print)
    assert refused.value.todo


@pytest.mark.parametrize("name", ["order.*", "**", "order.**", "", "a..b"])
def test_only_one_topic_can_be_published_to(bus, name):
    bus.subscribe("**", print)
    with pytest.raises(ValidationError):
        bus.publish(name, value())


def test_handlers_run_in_order_of_subscription_whatever_their_patterns(bus):
    calls = []
    bus.topic("a.b")
    for n, pattern in enumerate(("a.**", "a.b", "*.b", "a.b", "**")):
        bus.subscribe(pattern, lambda _, n=n: calls.append(n))
    bus.publish("a.b", value())
    bus.publish("a.b", value())
    assert calls == [0, 1, 2, 3, 4] * 2


def test_a_topic_is_one_object_whose_handlers_are_one_list(bus):
    topic = bus.topic("a.b")
    handlers = topic.handlers
    first = bus.subscribe("a.*", print)
    assert handlers == [print]
    second = bus.subscribe("**", repr)
    bus.unsubscribe(first)
    assert handlers == [repr]
    bus.unsubscribe(second)
    assert not handlers
    assert bus.topic("a.b") is topic
    assert topic.handlers is handlers


def test_of_equal_handlers_the_one_named_is_unsubscribed(bus):
    calls = []
    first = bus.subscribe("a", calls.append)
    bus.subscribe("a", lambda event: calls.append("between"))
    bus.subscribe("**", calls.append)
    bus.unsubscribe(first)
    bus.publish("a", value())
    assert calls == ["between", value()]


def test_a_subscription_can_be_ended_once(bus):
    subscription = bus.subscribe("a", print)
    bus.unsubscribe(subscription)
    with pytest.raises(NotFoundError) as refused:
        bus.unsubscribe(subscription)
    assert refused.value.todo


def test_who_subscribes_during_a_publish_hears_the_next(bus):
    calls = []

    def subscribing(event: PortfolioValue) -> None:
        bus.subscribe("**", lambda event: calls.append(event.at_ns))

    once = bus.subscribe("a", subscribing)
    bus.publish("a", value(1))
    assert calls == []
    bus.unsubscribe(once)
    bus.publish("a", value(2))
    assert calls == [2]


def test_who_is_unsubscribed_during_a_publish_hears_it_and_not_the_next(bus):
    calls = []
    ids = []

    def ending(event: PortfolioValue) -> None:
        calls.append("ending")
        while ids:
            bus.unsubscribe(ids.pop())

    ids.append(bus.subscribe("a", ending))
    ids.append(bus.subscribe("a", lambda event: calls.append("second")))
    bus.subscribe("a", lambda event: calls.append("third"))
    bus.publish("a", value())
    assert calls == ["ending", "second", "third"]
    bus.publish("a", value())
    assert calls[3:] == ["third"]


def test_a_publish_within_a_publish_sees_what_was_subscribed_meanwhile(bus):
    calls = []

    def nesting(event: PortfolioValue) -> None:
        if event.at_ns == 1:
            bus.subscribe("a", lambda inner: calls.append(inner.at_ns))
            bus.publish("a", value(2))

    bus.subscribe("a", nesting)
    bus.publish("a", value(1))
    assert calls == [2]


def test_what_a_handler_raises_reaches_the_publisher_and_later_handlers_miss_the_event(bus):
    calls = []
    bus.subscribe("a", lambda event: calls.append("before"))
    failing = bus.subscribe("a", lambda event: 1 // 0)
    bus.subscribe("a", lambda event: calls.append("after"))
    with pytest.raises(ZeroDivisionError):
        bus.publish("a", value())
    assert calls == ["before"]
    bus.unsubscribe(failing)
    bus.publish("a", value())
    assert calls == ["before", "before", "after"]


def test_an_outlet_keeps_the_newest_and_counts_what_it_dropped(bus):
    outlet = bus.outlet("a.*", capacity=3)
    for n in range(5):
        bus.publish("a.b" if n % 2 else "a.c", value(n))
    bus.publish("b", value(9))
    assert outlet.dropped == 2
    assert outlet.drain() == [value(2), value(3), value(4)]
    assert outlet.drain() == []
    bus.publish("a.b", value(5))
    assert (outlet.drain(), outlet.dropped) == ([value(5)], 2)


def test_an_outlet_can_be_closed(bus):
    outlet = bus.outlet("a", capacity=1)
    bus.unsubscribe(outlet.subscription)
    bus.publish("a", value())
    assert outlet.drain() == []


def test_an_outlet_needs_room(bus):
    with pytest.raises(ValidationError):
        bus.outlet("a", capacity=0)
    assert bus.topic("a").handlers == []


# Against a reference that matches every pattern at every publish.


def hears(pattern: list[str], topic: list[str]) -> bool:
    if pattern == ["**"]:
        return len(topic) > 0
    if not pattern or not topic:
        return pattern == topic
    return pattern[0] in ("*", topic[0]) and hears(pattern[1:], topic[1:])


SEGMENTS = st.sampled_from(["a", "b", "BTC/USDT"])
TOPICS = st.lists(SEGMENTS, min_size=1, max_size=4).map(".".join)
PATTERNS = st.builds(
    lambda head, tail: ".".join([*head, *tail]),
    st.lists(SEGMENTS | st.just("*"), min_size=1, max_size=3),
    st.sampled_from([[], ["**"]]),
) | st.just("**")
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("subscribe"), PATTERNS),
        st.tuples(st.just("publish"), TOPICS),
        st.tuples(st.just("unsubscribe"), st.integers(0, 5)),
    ),
    max_size=30,
)


@given(STEPS)
def test_resolved_lists_hear_what_matching_at_every_publish_would(steps):
    bus, subscriptions = Bus(), {}
    got, expected = [], []
    for n, (step, argument) in enumerate(steps):
        if step == "subscribe":
            subscription = bus.subscribe(argument, lambda event, n=n: got.append((n, event.at_ns)))
            subscriptions[subscription] = (n, argument)
        elif step == "unsubscribe" and argument < len(subscriptions):
            subscription = list(subscriptions)[argument]
            del subscriptions[subscription]
            bus.unsubscribe(subscription)
        elif step == "publish":
            bus.publish(argument, value(n))
            expected += [
                (who, n)
                for who, pattern in subscriptions.values()
                if hears(pattern.split("."), argument.split("."))
            ]
    assert got == expected
