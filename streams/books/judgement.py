"""What is wrong with a run, by the counts that its book keeps of each spill: brought up to date as they come."""

from array import array
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from types import MappingProxyType
from typing import Any

import numpy as np

from schemas.columns import I8
from streams.books.run import Ledger, RunBook
from streams.checks.causes import Cause, causes
from streams.checks.channels import unpack
from streams.checks.counts import SETTLING, Finding
from streams.checks.judge import Judge, Verdict
from streams.checks.means import Moved
from streams.checks.peaks import Peak, PeakJudge
from streams.checks.start import Known
from streams.checks.yields import Yield, Yields
from streams.experiment import experiment
from streams.settings import load_settings
from streams.words import several

KNOWN_SPILLS = 300
"""The last so many spills of another run tell what it had."""
MOST = 100
"""Times as many hits as before, from which on there were none before, as good as."""
PATIENCE = 8
"""Spills after which one that lacks is not waited for any more. Partitions are counted at different speeds."""


_TIMES = ("ns", "ps")
"""Units of what comes later or earlier, not higher or lower."""


@dataclass(frozen=True, kw_only=True)
class Judgement:
    """What is known of a run as of a spill."""

    spills: int = 0
    """Those that were judged."""
    counted: int = 0
    """Those of them of which hits by channel are known."""
    last: int = -1
    """Number of the newest of them."""
    verdicts: tuple[Verdict, ...] = ()
    """What is and what was wrong, in the order in which it began."""
    hits: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
    """Group of which several channels are or were wrong → hits that each has in a spill if it is as before."""
    yields: Mapping[str, Yield] = field(default_factory=dict)
    """Detector → its hits a particle trigger over the run; without those that have no channels."""
    left: int = 0
    """Spills that are there, and are still to be judged."""
    late: int = 0
    """Those of them that came when later ones had been judged, while others are on their way: see `Judging`."""
    is_whole: bool = True
    """Whether all spills that are there up to the newest were judged: else it is said of what was there before."""
    problem: str = ""
    """Why nothing is known; empty if something is."""

    @property
    def is_settling(self) -> bool:
        """Whether so few spills have come that nothing is told yet."""
        return self.counted <= SETTLING

    @property
    def is_behind(self) -> bool:
        """Whether so many spills wait to be judged that a fault may have begun in them."""
        return self.left > SETTLING

    @cached_property
    def causes(self) -> tuple[Cause, ...]:
        """What is and what was wrong, each fault once, with what follows from it."""
        return causes(self.verdicts, experiment().all_watched, self.hits, self.last)

    @property
    def bad(self) -> tuple[Cause, ...]:
        """What is wrong now."""
        return tuple(each for each in self.causes if each.verdict.ended is None)

    def to_json(self) -> dict[str, Any]:
        """Return it as plain values."""
        return {
            "spills": self.spills,
            "counted": self.counted,
            "last": self.last,
            "settling": self.is_settling,
            "problem": self.problem,
            "causes": [_plain_cause(cause) for cause in self.causes],
        }


def _plain_cause(cause: Cause) -> dict[str, Any]:
    its = _plain(cause.verdict) | {"words": cause_words(cause)}
    if cause.members:
        its |= {"members": cause.members, "members_told": cause.told, "members_of": cause.of}
    return its | {"follows": [_plain(verdict) for verdict in cause.follows]}


def _plain(verdict: Verdict) -> dict[str, Any]:
    finding = verdict.finding
    if isinstance(finding, Moved):
        its = {"change": "moved", "by": finding.by, "error": finding.error, "unit": verdict.unit}
    else:
        numbers = ("factor", "counted", "expected", "from_the_begin")
        its = {"change": finding.change.name} | {name: getattr(finding, name) for name in numbers}
    return {
        "group": verdict.group,
        "channel": verdict.channel,
        **its,
        **finding.begin._asdict(),
        "told": finding.told,
        "ended": verdict.ended,
        "words": words(verdict),
    }


