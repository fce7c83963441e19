"""What is wrong with a run, by the counts that its book keeps of each spill: brought up to date as they come."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from streams.books.run import RunBook
from streams.checks.channels import Channels, unpack
from streams.checks.counts import SETTLING
from streams.checks.judge import Judge, Verdict
from streams.checks.means import Moved
from streams.checks.peaks import Peak, PeakJudge
from streams.checks.yields import Yield, Yields
from streams.experiment import experiment
from streams.words import several

PATIENCE = 8
"""Spills after which one that lacks is not waited for any more. Partitions are counted at different speeds."""


@dataclass(frozen=True, slots=True, kw_only=True)
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
    yields: Mapping[str, Yield] = field(default_factory=dict)
    """Detector → its hits a particle trigger over the run; without those that have no channels."""
    left: int = 0
    """Spills that are there, and are still to be judged."""
    problem: str = ""
    """Why nothing is known; empty if something is."""

    @property
    def is_settling(self) -> bool:
        """Whether so few spills have come that nothing is told yet."""
        return self.counted <= SETTLING

    @property
    def bad(self) -> tuple[Verdict, ...]:
        """What is wrong now."""
        return tuple(each for each in self.verdicts if each.ended is None)

    def to_json(self) -> dict[str, Any]:
        """Return it as plain values."""
        return {
            "spills": self.spills,
            "counted": self.counted,
            "last": self.last,
            "settling": self.is_settling,
            "problem": self.problem,
            "verdicts": [_plain(verdict) for verdict in self.verdicts],
        }


def _plain(verdict: Verdict) -> dict[str, Any]:
    finding = verdict.finding
    if isinstance(finding, Moved):
        its = {"change": "moved", "by": finding.by, "error": finding.error, "unit": verdict.unit}
    else:
        its = {"change": finding.change.name} | {n: getattr(finding, n) for n in ("factor", "counted", "expected")}
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
    begin = verdict.finding.begin
    what = f"{verdict.group} {verdict.channel}".strip()
    doubt = "" if begin.earliest == begin.latest else f" (between {begin.earliest} and {begin.latest})"
    until = "" if verdict.ended is None else f" until {verdict.ended}"
    return f"{what} {_change(verdict)} since spill {begin.first}{doubt}{until}"


def _change(verdict: Verdict) -> str:
    finding = verdict.finding
    if isinstance(finding, Moved):
        return f"moved by {finding.by:+.2f} {verdict.unit}"
    return finding.change.name + ("" if finding.change.name == "silent" else f" (× {finding.factor:.2g})")


def measured(verdict: Verdict) -> str:
    """Return the numbers that a verdict stands on."""
    finding = verdict.finding
    if isinstance(finding, Moved):
        return f"moved by {finding.by:+.3f} ± {finding.error:.3f} {verdict.unit}"
    return f"{several(finding.counted, 'hit')}, where {finding.expected:,.0f} were expected"


class Judging:
    """Judges a run while its spills come.

    Spills are judged in the order of their numbers. One that comes when later ones have been judged has all judged
    again, so that the order in which they came makes no difference in the end.
    """

    def __init__(self) -> None:
        self._watched = [each for its in experiment().watched.values() for each in its]
        self._groups = [each for each in self._watched if isinstance(each, Channels)]
        self._peaks = [each for each in self._watched if isinstance(each, Peak)]
        self._begin()

    def _begin(self) -> None:
        self._judge = Judge(self._groups)
        self._peak_judge = PeakJudge(self._peaks)
        self._yields = Yields(self._groups)
        self._judged: set[int] = set()
        self._counted = 0

    @property
    def limits(self) -> dict[str, float]:
        """Thresholds, by what they are of: how much likelier something must be, as a logarithm, to be told."""
        of_channels, of_groups = self._judge.limits
        return {"channel": of_channels, "group": of_groups, "peak": self._peak_judge.limit}

    def due(self, spills: Iterable[int], *, is_over: bool) -> list[int]:
        """Return which spills are to be judged next, in their order: `add` them all.

        Parameters
        ----------
        spills
            Numbers of all that the run has.
        is_over
            Whether no others are waited for.
        """
        there = set(spills)
        new = sorted(there - self._judged)
        if not self._judged <= there or (new and new[0] < self._judge.spill):
            self._begin()
            new = sorted(there)
        last, newest = self._judge.spill, max(there, default=-1)
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
        self._judged.add(spill)
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
            yields={
                detector: self._yields.of({group.name for group in groups})
                for detector, groups in experiment().channels.items()
            },
        )


def _order(verdict: Verdict) -> tuple[int, str, str]:
    return verdict.finding.begin.first, verdict.group, verdict.channel


def judged(book: RunBook) -> Judgement:
    """Return what is wrong with a run that is over, or as far as it is."""
    judging = Judging()
    try:
        for spill in judging.due(book.ledger, is_over=True):
            judging.add(spill, book.ledger[spill].triggers, book.channel_counts.get(spill, b""))
    except ValueError as error:
        return Judgement(problem=str(error))
    return judging.judgement
