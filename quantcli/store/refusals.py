"""The errors that every store answers with, worded once.

Knows the rules of the rows (`store.api`), not how they are kept.
"""

from pathlib import Path

from quantcli.errors import (
    AlreadyExistsError,
    InvariantError,
    NotFoundError,
    StoreBusy,
    StoreError,
    StoreFull,
)

_LIST_ORDERS = "`quant orders` lists those there are"


def no_database(path: Path) -> NotFoundError:
    """No bot has ever written there."""
    return NotFoundError(
        f"there is no state database at {path}",
        why="it is made when a bot first trades",
        todo="start one with `quant trade`, or name the right file",
    )


def no_intent(intent_id: str) -> NotFoundError:
    """No intent has this id."""
    return NotFoundError(f"no intent {intent_id}", todo=_LIST_ORDERS)


def no_attempt(intent_id: str) -> NotFoundError:
    """The intent has no attempt."""
    return NotFoundError(f"no order was ever placed for intent {intent_id}", todo=_LIST_ORDERS)


def no_client_id(client_order_id: str) -> NotFoundError:
    """No attempt has this client order id."""
    return NotFoundError(f"no order with client order id {client_order_id}", todo=_LIST_ORDERS)


def no_exchange_id(exchange_order_id: str) -> NotFoundError:
    """No attempt has this exchange order id."""
    return NotFoundError(f"no order of ours has exchange order id {exchange_order_id}", todo=_LIST_ORDERS)


def intent_exists(intent_id: str) -> AlreadyExistsError:
    """The id is taken."""
    return AlreadyExistsError(f"intent {intent_id} exists already", todo="use a new id for a new intent")


def attempt_exists(client_order_id: str, intent_id: str, attempt: int) -> AlreadyExistsError:
    """The client order id, or the attempt number of the intent, is taken."""
    return AlreadyExistsError(
        f"attempt {attempt} of intent {intent_id} ({client_order_id}) exists already",
        todo="use a new client order id and the next number for a new attempt",
    )


def broken_rule(why: str) -> InvariantError:
    """A row would break a rule of `store.api`; nothing of its transaction is kept."""
    return InvariantError(
        "a row was refused that contradicts the recorded ones",
        why=why,
        todo="stop trading and report this; nothing of the transaction was kept",
    )


def changed_fill(symbol: str, trade_id: str) -> InvariantError:
    """A fill came again, and different."""
    return broken_rule(f"fill {trade_id} of {symbol} is recorded with other figures, and fills never change")


def not_open() -> StoreError:
    """The store was asked before `open`, or after `close`."""
    return StoreError("the state database is not open", todo="open the store first")


def older_version(path: Path) -> StoreError:
    """A reader cannot migrate."""
    return StoreError(
        f"{path} was written by an older version of quant",
        why="only the bot that owns it brings it up to date, and it has not run since",
        todo="start that bot once: it keeps a copy of the old file beside the new one",
    )


def disk_full(why: str) -> StoreFull:
    """The transaction found no room, and is undone."""
    return StoreFull(
        "the state database cannot grow: the disk is full",
        why=f"{why}; nothing of what was to be recorded is",
        todo="make room on the disk; no restart is needed",
    )


def held_by_another(why: str) -> StoreBusy:
    """Another program writes, and does not end."""
    return StoreBusy(
        "another program holds the state database",
        why=f"{why}; nothing of what was to be recorded is",
        todo="end the other program's transaction (an sqlite3 shell, a backup); no restart is needed",
    )


def broken_disk(error: Exception) -> StoreError:
    """Writing failed in a way that no second try can be trusted after."""
    return StoreError(
        "the state database cannot be written",
        why=f"{type(error).__name__}: {error}",
        todo="see to the disk, then start again: what was asked for last may or may not be recorded",
    )


def changed_correction(symbol: str, cause: str, cause_id: str) -> InvariantError:
    """A correction came again, and different."""
    return broken_rule(f"correction {cause} {cause_id} of {symbol} is recorded with other figures")
