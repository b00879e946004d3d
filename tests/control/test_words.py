"""Words are done by the loop alone, one at a time, in order; whoever asks gets an answer in any case."""

import asyncio
import threading

import pytest

from quantcli.clock import NS_PER_S
from quantcli.errors import SafetyError, StrategyError, UsageError
from quantcli.runtime.control.words import Words
from quantcli.runtime.live import Pace


async def said(text: str) -> str:
    return text


async def test_a_word_is_done_by_the_loop_though_another_thread_puts_it() -> None:
    words, woken = Words(), asyncio.Event()
    words.attach(woken.set)
    done_in: list[int] = []

    async def deed() -> int:
        done_in.append(threading.get_ident())
        return 7

    answer = await asyncio.to_thread(lambda: words.put(deed))
    async with asyncio.timeout(2):
        await woken.wait()
    assert words
    await words.attend()
    assert answer.result(0) == 7
    assert done_in == [threading.get_ident()]
    assert not words


async def test_words_are_done_one_after_another_in_order() -> None:
    words, told = Words(), list[str]()

    async def slowly(name: str) -> None:
        told.append(f"{name} begins")
        await asyncio.sleep(0)
        told.append(f"{name} ends")

    for name in ("first", "second"):
        words.put(lambda name=name: slowly(name))
    await words.attend()
    assert told == ["first begins", "first ends", "second begins", "second ends"]


async def test_what_goes_wrong_is_told_to_whoever_asked_and_nobody_else() -> None:
    words = Words()

    async def wrong() -> None:
        raise UsageError("no")

    bad, good = words.put(wrong), words.put(lambda: said("yes"))
    await words.attend()
    with pytest.raises(UsageError):
        bad.result(0)
    assert good.result(0) == "yes"


async def test_a_strategy_that_fails_in_a_word_fails_its_run_too() -> None:
    words = Words()

    async def fails() -> None:
        raise StrategyError("mine.py:3: it broke")

    answer = words.put(fails)
    with pytest.raises(StrategyError):
        await words.attend()
    with pytest.raises(StrategyError):
        answer.result(0)


async def test_a_word_that_nobody_waits_for_any_more_is_not_done() -> None:
    words, done = Words(), list[int]()

    async def deed() -> None:
        done.append(1)

    words.put(deed).cancel()
    await words.attend()
    assert done == []


async def test_at_the_end_what_waits_and_what_comes_is_refused() -> None:
    words = Words()
    early = words.put(lambda: said("early"))
    words.close()
    late = words.put(lambda: said("late"))
    for answer in (early, late):
        with pytest.raises(SafetyError):
            answer.result(0)


async def test_a_nudge_ends_a_wait_of_a_recordings_pace_and_not_its_run() -> None:
    pace = Pace(0, 1.0, None)
    assert await pace.until(0)
    waiting = asyncio.create_task(pace.until(60 * NS_PER_S))
    await asyncio.sleep(0.01)
    pace.nudge()
    async with asyncio.timeout(1):
        assert await waiting is None
    waiting = asyncio.create_task(pace.until(60 * NS_PER_S))
    await asyncio.sleep(0.01)
    pace.stop()
    async with asyncio.timeout(1):
        assert await waiting is False
