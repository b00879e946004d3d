"""The app in a terminal that is not there, and its way to a bot over a real socket."""

import asyncio
import base64
from pathlib import Path

import pytest
from msgspec.structs import replace

from quantcli.runtime.control.wire import Frame
from quantcli.tui.app import Picture, Screen, changed
from quantcli.tui.link import Link
from quantcli.tui.model import Model
from tests.tui import sample
from tests.tui.daemon import REFUSAL, Daemon
from tests.tui.terminal import lines_of, styles_of


@pytest.fixture
def socket(tmp_path):
    return Path(tmp_path, "bot.sock")


def screen(socket, **more):
    model = Model("mm-btc", sample.Hands(), **more)
    return Screen(model, socket, {"XDG_RUNTIME_DIR": str(socket.parent)})


async def until(pilot, true, what="it"):
    """Wait until something has become true."""
    for _ in range(200):
        if true():
            return
        await pilot.pause(0.02)
    raise AssertionError(f"{what} did not happen:\n" + "\n".join(lines_of(pilot.app)))


def sees(app, words):
    return lambda: any(words in line for line in lines_of(app))


async def test_it_shows_what_the_bot_tells_and_what_changes(socket):
    async with Daemon(socket) as daemon:
        app = screen(socket)
        async with app.run_test(size=(80, 24)) as pilot:
            await until(pilot, sees(app, "~ BTC/USDT ask"))
            await daemon.push(Frame(orders=(replace(sample.ORDERS[1], mark="=", drift="-"),)))
            await until(pilot, sees(app, "= BTC/USDT ask"))


async def test_it_asks_for_the_story_of_the_chosen_order_and_the_book_on_screen(socket):
    async with Daemon(socket) as daemon:
        app = screen(socket)
        async with app.run_test(size=(80, 24)) as pilot:
            await until(pilot, lambda: daemon.looks and daemon.looks[-1].story == sample.ORDERS[0].intent_id)
            await pilot.press("j")
            await until(pilot, lambda: daemon.looks[-1].story == sample.ORDERS[1].intent_id)
            await pilot.press("3", "greater_than_sign")
            await until(pilot, lambda: daemon.looks[-1].book == "ETH/USDT")
            assert daemon.looks[-1].story == ""


async def test_it_comes_back_by_itself_when_the_bot_does(socket):
    app = screen(socket)
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, sees(app, "DISCONNECTED"))
        assert sees(app, "the bot is not running")()
        async with Daemon(socket):
            await until(pilot, sees(app, "[LIVE]"))
            assert not sees(app, "DISCONNECTED")()
        await until(pilot, sees(app, "DISCONNECTED"))
        app.model.clock.now_ns += 12 * sample.S
        await until(pilot, sees(app, "DISCONNECTED 12s"))
        assert sees(app, "~ BTC/USDT ask")()  # what was last known stays, faded
        again = Frame(status=replace(sample.STATUS, pid=1), orders=(sample.ORDERS[0],), events=())
        async with Daemon(socket, again):
            await until(pilot, lambda: not sees(app, "~ BTC/USDT ask")())
            assert sees(app, "= BTC/USDT bid")()


async def test_a_bot_that_speaks_otherwise_is_told_of(socket):
    lost = asyncio.Queue()

    class Strange(Daemon):
        async def push(self, frame):
            for watcher in self.watchers:
                await watcher.send_str('{"orders": 7}')

    async with Strange(socket) as daemon:
        link = Link(socket, lambda _: None, lambda: None, lost.put_nowait)
        task = asyncio.create_task(link.run())
        try:
            async with asyncio.timeout(10):
                await daemon.joined.wait()
                await daemon.push(Frame())
                assert "speaks otherwise" in await lost.get()
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


async def test_a_word_reaches_the_bot_and_its_answer_the_screen(socket):
    async with Daemon(socket) as daemon:
        app = screen(socket)
        async with app.run_test(size=(80, 24)) as pilot:
            await until(pilot, sees(app, "[LIVE]"))
            await pilot.press("c", "tab", "enter")
            await until(pilot, sees(app, "cancel: done"))
            assert daemon.words == [("cancel", {"order": sample.ORDERS[0].intent_id})]
            await pilot.press("ctrl+k", "h", "m", "m", "minus", "b", "t", "c", "enter")
            await until(pilot, sees(app, "halt: done"))
            assert daemon.words[1][1]["level"] == "HALT_NEW"


async def test_what_the_bot_refuses_is_told_with_why_and_what_to_do(socket):
    async with Daemon(socket, refuse=REFUSAL):
        app = screen(socket)
        async with app.run_test(size=(80, 24)) as pilot:
            await until(pilot, sees(app, "[LIVE]"))
            await pilot.press("r")
            await until(pilot, sees(app, "it was filled a moment ago"))
            assert sees(app, "quant help QNT-202")()


async def test_a_word_to_nobody_says_so(socket):
    app = screen(socket)
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, sees(app, "DISCONNECTED"))
        await pilot.press("r")
        await until(pilot, sees(app, "reconcile was not done"))


async def test_fills_are_asked_for_when_they_are_looked_at(socket):
    async with Daemon(socket):
        app = screen(socket)
        async with app.run_test(size=(80, 24)) as pilot:
            await until(pilot, sees(app, "[LIVE]"))
            await pilot.press("2", "enter")
            await until(pilot, sees(app, "fills of BTC/USDT"))
            assert sees(app, ".0014")()


