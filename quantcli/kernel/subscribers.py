"""Who hears of order events: callbacks, each with the kinds it wants to hear of.

Called synchronously, in order of subscription.  Knows nothing of what happened.
"""

from collections.abc import Callable, Collection

from quantcli.errors import NotFoundError
from quantcli.model.event import OrderEvent, OrderEventKind

OnOrder = Callable[[OrderEvent], None]


class Subscribers:
    """Callbacks by the number of their subscription."""

    def __init__(self) -> None:
        self._callbacks: dict[int, tuple[OnOrder, Collection[OrderEventKind] | None]] = {}
        self._last = 0

    def add(self, callback: OnOrder, kinds: Collection[OrderEventKind] | None) -> int:
        """A further callback (`kinds` `None`: for every event); returns its number."""
        self._last += 1
        self._callbacks[self._last] = callback, kinds
        return self._last

    def remove(self, subscription: int) -> None:
        """End a subscription; raises `NotFoundError`."""
        if self._callbacks.pop(subscription, None) is None:
            raise NotFoundError(f"no subscription {subscription}")

    def publish(self, event: OrderEvent) -> None:
        """Tell everyone; then raise what the first that failed had raised."""
        failed = None
        for callback, kinds in list(self._callbacks.values()):
            if kinds is None or event.kind in kinds:
                try:
                    callback(event)
                except Exception as error:
                    failed = failed or error
        if failed is not None:
            raise failed
