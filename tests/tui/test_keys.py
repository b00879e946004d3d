"""What keys and clicks lead to, without a terminal: nothing on one letter alone changes what the bot does."""

import string

import pytest
from msgspec.structs import replace

from quantcli.runtime.control.wire import Frame, Refusal
from quantcli.tui import actions, view
from quantcli.tui.dialogs import telling
from quantcli.tui.dialogs.choosing import Choice, Choosing
from quantcli.tui.dialogs.kill import Kill
from quantcli.tui.effects import Bots, Copy, Detach, Do, Fills, Suspend
from quantcli.tui.typeset import length, plain
from tests.test_house import unknown_words
from tests.tui import sample

STEERING = [action for action in actions.ACTIONS if action.steers]


def press(model, *keys):
    """Press keys; all that they led to."""
    return [effect for key in keys for effect in view.press(model, key)]


def text(model, width=80, height=24):
    return "\n".join(plain(line).rstrip() for line in view.draw(model, width, height).lines)


def choose(model, mark):
    """Choose the order with this mark."""
    for _ in range(5):
        if model.shown.orders[[o.mark for o in model.shown.orders].index(mark)] == orders_chosen(model):
            return
        press(model, "j")


def orders_chosen(model):
    return actions.orders.chosen(model)


@pytest.mark.parametrize("screen", "12345")
@pytest.mark.parametrize(
    "key", [*string.ascii_letters, *string.digits, *string.punctuation, " ", "enter", "tab"]
)
def test_no_single_key_changes_what_rests_or_is_held(screen, key):
    model = sample.model()
    done = [effect for effect in press(model, screen, key) if isinstance(effect, Do)]
    assert [word.verb for word in done] == (["reconcile"] if key == "r" else [])


@pytest.mark.parametrize("opener", ["c", "a", "p", "ctrl+k"])
@pytest.mark.parametrize("key", ["enter", "escape", " ", "y", "backspace"])
def test_every_dialog_is_left_by_its_default_without_harm(opener, key):
    model = sample.model()
    choose(model, "x" if opener == "a" else "=")
    assert press(model, opener) == []
    assert model.dialog is not None
    assert press(model, key, "escape", "escape") == []
    assert model.dialog is None


def test_cancelling_takes_the_second_button():
    model = sample.model()
    assert press(model, "c", "tab", "enter") == [
        Do("cancel", {"order": sample.ORDERS[0].intent_id}, f"cancel {sample.ORDERS[0].intent_id}")
    ]
    assert model.dialog is None


def test_a_dialog_shows_the_numbers_and_the_command():
    model = sample.model()
    press(model, "c")
    told = text(model)
    for words in ("buy .01 BTC/USDT @ 64,210.1", "quant orders cancel i-btc-bid-81f2", "[LIVE]", "[ Back ]"):
        assert words in told


def test_cancelling_what_protects_says_so():
    model = sample.model()
    choose(model, "!")
    press(model, "c")
    assert "PROTECTS" in text(model)


def test_an_orphan_is_cancelled_by_the_exchanges_id_and_adopted_into_a_slot():
    model = sample.model()
    choose(model, "x")
    assert press(model, "c", "right", "enter")[0].words == {"order": "771"}
    assert press(model, "a", *"ask 2", "tab", "enter")[0].words == {"order": "771", "slot": "ask 2"}


def test_only_an_orphan_is_adopted():
    model = sample.model()
    assert press(model, "a") == []
    assert model.dialog is None
    assert "only an orphan" in text(model)


def test_a_slot_is_paused_and_let_go_on():
    model = sample.model()
    assert press(model, "p", "tab", "enter")[0] == Do(
        "pause", {"symbol": "BTC/USDT", "slot": "bid"}, "pause BTC/USDT bid"
    )
    orders = (replace(sample.ORDERS[0], slot_status="paused by you"), *sample.ORDERS[1:])
    model.take(Frame(orders=orders))
    assert press(model, "p", "tab", "enter")[0].verb == "unpause"


def test_flattening_a_live_position_needs_the_bots_name():
    model = sample.model()
    assert press(model, "2", "f", "tab", "enter") == []
    assert model.dialog is not None
    assert press(model, *"mm-bt", "enter") == []
    assert press(model, "c", "enter") == [Do("flatten", {"symbol": "BTC/USDT"}, "flatten BTC/USDT")]


