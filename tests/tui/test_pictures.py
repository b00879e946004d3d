"""Every screen and every dialog in three sizes, compared with the pictures that are kept."""

from xml.etree import ElementTree

import pytest
from msgspec.structs import replace

from quantcli.tui import view
from quantcli.tui.dialogs import telling
from quantcli.tui.dialogs.choosing import Choice, Choosing
from quantcli.tui.picture import screenshot
from tests.tui import sample
from tests.tui.daemon import REFUSAL
from tests.tui.terminal import compare, picture

HALTED = {"halt_level": "CANCEL_ALL", "halt_reason": "lost more than 50 USDT today"}
SHOWN = {
    "orders": (),
    "orders-story": ("j",),
    "orders-wide": ("w",),
    "positions": ("2",),
    "book": ("3",),
    "events": ("4", "j", "j", "j"),
    "health": ("5",),
    "kill": ("ctrl+k",),
    "kill-typed": ("ctrl+k", "f", "m", "m", "minus"),
    "cancel": ("c",),
    "adopt": ("j", "j", "j", "a", "a", "s", "k"),
    "pause": ("p", "tab"),
    "dead": ("G", "ctrl+p", *"declare", "enter"),
    "detail": ("j", "enter"),
    "yaml": ("y",),
    "help": ("question_mark",),
    "palette": ("ctrl+p",),
    "palette-found": ("ctrl+p", "r", "e", "c"),
    "flatten": ("2", "f", "m", "m"),
    "flatten-all": ("2", "F"),
    "accept": ("2", "G", "ctrl+p", *"accept", "enter"),
    "export": ("2", "e"),
    "stop": ("ctrl+p", *"stop", "enter"),
    "filter": ("slash", *"sol"),
}


@pytest.mark.parametrize("name", SHOWN)
async def test_a_screen_looks_as_it_did(name):
    compare(name, await picture(sample.model(), SHOWN[name]))


async def test_a_halted_bot_looks_as_it_did():
    compare("halted", await picture(sample.model(**HALTED), ("ctrl+p", *"resume", "enter")))


async def test_what_was_found_looks_as_it_did():
    model = sample.model(findings=("an order of ours from an unknown run", "USDT differs by 31.20"))
    compare("trust", await picture(model, ("ctrl+p", *"trust", "enter")))


async def test_a_lost_connection_looks_as_it_did():
    model = sample.model()
    model.lost("the bot is not running")
    model.clock.now_ns += 12 * sample.S
    compare("disconnected", await picture(model))


async def test_told_texts_look_as_they_did():
    model = sample.model()
    model.dialog = telling.refusal("cancel i-81f2", REFUSAL)
    compare("refusal", await picture(model))
    model.dialog = Choosing(
        "running bots",
        [
            Choice("mm-btc", "binance [LIVE] trading  ~/mm", "", lambda _: []),
            Choice("ema-eth", "okx [PAPER] stuck  ~/ema", "", lambda _: []),
        ],
    )
    compare("bots", await picture(model))


def test_the_picture_for_documents_is_the_same_each_time_and_is_wellformed():
    model = sample.model()
    view.press(model, "j")
    drawn = screenshot(model)
    assert drawn == screenshot(model)
    assert ElementTree.fromstring(drawn).tag.endswith("svg")
    assert "64,212.9" in drawn
    assert "#56b4e9" in drawn.lower()
    assert len(drawn) < 60_000


def test_the_picture_has_the_size_that_was_asked_for():
    frame = replace(sample.FRAME, orders=())
    assert "nothing" in screenshot(sample.model(frame), (100, 30)) or "no&#160;orders" in screenshot(
        sample.model(frame), (100, 30)
    )