async def test_another_bot_can_be_watched(socket):
    folder = socket.parent / "quantcli"
    folder.mkdir(mode=0o700)
    other = replace(sample.FRAME, status=replace(sample.STATUS, bot="ema", world="PAPER"), orders=())
    async with Daemon(folder / "mm-btc.1.sock"), Daemon(folder / "ema.1.sock", other):
        app = Screen(Model("", sample.Hands()), None, {"XDG_RUNTIME_DIR": str(socket.parent)})
        async with app.run_test(size=(80, 24)) as pilot:
            await until(pilot, sees(app, "running bots"))
            await pilot.press("m", "m", "enter")
            await until(pilot, sees(app, "mm-btc @ binance  [LIVE]"))
            await pilot.press("b")
            await until(pilot, sees(app, "running bots"))
            await pilot.press("e", "m", "a", "enter")
            await until(pilot, sees(app, "ema @ binance  [PAPER]"))
            assert app.model.bot == "ema"


@pytest.mark.parametrize("key", ["q", "ctrl+c"])
async def test_leaving_leaves_the_bot_alone(socket, key):
    async with Daemon(socket) as daemon:
        app = screen(socket)
        async with app.run_test(size=(80, 24)) as pilot:
            await until(pilot, sees(app, "[LIVE]"))
            await pilot.press(key)
            await pilot.pause()
        assert not app.is_running
        assert daemon.words == []


async def test_ctrl_q_and_the_library_s_own_keys_do_nothing(socket):
    async with Daemon(socket):
        app = screen(socket)
        async with app.run_test(size=(80, 24)) as pilot:
            await until(pilot, sees(app, "[LIVE]"))
            await pilot.press("ctrl+q", "f1", "ctrl+backslash", "tab")
            await pilot.pause()
            assert app.is_running
            assert len(app.screen_stack) == 1


async def test_the_mouse_chooses_a_row(socket):
    async with Daemon(socket):
        app = screen(socket)
        async with app.run_test(size=(80, 24)) as pilot:
            await until(pilot, sees(app, "[LIVE]"))
            y = next(n for n, line in enumerate(lines_of(app)) if "~ BTC/USDT ask" in line)
            await pilot.click(Picture, offset=(10, y))
            await until(pilot, sees(app, "▌~ BTC/USDT ask"))


async def test_pasted_text_is_typed_where_something_is_typed_and_ignored_elsewhere(socket):
    from textual.events import Paste

    async with Daemon(socket) as daemon:
        app = screen(socket)
        async with app.run_test(size=(80, 24)) as pilot:
            await until(pilot, sees(app, "[LIVE]"))
            app.post_message(Paste("qrc2"))
            await pilot.pause()
            assert app.is_running
            assert app.model.screen == 0
            await pilot.press("slash")
            app.post_message(Paste("brk"))
            await until(pilot, sees(app, "/ filter: brk"))
        assert daemon.words == []


async def test_a_copy_goes_to_the_terminal_s_clipboard(socket):
    async with Daemon(socket):
        app = screen(socket)
        async with app.run_test(size=(80, 24)) as pilot:
            await until(pilot, sees(app, "[LIVE]"))
            written = []
            app._driver.write = written.append
            await pilot.press("o")
            await pilot.pause()
            (osc,) = [text for text in written if "\x1b]52;c;" in text]
            assert b'"intent_id"' in base64.b64decode(osc.split(";")[2].rstrip("\a"))


async def colours(environment, monkeypatch):
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    model = sample.model()
    app = Screen(model, None, {})
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.pause()
        filters = app.get_line_filters()
        strips = app.screen._compositor.render_strips()
        for line_filter in filters:
            strips = [strip.apply_filter(line_filter, app.background_colors[1]) for strip in strips]
        styles = [segment.style for strip in strips for segment in strip]
        return {style.color.name for style in styles if style and style.color}, [
            segment.text for segment in strips[0] if segment.style and segment.style.reverse
        ]


async def test_buy_and_sell_have_their_colours_and_live_is_reversed(monkeypatch):
    monkeypatch.delenv("NO_COLOR", raising=False)
    found, reversed_ = await colours({}, monkeypatch)
    assert {"#56b4e9", "#e69f00"} <= found
    assert reversed_ == ["[LIVE]"]


async def test_no_color_has_none_and_live_is_still_reversed(monkeypatch):
    found, reversed_ = await colours({"NO_COLOR": "1"}, monkeypatch)
    assert found <= {"default"}
    assert reversed_ == ["[LIVE]"]


async def test_only_what_changed_is_painted():
    model = sample.model()
    app = Screen(model, None, {})
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.pause()
        painted = []
        refresh = app._picture.refresh
        app._picture.refresh = lambda *regions, **more: (painted.extend(regions), refresh(*regions, **more))[
            1
        ]
        app.paint()
        assert painted == []
        model.take(Frame(status=replace(sample.STATUS, feed_age_ms=42.0)))
        app.paint()
        assert [(region.y, region.height) for region in painted] == [(0, 1)]
        assert painted[0].width < 20
        assert any("feed 42ms" in text for text, _ in styles_of(app, 0))


def test_the_cells_that_changed_are_found_in_any_two_lines():
    same = [("ab", ""), ("cd", "buy"), ("ef", "")]
    assert changed(same, [("ab", ""), ("xy", "buy"), ("ef", "")]) == (2, 4)
    assert changed(same, [("ab", ""), ("cd", "sell"), ("ef", "")]) == (2, 4)
    assert changed(same, [("a", "")]) == (0, 6)
    assert changed([], same) == (0, 6)
    wide = [("ab", ""), ("cdef", "")]
    start, end = changed(same, wide)
    assert start <= 2
    assert end == 6
