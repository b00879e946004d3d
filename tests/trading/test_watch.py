"""Trading ends when a limit is broken by the market alone, or when somebody else says so."""

from quantcli.clock import NS_PER_S
from quantcli.store.halt import HaltFlag, KillLevel
from quantcli.trading.watch import Watch


def test_a_loss_by_the_mark_ends_trading_once_and_for_good() -> None:
    losses = [None, "lost 12 USDT", "lost 13 USDT", None]
    halt = HaltFlag(None)
    watch = Watch(halt, losses.copy().__iter__().__next__, 0)
    assert [watch.look(i * NS_PER_S) for i in range(4)] == [False, True, False, False]
    assert (halt.level, halt.reason) == (KillLevel.CANCEL_ALL, "lost 12 USDT")
    assert watch.due_ns == 4 * NS_PER_S


def test_a_halt_raised_elsewhere_is_acted_on_again_after_a_resume() -> None:
    halt = HaltFlag(None)
    watch = Watch(halt, lambda: None, 0)
    halt.raise_to(KillLevel.HALT_NEW, "careful", 0)
    assert not watch.look(0), "resting orders stay while only new exposure is halted"
    halt.raise_to(KillLevel.CANCEL_ALL, "out", 1)
    assert [watch.look(1), watch.look(2)] == [True, False]
    halt.clear()
    assert not watch.look(3)
    halt.raise_to(KillLevel.CANCEL_ALL, "out again", 4)
    assert watch.look(4)
