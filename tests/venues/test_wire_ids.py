"""Client order ids on the wire: they read back, fit every exchange, and a stranger's is never ours."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quantcli.errors import InvariantError
from quantcli.kernel import identity
from quantcli.model.venue import IdForm
from quantcli.store.api import Identity
from quantcli.venues.ids import spell, unspell
from quantcli.venues.manifest import exchanges, load

MARKETS = [
    load(exchange, market)
    for exchange in exchanges()
    for market in ("spot", "futures")
    if (exchange, market) != ("coinbase", "futures")
]
identities = st.builds(
    Identity,
    st.integers(0, 2**16 - 1),
    st.integers(0, 2**48 - 1),
    st.binary(min_size=32, max_size=32),
    st.just(1),
)
minted = st.builds(
    lambda who, counter, attempt: (who, identity.mint(who, identity.intent_id(who, counter), attempt)),
    identities,
    st.integers(1, identity.MAX_COUNTER),
    st.integers(1, identity.MAX_ATTEMPT),
)
forms = st.sampled_from(IdForm)
strangers = st.one_of(
    st.text(),
    st.from_regex(r"[0-9a-f]{32}", fullmatch=True),
    st.from_regex(r"0x[0-9a-f]{32}", fullmatch=True),
    st.uuids().map(str),
)


@given(minted, forms)
def test_an_id_reads_back_through_every_form(mint, form):
    who, client_order_id = mint
    assert unspell(spell(client_order_id, form), form) == client_order_id
    assert identity.read(who, unspell(spell(client_order_id, form), form)) is not None


@given(minted)
def test_every_id_fits_every_exchange(mint):
    _, client_order_id = mint
    for manifest in MARKETS:
        assert manifest.ids.fits(spell(client_order_id, manifest.contract.id_form)), manifest.exchange


@given(minted, forms, strangers)
def test_a_strangers_id_is_never_taken_for_ours(mint, form, stranger):
    who, client_order_id = mint
    text = unspell(stranger, form)
    if text is not None and text != client_order_id:
        assert spell(text, form) == stranger.lower()
        assert identity.read(who, text) is None  # but for one in 2^40 of those that look like ids


@given(minted, st.integers(0, 127))
def test_one_flipped_bit_is_a_strangers(mint, bit):
    who, client_order_id = mint
    flipped = f"{int(client_order_id, 16) ^ 1 << bit:032x}"
    assert identity.read(who, flipped) is None


@given(minted, minted)
def test_another_instances_id_is_a_strangers(ours, theirs):
    if ours[0].key != theirs[0].key:
        assert identity.read(ours[0], theirs[1]) is None


@pytest.mark.parametrize(
    ("form", "spelt"),
    [
        (IdForm.HEX, "00112233445566778899aabbccddeeff"),
        (IdForm.HEX_0X, "0x00112233445566778899aabbccddeeff"),
        (IdForm.UUID, "00112233-4455-6677-8899-aabbccddeeff"),
    ],
)
def test_the_spellings(form, spelt):
    assert spell("00112233445566778899aabbccddeeff", form) == spelt


@pytest.mark.parametrize(
    ("text", "form"),
    [
        ("00112233445566778899AABBCCDDEEFF", IdForm.HEX),  # text: case tells two orders apart
        ("00112233445566778899aabbccddeeff\n", IdForm.HEX),
        ("00112233445566778899aabbccddeeff", IdForm.HEX_0X),
        ("00112233445566778899aabbccddeeff", IdForm.UUID),
        ("0011223344556677-8899-aabb-ccddeeff", IdForm.UUID),
        ("web_00112233", IdForm.HEX),
        ("", IdForm.UUID),
    ],
)
def test_what_we_cannot_have_spelt_is_somebody_elses(text, form):
    assert unspell(text, form) is None


def test_an_exchange_may_show_a_number_in_capitals():
    assert unspell("00112233-4455-6677-8899-AABBCCDDEEFF", IdForm.UUID) == "00112233445566778899aabbccddeeff"


@pytest.mark.parametrize("text", ["", "abc", "0" * 31, "G" * 32, "A" * 32])
def test_only_the_kernels_own_ids_are_spelt(text):
    with pytest.raises(InvariantError):
        spell(text, IdForm.HEX)
