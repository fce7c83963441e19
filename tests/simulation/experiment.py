"""An experiment so small that a spill takes no time: a board of four numbers, one detector, two plots."""

import hashlib
import struct
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from enum import Enum, auto
from functools import lru_cache
from itertools import count
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch
from uuid import UUID

import numpy as np

from schemas import wire
from schemas.columns import I4, I8, Detector, Table, column
from schemas.records import NO_RUN, ControlKind, RawFormat, RawSpill, RunControl
from streams import reconstruct, transform
from streams.books import counter, kafka_log, reading
from streams.books.book import Ranges
from streams.checks.channels import Channels
from streams.errors import BadDataError
from streams.experiment import ConditionsKinds, Experiment, Format, Reconstruction, Subsystem, experiment
from streams.plots.model import Axis, DetectorPlots, Plot, Words
from streams.source_format import SourceFormat

VALUES, PAIRS = "sim_values", "sim_pairs"
TYPO = "a table has a typo"
"""Why the conditions of a run cannot be read."""
TUNED = "tuned"
"""A detector that needs conditions, and finds nothing."""
RARE = "rare"
"""A detector that finds nothing, and is not read out in every spill."""
BINS = 16
RANGES: Ranges = {VALUES: (8, 2.0, 10.0)}
"""Of a run whose conditions want others than the catalogue's, see `ranges_of`."""
TAIL = 40
"""Messages that a checkpoint remembers: more than a batch has, and so few that Kafka may lose more."""
TOO_MANY = 2**80
"""Triggers of a spill on which the code fails when it is filled."""
_PAYLOAD = struct.Struct("<4siii4i")


class Kind(Enum):
    """What a message is."""

    SPILL = auto()
    UNREADABLE = auto()
    """Its bytes are none of the DAQ's."""
    RAISES = auto()
    """The code raises something on it when it is reconstructed."""
    RAISES_LATER = auto()
    """Or when it is filled."""
    GARBAGE = auto()
    """It is no message of ours."""
    START = auto()
    END = auto()


@dataclass(frozen=True, slots=True, kw_only=True)
class Sent:
    """A message as whoever sends it knows it."""

    kind: Kind
    run: int = NO_RUN
    spill: int = NO_RUN
    version: int = 0
    """Of its bytes, where several spills have one number."""
    time_us: int = 0
    source: str = "file"
    byte: int = 0

    @property
    def is_spill(self) -> bool:
        """Whether it claims to be one."""
        return self.kind not in (Kind.START, Kind.END)

    @property
    def values(self) -> tuple[int, ...]:
        """What the board counted."""
        return values_of(self.run, self.spill, self.version)

    @property
    def triggers(self) -> int:
        return 1 + (self.spill + self.version) % 4

    @property
    def payload(self) -> bytes:
        word = {Kind.UNREADABLE: b"bad!", Kind.RAISES: b"boom", Kind.RAISES_LATER: b"late"}.get(self.kind, b"good")
        return _PAYLOAD.pack(word, self.run, self.spill, self.version, *self.values)

    @property
    def digest(self) -> bytes:
        return hashlib.sha256(self.payload).digest()[:8]

    def encoded(self) -> bytes:
        """Return it as Kafka has it."""
        if self.kind is Kind.GARBAGE:
            return b"garbage %d" % self.version
        if not self.is_spill:
            kind = ControlKind.START if self.kind is Kind.START else ControlKind.END
            return wire.encode(
                RunControl(
                    run=self.run,
                    kind=kind,
                    time_us=self.time_us,
                    source=self.source,
                    byte=self.byte,
                    events=2,
                    run_type="physics",
                )
            )
        return wire.encode(
            RawSpill(
                run=self.run,
                spill=self.spill,
                time_us=self.time_us,
                format=RawFormat.DATE,
                source=self.source,
                byte=self.byte,
                events=3,
                payload=self.payload,
            )
        )


def values_of(run: int, spill: int, version: int) -> tuple[int, ...]:
    """Return what the board counted in a spill: some beyond the axis, too."""
    return tuple((run * 7 + spill * 13 + version * 5 + i * 3) % (BINS + 2) - 1 for i in range(4))


@dataclass(frozen=True, kw_only=True, eq=False)
class Counts(Table):
    """One row a channel."""

    channel: I4 = column("<i4")
    count: I8 = column("<i8")


@dataclass(frozen=True, kw_only=True, eq=False)
class Board(Detector):
    counts: Counts


class TunedCounts(Counts):
    """Those of the detector that needs conditions: no two have a table of the same class."""


