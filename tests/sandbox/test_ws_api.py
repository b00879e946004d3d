"""The websocket API: requests and replies, logging on, and the account's events on the same socket."""

import hashlib
import hmac
import json
from decimal import Decimal
from itertools import count

import pytest

from quantcli.clock import VirtualClock
from quantcli.sandbox.dispatch import Dispatcher
from quantcli.sandbox.endpoints import Security
from quantcli.sandbox.exchange import SandboxExchange
from quantcli.sandbox.public import PublicMarket
from quantcli.sandbox.security import Keys
from quantcli.sandbox.streams.sessions import MarketSession
from quantcli.sandbox.streams.user import account_opener
from quantcli.sandbox.streams.ws_api import ApiSession
from quantcli.sandbox.weights import Weights
from quantcli.simulation.fees import Fees
from tests.sandbox.market_events import NOON, SECOND, markets, quote, snapshot, trade

MS = 1_000_000
KEYS = Keys("K" * 64, "S" * 64)


class Desk:
    """An exchange with one connection, and everything it was pushed."""

    def __init__(self, query: str = "") -> None:
        self.clock = VirtualClock(NOON + SECOND)
        balances = {"USDT": Decimal(100_000), "BTC": Decimal(2)}
        fees = Fees(Decimal("0.001"), Decimal("0.001"), in_received=True)
        self.exchange = SandboxExchange(markets(), balances, fees, self.clock)
        self.public = PublicMarket(markets())
        self.dispatcher = Dispatcher(self.exchange, self.public, KEYS, Weights(), self.clock)
        self.pushed: list[tuple[str, dict]] = []
        self.numbers = count(1)
        self.session = self.connect(query)
        for event in (snapshot(5, [(99.0, 9.0)], [(101.0, 9.0)]), quote(99.0, 101.0), trade(1, 100.0, 1.0)):
            self.see(event)

    def connect(self, query: str = "") -> ApiSession:
        return ApiSession(
            self.dispatcher,
            self.exchange,
            self.clock,
            lambda kind, text: self.pushed.append((kind, json.loads(text))),
            query,
        )

    def see(self, event) -> None:
        self.exchange.see(event)
        self.public.see(event)

    def send(self, text: str) -> dict:
        return json.loads(self.session.receive(text))

    def ask(self, method: str, **params) -> dict:
        return self.send(json.dumps({"id": next(self.numbers), "method": method, "params": params}))

    def sign(self, **params) -> dict:
        params = {"apiKey": KEYS.api_key, "timestamp": self.clock.now_ns() // MS} | params
        written = {k: str(v).lower() if isinstance(v, bool) else v for k, v in params.items()}
        text = "&".join(f"{name}={written[name]}" for name in sorted(params))
        return params | {
            "signature": hmac.new(KEYS.secret.encode(), text.encode(), hashlib.sha256).hexdigest()
        }

    def ask_signed(self, method: str, **params) -> dict:
        return self.ask(method, **self.sign(**params))

    def kinds(self) -> list[str]:
        return [kind for kind, _ in self.pushed]


@pytest.fixture
def desk() -> Desk:
    return Desk()


def limit_order(**more) -> dict:
    return {
        "symbol": "BTCUSDT",
        "side": "BUY",
        "type": "LIMIT",
        "timeInForce": "GTC",
        "quantity": "0.5",
        "price": "98.00",
        **more,
    }


# Requests and replies.


def test_a_reply_has_the_id_the_status_the_result_and_the_limits(desk):
    reply = desk.send('{"id":"e2a85d9f","method":"time"}')
    assert list(reply) == ["id", "status", "result", "rateLimits"]
    assert (reply["id"], reply["status"]) == ("e2a85d9f", 200)
    assert reply["result"] == {"serverTime": NOON // MS + 1000}
    assert [limit["rateLimitType"] for limit in reply["rateLimits"]] == ["REQUEST_WEIGHT"]


@pytest.mark.parametrize("id_", [1, "x", None, -5, 2**70])
def test_whatever_the_id_is_it_comes_back(desk, id_):
    reply = desk.send(json.dumps({"id": id_, "method": "ping"}))
    assert (reply["id"], reply["status"], reply["result"]) == (id_, 200, {})


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("nonsense", -1135),
        ("[]", -1135),
        ("[" * 100_000, -1135),
        ('{"method":"ping"}', -1102),
        ('{"id":1}', -1102),
        ('{"id":1,"method":7}', -1102),
        ('{"id":1,"method":"ping","params":[1]}', -1135),
        ('{"id":1,"method":"order.frobnicate"}', -1020),
        ('{"id":1,"method":"ping","params":{"colour":"red"}}', -1104),
        ('{"id":1,"method":"depth","params":{"symbol":"XRPUSDT"}}', -1121),
    ],
)
def test_a_bad_request_is_answered_with_an_error(desk, text, code):
    reply = desk.send(text)
    assert (reply["status"], reply["error"]["code"]) == (400, code)
    assert "result" not in reply


