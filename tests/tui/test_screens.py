"""The five screens as lines, without a terminal: what they say in ordinary and in strange states."""

from decimal import Decimal as D

import pytest
from msgspec.structs import replace

from quantcli.runtime.control.wire import Frame, Health
from quantcli.tui import theme, view
from quantcli.tui.model import Model
from quantcli.tui.typeset import length, plain
from tests.tui import sample

S = sample.S
SIZES = [(40, 12), (60, 20), (79, 24), (80, 24), (81, 25), (120, 40), (200, 60)]


def shown(model, width=80, height=24):
    return [plain(line).rstrip() for line in view.draw(model, width, height).lines]


def text(model, width=80, height=24):
    return "\n".join(shown(model, width, height))


def at(screen, model):
    view.press(model, str(screen))
    return model


def huge():
    orders = tuple(
        replace(order, qty=D("123456789.12345678"), price=D("98765432.12345678"), drift="x" * 50)
        for order in sample.ORDERS
    )
    positions = tuple(
        replace(
            p, symbol="1000000MOGCOIN/USDT:USDT-260327", qty=D("-123456789.12345678"), realised=D("-1E+15")
        )
        for p in sample.POSITIONS
    )
    return replace(sample.FRAME, orders=orders, positions=positions)


FRAMES = {
    "all": sample.FRAME,
    "nothing told": Frame(),
    "nothing there": Frame(
        status=replace(sample.STATUS, equity=None, start_equity=None, exposure=None, feed_age_ms=None,
                       rate_used=None, swept_ns=0, symbols=()),
        orders=(), positions=(), wallet=(), equity=(), events=(), health=Health((), (), ()),
    ),
    "huge": huge(),
    "wide names": replace(
        sample.FRAME,
        status=replace(sample.STATUS, bot="策略机器人", exchange="交易所", symbols=("币安人生/USDT",)),
        orders=tuple(replace(order, symbol="币安人生/USDT", slot="止损") for order in sample.ORDERS),
    ),
    "many": replace(
        sample.FRAME,
        orders=tuple(replace(sample.ORDERS[0], intent_id=f"i{n}") for n in range(500)),
        wallet=tuple(replace(sample.WALLET[0], asset=f"A{n}") for n in range(60)),
        positions=tuple(replace(sample.POSITIONS[0], symbol=f"A{n}/USDT") for n in range(60)),
    ),
}  # fmt: skip


@pytest.mark.parametrize("frame", FRAMES.values(), ids=FRAMES)
@pytest.mark.parametrize("screen", range(1, 6))
def test_every_line_is_as_wide_as_the_terminal_and_has_known_styles(frame, screen):
    model = at(screen, sample.model(frame))
    for width, height in SIZES:
        lines = view.draw(model, width, height).lines
        assert len(lines) == height
        assert {length(line) for line in lines} == {width}
        assert all(isinstance(theme.look(style), str) for line in lines for _, style in line)


def test_a_terminal_too_small_is_told_so():
    assert "larger" in shown(sample.model(), 30, 8)[0]


def test_the_world_stands_on_every_screen_and_live_stands_out():
    for screen in range(1, 6):
        line = view.draw(at(screen, sample.model()), 80, 24).lines[0]
        assert ("[LIVE]", "live") in line
    assert "reverse" in theme.STYLES["live"]
    for world in ("PAPER", "TESTNET", "REPLAY"):
        assert f"[{world}]" in shown(sample.model(world=world))[0]
        assert "reverse" not in theme.STYLES[world.lower()]


@pytest.mark.parametrize("width", [40, 60, 80, 120])
def test_the_world_and_the_gain_stay_however_narrow_it_is(width):
    first = shown(sample.model(bot="a-bot-with-quite-a-long-name-of-its-own"), width)[0]
    assert "[LIVE]" in first
    assert first.endswith("PnL +12.31")


def test_a_wish_stands_beside_what_the_exchange_has():
    row = next(line for line in shown(sample.model()) if "px -0.5" in line)
    assert row == " ~ BTC/USDT ask       │ S    .01 64,212.9 │ S    .01 64,213.4 │ px -0.5   1.2s >"


