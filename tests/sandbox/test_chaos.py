"""Fault plans: what may be written, which calls they strike, and that the same plan gives the same faults."""

from pathlib import Path
from typing import Any

import pytest

from quantcli.clock import NS_PER_S, VirtualClock
from quantcli.errors import ConfigError
from quantcli.sandbox.faults.chaos import PASSES, Chaos, altered
from quantcli.sandbox.faults.rules import FAULTS, FaultPlan, load_plan, read_plan

PLACE = "POST /api/v3/order"
KNOWN = (PLACE, "GET /api/v3/order", "DELETE /api/v3/order", "ws order.place")
T0 = 1_763_630_042 * NS_PER_S


def chaos_of(*rules: dict[str, Any], seed: int = 7, clock: VirtualClock | None = None) -> Chaos:
    return Chaos(read_plan({"rule": list(rules)}, KNOWN), seed, clock or VirtualClock(T0))


def struck(chaos: Chaos, calls: int, name: str = PLACE, **params: str) -> list[int]:
    """The numbers of the calls that met a fault."""
    return [n for n in range(1, calls + 1) if chaos.call(name, params) is not PASSES]


@pytest.mark.parametrize(
    ("conditions", "expected"),
    [
        ({}, [1, 2, 3, 4, 5, 6]),
        ({"calls": [3, 5]}, [3, 5]),
        ({"every": 4}, [4]),
        ({"until": 2}, [1, 2]),
        ({"every": 2, "until": 4}, [2, 4]),
        ({"chance": 0.0}, []),
    ],
)
def test_a_rule_strikes_the_calls_it_names(conditions, expected):
    assert struck(chaos_of({"on": PLACE, "fault": "lost_answer", **conditions}), 6) == expected


def test_a_glob_takes_in_every_name_it_covers_and_counts_them_together():
    chaos = chaos_of({"on": "* /api/v3/order", "fault": "empty", "calls": [2]})
    assert chaos.call(PLACE, {}) is PASSES
    assert chaos.call("GET /api/v3/ticker", {}) is PASSES
    assert chaos.call("DELETE /api/v3/order", {}).ending.fault == "empty"


def test_each_order_is_hit_once_and_its_repetition_is_spared():
    chaos = chaos_of({"on": PLACE, "fault": "status", "status": 504, "once_per": "newClientOrderId"})
    hits = [chaos.call(PLACE, {"newClientOrderId": name}) is not PASSES for name in "abacb"]
    assert hits == [True, True, False, True, False]
    assert chaos.call(PLACE, {}) is PASSES


def test_conditions_on_parameters_narrow_a_rule():
    chaos = chaos_of({"on": PLACE, "fault": "empty", "where": {"type": "LIMIT*", "side": "BUY"}})
    assert chaos.call(PLACE, {"type": "LIMIT_MAKER", "side": "BUY"}).ending is not None
    assert chaos.call(PLACE, {"type": "MARKET", "side": "BUY"}) is PASSES
    assert chaos.call(PLACE, {"side": "BUY"}) is PASSES


def test_chance_is_seeded_and_independent_of_other_rules():
    rule = {"on": PLACE, "fault": "lost_answer", "chance": 0.3}
    alone = struck(chaos_of(rule), 200)
    assert alone == struck(chaos_of(rule), 200)
    assert 30 < len(alone) < 90
    assert alone != struck(chaos_of(rule, seed=8), 200)
    beside = {"on": "GET *", "fault": "html", "chance": 0.5}
    mixed = chaos_of(rule, beside)
    for _ in range(50):
        mixed.call("GET /api/v3/order", {})
    assert struck(mixed, 200) == alone


def test_a_plan_may_bring_its_own_seed():
    plan = read_plan({"seed": 8, "rule": [{"on": PLACE, "fault": "empty", "chance": 0.3}]})
    assert struck(Chaos(plan, 7, VirtualClock(T0)), 100) == struck(Chaos(plan, 9, VirtualClock(T0)), 100)


def test_delays_lag_and_jumps_add_to_the_fault_that_ends_a_call():
    verdict = chaos_of(
        {"on": PLACE, "fault": "delay", "seconds": 0.2},
        {"on": PLACE, "fault": "delay", "seconds": 0.5, "after": True},
        {"on": "*", "fault": "lag", "seconds": 10},
        {"on": PLACE, "fault": "clock", "seconds": -3},
        {"on": PLACE, "fault": "status", "status": 504, "applied": True},
        {"on": PLACE, "fault": "html"},
    ).call(PLACE, {})
    assert (verdict.before_s, verdict.after_s, verdict.lag_s, verdict.jump_s) == (0.2, 0.5, 10, -3)
    assert verdict.ending.status == 504
    assert verdict.ending.applied