def test_a_method_may_name_its_version(desk):
    assert desk.ask("v3/ping")["status"] == 200


def test_limits_are_left_out_for_who_does_not_want_them(desk):
    assert "rateLimits" not in desk.ask("ping", returnRateLimits=False)
    quiet = Desk("returnRateLimits=false")
    assert "rateLimits" not in quiet.ask("ping")
    assert "rateLimits" in quiet.ask("ping", returnRateLimits=True)


def test_the_names_of_requests_can_be_looked_at_without_carrying_them_out(desk):
    text = json.dumps(
        {"id": 1, "method": "order.place", "params": limit_order(quantity=0.5, recvWindow=5000)}
    )
    name, params = desk.session.endpoint_of(text)
    assert name == "order.place"
    assert (params["symbol"], params["quantity"], params["recvWindow"]) == ("BTCUSDT", "0.5", "5000")
    assert desk.exchange.truth()["orders"] == []
    assert desk.session.endpoint_of("nonsense") == ("", {})
    assert desk.session.endpoint_of('{"id":1,"method":["x"],"params":7}') == ("", {})


def test_public_methods_answer_without_a_key(desk):
    depth = desk.ask("depth", symbol="BTCUSDT", limit=5)["result"]
    assert depth == {
        "lastUpdateId": 5,
        "bids": [["99.00000000", "9.00000000"]],
        "asks": [["101.00000000", "9.00000000"]],
    }
    for method, params in {
        "exchangeInfo": {},
        "trades.recent": {"symbol": "BTCUSDT"},
        "klines": {"symbol": "BTCUSDT", "interval": "1m"},
        "ticker.24hr": {"symbol": "BTCUSDT"},
        "ticker.price": {"symbols": ["BTCUSDT", "ETHUSDT"]},
        "ticker.book": {"symbol": "BTCUSDT"},
        "avgPrice": {"symbol": "BTCUSDT"},
    }.items():
        assert desk.ask(method, **params)["status"] == 200, method


_METHODS = {
    "order.place",
    "order.test",
    "order.cancel",
    "order.status",
    "order.cancelReplace",
    "order.amend.keepPriority",
    "orderList.place.oco",
    "orderList.cancel",
    "openOrders.status",
    "openOrders.cancelAll",
    "allOrders",
    "myTrades",
    "account.status",
    "account.rateLimits.orders",
}


def test_every_signed_method_asks_for_key_and_signature(desk):
    signed = {e.ws for e in desk.dispatcher.endpoints if e.ws and e.security is Security.SIGNED}
    assert signed >= _METHODS
    for method in sorted(signed):
        reply = desk.ask(method)
        assert reply["status"] in {400, 401}, method
        assert reply["error"]["code"] in {-1102, -2014}, method


# Signatures.


