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
    "touch_maker": "bd2cec0ea240c9ec828553ff7ddc80d5a435702d0c65ac69fadf905fe9e10a3c",
    "ema_cross": "6ea54242adcef0aeadb87c40da003021b23db2f02ab989118648596e20aca8e9",
    "breakout_bracket": "685d075628200e20a9aec3caefa58ace78f68fa4a6fd7befbf02986ca984ebf0",
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
