"""Manifests: every one is readable, sourced, and claims no more than its own facts bear."""

from importlib.resources import files

import pytest

from quantcli.errors import ConfigError
from quantcli.model.venue import AmendRule, IdForm, Resolution
from quantcli.venues.manifest import Unique, exchanges, load, parse

S = 1_000_000_000
MANIFESTS = [
    load(exchange, market)
    for exchange in exchanges()
    for market in ("spot", "futures")
    if (exchange, market) != ("coinbase", "futures")
]
NAMES = [f"{manifest.exchange}-{manifest.market}" for manifest in MANIFESTS]
every = pytest.mark.parametrize("manifest", MANIFESTS, ids=NAMES)


def text_of(exchange: str) -> str:
    return (files("quantcli.venues") / "manifests" / f"{exchange}.toml").read_text(encoding="utf-8")


def test_there_are_six_exchanges():
    assert exchanges() == ["binance", "bybit", "coinbase", "hyperliquid", "kraken", "okx"]


@every
def test_the_contract_bears_the_name_and_the_ids_form(manifest):
    assert manifest.contract.exchange == manifest.exchange
    assert manifest.contract.id_form is manifest.ids.form


@every
def test_who_proves_has_a_fence_a_probe_and_statements(manifest):
    contract = manifest.contract
    if contract.resolution is Resolution.PROVE:
        assert manifest.fence.parameter
        assert contract.fence_ns > 0
        assert contract.engine_bound_ns > 0
        assert contract.probe
        assert contract.statement
        assert contract.fills_ns > 0


@every
def test_who_resends_never_lets_an_id_occur_twice(manifest):
    if manifest.contract.resolution is Resolution.RESEND:
        assert manifest.ids.unique is Unique.ALWAYS


@every
def test_nothing_is_amended_where_nothing_fences_a_late_amendment(manifest):
    if manifest.contract.resolution is not Resolution.PROVE:
        assert manifest.contract.amend is AmendRule.NONE


@every
def test_what_rests_on_an_unchecked_claim_says_so(manifest):
    assert "queries" in manifest.unverified  # nobody states how far a look-up may lag behind


@pytest.mark.parametrize(
    ("exchange", "market", "resolution", "form"),
    [
        ("binance", "spot", Resolution.PROVE, IdForm.HEX),
        ("binance", "futures", Resolution.HOLD, IdForm.HEX),
        ("okx", "spot", Resolution.PROVE, IdForm.HEX),
        ("bybit", "spot", Resolution.HOLD, IdForm.HEX),
        ("bybit", "futures", Resolution.HOLD, IdForm.HEX),
        ("hyperliquid", "futures", Resolution.PROVE, IdForm.HEX_0X),
        ("coinbase", "spot", Resolution.RESEND, IdForm.UUID),
        ("kraken", "spot", Resolution.PROVE, IdForm.HEX),
        ("kraken", "futures", Resolution.HOLD, IdForm.HEX),
    ],
)
def test_each_exchange_is_resolved_its_own_way(exchange, market, resolution, form):
    contract = load(exchange, market).contract
    assert (contract.resolution, contract.id_form) == (resolution, form)


def test_an_exchange_without_orders_good_till_a_date_ends_none_by_itself():
    assert load("binance").contract.expires is False
    assert load("coinbase").contract.expires is True


def test_durations_become_nanoseconds():
    contract = load("okx").contract
    assert contract.fence_ns == 5 * S
    assert contract.retention_ns == 2 * 3600 * S
    assert contract.replica_lag_ns == 60 * S


def test_orders_that_binance_itself_makes_are_told_by_their_prefix():
    assert load("binance", "futures").foreign_prefixes == (
        "autoclose-",
        "adl_autoclose",
        "settlement_autoclose-",
    )


def test_an_unknown_exchange_is_told_the_known_ones():
    with pytest.raises(ConfigError) as failure:
        load("mtgox")
    assert "kraken" in failure.value.todo


def test_a_market_that_an_exchange_has_not_is_an_error():
    with pytest.raises(ConfigError, match="no futures market on coinbase"):
        load("coinbase", "futures")


@pytest.mark.parametrize(
    ("old", "new", "why"),
    [
        ("native_oco = true", "native_okko = true", "native_okko"),
        ('how = "prove"', 'how = "hope"', "hope"),
        ("probe = true ", 'probe = "yes" ', "bool"),
        ('source = "binance-spot-api-docs errors.md"', 'source = "x"\nfrom = "y"', "from"),
        ('codes = ["-2013", "-2026"]', "codes = []", "names codes or a text"),
        ('means = "exists"', 'means = "exists"\nat = ["cancel"]', "no answer to cancel"),
        ("[market.amend]", "[market.amend", "TOML|Expected"),
        ('parameter = "recvWindow"', 'source = ""\nparameter = "recvWindow"', "source|length|Cannot"),
    ],
)
def test_a_manifest_that_cannot_be_meant_is_refused(old, new, why):
    text = text_of("binance")
    assert old in text
    with pytest.raises(ConfigError) as failure:
        parse(text.replace(old, new, 1), "binance")
    assert any(word in failure.value.why for word in why.split("|"))


def test_every_fact_must_name_its_source():
    text = "\n".join(line for line in text_of("coinbase").splitlines() if not line.startswith("source"))
    with pytest.raises(ConfigError) as failure:
        parse(text, "coinbase")
    assert "source" in failure.value.why
