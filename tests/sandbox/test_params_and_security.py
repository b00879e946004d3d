"""Strictness: parameters, signatures, time, keys, limits."""

from decimal import Decimal
from typing import Any
from urllib.parse import urlencode

import msgspec
import pytest

from quantcli.clock import NS_PER_MS
from quantcli.sandbox.errors import ApiError
from quantcli.sandbox.params import Params, read_form
from quantcli.sandbox.weights import RULES, Rule, Weights

ACCOUNT = "/api/v3/account"
ORDER = "/api/v3/order"


def told(reply: Any) -> tuple[int, int, str]:
    body = msgspec.json.decode(reply.body)
    return reply.status, body["code"], body["msg"]


def signed_account(desk: Any, signature: Any, **params: Any) -> Any:
    text = urlencode({"timestamp": desk.clock.now_ns() // NS_PER_MS} | params)
    return desk.send("GET", ACCOUNT, f"{text}&signature={signature(text)}")


# Parameters.


def test_a_parameter_too_many_is_counted_with_the_signature(desk: Any) -> None:
    refused = desk.refused("POST", ORDER, **desk.terms("BUY", "1", "99.00", colour="red"))
    assert refused == (
        400,
        -1104,
        "Not all sent parameters were read; read '8' parameter(s) but was sent '9'.",
    )
    refused = told(desk.send("GET", "/api/v3/time", "now=1"))
    assert refused[1:] == (
        -1104,
        "Not all sent parameters were read; read '0' parameter(s) but was sent '1'.",
    )


def test_a_parameter_twice_in_one_place_is_refused(desk: Any) -> None:
    assert told(desk.send("GET", "/api/v3/depth", "symbol=BTCUSDT&symbol=BTCUSDT"))[:2] == (400, -1101)


def test_what_is_in_query_and_body_counts_as_in_the_query() -> None:
    assert read_form("a=1&b=x%20y", "a=2&c=+") == {"a": "1", "b": "x y", "c": " "}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("1,5", "legal range is '^([0-9]{1,20})(\\.[0-9]{1,20})?$'."),
        ("9" * 21, "legal range is '^([0-9]{1,20})(\\.[0-9]{1,20})?$'."),
    ],
)
def test_illegal_characters_name_the_legal_range(text: str, message: str) -> None:
    with pytest.raises(ApiError) as caught:
        Params({"quantity": text}).number("quantity")
    assert caught.value.message == f"Illegal characters found in parameter 'quantity'; {message}"


def test_numbers_words_flags_and_times_are_read_as_sent() -> None:
    params = Params(
        {"n": "1.50", "f": "TRUE", "w": '["A","B"]', "ms": "1700000000000", "us": "1700000000000123"}
    )
    assert (params.number("n"), params.flag("f"), params.words("w")) == (Decimal("1.5"), True, ["A", "B"])
    assert params.millis("ms") == params.millis("us") == 1_700_000_000_000
    params.finish()
    assert Params({}).limit(5, 10) == 5
    assert Params({"limit": "99"}).limit(5, 10) == 10
    for name, text in (("words", "[1]"), ("flag", "yes"), ("whole", "1.0"), ("whole", "9" * 20)):
        with pytest.raises(ApiError):
            getattr(Params({"x": text}), name)("x")


def test_trailing_zeros_are_no_precision() -> None:
    assert Params({"q": "0.1000000000"}).number("q") == Decimal("0.1")


# Who asks.


@pytest.mark.parametrize(
    ("key", "code"), [(None, -2014), ("", -2014), ("short", -2014), ("x" * 64, -2008), ("K" * 64, -2008)]
)
def test_a_wrong_key_is_told_by_its_form(desk: Any, key: str | None, code: int) -> None:
    assert told(desk.send("GET", ACCOUNT, "timestamp=1", key=key))[:2] == (401, code)


def test_query_and_body_are_signed_without_anything_between(desk: Any, signature: Any) -> None:
    """Example 3 of "SIGNED Endpoint Examples" (2023), with a time of our own."""
    query = "symbol=BTCUSDT&side=BUY&type=LIMIT&timeInForce=GTC"
    body = f"quantity=1&price=99.00&timestamp={desk.clock.now_ns() // NS_PER_MS}"
    right = desk.send("POST", ORDER, query, f"{body}&signature={signature(query + body)}")
    assert right.status == 200, right.body
    wrong = desk.send("POST", ORDER, query, f"{body}&signature={signature(query + '&' + body)}")
    assert told(wrong) == (400, -1022, "Signature for this request is not valid.")


