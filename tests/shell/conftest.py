"""Makes worlds, each over a new database."""

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from random import Random

import pytest

from quantcli.store.database import open_writer
from tests.shell.ports import IDENTITY, LoopStore
from tests.shell.virtual_loop import Choose
from tests.shell.world import World


@pytest.fixture(scope="session")
def empty_database(tmp_path_factory) -> Iterator[sqlite3.Connection]:
    """A database with tables and without rows."""
    path = tmp_path_factory.mktemp("shell") / "empty.db"
    written, _ = open_writer(path, lambda: IDENTITY)
    empty = sqlite3.connect(":memory:")
    with closing(written), closing(empty):
        written.backup(empty)
        yield empty


@pytest.fixture
def make_world(empty_database) -> Iterator[Callable[..., World]]:
    """Makes worlds, one at a time: the last one's database is closed.

    Told no seed or schedule, things run in the order in which they became ready.
    """
    with ExitStack() as last:

        def make(choose: Choose | int = lambda options: 0, kind: type[World] = World) -> World:
            last.close()
            store = LoopStore(empty_database)
            last.callback(store.disconnect)
            return kind(store, Random(choose).randrange if isinstance(choose, int) else choose)

        yield make
