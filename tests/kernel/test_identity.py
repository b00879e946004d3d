"""Ids: never the same twice, readable backwards, and nobody else's taken for ours."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quantcli.errors import InvariantError
from quantcli.kernel.identity import MAX_ATTEMPT, MAX_COUNTER, intent_id, mint, read
from quantcli.store.api import Identity

identities = st.builds(
    Identity,
    tag=st.integers(0, 2**16 - 1),
    nonce=st.integers(0, 2**48 - 1),
    key=st.binary(min_size=1, max_size=32),
    epoch=st.integers(0, 2**20),
)


@given(identities, st.integers(1, MAX_COUNTER), st.integers(1, MAX_ATTEMPT))
def test_an_id_tells_its_intent_and_attempt(identity, counter, attempt):
    wish = intent_id(identity, counter)
    client_id = mint(identity, wish, attempt)
    assert len(wish) == 20
    assert len(client_id) == 32
    assert read(identity, client_id) == (wish, attempt)


@given(st.integers(0, 127))
def test_an_id_with_any_bit_changed_is_not_ours(bit):
    identity = Identity(0xBEEF, 0x1234_5678_9ABC, b"key", 3)
    client_id = mint(identity, intent_id(identity, 1), 1)
    assert read(identity, f"{int(client_id, 16) ^ 1 << bit:032x}") is None


@given(st.text(max_size=40))
def test_any_other_text_is_not_ours(identity_text):
    assert read(Identity(1, 2, b"key", 3), identity_text) is None


def test_an_id_in_another_spelling_is_not_ours(identity):
    client_id = mint(identity, intent_id(identity, 0xABCDEF), 1)
    assert read(identity, client_id.upper()) is None
    assert read(identity, f" {client_id}") is None


def test_another_instance_is_not_ours(identity):
    client_id = mint(identity, intent_id(identity, 1), 1)
    assert read(Identity(identity.tag, identity.nonce, b"other", identity.epoch), client_id) is None
    assert read(Identity(identity.tag ^ 1, identity.nonce, identity.key, identity.epoch), client_id) is None


@given(identities, st.integers(1, MAX_COUNTER), st.integers(1, MAX_COUNTER), st.integers(1, 1000))
def test_no_restart_uses_an_id_again(identity, before, after, restarts):
    later = Identity(identity.tag, identity.nonce, identity.key, identity.epoch + restarts)
    assert intent_id(identity, before) != intent_id(later, after)


def test_ids_made_later_sort_later(identity):
    restarted = Identity(identity.tag, identity.nonce, identity.key, identity.epoch + 1)
    made = [intent_id(identity, 1), intent_id(identity, 2), intent_id(restarted, 1)]
    assert made == sorted(made)


def test_what_does_not_fit_is_refused(identity):
    for counter in (0, MAX_COUNTER + 1):
        with pytest.raises(InvariantError):
            intent_id(identity, counter)
    for attempt in (0, MAX_ATTEMPT + 1):
        with pytest.raises(InvariantError):
            mint(identity, intent_id(identity, 1), attempt)
