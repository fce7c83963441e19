"""The hits of each channel in the windows of a run: of what was counted before, only new spills are read."""

from bisect import bisect_right
from collections import OrderedDict
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from schemas.columns import I8
from streams.books.part_reader import UnreadableRunError
from streams.books.reader import BookReader
from streams.books.run import Ledger, RunBook
from streams.books.windows import Window
from streams.checks.channels import unpack
from streams.experiment import experiment

AT_ONCE = 1000
"""Spills that are read before the page is told what is known so far."""
RUNS_KEPT = 4
"""Runs that are remembered: of one its windows, with some 10,000 channels each."""

_ByGroup = dict[str, I8]


@dataclass(frozen=True, slots=True, kw_only=True)
class Hits:
    """How often each channel was hit."""

    by_window: Mapping[Window, Mapping[str, I8]] = field(default_factory=dict)
    """Window → group → (channels,) hits."""
    spills: int = 0
    """Those that were read."""
    left: int = 0
    """Those that are still to be read."""
    problem: str = ""
    """Why it cannot be read; empty if it can."""

    @property
    def version(self) -> tuple[int, int, str]:
        """Changes when more is known."""
        return self.spills, self.left, self.problem

    def within(self, windows: Iterable[Window]) -> dict[str, I8]:
        """Return the hits in some windows, by group."""
        found: _ByGroup = {}
        for window in windows:
            _add(found, self.by_window.get(window, {}))
        return found

    def without(self, windows: Iterable[Window]) -> dict[str, I8]:
        """Return the hits in all others."""
        return self.within(self.by_window.keys() - set(windows))


class HitsReader:
    """Reads hits, and remembers them for as long as they are those of the same spills."""

    def __init__(self) -> None:
        self._known: OrderedDict[Hashable, _Sums] = OrderedDict()

    def read(self, reader: BookReader, whose: str | None, run: int, book: RunBook, windows: Sequence[Window]) -> Hits:
        """Return the hits of a run.

        Parameters
        ----------
        whose
            Session of the book; None for the book that is the run's.
        windows
            Those that are kept of it, in order.
        """
        key = (whose, run, frozenset(book.totals.conditions), frozenset(book.totals.code))
        sums = self._known.setdefault(key, _Sums())
        self._known.move_to_end(key)
        while len(self._known) > RUNS_KEPT:
            self._known.popitem(last=False)
        due = sums.due(book.ledger, windows)
        now, left = due[:AT_ONCE], due[AT_ONCE:]
        try:
            sums.add(book.ledger, windows, reader.channel_counts(run, now))
        except (UnreadableRunError, ValueError) as error:
            del self._known[key]
            return Hits(problem=str(error))
        return Hits(by_window=dict(sums.by_window), spills=len(sums.counted), left=len(left))


class _Sums:
    def __init__(self) -> None:
        self.counted: set[int] = set()
        self.by_window: dict[Window, _ByGroup] = {}

    def due(self, ledger: Ledger, windows: Sequence[Window]) -> list[int]:
        """Return the spills that are to be counted, once the sums are those of these windows."""
        joined: dict[Window, _ByGroup] = {}
        for window, sums in self.by_window.items():
            into = _window_of(window.start, windows)
            if into is None or window.end > into.end:
                self.counted = set()
                break
            _add(joined.setdefault(into, {}), sums)
        self.by_window = joined
        if not self.counted <= ledger.keys():
            self.counted = set()
        if not self.counted:
            self.by_window = {}
        there = sorted(ledger.keys() - self.counted)
        return [spill for spill in there if _window_of(ledger[spill].time_us // 1_000_000, windows) is not None]

    def add(self, ledger: Ledger, windows: Sequence[Window], counts: Mapping[int, bytes]) -> None:
        """Count some spills."""
        new: dict[Window, _ByGroup] = {}
        for spill, packed in counts.items():
            window = _window_of(ledger[spill].time_us // 1_000_000, windows)
            assert window is not None  # noqa: S101 - they are due
            _add(new.setdefault(window, {}), unpack(packed, experiment().groups))
        for window, its in new.items():
            self.by_window[window] = dict(self.by_window.get(window, {}))  # what was told of it stays as it was
            _add(self.by_window[window], its)
        self.counted |= counts.keys()


def _window_of(time_s: int, windows: Sequence[Window]) -> Window | None:
    at = bisect_right(windows, time_s, key=lambda window: window.start) - 1
    return windows[at] if at >= 0 and time_s < windows[at].end else None


def _add(to: _ByGroup, hits: Mapping[str, I8]) -> None:
    for group, its in hits.items():
        to[group] = to[group] + its if group in to else its