def test_a_signature_may_stand_anywhere_and_be_of_any_case(desk: Any, signature: Any) -> None:
    text = f"recvWindow=5000&timestamp={desk.clock.now_ns() // NS_PER_MS}"
    mark = signature(text).upper()
    first, last = text.split("&")
    for query in (f"{text}&signature={mark}", f"signature={mark}&{text}", f"{first}&signature={mark}&{last}"):
        assert desk.send("GET", ACCOUNT, query).status == 200


def test_what_is_not_signed_is_refused(desk: Any) -> None:
    now = desk.clock.now_ns() // NS_PER_MS
    assert told(desk.send("GET", ACCOUNT, f"timestamp={now}"))[1] == -1102
    assert told(desk.send("GET", ACCOUNT, f"timestamp={now}&signature="))[1] == -1105
    assert told(desk.send("GET", ACCOUNT, "signature=abc"))[1:] == (
        -1102,
        "Mandatory parameter 'timestamp' was not sent, was empty/null, or malformed.",
    )
    assert told(desk.send("GET", ACCOUNT, f"timestamp={now}&signature=é"))[1] == -1022


def test_the_documented_signature_is_the_one_we_expect() -> None:
    """The HMAC example of rest-api.md, "SIGNED Endpoint Examples for POST /api/v3/order"."""
    from quantcli.sandbox.security import Keys, check_signature, signed_text

    secret = "NhqPtmdSJYdKjVHjA7PZj4Mge3R5YNiP1e3UZjInClVN65XAbvqqM6A7H5fATj0j"
    query = "symbol=LTCBTC&side=BUY&type=LIMIT&timeInForce=GTC"
    body = "quantity=1&price=0.1&recvWindow=5000&timestamp=1499827319559"
    mark = "0fd168b8ddb4876a0358a8d14d0c9f3da0e9b20c5d52b2a00fcf7d1c602f9a77"
    check_signature(signed_text(query, f"{body}&signature={mark}"), mark, Keys("key", secret))
    assert secret not in repr(Keys("key", secret))


# When.