def test_every_state_is_a_character_before_it_is_a_colour():
    rows = [line for line in shown(sample.model()) if "│" in line][1:]
    assert "".join(row[1] for row in rows) == "=~+x/!"
    assert [row[79:] for row in rows] == ["", ">", ">", "?", "", ">"]


def test_an_unknown_outcome_and_an_orphan_are_told():
    told = text(sample.model())
    assert "? outcome unknown" in told
    assert "x ETH/USDT (none)    │ -                 │ S    .15  3,121.0 │ orphan" in told
    assert "unknown 1" in shown(sample.model())[1]
    assert "orphan 1" in shown(sample.model())[1]


def test_a_paused_slot_waits_for_its_owner():
    orders = (replace(sample.ORDERS[0], slot_status="paused: cancelled by somebody else"),)
    told = text(sample.model(Frame(status=sample.STATUS, orders=orders)))
    assert "?\n" in told
    assert "slot   paused: cancelled by somebody else" in told


def test_what_is_settled_is_not_counted_as_wanted():
    done = replace(sample.ORDERS[0], phase="CANCELED", have_qty=None, slot_status="paused: by you")
    first = shown(sample.model(Frame(status=sample.STATUS, orders=(done, sample.ORDERS[1]))))[1]
    assert first.startswith(" want 1   in sync 0   drift 1   paused 1")


def test_below_the_table_stands_the_story_of_the_chosen_order():
    model = sample.model()
    assert "next   replace" not in text(model)
    view.press(model, "j")
    assert view.look(model).story == sample.ORDERS[1].intent_id
    told = text(model)
    assert "09:04:02.119  drift  5 ticks > tolerance 2 ticks" in told
    assert "next   replace: waiting for the exchange's word" in told
    assert "gen 412 (asked 411)" in told


def test_another_orders_story_is_not_shown_for_this_one():
    model = sample.model(replace(sample.FRAME, orders=sample.ORDERS[2:]))
    assert "5 ticks" not in text(model)


def test_narrow_terminals_drop_what_the_exchange_has_and_wide_ones_say_why():
    assert "HAVE" not in text(sample.model(), 60, 20)
    assert "DRIFT" in text(sample.model(), 60, 20)
    assert "REASON" in text(sample.model(), 200, 60)
    model = sample.model()
    view.press(model, "w")
    assert "HAVE" not in text(model)
    assert "AGE   ID\n" in text(model)


def test_a_price_that_does_not_fit_is_marked_as_cut_and_fits_in_a_wider_terminal():
    model = sample.model(huge())
    assert "…" in text(model)
    assert "98,765,432.12345678" in text(model, 200, 60)


def test_prices_of_one_market_stand_under_each_other():
    orders = (
        sample.order("=", "A/B", "x", "buy", "1", "100"),
        sample.order("=", "A/B", "y", "buy", "0.25", "99.95"),
    )
    rows = [line for line in shown(sample.model(Frame(status=sample.STATUS, orders=orders))) if "A/B" in line]
    assert [row[24:41] for row in rows[:2]] == ["B   1.00   100.00", "B    .25    99.95"]


def test_before_the_first_word_nothing_is_made_up():
    model = sample.model(Frame())
    assert "mm-btc  not seen yet" in text(model)
    assert "waiting for the bot's first word" in text(model)
    for screen, words in (
        (2, "no word of positions"),
        (3, "no book"),
        (4, "no word of events"),
        (5, "waiting"),
    ):
        assert words in text(at(screen, model))


def test_missing_figures_are_dashes():
    model = sample.model(FRAMES["nothing there"])
    assert "feed -" in shown(model)[0]
    assert shown(model)[0].endswith("PnL -")
    assert "never swept" in shown(model)[1]
    assert "equity not known yet" in text(at(2, model))


def test_what_is_out_of_sight_is_counted():
    told = text(sample.model(FRAMES["many"]))
    assert "─ 1-9 of 500 ──" in told
    model = sample.model(FRAMES["many"])
    view.press(model, "w")
    view.press(model, "G")
    assert "─ 486-500 of 500 ──" in text(model)
    assert "of 60 ──" in text(at(2, sample.model(FRAMES["many"])))


