"""`--since`: what people write, and which moment that is."""

import pytest

from quantcli.cli.moments import since_ns
from quantcli.errors import UsageError

S = 1_000_000_000
NOW = 1_763_630_042 * S  # 2025-11-20T09:14:02Z


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("2h", 1_763_630_042 - 7_200),
        ("1h30m", 1_763_630_042 - 5_400),
        ("90s", 1_763_630_042 - 90),
        ("2025-11-20", 1_763_596_800),
        ("2025-11-20T09:14", 1_763_630_040),
        ("2025-11-20T09:14:02Z", 1_763_630_042),
        ("2025-11-20 09:14:02", 1_763_630_042),
        ("2025-11-20T10:14:02+01:00", 1_763_630_042),
        ("2025-11-20t10:14:02+0100", 1_763_630_042),
    ],
)
def test_a_moment_is_so_long_ago_or_a_time(text, seconds):
    assert since_ns(text, NOW) == seconds * S


def test_fractions_are_exact_and_nothing_is_the_beginning():
    assert since_ns("2025-11-20T09:14:02.118204001Z") == NOW + 118_204_001
    assert since_ns(None) == 0


@pytest.mark.parametrize("text", ["yesterday", "2025-13-01", "2025-11-20T25:00", "2", "-2h", ""])
def test_what_is_no_moment_is_refused(text):
    with pytest.raises(UsageError) as caught:
        since_ns(text, NOW)
    assert "--since" in caught.value.what
    assert "2026-11-01" in caught.value.todo


def test_listings_take_it(quant, project):
    assert quant("fills", "--since", "2025-11-20T09:14:14Z", "-o", "name").stdout.split() == ["3", "2"]
    assert quant("fills", "--since", "soon").returncode == 2
