"""The final state is a function of the set of reports (I21, G10), tried in every order of seven."""

import os

import pytest

from tests.kernel.merge_algebra import LIVES, SAMPLED_MASKS, check

FULL = bool(os.environ.get("QUANT_TEST_FULL"))


@pytest.mark.parametrize("life", LIVES)
def test_every_order_of_seven_reports_some_of_them_twice_ends_the_same(life):
    """I21, N18, V9, V11: 5,040 orders, each with some of the reports told again."""
    assert check(life, full=FULL) == 5_040 * (128 if FULL else 1 + SAMPLED_MASKS)
