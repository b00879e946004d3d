"""ccxt's own exchange tests, as its wheel ships them, run against the sandbox.

Every file of `ccxt.test.exchange.async` is in one of the tables below: it passes, it cannot pass on spot
Binance (and fails as said), or it is not about spot.  A new release with new tests is noticed.  The arguments
are those of ccxt's own runner, `ccxt/test/tests_async.py`, which refuses to run an installed ccxt itself.
"""

import asyncio
import importlib
import importlib.util
import math
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import ccxt
import ccxt.pro
import pytest
import pytest_asyncio

from tests.clients.pointing import ccxt_settings, soon
from tests.loopback import Sandbox

MARKET, OTHER, CODE = "BTC/USDT", "ETH/USDT", "BTC"
# Binance's book says no time, neither in an answer nor in the snapshot that a stream begins with.
TIMELESS = {"timestamp": True, "datetime": True}

# Name: arguments, properties not to be checked.
PASSES: dict[str, tuple[list[Any], dict[str, Any]]] = {
    "after_construct": ([], {}),
    "features": ([], {}),
    "fetch_balance": ([], {}),
    "fetch_closed_orders": ([MARKET], {}),
    "fetch_currencies": ([], {}),
    "fetch_l2_order_book": ([MARKET], TIMELESS),
    "fetch_last_prices": ([MARKET], {}),
    "fetch_my_trades": ([MARKET], {}),
    "fetch_ohlcv": ([MARKET], {}),
    "fetch_open_orders": ([MARKET], {}),
    "fetch_order_book": ([MARKET], TIMELESS),
    "fetch_orders": ([MARKET], {}),
    "fetch_status": ([], {}),
    "fetch_ticker": ([MARKET], {}),
    "fetch_tickers": ([MARKET], {}),
    "fetch_trades": ([MARKET], {}),
    "fetch_trading_fee": ([MARKET], {}),
    "fetch_trading_fees": ([], {}),
    "fetch_transaction_fees": ([], {}),
    "load_markets": ([], {}),
    "sign_in": ([], {}),
}
# Name: arguments, how it fails, why.
CANNOT_PASS: dict[str, tuple[list[Any], type[BaseException], str]] = {
    "fetch_accounts": ([], ccxt.NotSupported, "ccxt does not have it for Binance"),
    "fetch_order_books": ([], ccxt.NotSupported, "ccxt does not have it for Binance"),
    "fetch_deposit_withdrawals": ([CODE], ccxt.NotSupported, "ccxt does not have it for Binance"),
    "fetch_ledger": ([CODE], ccxt.NotSupported, "ccxt has it for futures only"),
    "fetch_ledger_entry": ([CODE], ccxt.NotSupported, "ccxt has it for futures only"),
    "fetch_margin_mode": ([MARKET], ccxt.BadRequest, "ccxt has it for futures only"),
    "fetch_margin_modes": ([MARKET], ccxt.BadRequest, "ccxt has it for futures only"),
    "fetch_markets": ([], AssertionError, "it wants a table where ccxt gives a list"),
    "fetch_deposits": ([CODE], ccxt.ExchangeNotAvailable, "there is no wallet"),
    "fetch_withdrawals": ([CODE], ccxt.ExchangeNotAvailable, "there is no wallet"),
    "fetch_transfers": ([CODE], ccxt.ExchangeNotAvailable, "there is no wallet"),
    "fetch_borrow_interest": ([CODE, MARKET], ccxt.ExchangeNotAvailable, "there is no margin account"),
}
# Of futures, except the last, which asks a proxy in the internet.
NOT_SPOT = {
    "fetch_funding_rate_history",
    "fetch_leverage_tiers",
    "fetch_liquidations",
    "fetch_market_leverage_tiers",
    "fetch_my_liquidations",
    "fetch_open_interest_history",
    "fetch_positions",
    "proxies",
}
# Runs in its synchronous form, mended (`test_create_order`).
MENDED = {"create_order"}

# Name: arguments, properties not to be checked.
WATCHES: dict[str, tuple[list[Any], dict[str, Any]]] = {
    "watch_balance": ([CODE], {}),
    "watch_bids_asks": ([MARKET], {}),
    "watch_my_trades": ([MARKET], {}),
    "watch_ohlcv": ([MARKET], {}),
    "watch_ohlcv_for_symbols": ([MARKET], {}),
    "watch_order_book": ([MARKET], TIMELESS),
    "watch_order_book_for_symbols": ([[MARKET, OTHER]], TIMELESS),
    "watch_orders": ([MARKET], {}),
    "watch_ticker": ([MARKET], {}),
    "watch_tickers": ([MARKET], {}),
    "watch_trades": ([MARKET], {}),
    "watch_trades_for_symbols": ([[MARKET, OTHER]], {}),
}
NOT_SPOT_WATCHES = {
    "un_watch_positions",
    "watch_liquidations",
    "watch_liquidations_for_symbols",
    "watch_position",
    "watch_positions",
}

# The sandbox has spot markets only; ccxt is told so.
SPOT_ONLY = {"has": {"swap": False, "future": False, "option": False}}


