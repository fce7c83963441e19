"""How far a partition is in the books, as whoever only reads sees it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import cast

from redis import Redis
from redis.exceptions import ResponseError

from streams.books import layout
from streams.books.connect import is_other_type
from streams.books.stored import number_of, unpack_state


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """How far one partition is in the books."""

    next: int
    """The first offset of ``spills.raw`` that is not in them."""
    fence: str
    """Of the last checkpoint: the same fence means the same books."""
    produced_ms: int
    """When the newest message in them was produced, Unix milliseconds; 0 without one."""
    lost: tuple[layout.Loss, ...]
    """What Kafka no longer had when it was needed."""
    repairs: Mapping[int, int] = field(default_factory=dict)
    """Run that is being made again → its first offset that is not in the books."""

    def follows(self, before: "Progress") -> bool:
        """Say whether it came of another by counting more, and not after Redis was emptied or set back."""
        return self.next >= before.next and number_of(self.fence) >= number_of(before.fence)


def progress_of(redis: Redis, keys: layout.Keys) -> Progress | None:
    """Return how far a partition is; None if what Redis holds of that cannot be read, which its worker finds."""
    try:
        state = unpack_state(cast("dict[bytes, bytes]", redis.hgetall(keys.state)))
    except layout.UNREADABLE:
        return None
    except ResponseError as error:
        if not is_other_type(error):
            raise
        return None
    return Progress(
        next=state.next,
        fence=state.fence,
        produced_ms=state.produced_ms,
        lost=state.lost,
        repairs=state.repairs,
    )
