"""What ccxt is allowed to do: sign, name addresses, list markets.  Nothing else, and nowhere else."""

import ast
import hashlib
import hmac
import json
import subprocess
import sys
from decimal import Decimal
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

import pytest
from aiohttp import web

from quantcli.clock import NS_PER_MS, VirtualClock, WallClock
from quantcli.errors import ConfigError, ExchangeError, InvariantError, NotFoundError, RateLimitError
from quantcli.venues.calls import Call, Credentials, NoAnswer
from quantcli.venues.manifest import load
from quantcli.venues.through_ccxt.connector import UnifiedConnector, rules_of
from quantcli.venues.through_ccxt.transport import CcxtTransport

ROOT = Path(__file__).resolve().parents[2]
DATA = ROOT / ".." / "shared" / "data"
HERE = "http://127.0.0.1:4567"
KEY = Credentials("a-key", "a-secret")
EXCHANGES = ["binance", "bybit", "coinbase", "hyperliquid", "kraken", "okx"]
# Anybody's test key: the private key 1 and its address.
WALLET = Credentials(
    "",
    "",
    {
        "walletAddress": "0x7e5f4552091a69125d5dfcb7b8c2659029395bdf",
        "privateKey": "0x" + "0" * 63 + "1",
    },
)


def transport(exchange="binance", credentials=KEY, endpoint=HERE, **more):
    return CcxtTransport(exchange, WallClock(), credentials, endpoint, **more)


