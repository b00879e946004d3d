"""The fingerprint of a run: one hash over everything that happened to orders, in order.

Two runs with the same hash made the same decisions at the same times and got the same fills, to the
last digit.  Only integers, exact decimals and identifiers enter it, so it does not depend on the
machine, the Python version or the hash seed.
"""

import hashlib

import msgspec

from quantcli.model.event import Event, OrderEvent, RiskLimit


class Trace:
    """Subscribe `take` to the bus; `digest` is the SHA-256 so far, in hex."""

    def __init__(self) -> None:
        self._hash = hashlib.sha256()
        self._encode = msgspec.json.Encoder().encode

    def take(self, event: Event) -> None:
        """Fold one event in; those without a part in any decision are left out."""
        match event:
            case OrderEvent(kind, at_ns, intent, state, fill, reason):
                order = intent.order
                line: tuple[object, ...] = (
                    kind,
                    at_ns,
                    intent.intent_id,
                    intent.generation,
                    intent.phase,
                    order.side,
                    order.type,
                    order.quantity,
                    order.price,
                    order.stop_price,
                    state.client_order_id if state else None,
                    state.status if state else None,
                    fill and (fill.trade_id, fill.qty, fill.price, fill.fee),
                    reason,
                )
            case RiskLimit(at_ns, check, symbol, reason):
                line = ("refused", at_ns, check, symbol, reason)
            case _:
                return
        self._hash.update(self._encode(line))

    @property
    def digest(self) -> str:
        """SHA-256 of everything so far."""
        return self._hash.hexdigest()
