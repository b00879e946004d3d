"""Error answers: total, never definitive where a code is unknown, and right about real payloads."""

import json
from pathlib import Path

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from quantcli.model.message import Asked, Refused
from quantcli.venues.classify import ErrorRule, Meaning, classify
from quantcli.venues.manifest import exchanges, load

DATA = Path(__file__).resolve().parents[2] / ".." / "shared" / "data"
MANIFESTS = [
    load(exchange, market)
    for exchange in exchanges()
    for market in ("spot", "futures")
    if (exchange, market) != ("coinbase", "futures")
]
AMBIGUOUS, FINAL, BUSY = Meaning.AMBIGUOUS, Meaning.FINAL, Meaning.BUSY
manifests = st.sampled_from(MANIFESTS)
requests = st.sampled_from(Asked)
codes = st.one_of(
    st.none(),
    st.integers(),
    st.text(),
    st.sampled_from([code for each in MANIFESTS for rule in each.errors for code in rule.codes]),
)
statuses = st.one_of(st.none(), st.integers(0, 999))


def told(exchange, asked, code, message="", status=400, market="spot"):
    return classify(load(exchange, market).errors, Asked(asked), status, code, message)


@given(manifests, requests, statuses, codes, st.text())
def test_every_answer_means_something_that_fits_the_request(manifest, asked, status, code, message):
    meaning = classify(manifest.errors, asked, status, code, message)
    fitting = {
        Asked.PLACE: {FINAL, BUSY, Meaning.EXISTS, AMBIGUOUS},
        Asked.AMEND: {FINAL, BUSY, Meaning.UNKNOWN_ORDER, AMBIGUOUS},
        Asked.CANCEL: {BUSY, Meaning.UNKNOWN_ORDER, AMBIGUOUS},
        Asked.LOOKUP: {Meaning.ABSENT, AMBIGUOUS},
    }
    assert meaning in fitting[asked]


@given(manifests, requests, statuses, st.one_of(st.integers(), st.text()), st.text())
def test_what_no_rule_names_is_ambiguous(manifest, asked, status, code, message):
    text = f"{code} {message}".casefold()
    for rule in manifest.errors:
        assume(not any(str(code) == known or str(code).startswith(known + ":") for known in rule.codes))
        assume(not (rule.contains and rule.contains.casefold() in text))
    assert classify(manifest.errors, asked, status, code, message) is AMBIGUOUS


@given(manifests, requests, st.one_of(st.integers(500, 599), st.sampled_from([301, 302, 403, 408])), codes)
def test_a_status_of_the_way_says_nothing_whatever_the_body(manifest, asked, status, code):
    for rule in manifest.errors:
        assert classify(manifest.errors, asked, status, code, rule.contains) is AMBIGUOUS


@given(manifests, requests, statuses)
def test_a_body_that_is_not_the_exchanges_says_nothing(manifest, asked, status):
    for rule in manifest.errors:
        assert classify(manifest.errors, asked, status, None, rule.contains) is AMBIGUOUS


@pytest.mark.parametrize("manifest", MANIFESTS, ids=lambda each: f"{each.exchange}-{each.market}")
def test_every_rule_counts_somewhere(manifest):
    for rule in manifest.errors:
        probes = [(code, rule.contains) for code in rule.codes or ("",)]
        assert all(
            any(classify(manifest.errors, asked, 200, code, text) is rule.means for asked in Asked)
            for code, text in probes
        ), rule


def test_the_kind_of_refusal_is_the_kernels():
    assert [Meaning(kind.value).refused for kind in Refused] == list(Refused)
    assert Meaning.ABSENT.refused is None
    assert AMBIGUOUS.refused is None


def test_of_several_rules_the_first_counts():
    narrow = ErrorRule(Meaning.EXISTS, "a page", ("7",), "taken")
    wide = ErrorRule(Meaning.FINAL, "a page", ("7",))
    assert classify([narrow, wide], Asked.PLACE, 400, 7, "Taken.") is Meaning.EXISTS
    assert classify([narrow, wide], Asked.PLACE, 400, 7, "too big") is FINAL
    assert classify([wide, narrow], Asked.PLACE, 400, 7, "Taken.") is FINAL