def test_a_ban_refuses_every_call_until_it_is_over():
    clock = VirtualClock(T0)
    chaos = chaos_of({"on": PLACE, "fault": "ban", "status": 418, "seconds": 5, "calls": [2]}, clock=clock)
    assert chaos.call(PLACE, {}) is PASSES
    assert chaos.call(PLACE, {}).remaining_s == 5
    clock.advance_to(T0 + 4 * NS_PER_S)
    refused = chaos.call("GET /api/v3/time", {})
    assert (refused.ending.status, refused.remaining_s) == (418, 1)
    assert chaos.connection("/ws-api/v3").ending.fault == "ban"
    clock.advance_to(T0 + 5 * NS_PER_S)
    assert chaos.call("GET /api/v3/time", {}) is PASSES
    assert chaos.log()["refused"] == 2


def test_events_are_dropped_doubled_delayed_and_garbled():
    text = '{"subscriptionId":0,"event":{"e":"executionReport","x":"TRADE","c":"a"}}'
    kind = "user executionReport"

    def pushed(**rule: Any) -> list[Any]:
        return chaos_of({"on": "user *", **rule}).push(kind, text)

    assert pushed(fault="drop") == []
    assert [p.text for p in pushed(fault="duplicate")] == [text, text]
    assert len(pushed(fault="duplicate", count=2)) == 3
    assert [p.delay_s for p in pushed(fault="late", seconds=25)] == [25]
    assert [p.until_next for p in pushed(fault="reorder")] == [True]
    assert [p.text for p in pushed(fault="garbled", bytes=9)] == [text[:9]]
    assert [p.text for p in pushed(fault="garbled", text="{")] == ["{"]
    assert pushed(fault="half_open")[0].ending.fault == "half_open"
    assert '"x":"NEW"' in pushed(fault="alter", set={"event.x": "NEW"})[0].text
    assert [p.text for p in pushed(fault="drop", where={"x": "NEW"})] == [text]
    assert pushed(fault="drop", where={"x": "TRADE"}) == []


def test_one_event_can_meet_several_faults():
    chaos = chaos_of({"on": "user *", "fault": "duplicate"}, {"on": "user *", "fault": "late", "seconds": 2})
    assert [parcel.delay_s for parcel in chaos.push("user executionReport", "{}")] == [2, 2]


def test_a_gap_swallows_as_many_messages_as_it_says_once():
    chaos = chaos_of({"on": "market *@depth*", "fault": "gap", "count": 3, "calls": [2]})
    passed = [n for n in range(1, 8) if chaos.push("market btcusdt@depth", str(n))]
    assert passed == [1, 5, 6, 7]
    assert chaos.push("market btcusdt@trade", "{}")


def test_the_record_tells_what_was_reached_and_when():
    clock = VirtualClock(T0)
    chaos = chaos_of(
        {"on": PLACE, "fault": "lost_answer", "calls": [2]}, {"on": "GET *", "fault": "html"}, clock=clock
    )
    chaos.call(PLACE, {"newClientOrderId": "a"})
    clock.advance_to(T0 + NS_PER_S)
    chaos.call(PLACE, {"newClientOrderId": "b"})
    log = chaos.log()
    assert [(rule["matched"], rule["done"]) for rule in log["rules"]] == [(2, 1), (0, 0)]
    assert log["rules"][0]["first_ms"] == (T0 + NS_PER_S) // 1_000_000
    assert log["strikes"] == [
        {
            "at_ms": (T0 + NS_PER_S) // 1_000_000,
            "rule": 1,
            "fault": "lost_answer",
            "on": PLACE,
            "call": 2,
            "newClientOrderId": "b",
        }
    ]


def test_a_new_plan_begins_to_count_anew_and_ends_a_ban():
    chaos = chaos_of({"on": PLACE, "fault": "ban", "seconds": 60})
    chaos.call(PLACE, {})
    chaos.replace(FaultPlan())
    assert chaos.call(PLACE, {}) is PASSES
    assert chaos.log()["strikes"] == []


def test_whoever_asks_for_ever_new_paths_does_not_fill_the_memory():
    chaos = chaos_of({"on": PLACE, "fault": "empty"})
    for number in range(10_000):
        chaos.call(f"GET /{number}", {})
    assert len(chaos._routes) <= 4096


