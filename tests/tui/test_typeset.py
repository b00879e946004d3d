"""Numbers, times and cut texts, in cells."""

from decimal import Decimal as D

import pytest

from quantcli.tui import typeset
from quantcli.tui.typeset import clip, curve, cut, length, number, part, plain, since, sparks, uptime


@pytest.mark.parametrize(
    ("value", "decimals", "signed", "text"),
    [
        (D("64210.1"), 1, False, "64,210.1"),
        (D("0.01"), 4, False, ".0100"),
        (D("-0.84"), 2, True, "-.84"),
        (D("0.5"), 2, True, "+.50"),
        (D("12.31"), 2, True, "+12.31"),
        (D(0), 4, True, "0"),
        (None, 4, False, "-"),
        (D("123456789012.5"), 2, False, "123,456,789,012.50"),
        (0.73, 2, False, ".73"),
    ],
)
def test_a_number_is_short_and_has_its_thousands_separated(value, decimals, signed, text):
    assert number(value, decimals, signed) == text


def test_decimals_that_say_nothing_are_not_counted():
    assert [typeset.places(D(v)) for v in ("1.500", "100", "1E+3", "0.00012300")] == [1, 0, 0, 6]


def test_what_does_not_fit_is_cut_and_says_so():
    assert cut("BTC/USDT:USDT", 8) == "BTC/USD…"
    assert cut("BTC", 8) == "BTC"
    assert cut("BTC", 1) == "…"
    assert cut("BTC", 0) == ""


def test_wide_characters_count_as_the_two_cells_they_take():
    assert typeset.left("策略", 6) == "策略  "
    assert typeset.width_of(cut("策略机器人", 6)) <= 6
    assert length(clip([("策略", ""), ("abc", "")], 5)) == 5


@pytest.mark.parametrize("width", range(12))
def test_a_line_always_has_exactly_its_width(width):
    assert length(clip([("ab", "buy"), ("策略", ""), ("cdef", "sell")], width)) == width


def test_a_cut_line_says_so():
    assert plain(clip([("abc", ""), ("def", "")], 4)) == "abc…"
    assert plain(clip([("abc", ""), ("def", "")], 3)) == "ab…"
    assert plain(clip([("abc", ""), ("def", "")], 6)) == "abcdef"


def test_a_part_of_a_line_keeps_its_styles_and_halves_no_character():
    line = [("ab", "buy"), ("策略", ""), ("cd", "sell")]
    assert part(line, 1, 4) == [("b", "buy"), ("策", "")]
    assert plain(part(line, 3, 8)) == " 略cd"
    assert all(length(part(line, start, 8)) == 8 - start for start in range(9))


def test_nothing_in_a_text_steers_the_terminal():
    assert "\x1b" not in cut("\x1b[2Jgone\u202e", 20)
    assert "\n" not in cut("a\nb", 20)


def test_durations_are_short():
    second = 1_000_000_000
    assert [since(n * second) for n in (0, 1, 42, 119, 480, 7200, 200_000)] == [
        "0.0s", "1.0s", "42s", "119s", "8m", "2h", "2d",
    ]  # fmt: skip
    assert [uptime(n * second) for n in (5, 65, 11_520, 90_000)] == ["5s", "1m05", "3h12m", "1d01h"]
    assert since(-5) == "0.0s"


def test_sparks_show_the_worst_of_what_shares_a_cell_and_nothing_for_nothing():
    assert sparks((1, 8), 2) == "▁█" or sparks((1, 8), 2) == "▂█"
    assert sparks((-1, 4), 2) == " █"
    assert sparks((1, 8, 1, 1), 2)[0] == "█"
    assert len(sparks(tuple(range(60)), 20)) == 20
    assert sparks((), 5) == ""
    assert sparks((0, 0), 2) == "▁▁"
    assert sparks((1.0, 1.0), 2, least_top=8) == "▁▁" or sparks((1.0, 1.0), 2, least_top=8) == "▂▂"


def test_a_curve_rises_where_the_values_do():
    drawn = curve([float(n) for n in range(100)], 10, 3)
    assert [len(line) for line in drawn] == [10, 10, 10]
    assert drawn[0].strip()
    assert drawn[0].startswith("   ")
    assert drawn[2][0] != " "
    assert drawn[2].endswith("   ")


@pytest.mark.parametrize("values", [[], [1.0], [5.0, 5.0, 5.0]])
def test_a_curve_of_little_is_drawn_without_harm(values):
    assert [len(line) for line in curve(values, 20, 4)] == [20] * 4