def test_a_market_without_a_price_has_no_worth():
    positions = (sample.position("BTC/USDT", "short", "-0.5", "100", None, None, "0", "0"),)
    told = text(at(2, sample.model(replace(sample.FRAME, positions=positions))))
    row = next(line for line in told.splitlines() if "short" in line)
    assert row.split()[-4:] == ["-", "-", "0", "0"]


def test_money_is_added_up_and_a_difference_with_the_exchange_stands_out():
    model = at(2, sample.model())
    told = text(model)
    assert "total" in told
    assert "+3.75   +9.90   -1.34" in told
    assert "1.2500 1.2498" in told
    assert "~ -.0002" in told
    assert "not asked yet" in told
    spans = [span for line in view.draw(model, 80, 24).lines for span in line]
    assert any(style == "alarm" and "1.2498" in words for words, style in spans)


def test_the_equity_has_a_curve_with_its_heights():
    told = text(at(2, sample.model()))
    assert "equity, last 3h" in told
    assert "10,41" in told
    assert "10,39" in told
    assert "max dd" in told


def test_our_orders_stand_in_the_ladder():
    rows = shown(at(3, sample.model()))
    bid = next(row for row in rows if "64,210.1  " in row and ".73" in row)
    assert bid.startswith("    .01       .73")
    assert any(row.split("│")[0].rstrip().endswith("(want)") and "64,212.9" in row for row in rows)
    assert any("my ask .01 @ 64,213.4" in row and "wanted .01 @ 64,212.9" in row for row in rows)
    assert any("at most .72 ahead" in row for row in rows)
    assert sum("*" in row for row in rows) == 2


def test_prices_are_grouped_without_looking_better_than_they_are():
    model = at(3, sample.model())
    for _ in range(3):
        view.press(model, "z")
    assert model.group == 10
    told = text(model)
    assert "64,214.0" in told
    assert "64,210.0" in told
    assert "64,213.0       (want)" not in told


def test_the_book_of_another_market_is_not_shown_for_this_one():
    model = at(3, sample.model())
    view.press(model, ">")
    assert view.look(model).book == "ETH/USDT"
    assert "no book" in text(model)
    view.press(model, "<")
    assert "spread 3.3 (33 tk)" in text(model)


def test_a_book_out_of_step_or_old_is_an_alarm():
    book = replace(sample.BOOK, is_synced=False, seen_ns=sample.NOW - 9 * S)
    spans = view.draw(at(3, sample.model(replace(sample.FRAME, book=book))), 100, 24).lines[1]
    assert ("out of step", "alarm") in spans
    assert ("9.0s old", "alarm") in spans


@pytest.mark.parametrize("book", [replace(sample.BOOK, bids=(), asks=(), prints=())])
def test_an_empty_book_is_drawn(book):
    told = text(at(3, sample.model(replace(sample.FRAME, book=book, orders=()))))
    assert "no trades seen yet" in told
    assert "my bid -" in told


def test_events_are_told_newest_first_with_what_why_effect_and_do():
    model = at(4, sample.model())
    rows = [line for line in shown(model) if line[1:3] == "09"]
    assert rows[0].startswith("▌09:04:02.164        ack")
    assert "3 warnings   1 error   following: on" in text(model)
    for _ in range(3):
        view.press(model, "j")
    told = text(model)
    for words in (
        "what   ETH/USDT S .1500",
        "why    its client id",
        "effect ETH free",
        "do     quant orders",
    ):
        assert words in told
    assert "following: off" in told


def test_events_are_chosen_by_level_and_by_words():
    model = at(4, sample.model())
    view.press(model, "e")
    assert "heartbeat" not in text(model)
    assert "warn+" in text(model)
    for key in ("/", *"zerodiv", "enter"):
        view.press(model, key)
    assert "strategy" in text(model)
    assert "orphan" not in text(model)
    view.press(model, "escape")
    assert "orphan" in text(model)


