"""A bot killed at random and at chosen moments loses nothing: a short run of `make campaign-kill`."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.live.kills import lane, points


def test_no_order_is_lost_or_doubled_however_often_it_is_killed(tmp_path: Path) -> None:
    every = len(list(points()))
    with ThreadPoolExecutor(2) as lanes:
        tallies = list(
            lanes.map(
                lambda n: lane(tmp_path / str(n), seed=n, kills=12, first_point=n * every // 2), range(2)
            )
        )
    failures = [failure for tally in tallies for failure in tally.failures]
    assert not failures, "\n".join(failures)
    assert sum(tally.kills for tally in tallies) == 24
    assert sum(tally.orders for tally in tallies) > 20
    assert sum(tally.fills for tally in tallies) > 10