def importers(word):
    for path in sorted((ROOT / "quantcli").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            if any(name.split(".")[0] == word for name in names):
                yield path.name


def test_one_file_imports_ccxt():
    assert set(importers("ccxt")) == {"transport.py"}


def test_importing_the_live_venue_does_not_import_ccxt():
    code = "import sys, quantcli.venues.live; sys.exit('ccxt' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0


# Addresses.


@pytest.mark.parametrize("exchange", EXCHANGES)
async def test_every_address_that_ccxt_knows_is_replaced_by_the_endpoint(exchange):
    way = transport(exchange, None)
    addresses = way.addresses()
    assert addresses
    for address in addresses:
        replaced = way.readdressed(address + "/x?y=%20z")
        assert replaced.startswith(HERE + "/")
        assert urlsplit(replaced).query == "y=%20z"
        assert urlsplit(replaced).path == urlsplit(address + "/x").path


async def test_every_section_of_binances_api_is_signed_for_the_endpoint():
    way = transport()
    sections = [name for name in way._ccxt.urls["api"] if name != "ws"]
    assert {"private", "public", "sapi", "fapiPrivate", "papi"} <= set(sections)
    for section in sections:
        for method in ("GET", "POST", "PUT", "DELETE"):
            call = Call(section, method, "account", {"a": "b"})
            assert way.prepare(call, 1).url.startswith(HERE + "/"), section


async def test_what_ccxt_fetches_of_its_own_accord_goes_to_the_endpoint_too():
    way = transport(endpoint="http://127.0.0.1:1")
    for url in ("https://api.binance.com/sapi/v1/capital/config/getall", "https://elsewhere.example/x"):
        with pytest.raises(NoAnswer) as failure:
            await way.fetch(url, "GET", None, None)
        assert failure.value.sent is False  # nobody listens at the endpoint, and nobody else was asked
    await way.close()


async def test_without_an_endpoint_addresses_are_those_of_production():
    way = transport(endpoint=None)
    assert way.prepare(Call("private", "GET", "account"), 1).url.startswith("https://api.binance.com/api/v3/")


@pytest.mark.parametrize("endpoint", ["127.0.0.1:80", "ftp://127.0.0.1", "http://127.0.0.1/api", "http://"])
def test_an_endpoint_is_a_server_and_nothing_else(endpoint):
    with pytest.raises(ConfigError):
        transport(endpoint=endpoint)


# Signing.


@pytest.mark.parametrize(
    ("method", "in_body"), [("GET", False), ("DELETE", False), ("POST", True), ("PUT", True)]
)
async def test_what_was_asked_for_is_signed_and_nothing_is_added(method, in_body):
    params = {
        "symbol": "BTCUSDT",
        "newClientOrderId": "ab" * 16,
        "quantity": "0.00000010",
        "recvWindow": "5000",
    }
    request = transport().prepare(Call("private", method, "order", params), 1_700_000_000_123)
    text = request.body if in_body else urlsplit(request.url).query
    assert (request.body is None) is not in_body
    payload, _, signature = text.rpartition("&signature=")
    assert hmac.new(b"a-secret", payload.encode(), hashlib.sha256).hexdigest() == signature
    assert dict(parse_qsl(payload)) == params | {"timestamp": "1700000000123"}
    assert request.headers["X-MBX-APIKEY"] == "a-key"


async def test_a_public_call_carries_no_key():
    request = transport().prepare(Call("public", "GET", "depth", {"symbol": "BTCUSDT"}), 1)
    assert request.headers == {}
    assert "a-key" not in request.url


async def test_the_time_that_ccxt_knows_is_the_calls_and_else_ours():
    clock = VirtualClock(5_000 * NS_PER_MS)
    way = CcxtTransport("binance", clock, KEY, HERE)
    assert (way.now_ms(), way._ccxt.milliseconds(), way._ccxt.nonce()) == (5_000, 5_000, 5_000)
    assert "timestamp=77&" in way.prepare(Call("private", "GET", "account"), 77).url
    assert way.now_ms() == 5_000


async def test_a_key_that_cannot_sign_is_said_so():
    with pytest.raises(ConfigError):
        transport(credentials=None).prepare(Call("private", "GET", "account"), 1)


def test_a_key_does_not_show_in_its_text():
    credentials = Credentials("the-key", "the-secret", {"password": "the-word"})
    for text in (
        repr(credentials),
        str(credentials),
        f"{credentials}",
        f"{credentials!r}",
        str([credentials]),
    ):
        assert "the-" not in text


# What ccxt would add.


async def test_an_order_without_a_client_order_id_is_never_given_one_of_ccxts():
    for path in ("order", "orderList/oco"):
        with pytest.raises(InvariantError):
            transport().prepare(Call("private", "POST", path, {"symbol": "BTCUSDT"}), 1)


async def serving(handler):
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", handler)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    return runner, f"http://127.0.0.1:{site._server.sockets[0].getsockname()[1]}"


@pytest.fixture
async def replies():
    """A server that gives what is in `replies` by path, and remembers what it was asked."""
    told, asked = {}, []

    async def handler(request):
        asked.append((request.method, request.path_qs, await request.text()))
        status, text = told.get(request.path, (200, "{}"))
        return web.Response(status=status, text=text, content_type="application/json")

    runner, endpoint = await serving(handler)
    yield told, asked, endpoint
    await runner.cleanup()


async def test_hyperliquid_is_paid_no_builder_and_no_referrer(replies):
    _, asked, endpoint = replies
    way = transport("hyperliquid", WALLET, endpoint)
    ccxt = way._ccxt
    assert await ccxt.initialize_client() is True
    assert await ccxt.handle_builder_fee_approval() is True
    for call in (ccxt.set_ref, lambda: ccxt.approve_builder_fee("0x1", "0.01%")):
        with pytest.raises(InvariantError):
            await call()
    assert asked == []
    market = {"id": "0", "symbol": "BTC/USDC:USDC", "base": "BTC", "quote": "USDC", "settle": "USDC"}
    market |= {"baseId": "0", "type": "swap", "spot": False, "swap": True, "contract": True, "info": {}}
    market |= {"precision": {"price": 1, "amount": 0.001}, "limits": {}, "taker": 0, "maker": 0}
    ccxt.set_markets([market])
    await ccxt.create_order("BTC/USDC:USDC", "limit", "buy", 1, 100, {"clientOrderId": "0x" + "ab" * 16})
    bodies = [json.loads(body)["action"] for _, _, body in asked if "action" in body]
    assert [body["type"] for body in bodies] == ["order"]
    assert "builder" not in bodies[0]
    assert bodies[0]["orders"][0]["c"] == "0x" + "ab" * 16
    await way.close()


@pytest.mark.parametrize("action", ["setReferrer", "approveBuilderFee"])
async def test_a_body_that_pays_somebody_is_stopped_whoever_wrote_it(replies, action):
    _, asked, endpoint = replies
    way = transport("hyperliquid", None, endpoint)
    with pytest.raises(InvariantError):
        await way.fetch("https://api.hyperliquid.xyz/exchange", "POST", {}, json.dumps({"type": action}))
    assert asked == []
    await way.close()


# Markets.


def recorded(exchange, name):
    if not DATA.is_dir():
        pytest.skip("the recorded exchange data is not here")
    for line in (DATA / exchange / "payloads_public.jsonl").read_text(encoding="utf-8").splitlines():
        record = json.loads(line)
        if record["name"] == name:
            return record["raw"]
    raise AssertionError(name)


RECORDED = [
    ("okx", "/api/v5/public/instruments", "http_get_instruments_spot.json"),
    ("bybit", "/v5/market/instruments-info", "http_get_instruments_spot.json"),
    ("coinbase", "/api/v3/brokerage/market/products", "http_products.json"),
]


def steps_of(exchange, raw):
    """Tick, lot and least quantity by the exchange's own text."""
    reply = json.loads(raw)
    if exchange == "okx":
        return {row["instId"]: (row["tickSz"], row["lotSz"], row["minSz"]) for row in reply["data"]}
    if exchange == "bybit":
        return {
            row["symbol"]: (
                row["priceFilter"]["tickSize"],
                row["lotSizeFilter"]["basePrecision"],
                row["lotSizeFilter"]["minOrderQty"],
            )
            for row in reply["result"]["list"]
        }
    return {
        row["product_id"]: (row["price_increment"], row["base_increment"], row["base_min_size"])
        for row in reply["products"]
    }


@pytest.mark.parametrize(("exchange", "path", "name"), RECORDED)
async def test_instruments_have_the_exchanges_own_steps_to_the_last_digit(replies, exchange, path, name):
    told, _, endpoint = replies
    raw = recorded(exchange, name)
    told[path] = (200, raw)
    way = transport(exchange, None, endpoint)
    connector = UnifiedConnector(way, load(exchange), WallClock(), lambda: 0.5)
    found = await connector.get_exchange_info()
    assert found == connector.instruments != {}
    steps = steps_of(exchange, raw)
    for rules in found.values():
        assert (rules.price_tick, rules.lot, rules.min_qty) == tuple(
            map(Decimal, steps[rules.exchange_symbol])
        )
        assert rules.exchange == exchange
        assert not rules.symbol.is_futures
    market = (await way.markets())[0]
    assert {type(market["precision"]["price"]), type(market["limits"]["amount"]["min"])} == {Decimal}
    some = next(iter(found))
    assert set(await connector.get_exchange_info([some])) == {some}
    with pytest.raises(NotFoundError):
        await connector.get_exchange_info(["NO/SUCH"])
    await connector.close()


def kraken_market():
    return {
        "symbol": "BTC/USD",
        "id": "XXBTZUSD",
        "spot": True,
        "precision": {"price": Decimal("0.1"), "amount": Decimal("1E-8")},
        "limits": {"amount": {"min": Decimal("0.00005"), "max": None}, "price": {}, "cost": {"min": 0.5}},
    }


def test_a_market_without_steps_or_without_a_symbol_of_ours_is_left_out():
    rules = rules_of(kraken_market(), "kraken")
    assert (rules.lot, rules.min_notional, rules.max_qty) == (Decimal("0.00000001"), Decimal("0.5"), None)
    assert rules_of(kraken_market() | {"precision": {"price": None, "amount": 1}}, "kraken") is None
    assert rules_of(kraken_market() | {"spot": False, "option": True}, "kraken") is None
    assert rules_of(kraken_market() | {"symbol": "XBT.M"}, "kraken") is None


async def test_reads_by_ccxt_that_get_no_answer_are_tried_again(replies):
    told, asked, endpoint = replies
    told["/api/v5/public/instruments"] = (503, "down")
    way = transport("okx", None, endpoint)
    connector = UnifiedConnector(way, load("okx"), WallClock(), lambda: 0.0)
    with pytest.raises(NoAnswer):
        await connector._read("fetch_markets")
    assert len(asked) == 3
    told["/api/v5/public/instruments"] = (429, json.dumps({"code": "50011", "msg": "Too Many Requests"}))
    with pytest.raises(RateLimitError):
        await connector._read("fetch_markets")
    assert len(asked) == 4
    told["/api/v5/public/instruments"] = (200, '{"code":"0","data":[{}]}')
    with pytest.raises(ExchangeError):
        await connector._read("fetch_order_book", "BTC/USDT", 5)
    await connector.close()


async def test_exchanges_without_a_dialect_have_no_private_half():
    way = transport("kraken", None)
    connector = UnifiedConnector(way, load("kraken"), WallClock(), lambda: 0.5)
    for call in (
        connector.get_account_balance(),
        connector.get_asset_balance("BTC"),
        connector.get_open_orders(),
        connector.get_order("BTC/USD", "1"),
        connector.cancel_order("BTC/USD", "1"),
        connector.cancel_all_orders("BTC/USD"),
    ):
        with pytest.raises(ConfigError, match="cannot be traded live yet"):
            await call
