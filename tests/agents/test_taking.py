"""Batches of what comes: in its order, full where there is much, soon where there is little; and where they go."""

import asyncio
from collections.abc import AsyncIterator

import faust
import pytest

from streams.agents.reconstruct import Passed, pass_on
from streams.agents.taking import in_batches

SOON_S, NEVER_S = 0.05, 60.0


async def _of(numbers: list[int], then: asyncio.Event | None = None) -> AsyncIterator[int]:
    for number in numbers:
        yield number
    if then is not None:
        await then.wait()


def test_much_is_taken_in_full_batches_in_its_order_and_all_of_it_at_the_end() -> None:
    async def taken() -> list[list[int]]:
        return [some async for some in in_batches(_of(list(range(10))), 4, NEVER_S)]

    assert asyncio.run(taken()) == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]]


def test_little_is_taken_when_it_has_waited_for_others() -> None:
    async def taken() -> tuple[list[int], float]:
        loop = asyncio.get_running_loop()
        began_s = loop.time()
        batches = in_batches(_of([1, 2], asyncio.Event()), 4, SOON_S)
        return await anext(batches), loop.time() - began_s

    some, seconds = asyncio.run(taken())
    assert some == [1, 2]
    assert seconds >= SOON_S


def test_what_came_while_a_batch_was_worked_on_is_taken_at_once() -> None:
    async def taken() -> list[int]:
        come = asyncio.Event()

        async def later() -> AsyncIterator[int]:
            yield 1
            await come.wait()
            yield 2
            yield 3
            await asyncio.Event().wait()

        batches = in_batches(later(), 4, SOON_S)
        await anext(batches)
        come.set()
        await asyncio.sleep(2 * SOON_S)
        taking = asyncio.ensure_future(anext(batches))
        for _ in range(10):  # turns of the loop, which waits for no time
            await asyncio.sleep(0)
        return taking.result()

    assert asyncio.run(taken()) == [2, 3]


def test_no_more_is_asked_for_than_is_taken_at_once() -> None:
    asked = []

    async def counted() -> AsyncIterator[int]:
        for number in range(10):
            asked.append(number)
            yield number

    async def go() -> None:
        batches = in_batches(counted(), 2, NEVER_S)
        assert await anext(batches) == [0, 1]
        await asyncio.sleep(SOON_S)
        assert asked == [0, 1, 2, 3, 4]  # two wait, and one for room
        assert await anext(batches) == [2, 3]

    asyncio.run(go())


def test_an_error_comes_behind_what_came_before_it() -> None:
    async def broken() -> AsyncIterator[int]:
        yield 1
        raise LookupError("no more")

    async def go() -> None:
        batches = in_batches(broken(), 4, NEVER_S)
        assert await anext(batches) == [1]
        with pytest.raises(LookupError, match="no more"):
            await anext(batches)

    asyncio.run(go())


def test_while_nothing_comes_the_loop_does_not_turn() -> None:
    async def turns() -> int:
        loop, count = asyncio.get_running_loop(), 0
        schedule = loop.call_at

        def counted(*arguments: object, **named: object) -> asyncio.TimerHandle:
            nonlocal count
            count += 1
            return schedule(*arguments, **named)  # type: ignore[arg-type]

        waiting = asyncio.ensure_future(anext(in_batches(_of([], asyncio.Event()), 4, SOON_S)))
        await asyncio.sleep(0)
        loop.call_at = counted  # type: ignore[method-assign]
        await asyncio.sleep(3 * SOON_S)
        assert not waiting.done()
        waiting.cancel()
        return count

    assert asyncio.run(turns()) == 1  # that of the sleep itself


def test_what_comes_while_a_batch_is_worked_on_is_in_the_next_one() -> None:
    async def taken() -> list[list[int]]:
        batches, found = in_batches(_of([1, 2, 3]), 2, SOON_S), []
        async for some in batches:
            await asyncio.sleep(0)
            found.append(some)
        return found

    assert asyncio.run(taken()) == [[1, 2], [3]]


def test_what_waits_for_room_while_faust_empties_its_queues_is_lost_as_they_are_and_ends_nobody() -> None:
    async def go() -> None:
        app = faust.App("a-test", broker="kafka://127.0.0.1:1")
        app.flow_control.resume()
        between = app.channel(maxsize=1)
        counted = aiter(between)
        first, second, third = (Passed(outcomes=[], events=[number]) for number in range(3))
        await pass_on(between, first)
        waits = asyncio.create_task(pass_on(between, second))
        await asyncio.sleep(0)
        app.flow_control.suspend()  # as it does when partitions move
        app.flow_control.clear()
        await waits
        app.flow_control.resume()
        await pass_on(between, third)
        assert (await anext(counted)).value is third
        # Who is to end is to end.
        await pass_on(between, first)
        ends = asyncio.create_task(pass_on(between, second))
        await asyncio.sleep(0)
        ends.cancel()
        with pytest.raises(asyncio.CancelledError):
            await ends

    asyncio.run(go())