def test_a_chosen_event_stays_chosen_while_others_come():
    model = at(4, sample.model())
    view.press(model, "j")
    before = [line for line in shown(model) if line.startswith("▌")]
    model.take(Frame(events=(sample.event(10, 0, "info", "fill", "BTC/USDT", "another"),)))
    assert [line for line in shown(model) if line.startswith("▌")] == before
    view.press(model, "escape")
    assert next(line for line in shown(model) if line.startswith("▌")).endswith("another")


def test_health_shows_limits_nearly_used_up_and_connections_that_are_down():
    spans = [span for line in view.draw(at(5, sample.model()), 80, 24).lines for span in line]
    alarms = " ".join(words for words, style in spans if style == "alarm")
    assert "██████████" in alarms
    assert "down" in alarms
    assert "strategy errors 1" in alarms
    assert "2 not well" in alarms
    told = text(at(5, sample.model()))
    assert "nothing yet" in told
    assert "14h45m" in told


def test_all_well_is_said_in_so_many_words():
    health = replace(sample.HEALTH, problems=(), links=())
    told = text(at(5, sample.model(replace(sample.FRAME, health=health))))
    assert "all well (2,408 checks)" in told
    assert "no connections" in told


@pytest.mark.parametrize(
    ("status", "words"),
    [
        (
            {"halt_level": "CANCEL_ALL", "halt_reason": "too much lost"},
            "HALTED (CANCEL_ALL) until quant resume: too much lost",
        ),
        ({"state": "stuck", "why": "maker.py:31 in desired"}, "STUCK: maker.py:31 in desired"),
        ({"state": "failed", "why": "the books disagree"}, "FAILED: the books disagree"),
        ({"findings": ("2 orders nobody wished for",)}, "FOUND: 2 orders nobody wished for"),
    ],
)
def test_what_nobody_may_overlook_takes_the_second_line_of_every_screen(status, words):
    for screen in range(1, 6):
        model = at(screen, sample.model(**status))
        assert words in shown(model)[1]
        assert view.draw(model, 80, 24).lines[1][0][1] == "alarm"


def test_a_broken_connection_is_told_in_seconds_and_the_numbers_fade():
    model = sample.model()
    model.lost("the bot is not running")
    model.clock.now_ns += 12 * S
    page = view.draw(model, 80, 24)
    assert plain(page.lines[1]).startswith(" DISCONNECTED 12s   the bot is not running")
    assert page.lines[1][0][1] == "alarm"
    assert {style for line in page.lines for _, style in line} == {"dim", "alarm", "live"}
    assert "42s" in text(model)  # ages stand still: nothing is known of the time since


def test_ages_go_on_between_two_words_of_the_bot():
    model = sample.model()
    model.clock.now_ns += 3 * S
    assert "45s" in text(model)
    model = sample.model(world="REPLAY")
    model.clock.now_ns += 3 * S
    assert "42s" in text(model)


def test_a_stale_feed_is_an_alarm():
    assert ("feed 42s STALE", "alarm") in view.draw(sample.model(feed_age_ms=42_000.0), 100, 24).lines[0]


def test_a_frozen_picture_stands_still_and_says_so():
    model = sample.model()
    view.press(model, " ")
    model.take(Frame(orders=()))
    model.clock.now_ns += 2 * S
    assert "FROZEN 2.0s" in shown(model)[0]
    assert "BTC/USDT ask" in text(model)
    view.press(model, " ")
    assert "nothing is wanted" in text(model) or "no orders" in text(model)


def test_a_new_connection_forgets_what_another_run_told():
    model = sample.model()
    model.lost("gone")
    model.connected()
    assert "BTC/USDT ask" in text(model)  # until it has said something
    model.take(Frame(status=replace(sample.STATUS, pid=1), events=(sample.EVENTS[0],)))
    assert model.known.orders is None
    assert [event.number for event in model.known.events] == [1]


def test_events_told_twice_are_kept_once():
    model = sample.model()
    model.take(Frame(events=sample.EVENTS[-2:]))
    assert [event.number for event in model.known.events] == list(range(1, 10))


def test_a_model_of_no_bot_can_be_drawn():
    assert view.draw(Model("", sample.Hands()), 80, 24).lines
