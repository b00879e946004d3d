"""The check of a large state database for damage, beside the work: it reads the whole file.

A small file is checked before it is opened.  One that takes seconds is checked by a thread of its own, on a
connection that cannot write; what it finds ends all further commits.  Knows nothing of the tables.
"""

import sqlite3
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from quantcli.errors import StoreError
from quantcli.store.database import damaged, read_only_uri


class Checking:
    """Looks through the file once; `on_damage` is called, in the thread, with what is wrong."""

    def __init__(self, path: Path, on_damage: Callable[[StoreError], None]) -> None:
        self._path, self._on_damage = path, on_damage
        self._connection = sqlite3.connect(
            read_only_uri(path), uri=True, check_same_thread=False, isolation_level=None
        )
        self._thread = threading.Thread(target=self._check, name="quant-store-check", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Give up, if it is not done yet."""
        self._connection.interrupt()
        self._thread.join()
        self._connection.close()

    def _check(self) -> None:
        with suppress(sqlite3.OperationalError):  # interrupted
            try:
                (verdict,) = self._connection.execute("PRAGMA quick_check(1)").fetchone()
            except sqlite3.DatabaseError as error:
                if isinstance(error, sqlite3.OperationalError):
                    raise
                verdict = str(error)
            if verdict != "ok":
                self._on_damage(damaged(self._path, verdict))
