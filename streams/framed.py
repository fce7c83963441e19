"""Events one behind the other in bytes that may be damaged, and between them the bytes that are none."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Protocol, TypeVar


class Framed(Protocol):
    """An event that is found."""

    @property
    def stop(self) -> int:
        """The byte behind it."""
        raise NotImplementedError


_Event = TypeVar("_Event", bound=Framed)


@dataclass(frozen=True, slots=True, kw_only=True)
class Unreadable:
    """Bytes ``buffer[start:stop]`` in which no event is framed."""

    start: int
    stop: int
    reason: str


def walk_over(start: int, stop: int, frame: Callable[[int], tuple[_Event | int, str]]) -> Iterator[_Event | Unreadable]:
    """Yield events in their order, and between them the bytes that are none; these stretches never touch each other.

    Parameters
    ----------
    frame
        Returns the event at a byte; or where to go on, and what is wrong with it.
    """
    damage: Unreadable | None = None
    at = start
    while at < stop:
        found, reason = frame(at)
        if isinstance(found, int):
            begin, first = (damage.start, damage.reason) if damage is not None else (at, reason)
            damage = Unreadable(start=begin, stop=found, reason=first)
            at = found
            continue
        if damage is not None:
            yield damage
            damage = None
        yield found
        at = found.stop
    if damage is not None:
        yield damage
