"""A sandboxed exchange for tests: as a program of its own, or in the test's own event loop; ends only itself.

    with Sandbox("--seed", "3") as exchange: …          a program, as users start it
    async with Sandbox() as exchange: …                 the same
    async with InProcessSandbox(seed=3) as exchange: …  here, and its insides can be looked at

All have `url`, `ws_url`, `key`, `secret`, and the controls: `chaos`, `truth`, `fill`, `move` and so on.
"""

import asyncio
import json
import os
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from quantcli import clock
from quantcli.sandbox import assembly
from quantcli.sandbox.doors import sockets

_MAIN = "import sys; from quantcli.cli.app import main; sys.argv[0] = 'quant'; main()"
_PATIENCE_S = 20


class Controls:
    """What a test can ask of a sandbox and do to it; raises `AssertionError` with its complaint."""

    told: dict[str, str]

    def ask(self, method: str, name: str, body: Mapping[str, Any] | None = None) -> Any:
        """One request to `/sandbox/<name>`."""
        raise NotImplementedError

    @property
    def url(self) -> str:
        """Of REST."""
        return self.told["url"]

    @property
    def ws_url(self) -> str:
        """Of websockets, without a path."""
        return self.told["ws_url"]

    @property
    def key(self) -> str:
        """The account's API key."""
        return self.told["api_key"]

    @property
    def secret(self) -> str:
        """… and its secret."""
        return self.told["secret"]

    def chaos(self, *rules: Mapping[str, Any], seed: int | None = None) -> None:
        """Put these fault rules in force, in place of all others; none: no faults any more."""
        self.ask("POST", "chaos", {"rule": list(rules)} | ({} if seed is None else {"seed": seed}))

    def strikes(self) -> list[dict[str, Any]]:
        """What chaos did so far."""
        found: list[dict[str, Any]] = self.ask("GET", "chaos")["strikes"]
        return found

    def truth(self) -> dict[str, Any]:
        """Every order, fill and balance as it really is."""
        found: dict[str, Any] = self.ask("GET", "truth")
        return found

    def orders(self) -> list[dict[str, Any]]:
        """Every order there ever was."""
        found: list[dict[str, Any]] = self.truth()["orders"]
        return found

    def calls(self) -> dict[str, int]:
        """How often each endpoint was called."""
        found: dict[str, int] = self.ask("GET", "calls")
        return found

    def fill(self, order_id: int | None = None, qty: str | None = None) -> None:
        """Fill a resting order, or all of them, by hand."""
        one = {"orderId": order_id} | ({} if qty is None else {"qty": qty})
        self.ask("POST", "fill", {"all": True} if order_id is None else one)

    def cancel(self, order_id: int) -> None:
        """Cancel an order as if on the exchange's web page."""
        self.ask("POST", "cancel", {"orderId": order_id})

    def place(self, symbol: str, side: str, quantity: str, price: str | None = None) -> int:
        """Place an order as if by somebody else; its number."""
        terms = {"symbol": symbol, "side": side, "quantity": quantity, "price": price}
        found: int = self.ask("POST", "order", terms)["orderId"]
        return found

    def move(self, symbol: str, bid: str, ask: str) -> None:
        """Take a synthetic market to these prices."""
        self.ask("POST", "quote", {"symbol": symbol, "bid": bid, "ask": ask})

    def transfer(self, asset: str, amount: str) -> None:
        """Let an amount come, or go."""
        self.ask("POST", "transfer", {"asset": asset, "amount": amount})

    def jump(self, seconds: float) -> None:
        """Set the exchange's clock forward, or back."""
        self.ask("POST", "clock", {"jump_s": seconds})

    def disconnect(self, kind: str = "all") -> None:
        """Close websockets: "user", "market" or "all"."""
        self.ask("POST", "disconnect", {"kind": kind})

    def feed(self, **steps: Any) -> dict[str, Any]:
        """Steer the market data (`start=True`, `speed=10`); how it is."""
        found: dict[str, Any] = self.ask("POST", "feed", steps)
        return found


class Sandbox(Controls):
    """`quant sandbox binance WORDS…` as a program of its own."""

    def __init__(self, *words: str, cwd: Path | None = None) -> None:
        self._words = words
        self._cwd = cwd
        self._process: subprocess.Popen[str] | None = None

    def ask(self, method: str, name: str, body: Mapping[str, Any] | None = None) -> Any:
        """One request to `/sandbox/<name>`."""
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(f"{self.url}/sandbox/{name}", data, method=method)
        try:
            with urllib.request.urlopen(request, timeout=_PATIENCE_S) as answer:
                return json.load(answer)
        except urllib.error.HTTPError as error:
            raise AssertionError(error.read().decode()) from None

    @property
    def pid(self) -> int:
        """The program's number."""
        assert self._process is not None
        return self._process.pid

    def start(self) -> None:
        """Start it and read where it is; its narration goes where the test's own does."""
        environment = {k: v for k, v in os.environ.items() if not k.startswith("QUANT")}
        self._process = subprocess.Popen(
            [sys.executable, "-c", _MAIN, "sandbox", "binance", *self._words],
            stdout=subprocess.PIPE,
            text=True,
            cwd=self._cwd,
            env=environment,
        )
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        assert line, f"the sandbox did not start: exit code {self._process.wait()}"
        self.told = json.loads(line)

    def stop(self, number: int = signal.SIGTERM) -> int:
        """Send a signal and wait; the exit code."""
        process = self._process
        if process is None:
            return 0
        process.send_signal(number)
        try:
            return process.wait(_PATIENCE_S)
        except subprocess.TimeoutExpired:
            process.kill()
            raise
        finally:
            assert process.stdout is not None
            process.stdout.close()
            self._process = None

    def kill(self) -> None:
        """End it without a chance to say anything."""
        self.stop(signal.SIGKILL)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    async def __aenter__(self) -> Self:
        await asyncio.to_thread(self.start)
        return self

    async def __aexit__(self, *_: object) -> None:
        await asyncio.to_thread(self.stop)


class InProcessSandbox(Controls):
    """The same exchange in this event loop; options are those of `assembly.Options`."""

    def __init__(self, timing: type[sockets.Timing] = sockets.Timing, **options: Any) -> None:
        self._timing = timing
        self._options = assembly.Options(**options)

    def ask(self, method: str, name: str, body: Mapping[str, Any] | None = None) -> Any:
        """One request to `/sandbox/<name>`, without the way through a socket."""
        text = "" if body is None else json.dumps(body)
        reply = self.inside.control.answer(method, f"/sandbox/{name}", text)
        assert reply.status == 200, reply.body.decode()
        return json.loads(reply.body)

    async def __aenter__(self) -> Self:
        self.inside = assembly.Sandbox(self._options, clock.WallClock(), self._timing)
        self.told = await self.inside.open()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.inside.close()
