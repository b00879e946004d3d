"""Verbs, hooks, and what a strategy can look at."""

import os
import subprocess
import sys
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest

from quantcli import keep
from quantcli.errors import StrategyError
from quantcli.model.event import OrderEvent, OrderEventKind
from quantcli.model.instrument import Side, SymbolMetadata
from quantcli.model.market import Ticker
from quantcli.model.order import OrderIntent, OrderType, StandardOrder, TimeInForce
from quantcli.trading.market import Market
from quantcli.trading.strategy import Strategy
from quantcli.trading.wishes import CancelAll, CancelOrder, PlaceOrder, StartTimer, Ticket

Rules = Callable[..., SymbolMetadata]
S = 1_000_000_000


class Plain(Strategy):
    pass


@pytest.fixture
def bound(rules: Rules, view: Any) -> Plain:
    """A strategy on one spot market quoted 100.00 / 100.10."""
    view.show("BTC/USDT", 100.0, 100.1)
    strategy = Plain()
    strategy.bind({"BTC/USDT": Market(rules(), view)}, view)
    return strategy


@pytest.fixture
def double(rules: Rules, view: Any) -> Plain:
    """A strategy on two markets."""
    strategy = Plain()
    names = ("BTC/USDT", "ETH/USDT")
    strategy.bind({name: Market(rules(name), view) for name in names}, view)
    return strategy


def order_of(strategy: Strategy) -> StandardOrder:
    (command,) = strategy.outbox
    assert isinstance(command, PlaceOrder)
    return command.order


