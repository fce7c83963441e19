"""Which windows of a run are kept: short ones of what is new, longer ones of what is older; few are a whole run.

A window of level k is 4^k short ones long and begins at a multiple of that. It is kept as one when it has ended for
``kept`` windows of a quarter of its length. So a run of N short windows has some ``kept`` (1 + 3/4 log4(N / ``kept``)),
however long it is, and each is joined log4(N / ``kept``) times. Which they are follows from the newest spill's time,
not from the order in which spills came.
"""

from collections.abc import Sequence
from typing import NamedTuple


class Window(NamedTuple):
    """An interval of the spills' own time; seconds since 1970 UTC."""

    start: int
    length: int

    @property
    def end(self) -> int:
        """The first second that is not in it."""
        return self.start + self.length


MINUTE_S = 60


def last_minute(windows: Sequence[Window]) -> list[Window]:
    """Return the newest of some windows, in order, and, as it may only have begun, a minute before it."""
    return [each for each in windows if each.end > windows[-1].start - MINUTE_S]


def window_at(time_s: int, newest_s: int, *, window_s: int, kept: int) -> Window:
    """Return the window of a time.

    Parameters
    ----------
    time_s
        Seconds since 1970 UTC.
    newest_s
        Time of the run's newest spill.
    window_s
        Length of a short window.
    kept
        How many windows of each length are kept before they are joined, about; 1 for a run that is over.
    """
    at, newest, level = time_s // window_s, newest_s // window_s, 0
    while newest + 1 - (at // (longer := 4 ** (level + 1)) + 1) * longer >= kept * 4**level:
        level += 1
    length = 4**level
    return Window(start=at // length * length * window_s, length=length * window_s)
