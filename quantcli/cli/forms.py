"""What was found, line by line, for programs: `jsonl` (an item a line), `csv` (with a header), `name` (ids).

Takes the plain values that JSON is made of.  What is not a list counts as a list of one.
"""

import csv
import io
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import msgspec

from quantcli.cli.output import Output, Shape, one_line
from quantcli.errors import UsageError

_OF_THE_WHOLE = ("api", "kind", "as_of", "stale")


def lines(found: Mapping[str, Any], output: Output, shape: Shape) -> Iterator[str]:
    """The lines of one document."""
    items = _items(found)
    match output:
        case Output.JSONL:
            return (msgspec.json.encode(item).decode() for item in items)
        case Output.CSV:
            return _csv(items, shape)
        case _:
            return iter([_name(item, shape) for item in items])


def _items(found: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    if isinstance(found.get("items"), list):
        return list(found["items"])
    return [{key: value for key, value in found.items() if key not in _OF_THE_WHOLE}]


def _csv(items: Sequence[Mapping[str, Any]], shape: Shape) -> Iterator[str]:
    """Fields by name; what has parts of its own is JSON in its cell."""
    fields = dict.fromkeys(shape.item.__struct_fields__ if shape.item is not None else ())
    fields |= dict.fromkeys(key for item in items for key in item)
    yield _row(fields)
    for item in items:
        yield _row(_cell(item.get(field)) for field in fields)


def _row(cells: Any) -> str:
    out = io.StringIO()
    csv.writer(out, lineterminator="").writerow(cells)
    return out.getvalue()


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool | dict | list):
        return msgspec.json.encode(value).decode()
    return one_line(str(value))


def _name(item: Mapping[str, Any], shape: Shape) -> str:
    for field in shape.ids:
        if item.get(field) not in (None, ""):
            return one_line(str(item[field]))
    raise UsageError("these have no names", why="-o name prints what the items of a list are called")
