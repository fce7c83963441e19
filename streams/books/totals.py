"""Counters of a run that add up: filled + rejected = received - duplicates, always."""

from bisect import insort
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any, Self

from schemas.records import NO_RUN, TIME, ControlKind, ReconstructedSpill, RunControl
from streams.experiment import experiment
from streams.printable import printable

NUMBERS_KEPT = 100
"""Numbers of spills that are remembered besides being counted: the lowest, so that their sum is order-independent."""
NAMES_KEPT = 100
"""Names in a counter, the first ones of the alphabet: which they are depends on no order. The rest are one name."""
REFUSED_KEPT = 10_000
"""Numbers of refused spills that are remembered, the lowest."""
REASONS_KEPT = 20
"""Refused spills of which it is remembered why, those with the highest numbers."""
REASON_CHARACTERS = 300
"""Of each of these reasons."""
OTHERS = "~ others"
"""That name. The tilde sorts behind what is written in letters."""
FORMAT = 3
"""Of what `Totals.to_json` gives. A higher one has counters that nobody here could carry on."""


class NewerFormatError(ValueError):
    """Stored by a newer version, which counts what this one does not know of."""


@dataclass(slots=True, kw_only=True)
class Control:
    """What a run-control message said."""

    time_us: int
    events: int
    run_type: str
    source: str = ""
    byte: int = 0

    @property
    def rank(self) -> tuple[int, str, int, int, str]:
        """By which the one that counts is the lowest of several, whichever came first: no two that differ are equal."""
        return self.time_us, self.source, self.byte, self.events, self.run_type


