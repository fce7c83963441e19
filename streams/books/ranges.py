"""A set of integers kept as ranges: small however many there are, as long as they are mostly in a row."""

from bisect import bisect_right
from collections.abc import Iterable, Iterator


class Ranges:
    """Integers as half-open ranges, sorted and apart.

    Parameters
    ----------
    ranges
        (start, stop) pairs, sorted and apart.
    """

    def __init__(self, ranges: Iterable[tuple[int, int]] = ()) -> None:
        self._starts: list[int] = []
        self._stops: list[int] = []
        for start, stop in ranges:
            if stop <= start or (self._stops and start <= self._stops[-1]):
                raise ValueError(f"the range {start} to {stop} is empty, or not beyond the one before it")
            self._starts.append(start)
            self._stops.append(stop)

    def __contains__(self, number: int) -> bool:
        return self.stop_of(number) is not None

    def __iter__(self) -> Iterator[tuple[int, int]]:
        """Iterate over the (start, stop) pairs."""
        return zip(self._starts, self._stops, strict=True)

    def stop_of(self, number: int) -> int | None:
        """Return the first number behind this one that is not in the set; None if this one is not."""
        at = bisect_right(self._starts, number) - 1
        return self._stops[at] if at >= 0 and number < self._stops[at] else None

    def first_missing(self) -> int:
        """Return the first number from 0 on that is not in the set."""
        return self.stop_of(0) or 0

    @property
    def end(self) -> int:
        """The first number that all in the set are below."""
        return self._stops[-1] if self._stops else 0

    def below(self, number: int) -> "Ranges":
        """Return what is in the set of the numbers below one."""
        return Ranges((start, min(stop, number)) for start, stop in self if start < number)

    def gaps_below(self, number: int) -> "Ranges":
        """Return what is not in the set of the numbers from 0 on that are below one."""
        edges = [0, *(edge for pair in self.below(number) for edge in pair), number]
        return Ranges((start, stop) for start, stop in zip(edges[::2], edges[1::2], strict=True) if start < stop)

    def filled_below(self, number: int) -> "Ranges":
        """Return the set with all numbers from 0 on that are below one."""
        stop = self.stop_of(number) or number
        return Ranges([(0, stop), *(pair for pair in self if pair[0] > stop)])

    def add(self, number: int) -> bool:
        """Add a number; return whether it is new."""
        at = bisect_right(self._starts, number)
        if at and number < self._stops[at - 1]:
            return False
        joins_left = at > 0 and self._stops[at - 1] == number
        joins_right = at < len(self._starts) and self._starts[at] == number + 1
        if joins_left and joins_right:
            self._stops[at - 1] = self._stops.pop(at)
            del self._starts[at]
        elif joins_left:
            self._stops[at - 1] = number + 1
        elif joins_right:
            self._starts[at] = number
        else:
            self._starts.insert(at, number)
            self._stops.insert(at, number + 1)
        return True
