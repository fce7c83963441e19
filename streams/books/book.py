"""The histograms of all plots for one run, or for one window of it. Books add."""

import hashlib
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import lru_cache
from typing import Any, Self

import boost_histogram as bh
import numpy as np
import numpy.typing as npt

from schemas.columns import I4, I8
from schemas.records import ReconstructedSpill
from streams.books import spill_numbers
from streams.books.cells import Cells, Histogram
from streams.books.key_number import measures_of
from streams.checks import channels
from streams.experiment import experiment
from streams.plots.batch import Batch
from streams.plots.model import Axis, Plot

Ranges = Mapping[str, tuple[int, float, float]]
"""Plot → bins, low, high of its first axis, where a run's conditions want others than the catalogue's."""


_Axes = tuple[Axis, ...]


class PlotError(ValueError):
    """A plot could not be filled from a spill."""


def axes_of(name: str, ranges: Ranges) -> _Axes:
    """Return the axes of a plot in a run with these ranges."""
    first, *others = experiment().plots[name].axes
    if name in ranges:
        bins, low, high = ranges[name]
        first = Axis(label=first.label, unit=first.unit, bins=bins, low=low, high=high)
    return first, *others


def new_histogram(name: str, ranges: Ranges) -> Histogram:
    """Return the empty histogram of a plot."""
    plot, axes = experiment().plots[name], axes_of(name, ranges)
    histogram = bh.Histogram(*map(_regular, axes), storage=bh.storage.Int64())
    # boost-histogram writes attributes of these objects as UHI's metadata, and reads them back.
    vars(histogram).update(name=name, title=plot.title)
    return histogram


def plots_digest(ranges: Ranges) -> str:
    """Return what is the same for books of the same plots with the same axes."""
    return _plots_digest(tuple(sorted(ranges.items())), tuple(sorted(experiment().plots)))


@lru_cache(100)
def _plots_digest(ranges: tuple[tuple[str, tuple[int, float, float]], ...], names: tuple[str, ...]) -> str:
    axes = [(name, [(a.bins, a.low, a.high) for a in axes_of(name, dict(ranges))]) for name in names]
    return hashlib.blake2b(repr(axes).encode(), digest_size=8).hexdigest()


@lru_cache(1000)
def _regular(axis: Axis) -> bh.axis.Regular:
    """Return the axis of histograms, which share it: nothing changes one."""
    return bh.axis.Regular(axis.bins, axis.low, axis.high, __dict__={"label": axis.label, "unit": axis.unit})


class _Filling(threading.local):
    def __init__(self) -> None:
        self.plots: dict[tuple[str, tuple[int, float, float] | None], tuple[Plot, _Axes, Histogram, Cells, I8]] = {}


_filling = _Filling()
"""What a thread fills one after the other: to empty a histogram takes a thirtieth of making it."""


def _off_edges(axis: Axis, values: npt.ArrayLike) -> npt.ArrayLike:
    """Return whole numbers that may lie on the edges of an axis in the middle between these.

    Which bin a number on an edge falls into is decided by rounding: of 215 channels on 215 bins six fell into the bin
    below.
    """
    if axis.has_whole_edges and np.asarray(values).dtype.kind in "iu":
        return np.asarray(values) + 0.5
    return values


def _filled(name: str, ranges: Ranges, values: Sequence[npt.ArrayLike]) -> Cells:
    """Return what these values fill a plot with."""
    key = name, ranges.get(name)
    if key not in _filling.plots or _filling.plots[key][0] is not experiment().plots[name]:
        histogram = new_histogram(name, ranges)
        # To ask for the counts takes as long as to fill them.
        axes = axes_of(name, ranges)
        _filling.plots[key] = experiment().plots[name], axes, histogram, Cells.of(histogram), histogram.view(flow=True)
    _, axes, histogram, cells, counts = _filling.plots[key]
    counts[...] = 0
    histogram.fill(*map(_off_edges, axes, values))
    return Cells(cells.head, counts.flatten(order="F"))


class Book:
    """Counts by plot; one without entries need not be there.

    Parameters
    ----------
    ranges
        The run's own ranges of plots.
    """

    def __init__(self, ranges: Ranges) -> None:
        self.ranges = ranges
        self.cells: dict[str, Cells] = {}
        """Of the plots that have been filled."""

    def __getitem__(self, name: str) -> Histogram:
        """Return a histogram of the counts of a plot as they are now, empty if nothing has filled it."""
        cells = self.cells.get(name)
        return new_histogram(name, self.ranges) if cells is None else cells.histogram()

    def of(self, name: str) -> Cells:
        """Return the counts of a plot with its axes, none if nothing has filled it: no histogram is made of them."""
        return self.cells[name] if name in self.cells else Cells.of(new_histogram(name, self.ranges))

    def counts(self, name: str) -> I8:
        """Return the counts of a plot, flow included, likewise."""
        return self.of(name).view()

    def __setitem__(self, name: str, histogram: Histogram) -> None:
        self.cells[name] = Cells.of(histogram)

    def __iter__(self) -> Iterator[str]:
        """Iterate over the plots that have been filled."""
        return iter(self.cells)

    def __iadd__(self, other: "Book") -> Self:
        for name, cells in other.cells.items():
            if name in self.cells:
                self.cells[name] += cells
            else:
                self.cells[name] = cells.copy()
        return self

    def fill(self, name: str, *values: npt.ArrayLike) -> None:
        """Fill a plot with values along each of its axes."""
        cells = _filled(name, self.ranges, values)
        if name in self.cells:
            cells += self.cells[name]
        self.cells[name] = cells

    def summary(self, name: str) -> dict[str, Any]:
        """Return entries (flow bins included), their sum without the flow bins, and the SHA-256 of the counts.

        A plot that has measures has those that its counts tell, with value and error each.
        """
        histogram = self[name]
        counts: I8 = np.ascontiguousarray(histogram.view(flow=True), "<i8")
        found = {
            "entries": int(counts.sum()),
            "sum": int(histogram.view(flow=False).sum()),
            "sha256": hashlib.sha256(counts.tobytes()).hexdigest(),
        }
        plot = experiment().plots[name]
        numbers = measures_of(plot, axes_of(name, self.ranges), histogram)
        measures = {
            measure.title: asdict(number) for measure, number in zip(plot.measures, numbers, strict=True) if number
        }
        return found | ({"measures": measures} if plot.measures else {})