def test_flattening_all_on_paper_closes_each_position_that_is_held():
    model = sample.model(world="PAPER")
    told = press(model, "2", "F", "tab", "enter")
    assert [word.words["symbol"] for word in told] == ["BTC/USDT", "SOL/USDT"]


def test_what_is_flat_cannot_be_flattened():
    model = sample.model()
    assert press(model, "2", "j", "f") == []
    assert model.dialog is None


def test_the_kill_switch_needs_a_depth_and_the_whole_name():
    model = sample.model()
    assert press(model, "ctrl+k", "enter", *"mm-bt", "enter") == []  # no depth: letters are no name
    assert isinstance(model.dialog, Kill)
    assert press(model, "f", *"mm-bt", "enter") == []
    assert press(model, "c", "enter")[0].words["level"] == "FLATTEN"
    assert model.dialog is None


@pytest.mark.parametrize(("key", "level"), [("h", "HALT_NEW"), ("c", "CANCEL_ALL"), ("f", "FLATTEN")])
def test_each_depth_of_the_kill_switch_is_told_by_its_name(key, level):
    model = sample.model()
    (word,) = press(model, "ctrl+k", key, *"mm-btc", "enter")
    assert (word.verb, word.words["level"]) == ("halt", level)


def test_another_depth_can_be_chosen_and_escape_does_nothing():
    model = sample.model()
    assert press(model, "ctrl+k", "f", "x", "backspace", "backspace", "h", *"mm-btc") == []
    assert model.dialog.depth == "h"
    assert press(model, "escape") == []
    assert model.dialog is None


def test_the_kill_switch_says_what_each_depth_would_do():
    model = sample.model()
    press(model, "ctrl+k")
    told = text(model)
    for words in (
        "cancel my 3 open orders (+2 in doubt)",
        "keeps brk.stop 1.25",
        "leaves 1 order that is not ours",
        "BTC/USDT .03, SOL/USDT 1.25",
        "about 2,115.78 USDT",
        "quant resume",
    ):
        assert words in told


def test_the_kill_switch_can_be_pulled_before_anything_is_known():
    model = sample.model(Frame())
    press(model, "ctrl+k")
    assert "not known" in text(model)
    assert press(model, "h", *"mm-btc", "enter")[0].verb == "halt"


def test_read_only_has_no_action_at_all():
    model = sample.model(read_only=True)
    told = []
    for screen in "12345":
        press(model, screen)
        told += press(model, "c", "a", "p", "f", "F", "r", "ctrl+k")
        assert model.dialog is None
    assert told == []
    assert "read only" in text(model)
    assert "KILL" not in text(model)
    press(model, "ctrl+p")
    names = {choice.name for choice in model.dialog.choices}
    assert not names & {action.name for action in STEERING}


def test_the_palette_has_every_action_with_its_command():
    model = sample.model()
    press(model, "ctrl+p")
    choices = {choice.name: choice for choice in model.dialog.choices}
    assert {action.name for action in STEERING} <= set(choices)
    assert all(choices[action.name].says.startswith("quant ") for action in STEERING)
    assert all("mm-btc" in choices[action.name].says for action in STEERING)


@pytest.mark.parametrize("action", [a for a in actions.ACTIONS if a.command], ids=lambda a: a.name)
def test_the_command_that_does_the_same_exists(action):
    assert unknown_words(actions.fill(action.command, sample.model()).split()) == []


DIALOG_KEYS = [
    ("c",), ("j", "j", "j", "a"), ("p",), ("2", "f"), ("2", "F"),
    *(("ctrl+p", *name, "enter") for name in ("resume from", "trust", "stop")),
    ("2", "G", "ctrl+p", *"accept", "enter"), ("G", "ctrl+p", *"declare", "enter"),
]  # fmt: skip


@pytest.mark.parametrize("keys", DIALOG_KEYS)
def test_the_command_in_a_dialog_exists_and_names_the_bot(keys):
    model = sample.model(halt_level="HALT_NEW", findings=("something",))
    press(model, *keys)
    told = model.dialog.command.split("  (")[0].replace("…", "x")
    assert unknown_words(told.split()) == []
    assert "mm-btc" in told


