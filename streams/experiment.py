"""What an experiment is: one value that says all that the engine needs of it; and the one that this process is for.

The engine knows no detector, no board and no table of conditions. It asks the experiment, which is a module's
``EXPERIMENT``: in `streams.experiments`, or anybody's own.
"""

import sys
from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, fields, replace
from functools import cache, cached_property
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Protocol, Self

import numpy as np

from schemas.columns import Detector, Table
from schemas.records import RawFormat, RawSpill, ReconstructedSpill, RunControl
from schemas.spill_schema import Tables, tables_of
from streams.checks.channels import Channels
from streams.checks.peaks import Peak
from streams.errors import UsageError
from streams.plots.batch import Batch
from streams.plots.model import DetectorPlots, Plot, Trend
from streams.plots.spillfacts import SpillFacts
from streams.run_conditions import RunConditions, TableFiles
from streams.settings import load_settings, settings_file
from streams.source_format import SourceFormat
from streams.unpacked import Hits, Word

NOT_CALIBRATED = "not calibrated"
"""The state of a plot that needs tables which the run's conditions have not."""
_OURS = "streams.experiments"
_OF_A_SPILL = frozenset(f.name for f in fields(ReconstructedSpill))
"""What a reconstructed spill has beside its detectors."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reconstruction:
    """What makes a detector's tables of a spill."""

    tables: type[Detector]
    step: Callable[[Any, Any], Detector]
    """Takes a spill's hits and its run's conditions; these are None if the run has none and it can do without.

    What it cannot do, it refuses with `DetectorError`: the others go on.
    """
    needs_conditions: bool = True
    takes_what_is_left: bool = False
    """It is made also of a spill of which something that it reads could not be read."""
    doubt: Callable[[Any, Any], str] | None = None
    """Looks at all that was made of a spill with the conditions, and says why its calibration cannot be right."""
    doubted: str = ""
    """What the page says of spills of which it was doubted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Subsystem:
    """A detector, or what has plots beside them, as the DAQ."""

    plots: DetectorPlots
    reconstruction: Reconstruction | None = None
    """None if nothing is made of it in a spill."""
    table: Callable[[SpillFacts], "Sequence[TableRow]"] | None = None
    """What its page tells in numbers besides the plots."""
    channels: tuple[Channels, ...] = ()
    """What it is read out by, in groups that the same particles hit: each is watched for being silent, weak or hot."""
    peaks: tuple[Peak, ...] = ()
    """Whose places are watched."""

    @property
    def watched(self) -> tuple[Channels | Peak, ...]:
        """All that is counted of it in each spill."""
        return (*self.channels, *self.peaks)

    @property
    def name(self) -> str:
        """Under which its tables, its errors and its page are known."""
        return self.plots.name


@dataclass(frozen=True, slots=True, kw_only=True)
class TableRow:
    """One counter in the table of a page; NaN where it was never read."""

    name: str
    last: float
    """In the last spill that read it."""
    recent: float
    """Mean of the last `RECENT_SPILLS` spills that read it."""
    run: float
    """Mean of all spills of the run that read it."""


RECENT_SPILLS = 10
"""Spills that the table's average of the last ones is over."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Format:
    """What the DAQ writes: how a source of it is read, and what its bytes of a spill hold."""

    raw: RawFormat
    source: SourceFormat
    unpack: Callable[[bytes, Any], Hits]
    """Takes a spill's bytes and its run's conditions, or None."""
    show: Callable[[bytes], Iterator[Word]] | None = None
    """Says of a spill's bytes what each is, for an expert; without it they are text."""
    join: Callable[[Iterable[bytes]], Iterator[bytes]] = iter
    """Makes the bytes of a file of those of its records, in their order."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ConditionsKinds:
    """The tables of an experiment's conditions; none, unless it says otherwise."""

    kinds: tuple[str, ...] = ()
    needed: Mapping[str, Sequence[str]] = field(default_factory=dict)
    """Detector, or ``detector.table`` → the kinds without which it cannot be made."""
    make: Callable[[TableFiles, str], RunConditions] = lambda _, digest: RunConditions(digest=digest)
    """Takes the tables of a run by their kinds, and their digest."""
    odd: Callable[[Any], Iterator[tuple[bool, str]]] = lambda _: iter(())
    """Looks at a run's conditions; tells whether something is wrong, or lacking only, and what."""
    simulated: Path | None = None
    """The index of the simulated runs' tables, which lie beside it."""


class Simulation(Protocol):
    """A simulated run. The same parameters give the same bytes."""

    @property
    def period_s(self) -> float:
        """Time between spills."""
        raise NotImplementedError

    def at(self, start_us: int, period_s: float) -> Self:
        """Return the run as of another time, microseconds since 1970 UTC, and with another time between spills."""
        raise NotImplementedError

    def with_faults(self, asked: Sequence[str]) -> Self:
        """Return the run with these faults.

        Raises
        ------
        UsageError
            Says what is possible where something is asked for that is not.
        """
        raise NotImplementedError

    def records(self) -> Iterator[RawSpill | RunControl]:
        """Yield start of run, spills, end of run."""
        raise NotImplementedError

    def records_and_truth(self) -> Iterator[tuple[RawSpill | RunControl | None, bytes]]:
        """Yield the records, None for a spill that is lost, and a line of what was really there."""
        raise NotImplementedError

    def written(self, record: RawSpill | RunControl, suffix: str) -> bytes:
        """Return what a file with this ending holds of a record."""
        raise NotImplementedError


