"""A real terminal to look at: 80 by 24 in a tmux server of our own, which ends with the block."""

import os
import shlex
import shutil
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

import pytest

from tests.live.terminal import wait_until

WIDTH, HEIGHT = 80, 24


class Tmux:
    """One window.  Skips the test where there is no tmux."""

    def __init__(self, environment: Mapping[str, str], cwd: Path | None = None) -> None:
        if shutil.which("tmux") is None:
            pytest.skip("there is no tmux here")
        self._environment = {**environment, "TERM": "screen-256color", "LANG": "C.UTF-8"}
        self._environment.pop("TMUX", None)
        self._cwd = cwd

    def __enter__(self) -> Self:
        self._folder = tempfile.TemporaryDirectory(prefix="tmux-")
        size = ["-x", str(WIDTH), "-y", str(HEIGHT)]
        self._tmux("-f", os.devnull, "new-session", "-d", *size, "sh")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._tmux("kill-server")
        self._folder.cleanup()

    def run(self, command: Sequence[str]) -> None:
        """Type a command; how it left is told when it has."""
        self._tmux("send-keys", "-l", f"clear; {shlex.join(command)}; echo left with $?")
        self.keys("Enter")

    def keys(self, *names: str) -> None:
        """Press keys, by tmux's names of them."""
        self._tmux("send-keys", *names)

    def screen(self) -> str:
        """What is seen now."""
        return self._tmux("capture-pane", "-p")

    def wait_for(self, text: str, within_s: float = 20) -> str:
        """The screen, as soon as this is on it."""
        seen: str = wait_until(
            lambda: screen if text in (screen := self.screen()) else "",
            lambda: f"{text!r} is not on\n{self.screen()}",
            within_s,
        )
        return seen

    def _tmux(self, *words: str) -> str:
        command = ["tmux", "-S", str(Path(self._folder.name) / "socket"), *words]
        done = subprocess.run(
            command, capture_output=True, text=True, env=self._environment, cwd=self._cwd, check=True
        )
        return done.stdout
