"""Structs as rows: the columns of each table, and the way there and back.

Column names are field names; an order's terms lie flat in the row that holds them.  Decimals become
canonical text, enums their values, metadata JSON.  `schema.sql` has the types and the rules.
Knows SQL text, but no database.
"""

from collections.abc import Iterable, Sequence
from decimal import Decimal
from typing import Any, Generic, TypeVar

import msgspec

from quantcli.errors import StoreError
from quantcli.model.instrument import canonical
from quantcli.model.order import Fill, OrderIntent, OrderState, StandardOrder

T = TypeVar("T", bound=msgspec.Struct)
Cell = str | int | bytes | None


class Table(Generic[T]):
    """One table: its struct, the columns that identify a row, the order of listings.

    `upsert` inserts or replaces, `insert_once` leaves a row of the same key alone; both take what `encode`
    gives.
    """

    def __init__(self, name: str, struct: type[T], key: tuple[str, ...], order_by: str) -> None:
        self.name = name
        self._struct = struct
        self._order_by = order_by
        fields = _flat_fields(struct)
        self._columns = tuple(fields)
        self._bools = [name for name, kind in fields.items() if kind is bool]
        columns, target = ", ".join(fields), ", ".join(key)
        places = ", ".join("?" * len(fields))
        changes = ", ".join(f"{column} = excluded.{column}" for column in fields if column not in key)
        insert = f"INSERT INTO {name} ({columns}) VALUES ({places}) ON CONFLICT ({target})"
        self.upsert = f"{insert} DO UPDATE SET {changes}"
        self.insert_once = f"{insert} DO NOTHING"
        self.by_key = f"SELECT {columns} FROM {name} WHERE " + " AND ".join(f"{c} = ?" for c in key)

    def select(self, where: str = "", source: str = "", order_by: str = "") -> str:
        """A query for whole rows, in the table's order unless told; `source` is a view of the table."""
        condition = f" WHERE {where}" if where else ""
        columns = ", ".join(self._columns)
        return f"SELECT {columns} FROM {source or self.name}{condition} ORDER BY {order_by or self._order_by}"

    def encode(self, row: T) -> tuple[Cell, ...]:
        """The cells of a row, in the order of the columns."""
        cells: dict[str, Any] = msgspec.to_builtins(row, builtin_types=(Decimal,))
        cells.update(cells.pop("order", ()))
        return tuple(_cell(cells[column]) for column in self._columns)

    def decode(self, rows: Iterable[Sequence[Any]]) -> list[T]:
        """Structs of rows selected by `select` or `by_key`; raises `StoreError` for a row that is none."""
        try:
            return [msgspec.convert(self._fields(row), self._struct) for row in rows]
        except msgspec.MsgspecError as error:
            raise StoreError(
                f"the state database holds a row in {self.name} that cannot be read",
                why=str(error),
                todo="it was changed by something else; restore a copy of the file",
            ) from error

    def _fields(self, row: Sequence[Any]) -> dict[str, Any]:
        cells = dict(zip(self._columns, row, strict=True))
        for name in self._bools:
            cells[name] = bool(cells[name])
        if "metadata" in cells:
            cells["metadata"] = msgspec.json.decode(cells["metadata"])
        # The struct takes its own fields from the cells, the order within it its own: neither minds the rest.
        return {**cells, "order": cells}


def _flat_fields(struct: type[msgspec.Struct]) -> dict[str, Any]:
    """Names and types of a struct's fields, those of an order within it in its place."""
    flat: dict[str, Any] = {}
    for field in msgspec.structs.fields(struct):
        if field.type is StandardOrder:
            flat |= _flat_fields(StandardOrder)
        else:
            flat[field.name] = field.type
    return flat


def _cell(value: Any) -> Cell:
    if isinstance(value, Decimal):
        return canonical(value)
    if isinstance(value, dict):
        return msgspec.json.encode(value, order="sorted").decode()
    cell: Cell = value
    return cell


INTENTS = Table("intents", OrderIntent, ("intent_id",), "created_ns, intent_id")
ORDER_STATES = Table("order_states", OrderState, ("client_order_id",), "intent_id, attempt")
FILLS = Table("fills", Fill, ("symbol", "trade_id"), "position")