@pytest.mark.parametrize(
    ("exchange", "market", "asked", "code", "message", "means"),
    [
        ("binance", "spot", "place", -2010, "Duplicate order sent.", Meaning.EXISTS),
        ("binance", "spot", "place", -2010, "Account has insufficient balance.", FINAL),
        ("binance", "spot", "place", -1008, "Server is currently overloaded", BUSY),
        ("binance", "spot", "place", -1021, "Timestamp is outside of the recvWindow.", BUSY),
        ("binance", "spot", "place", -1006, "", AMBIGUOUS),
        ("binance", "spot", "place", -1007, "", AMBIGUOUS),
        ("binance", "spot", "place", -9999, "", AMBIGUOUS),
        ("binance", "spot", "cancel", -2011, "Unknown order sent.", Meaning.UNKNOWN_ORDER),
        ("binance", "spot", "cancel", -2011, "Order was not canceled due to cancel restrictions.", AMBIGUOUS),
        ("binance", "spot", "cancel", -2015, "Invalid API-key", AMBIGUOUS),
        ("binance", "spot", "lookup", -2013, "Order does not exist.", Meaning.ABSENT),
        ("binance", "spot", "lookup", -1003, "Too many requests", AMBIGUOUS),
        ("binance", "futures", "place", -4116, "clientOrderId is duplicated", Meaning.EXISTS),
        ("binance", "futures", "place", -2022, "ReduceOnly Order is rejected.", FINAL),
        ("binance", "spot", "place", -2022, "Order cancel-replace failed.", AMBIGUOUS),
        ("binance", "futures", "place", -5028, "", BUSY),
        ("okx", "spot", "place", "51016", "", Meaning.EXISTS),
        ("okx", "spot", "place", "51000", "Parameter clOrdId error", AMBIGUOUS),
        ("okx", "spot", "place", "51000", "Parameter sz error", FINAL),
        ("okx", "spot", "place", "1", "All operations failed", AMBIGUOUS),
        ("okx", "futures", "place", "50004", "", AMBIGUOUS),
        ("okx", "futures", "place", "51149", "", AMBIGUOUS),
        ("okx", "futures", "cancel", "51402", "", Meaning.UNKNOWN_ORDER),
        ("okx", "futures", "amend", "51503", "", Meaning.UNKNOWN_ORDER),
        ("okx", "futures", "cancel", "50013", "", BUSY),
        ("okx", "futures", "place", "50013", "", AMBIGUOUS),
        ("okx", "spot", "lookup", "51603", "", Meaning.ABSENT),
        ("bybit", "futures", "place", 110072, "OrderLinkedID is duplicate", Meaning.EXISTS),
        ("bybit", "spot", "place", 170141, "Duplicate clientOrderId", Meaning.EXISTS),
        ("bybit", "spot", "place", 170146, "Order creation timeout", AMBIGUOUS),
        ("bybit", "futures", "place", 0, "OK", AMBIGUOUS),
        ("bybit", "futures", "cancel", 110001, "", Meaning.UNKNOWN_ORDER),
        ("bybit", "futures", "lookup", 110001, "", Meaning.ABSENT),
        (
            "hyperliquid",
            "futures",
            "cancel",
            "",
            "Order was never placed, already canceled, or filled.",
            Meaning.UNKNOWN_ORDER,
        ),
        ("hyperliquid", "spot", "lookup", "", "unknownOid", Meaning.ABSENT),
        ("coinbase", "spot", "cancel", "UNKNOWN_CANCEL_ORDER", "", Meaning.UNKNOWN_ORDER),
        ("kraken", "spot", "cancel", "EOrder:Unknown order", "", Meaning.UNKNOWN_ORDER),
        ("kraken", "spot", "lookup", "EOrder:Unknown order", "", Meaning.ABSENT),
        ("kraken", "spot", "place", "EGeneral:Invalid arguments:volume", "", FINAL),
        ("kraken", "spot", "place", "EGeneral:Invalid arguments:cl_ord_id", "", AMBIGUOUS),
        ("kraken", "spot", "place", "EService:Deadline elapsed", "", AMBIGUOUS),
        ("kraken", "futures", "place", "clientOrderIdAlreadyExist", "", Meaning.EXISTS),
    ],
)
def test_what_is_written_of_an_error_is_what_it_means(exchange, market, asked, code, message, means):
    assert told(exchange, asked, code, message, market=market) is means


def of_hyperliquid(reply):
    answer = reply["response"]
    return "", answer if isinstance(answer, str) else answer["data"]["statuses"][0]["error"]


def of_okx(reply):
    order = (reply.get("data") or [{"sCode": reply["code"], "sMsg": reply["msg"]}])[0]
    return order["sCode"], order["sMsg"]


# Where code and text of a placement's error stand, as each exchange's adapter will find them.
CODE_AND_TEXT = {
    "binance": lambda reply: (reply["code"], reply["msg"]),
    "bybit": lambda reply: (reply["retCode"], reply["retMsg"]),
    "coinbase": lambda reply: (reply["error_response"]["error"], reply["error_response"]["message"]),
    "hyperliquid": of_hyperliquid,
    "kraken": lambda reply: (reply["error"][0], ""),
    "okx": of_okx,
}


def code_and_text(exchange, body):
    try:
        return CODE_AND_TEXT[exchange](json.loads(body))
    except json.JSONDecodeError:
        return None, body


# What each recorded or documented error body means in answer to a placement; the key is in its text.
RECORDED = {
    "binance": {
        '"code":-1021': BUSY,
        '"code":-1003': BUSY,
        '"code":-1013': FINAL,
        '"code":-2010': FINAL,
        '"code":-1121': FINAL,
        '"code":-1007': AMBIGUOUS,
        "CloudFront": AMBIGUOUS,
    },
    "okx": {"51008": FINAL, "50011": BUSY, "60014": AMBIGUOUS, "50113": FINAL},
    "bybit": {"140007": AMBIGUOUS, "10002": BUSY, "10001": FINAL},
    "hyperliquid": {
        "does not exist": AMBIGUOUS,
        "minimum value": FINAL,
        "tick size": FINAL,
        "Insufficient margin": FINAL,
        "could not immediately match": FINAL,
    },
    "coinbase": {"INSUFFICIENT_FUND": FINAL},
    "kraken": {
        "Invalid nonce": BUSY,
        "Invalid key": FINAL,
        "Insufficient funds": FINAL,
        "EAPI:Rate limit": BUSY,
        "EOrder:Rate limit": BUSY,
        "EService:Unavailable": AMBIGUOUS,
        "EService:Busy": AMBIGUOUS,
        "Unknown order": AMBIGUOUS,
        "minimum not met": FINAL,
        "Temporary lockout": BUSY,
    },
}


@pytest.mark.skipif(not DATA.exists(), reason="the recorded error bodies are not here")
@pytest.mark.parametrize("exchange", sorted(RECORDED))
def test_recorded_error_bodies_are_understood(exchange):
    known = dict(RECORDED[exchange])
    for line in (DATA / exchange / "errors.jsonl").read_text(encoding="utf-8").splitlines():
        record = json.loads(line)
        sign = next(sign for sign in known if sign in record["raw"])
        code, text = code_and_text(exchange, record["raw"])
        meaning = told(exchange, "place", code, text, record["http_status"])
        assert meaning is known[sign], record["raw"]
