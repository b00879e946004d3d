"""What every connector must do, whichever exchange it speaks to: one suite for all of them.

A test module of an exchange subclasses `ConnectorCompliance`, says how to open a `Ground`, and inherits the
tests.  The ground is an exchange under our control: a stand-in, a sandbox or a testnet account that nobody
else uses.  Prices of the orders placed here are far from the market, so that nothing trades unless asked.
"""

import asyncio
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from decimal import Decimal
from typing import Any

import msgspec
import pytest
from msgspec.structs import replace

from quantcli.clock import NS_PER_S, WallClock
from quantcli.errors import ConfigError, ExchangeAPIError, ExchangeError, NotFoundError, ValidationError
from quantcli.model.instrument import Side, round_price, round_qty
from quantcli.model.message import (
    Absence,
    Amend,
    Cancel,
    Lookup,
    Observation,
    Place,
    Refusal,
    Statement,
    Survey,
)
from quantcli.model.order import OrderStatus, OrderType, StandardOrder
from quantcli.model.venue import AmendRule
from quantcli.venues.connector import Connector
from quantcli.venues.gateway import VenueGateway
from quantcli.venues.inbox import Inbox


class Ground(msgspec.Struct):
    """An exchange to be tested on.

    `placements` counts the placements that reached it, however they ended.  `trade` fills so much of an
    order that is open, by its exchange order id; `None` where that cannot be arranged.
    """

    connector: Connector
    symbol: str
    placements: Callable[[], int]
    trade: Callable[[str, Decimal], Any] | None = None
    id_of: Callable[[int], str] = lambda number: f"{number:032x}"


