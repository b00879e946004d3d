"""How a program is asked to stop from outside: in good order at the first signal, at once at the second."""

import asyncio
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from quantcli.cli.output import note


@contextmanager
def stop_signals(stop: Callable[[], None]) -> Iterator[None]:
    """While this lasts, the first signal calls `stop`, the second raises `KeyboardInterrupt`.

    Handlers of the interpreter's own, not the event loop's: they come through while a hook is stuck.
    """
    loop = asyncio.get_running_loop()
    asked = False

    def begin_to_stop() -> None:
        stop()
        note("stopping in good order; interrupt again to leave at once")

    def on_signal(number: int, _: object) -> None:
        nonlocal asked
        if asked:
            raise KeyboardInterrupt
        asked = True
        loop.call_soon_threadsafe(begin_to_stop)

    numbers = [signal.SIGINT, signal.SIGTERM]
    if hasattr(signal, "SIGHUP") and signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:  # nohup's
        numbers.append(signal.SIGHUP)
    before = {number: signal.signal(number, on_signal) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
