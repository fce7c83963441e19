"""Limits by run type: a file that an expert edits, read again when it has changed."""

from pathlib import Path
from typing import Annotated

from pydantic import Field, TypeAdapter

from streams.books.plain_limits import FEW_PERCENT
from streams.checked_toml import MOST_BYTES, Strict, parse_toml, where
from streams.errors import UsageError
from streams.experiment import experiment
from streams.files import read_whole
from streams.settings import Settings

_Share = Annotated[float, Field(gt=0, le=1)]


Named = dict[str, bool | float]
"""Limits by name, as what was judged by them has them."""


class PlotLimits(Strict):
    """Of one plot, where they are others than those of its run type."""

    matters: _Share | None = None
    judged: bool = True


class TypeLimits(Strict):
    """Of the runs of a type."""

    matters: _Share = 0.05
    """Share of a plot's entries that must lie elsewhere than in the reference."""
    tolerance: _Share = 0.05
    """By so much, relative to it, the share of a bin differs from run to run without anything being wrong."""
    percent: Annotated[float, Field(gt=0, le=100)] = FEW_PERCENT
    """Of the spills, that may be rejected, or missing, or have errors of a detector."""
    only_warns: bool = False
    """What is off is a warning, and never bad."""
    plots: dict[str, PlotLimits] = Field(default_factory=dict)
    """By name."""

    def matters_in(self, plot: str) -> float:
        """Return the share that must lie elsewhere in a plot."""
        its = self.plots.get(plot, PlotLimits()).matters
        return self.matters if its is None else its

    def is_judged(self, plot: str) -> bool:
        """Return whether a plot is judged in runs of the type."""
        return self.plots.get(plot, PlotLimits()).judged

    @property
    def named(self) -> Named:
        """All of them by the names of the file, and those of plots that are others than those of the type."""
        of_type = {name: value for name, value in self.model_dump().items() if name != "plots"}
        of_plots = {name: its.model_dump(exclude_defaults=True) for name, its in self.plots.items()}
        return of_type | {f"{name}.{limit}": value for name, its in of_plots.items() for limit, value in its.items()}


def in_force(limits: TypeLimits, spills_a_false_alarm: float) -> Named:
    """Return all by which a run is judged: the limits of its type, and what the settings say of false alarms."""
    return limits.named | {"checks.spills_a_false_alarm": spills_a_false_alarm}


def changed_limits(now: Named, before: Named) -> list[str]:
    """Return each limit that is another than before, in words."""
    names = sorted(name for name in now.keys() | before.keys() if now.get(name) != before.get(name))
    return [f"{name} {_value(now.get(name))}, before {_value(before.get(name))}" for name in names]


def _value(limit: bool | float | None) -> str:
    if limit is None:
        return "as its type"
    return f"{limit:g}" if not isinstance(limit, bool) else "yes" if limit else "no"


Limits = dict[str, TypeLimits]
"""Run type → limits."""
_FILE = TypeAdapter(Limits)


class LimitsFile:
    """The limits in force.

    Parameters
    ----------
    path
        Of the file; None if there is none: then the same hold for all types.
    """

    def __init__(self, path: Path | None) -> None:
        self._path = path.expanduser() if path is not None else None
        self._limits: Limits = {}
        self._at: tuple[int, int, int] | None = None
        """Of the file that was read last, whatever was in it."""
        self._is_known = False
        """Whether it could be read once."""
        self.problem = ""
        """Why the file cannot be read, a sentence; empty if it can. Until then, what it said before holds."""

    def look(self) -> None:
        """Read the file again if it has changed."""
        if self._path is None:
            return
        try:
            stat = self._path.stat()
            # Whoever may read it now, and might not before, changed nothing but its ctime.
            at = stat.st_mtime_ns, stat.st_ctime_ns, stat.st_size
            if at == self._at:
                return
            self._limits, self._is_known, self.problem = read_limits(self._path), True, ""
            self._at = at
        except OSError as error:
            self.problem, self._at = f"The limits {self._path} cannot be read: {error.strerror}", None
        except UsageError as error:
            self.problem, self._at = str(error), at

    @property
    def told(self) -> str:
        """The problem, and by what runs are judged meanwhile; empty if there is none."""
        holds = "what it said before holds" if self._is_known else "the same limits hold for every type"
        return f"{self.problem}. Until that is mended, {holds}" if self.problem else ""

    def of(self, run_type: str) -> TypeLimits:
        """Return the limits of a run type; of one that the file does not know, what is off only warns."""
        # A file that never could be read says nothing of any type.
        return self._limits.get(run_type, TypeLimits(only_warns=self._is_known))


def limits_of(settings: Settings) -> LimitsFile:
    """Return the limits that the settings name.

    Raises
    ------
    UsageError
        When they cannot be read.
    """
    limits = LimitsFile(settings.checks.limits)
    limits.look()
    if limits.problem:
        raise UsageError(limits.problem)
    return limits


def read_limits(path: Path) -> Limits:
    """Return what a file of limits says.

    Raises
    ------
    UsageError
        Says what of it is wrong, and where.
    """
    text = read_whole(path, MOST_BYTES, "The file of limits")
    return parse_limits(text, f"The file of limits {path}")


def parse_limits(text: bytes, called: str) -> Limits:
    """Return what limits say; `called` they are, the error says.

    Raises
    ------
    UsageError
        Says what of them is wrong, and where.
    """
    said = parse_toml(text, _FILE, called)
    # It is what others find while somebody saves it, and by it whatever is bad would only be a warning.
    if not said:
        raise UsageError(f"{called} says nothing of any run type: a line in brackets, as [physics], begins what holds")
    for run_type, its in said.items():
        if unknown := sorted(its.plots.keys() - experiment().plots.keys()):
            its_place = where(text, (run_type, "plots", unknown[0]))
            more = f", and {len(unknown) - 1} more" if len(unknown) > 1 else ""
            raise UsageError(f"{called} is wrong: {its_place} is no plot: docs/plots.md lists them{more}")
    return said
