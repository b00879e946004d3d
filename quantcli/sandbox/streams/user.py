"""The account's events on the wire: executionReport, outboundAccountPosition, balanceUpdate, listStatus.

Source: binance-spot-api-docs, user-data-stream.md ("User Data Stream Events"); the frame with its
subscription id: web-socket-api.md ("Event format").  The shapes of the bodies are `shapes`' business.
Sans-I/O.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any

import msgspec

from quantcli.clock import NS_PER_MS
from quantcli.sandbox import shapes
from quantcli.sandbox.exchange import SandboxExchange
from quantcli.sandbox.order_records import (
    AccountEvent,
    BalancesChanged,
    Execution,
    ListChanged,
    Transferred,
)
from quantcli.sandbox.venue_account import VenueAccount

# What sends (kind of the event, text).
Send = Callable[[str, str], None]


def messages(event: AccountEvent, exchange: SandboxExchange) -> list[dict[str, Any]]:
    """What the account is told of an event; balances are looked up now."""
    match event:
        case Execution():
            return [shapes.execution_report(event)]
        case BalancesChanged():
            return [shapes.account_position(exchange.balances(event.assets), event.at_ns)]
        case ListChanged():
            return [shapes.list_status(event.record, event.at_ns)]
        case Transferred():
            return [shapes.balance_update(event.transfer)]


def terminated(at_ns: int) -> dict[str, Any]:
    """`eventStreamTerminated`: nothing more will come ("Event Stream Terminated")."""
    return {"e": "eventStreamTerminated", "E": at_ns // NS_PER_MS}


class EventStream(ABC):
    """Tells an account's events, from now until `close`.

    With a `subscription_id` each is in the frame of the ws-api, without it bare, as on the sockets of listen
    keys.
    """

    def __init__(self, account: VenueAccount, send: Send, subscription_id: int | None = None) -> None:
        self.subscription_id = subscription_id
        self._account = account
        self._send = send
        account.listeners.append(self._hear)

    def close(self) -> None:
        """Stop listening."""
        if self._hear in self._account.listeners:
            self._account.listeners.remove(self._hear)

    def end(self, body: dict[str, Any]) -> None:
        """Say a last word, and stop."""
        self.close()
        self._tell(body)

    def _hear(self, event: Any) -> None:
        for body in self._messages(event):
            self._tell(body)

    @abstractmethod
    def _messages(self, event: Any) -> list[dict[str, Any]]:
        """What is told of an event."""

    def _tell(self, body: dict[str, Any]) -> None:
        framed = (
            body if self.subscription_id is None else {"subscriptionId": self.subscription_id, "event": body}
        )
        self._send(body["e"], msgspec.json.encode(framed).decode())


class UserStream(EventStream):
    """The spot account's events."""

    def __init__(self, exchange: SandboxExchange, send: Send, subscription_id: int | None = None) -> None:
        self._exchange = exchange
        super().__init__(exchange, send, subscription_id)

    def terminate(self, at_ns: int) -> None:
        """Say that the stream ends here, and end it."""
        self.end(terminated(at_ns))

    def _messages(self, event: AccountEvent) -> list[dict[str, Any]]:
        return messages(event, self._exchange)


def account_opener(
    exchange: SandboxExchange, is_valid: Callable[[str], bool]
) -> Callable[[str, Send], Callable[[], None] | None]:
    """Opens the account's stream on the socket of a listen key, if the key is one; gives what closes it."""

    def open_account(listen_key: str, send: Send) -> Callable[[], None] | None:
        return UserStream(exchange, send).close if is_valid(listen_key) else None

    return open_account