def test_the_palette_finds_by_words_and_opens_what_is_taken():
    model = sample.model()
    assert press(model, "ctrl+p", *"KILL", "enter") == []
    assert isinstance(model.dialog, Kill)
    press(model, "escape", "ctrl+p", *"reconc")
    assert "Reconcile now" in text(model)
    assert press(model, "enter")[0].verb == "reconcile"
    assert press(model, "ctrl+p", *"no such thing", "enter") == []
    assert "nothing is called so" in text(model)


@pytest.mark.parametrize(
    ("name", "status", "verb"),
    [
        ("Resume from", {"halt_level": "HALT_NEW", "halt_reason": "by hand"}, "resume"),
        ("Trust", {"findings": ("an order of ours from an unknown run",)}, "trust"),
        ("Stop the", {}, "stop"),
    ],
)
def test_rarer_words_are_in_the_palette(name, status, verb):
    model = sample.model(**status)
    assert press(model, "ctrl+p", *name, "enter") == []
    assert press(model, "tab", "enter")[0].verb == verb


def test_a_drift_is_accepted_and_an_order_declared_dead_with_a_reason():
    model = sample.model()
    press(model, "2", "j", "j", "ctrl+p", *"accept", "enter")
    assert press(model, *"dust", "tab", "enter")[0].words == {"symbol": "SOL/USDT", "reason": "dust"}
    press(model, "1")
    choose(model, "!")
    press(model, "ctrl+p", *"declare", "enter")
    assert press(model, *"looked", "tab", "enter")[0].words == {"order": "cbrk.stop", "reason": "looked"}


def test_words_that_have_no_object_say_so():
    model = sample.model()
    for name in ("Resume from", "Trust", "accept", "declare"):
        assert press(model, "ctrl+p", *name, "enter") == []
        assert model.dialog is None
        assert model.told.is_alarm


@pytest.mark.parametrize("key", ["q", "ctrl+c"])
def test_leaving_is_one_key(key):
    assert press(sample.model(), key) == [Detach()]


def test_ctrl_c_leaves_from_everywhere():
    for keys in (("ctrl+k",), ("/", "x"), ("ctrl+p", "x"), ("c",)):
        assert press(sample.model(), *keys, "ctrl+c") == [Detach()]


def test_the_other_keys_of_the_terminal():
    model = sample.model()
    assert press(model, "ctrl+z") == [Suspend()]
    assert press(model, "b") == [Bots()]
    assert press(model, "2", "enter") == [Fills("BTC/USDT")]
    (copied,) = press(model, "1", "o")
    assert isinstance(copied, Copy)
    assert '"intent_id":"i-btc-bid-81f2"' in copied.text


def test_moving_stays_within_the_rows():
    model = sample.model()
    marks = []
    for keys in (
        ("k",),
        ("j",),
        ("down",),
        ("G",),
        ("j",),
        ("pageup",),
        ("end",),
        ("up",),
        ("g",),
        ("pagedown",),
    ):
        press(model, *keys)
        marks.append(orders_chosen(model).mark)
    assert "".join(marks) == "=~+!!=!/=!"


def test_the_chosen_order_stays_chosen_when_it_moves_and_the_first_is_when_it_goes():
    model = sample.model()
    press(model, "j")
    model.take(Frame(orders=tuple(reversed(sample.ORDERS))))
    assert orders_chosen(model).mark == "~"
    model.take(Frame(orders=sample.ORDERS[2:]))
    assert orders_chosen(model).mark == "+"


def test_a_slot_stays_chosen_when_its_order_is_another_one():
    model = sample.model()
    press(model, "j")
    model.take(Frame(orders=(sample.ORDERS[0], replace(sample.ORDERS[1], intent_id="i-new"))))
    assert orders_chosen(model).intent_id == "i-new"


def test_two_orders_of_one_slot_can_be_told_apart():
    model = sample.model(replace(sample.FRAME, orders=(sample.ORDERS[0], sample.ORDERS[0])))
    old, new = (replace(sample.ORDERS[0], intent_id=name) for name in ("old", "new"))
    model.take(Frame(orders=(old, new)))
    press(model, "j")
    assert orders_chosen(model).intent_id == "new"
    press(model, "k")
    assert orders_chosen(model).intent_id == "old"