@dataclass(frozen=True, slots=True, kw_only=True)
class Simulator:
    """What simulates runs of an experiment."""

    simulate: Callable[[int, int, int], Simulation]
    """Takes run, number of spills, and a seed."""
    runs: range
    """Those that the simulated conditions cover."""
    explained: Callable[[], tuple[list[dict[str, str]], list[str]]]
    """Returns all faults (name, syntax, does, look, place, value, spills), and lines about how they are asked for."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Experiment:
    """All that the engine needs to know of an experiment.

    Raises
    ------
    ValueError
        When a name is taken, cannot be stored, or is of a plot that there is not.
    """

    title: str
    """Its name, in the title of the page and in sentences."""
    subsystems: tuple[Subsystem, ...]
    """In the order of the pages."""
    formats: tuple[Format, ...]
    """In the order in which a source is tried."""
    conditions: ConditionsKinds = field(default_factory=ConditionsKinds)
    simulator: Simulator | None = None
    doubt_run: Callable[[Any], str] = lambda _: ""
    """Takes the totals of a run's book, and says what it has that cannot be with the right calibration, if anything."""
    other_since_v1: frozenset[str] = frozenset()
    """Plots that have had other axes since books were stored in the first layout, or are filled with something else."""
    scalers_of: Callable[[ReconstructedSpill], Sequence[int]] = lambda _: ()
    """Returns what scalers counted in a spill, to be remembered of each, see `streams.plots.spillfacts`."""

    left_out: Tables = field(default_factory=dict)
    """Detectors that are not used; messages of others may have what is made of them."""

    def __post_init__(self) -> None:
        """Refuse names that are taken, and what would break a page."""
        names = [name for each in self.subsystems for name in (each.name, *_names(each.plots))]
        for name in names:
            if not (name and name.isprintable()):
                raise ValueError(f"{name!r} is no name")
            if names.count(name) > 1:
                raise ValueError(f"the name {name} is taken in the catalogue")
        self._check_tables()
        for its in self.detectors.values():
            if unknown := sorted({*its.overview} - {*_names(its)}):
                raise ValueError(f"{its.name} has no plot {unknown[0]} for the overview")
            entries: tuple[Plot | Trend, ...] = (*its.plots, *its.trends)
            for each in entries:
                if each.detector != its.name:
                    raise ValueError(f"{each.name} is a plot of {each.detector}, and stands among those of {its.name}")

    def _check_tables(self) -> None:
        """Refuse tables that cannot be written, or that plots could not tell apart or join."""
        owners = dict[type[Table], str]()
        for name, its in self.reconstructions.items():
            if name in _OF_A_SPILL or not (name.isascii() and name.isidentifier()):
                raise ValueError(
                    f"{name!r} cannot be a detector's name: what it makes of a spill is a field of that name"
                )
            called = {its.tables.__name__}
            for table, kind in tables_of(its.tables).items():
                if (other := owners.setdefault(kind, f"{name}.{table}")) != f"{name}.{table}":
                    raise ValueError(
                        f"{other} and {name}.{table} are both {kind.__name__}: give each a class of its own"
                    )
                if kind.__name__ in called:
                    raise ValueError(f"two classes of {name} are called {kind.__name__}")
                called.add(kind.__name__)
                trigger = next(
                    (f.metadata for f in fields(kind) if f.name == "trigger"), {"dtype": np.int64, "row": ()}
                )
                if trigger["dtype"] not in (np.int32, np.int64) or trigger["row"]:
                    raise ValueError(
                        f"{kind.__name__}.trigger is no column of int32 or int64, which batches are joined by"
                    )

    @cached_property
    def detectors(self) -> dict[str, DetectorPlots]:
        """Name → plots and trends, in the order of the pages."""
        return {each.name: each.plots for each in self.subsystems}

    @cached_property
    def plots(self) -> dict[str, Plot]:
        """Name → plot, in the order of the pages."""
        return {plot.name: plot for each in self.subsystems for plot in each.plots.plots}

    @cached_property
    def trends(self) -> dict[str, Trend]:
        """Name → trend, in the order of the pages."""
        return {trend.name: trend for each in self.subsystems for trend in each.plots.trends}

    @cached_property
    def reconstructions(self) -> dict[str, Reconstruction]:
        """Name of a detector → what makes its tables, in the order of the pages."""
        found = {each.name: each.reconstruction for each in self.subsystems}
        return {name: its for name, its in found.items() if its is not None}

    @cached_property
    def watched(self) -> dict[str, tuple[Channels | Peak, ...]]:
        """Name of a detector → what is counted of it in each spill, in the order of the pages."""
        return {each.name: each.watched for each in self.subsystems if each.watched}

    @cached_property
    def all_watched(self) -> tuple[Channels | Peak, ...]:
        """What is counted in each spill, of all detectors."""
        return tuple(each for its in self.watched.values() for each in its)

    @cached_property
    def groups(self) -> tuple[Channels, ...]:
        """The groups of channels of all detectors."""
        return tuple(group for its in self.channels.values() for group in its)

    @cached_property
    def channels(self) -> dict[str, tuple[Channels, ...]]:
        """Name of a detector → the groups of its channels, in the order of the pages."""
        return {each.name: each.channels for each in self.subsystems if each.channels}

    @cached_property
    def tables(self) -> Tables:
        """Name of a detector → what is made of it."""
        return {name: its.tables for name, its in self.reconstructions.items()} | dict(self.left_out)

    def only(self, names: Sequence[str]) -> Self:
        """Return the experiment with these detectors alone, and with the plots that need no others.

        Raises
        ------
        UsageError
            When there is no such detector.
        """
        if unknown := sorted({*names} - self.tables.keys()):
            raise UsageError(f"{self.title} has no detector {', '.join(unknown)}: there are {', '.join(self.tables)}")
        left_out = {name: tables for name, tables in self.tables.items() if name not in names}
        kept = [self._without(each, left_out) for each in self.subsystems if each.name not in left_out]
        there = tuple(each for each in kept if each.plots.plots or each.plots.trends or each.reconstruction)
        return replace(self, subsystems=there, left_out=left_out)

    def _without(self, subsystem: Subsystem, left_out: Container[str]) -> Subsystem:
        """Return it without the plots that need detectors which are left out."""
        of = subsystem.plots
        plots = tuple(plot for plot in of.plots if not any(name in left_out for name in self.needs(plot)))
        there = {*_names(replace(of, plots=plots))}
        overview = tuple(name for name in of.overview if name in there)
        return replace(subsystem, plots=replace(of, plots=plots, overview=overview))

    def table_of(self, name: str) -> Callable[[SpillFacts], "Sequence[TableRow]"] | None:
        """Return what makes the table of a page; None if it has none."""
        return next((each.table for each in self.subsystems if each.name == name), None)

    def format_of(self, raw: RawFormat) -> Format | None:
        """Return the format of raw spills; None if the experiment does not write it."""
        return next((each for each in self.formats if each.raw == raw), None)

    @cached_property
    def _needs(self) -> dict[Plot, frozenset[str]]:
        return {}

    def needs(self, plot: Plot) -> frozenset[str]:
        """Return what a plot is filled from, as detectors and ``detector.table``.

        What it asks for of no spill tells.
        """
        if plot not in self._needs:
            batch = Batch([])
            with suppress(Exception):  # a plot is anybody's ten lines: what it asked for before it failed, it needs
                plot.fill(batch)
            its = {d: [t for t, kind in tables_of(of).items() if kind in batch.kinds] for d, of in self.tables.items()}
            self._needs[plot] = frozenset(
                each for d, tables in its.items() for table in tables for each in (d, f"{d}.{table}")
            )
        return self._needs[plot]

    def shows(self, plot: Plot) -> frozenset[str]:
        """Return the detectors of which a plot shows what is wrong: it is filled from them, or with their raw hits."""
        return plot.boards_of | (self.needs(plot) & self.detectors.keys())

    def spills_without(self, plot: Plot, lacking: Mapping[str, int]) -> int:
        """Return in how many spills a plot had no entries as the conditions lacked tables that it needs.

        Parameters
        ----------
        lacking
            Detector, or ``detector.table``, for which the conditions lacked tables → in how many spills.
        """
        return max((lacking.get(each, 0) for each in self.needs(plot)), default=0)


