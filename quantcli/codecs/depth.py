"""Order books from depth messages: which updates fit together, and when the sum of them can be trusted.

For every consumer of a book channel, live or replayed.  Knows nothing of wire formats, and does not fetch
snapshots: it says when one is needed.
"""

from collections import deque

from quantcli.model.market import BookUpdate, OrderBook

# Diffs kept while waiting for a snapshot: at one per 100 ms, nearly seven minutes.
_BUFFERED = 4096


class DepthSync:
    """One market's book, kept by the rules Binance documents as "How to manage a local order book correctly"
    (pages of that name in Spot Web Socket Streams, USDⓈ-M and COIN-M Futures).

    Diffs are kept until a snapshot comes, those it already contains are dropped, and the first one
    applied must bridge: contain the snapshot's id (futures) or the one after it (spot).  From there on each
    diff must continue the one before: `prev_id == last_id` where the exchange gives `prev_id` (futures), else
    `first_id == last_id + 1` (spot).  One that does not is a gap: the book is stale until the next
    snapshot that bridges.

    `book` is the book itself, to be read only while `synced`; `gaps` counts the breaks in the sequence.
    """

    __slots__ = ("_bridged", "_waiting", "book", "gaps", "synced")

    def __init__(self, symbol: str) -> None:
        self.book = OrderBook(symbol)
        self.synced = False
        self.gaps = 0
        self._bridged = False  # a diff was applied since the snapshot
        self._waiting: deque[BookUpdate] = deque(maxlen=_BUFFERED)  # unbroken, newest last

    @property
    def last_id(self) -> int:
        """The exchange's id of the book's state; 0 before the first snapshot."""
        return self.book.last_id

    @property
    def needs_snapshot(self) -> bool:
        """Diffs are waiting, and nothing but a newer snapshot can make a book of them."""
        return not self.synced and bool(self._waiting)

    def apply(self, update: BookUpdate) -> bool:
        """Take an update; true if the book changed and is valid.

        An update older than the book says nothing new and is ignored.
        """
        if update.is_snapshot:
            return self._start(update)
        if not self.synced:
            self._keep(update)
            return False
        book = self.book
        last_id = book.last_id
        if continues(update, last_id) or (not self._bridged and bridges(update, last_id)):
            book.apply(update)
            self._bridged = True
            return True
        if update.last_id <= last_id:
            return False
        self.synced = False
        self.gaps += 1
        self._waiting.append(update)
        return False

    def _start(self, snapshot: BookUpdate) -> bool:
        """Begin anew from a snapshot, unless it is older than what we have."""
        last_id = snapshot.last_id
        if self.synced and last_id < self.book.last_id:
            return False
        waiting = self._waiting
        while waiting and waiting[0].last_id <= last_id:
            waiting.popleft()
        if waiting and not (continues(waiting[0], last_id) or bridges(waiting[0], last_id)):
            return False
        self.book.apply(snapshot)
        for update in waiting:
            self.book.apply(update)
        self._bridged = bool(waiting)
        self.synced = True
        waiting.clear()
        return True

    def _keep(self, update: BookUpdate) -> None:
        """Keep a diff until the snapshot comes.  After a break those before it can no longer be of use."""
        waiting = self._waiting
        if waiting:
            last_id = waiting[-1].last_id
            if update.last_id <= last_id:
                return
            if not continues(update, last_id):
                self.gaps += 1
                waiting.clear()
        waiting.append(update)


def continues(update: BookUpdate, last_id: int) -> bool:
    """The diff is the very next one after `last_id`."""
    return update.prev_id == last_id if update.prev_id else update.first_id == last_id + 1


def bridges(update: BookUpdate, snapshot_id: int) -> bool:
    """The diff contains a snapshot's last change (futures: it may end with it) or the one after it (spot)."""
    return update.first_id <= (snapshot_id if update.prev_id else snapshot_id + 1) <= update.last_id