@pytest.mark.parametrize(
    ("ahead_ms", "window", "code"),
    [
        (0, None, None),
        (999, None, None),
        (1_000, None, -1021),
        (-5_000, None, None),
        (-5_001, None, -1021),
        (-59_999, "60000", None),
        (0, "60000.001", -1131),
        (0, "60001", -1131),
        (0, "1.2345", -1100),
        (0, "0", None),
    ],
)
def test_a_request_is_good_for_its_window(
    desk: Any, signature: Any, ahead_ms: int, window: str | None, code: int | None
) -> None:
    params = {"timestamp": desk.clock.now_ns() // NS_PER_MS + ahead_ms}
    reply = signed_account(desk, signature, **(params | ({"recvWindow": window} if window else {})))
    assert (None if reply.status == 200 else told(reply)[1]) == code


def test_microseconds_count_in_timestamp_and_window(desk: Any, signature: Any) -> None:
    sent_us = desk.clock.now_ns() // 1_000
    desk.wait(0.000_4)
    for window, status in (("0.4", 200), ("0.399", 400)):
        reply = signed_account(desk, signature, timestamp=sent_us, recvWindow=window)
        assert reply.status == status


def test_a_request_that_waited_too_long_is_refused_before_matching(desk: Any, signature: Any) -> None:
    arrived_ns = desk.clock.now_ns()
    terms = desk.terms("BUY", "1", "99.00", timestamp=arrived_ns // NS_PER_MS, recvWindow=2_000)
    text = urlencode(terms)
    desk.wait(2.001)
    reply = desk.send("POST", ORDER, "", f"{text}&signature={signature(text)}", at_ns=arrived_ns)
    assert told(reply) == (400, -1021, "Timestamp for this request is outside of the recvWindow.")
    assert desk.exchange.truth()["orders"] == []


def test_a_request_from_the_future_stays_one_though_it_waited(desk: Any, signature: Any) -> None:
    arrived_ns = desk.clock.now_ns()
    text = urlencode({"timestamp": arrived_ns // NS_PER_MS + 1_000})
    desk.wait(3)
    reply = desk.send("GET", ACCOUNT, f"{text}&signature={signature(text)}", at_ns=arrived_ns)
    assert told(reply)[2] == "Timestamp for this request was 1000ms ahead of the server's time."


# Where.


@pytest.mark.parametrize(("method", "path"), [("GET", "/api/v3/nothing"), ("PATCH", ORDER), ("GET", "/")])
def test_what_is_not_there_is_not_found(desk: Any, method: str, path: str) -> None:
    assert desk.send(method, path).status == 404


# How often.


def test_weights_are_told_in_headers_and_reset_each_minute(desk: Any) -> None:
    assert desk.send("GET", "/api/v3/time").headers["X-MBX-USED-WEIGHT-1M"] == "1"
    assert desk.send("GET", "/api/v3/exchangeInfo").headers["X-MBX-USED-WEIGHT-1M"] == "21"
    assert desk.signed("GET", "/api/v3/openOrders").headers["X-MBX-USED-WEIGHT"] == "101"
    desk.wait(60)
    assert desk.send("GET", "/api/v3/time").headers["X-MBX-USED-WEIGHT-1M"] == "1"


@pytest.mark.parametrize(
    ("path", "params", "weight"),
    [
        ("depth", {"symbol": "BTCUSDT"}, 5),
        ("depth", {"symbol": "BTCUSDT", "limit": 500}, 25),
        ("depth", {"symbol": "BTCUSDT", "limit": 501}, 50),
        ("depth", {"symbol": "BTCUSDT", "limit": 9_999}, 250),
        ("ticker/24hr", {"symbol": "BTCUSDT"}, 2),
        ("ticker/24hr", {}, 80),
        ("ticker/price", {}, 4),
        ("ticker", {"symbols": '["BTCUSDT","ETHBTC"]'}, 8),
    ],
)
def test_weights_depend_on_parameters(desk: Any, path: str, params: dict[str, Any], weight: int) -> None:
    reply = desk.send("GET", f"/api/v3/{path}", urlencode(params), key=None)
    assert reply.headers["X-MBX-USED-WEIGHT-1M"] == str(weight)


def test_my_trades_weigh_less_for_one_order(desk: Any) -> None:
    for params, weight in (({}, "20"), ({"orderId": 1}, "25")):
        reply = desk.signed("GET", "/api/v3/myTrades", symbol="BTCUSDT", **params)
        assert reply.headers["X-MBX-USED-WEIGHT-1M"] == weight


def test_who_uses_up_the_weight_waits_and_who_goes_on_is_banned() -> None:
    limits = Weights((Rule("REQUEST_WEIGHT", "MINUTE", 1, 100),), patience=2)
    at_ns = 30_000_000_000
    limits.charge(100, at_ns)
    for _ in range(2):
        with pytest.raises(ApiError) as caught:
            limits.charge(1, at_ns)
        assert (caught.value.status, caught.value.code) == (429, -1003)
        assert caught.value.headers == {"Retry-After": "30"}
        assert "current limit is 100 request weight per 1 MINUTE" in caught.value.message
    with pytest.raises(ApiError) as caught:
        limits.charge(1, at_ns)
    assert (caught.value.status, caught.value.headers) == (418, {"Retry-After": "120"})
    assert "IP banned until 150000." in caught.value.message
    with pytest.raises(ApiError):
        limits.charge(1, at_ns + 119_000_000_000)
    limits.charge(1, at_ns + 120_000_000_000)


def test_a_429_of_another_minute_is_forgiven() -> None:
    limits = Weights((Rule("REQUEST_WEIGHT", "MINUTE", 1, 1),), patience=1)
    for minute in range(3):
        at_ns = minute * 60_000_000_000
        limits.charge(1, at_ns)
        with pytest.raises(ApiError) as caught:
            limits.charge(1, at_ns)
        assert caught.value.status == 429


def test_orders_are_counted_until_they_trade(desk: Any) -> None:
    reply = desk.signed("POST", ORDER, **desk.terms("BUY", "1", "99.00"))
    assert reply.headers["X-MBX-ORDER-COUNT-10S"] == reply.headers["X-MBX-ORDER-COUNT-1D"] == "1"
    desk.place("BUY", "1")
    counts = desk.ask("GET", "/api/v3/rateLimit/order")
    assert [(each["interval"], each["limit"], each["count"]) for each in counts] == [
        ("SECOND", 100, 1),
        ("DAY", 200_000, 1),
    ]
    desk.trade(98.0, 1.0, side=2)
    assert desk.ask("GET", "/api/v3/rateLimit/order")[0]["count"] == 0
    assert "X-MBX-ORDER-COUNT-10S" not in desk.signed("GET", ACCOUNT).headers


def test_an_orders_first_fill_alone_gives_its_place_back(desk: Any) -> None:
    desk.place("BUY", "1", "99.00")
    desk.place("BUY", "1", "90.00")
    for _ in range(2):
        desk.trade(98.0, 0.5, side=2)
        assert desk.ask("GET", "/api/v3/rateLimit/order")[0]["count"] == 1


def test_too_many_orders_are_refused_until_the_interval_ends(desk: Any) -> None:
    for _ in range(100):
        desk.place("BUY", "0.06", "90.00")
    reply = desk.signed("POST", ORDER, **desk.terms("BUY", "0.06", "90.00"))
    assert told(reply) == (429, -1015, "Too many new orders; current limit is 100 orders per 10 SECOND.")
    assert reply.headers["Retry-After"] == "10"
    replaced = desk.terms("BUY", "0.06", "91.00", cancelReplaceMode="STOP_ON_FAILURE", cancelOrderId=1)
    assert desk.refused("POST", ORDER + "/cancelReplace", **replaced)[:2] == (429, -1015)
    only = desk.refused(
        "POST", ORDER + "/cancelReplace", **replaced, orderRateLimitExceededMode="CANCEL_ONLY"
    )
    assert only == (429, -2021, "Order cancel-replace partially failed.")
    assert desk.ask("GET", ORDER, symbol="BTCUSDT", orderId=1)["status"] == "CANCELED"
    desk.wait(10)
    desk.place("BUY", "0.06", "90.00")


def test_a_refused_order_does_not_count(desk: Any) -> None:
    desk.refused("POST", ORDER, **desk.terms("BUY", "1", "99.001"))
    assert desk.ask("GET", "/api/v3/rateLimit/order")[0]["count"] == 0


def test_exchange_info_lists_the_limits(desk: Any) -> None:
    assert desk.public_call("/api/v3/exchangeInfo")["rateLimits"] == [rule.json() for rule in RULES]


# The websocket API.


def test_ws_parameters_are_signed_in_order_of_name(desk: Any, signature: Any) -> None:
    now = str(desk.clock.now_ns() // NS_PER_MS)
    params = {"symbol": "BTCUSDT", "apiKey": "k" * 64, "timestamp": now, "omitZeroBalances": "true"}
    text = f"apiKey={'k' * 64}&omitZeroBalances=true&symbol=BTCUSDT&timestamp={now}"
    desk.dispatcher.authenticate_ws(params | {"signature": signature(text)}, desk.clock.now_ns())
    with pytest.raises(ApiError) as caught:
        desk.dispatcher.authenticate_ws(params | {"signature": "0"}, desk.clock.now_ns())
    assert caught.value.code == -1022
    desk.dispatcher.authenticate_ws({"timestamp": now}, desk.clock.now_ns(), logged_on=True)
    with pytest.raises(ApiError):
        desk.dispatcher.authenticate_ws({"timestamp": now}, desk.clock.now_ns())


def test_a_ws_request_does_what_the_rest_request_does(desk: Any) -> None:
    endpoint = desk.dispatcher.endpoint_of_ws("order.place")
    terms = desk.terms("BUY", "1", "99.00", timestamp="1", apiKey="x", signature="y")
    assert desk.dispatcher.run(endpoint, terms)["status"] == "NEW"
    with pytest.raises(ApiError) as caught:
        desk.dispatcher.run(endpoint, terms | {"clientOrderId": "mine"})
    assert caught.value.code == -1104
    used = {each["rateLimitType"]: each["count"] for each in desk.dispatcher.rate_limits(orders=True)}
    assert used == {"ORDERS": 1, "REQUEST_WEIGHT": 2}
    assert desk.dispatcher.endpoint_of_ws("order.nothing") is None