def test_an_order_is_placed_looked_up_and_cancelled(desk):
    placed = desk.ask_signed("order.place", **limit_order(newClientOrderId="mine", newOrderRespType="RESULT"))
    assert placed["status"] == 200
    assert (placed["result"]["status"], placed["result"]["clientOrderId"]) == ("NEW", "mine")
    kinds = sorted((limit["rateLimitType"], limit["count"]) for limit in placed["rateLimits"])
    assert [kind for kind, _ in kinds] == ["ORDERS", "ORDERS", "REQUEST_WEIGHT"]
    assert [number for kind, number in kinds if kind == "ORDERS"] == [1, 1]
    found = desk.ask_signed("order.status", symbol="BTCUSDT", origClientOrderId="mine")
    assert found["result"]["orderId"] == placed["result"]["orderId"]
    gone = desk.ask_signed("order.cancel", symbol="BTCUSDT", orderId=placed["result"]["orderId"])
    assert gone["result"]["status"] == "CANCELED"
    assert desk.ask_signed("openOrders.status", symbol="BTCUSDT")["result"] == []


def test_numbers_are_signed_as_they_are_written(desk):
    at = desk.clock.now_ns() // MS
    params = f'"price":98.10,"quantity":5e-1,"recvWindow":5000,"timestamp":{at}'
    text = (
        f"apiKey={KEYS.api_key}&price=98.10&quantity=5e-1&recvWindow=5000&side=BUY&symbol=BTCUSDT"
        f"&timeInForce=GTC&timestamp={at}&type=LIMIT"
    )
    signature = hmac.new(KEYS.secret.encode(), text.encode(), hashlib.sha256).hexdigest()
    reply = desk.send(
        f'{{"id":1,"method":"order.place","params":{{{params},"apiKey":"{KEYS.api_key}","side":"BUY",'
        f'"symbol":"BTCUSDT","timeInForce":"GTC","type":"LIMIT","signature":"{signature}"}}}}'
    )
    assert reply["error"]["code"] == -1100  # the signature is right; the exponent is not
    assert "quantity" in reply["error"]["msg"]