@pytest.mark.parametrize(
    ("document", "complaint"),
    [
        ([], "a plan is a table"),
        ({"rules": []}, "there is no rules"),
        ({"rule": {}}, "rule is not a list of tables"),
        ({"seed": -1}, "seed"),
        ({"rule": [{"fault": "drop"}]}, "rule 1: on is missing"),
        ({"rule": [{"on": PLACE}]}, "rule 1: fault is missing"),
        ({"rule": [{"on": PLACE, "fault": "lost_anwser"}]}, "rule 1: there is no fault 'lost_anwser'"),
        ({"rule": [{"on": PLACE, "fault": "empty", "evry": 2}]}, "rule 1: empty has no evry"),
        ({"rule": [{"on": PLACE, "fault": "empty", "seconds": 2}]}, "rule 1: empty has no seconds"),
        ({"rule": [{"on": PLACE, "fault": "empty", "calls": [0]}]}, "rule 1: calls"),
        ({"rule": [{"on": PLACE, "fault": "empty", "calls": 3}]}, "rule 1: calls"),
        ({"rule": [{"on": PLACE, "fault": "empty", "chance": 1.5}]}, "rule 1: chance"),
        ({"rule": [{"on": PLACE, "fault": "empty", "every": True}]}, "rule 1: every"),
        ({"rule": [{"on": PLACE, "fault": "delay"}]}, "rule 1: seconds is missing"),
        ({"rule": [{"on": PLACE, "fault": "delay", "seconds": float("nan")}]}, "rule 1: seconds"),
        ({"rule": [{"on": PLACE, "fault": "delay", "seconds": -1}]}, "rule 1: seconds is negative"),
        ({"rule": [{"on": PLACE, "fault": "status", "status": 99}]}, "rule 1: status"),
        ({"rule": [{"on": PLACE, "fault": "lost_answer", "hold": 1}]}, "rule 1: hold"),
        ({"rule": [{"on": PLACE, "fault": "duplicate"}]}, "rule 1: duplicate cannot act on"),
        ({"rule": [{"on": "user *", "fault": "html"}]}, "rule 1: html cannot act on"),
        ({"rule": [{"on": PLACE, "fault": "wrong_id"}]}, "rule 1: wrong_id cannot act on"),
        ({"rule": [{"on": "PSOT /api/v3/order", "fault": "empty"}]}, "is no name"),
        ({"rule": [{"on": "POST /api/v3/oder", "fault": "empty"}]}, "matches nothing here"),
        ({"rule": [{"on": "user executionRepot", "fault": "drop"}]}, "matches nothing here"),
        ({"rule": [{"on": 3, "fault": "drop"}]}, "on names nothing"),
        ({"rule": [{"on": "connect *", "fault": "disconnect", "sockets": "some"}]}, "rule 1: sockets"),
    ],
)
def test_a_plan_that_cannot_be_meant_is_refused(document, complaint):
    with pytest.raises(ConfigError) as refused:
        read_plan(document, KNOWN, "chaos.toml")
    assert refused.value.what.startswith("chaos.toml: ")
    assert complaint in refused.value.what


@pytest.mark.parametrize(
    ("rule", "hint"),
    [
        ({"on": PLACE, "fault": "lost_anwser"}, "lost_answer"),
        ({"on": PLACE, "fault": "empty", "evry": 2}, "every"),
        ({"on": "POST /api/v3/oder", "fault": "empty"}, PLACE),
        ({"on": "user executionRepot", "fault": "drop"}, "user executionReport"),
        ({"on": "conect /ws", "fault": "refuse"}, "connect"),
    ],
)
def test_the_nearest_spelling_is_offered(rule, hint):
    with pytest.raises(ConfigError) as refused:
        read_plan({"rule": [rule]}, KNOWN)
    assert hint in refused.value.todo


@pytest.mark.parametrize("fault", FAULTS)
def test_every_fault_can_be_written_with_what_it_needs(fault):
    on = {"call": "ws order.place", "push": "user *", "connect": "connect *"}
    needed = {"delay": {"seconds": 1}, "ban": {"seconds": 1}, "maintenance": {"seconds": 1}}
    needed |= {"lag": {"seconds": 1}, "clock": {"seconds": -1}, "late": {"seconds": 1}}
    needed |= {"alter": {"set": {"z": "0"}}, "gap": {"count": 2}}
    for moment in FAULTS[fault].moments:
        plan = read_plan({"rule": [{"on": on[moment], "fault": fault, **needed.get(fault, {})}]}, KNOWN)
        assert plan.rules[0].fault == fault


def test_a_plan_is_read_from_toml(tmp_path: Path):
    file = tmp_path / "storm.toml"
    file.write_text('seed = 3\n[[rule]]\non = "POST *"\nfault = "reset"\nbytes = 5\nevery = 2\n')
    plan = load_plan(file, KNOWN)
    assert (plan.seed, plan.rules[0].bytes, plan.rules[0].applied) == (3, 5, True)
    file.write_text("[[rule]\n")
    with pytest.raises(ConfigError, match="cannot be read as TOML"):
        load_plan(file)
    with pytest.raises(ConfigError, match="cannot be read"):
        load_plan(tmp_path / "absent.toml")


def test_altering_spares_what_it_cannot_reach():
    assert altered('{"a":{"b":1}}', {"a.b": 2, "c": 3}) == '{"a":{"b":2},"c":3}'
    assert altered('{"a":1}', {"a.b.c": 2}) == '{"a":1}'
    assert altered("[1]", {"a": 2}) == "[1]"
    assert altered("nonsense", {"a": 2}) == "nonsense"