def words(verdict: Verdict) -> str:
    """Return a verdict as a shifter says it: ``TOF1 horizontal slab 3, PMT 0 silent since spill 412``."""
    return f"{_what(verdict)} {_change(verdict)} {_since(verdict)}"


def cause_words(cause: Cause) -> str:
    """Return a cause as a shifter says it: ``Wall plane 3: 59 of 59 channels silent since spill 412``."""
    verdict, finding = cause.verdict, cause.verdict.finding
    if not cause.members:
        return words(verdict)
    told = f"{cause.told} of {cause.of} {cause.members}"
    if not isinstance(finding, Moved):
        return f"{_what(verdict)}: {told} {_change(verdict)} {_since(verdict)}"
    if verdict.unit not in _TIMES:
        return f"{_what(verdict)} {_change(verdict)} {_since(verdict)} ({told})"
    side = "later" if finding.by > 0 else "earlier"
    return f"{_what(verdict)} {side} by {abs(finding.by):.2f} {verdict.unit} {_since(verdict)} ({told})"


def _what(verdict: Verdict) -> str:
    return f"{verdict.group} {verdict.channel}".strip()


def _since(verdict: Verdict) -> str:
    begin = verdict.finding.begin
    doubt = "" if begin.earliest == begin.latest else f" (between {begin.earliest} and {begin.latest})"
    until = "" if verdict.ended is None else f" until {verdict.ended}"
    since = f"since spill {begin.first}{doubt}"
    if isinstance(verdict.finding, Finding) and verdict.finding.from_the_begin:
        since = "from the begin on"
    return f"{since}{until}"


def _change(verdict: Verdict) -> str:
    finding = verdict.finding
    if isinstance(finding, Moved):
        return f"moved by {finding.by:+.2f} {verdict.unit}"
    if finding.change.name == "silent":
        return finding.change.name
    return f"{finding.change.name} ({f'× {finding.factor:.2g}' if finding.factor < MOST else 'new'})"


def measured(verdict: Verdict) -> str:
    """Return the numbers that a verdict stands on."""
    finding = verdict.finding
    if isinstance(finding, Moved):
        return f"moved by {finding.by:+.3f} ± {finding.error:.3f} {verdict.unit}"
    return f"{several(finding.counted, 'hit')}, where {finding.expected:,.0f} were expected"