def test_a_wrong_signature_an_old_stamp_and_another_key_are_refused(desk):
    signed = desk.sign(**limit_order())
    refused = {
        "signature": (desk.ask("order.place", **signed | {"price": "97.00"}), -1022),
        "stamp": (desk.ask_signed("order.place", **limit_order(timestamp=NOON // MS - 60_000)), -1021),
        "key": (desk.ask("order.place", **signed | {"apiKey": "X" * 64}), -2008),
    }
    for why, (reply, code) in refused.items():
        assert reply["error"]["code"] == code, why
    assert desk.exchange.truth()["orders"] == []


def test_a_refused_order_says_so_with_its_limits(desk):
    reply = desk.ask_signed("order.place", **limit_order(quantity="5000"))
    assert (reply["status"], reply["error"]["code"]) == (400, -2010)
    assert reply["rateLimits"]


def test_whether_limits_are_wanted_is_signed_too(desk):
    reply = desk.ask_signed("account.status", returnRateLimits=False)
    assert (reply["status"], "rateLimits" in reply) == (200, False)


# Sessions.


def test_who_is_logged_on_needs_no_signature(desk):
    assert desk.ask("account.status", timestamp=NOON // MS + 1000)["status"] != 200
    on = desk.ask_signed("session.logon")["result"]
    now = NOON // MS + 1000
    assert on == {
        "apiKey": KEYS.api_key,
        "authorizedSince": now,
        "connectedSince": now,
        "returnRateLimits": True,
        "serverTime": now,
        "userDataStream": False,
    }
    assert desk.ask("account.status", timestamp=now)["status"] == 200
    assert desk.ask("order.place", **limit_order(timestamp=now))["status"] == 200
    assert desk.ask("account.status", timestamp=now - 60_000)["error"]["code"] == -1021
    assert desk.ask("account.status", timestamp=now, apiKey="X" * 64)["status"] != 200
    off = desk.ask("session.logout")["result"]
    assert (off["apiKey"], off["authorizedSince"]) == (None, None)
    assert desk.ask("session.status")["result"]["apiKey"] is None
    assert desk.ask("account.status", timestamp=now)["status"] != 200


def test_logging_on_with_a_wrong_signature_changes_nothing(desk):
    assert desk.ask("session.logon", **desk.sign() | {"signature": "0" * 64})["error"]["code"] == -1022
    assert desk.ask("session.status")["result"]["apiKey"] is None


# The account's events.


def test_events_come_in_frames_with_the_number_of_the_subscription(desk):
    assert desk.ask_signed("userDataStream.subscribe.signature")["result"] == {"subscriptionId": 0}
    assert desk.session.is_subscribed
    assert desk.ask("session.subscriptions")["result"] == [{"subscriptionId": 0}]
    desk.ask_signed("order.place", **limit_order(newClientOrderId="mine"))
    assert desk.kinds() == ["executionReport", "outboundAccountPosition"]
    report, position = (body for _, body in desk.pushed)
    assert (report["subscriptionId"], position["subscriptionId"]) == (0, 0)
    event = report["event"]
    assert (event["x"], event["X"], event["c"], event["w"]) == ("NEW", "NEW", "mine", True)
    balances = {b["a"]: (b["f"], b["l"]) for b in position["event"]["B"]}
    assert balances["USDT"] == ("99951.00000000", "49.00000000")


def test_an_execution_report_has_every_field_the_exchange_sends(desk):
    desk.ask_signed("userDataStream.subscribe.signature")
    desk.ask_signed("order.place", **limit_order(price="101.00", quantity="0.50000"))
    desk.clock.advance_to(desk.clock.now_ns() + SECOND)
    reports = [body["event"] for kind, body in desk.pushed if kind == "executionReport"]
    assert [(r["x"], r["X"]) for r in reports] == [("NEW", "NEW"), ("TRADE", "FILLED")]
    told = reports[1]
    fields = set("eEscSofqpPFgCxXrilzLnNTtIwmMOZYQWV")
    assert set(told) == fields
    assert (told["l"], told["L"], told["z"], told["Z"], told["Y"]) == (
        "0.50000000",
        "101.00000000",
        "0.50000000",
        "50.50000000",
        "50.50000000",
    )
    assert (told["n"], told["N"], told["m"], told["w"]) == ("0.00050000", "BTC", False, False)
    assert told["T"] == NOON // MS + 1000
    assert set(reports[0]) == fields
    assert (reports[0]["n"], reports[0]["N"], reports[0]["t"]) == ("0", None, -1)


def test_a_resting_order_that_is_hit_by_the_market_is_told(desk):
    desk.ask_signed("userDataStream.subscribe.signature")
    desk.ask_signed("order.place", **limit_order())
    desk.pushed.clear()
    desk.see(trade(2, 97.0, 5.0, at=2 * SECOND, side=2))
    assert desk.kinds() == ["executionReport", "outboundAccountPosition"]
    report = desk.pushed[0][1]["event"]
    assert (report["x"], report["X"], report["m"], report["L"]) == ("TRADE", "FILLED", True, "98.00000000")


def test_a_cancel_names_the_order_it_cancels(desk):
    desk.ask_signed("order.place", **limit_order(newClientOrderId="mine"))
    desk.ask_signed("userDataStream.subscribe.signature")
    desk.ask_signed("order.cancel", symbol="BTCUSDT", origClientOrderId="mine", newClientOrderId="the-cancel")
    report = desk.pushed[0][1]["event"]
    assert (report["x"], report["X"], report["c"], report["C"]) == (
        "CANCELED",
        "CANCELED",
        "the-cancel",
        "mine",
    )


def test_lists_and_transfers_are_told(desk):
    desk.ask_signed("userDataStream.subscribe.signature")
    desk.ask_signed(
        "orderList.place.oco",
        symbol="BTCUSDT",
        side="SELL",
        quantity="0.5",
        aboveType="LIMIT_MAKER",
        abovePrice="110.00",
        belowType="STOP_LOSS",
        belowStopPrice="90.00",
    )
    assert sorted(desk.kinds()) == [
        "executionReport",
        "executionReport",
        "listStatus",
        "outboundAccountPosition",
    ]
    status = next(body["event"] for kind, body in desk.pushed if kind == "listStatus")
    assert (status["c"], status["l"], status["L"], len(status["O"])) == (
        "OCO",
        "EXEC_STARTED",
        "EXECUTING",
        2,
    )
    desk.pushed.clear()
    desk.exchange.transfer("BTC", Decimal("-0.25"))
    assert sorted(desk.kinds()) == ["balanceUpdate", "outboundAccountPosition"]
    update = next(body["event"] for kind, body in desk.pushed if kind == "balanceUpdate")
    assert (update["a"], update["d"]) == ("BTC", "-0.25000000")


def test_only_who_is_logged_on_subscribes_without_a_signature(desk):
    assert desk.ask("userDataStream.subscribe")["error"]["code"] == -1002
    desk.ask_signed("session.logon")
    assert desk.ask("userDataStream.subscribe")["result"] == {"subscriptionId": 0}
    assert desk.ask("session.status")["result"]["userDataStream"] is True


def test_one_connection_has_one_subscription_at_a_time(desk):
    desk.ask_signed("userDataStream.subscribe.signature")
    assert desk.ask_signed("userDataStream.subscribe.signature")["error"]["code"] == -2035
    assert desk.ask("userDataStream.unsubscribe", subscriptionId=4)["error"]["code"] == -2036
    assert desk.ask("userDataStream.unsubscribe", subscriptionId=0)["result"] == {}
    assert desk.ask("userDataStream.unsubscribe")["error"]["code"] == -2036
    desk.ask_signed("order.place", **limit_order())
    assert desk.pushed == []
    assert desk.ask_signed("userDataStream.subscribe.signature")["result"] == {"subscriptionId": 1}
    assert desk.ask("userDataStream.unsubscribe")["result"] == {}


def test_after_closing_nothing_is_told(desk):
    desk.ask_signed("userDataStream.subscribe.signature")
    listeners = len(desk.exchange.listeners)
    desk.session.close()
    assert len(desk.exchange.listeners) == listeners - 1
    desk.exchange.transfer("BTC", Decimal(1))
    assert desk.pushed == []


def test_a_stream_can_be_terminated_by_the_exchange(desk):
    desk.ask_signed("userDataStream.subscribe.signature")
    desk.session.terminate()
    desk.session.terminate()
    assert desk.pushed == [
        (
            "eventStreamTerminated",
            {"subscriptionId": 0, "event": {"e": "eventStreamTerminated", "E": NOON // MS + 1000}},
        )
    ]
    assert not desk.session.is_subscribed
    desk.exchange.transfer("BTC", Decimal(1))
    assert len(desk.pushed) == 1
    assert desk.ask_signed("userDataStream.subscribe.signature")["result"] == {"subscriptionId": 1}


def test_two_connections_are_told_the_same(desk):
    first = desk.session
    desk.ask_signed("userDataStream.subscribe.signature")
    desk.session = desk.connect()
    desk.ask_signed("userDataStream.subscribe.signature")
    desk.exchange.transfer("BTC", Decimal(1))
    assert desk.kinds() == ["balanceUpdate"] * 2 + ["outboundAccountPosition"] * 2
    first.close()
    desk.pushed.clear()
    desk.exchange.transfer("BTC", Decimal(1))
    assert desk.kinds() == ["balanceUpdate", "outboundAccountPosition"]


def test_on_the_socket_of_a_listen_key_events_come_bare(desk):
    key = desk.ask("userDataStream.start", apiKey=KEYS.api_key)["result"]["listenKey"]
    told = []
    session = MarketSession(
        desk.public,
        f"/ws/{key}",
        "",
        lambda kind, text: told.append((kind, json.loads(text))),
        account_opener(desk.exchange, desk.dispatcher.listen_keys.is_valid),
    )
    desk.exchange.transfer("BTC", Decimal(1))
    session.close()
    desk.exchange.transfer("BTC", Decimal(1))
    assert [(kind, body["e"]) for kind, body in told] == [
        ("balanceUpdate", "balanceUpdate"),
        ("outboundAccountPosition", "outboundAccountPosition"),
    ]


def test_a_key_that_is_none_opens_nothing(desk):
    opener = account_opener(desk.exchange, desk.dispatcher.listen_keys.is_valid)
    before = len(desk.exchange.listeners)
    assert opener("nokey", lambda kind, text: None) is None
    assert len(desk.exchange.listeners) == before
