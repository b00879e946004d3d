"""The inbox: order of arrival, and waiting for it."""

import asyncio

import pytest

from quantcli.venues.inbox import Inbox, Missed, Notice


async def test_items_come_out_in_the_order_they_went_in():
    inbox = Inbox()
    items = [Missed("a"), Notice("limit", "b"), Missed("c")]
    for item in items:
        inbox.put(item)
    assert len(inbox) == 3
    assert [inbox.take() for _ in items] == items
    assert len(inbox) == 0
    with pytest.raises(IndexError):
        inbox.take()


async def test_waiting_ends_when_something_comes():
    inbox = Inbox()
    waiting = asyncio.create_task(inbox.wait(None))
    await asyncio.sleep(0)
    assert not waiting.done()
    inbox.put(Missed("now"))
    assert await waiting is True


async def test_waiting_ends_when_its_time_is_up():
    inbox = Inbox()
    assert await inbox.wait(0.01) is False
    inbox.put(Missed("x"))
    assert await inbox.wait(0) is True


async def test_what_was_taken_is_not_waited_for_again():
    inbox = Inbox()
    inbox.put(Missed("x"))
    inbox.take()
    assert await inbox.wait(0.01) is False