@pytest.fixture(scope="module")
def exchange() -> Iterator[Sandbox]:
    """One of their own: they judge every order that there ever was."""
    with Sandbox("--seed", "9") as sandbox:
        yield sandbox


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def client(exchange: Sandbox) -> AsyncIterator[Any]:
    """Its account has orders of every kind, and trades."""
    one = ccxt.pro.binance(ccxt_settings(exchange, **SPOT_ONLY))
    await one.load_markets()
    await one.create_order(MARKET, "limit", "buy", 0.01, 50_000)
    await one.create_order(MARKET, "market", "buy", 0.01)
    await one.create_order(MARKET, "market", "sell", 0.005)
    cancelled = await one.create_order(MARKET, "limit", "sell", 0.01, 70_000)
    await one.cancel_order(cancelled["id"], MARKET)
    await soon(one.watch_trades(MARKET))
    yield one
    await one.close()


def own_test(package: str, name: str) -> Callable[..., Any]:
    module = importlib.import_module(f"{package}.test_{name}")
    found: Callable[..., Any] = getattr(module, f"test_{name}")
    return found


def files_of(package: str) -> set[str]:
    (folder,) = importlib.import_module(package).__path__
    return {path.stem.removeprefix("test_") for path in Path(folder).glob("test_*.py")}


def test_every_test_that_ccxt_ships_is_accounted_for():
    assert files_of("ccxt.test.exchange.async") == PASSES.keys() | CANNOT_PASS.keys() | NOT_SPOT | MENDED
    assert files_of("ccxt.pro.test.Exchange") == WATCHES.keys() | NOT_SPOT_WATCHES


def test_the_page_names_those_that_do_not_simply_pass():
    page = (Path(__file__).parents[2] / "docs" / "sandbox.md").read_text()
    assert [name for name in CANNOT_PASS.keys() | NOT_SPOT | MENDED if f"`{name}`" not in page] == []
    assert f"{len(PASSES)} pass as they are, and all {len(WATCHES)} of its websocket tests" in page


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("name", PASSES)
async def test_it_passes(client, name):
    args, skipped = PASSES[name]
    assert await soon(own_test("ccxt.test.exchange.async", name)(client, skipped, *args)) is not False


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("name", CANNOT_PASS)
async def test_it_fails_as_said(client, name):
    args, error, _ = CANNOT_PASS[name]
    with pytest.raises(error):
        await soon(own_test("ccxt.test.exchange.async", name)(client, {}, *args))


class ByName(ccxt.binance):
    """The test takes methods by name, as other languages do."""

    def __getitem__(self, name: str) -> Any:
        return getattr(self, name)


def mended_create_order() -> Callable[..., Any]:
    """ccxt's test of orders: its Python text joins texts with numbers, uses names that it lacks,
    and rounds in a way that ccxt has in other languages only."""
    spec = importlib.util.find_spec("ccxt.test.exchange.sync.test_create_order")
    assert spec is not None
    assert spec.origin is not None
    text = Path(spec.origin).read_text()
    for broken, whole in (
        ("+ initial_quote_balance +", "+ str(initial_quote_balance) +"),
        ("+ amount +", "+ str(amount) +"),
        ("+ price +", "+ str(price) +"),
        ("decimal_to_precision(final_amount, 2,", "decimal_to_precision(final_amount, 1,"),
    ):
        assert text.count(broken) == 1
        text = text.replace(broken, whole)
    names: dict[str, Any] = {"__file__": spec.origin, "Error": AssertionError, "time": time, "math": math}
    exec(compile(text, spec.origin, "exec"), names)
    found: Callable[..., Any] = names["test_create_order"]
    return found


def test_create_order(exchange):
    client = ByName(ccxt_settings(exchange, **SPOT_ONLY))
    client.load_markets()
    before = len(exchange.orders())
    assert mended_create_order()(client, {}, MARKET) is True
    made = [(order["type"], order["side"], order["status"]) for order in exchange.orders()[before:]]
    assert made == [
        ("LIMIT", "BUY", "CANCELED"),
        ("LIMIT", "BUY", "FILLED"),
        ("MARKET", "SELL", "FILLED"),
    ]
    client.close()


class EnoughError(Exception):
    """Has been judged often enough."""


def at_most(times: int, watch: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
    """A watch method that ends its test after so many results; by itself each goes on for 15 seconds."""
    left = times

    async def watched(*args: Any) -> Any:
        nonlocal left
        if left == 0:
            raise EnoughError
        told = await watch(*args)
        left -= 1
        return told

    return watched


async def outcome(exchange: Sandbox, name: str) -> BaseException | None:
    """How one of ccxt.pro's tests ends, with a client of its own."""
    args, skipped = WATCHES[name]
    client = ccxt.pro.binance(ccxt_settings(exchange, **SPOT_ONLY))
    try:
        await client.load_markets()
        setattr(client, name, at_most(2, getattr(client, name)))
        await soon(own_test("ccxt.pro.test.Exchange", name)(client, skipped, *args))
    except EnoughError:
        return None
    except Exception as error:
        return error
    finally:
        await client.close()
    return None


@pytest.mark.asyncio(loop_scope="module")
async def test_the_tests_of_watching_pass_side_by_side(exchange, client):
    async def trade() -> None:
        while True:
            await client.create_order(MARKET, "market", "buy", 0.01)
            await client.create_order(MARKET, "market", "sell", 0.01)
            await asyncio.sleep(0.2)

    trading = asyncio.create_task(trade())
    ended = await asyncio.gather(*(outcome(exchange, name) for name in WATCHES))
    trading.cancel()
    await asyncio.wait({trading})
    assert {name: error for name, error in zip(WATCHES, ended, strict=True) if error is not None} == {}
