"""What a format of sources is: how one is known by its bytes, and what makes records of them."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from schemas.records import RawSpill, RunControl

FirstCounts = dict[int, int | None]
"""Run → the DAQ's count of its first spill; None if it has begun, and no spill was seen yet."""


class Reader(Protocol):
    """Makes records of bytes that come by and by."""

    at: int
    """What lies before this byte of the source is made into records."""

    def read(self, content: bytes, *, ended: bool, settled: bool) -> Iterator[RawSpill | RunControl]:
        """Yield the records that are complete; the rest waits for more bytes.

        Parameters
        ----------
        content
            The source from `at` on, as far as it is there.
        ended
            There is no more of it: then all is complete.
        settled
            It has not grown for a while: then a spill that has its end is complete, though nothing follows it.
        """


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceFormat:
    """A format of sources."""

    holds: str
    """What is in such a source, for a sentence that says that there is none of it."""
    begins: Callable[[bytes, bool], bool]
    """Takes the beginning of a source, and whether no more of it is to come; says whether it is surely one."""
    reader: Callable[[str, Path, FirstCounts], Reader]
    """Takes a source's name, where it is, and what is known of the runs from others, to be told what this one shows."""
    may_be: Callable[[bytes], bool] = lambda _: False
    """Takes the beginning of a source that is surely of no format: damaged bytes may come before its first record."""
    refusal: Callable[[bytes], tuple[str, int] | None] = lambda _: None
    """Takes the beginning of a source that is of no format; says why it is not, and at which byte, if it knows."""
