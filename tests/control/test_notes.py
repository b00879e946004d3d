"""What happens is written down for people: numbered, with what it means; a listener that fails is let go."""

from decimal import Decimal

from quantcli.clock import VirtualClock
from quantcli.model.event import OrderEvent, OrderEventKind, RiskLimit
from quantcli.model.instrument import Side
from quantcli.model.order import OrderIntent, OrderType, StandardOrder
from quantcli.runtime.control.notes import KEPT, Notes
from quantcli.runtime.control.wire import EventItem
from quantcli.venues.inbox import Notice

ORDER = StandardOrder("BTC/USDT", Side.BUY, OrderType.LIMIT, Decimal("0.01"), Decimal(99))
WISH = OrderIntent("i-1", ORDER, 1, metadata={"slot": "bid"})


def test_items_are_numbered_from_one_and_the_oldest_make_room() -> None:
    notes = Notes(VirtualClock(7))
    for number in range(KEPT + 5):
        notes.add("test", f"{number}")
    items = notes.since()
    assert (items[0].number, items[-1].number, len(items)) == (6, KEPT + 5, KEPT)
    assert [item.number for item in notes.since(KEPT + 3)] == [KEPT + 4, KEPT + 5]
    assert [item.number for item in notes.since(limit=1)] == [KEPT + 5]


def test_what_somebody_should_care_about_says_why_what_follows_and_what_to_do() -> None:
    notes = Notes(VirtualClock(7))
    notes.take(OrderEvent(OrderEventKind.UNKNOWN, 5, WISH, reason="no answer in 5 s"))
    notes.take(RiskLimit(6, "max_order", "BTC/USDT", "too large"))
    notes.notice(Notice("breaker", "left alone"))
    notes.take(OrderEvent(OrderEventKind.ACCEPTED, 8, WISH))
    unknown, refused, breaker = notes.since(level="warn")
    assert (unknown.kind, unknown.at_ns, unknown.why, unknown.intent_id) == (
        "unknown",
        5,
        "no answer in 5 s",
        "i-1",
    )
    assert unknown.text.startswith("BTC/USDT bid B 0.01 @ 99")
    for item in (unknown, refused, breaker):
        assert item.effect
    assert [item.kind for item in notes.since()] == ["unknown", "refused", "breaker", "accepted"]


def test_a_listener_that_fails_is_let_go_and_that_is_told_to_the_others() -> None:
    notes, heard = Notes(VirtualClock()), list[EventItem]()

    def full(item: EventItem) -> None:
        raise OSError("no space left")

    notes.subscribe(full)
    notes.subscribe(heard.append)
    notes.add("one", "first")
    notes.add("two", "second")
    assert [item.kind for item in heard] == ["subscriber", "one", "two"]


def test_only_new_findings_are_told() -> None:
    notes = Notes(VirtualClock())
    notes.findings((), ("a",))
    notes.findings(("a",), ("a", "b"))
    assert [item.text for item in notes.since()] == ["a", "b"]