def test_back_and_forward_remember_where_we_were():
    model = sample.model()
    press(model, "j", "3", "5", "[", "[")
    assert (model.screen, orders_chosen(model).mark) == (0, "~")
    press(model, "]")
    assert model.screen == 2
    press(model, "]", "]")
    assert model.screen == 4


def test_filtering_and_sorting():
    model = sample.model()
    press(model, "/", *"sol brk", "enter")
    assert [row.order.slot for row in actions.orders.rows(model)] == ["brk.entry", "brk.stop"]
    assert "/ filter: sol brk" in text(model)
    press(model, "escape", "s")
    assert "".join(row.order.mark for row in actions.orders.rows(model)) == "!x~+/="
    assert "sort state" in text(model)
    press(model, "/", *"zzz")
    assert "zzz█" in text(model)
    press(model, "escape")
    assert len(actions.orders.rows(model)) == 6


def test_letters_of_a_filter_are_no_commands():
    model = sample.model()
    assert press(model, "/", *"qcfr1", "enter") == []
    assert model.screen == 0
    assert model.view.filter == "qcfr1"


def test_a_click_chooses_a_row_a_screen_a_key_and_a_button():
    model = sample.model()
    page = view.draw(model, 80, 24)
    y = next(n for n, line in enumerate(page.lines) if "px -0.5" in plain(line))
    assert view.click(model, page, 10, y) == []
    assert orders_chosen(model).mark == "~"
    view.click(model, page, plain(page.lines[2]).index("Book"), 2)
    assert model.screen == 2
    press(model, "1")
    page = view.draw(model, 80, 24)
    view.click(model, page, plain(page.lines[22]).index("cancel"), 22)
    assert model.dialog is not None
    page = view.draw(model, 80, 24)
    y, x = next(
        (n, plain(line).index("[ Back ]")) for n, line in enumerate(page.lines) if "[ Back ]" in plain(line)
    )
    assert view.click(model, page, x + 3, y) == []
    assert model.dialog is None
    press(model, "c")
    page = view.draw(model, 80, 24)
    x = plain(page.lines[y]).index("[ Cancel")
    assert view.click(model, page, x + 3, y)[0].verb == "cancel"


def test_a_click_beside_everything_does_nothing():
    model = sample.model()
    assert view.click(model, view.draw(model, 80, 24), 40, 12) == []


@pytest.mark.parametrize("screen", "12345")
def test_help_lists_the_keys_of_its_screen(screen):
    model = sample.model()
    press(model, screen, "?")
    told = "\n".join(plain(line) for line in model.dialog.lines)
    for action in actions.ACTIONS:
        if action.name and action.key:
            assert (action.name in told) == (not action.screens or model.screen in action.screens)


def test_long_texts_scroll():
    model = sample.model()
    press(model, "y")
    assert "protective" not in text(model)
    press(model, "G")
    assert "protective: false" in text(model)
    press(model, "g", "j")
    assert "client_order_id" in text(model)
    assert press(model, "o")[0].text.startswith("{")
    press(model, "escape")
    assert model.dialog is None


DIALOGS = {
    "refusal": telling.refusal("cancel", Refusal("w" * 300, "y\n" * 40, "do " * 90, "QNT-1")),
    "no bots": Choosing("bots", []),
    "bots": Choosing("bots", [Choice("策" * 60, "x" * 300, "", lambda _: [])] * 90),
    "export": telling.export("b" * 200),
}


@pytest.mark.parametrize("keys", ["c", "p", "?", "y", "ctrl+p", "ctrl+k", "enter", *DIALOGS])
@pytest.mark.parametrize("size", [(40, 12), (60, 20), (80, 24), (120, 40), (200, 60)])
def test_every_dialog_fits(keys, size):
    model = sample.model()
    if keys in DIALOGS:
        model.dialog = DIALOGS[keys]
    else:
        press(model, keys)
    lines = view.draw(model, *size).lines
    assert len(lines) == size[1]
    assert {length(line) for line in lines} == {size[0]}
    assert any("┌" in plain(line) for line in lines)
    if size >= (80, 24):
        assert any(plain(line).count("└") for line in lines)