class Judging:
    """Judges a run while its spills come.

    Spills are judged in the order of their numbers. One that comes when later ones have been judged has all judged
    again, so that the order in which they came makes no difference in the end. That is done once, when no others are on
    their way: each that comes from a partition which lags would have it begin anew, and never end.

    Parameters
    ----------
    known
        What another run had of each group, see `known_of`.
    false_alarm
        Spills in which one false alarm is borne; as the settings say by default.
    """

    def __init__(self, known: Mapping[str, Known] = MappingProxyType({}), false_alarm: float | None = None) -> None:
        self._known = known
        self._false_alarm = false_alarm or load_settings().checks.spills_a_false_alarm
        self._watched, self._groups = experiment().all_watched, experiment().groups
        self._peaks = [each for each in self._watched if isinstance(each, Peak)]
        self._begin()

    def _begin(self) -> None:
        self._judge = Judge(self._groups, self._false_alarm, self._known)
        self._peak_judge = PeakJudge(self._peaks, self._false_alarm)
        self._yields = Yields(self._groups)
        self._judged = array("q")
        """In order."""
        self._counted = 0
        self.late = 0
        """Spills that came when later ones had been judged, and wait."""

    @property
    def limits(self) -> dict[str, float]:
        """Thresholds, by what they are of: how much likelier something must be, as a logarithm, to be told."""
        of_channels, of_groups = self._judge.limits
        return {"channel": of_channels, "group": of_groups, "peak": self._peak_judge.limit}

    def due(self, spills: I8, *, is_over: bool, more_come: bool = False) -> list[int]:
        """Return which spills are to be judged next, in their order: `add` them all.

        Parameters
        ----------
        spills
            Numbers of all that the run has, in order.
        is_over
            Whether no others are waited for.
        more_come
            Whether some are on their way: what came late is left until then, and counted in ``late``.
        """
        end = int(np.searchsorted(spills, self._judge.spill, side="right"))
        before, judged = spills[:end], np.array(self._judged, np.int64)
        is_same = np.array_equal(before, judged)  # which is soon known of very many
        self.late = 0 if is_same else len(np.setdiff1d(before, judged, assume_unique=True))
        if end - self.late != len(judged) or (self.late and not more_come):
            self._begin()
            end = self.late = 0
        new: list[int] = spills[end:].tolist()
        last = self._judge.spill
        newest = new[-1] if new else last
        for at, spill in enumerate(new):
            if spill != last + 1 and spill - 1 > newest - PATIENCE and not is_over:
                return new[:at]
            last = spill
        return new

    def add(self, spill: int, triggers: int, counts: bytes) -> None:
        """Judge the next spill.

        Parameters
        ----------
        triggers
            Its particle triggers.
        counts
            How often each channel was hit, packed; empty if it is not known.

        Raises
        ------
        ValueError
            When the counts cannot be read.
        """
        found = unpack(counts, self._watched)
        self._judge.add(spill, triggers, found)
        self._peak_judge.add(spill, triggers, found)
        self._yields.add(spill, triggers, found)
        self._judged.append(spill)
        self._counted += bool(counts)

    @property
    def judgement(self) -> Judgement:
        """What is known so far."""
        verdicts = (*self._judge.verdicts, *self._peak_judge.verdicts)
        return Judgement(
            spills=len(self._judged),
            counted=self._counted,
            last=self._judge.spill,
            verdicts=tuple(sorted(verdicts, key=_order)),
            hits=self._judge.hits,
            yields={
                detector: self._yields.of({group.name for group in groups})
                for detector, groups in experiment().channels.items()
            },
        )


def _order(verdict: Verdict) -> tuple[int, str, str]:
    return verdict.finding.begin.first, verdict.group, verdict.channel


def known_of(ledger: Ledger, counts_of: Callable[[Sequence[int]], Mapping[int, bytes]]) -> dict[str, Known]:
    """Return what a run had of each group, in its last spills.

    Parameters
    ----------
    counts_of
        Gives the counts of some of its spills, packed; without those of which they are not known.

    Raises
    ------
    ValueError
        When the counts cannot be read.
    """
    spills = sorted(ledger)[-KNOWN_SPILLS:]
    packed = counts_of(spills)
    found: dict[str, Known] = {}
    for spill in spills:
        for name, counts in unpack(packed.get(spill, b""), experiment().groups).items():
            known = found.get(name, Known(counts=np.zeros_like(counts), triggers=0))
            found[name] = Known(counts=known.counts + counts, triggers=known.triggers + ledger[spill].triggers)
    return found


def last_of(book: RunBook) -> dict[str, Known]:
    """Return what a run had of each group, see `known_of`."""
    return known_of(book.ledger, lambda _: book.channel_counts)


def judged(
    book: RunBook,
    reference: RunBook | None = None,
    false_alarm: float | None = None,
    known: Mapping[str, Known] = MappingProxyType({}),
) -> Judgement:
    """Return what is wrong with a run that is over, or as far as it is; the reference tells what it should have.

    Parameters
    ----------
    false_alarm
        See `Judging`.
    known
        In place of the reference, what it had of each group.
    """
    try:
        judging = Judging(last_of(reference) if reference is not None else known, false_alarm)
        for spill in judging.due(np.array(sorted(book.ledger), np.int64), is_over=True):
            judging.add(spill, book.ledger[spill].triggers, book.channel_counts.get(spill, b""))
    except ValueError as error:
        return Judgement(problem=str(error))
    return judging.judgement
