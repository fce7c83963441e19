"""Batches of what comes: in its order, one alone at once, more where more came; and where they go."""

import asyncio
from collections.abc import AsyncIterator

import faust
import pytest

from streams.agents.reconstruct import Passed, pass_on
from streams.agents.taking import in_batches

SOON_S = 0.05


async def _of(numbers: list[int], then: asyncio.Event | None = None) -> AsyncIterator[int]:
    for number in numbers:
        yield number
    if then is not None:
        await then.wait()


def test_what_comes_together_is_taken_in_full_batches_in_its_order() -> None:
    async def taken() -> list[list[int]]:
        return [some async for some in in_batches(_of(list(range(10))), 4)]

    assert asyncio.run(taken()) == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]]


def test_one_alone_is_taken_at_once_and_then_what_came_while_it_was_worked_on() -> None:
    async def taken() -> list[list[int]]:
        come = asyncio.Event()

        async def later() -> AsyncIterator[int]:
            yield 1
            await come.wait()
            for number in range(2, 5):
                yield number
                await asyncio.sleep(0)
            await asyncio.Event().wait()

        batches = in_batches(later(), 4)
        first = await anext(batches)
        come.set()
        await asyncio.sleep(SOON_S)  # it is worked on
        return [first, await anext(batches)]

    assert asyncio.run(taken()) == [[1], [2, 3, 4]]


def test_no_more_is_asked_for_than_is_taken_at_once() -> None:
    asked = []

    async def counted() -> AsyncIterator[int]:
        for number in range(10):
            asked.append(number)
            yield number

    async def go() -> None:
        batches = in_batches(counted(), 2)
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
        batches = in_batches(broken(), 4)
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

        waiting = asyncio.ensure_future(anext(in_batches(_of([], asyncio.Event()), 4)))
        await asyncio.sleep(0)
        loop.call_at = counted  # type: ignore[method-assign]
        await asyncio.sleep(3 * SOON_S)
        assert not waiting.done()
        waiting.cancel()
        return count

    assert asyncio.run(turns()) == 1  # that of the sleep itself


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
