"""A step that needs a server which is away: done as soon as it is back."""

import asyncio
import time

import pytest
from redis.exceptions import ConnectionError as RedisAwayError

from streams.agents import common
from streams.agents.common import one_after_another

BACK_WITHIN_S = 1.0


@pytest.mark.parametrize("away_s", [0.1, 3.1, 6.3, 60.5])
def test_a_server_that_is_back_is_used_within_a_second(away_s: float, monkeypatch: pytest.MonkeyPatch) -> None:
    now_s, tries = 0.0, 0

    async def sleep(seconds: float) -> None:
        nonlocal now_s
        now_s += seconds

    async def step() -> float:
        nonlocal tries
        tries += 1
        if now_s < away_s:
            raise RedisAwayError
        return now_s

    monkeypatch.setattr(asyncio, "sleep", sleep)
    back_s = asyncio.run(common.until_it_works(step))
    assert away_s <= back_s <= away_s + BACK_WITHIN_S
    assert tries <= 4 + away_s  # it is not asked without a pause


def test_what_is_no_fault_of_a_server_is_not_tried_again() -> None:
    async def step() -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        asyncio.run(common.until_it_works(step))


def test_what_computes_does_so_one_after_another() -> None:
    at_work: list[int] = []

    def alone(number: int) -> int:
        at_work.append(number)
        time.sleep(0.01)  # who else could begin would
        assert at_work == [number]
        at_work.clear()
        return number

    async def go() -> list[int]:
        compute = one_after_another()
        return await asyncio.gather(*(compute(alone, number) for number in range(5)))

    assert asyncio.run(go()) == [0, 1, 2, 3, 4]