class ConnectorCompliance:
    """Subclass it, and give `open_ground`."""

    def open_ground(self) -> AbstractAsyncContextManager[Ground]:
        """An exchange, opened; closed again afterwards."""
        raise NotImplementedError

    @pytest.fixture
    async def ground(self):
        async with self.open_ground() as ground:
            await ground.connector.get_exchange_info([ground.symbol])
            yield ground

    def resting(self, ground: Ground, number: int, **terms: Any) -> Place:
        """A buy order at half the best bid, for about twice the least amount."""
        rules = ground.connector.instruments[ground.symbol]
        price = round_price(self.bid / 2, Side.BUY, rules.price_tick)
        least = max(rules.min_qty or rules.lot, (rules.min_notional or Decimal(0)) / price)
        quantity = round_qty(least * 4, rules.lot)
        order = StandardOrder(ground.symbol, Side.BUY, OrderType.LIMIT, quantity, price)
        deadline_ns = WallClock().now_ns() + 5 * NS_PER_S
        return Place(ground.id_of(number), replace(order, **terms), deadline_ns)

    @pytest.fixture(autouse=True)
    async def _best_bid(self, ground):
        self.bid = (await ground.connector.get_orderbook(ground.symbol, 5)).best_bid

    # Public.

    async def test_it_answers_and_its_time_is_about_ours(self, ground):
        await ground.connector.ping()
        assert abs(await ground.connector.get_server_time() - WallClock().now_ns()) < 60 * NS_PER_S

    async def test_rules_are_exact_and_of_the_market_asked_for(self, ground):
        rules = ground.connector.instruments[ground.symbol]
        assert rules.symbol.name == ground.symbol
        assert rules.exchange == ground.connector.manifest.exchange
        assert rules.price_tick > 0
        assert rules.lot > 0
        assert rules.exchange_symbol

    async def test_a_market_that_is_not_there_is_not_found(self, ground):
        with pytest.raises(NotFoundError):
            await ground.connector.get_exchange_info(["NOSUCHCOIN/USDT"])

    async def test_a_book_is_not_crossed_and_its_best_levels_are_first(self, ground):
        book = await ground.connector.get_orderbook(ground.symbol, 5)
        bids, asks = book.depth(5)
        assert 0 < book.best_bid < book.best_ask
        assert (bids[0][0], asks[0][0]) == (book.best_bid, book.best_ask)

    async def test_trades_are_of_the_market_oldest_first(self, ground):
        for _ in range(50):  # until there has been one
            trades = await ground.connector.get_recent_trades(ground.symbol, 10)
            if trades:
                break
            await asyncio.sleep(0.1)
        assert trades
        assert all(trade.symbol == ground.symbol and trade.price > 0 and trade.size > 0 for trade in trades)
        assert [trade.exchange_ns for trade in trades] == sorted(trade.exchange_ns for trade in trades)

    # Private.

    async def test_balances_add_up(self, ground):
        balances = await ground.connector.get_account_balance()
        assert all(each.free + each.locked == each.total for each in balances.values())
        name, held = next(iter(balances.items()))
        assert await ground.connector.get_asset_balance(name) == held
        assert (await ground.connector.get_asset_balance("NOSUCHCOIN")).total == 0

    async def test_an_order_is_seen_from_its_placement_to_its_end(self, ground):
        connector, request = ground.connector, self.resting(ground, 1)
        placed = await connector.place_order(request)
        assert placed.client_order_id == request.client_order_id
        assert placed.exchange_order_id
        assert (placed.status, placed.filled) == (OrderStatus.NEW, 0)
        found = await connector.get_order(ground.symbol, request.client_order_id)
        assert found.exchange_order_id == placed.exchange_order_id
        (listed,) = await connector.get_open_orders(ground.symbol)
        assert (listed.client_order_id, listed.quantity, listed.price) == (
            request.client_order_id,
            request.order.quantity,
            request.order.price,
        )
        assert [o.client_order_id for o in await connector.get_open_orders()] == [request.client_order_id]
        (cancelled,) = await connector.cancel_order(ground.symbol, request.client_order_id)
        assert (cancelled.client_order_id, cancelled.status) == (
            request.client_order_id,
            OrderStatus.CANCELED,
        )
        assert await connector.get_open_orders(ground.symbol) == []
        found = await connector.get_order(ground.symbol, request.client_order_id)
        assert found.status is OrderStatus.CANCELED

    async def test_what_is_not_there_is_not_found_and_cannot_be_cancelled(self, ground):
        with pytest.raises(NotFoundError):
            await ground.connector.get_order(ground.symbol, ground.id_of(77))
        with pytest.raises(ExchangeAPIError):
            await ground.connector.cancel_order(ground.symbol, ground.id_of(77))

    async def test_every_open_order_can_be_cancelled_at_once(self, ground):
        for number in (1, 2):
            await ground.connector.place_order(self.resting(ground, number))
        ended = await ground.connector.cancel_all_orders(ground.symbol)
        assert {each.client_order_id for each in ended} == {ground.id_of(1), ground.id_of(2)}
        assert await ground.connector.get_open_orders(ground.symbol) == []
        assert await ground.connector.cancel_all_orders(ground.symbol) == []

    async def test_an_order_keeps_its_ids_when_it_is_amended(self, ground):
        if ground.connector.manifest.contract.amend is AmendRule.NONE:
            pytest.skip("this exchange amends nothing")
        request = self.resting(ground, 1)
        placed = await ground.connector.place_order(request)
        lot = ground.connector.instruments[ground.symbol].lot
        smaller = replace(request.order, quantity=request.order.quantity - lot)
        amended = await ground.connector.modify_order(
            Amend(request.client_order_id, smaller, 1, request.deadline_ns)
        )
        assert amended.client_order_id == request.client_order_id
        assert amended.exchange_order_id == placed.exchange_order_id
        (listed,) = await ground.connector.get_open_orders(ground.symbol)
        assert (listed.client_order_id, listed.quantity) == (request.client_order_id, smaller.quantity)

    async def test_fills_come_with_the_order_that_they_are_of(self, ground):
        if ground.trade is None:
            pytest.skip("nothing can be traded here")
        request = self.resting(ground, 1)
        placed = await ground.connector.place_order(request)
        lot = ground.connector.instruments[ground.symbol].lot
        ground.trade(placed.exchange_order_id, lot)
        found = await ground.connector.get_order(ground.symbol, request.client_order_id)
        assert (found.status, found.filled) == (OrderStatus.PARTIALLY_FILLED, lot)
        (fill,) = found.fills
        assert (fill.qty, fill.client_order_id, fill.symbol) == (lot, request.client_order_id, ground.symbol)

    async def test_an_order_that_the_table_does_not_have_never_leaves(self, ground):
        with pytest.raises(ValidationError):
            await ground.connector.place_order(
                self.resting(ground, 1, type=OrderType.MARKET)  # with a price
            )
        assert ground.placements() == 0

    async def test_a_placement_after_its_deadline_never_leaves(self, ground):
        late = replace(self.resting(ground, 1), deadline_ns=WallClock().now_ns() - 1)
        with pytest.raises(ExchangeError) as failure:
            await ground.connector.place_order(late)
        assert failure.value.sent is False
        assert ground.placements() == 0

    async def test_the_same_open_id_twice_is_one_order(self, ground):
        request = self.resting(ground, 1)
        first = await ground.connector.place_order(request)
        again = await self.reported(ground, request)
        if isinstance(again, Observation):  # an exchange that repeats the order instead
            assert again.exchange_order_id == first.exchange_order_id
        else:
            assert isinstance(again, Refusal)
            assert again.kind == "exists"
        assert len(await ground.connector.get_open_orders(ground.symbol)) == 1

    # By way of the gateway.

    async def reported(self, ground: Ground, request: Any) -> Any:
        """The one report on a request."""
        inbox = Inbox()
        gateway = VenueGateway(ground.connector, inbox)
        gateway.send(request)
        assert await inbox.wait(10)
        await gateway.close()
        assert len(inbox) == 1
        return inbox.take()

    async def test_the_gateway_tells_the_same_as_reports(self, ground):
        request, now_ns = self.resting(ground, 1), WallClock().now_ns()
        name = request.client_order_id
        assert isinstance(await self.reported(ground, Lookup(name, ground.symbol, now_ns)), Absence)
        unknown = await self.reported(ground, Cancel(name, ground.symbol, now_ns))
        assert (unknown.kind, unknown.asked_ns) == ("unknown_order", now_ns)
        assert (await self.reported(ground, request)).client_order_id == name
        assert isinstance(await self.reported(ground, Lookup(name, ground.symbol)), Observation)
        assert (await self.reported(ground, Cancel(name, ground.symbol))).status is OrderStatus.CANCELED

    async def test_a_statement_has_orders_and_position(self, ground):
        if not ground.connector.manifest.contract.statement:
            pytest.skip("this exchange states nothing")
        request, now_ns = self.resting(ground, 1), WallClock().now_ns()
        await ground.connector.place_order(request)
        stated = await self.reported(ground, Survey(ground.symbol, now_ns - NS_PER_S, now_ns))
        assert isinstance(stated, Statement)
        assert [order.client_order_id for order in stated.orders] == [request.client_order_id]
        base = ground.connector.instruments[ground.symbol].symbol.base
        assert stated.position == (await ground.connector.get_asset_balance(base)).total

    async def test_many_at_once_are_answered_each_by_its_own(self, ground):
        inbox = Inbox()
        gateway = VenueGateway(ground.connector, inbox)
        names = {ground.id_of(number) for number in range(1, 11)}
        for number in range(1, 11):
            gateway.send(self.resting(ground, number))
        seen = []
        for _ in range(10):
            assert await inbox.wait(10)
            seen.append(inbox.take())
        await gateway.close()
        assert {type(each) for each in seen} == {Observation}
        assert {each.client_order_id for each in seen} == names
        assert len({each.exchange_order_id for each in seen}) == 10


class PublicCompliance:
    """For an exchange without a dialect: the public half works, the private one says that it does not."""

    def open_ground(self) -> AbstractAsyncContextManager[Ground]:
        """An exchange, opened; closed again afterwards."""
        raise NotImplementedError

    @pytest.fixture
    async def ground(self):
        async with self.open_ground() as ground:
            await ground.connector.get_exchange_info([ground.symbol])
            yield ground

    async def test_there_is_nothing_private(self, ground):
        with pytest.raises(ConfigError):
            await ground.connector.get_account_balance()

    test_rules_are_exact_and_of_the_market_asked_for = (
        ConnectorCompliance.test_rules_are_exact_and_of_the_market_asked_for
    )