class TestVerbs:
    @pytest.mark.parametrize(
        ("terms", "kind", "tif"),
        [
            ({}, OrderType.MARKET, TimeInForce.GTC),
            ({"limit": 99}, OrderType.LIMIT, TimeInForce.GTC),
            ({"limit": 99, "post_only": True}, OrderType.LIMIT_MAKER, TimeInForce.GTC),
            ({"limit": 99, "tif": "ioc"}, OrderType.IMMEDIATE_OR_CANCEL, TimeInForce.IOC),
            ({"limit": 99, "tif": "FOK"}, OrderType.FILL_OR_KILL, TimeInForce.FOK),
            ({"limit": 99, "ttl": "3s"}, OrderType.LIMIT, TimeInForce.GTD),
            ({"limit": 99, "ttl": "3s", "post_only": True}, OrderType.LIMIT_MAKER, TimeInForce.GTD),
            ({"stop": 105}, OrderType.STOP_MARKET, TimeInForce.GTC),
            ({"stop": 105, "limit": 106}, OrderType.STOP_LIMIT, TimeInForce.GTC),
        ],
    )
    def test_the_arguments_say_which_order_it_is(
        self, bound: Plain, terms: dict[str, Any], kind: OrderType, tif: TimeInForce
    ) -> None:
        bound.buy(1, **terms)
        order = order_of(bound)
        assert (order.type, order.time_in_force) == (kind, tif)
        assert order.expire_ns == (bound.now + 3 * S if "ttl" in terms else None)

    def test_numbers_of_every_kind_are_rounded_to_the_passive_side(self, bound: Plain) -> None:
        bound.buy("0.0129", limit="99.999")
        bound.sell(Decimal("0.0129"), limit=100.001)
        buy, sell = (c.order for c in bound.outbox if isinstance(c, PlaceOrder))
        assert (buy.side, buy.quantity, buy.price) == (Side.BUY, Decimal("0.012"), Decimal("99.99"))
        assert (sell.side, sell.quantity, sell.price) == (Side.SELL, Decimal("0.012"), Decimal("100.01"))

    def test_a_stop_is_rounded_to_trigger_later(self, bound: Plain) -> None:
        bound.buy(1, stop=105.001)
        assert order_of(bound).stop_price == Decimal("105.01")

    @pytest.mark.parametrize(
        ("terms", "quantity"), [({}, "0.499"), ({"limit": 50.0}, "1"), ({"stop": 200.0}, "0.25")]
    )
    def test_a_worth_is_taken_at_the_price_it_would_trade_at(
        self, bound: Plain, terms: dict[str, Any], quantity: str
    ) -> None:
        bound.buy("50 USDT", **terms)
        assert order_of(bound).quantity == Decimal(quantity)

    def test_the_ticket_goes_with_the_order(self, bound: Plain) -> None:
        ticket = bound.sell(1, 101)
        (command,) = bound.outbox
        assert isinstance(command, PlaceOrder)
        assert command.ticket is ticket
        assert command.metadata == {"strategy": "Plain"}
        assert (ticket.symbol, ticket.is_open, ticket.intent_id) == ("BTC/USDT", True, "")

    @pytest.mark.parametrize(
        ("call", "says"),
        [
            (lambda s: s.buy(0), "a size of 0 buys or sells nothing"),
            (lambda s: s.buy(-1), "a size of -1"),
            (lambda s: s.buy(0.0001), "a size of 0.0001"),
            (lambda s: s.buy("5 EUR"), "'5 EUR' is not a size"),
            (lambda s: s.buy(float("nan")), "not a finite number"),
            (lambda s: s.buy(1, 0), "a limit of 0 is no price"),
            (lambda s: s.buy(1, stop=-5), "a stop of -5 is no price"),
            (lambda s: s.buy(1, post_only=True), "post_only needs a limit"),
            (lambda s: s.buy(1, ttl="3s"), "ttl needs a limit"),
            (lambda s: s.buy(1, 99, tif="GTX"), "there is no tif 'GTX'"),
            (lambda s: s.buy(1, 99, tif="IOC", post_only=True), "contradict each other"),
            (lambda s: s.buy(1, 99, ttl="soon"), "'soon' is not a duration"),
            (lambda s: s.buy(1, 99, ttl="0s"), "over at once"),
            (lambda s: s.buy(1, symbol="ETC/USDT"), "does not trade 'ETC/USDT'"),
            (lambda s: s.cancel(None), "None is not an order"),
            (lambda s: s.every("0s"), "'0s' is no interval"),
            (lambda s: keep.bid("b", 1, 99, tolerance="3 inches"), "'3 inches' is not a tolerance"),
            (lambda s: keep.bid("b", 1, 99, size_tolerance=-1), "-1 is not a fraction"),
            (lambda s: keep.bid("b", 1, 99, min_rest="later"), "'later' is not a duration"),
        ],
    )
    def test_an_impossible_call_names_its_line(self, bound: Plain, call: Any, says: str) -> None:
        line = call.__code__.co_firstlineno
        with pytest.raises(StrategyError, match=rf"test_strategy\.py:{line}: .*{says}"):
            call(bound)
        assert bound.outbox == []

    def test_cancel_passes_over_what_has_ended(self, bound: Plain) -> None:
        live, ended = Ticket("BTC/USDT"), Ticket("BTC/USDT")
        ended.is_open = False
        bound.cancel(live)
        bound.cancel(ended)
        bound.cancel_all()
        bound.cancel_all("BTC/USDT")
        assert bound.outbox == [CancelOrder(ticket=live), CancelAll(), CancelAll("BTC/USDT")]

    def test_timers(self, bound: Plain) -> None:
        bound.every("10s")
        bound.every("500 ms", name="fast")
        assert bound.outbox == [StartTimer("10s", 10 * S), StartTimer("fast", S // 2)]


class TestMarkets:
    def test_the_only_market_is_meant(self, bound: Plain) -> None:
        assert bound.market is bound.markets["BTC/USDT"]

    def test_the_market_of_the_event_is_meant(self, double: Plain) -> None:
        double.event = Ticker("ETH/USDT", 0, 5, 0, 1.0, 1.0, 2.0, 1.0, 0)
        assert double.market.symbol == "ETH/USDT"
        double.buy(1, 9)
        assert order_of(double).symbol == "ETH/USDT"

    def test_the_market_of_an_order_event_is_meant(self, double: Plain) -> None:
        order = StandardOrder("ETH/USDT", Side.BUY, OrderType.MARKET, Decimal(1))
        double.event = OrderEvent(OrderEventKind.ACCEPTED, 1, OrderIntent("i", order, 0))
        assert double.market.symbol == "ETH/USDT"

    def test_without_an_event_it_has_to_be_named(self, double: Plain) -> None:
        with pytest.raises(StrategyError, match=r"test_strategy\.py:\d+: it is not clear which market"):
            double.buy(1)
        double.buy(1, 9, symbol="BTC/USDT")
        assert order_of(double).symbol == "BTC/USDT"

    def test_now_is_the_newer_of_event_and_view(self, bound: Plain, view: Any) -> None:
        assert bound.now == view.now_ns
        bound.event = Ticker("BTC/USDT", 0, view.now_ns + 7, 0, 1.0, 1.0, 2.0, 1.0, 0)
        assert bound.now == view.now_ns + 7
        view.now_ns += 100
        assert bound.now == view.now_ns


class TestHooks:
    def test_only_those_the_strategy_defines(self) -> None:
        class Two(Strategy):
            def on_tick(self, tick: Ticker) -> None: ...

            async def on_stop(self) -> None: ...

        two = Two()
        assert two.hooks() == {"on_tick": two.on_tick, "on_stop": two.on_stop}
        assert Plain().hooks() == {}

    def test_desired_counts_as_one(self) -> None:
        class Wishful(Strategy):
            def desired(self, m: Market) -> Any:
                yield m.hold(0)

        assert list(Wishful().hooks()) == ["desired"]

    def test_a_misspelt_hook_is_refused(self) -> None:
        with pytest.raises(StrategyError, match=r"test_strategy\.py:\d+: on_ticks is not a hook") as caught:

            class Typo(Strategy):
                def on_ticks(self, tick: Ticker) -> None: ...

        assert caught.value.todo == "did you mean on_tick?"

    def test_an_asynchronous_desired_is_refused(self) -> None:
        with pytest.raises(StrategyError, match="desired cannot be async"):

            class Slow(Strategy):
                async def desired(self, m: Market) -> Any: ...  # type: ignore[override]

    def test_a_strategy_with_its_own_init_needs_not_call_ours(self) -> None:
        class Own(Strategy):
            def __init__(self) -> None:
                self.mine = 1
                self.every("1m")

        own = Own()
        assert (own.mine, own.outbox) == (1, [StartTimer("1m", 60 * S)])

    def test_two_strategies_share_nothing(self) -> None:
        one, other = Plain(), Plain()
        one.every("1s")
        one.outbox.append(CancelAll())
        assert other.outbox == []


class TestImports:
    def run(self, code: str) -> str:
        env = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
        script = f"import sys; before = set(sys.modules); {code}; print(*set(sys.modules) - before)"
        done = subprocess.run(
            [sys.executable, "-c", script], capture_output=True, text=True, env=env, check=True
        )
        return done.stdout

    def test_the_package_alone_loads_nothing(self) -> None:
        loaded = self.run("import quantcli").split()
        assert {m for m in loaded if m.startswith("quantcli")} == {"quantcli"}
        assert "msgspec" not in loaded

    def test_a_strategy_file_pays_for_nothing_heavy(self) -> None:
        loaded = self.run("from quantcli import Strategy, Param, keep, hold").split()
        roots = {m.partition(".")[0] for m in loaded}
        assert "quantcli" in roots
        assert not roots & {"numpy", "pyarrow", "ccxt", "textual", "talipp", "rich", "typer", "asyncio"}

    def test_every_public_name_is_there(self) -> None:
        import quantcli

        for name in quantcli.__all__:
            assert getattr(quantcli, name) is not None
        with pytest.raises(AttributeError, match="no attribute 'Stratgy'"):
            quantcli.Stratgy  # noqa: B018
