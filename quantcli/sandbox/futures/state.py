"""What a futures account keeps across restarts: as on spot, with conditional orders, positions and leverage.

Positions are not written: they follow from the fills.  Knows nothing of matching.
"""

from pathlib import Path
from typing import Any

from quantcli.sandbox.futures.exchange import FuturesExchange
from quantcli.sandbox.futures.records import AlgoOrder, FuturesOrder
from quantcli.sandbox.state import Line, StateFile


class FuturesLine(Line, frozen=True, kw_only=True):
    """One change and the futures account after it."""

    orders: tuple[FuturesOrder, ...]
    algos: tuple[AlgoOrder, ...]
    leverage: dict[str, int]


class FuturesStateFile(StateFile):
    """The file of a futures account; another account may have its lines there too."""

    account = "futures"
    line_type = FuturesLine

    def __init__(self, path: Path, exchange: FuturesExchange) -> None:
        super().__init__(path, exchange)
        self._futures = exchange

    def _fields(self) -> dict[str, Any]:
        algos, account = self._futures.algos, self._futures.engine.account
        return super()._fields() | {
            "algos": tuple(algos.orders[number] for number in algos.changed),
            "leverage": {name: account.contract(name).leverage for name in self._futures.instruments},
        }

    def _write(self, line: Line) -> None:
        assert isinstance(line, FuturesLine)
        super()._write(line)
        for algo in line.algos:
            self._futures.algos.write(algo)

    def _prepare(self, last: Line) -> None:
        assert isinstance(last, FuturesLine)
        account, books = self._futures.engine.account, self._futures.engine.books
        for name, leverage in last.leverage.items():
            account.set_leverage(name, leverage)
        books.replay(self._futures.ledger.fills, self._futures.ledger.transfers, last.totals)
        for name in self._futures.instruments:
            if (booking := books.position(name)) is not None:
                account.reopen(name, booking.qty, booking.cost)

    def _mark(self) -> None:
        super()._mark()
        self._futures.algos.changed.clear()
