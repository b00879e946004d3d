"""The peer's side of the simulation bench where only nautilus_trader 1.x installs; in its own environment.

    python nautilus_node_v1.py prepare DATA.npz CATALOG     write the events into its Parquet catalog, once
    python nautilus_node_v1.py run CATALOG STRATEGY         BacktestNode over it: empty, ema, touch

The instrument, venue and strategies of `nautilus_node.py`, in the names of 1.x.  Each version keeps its own
default of `trade_execution`: with those both send the same orders, with equal values they do not.
"""

import json
import sys
from decimal import Decimal
from pathlib import Path

from nautilus_trader.backtest.node import BacktestNode
from nautilus_trader.config import (
    BacktestDataConfig,
    BacktestEngineConfig,
    BacktestRunConfig,
    BacktestVenueConfig,
    LoggingConfig,
    StrategyConfig,
)
from nautilus_trader.model.currencies import BTC, USDT
from nautilus_trader.model.data import QuoteTick, TradeTick
from nautilus_trader.model.enums import AggressorSide, OrderSide
from nautilus_trader.model.identifiers import InstrumentId, Symbol, TradeId, Venue
from nautilus_trader.model.instruments import CurrencyPair
from nautilus_trader.model.objects import Price, Quantity
from nautilus_trader.persistence.catalog import ParquetDataCatalog
from nautilus_trader.trading.strategy import Strategy

VENUE = "BINANCE"
FAST, SLOW = 2 / 301, 2 / 1201
INSTRUMENT = InstrumentId(Symbol("BTCUSDT"), Venue(VENUE))


def instrument() -> CurrencyPair:
    """BTC/USDT; 1.x takes the fee rates from here, 2.x from the venue's fee model."""
    return CurrencyPair(
        instrument_id=INSTRUMENT,
        raw_symbol=Symbol("BTCUSDT"),
        base_currency=BTC,
        quote_currency=USDT,
        price_precision=2,
        size_precision=5,
        price_increment=Price(0.01, 2),
        size_increment=Quantity(0.00001, 5),
        maker_fee=Decimal("0.001"),
        taker_fee=Decimal("0.001"),
        ts_event=0,
        ts_init=0,
    )


def prepare(data: Path, catalog_path: Path) -> None:
    import numpy as np

    catalog_path.mkdir(parents=True, exist_ok=True)
    columns = np.load(data)
    catalog = ParquetDataCatalog(str(catalog_path))
    catalog.write_data([instrument()])
    sides = {1: AggressorSide.BUYER, 2: AggressorSide.SELLER}
    trades = [
        TradeTick(INSTRUMENT, Price(price, 2), Quantity(size, 5), sides[side], TradeId(str(number)), at, at)
        for number, (at, price, size, side) in enumerate(
            zip(*(columns[f"trade_{c}"].tolist() for c in ("ns", "price", "size", "side")), strict=True)
        )
    ]
    catalog.write_data(trades)
    quotes = [
        QuoteTick(
            INSTRUMENT, Price(bid, 2), Price(ask, 2), Quantity(bid_size, 5), Quantity(ask_size, 5), at, at
        )
        for at, bid, ask, bid_size, ask_size in zip(
            *(columns[f"quote_{c}"].tolist() for c in ("ns", "bid", "ask", "bid_size", "ask_size")),
            strict=True,
        )
    ]
    catalog.write_data(quotes)


class Empty(Strategy):
    def on_start(self):
        self.subscribe_trade_ticks(INSTRUMENT)

    def on_trade_tick(self, tick):
        pass


class Ema(Strategy):
    """Two exponential averages of the trade price; a market order at each crossing."""

    def __init__(self, config=None):
        super().__init__(config)
        self.fast = self.slow = 0.0
        self.is_long = None
        self.size = Quantity(0.01, 5)

    def on_start(self):
        self.subscribe_trade_ticks(INSTRUMENT)

    def on_trade_tick(self, tick):
        price = tick.price.as_double()
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
        super().__init__(config)
        self.size = Quantity(0.01, 5)
        self.order = None
        self.wanted = 0.0

    def on_start(self):
        self.subscribe_quote_ticks(INSTRUMENT)

    def on_quote_tick(self, tick):
        price = tick.bid_price.as_double() - 0.01
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
        BacktestDataConfig(str(catalog_path), kind.fully_qualified_name(), instrument_id=INSTRUMENT)
        for kind in (TradeTick, QuoteTick)
    ]
    venue = BacktestVenueConfig(
        VENUE,
        "NETTING",
        "CASH",
        ["100000000 USDT", "10 BTC"],
        book_type="L1_MBP",
    )
    config = BacktestRunConfig(
        [venue],
        data,
        engine=BacktestEngineConfig(logging=LoggingConfig(bypass_logging=True), run_analysis=False),
        raise_exception=True,
    )
    node = BacktestNode([config])
    node.build()
    settings = StrategyConfig(log_events=False, log_commands=False)
    node.get_engine(config.id).add_strategy(STRATEGIES[strategy](settings))
    result = node.run()[0]
    print(json.dumps({"events": result.iterations, "orders": result.total_orders}))


if __name__ == "__main__":
    if sys.argv[1] == "prepare":
        prepare(Path(sys.argv[2]), Path(sys.argv[3]))
    else:
        run(Path(sys.argv[2]), sys.argv[3])
