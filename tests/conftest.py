"""For every test: a user without settings or keys of their own."""

import decimal
from collections.abc import Iterator
from pathlib import Path

import pytest


@pytest.fixture(scope="session", autouse=True)
def nobody(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The folder of settings is an empty one, here and in every program that a test starts."""
    with pytest.MonkeyPatch.context() as patch:
        folder = tmp_path_factory.mktemp("config")
        patch.setenv("XDG_CONFIG_HOME", str(folder))
        patch.delenv("CREDENTIALS_DIRECTORY", raising=False)
        patch.setenv("PYTHON_KEYRING_BACKEND", "keyring.backends.fail.Keyring")
        yield folder


@pytest.fixture(autouse=True)
def usual_arithmetic() -> Iterator[None]:
    """ccxt sets the rounding of the thread that it is used in, for good; no test is to hear of another's."""
    with decimal.localcontext(decimal.Context()):
        yield
