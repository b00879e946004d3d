"""Trading ends when a limit is broken by the market alone, or when somebody else says so."""

from quantcli.clock import NS_PER_S
from quantcli.store.halt import HaltFlag, KillLevel
from quantcli.trading.watch import Watch


def test_a_loss_by_the_mark_ends_trading_once_and_for_good() -> None:
    losses = [None, "lost 12 USDT", "lost 13 USDT", None]
    halt = HaltFlag(None)
    watch = Watch(halt, losses.copy().__iter__().__next__, 0)
    assert [watch.look(i * NS_PER_S) for i in range(4)] == [None, KillLevel.CANCEL_ALL, None, None]
    assert (halt.level, halt.reason) == (KillLevel.CANCEL_ALL, "lost 12 USDT")
    assert watch.due_ns == 4 * NS_PER_S


def test_each_move_of_the_switch_is_told_once() -> None:
    halt = HaltFlag(None)
    watch = Watch(halt, lambda: None, 0)
    halt.raise_to(KillLevel.HALT_NEW, "careful", 0)
    assert [watch.look(0), watch.look(0)] == [KillLevel.HALT_NEW, None]
    halt.raise_to(KillLevel.CANCEL_ALL, "out", 1)
    assert [watch.look(1), watch.look(2)] == [KillLevel.CANCEL_ALL, None]
    assert watch.reason == "out"
    halt.clear()
    assert watch.look(3) is KillLevel.NONE
    halt.raise_to(KillLevel.FLATTEN, "out again", 4)
    assert watch.look(4) is KillLevel.FLATTEN


def test_a_switch_that_stood_so_at_the_start_is_no_news() -> None:
    halt = HaltFlag(None)
    halt.raise_to(KillLevel.CANCEL_ALL, "out", 0)
    assert Watch(halt, lambda: None, 0).look(0) is None
