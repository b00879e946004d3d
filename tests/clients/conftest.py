"""One sandbox as a program of its own for all tests here; each test begins and ends without open orders."""

import signal
from collections.abc import Iterator

import pytest

from tests.loopback import Sandbox

OPEN = ("NEW", "PARTIALLY_FILLED")
PLENTY = (
    "--balance",
    "10000000 USDT",
    "--balance",
    "100 BTC",
    "--balance",
    "1000 ETH",
    "--balance",
    "10 BNB",
)


@pytest.fixture(autouse=True)
def bounded() -> Iterator[None]:
    """Clients may wait for ever, and some swallow their cancellation: no test is longer than this."""

    def late(*_: object) -> None:
        raise TimeoutError("a client waits for ever")

    before = signal.signal(signal.SIGALRM, late)
    signal.alarm(90)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


@pytest.fixture(scope="session")
def program() -> Iterator[Sandbox]:
    with Sandbox("--seed", "7", "--tls", *PLENTY) as sandbox:
        yield sandbox


@pytest.fixture
def exchange(program: Sandbox) -> Iterator[Sandbox]:
    yield program
    program.chaos()
    program.feed(speed=1)
    while still := [order for order in program.orders() if order["status"] in OPEN]:
        program.cancel(still[0]["order_id"])


@pytest.fixture
def own_exchange() -> Iterator[Sandbox]:
    """One that the test may use up."""
    with Sandbox("--seed", "8") as sandbox:
        yield sandbox
