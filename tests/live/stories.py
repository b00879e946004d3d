"""Tests that wait more than they work, all at once: each has an exchange and a folder of its own.

    plays = Plays()
    told = plays.fixture()

    @plays.story
    def test_n1_something(exchange, user): ...

The first of them that is run starts all that were chosen; each waits for its own.
"""

import asyncio
import json
import threading
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any, Self

import pytest

from tests.live.terminal import Terminal
from tests.loopback import Controls, InProcessSandbox

_LANES = 4
_PATIENCE_S = 120


class SandboxBeside(Controls):
    """A sandbox in a thread of this process, for programs that trade there: there is nothing to start."""

    def __init__(self, **options: Any) -> None:
        self._options = options
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)

    def ask(self, method: str, name: str, body: Mapping[str, Any] | None = None) -> Any:
        """One request to `/sandbox/<name>`."""

        async def answer() -> Any:
            return json.loads(json.dumps(self._sandbox.ask(method, name, body)))

        return asyncio.run_coroutine_threadsafe(answer(), self._loop).result(_PATIENCE_S)

    def __enter__(self) -> Self:
        self._thread.start()

        async def make() -> None:
            self._sandbox = await InProcessSandbox(**self._options).__aenter__()

        asyncio.run_coroutine_threadsafe(make(), self._loop).result(_PATIENCE_S)
        self.told = self._sandbox.told
        return self

    def __exit__(self, *_: object) -> None:
        closing = self._sandbox.__aexit__(None, None, None)
        asyncio.run_coroutine_threadsafe(closing, self._loop).result(_PATIENCE_S)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


Play = Callable[[SandboxBeside, Terminal], None]
Told = Mapping[str, "Future[None]"]


class Plays:
    """The stories of one module; `strategy` is what every user has in the folder."""

    def __init__(self, strategy: str, **options: Any) -> None:
        self._strategy, self._options = strategy, options
        self._stories: dict[str, Play] = {}

    def story(self, play: Play) -> Callable[[Told], None]:
        """A test that is played beside the others."""
        name: str = play.__name__  # type: ignore[attr-defined]
        self._stories[name] = play

        def test(told: Told) -> None:
            told[name].result(_PATIENCE_S)

        test.__name__, test.__doc__ = name, play.__doc__
        return test

    def fixture(self) -> Any:
        """What the tests wait for; to be called `told` in the module."""

        @pytest.fixture(scope="module")
        def told(
            request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
        ) -> Iterator[dict[str, "Future[None]"]]:
            chosen = {item.name for item in request.session.items}
            folder = tmp_path_factory.mktemp("stories")
            with ThreadPoolExecutor(_LANES) as lanes:
                yield {
                    name: lanes.submit(self._play, play, folder / name)
                    for name, play in self._stories.items()
                    if name in chosen
                }

        return told

    def _play(self, play: Play, folder: Path) -> None:
        folder.mkdir()
        with SandboxBeside(**self._options) as exchange:
            user = Terminal(folder / "bots", exchange.told, self._strategy)
            try:
                play(exchange, user)
            finally:
                user.end()
