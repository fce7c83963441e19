"""What is wrong with a run, by the counts that its book keeps of each spill: brought up to date as they come."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from streams.books.run import RunBook
from streams.checks.channels import unpack
from streams.checks.counts import SETTLING
from streams.checks.judge import Judge, Verdict
from streams.experiment import experiment

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
    return {
        "group": verdict.group,
        "channel": verdict.channel,
        "change": finding.change.name,
        "factor": finding.factor,
        "counted": finding.counted,
        "expected": finding.expected,
        **finding.begin._asdict(),
        "told": finding.told,
        "ended": verdict.ended,
        "words": words(verdict),
    }


def words(verdict: Verdict) -> str:
    """Return a verdict as a shifter says it: ``TOF1 horizontal slab 3, PMT 0 silent since spill 412``."""
    finding = verdict.finding
    what = f"{verdict.group} {verdict.channel}".strip()
    size = "" if finding.change.name == "silent" else f" (× {finding.factor:.2g})"
    first, until = finding.begin.first, "" if verdict.ended is None else f" until {verdict.ended}"
    doubt = "" if finding.begin.earliest == finding.begin.latest else _doubt(verdict)
    return f"{what} {finding.change.name}{size} since spill {first}{doubt}{until}"


def _doubt(verdict: Verdict) -> str:
    begin = verdict.finding.begin
    return f" (between {begin.earliest} and {begin.latest})"


class Judging:
    """Judges a run while its spills come.

    Spills are judged in the order of their numbers. One that comes when later ones have been judged has all judged
    again, so that the order in which they came makes no difference in the end.
    """

    def __init__(self) -> None:
        self._groups = [group for its in experiment().channels.values() for group in its]
        self._begin()

    def _begin(self) -> None:
        self._judge = Judge(self._groups)
        self._judged: set[int] = set()
        self._counted = 0

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
        self._judge.add(spill, triggers, unpack(counts, self._groups))
        self._judged.add(spill)
        self._counted += bool(counts)

    @property
    def judgement(self) -> Judgement:
        """What is known so far."""
        return Judgement(
            spills=len(self._judged),
            counted=self._counted,
            last=self._judge.spill,
            verdicts=tuple(self._judge.verdicts),
        )


def judged(book: RunBook) -> Judgement:
    """Return what is wrong with a run that is over, or as far as it is."""
    judging = Judging()
    try:
        for spill in judging.due(book.ledger, is_over=True):
            judging.add(spill, book.ledger[spill].triggers, book.channel_counts.get(spill, b""))
    except ValueError as error:
        return Judgement(problem=str(error))
    return judging.judgement
