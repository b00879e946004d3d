"""Names of intents and orders: never used twice, readable backwards, and recognised as ours.

    intent id         80 bits   nonce + epoch 48 | counter 32                       20 hex digits
    client order id  128 bits   tag 16 | intent id 80 | attempt 8 | MAC 24          32 hex digits

An exchange echoes the client order id with everything it says about an order, so after the loss of every
row the id alone still tells which wish, and which attempt at it, an order belongs to.  The MAC keeps a
stranger's order from being taken for ours; it is no secret's guard.

The store's nonce is advanced by one with each start of a kernel (`epoch`).  Each run therefore counts
from 1 in a block of its own of 2^32 ids: nothing needs to be remembered of intents that ended long ago,
and ids made later sort later (but once in 2^48).  Knows nothing of exchanges' spellings of an id (`0x…`,
dashed): adapters translate.
"""

import hmac

from quantcli.errors import InvariantError
from quantcli.store.api import Identity

MAX_ATTEMPT = 255
MAX_COUNTER = (1 << 32) - 1

_NONCE_MASK = (1 << 48) - 1
_HEAD_BYTES = 13  # tag, intent id, attempt
_MAC_BYTES = 3


def intent_id(identity: Identity, counter: int) -> str:
    """Name of the `counter`-th intent (1 … 2^32 - 1) of this run of the program."""
    if not 0 < counter <= MAX_COUNTER:
        raise InvariantError(
            f"intent number {counter} does not fit 32 bits",
            why="intent ids must never repeat",
            todo="restart: every start begins a new block of ids",
        )
    return f"{((identity.nonce + identity.epoch) & _NONCE_MASK) << 32 | counter:020x}"


def mint(identity: Identity, intent_id: str, attempt: int) -> str:
    """Client order id of the `attempt`-th placement (1 … 255) for an intent."""
    if not 0 < attempt <= MAX_ATTEMPT:
        raise InvariantError(
            f"attempt {attempt} of intent {intent_id} does not fit 8 bits",
            why="client order ids must never repeat",
        )
    head = bytes.fromhex(f"{identity.tag:04x}{intent_id}{attempt:02x}")
    return (head + _mac(identity, head)).hex()


def read(identity: Identity, client_order_id: str) -> tuple[str, int] | None:
    """Intent id and attempt that a client order id stands for; `None` if we did not mint it."""
    try:
        raw = bytes.fromhex(client_order_id)
    except ValueError:
        return None
    if raw.hex() != client_order_id or len(raw) != _HEAD_BYTES + _MAC_BYTES:
        return None
    head, mac = raw[:_HEAD_BYTES], raw[_HEAD_BYTES:]
    if head[:2] != identity.tag.to_bytes(2, "big") or not hmac.compare_digest(mac, _mac(identity, head)):
        return None
    return head[2:12].hex(), head[12]


def _mac(identity: Identity, head: bytes) -> bytes:
    return hmac.digest(identity.key, head, "sha256")[:_MAC_BYTES]
