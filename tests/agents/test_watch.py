"""What a worker looks after is what it has when it comes to it."""

import asyncio
from collections.abc import Callable, Collection
from typing import cast

from streams.agents.watch import Watch
from streams.books.partition import Partitions
from streams.books.reading import Reading


class Slow:
    """Looks after partitions, of which the last moves to another worker while the first is looked after."""

    def __init__(self) -> None:
        self.assigned, self.looked_after = {0, 1, 2}, list[int]()

    async def forget_others(self, ours: Callable[[], Collection[int]]) -> None:
        assert ours() == self.assigned

    async def look_after(self, number: int) -> bool:
        self.looked_after.append(number)
        self.assigned.discard(2)
        return True


def test_a_partition_that_moved_meanwhile_is_left_to_whoever_has_it() -> None:
    slow = Slow()
    watch = Watch(cast("Reading", slow), Partitions(), lambda: None)
    asyncio.run(watch.look(lambda: slow.assigned))
    assert slow.looked_after == [0, 1]
