"""The same seed is the same run, to the last bit, on every machine and every Python.

The digests are those of `golden_digests.json`.  They change with the kernel's behaviour, or the world's;
then, and only then, they are made anew:  python -m tests.world.campaign --golden
"""

import json

from tests.world.campaign import GOLDEN, golden_digests


def test_digests_are_those_written_down():
    assert golden_digests() == json.loads(GOLDEN.read_text(encoding="utf-8"))