def _names(plots: DetectorPlots) -> list[str]:
    return [*(plot.name for plot in plots.plots), *(trend.name for trend in plots.trends)]


@cache
def experiment() -> Experiment:
    """Return the experiment that this process is for, as its settings say.

    Raises
    ------
    UsageError
        When it cannot be had.
    """
    settings = load_settings()
    name, file = settings.experiment, settings_file()
    module = f"{_OURS}.{name}"
    if "." in name or find_spec(module) is None:
        module = name
        # Last, so that no folder where the user stands hides a package.
        sys.path += [place for place in ("", str(file.parent if file is not None else "")) if place not in sys.path]
    try:
        found = import_module(module).EXPERIMENT
    except (Exception, SystemExit) as error:  # it may be somebody's own code
        why = "it has no EXPERIMENT" if isinstance(error, AttributeError) else f"{type(error).__name__}: {error}"
        raise UsageError(f"the experiment {name} cannot be had: {why}") from error
    if not isinstance(found, Experiment):
        raise UsageError(f"the experiment {name} cannot be had: its EXPERIMENT is a {type(found).__name__}")
    return found.only(settings.detectors) if settings.detectors else found


def simulator() -> Simulator:
    """Return what simulates runs of the experiment.

    Raises
    ------
    UsageError
        When it has none.
    """
    found = experiment().simulator
    if found is None:
        raise UsageError(f"{experiment().title} has no simulator: give files of the DAQ")
    return found
