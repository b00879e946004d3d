"""The folder a run leaves behind: report, fills, orders and equity in plain files, and what it was made of.

    <run_id>/report.json  fills.parquet  orders.parquet  equity.parquet  config.toml  <strategy>.py

The same run gives the same bytes (in `report.json`, all but `wall_s` and `events_per_s`).  Money is stored as
Parquet DECIMAL, so that DuckDB, Polars and pandas show true numbers; times are UTC nanoseconds.
Knows nothing of how the figures came about.
"""

import os
import shutil
from collections.abc import Callable, Iterable, Sequence
from decimal import Context, Decimal
from pathlib import Path
from typing import Any

import msgspec

from quantcli.errors import RecordingError
from quantcli.report.run import Run
from quantcli.report.summary import SimulationReport, curve, to_json

_DIGITS = 38  # of a DECIMAL that every reader of Parquet knows
_EXACT = Context(prec=100)


def write_run(
    root: Path, run: Run, report: SimulationReport, config_toml: str, strategy_file: Path
) -> dict[str, str]:
    """Write `root/<run_id>/` and return the paths of its files by what they are.

    The folder appears whole or not at all; one of the same run is replaced.  The paths inside `report.json`
    are relative to its folder.  Raises `RecordingError` if the files cannot be written.
    """
    names = {
        "report": "report.json",
        "fills": "fills.parquet",
        "orders": "orders.parquet",
        "equity": "equity.parquet",
        "config": "config.toml",
        "strategy": strategy_file.name,
    }
    final = root / report.run_id
    draft = root / f".{report.run_id}.{os.getpid()}"
    try:
        draft.mkdir(parents=True)
        inside = msgspec.structs.replace(report, artifacts=names)
        (draft / names["report"]).write_bytes(to_json(inside))
        (draft / names["config"]).write_text(config_toml, encoding="utf-8")
        shutil.copyfile(strategy_file, draft / names["strategy"])
        _write_fills(draft / names["fills"], run)
        _write_orders(draft / names["orders"], run)
        _write_equity(draft / names["equity"], run)
        _put_in_place(draft, final)
    except OSError as error:
        raise RecordingError(
            f"the run could not be written to {final}",
            why=str(error),
            todo="make the folder writable, or choose another",
        ) from error
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    return {what: str(final / name) for what, name in names.items()}


def _put_in_place(draft: Path, final: Path) -> None:
    """A folder cannot be renamed over a full one, so the old one steps aside first: a reader finds the old
    one, for an instant none, or the new one, but never a mixture."""
    aside = draft.with_name(draft.name + ".old")
    if final.exists():
        final.rename(aside)
    draft.rename(final)
    shutil.rmtree(aside, ignore_errors=True)


def _write_fills(path: Path, run: Run) -> None:
    fills = run.fills
    columns = {
        "exchange_ns": _ints(f.exchange_ns for f in fills),
        "symbol": _texts(f.symbol for f in fills),
        "trade_id": _texts(f.trade_id for f in fills),
        "side": _texts(f.side.name for f in fills),
        "qty": _decimals([f.qty for f in fills]),
        "price": _decimals([f.price for f in fills]),
        "fee": _decimals([f.fee for f in fills]),
        "fee_asset": _texts(f.fee_asset for f in fills),
        "is_maker": _array((f.is_maker for f in fills), "bool_"),
        "client_order_id": _texts(f.client_order_id for f in fills),
        "exchange_order_id": _texts(f.exchange_order_id for f in fills),
        "intent_id": _texts(f.intent_id for f in fills),
    }
    _write_table(path, columns)


def _write_orders(path: Path, run: Run) -> None:
    rows = run.order_rows
    columns = {
        "intent_id": _texts(r.intent_id for r in rows),
        "client_order_id": _texts(r.client_order_id for r in rows),
        "slot": _texts(r.slot for r in rows),
        "symbol": _texts(r.symbol for r in rows),
        "side": _texts(r.side.name for r in rows),
        "type": _texts(r.type.name for r in rows),
        "qty": _decimals([r.qty for r in rows]),
        "price": _decimals([r.price for r in rows]),
        "placed_ns": _ints(r.placed_ns for r in rows),
        "acked_ns": _ints(r.acked_ns for r in rows),
        "cancel_ns": _ints(r.cancel_ns for r in rows),
        "ended_ns": _ints(r.ended_ns for r in rows),
        "status": _texts(r.status.name for r in rows),
        "filled": _decimals([r.filled for r in rows]),
        "reason": _texts(r.reason for r in rows),
    }
    _write_table(path, columns)


def _write_equity(path: Path, run: Run) -> None:
    """The whole curve, its exact ends included; samples, and hence floats."""
    times_ns, equity = curve(run)
    exposure = dict(zip(run.sample_ns, run.exposure, strict=True))
    columns = {
        "at_ns": _ints(times_ns.tolist()),
        "equity": _array(equity.tolist(), "float64"),
        "exposure": _array((exposure.get(at_ns) for at_ns in times_ns.tolist()), "float64"),
    }
    _write_table(path, columns)


def _write_table(path: Path, columns: dict[str, Any]) -> None:
    import pyarrow as pa  # noqa: PLC0415  (only a run that is kept pays for it)
    import pyarrow.parquet as pq  # noqa: PLC0415

    pq.write_table(pa.table(columns), path, compression="zstd")


def _array(values: Iterable[Any], kind: str) -> Any:
    import pyarrow as pa  # noqa: PLC0415

    make: Callable[[], Any] = getattr(pa, kind)
    return pa.array(values, make())


def _ints(values: Iterable[int | None]) -> Any:
    return _array(values, "int64")


def _texts(values: Iterable[str]) -> Any:
    return _array(values, "string")


def _decimals(values: Sequence[Decimal | None]) -> Any:
    """A column as narrow in decimals as its values allow: readers multiply such columns without overflow.

    Values that need more than 38 digits together keep their whole part and lose decimals beyond it.
    """
    import pyarrow as pa  # noqa: PLC0415

    known = [value for value in values if value]
    whole = max((value.adjusted() + 1 for value in known), default=0)
    scale = min(max((_decimals_of(value) for value in known), default=0), _DIGITS - max(whole, 1))
    unit = Decimal(1).scaleb(-scale)
    exact = [None if value is None else value.quantize(unit, context=_EXACT) for value in values]
    return pa.array(exact, pa.decimal128(_DIGITS, scale))


def _decimals_of(value: Decimal) -> int:
    exponent = value.normalize(_EXACT).as_tuple().exponent
    return max(0, -exponent) if isinstance(exponent, int) else 0
