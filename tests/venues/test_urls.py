"""Production addresses, and what an endpoint makes of them."""

import pytest

from quantcli.errors import ConfigError
from quantcli.model.instrument import Symbol
from quantcli.venues.urls import check_endpoint, market_of, urls


def test_production_is_binances_own() -> None:
    spot = urls("binance")
    assert (spot.rest, spot.stream, spot.private, spot.slow_stream) == (
        "https://api.binance.com",
        "wss://stream.binance.com:9443/stream",
        "wss://ws-api.binance.com:443/ws-api/v3",
        "wss://stream.binance.com:9443/stream",
    )
    usdm = urls("binance", "futures")
    assert usdm == urls("binance", "usdm")
    assert usdm.rest == "https://fapi.binance.com"
    assert (usdm.stream, usdm.slow_stream) == (
        "wss://fstream.binance.com/public/stream",
        "wss://fstream.binance.com/market/stream",
    )


@pytest.mark.parametrize("market", ["spot", "usdm", "coinm"])
@pytest.mark.parametrize(
    ("endpoint", "http", "sockets"),
    [
        ("http://127.0.0.1:8080", "http://127.0.0.1:8080", "ws://127.0.0.1:8080"),
        ("https://localhost:8443/", "https://localhost:8443", "wss://localhost:8443"),
    ],
)
def test_an_endpoint_replaces_the_server_and_keeps_every_path(
    market: str, endpoint: str, http: str, sockets: str
) -> None:
    here, there = urls("binance", market, endpoint), urls("binance", market)
    assert here.rest == http
    for name in ("stream", "private", "slow_stream"):
        path = "/" + getattr(there, name).split("/", 3)[3]
        assert getattr(here, name) == sockets + path


@pytest.mark.parametrize(
    "endpoint",
    ["127.0.0.1:8080", "ws://127.0.0.1:1", "http://", "http://h:port", "http://h/api/v3", "http://h?x=1", ""],
)
def test_what_is_no_server_is_refused(endpoint: str) -> None:
    with pytest.raises(ConfigError, match="is no endpoint"):
        check_endpoint(endpoint)


def test_exchanges_without_addresses_of_ours_are_refused() -> None:
    with pytest.raises(ConfigError, match="no addresses are known of okx"):
        urls("okx")


def test_markets_are_told_apart_by_what_they_settle_in() -> None:
    kinds = [market_of(Symbol.parse(name)) for name in ("BTC/USDT", "BTC/USDT:USDT", "BTC/USD:BTC-260327")]
    assert kinds == ["spot", "usdm", "coinm"]
