"""What every exchange can be asked, by the same names: a public half, and a private one that needs a key.

Reads raise what went wrong: `NoAnswer`, or the exchange's own error (`ExchangeAPIError`, `RateLimitError`,
`TradingDisabled`).  So does the private half here, for people and tests; the kernel's requests go through
`gateway`, which raises nothing.  An order that the manifest's table does not have is a `ValidationError`
before anything is sent.  Knows no exchange by name.
"""

from collections.abc import Collection, Sequence
from typing import Protocol

from quantcli.errors import ExchangeAPIError, ExchangeError, NotFoundError, RateLimitError, TradingDisabled
from quantcli.model.account import AssetBalance
from quantcli.model.instrument import SymbolMetadata
from quantcli.model.market import OrderBook, Trade
from quantcli.model.message import (
    Absence,
    Amend,
    Observation,
    Place,
    Refusal,
    Refused,
    Report,
    Request,
    Silence,
)
from quantcli.model.order import Order
from quantcli.venues.calls import Answer, Call, NoAnswer
from quantcli.venues.error_body import fault_of, says_disabled
from quantcli.venues.limits import Lane
from quantcli.venues.manifest import ErrorBody, Manifest

__all__ = ["Answer", "Call", "Connector", "NoAnswer", "refusal_of", "seen_in"]

_BAN_S = 10.0


class Connector(Protocol):
    """One account on one exchange, or the public part of one.  Times are nanoseconds UTC."""

    manifest: Manifest
    instruments: dict[str, SymbolMetadata]

    # Public.

    async def ping(self) -> None:
        """Whether it is there; raises if not."""
        ...

    async def get_server_time(self) -> int:
        """The exchange's time."""
        ...

    async def get_exchange_info(self, symbols: Collection[str] = ()) -> dict[str, SymbolMetadata]:
        """Trading rules by canonical name, of all markets if none is named; remembered in `instruments`.

        Raises `NotFoundError` for a market that is not there.
        """
        ...

    async def get_orderbook(self, symbol: str, limit: int = 100) -> OrderBook:
        """The best `limit` levels of each side, or some more."""
        ...

    async def get_recent_trades(self, symbol: str, limit: int = 100) -> list[Trade]:
        """The latest trades, oldest first."""
        ...

    # Private.

    async def get_account_balance(self) -> dict[str, AssetBalance]:
        """Balances by asset."""
        ...

    async def get_asset_balance(self, asset: str) -> AssetBalance:
        """One of them; of an asset that is not held, zero."""
        ...

    async def place_order(self, request: Place) -> Observation:
        """Place an order, once."""
        ...

    async def cancel_order(self, symbol: str, client_order_id: str) -> list[Observation]:
        """Cancel an order, once; it and what was cancelled with it."""
        ...

    async def cancel_all_orders(self, symbol: str) -> list[Observation]:
        """Cancel every open order of the account in a market, whoever placed it, once."""
        ...

    async def get_order(self, symbol: str, client_order_id: str) -> Observation:
        """An order with its fills.  Raises `NotFoundError`, which proves nothing."""
        ...

    async def get_open_orders(self, symbol: str | None = None) -> list[Order]:
        """Open orders of one market, or of all."""
        ...

    async def modify_order(self, request: Amend) -> Observation:
        """Give a working order new terms in its place, once."""
        ...

    # What the gateway and the inquisitive use.

    async def ask(self, call: Call, lane: Lane = Lane.DATA) -> Answer:
        """Any call; whatever comes back.  Raises `NoAnswer`."""
        ...

    async def report(self, request: Request) -> Sequence[Report]:
        """What comes of a request of the kernel: never an exception of the exchange's or the network's."""
        ...

    async def close(self) -> None:
        """Let go of every connection."""
        ...


def seen_in(reports: Sequence[Report], places: ErrorBody) -> list[Observation]:
    """The orders in reports on one request; raises what another outcome means."""
    seen = [report for report in reports if isinstance(report, Observation)]
    for report in reports:
        if isinstance(report, Silence):
            raise NoAnswer(report.reason, sent=report.sent, todo="look the order up before anything else")
        if isinstance(report, Absence):
            raise NotFoundError(f"no order {report.client_order_id} was found", why="which proves nothing")
        if isinstance(report, Refusal):
            raise _refused(report, places)
    return seen


def _refused(refusal: Refusal, places: ErrorBody) -> ExchangeError:
    if says_disabled(refusal.message, places):
        return TradingDisabled(refusal.message, why=f"the exchange answered {refusal.code}")
    if refusal.kind is Refused.BUSY:
        return RateLimitError(refusal.code, refusal.message, retry_after=_BAN_S)
    return ExchangeAPIError(refusal.code, refusal.message)


def refusal_of(answer: Answer, places: ErrorBody, what: str) -> ExchangeError | None:
    """The error that an answer to a read is, if it is one."""
    if 200 <= answer.status < 300:
        return None
    fault = fault_of(answer.body, places)
    if fault is None:
        return NoAnswer(f"HTTP {answer.status} to {what}, not from the exchange itself", sent=True)
    if answer.status in (429, 418):
        named = answer.headers.get("retry-after", "")
        after = float(named) if named.isdigit() else _BAN_S
        return RateLimitError(fault.code, fault.text, retry_after=after)
    if says_disabled(fault.text, places):
        return TradingDisabled(fault.text, why=f"the exchange answered {fault.code}")
    return ExchangeAPIError(fault.code, fault.text)