@dataclass(slots=True, kw_only=True)
class Totals:
    """Counters of one run: of a partition, or, summed, of all."""

    received: int = 0
    """Messages that claim to be a spill of the run, redelivered ones left out."""
    filled: int = 0
    """Spills in the book."""
    duplicates: int = 0
    """Spills that came again with the same bytes."""
    duplicated: list[int] = field(default_factory=list)
    """Their numbers, each once, in order: the `NUMBERS_KEPT` lowest."""
    rejected: Counter[str] = field(default_factory=Counter)
    """Step that refused a spill → how many."""
    errors: Counter[str] = field(default_factory=Counter)
    """Detector or plot that failed on a spill → how many."""
    first_errors: dict[str, tuple[int, str]] = field(default_factory=dict)
    """The same → the first spill, by number, on which it failed, and why; older versions did not keep it."""
    absent: Counter[str] = field(default_factory=Counter)
    """Detector that was not read out → in how many of the book's spills; older versions did not keep it."""
    skipped: Counter[str] = field(default_factory=Counter)
    """Equipment type that is not registered → payloads skipped."""
    lacking: Counter[str] = field(default_factory=Counter)
    """Detector, or ``detector.table``, for which the run's conditions lack tables → in how many spills."""
    detectors: dict[str, Counter[str]] = field(default_factory=dict)
    """Detector → kind of hit → how many."""
    out_of_order: int = 0
    """Spills that came after one with a higher number in the same partition. Depends on the order, unlike the rest."""
    disordered: list[int] = field(default_factory=list)
    """Their numbers, as with duplicates."""
    triggers: int = 0
    """Particle triggers in the book's spills."""
    events: int = 0
    """DAQ events of all received spills, without run control."""
    first_us: int = 0
    last_us: int = 0
    """Times of the first and the last spill in the book, microseconds; 0 without one."""
    last_spill: int = -1
    """The highest number of a spill in the book."""
    last_came: int = -1
    """The highest number of a spill that came, in the book or not; older versions did not keep it, nor what follows."""
    refused: list[int] = field(default_factory=list)
    """Numbers of spills that were rejected and are not in the book, each once, in order: the `REFUSED_KEPT` lowest."""
    reasons: dict[int, list[str]] = field(default_factory=dict)
    """Refused spill → the step that refused it, and why, without its place: those with the highest numbers."""
    counted_ms: int = 0
    """When the newest message of which the spill is in the book was produced, Unix milliseconds; 0 without one."""
    counted_us: int = 0
    """That spill's own time."""
    first_raw: dict[int, int] = field(default_factory=dict)
    """Partition → the first offset of ``spills.raw`` that has a message of the run: a replay begins there."""
    last_raw: dict[int, int] = field(default_factory=dict)
    """Partition → the last such offset: a replay ends behind it."""
    first_ms: int = 0
    """When the first message of the run was produced, Unix milliseconds; 0 where nobody knows."""
    produced_ms: int = 0
    """When the newest message of the run was produced, Unix milliseconds; 0 where nobody knows."""
    ended_ms: int = 0
    """When the newest of its ends was produced."""
    code: set[str] = field(default_factory=set)
    conditions: set[str] = field(default_factory=set)
    control: dict[str, Control] = field(default_factory=dict)
    """start, end → what was said, of several the one of the lowest rank; absent while it was not."""
    unknown: dict[str, Any] = field(default_factory=dict)
    """What another version stored besides: kept as it is."""

    def hear(self, control: RunControl) -> None:
        """Take note of a run's start or end. Hearing it again changes nothing."""
        said = Control(
            time_us=control.time_us,
            events=control.events,
            run_type=control.run_type,
            source=control.source,
            byte=control.byte,
        )
        self._hear(control.kind.value, said)

    def _hear(self, kind: str, said: Control) -> None:
        known = self.control.get(kind)
        if known is None or said.rank < known.rank:
            self.control[kind] = said

    def note_origin(
        self, record: ReconstructedSpill | RunControl, partition: int, offset: int, produced_ms: int
    ) -> None:
        """Take note of where and when a message of the run was produced."""
        self.first_raw[partition] = min(offset, self.first_raw.get(partition, offset))
        self.last_raw[partition] = max(offset, self.last_raw.get(partition, offset))
        self.first_ms = earlier(self.first_ms, produced_ms)
        self.produced_ms = max(self.produced_ms, produced_ms)
        if isinstance(record, RunControl) and record.kind is ControlKind.END:
            self.ended_ms = max(self.ended_ms, produced_ms)

    def count_filled(self, spill: ReconstructedSpill, produced_ms: int) -> None:
        """Count a spill that goes into the book."""
        self.last_came = max(self.last_came, spill.spill)
        if spill.spill in self.refused:  # it was sent again after a fix
            self.refused.remove(spill.spill)
        self.reasons.pop(spill.spill, None)
        if TIME not in spill.errors:
            self._note_counted(produced_ms, spill.time_us)
        self.filled += 1
        self.triggers += spill.triggers
        self.first_us = earlier(self.first_us, spill.time_us)
        self.last_us = max(self.last_us, spill.time_us)
        if spill.spill < self.last_spill:
            self.out_of_order += 1
            self.disordered = _lowest([*self.disordered, spill.spill])
        self.last_spill = max(self.last_spill, spill.spill)
        self.errors = _bounded(self.errors + Counter(spill.errors.keys()))
        self._note_first({name: (spill.spill, why[:REASON_CHARACTERS]) for name, why in spill.errors.items()})
        made = experiment().reconstructions.keys()
        self.absent.update(made - spill.detectors.keys() - spill.errors.keys() - spill.lacking.keys())
        self.skipped = _bounded(self.skipped + Counter(spill.skipped))
        self.lacking = _bounded(self.lacking + Counter(spill.lacking.keys()))
        self.code.add(spill.code)
        self.conditions.add(spill.conditions)
        for name, detector in spill.detectors.items():
            counts = {kind: len(table) for kind, table in detector.tables().items()}
            self.detectors.setdefault(name, Counter()).update(counts)

    def count_duplicate(self, spill: int) -> None:
        """Count a spill that came again with the same bytes."""
        self.duplicates += 1
        self.duplicated = _lowest([*self.duplicated, spill])

    def count_rejected(self, spill: ReconstructedSpill, step: str, reason: str, *, is_filled: bool) -> None:
        """Count a spill that was rejected; `is_filled` says that one of its number is in the book."""
        self.rejected[step] += 1
        if spill.spill == NO_RUN or is_filled:
            return
        self.last_came = max(self.last_came, spill.spill)
        if spill.spill not in self.reasons and spill.spill not in self.refused:
            insort(self.refused, spill.spill)
            del self.refused[REFUSED_KEPT:]
        _, place, behind = reason.partition(f"run {spill.run}, spill {spill.spill}")
        said = behind.partition(": ")[2] if place else reason
        self.reasons.setdefault(spill.spill, [step, said[:REASON_CHARACTERS]])
        self._bound_reasons()

    def _note_counted(self, produced_ms: int, time_us: int) -> None:
        self.counted_ms, self.counted_us = max((self.counted_ms, self.counted_us), (produced_ms, time_us))

    def _note_first(self, errors: Mapping[str, tuple[int, str]]) -> None:
        for name, first in errors.items():
            self.first_errors[name] = min(first, self.first_errors.get(name, first))
        self.first_errors = {name: self.first_errors[name] for name in sorted(self.first_errors)[:NAMES_KEPT]}

    def _bound_reasons(self) -> None:
        self.reasons = {spill: self.reasons[spill] for spill in sorted(self.reasons)[-REASONS_KEPT:]}

    @property
    def all_events(self) -> int:
        """DAQ events, run control included."""
        return self.events + sum(c.events for c in self.control.values())

    @property
    def all_rejected(self) -> int:
        """Rejected spills, whatever the reason."""
        return sum(self.rejected.values())

    @property
    def run_type(self) -> str:
        """What the DAQ said that the run is for; empty if it did not say."""
        return next((said.run_type for said in self.control.values() if said.run_type), "")

    @property
    def ended(self) -> bool:
        """Whether the DAQ said that the run ended."""
        return ControlKind.END.value in self.control

    @property
    def has_late_spills(self) -> bool:
        """Whether something of the run was produced after its end."""
        return self.ended and self.produced_ms > self.ended_ms

    def __iadd__(self, other: Self) -> Self:
        self.received += other.received
        self.filled += other.filled
        self.duplicates += other.duplicates
        self.duplicated = _lowest([*self.duplicated, *other.duplicated])
        self.rejected += other.rejected
        self.errors = _bounded(self.errors + other.errors)
        self._note_first(other.first_errors)
        self.absent.update(other.absent)
        self.skipped = _bounded(self.skipped + other.skipped)
        self.lacking = _bounded(self.lacking + other.lacking)
        for detector, hits in other.detectors.items():
            self.detectors.setdefault(detector, Counter()).update(hits)
        self.out_of_order += other.out_of_order
        self.disordered = _lowest([*self.disordered, *other.disordered])
        self.triggers += other.triggers
        self.events += other.events
        self.first_us = earlier(self.first_us, other.first_us)
        self.last_us = max(self.last_us, other.last_us)
        self.last_spill = max(self.last_spill, other.last_spill)
        self.last_came = max(self.last_came, other.last_came)
        self.refused = sorted({*self.refused, *other.refused})[:REFUSED_KEPT]
        self.reasons = other.reasons | self.reasons
        self._bound_reasons()
        self._note_counted(other.counted_ms, other.counted_us)
        for partition, offset in other.first_raw.items():
            self.first_raw[partition] = min(offset, self.first_raw.get(partition, offset))
        for partition, offset in other.last_raw.items():
            self.last_raw[partition] = max(offset, self.last_raw.get(partition, offset))
        self.first_ms = earlier(self.first_ms, other.first_ms)
        self.produced_ms = max(self.produced_ms, other.produced_ms)
        self.ended_ms = max(self.ended_ms, other.ended_ms)
        self.code |= other.code
        self.conditions |= other.conditions
        for kind, said in other.control.items():
            self._hear(kind, said)
        self.unknown |= other.unknown
        return self

    def count_errors(self, name: str, spills: Mapping[int, str]) -> None:
        """Count spills on which something failed, by its name; `spills` says why it did on each."""
        self.errors = _bounded(self.errors + Counter({name: len(spills)}))
        first = min(spills)
        self._note_first({name: (first, printable(spills[first])[:REASON_CHARACTERS])})

    def to_json(self) -> dict[str, Any]:
        """Return the totals as plain values."""
        # Not asdict(): it makes a Counter of the pairs of a Counter.
        values = {"format": FORMAT} | {f.name: getattr(self, f.name) for f in fields(self) if f.name != "unknown"}
        control = {kind: asdict(said) for kind, said in self.control.items()}
        return (
            self.unknown
            | values
            | {"code": sorted(self.code), "conditions": sorted(self.conditions), "control": control}
        )

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> Self:
        """Return the totals that `to_json` gave these values of.

        Raises
        ------
        NewerFormatError
            When a newer version did.
        """
        values = dict(values)
        if (written := values.pop("format", 1)) > FORMAT:
            raise NewerFormatError(f"totals of format {written}, and this version knows up to {FORMAT}")
        known = {f.name for f in fields(cls)}
        values |= {"unknown": {name: values.pop(name) for name in sorted(values.keys() - known)}}
        return cls(
            **values
            | {name: Counter(values.get(name, {})) for name in ("rejected", "errors", "skipped", "lacking", "absent")}
            | {"first_errors": {name: (int(s), str(why)) for name, (s, why) in values.get("first_errors", {}).items()}}
            | {"detectors": {d: Counter(hits) for d, hits in values["detectors"].items()}}
            | {name: _by_number(values.get(name, {})) for name in ("first_raw", "last_raw", "reasons")}
            | {"code": set(values["code"]), "conditions": set(values["conditions"])}
            | {"control": {kind: Control(**said) for kind, said in values["control"].items()}},
        )


def _by_number(stored: dict[str, Any]) -> dict[int, Any]:
    return {int(number): value for number, value in stored.items()}


def earlier(one: int, other: int) -> int:
    """Return the earlier of two times; 0 is none."""
    return min(one, other) if one and other else one or other


def _bounded(counts: Counter[str]) -> Counter[str]:
    """Return the counts of the first names of the alphabet, and the sum of the rest.

    A name that is once among the rest stays there, as ever fewer come before it; so which names are kept and what is
    counted of each depends on what came, not on its order.
    """
    if len(counts) <= NAMES_KEPT:
        return counts
    names = sorted(counts.keys() - {OTHERS})
    kept = Counter({name: counts[name] for name in names[:NAMES_KEPT]})
    kept[OTHERS] = counts[OTHERS] + sum(counts[name] for name in names[NAMES_KEPT:])
    return kept


def _lowest(numbers: list[int]) -> list[int]:
    return sorted(set(numbers))[:NUMBERS_KEPT]
