"""The README shows the real strategy, and the shipped recording gives the result it always gave."""

from pathlib import Path

import pytest

from quantcli.cli.terms import Terms, prepare
from quantcli.config import Config
from quantcli.runtime.simulate import simulate

ROOT = Path(__file__).resolve().parents[1]

# What the examples do on the shipped recording, to the last fill.  A change of these is a change of what
# orders are placed, when, or how they are filled: name the reason in the commit.
TRACES = {
    "touch_maker": "0bfc1f47eba065b559493fab16b85c5e7e74645ba1bae893dcd7a76beb1d4181",
    "ema_cross": "4081857370a299dd606ea6399aeb6be3735bb9e3671f769c002b18f01e42807a",
}


def test_the_strategy_shown_is_the_one_in_the_file() -> None:
    readme = (ROOT / "README.md").read_text()
    shown = readme.split("```python\n")[1].split("```")[0]
    assert shown.strip() in (ROOT / "strategies" / "touch_maker.py").read_text()


@pytest.mark.parametrize("name", TRACES)
async def test_the_examples_trade_the_shipped_recording_as_ever(name: str) -> None:
    terms = Terms(ROOT / "recordings", str(ROOT / "strategies" / f"{name}.py"))
    run = await simulate(prepare(terms, Config()), all_queues=False, progress=lambda _: None)
    assert not run.violated
    assert run.trace_hash == TRACES[name]
