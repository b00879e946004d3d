"""Structs as rows: the columns of each table, and the way there and back.

Column names are field names; an order's terms lie flat in the row that holds them.  Decimals become
canonical text, enums their values, mappings, lists and structs within a row JSON.  `schema.sql` has the
types and the rules.  Knows SQL text, but no database.
"""

from collections.abc import Callable, Iterable, Sequence
from decimal import Decimal
from enum import IntEnum, StrEnum
from operator import attrgetter
from typing import Any, Generic, TypeVar

import msgspec

from quantcli.errors import StoreError
from quantcli.model.instrument import canonical
from quantcli.model.message import Correction
from quantcli.model.order import Fill, OrderGroup, OrderIntent, OrderState, StandardOrder
from quantcli.store.api import JournalEntry, MarketRow

T = TypeVar("T", bound=msgspec.Struct)
Cell = str | int | bytes | None

_PLAIN = frozenset({str, int})
_encode_json = msgspec.json.Encoder(order="deterministic").encode


class Table(Generic[T]):
    """One table: its struct, the columns that identify a row, the order of listings.

    `insert` adds a row, `upsert` adds or replaces it, `insert_once` leaves a row of the same key alone; all
    take what `encode` gives.
    """

    def __init__(self, name: str, struct: type[T], key: tuple[str, ...], order_by: str) -> None:
        self.name = name
        self.struct = struct
        self.order_by = order_by
        fields = _flat_fields(struct)
        self.columns = tuple(fields)
        self._cells = attrgetter(*(path for path, _ in fields.values()))
        kinds = {column: _kind(annotation) for column, (_, annotation) in fields.items()}
        self._converted = [
            (i, _CELL_OF.get(kind, _json))
            for i, kind in enumerate(_form(kinds[column]) for column in fields)
            if kind is not None
        ]
        self._bools = [column for column, kind in kinds.items() if kind is bool]
        self._json = [column for column, kind in kinds.items() if _form(kind) is object]
        columns, target = _listed(fields), _listed(key)
        places = ", ".join("?" * len(fields))
        changes = ", ".join(f'"{column}" = excluded."{column}"' for column in fields if column not in key)
        self.insert = f"INSERT INTO {name} ({columns}) VALUES ({places})"
        self.upsert = f"{self.insert} ON CONFLICT ({target}) DO UPDATE SET {changes}"
        self.insert_once = f"{self.insert} ON CONFLICT ({target}) DO NOTHING"
        self.by_key = f"SELECT {columns} FROM {name} WHERE " + " AND ".join(f"{c} = ?" for c in key)

    def select(self, where: str = "", source: str = "", order_by: str = "") -> str:
        """A query for whole rows, in the table's order unless told; `source` is a view of the table."""
        condition = f" WHERE {where}" if where else ""
        columns = _listed(self.columns)
        return f"SELECT {columns} FROM {source or self.name}{condition} ORDER BY {order_by or self.order_by}"

    def encode(self, row: T) -> tuple[Cell, ...]:
        """The cells of a row, in the order of the columns."""
        cells: list[Any] = list(self._cells(row))
        for i, convert in self._converted:
            if cells[i] is not None:
                cells[i] = convert(cells[i])
        return tuple(cells)

    def decode(self, rows: Iterable[Sequence[Any]]) -> list[T]:
        """Structs of rows selected by `select` or `by_key`; raises `StoreError` for a row that is none."""
        try:
            return [msgspec.convert(self._fields(row), self.struct) for row in rows]
        except msgspec.MsgspecError as error:
            raise StoreError(
                f"the state database holds a row in {self.name} that cannot be read",
                why=str(error),
                todo="it was changed by something else; restore a copy of the file",
            ) from error

    def _fields(self, row: Sequence[Any]) -> dict[str, Any]:
        cells = dict(zip(self.columns, row, strict=True))
        for name in self._bools:
            cells[name] = bool(cells[name])
        for name in self._json:
            if cells[name] is not None:
                cells[name] = msgspec.json.decode(cells[name])
        # The struct takes its own fields from the cells, the order within it its own: neither minds the rest.
        return {**cells, "order": cells}


def _flat_fields(struct: type[msgspec.Struct], path: str = "") -> dict[str, tuple[str, Any]]:
    """Where each column is found in a struct, and of which type it is; an order's fields in its place."""
    flat: dict[str, tuple[str, Any]] = {}
    for field in msgspec.structs.fields(struct):
        if field.type is StandardOrder:
            flat |= _flat_fields(StandardOrder, f"{field.name}.")
        else:
            flat[field.name] = f"{path}{field.name}", field.type
    return flat


def _kind(annotation: Any) -> Any:
    """The type of a field, without the `None` it may also be."""
    others = [kind for kind in getattr(annotation, "__args__", ()) if kind is not type(None)]
    is_optional = type(None) in getattr(annotation, "__args__", ())
    return others[0] if is_optional else annotation


def _form(kind: Any) -> type | None:
    """What a value of a type has to be turned into a cell as; `None` if it is one already."""
    if kind in _PLAIN:
        return None
    for known in _CELL_OF:
        if isinstance(kind, type) and issubclass(kind, known):
            return known
    return object


def _json(value: Any) -> str:
    return _encode_json(value).decode()


_CELL_OF: dict[type, Callable[[Any], Cell]] = {Decimal: canonical, bool: int, IntEnum: int, StrEnum: str}


def _listed(columns: Iterable[str]) -> str:
    return ", ".join(f'"{column}"' for column in columns)


INTENTS = Table("intents", OrderIntent, ("intent_id",), "created_ns, intent_id")
ORDER_STATES = Table("order_states", OrderState, ("client_order_id",), "intent_id, attempt")
ORDER_GROUPS = Table("order_groups", OrderGroup, ("group_id",), "group_id")
MARKETS = Table("markets", MarketRow, ("symbol",), "symbol")
# Rows that are added and stay as they are, in the order in which they came.
FILLS = Table("fills", Fill, ("symbol", "trade_id"), "position")
CORRECTIONS = Table("corrections", Correction, ("symbol", "cause", "cause_id"), "number")
JOURNAL = Table("journal", JournalEntry, ("number",), "number")
