"""The orders screen of the demo as a picture (SVG), at a moment that is always the same: `docs/orders.svg`.

The market is held still, so that prices and sizes follow from the seed.  What would differ each time (times
and ids) is set to something fixed; nothing else is touched.
"""

import asyncio
import re
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from msgspec.structs import replace

from quantcli.clock import NS_PER_S
from quantcli.errors import QuantError
from quantcli.runtime.control.wire import Frame, OrderItem, Status, Story
from quantcli.runtime.demo import BOT
from quantcli.tui import view
from quantcli.tui.link import Link
from quantcli.tui.model import Known, Model
from quantcli.tui.picture import screenshot

_NOW_NS = 1_763_629_200 * NS_PER_S  # some day, 9 o'clock
_PATIENCE_S = 20.0


def seen_once(path: Path) -> Known:
    """What a screen is told when there is an order of each kind."""
    return asyncio.run(first_seen(path, _has_all))


def _has_all(known: Known) -> bool:
    marks = {order.mark for order in known.orders or ()}
    told = known.story is not None and known.story.order.intent_id == unknown(known)
    return marks >= {"=", "/", "~", "!", "x"} and told and known.status is not None


async def first_seen(path: Path, is_it: Callable[[Known], bool]) -> Known:
    """What the bot at a socket tells a screen that looks at an unknown order, as soon as it is so.

    Raises `QuantError` if it never is.
    """
    model = Model(BOT, lambda: _NOW_NS)
    seen = asyncio.Event()

    def take(frame: Frame) -> None:
        if seen.is_set():
            return
        model.take(frame)
        model.views[0].chosen = unknown(model.known)
        link.look(view.look(model))
        if is_it(model.known):
            seen.set()

    link = Link(path, take, lambda: None, lambda _: None)
    watching = asyncio.create_task(link.run())
    try:
        await asyncio.wait_for(seen.wait(), _PATIENCE_S)
    except TimeoutError:
        raise QuantError(
            "the demo never came to what was to be drawn",
            why=", ".join(f"{o.mark} {o.symbol} {o.slot} {o.drift}" for o in model.known.orders or ()),
        ) from None
    finally:
        watching.cancel()
        with suppress(asyncio.CancelledError):
            await watching
    return model.known


def unknown(known: Known) -> str:
    """The first order of which nothing is known, by its intent; empty if there is none."""
    return next((order.intent_id for order in known.orders or () if order.mark == "!"), "")


def drawn(known: Known) -> str:
    """The picture of what is known, as SVG."""
    model = Model(BOT, lambda: _NOW_NS)
    model.known = settled(known)
    model.views[0].chosen = unknown(model.known)
    return re.sub(r"[ \t]+$", "", screenshot(model), flags=re.MULTILINE)


def settled(known: Known) -> Known:
    """The same, without what is another each time."""
    orders = tuple(_order(number, order) for number, order in enumerate(known.orders or (), 1))
    story = known.story
    return replace(
        known,
        status=None if known.status is None else _status(known.status),
        status_at_ns=_NOW_NS,
        orders=orders,
        story=None if story is None else _story(story, orders),
    )


def _status(status: Status) -> Status:
    return replace(
        status,
        pid=1,
        started_ns=_NOW_NS - 272 * NS_PER_S,
        now_ns=_NOW_NS,
        swept_ns=_NOW_NS - 2 * NS_PER_S,
        feed_age_ms=40.0,
        rate_used=0.04,
        reconciliation_lag_ms=0.0,
        endpoint="http://127.0.0.1:8765",
        project="",
        log="",
    )


def _order(number: int, order: OrderItem) -> OrderItem:
    age_s = {"=": 42, "/": 37, "x": 12, "!": 2, "~": 1}.get(order.mark, 1)
    return replace(
        order,
        intent_id=f"{number:022d}" if order.intent_id else "",
        client_order_id=None,
        created_ns=_NOW_NS - age_s * NS_PER_S,
        updated_ns=_NOW_NS - NS_PER_S,
    )


def _story(story: Story, orders: tuple[OrderItem, ...]) -> Story | None:
    """Of the order that is chosen, its journal at fixed times."""
    own = next(
        (o for o in orders if (o.symbol, o.slot) == (story.order.symbol, story.order.slot) and o.intent_id),
        None,
    )
    if own is None:
        return None
    first = story.journal[0].at_ns if story.journal else 0
    journal = tuple(
        replace(entry, at_ns=_NOW_NS - 2 * NS_PER_S + (entry.at_ns - first) // NS_PER_S * NS_PER_S)
        for entry in story.journal
    )
    return replace(story, order=own, journal=journal, look_again_at_ns=None)