class RareCounts(Counts):
    """Those of the detector that is not read out in each spill."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Tuned(Detector):
    counts: TunedCounts


@dataclass(frozen=True, kw_only=True, eq=False)
class Rare(Detector):
    counts: RareCounts


_CHANNELS = np.arange(4, dtype=np.int32)
_NO_CHANNEL, _NO_COUNT = _CHANNELS[:0], np.zeros(0, np.int64)


def _unpack(payload: bytes, _conditions: Any) -> Any:
    word, _run, spill, version, *values = _PAYLOAD.unpack(payload)
    if word == b"bad!":
        raise BadDataError("board", "its word is wrong", 0)
    triggers = TOO_MANY if word == b"late" else 1 + (spill + version) % 4
    absent = frozenset() if is_read_out(spill) else frozenset({RARE})
    return SimpleNamespace(triggers=triggers, skipped={}, failed={}, absent=absent, word=word, values=values)


def _board(hits: Any, _conditions: Any) -> Board:
    return Board(counts=Counts(channel=_CHANNELS, count=np.array(hits.values, np.int64)))


def is_read_out(spill: int) -> bool:
    """Say whether the rare detector is, in a spill of this number."""
    return spill % 3 > 0


def _rare(_hits: Any, _conditions: Any) -> Rare:
    return Rare(counts=RareCounts(channel=_NO_CHANNEL, count=_NO_COUNT))


def _tuned(_hits: Any, _conditions: Any) -> Tuned:
    return Tuned(counts=TunedCounts(channel=_NO_CHANNEL, count=_NO_COUNT))


class Conditions:
    """Those of a run.

    Parameters
    ----------
    digest
        Which they are.
    plot_ranges
        Its own ranges of plots.
    """

    def __init__(self, digest: str, plot_ranges: Ranges) -> None:
        self.digest, self.plot_ranges = digest, plot_ranges
        self.lacking: dict[str, str] = {}


def _reconstruct(hits: Any, *arguments: Any) -> Any:
    if hits.word == b"boom":
        raise RuntimeError("the code fails on this spill")
    return _really_reconstruct(hits, *arguments)


_really_reconstruct = reconstruct._reconstruct

_WORDS = Words(shows="", normal="", action="", call="")
CATALOGUE = {
    VALUES: Plot(
        name=VALUES,
        detector="board",
        title="Values",
        axes=(Axis(label="Value", unit="counts", bins=BINS, low=0, high=BINS),),
        fill=lambda batch: (batch.join(Counts).count,),
        canvas="",
        keywords=(),
        words=_WORDS,
    ),
    PAIRS: Plot(
        name=PAIRS,
        detector="board",
        title="Channel and value",
        axes=(Axis(label="Channel", bins=4, low=0, high=4), Axis(label="Value", bins=4, low=0, high=BINS)),
        fill=lambda batch: (batch.join(Counts).channel, batch.join(Counts).count),
        canvas="",
        keywords=(),
        words=_WORDS,
        expert=True,
    ),
}

_STEPS = (
    ("board", Reconstruction(tables=Board, step=_board, needs_conditions=False)),
    (TUNED, Reconstruction(tables=Tuned, step=_tuned)),
    (RARE, Reconstruction(tables=Rare, step=_rare, needs_conditions=False)),
)
CHANNELS = Channels(name="board", names="0123", of=lambda board: board.counts.count % 4)
EXPERIMENT = Experiment(
    title="Simulation",
    subsystems=tuple(
        Subsystem(
            plots=DetectorPlots(
                name=name, title=name, overview=(), plots=tuple(p for p in CATALOGUE.values() if p.detector == name)
            ),
            reconstruction=its,
            channels=(CHANNELS,) if name == "board" else (),
        )
        for name, its in _STEPS
    ),
    formats=(
        Format(
            raw=RawFormat.DATE,
            source=SourceFormat(holds="nothing", begins=lambda *_: False, reader=None),  # type: ignore[arg-type]
            unpack=_unpack,
        ),
    ),
    conditions=ConditionsKinds(kinds=(), needed={}, make=None, odd=lambda _: iter(())),  # type: ignore[arg-type]
)


@contextmanager
def installed() -> Iterator[None]:
    """Have this be the experiment in a ``with`` block."""
    with ExitStack() as stack:
        stack.enter_context(patch.dict(vars(experiment()), vars(EXPERIMENT), clear=True))
        stack.enter_context(patch.object(reconstruct, "_reconstruct", _reconstruct))
        # What is remembered is little, so that a simulated hour comes to where it ends.
        stack.enter_context(patch.object(counter, "TAIL", TAIL))
        stack.enter_context(patch.object(kafka_log, "TAIL", TAIL))
        stack.enter_context(patch.object(reading, "AUDITED", 5))
        # A message is read each time that a run is made again, and always gives the same.
        remembered = lru_cache(maxsize=None)(wire.decode)
        stack.enter_context(patch.object(transform, "decode", lambda value, _tables={}: remembered(value)))
        numbers = count()
        stack.enter_context(patch("streams.books.changing.uuid.uuid4", lambda: UUID(int=next(numbers))))
        yield
