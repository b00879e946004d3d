"""The public face for strategy authors: everything a strategy file imports comes from here.

    from quantcli import Param, Strategy, keep

Each name is loaded when it is first asked for, so that importing the package costs nothing.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from quantcli.errors import StrategyError as StrategyError
    from quantcli.model.event import OrderEvent as OrderEvent
    from quantcli.model.instrument import Side as Side
    from quantcli.model.market import AggTrade as AggTrade
    from quantcli.model.market import Bar as Bar
    from quantcli.model.market import OrderBook as OrderBook
    from quantcli.model.market import Ticker as Ticker
    from quantcli.model.market import Trade as Trade
    from quantcli.model.order import Fill as Fill
    from quantcli.trading import ta as ta
    from quantcli.trading.market import Market as Market
    from quantcli.trading.params import Param as Param
    from quantcli.trading.strategy import Strategy as Strategy
    from quantcli.trading.wishes import Ticket as Ticket
    from quantcli.trading.wishes import Wish as Wish
    from quantcli.trading.wishes import bracket as bracket
    from quantcli.trading.wishes import hold as hold
    from quantcli.trading.wishes import keep as keep

_HOME = {
    "AggTrade": "quantcli.model.market",
    "Bar": "quantcli.model.market",
    "Fill": "quantcli.model.order",
    "Market": "quantcli.trading.market",
    "OrderBook": "quantcli.model.market",
    "OrderEvent": "quantcli.model.event",
    "Param": "quantcli.trading.params",
    "Side": "quantcli.model.instrument",
    "Strategy": "quantcli.trading.strategy",
    "StrategyError": "quantcli.errors",
    "Ticker": "quantcli.model.market",
    "Ticket": "quantcli.trading.wishes",
    "Trade": "quantcli.model.market",
    "Wish": "quantcli.trading.wishes",
    "bracket": "quantcli.trading.wishes",
    "hold": "quantcli.trading.wishes",
    "keep": "quantcli.trading.wishes",
    "ta": "quantcli.trading.ta",
}

__all__ = list(_HOME)


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'quantcli' has no attribute {name!r}", name=name)
    module = import_module(_HOME[name])
    value = module if name == "ta" else getattr(module, name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return [*globals(), *_HOME]