@dataclass(frozen=True, slots=True, kw_only=True)
class Filled:
    """What spills of one run fill."""

    book: Book
    """What they add to the run's."""
    failures: dict[str, dict[int, str]]
    """What failed on spills, as ``plot NAME`` → spill → why."""
    key_numbers: dict[int, bytes]
    """Spill → its key numbers, see `spill_numbers`."""
    channel_counts: dict[int, bytes]
    """Spill → how often each channel was hit, see `streams.checks.channels`."""


def fill(spills: Sequence[ReconstructedSpill], ranges: Ranges) -> Filled:
    """Return what the spills of one run fill.

    A plot that cannot be filled from the joined spills is filled from them one by one, so that only the spill that
    it fails on is left out of it: the book stays a function of the set of spills.
    """
    book, failures = Book(ranges), dict[str, dict[int, str]]()
    joined = Batch(spills)
    single = [joined] if len(spills) == 1 else [Batch([spill]) for spill in spills]
    numbers: list[dict[str, float]] = [{} for _ in spills]
    for name, plot in experiment().plots.items():
        kept = spill_numbers.is_kept(plot)
        try:
            found = _fill_one(book, name, single if kept else [joined])
        except PlotError:
            found, failed = [], dict[int, str]()
            for spill, batch in zip(spills, single, strict=True):
                try:
                    found += _fill_one(book, name, [batch])
                except PlotError as error:
                    failed[spill.spill] = str(error)
                    found += [{}] if kept else []
            failures |= {f"plot {name}": failed} if failed else {}
        for of_spill, one in zip(numbers if kept else [], found, strict=True):
            of_spill.update(one)
    packed = {spill.spill: spill_numbers.pack(one) for spill, one in zip(spills, numbers, strict=True)}
    counts = {spill.spill: count_channels(spill, failures) for spill in spills}
    return Filled(book=book, failures=failures, key_numbers=packed, channel_counts=counts)


def counts_of(name: str, spill: ReconstructedSpill, ranges: Ranges) -> I8:
    """Return the counts by which a spill alone fills one plot, flow included.

    Raises
    ------
    PlotError
        When it cannot be filled with it.
    """
    book = Book(ranges)
    _fill_one(book, name, [Batch([spill])])
    return book.counts(name)


def count_channels(spill: ReconstructedSpill, failures: dict[str, dict[int, str]]) -> bytes:
    """Return how often each channel was hit in a spill, packed; without groups on which the experiment's code fails."""
    counts = {}
    for name, groups in experiment().watched.items():
        for group in groups if name in spill.detectors else ():
            try:
                counts[group.digest] = group.counts(spill.detectors[name])
            except Exception as error:  # noqa: BLE001 - which channel a hit is of is anybody's code, too
                failures.setdefault(f"counts of {group.name}", {})[spill.spill] = f"{type(error).__name__}: {error}"
    return channels.pack(counts)


def _fill_one(book: Book, name: str, batches: Sequence[Batch]) -> list[dict[str, float]]:
    """Fill a plot from several batches at once, and return the key number of each, if it is kept."""
    try:
        plot = experiment().plots[name]
        each = [_values(plot, batch) for batch in batches]
        numbers = [_key_number(plot, values, book.ranges) for values in each] if spill_numbers.is_kept(plot) else []
        filled = [values for values in each if values[0].size]
        if filled:
            book.fill(name, *(filled[0] if len(filled) == 1 else map(np.concatenate, zip(*filled, strict=True))))
    except Exception as error:  # a plot is anybody's ten lines: whatever it raises is its own failure
        raise PlotError(f"{type(error).__name__}: {error}") from error
    return numbers


def _values(plot: Plot, batch: Batch) -> list[npt.NDArray[Any]]:
    """Return what a plot is filled with: what would be taken for something else is refused."""
    values: object = plot.fill(batch)
    if not isinstance(values, tuple) or len(values) != len(plot.axes):
        raise ValueError(f"its fill gives no tuple of {len(plot.axes)} arrays, one an axis")
    arrays = [np.asarray(each) for each in values]
    if any(each.shape != (arrays[0].size,) for each in arrays):
        raise ValueError(f"its fill gives arrays of the shapes {', '.join(str(each.shape) for each in arrays)}")
    return arrays


def _key_number(plot: Plot, values: Sequence[npt.NDArray[np.generic]], ranges: Ranges) -> dict[str, float]:
    if not plot.has_mean:
        return spill_numbers.of_entries(plot, values[0].size)
    axis = axes_of(plot.name, ranges)[0]
    bins: I4 = np.asarray(_regular(axis).index(_off_edges(axis, values[0])))  # type: ignore[arg-type] # takes arrays as well
    return spill_numbers.of_bins(plot, axis, bins)
