"""The peer's side of the simulation bench; runs in an environment of its own with nautilus_trader 2.x.

    python nautilus_node.py prepare DATA.npz CATALOG     write the events into its Parquet catalog, once
    python nautilus_node.py run CATALOG STRATEGY         BacktestNode over it: empty, ema, touch

Uses the package as its users do: a catalog, a `BacktestNode`, a `Strategy` in Python, logging off.
"""

import json
import sys
from decimal import Decimal
from pathlib import Path

from nautilus_trader.backtest import (
    BacktestDataConfig,
    BacktestEngineConfig,
    BacktestNode,
    BacktestRunConfig,
    BacktestVenueConfig,
)
from nautilus_trader.common import LoggerConfig
from nautilus_trader.execution import MakerTakerFeeModel
from nautilus_trader.model import (
    AggressorSide,
    Currency,
    CurrencyPair,
    InstrumentId,
    NautilusDataType,
    OrderSide,
    Price,
    Quantity,
    QuoteTick,
    Symbol,
    TradeId,
    TradeTick,
    Venue,
)
from nautilus_trader.persistence import ParquetDataCatalog
from nautilus_trader.trading import Strategy, StrategyConfig

VENUE = "BINANCE"
FAST, SLOW = 2 / 301, 2 / 1201
INSTRUMENT = InstrumentId(Symbol("BTCUSDT"), Venue(VENUE))


def instrument() -> CurrencyPair:
    return CurrencyPair(
        instrument_id=INSTRUMENT,
        raw_symbol=Symbol("BTCUSDT"),
        base_currency=Currency.from_str("BTC"),
        quote_currency=Currency.from_str("USDT"),
        price_precision=2,
        size_precision=5,
        price_increment=Price(0.01, 2),
        size_increment=Quantity(0.00001, 5),
        ts_event=0,
        ts_init=0,
    )


def prepare(data: Path, catalog_path: Path) -> None:
    import numpy as np

    catalog_path.mkdir(parents=True, exist_ok=True)
    columns = np.load(data)
    catalog = ParquetDataCatalog(str(catalog_path))
    catalog.write_instruments([instrument()])
    sides = {1: AggressorSide.BUY, 2: AggressorSide.SELL}
    trades = [
        TradeTick(INSTRUMENT, Price(price, 2), Quantity(size, 5), sides[side], TradeId(str(number)), at, at)
        for number, (at, price, size, side) in enumerate(
            zip(*(columns[f"trade_{c}"].tolist() for c in ("ns", "price", "size", "side")), strict=True)
        )
    ]
    catalog.write_trade_ticks(trades)
    quotes = [
        QuoteTick(
            INSTRUMENT, Price(bid, 2), Price(ask, 2), Quantity(bid_size, 5), Quantity(ask_size, 5), at, at
        )
        for at, bid, ask, bid_size, ask_size in zip(
            *(columns[f"quote_{c}"].tolist() for c in ("ns", "bid", "ask", "bid_size", "ask_size")),
            strict=True,
        )
    ]
    catalog.write_quote_ticks(quotes)


class Empty(Strategy):
    def on_start(self):
        self.subscribe_trades(INSTRUMENT)

    def on_trade(self, trade):
        pass


class Ema(Strategy):
    """Two exponential averages of the trade price; a market order at each crossing."""

    def __init__(self, config=None):
        self.fast = self.slow = 0.0
        self.is_long = None
        self.size = Quantity(0.01, 5)

    def on_start(self):
        self.subscribe_trades(INSTRUMENT)

    def on_trade(self, trade):
        price = trade.price.as_double()
        if not self.fast:
            self.fast = self.slow = price
        self.fast += (price - self.fast) * FAST
        self.slow += (price - self.slow) * SLOW
        if (self.fast > self.slow) is not self.is_long:
            self._turn()

    def _turn(self):
        was_long, self.is_long = self.is_long, self.fast > self.slow
        if self.is_long:
            self._send(OrderSide.BUY)
        elif was_long:
            self._send(OrderSide.SELL)

    def _send(self, side):
        self.submit_order(self.order_factory.market(INSTRUMENT, side, self.size))


class Touch(Strategy):
    """One post-only buy a tick behind the bid, moved when the bid is more than two ticks away."""

    def __init__(self, config=None):
        self.size = Quantity(0.01, 5)
        self.order = None
        self.wanted = 0.0

    def on_start(self):
        self.subscribe_quotes(INSTRUMENT)

    def on_quote(self, quote):
        price = quote.bid_price.as_double() - 0.01
        if self.order is not None and abs(price - self.wanted) <= 0.02:
            return
        self.cancel_all_orders(INSTRUMENT)
        self.wanted = price
        self.order = self.order_factory.limit(
            INSTRUMENT, OrderSide.BUY, self.size, Price(price, 2), post_only=True
        )
        self.submit_order(self.order)

    def on_order_filled(self, event):
        self.order = None


STRATEGIES = {"empty": Empty, "ema": Ema, "touch": Touch}


def run(catalog_path: Path, strategy: str) -> None:
    data = [
        BacktestDataConfig(kind, str(catalog_path), instrument_id=INSTRUMENT)
        for kind in (NautilusDataType.TradeTick, NautilusDataType.QuoteTick)
    ]
    venue = BacktestVenueConfig(
        VENUE,
        "NETTING",
        "CASH",
        ["100000000 USDT", "10 BTC"],
        book_type="L1_MBP",
        fee_model=MakerTakerFeeModel(Decimal("0.001"), Decimal("0.001")),
    )
    config = BacktestRunConfig(
        [venue],
        data,
        engine=BacktestEngineConfig(logging=LoggerConfig(bypass_logging=True), run_analysis=False),
        id="bench",
        raise_exception=True,
    )
    node = BacktestNode([config])
    node.build()
    node.add_strategy("bench", STRATEGIES[strategy](StrategyConfig(log_events=False, log_commands=False)))
    result = node.run()[0]
    print(json.dumps({"events": result.iterations, "orders": result.total_orders}))


if __name__ == "__main__":
    if sys.argv[1] == "prepare":
        prepare(Path(sys.argv[2]), Path(sys.argv[3]))
    else:
        run(Path(sys.argv[2]), sys.argv[3])
