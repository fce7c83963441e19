"""A simulated run of which an experiment writes the bytes of a file alone: its records are what a source makes of them.

So the experiment has no second place that knows how its spills are told apart, and what is simulated is read as what is
real. Faults are asked for as ``NAME:PLACE[@FIRST[-LAST]]``.
"""

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self

from schemas.records import RawSpill, RunControl
from streams.errors import UsageError
from streams.experiment import Simulator
from streams.source_format import SourceFormat

_ASKED = re.compile(r"(\w+):([^@]+)(?:@([0-9]{1,9})(?:-([0-9]{1,9}))?)?")
_SYNTAX = "{}:PLACE[@FIRST[-LAST]]"


@dataclass(frozen=True, slots=True, kw_only=True)
class FaultKind:
    """A fault that can be asked for."""

    places: Sequence[str]
    does: str
    look: str
    """What the shifter sees of it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """A fault that is asked for."""

    name: str
    place: str
    spills: range

    @property
    def text(self) -> str:
        """How it is asked for."""
        return f"{self.name}:{self.place}@{self.spills[0]}-{self.spills[-1]}"


@dataclass(frozen=True, kw_only=True)
class SimulatedFile:
    """A `Simulation`: a run that `write` writes."""

    source: SourceFormat
    kinds: Mapping[str, FaultKind]
    write: "Write"
    run: int
    spills: int
    seed: int
    start_us: int = 1_700_000_000_000_000
    period_s: float
    faults: tuple[Fault, ...] = ()

    def at(self, start_us: int, period_s: float) -> Self:
        """Return the run as of another time."""
        return replace(self, start_us=start_us, period_s=period_s)

    def time_us(self, spill: int) -> int:
        """Return when a spill is."""
        return self.start_us + round(spill * self.period_s * 1e6)

    def with_faults(self, asked: Sequence[str]) -> Self:
        """Return the run with these faults.

        Raises
        ------
        UsageError
            Says what is possible where something is asked for that is not.
        """
        return replace(self, faults=tuple(map(self._fault, asked)))

    def _fault(self, text: str) -> Fault:
        match = _ASKED.fullmatch(text)
        if match is None or match[1] not in self.kinds:
            possible = ", ".join(map(_SYNTAX.format, self.kinds))
            raise UsageError(f"--fault {text}: there is no such fault: there are {possible}")
        name, place, first, last = match.groups()
        if place not in self.kinds[name].places:
            raise UsageError(f"--fault {text}: there is no {place}: there are {', '.join(self.kinds[name].places)}")
        spills = range(int(first or 0), (int(last or first) if first else self.spills - 1) + 1)
        if not spills or spills[-1] >= self.spills:
            raise UsageError(f"--fault {text}: the run has spills 0 to {self.spills - 1}")
        return Fault(name=name, place=place, spills=spills)

    def faults_of(self, spill: int, name: str) -> list[str]:
        """Return the places at which a spill has a fault."""
        return [fault.place for fault in self.faults if fault.name == name and spill in fault.spills]

    def records(self) -> Iterator[RawSpill | RunControl]:
        """Yield start of run, spills, end of run."""
        return (record for record, _ in self.records_and_truth())

    def records_and_truth(self) -> Iterator[tuple[RawSpill | RunControl, bytes]]:
        """Yield the records, and a line of what was really there."""
        reader = self.source.reader(f"simulated run {self.run}, seed {self.seed}", Path(), {})
        left, begin = b"", 0
        for content, truth in self.write(self):
            left = left[reader.at - begin :] + content
            begin = reader.at
            for record in reader.read(left, ended=False, settled=True):
                line = b""
                if isinstance(record, RawSpill):
                    faults = [fault.text for fault in self.faults if record.spill in fault.spills]
                    known = {"run": record.run, "spill": record.spill, "time_us": record.time_us, "lost": False}
                    line = json.dumps(known | {"faults": faults, **truth}).encode() + b"\n"
                yield record, line

    def written(self, record: RawSpill | RunControl, _suffix: str) -> bytes:
        """Return what a file holds of a record."""
        return record.payload


Write = Callable[[SimulatedFile], Iterator[tuple[bytes, Mapping[str, Any]]]]
"""Yields the bytes of a run's begin, of each spill with what was really there, and of the run's end."""


def simulator_of(
    source: SourceFormat, write: Write, kinds: Mapping[str, FaultKind], runs: range, period_s: float
) -> Simulator:
    """Return what simulates runs of an experiment that has one format.

    Parameters
    ----------
    source
        Reads what `write` writes.
    kinds
        Of faults, by their names.
    runs
        Those that the simulated conditions cover.
    period_s
        Time between spills.
    """

    def simulate(run: int, spills: int, seed: int) -> SimulatedFile:
        of: dict[str, Any] = {"source": source, "kinds": kinds, "write": write, "period_s": period_s}
        return SimulatedFile(run=run, spills=spills, seed=seed, **of)

    def explained() -> tuple[list[dict[str, str]], list[str]]:
        faults = [
            {"name": name, "syntax": _SYNTAX.format(name), "does": kind.does, "look": kind.look}
            | {"place": ", ".join(kind.places), "value": "", "spills": "[@FIRST[-LAST]]"}
            for name, kind in kinds.items()
        ]
        return faults, [f"PLACE of {each['name']}: {each['place']}." for each in faults]

    return Simulator(simulate=simulate, runs=runs, explained=explained)
