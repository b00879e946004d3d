"""A terminal of any size without a terminal: the app as its user would see it, as lines of text."""

import os
from pathlib import Path

from quantcli.tui.app import Screen

SIZES = ((80, 24), (120, 40), (200, 60))
SNAPSHOTS = Path(__file__).parent / "snapshots"
# Set it to write the pictures anew instead of comparing; then look at what changed.
REWRITE = "QUANT_REWRITE_SNAPSHOTS"


def lines_of(app):
    """What the terminal shows now."""
    strips = app.screen._compositor.render_strips()
    return ["".join(segment.text for segment in strip).rstrip() for strip in strips]


def styles_of(app, y):
    """The parts of a line with their styles, as the terminal gets them."""
    return [(segment.text, segment.style) for segment in app.screen._compositor.render_strips()[y]]


async def picture(model, keys=(), sizes=SIZES, environment=None):
    """What is shown in each size after these keys."""
    app = Screen(model, None, environment if environment is not None else {})
    shown = []
    async with app.run_test(size=sizes[0]) as pilot:
        await pilot.press(*keys)
        for width, height in sizes:
            await pilot.resize_terminal(width, height)
            await pilot.pause()
            lines = lines_of(app)
            assert len(lines) == height
            shown.append(f"{width}x{height}\n" + "\n".join(lines) + "\n")
    return "\n".join(shown)


def compare(name, shown):
    """Compare with the picture that is kept, or keep this one."""
    kept = SNAPSHOTS / f"{name}.txt"
    if os.environ.get(REWRITE):
        kept.write_text(shown, encoding="utf-8")
    assert kept.exists(), f"no picture of {name}: run with {REWRITE}=1 and look at it"
    assert shown == kept.read_text(encoding="utf-8")
