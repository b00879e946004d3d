"""Which depth messages of a market go on, so that whoever gets them can keep the book and ask nobody.

    diffs wait until the snapshot comes -> the snapshot -> the diffs that it does not contain -> all others

By the rules of `codecs.depth`, and with nothing but ids: no book is kept here.  Knows no wire format.
"""

from collections import deque
from enum import Enum

from quantcli.codecs.depth import bridges, continues
from quantcli.model.market import BookUpdate

# Diffs kept while waiting for a snapshot: at one per 100 ms, nearly seven minutes.
_KEPT = 4096


class Fate(Enum):
    """What becomes of a diff: it goes on; it waits for a snapshot; it is old; it shows that some are missing
    (and waits for a snapshot)."""

    GOES_ON = "goes on"
    WAITS = "waits"
    OLD = "old"
    BREAKS = "breaks"


# Looking up a member of an enum costs as much as a comparison of ids.
GOES_ON = Fate.GOES_ON


class DepthMerge:
    """One market's depth messages; `synced` once its snapshot has gone on."""

    __slots__ = ("_bridged", "_waiting", "last_id", "synced")

    def __init__(self) -> None:
        self.synced = False
        self.last_id = 0
        self._bridged = False
        self._waiting: deque[BookUpdate] = deque(maxlen=_KEPT)

    def diff(self, update: BookUpdate) -> Fate:
        """Take a diff."""
        if not self.synced:
            return self._keep(update)
        last_id = self.last_id
        if continues(update, last_id) or (not self._bridged and bridges(update, last_id)):
            self.last_id = update.last_id
            self._bridged = True
            return GOES_ON
        if update.last_id <= last_id:
            return Fate.OLD
        self.restart()
        self._waiting.append(update)
        return Fate.BREAKS

    def snapshot(self, snapshot: BookUpdate) -> list[BookUpdate] | None:
        """The snapshot and the diffs after it, in order; `None` if it is older than all that waits, so that
        a newer one is needed."""
        waiting = self._waiting
        while waiting and waiting[0].last_id <= snapshot.last_id:
            waiting.popleft()
        if waiting and not (continues(waiting[0], snapshot.last_id) or bridges(waiting[0], snapshot.last_id)):
            return None
        found = [snapshot, *waiting]
        waiting.clear()
        self.synced = True
        self._bridged = len(found) > 1
        self.last_id = found[-1].last_id
        return found

    def restart(self) -> None:
        """Nothing that comes next can be joined to what went on: a snapshot is needed."""
        self.synced = False
        self._bridged = False
        self._waiting.clear()

    def _keep(self, update: BookUpdate) -> Fate:
        """Keep a diff.  After a break those before it can no longer be of use."""
        waiting = self._waiting
        if waiting:
            last_id = waiting[-1].last_id
            if update.last_id <= last_id:
                return Fate.OLD
            if not continues(update, last_id):
                waiting.clear()
        waiting.append(update)
        return Fate.WAITS
