"""What the checks propose of a run that is over, from all that is known to be wrong with it."""

from collections.abc import Iterator

from dashboards.data.judged_run import JudgedRun
from streams.books.flags import ALL, END, Verdict
from streams.books.following import beneath, detector_of
from streams.books.judgement import cause_words
from streams.books.proposals import Proposed
from streams.books.shapes import State, bad, off
from streams.experiment import experiment
from streams.words import several

MOST = 50
"""Flags of a run, the first ones: whoever reads more has stopped reading."""
LONGEST = 300
"""Characters of a reason."""


def proposed(its: JudgedRun) -> tuple[Proposed, ...]:
    """Return the flags that the checks propose: good what nothing is known to be wrong with, if enough is known."""
    wrong = [*_wrong(its)]
    if its.judgement.is_settling:
        return (Proposed(Verdict.UNKNOWN, f"{several(its.judgement.counted, 'spill')}, too few to tell"), *wrong)
    states = [verdict.state for verdict in its.shapes.values()]
    earlier = f" and {len(its.earlier)} before" if its.earlier else ""
    as_in = f"{states.count(State.GOOD)} plots as in {its.compared}{earlier}" if its.compared else ""
    why = f"nothing is known to be wrong{' otherwise' if wrong else ''}; {as_in or 'no run to compare with'}"
    return (Proposed(Verdict.GOOD, why), *wrong[:MOST])


def _wrong(its: JudgedRun) -> Iterator[Proposed]:
    """Yield what is bad: by counters, then what changed in detectors, then the plots that follow from none of it."""
    only_warns = Verdict.UNKNOWN if its.limits.only_warns else Verdict.BAD
    for each in its.too_many:
        yield _flag(only_warns, each.words, each.detector)
    for cause in its.judgement.causes:
        verdict = cause.verdict
        last = END if verdict.ended is None else max(verdict.ended - 1, verdict.finding.begin.first)
        yield _flag(only_warns, cause_words(cause), detector_of(cause), verdict.finding.begin.first, last)
    for plot in beneath(its.judgement.causes, bad(its.shapes)).rest:
        named = experiment().plots[plot.plot]
        yield _flag(only_warns, f"{named.title} {off(plot)}", named.detector)


def _flag(verdict: Verdict, reason: str, detector: str, first: int = 0, last: int = END) -> Proposed:
    return Proposed(verdict, reason[:LONGEST], detector or ALL, first, last)
