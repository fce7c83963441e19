"""What is odd about the tables of all indices: every table read, and what no single one of them can know."""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

from streams.conditions.store import LAST_RUN, Entry, load, problems
from streams.errors import UsageError
from streams.experiment import experiment


@dataclass(frozen=True, slots=True, kw_only=True)
class Oddity:
    """Something that whoever keeps the tables should know."""

    first_run: int
    last_run: int
    is_wrong: bool
    """It cannot be; else runs only lack something."""
    what: str


def check(entries: Sequence[Entry], plots: Collection[str]) -> list[Oddity]:
    """Return what is odd, in the order of the runs; of runs for which it is the same, once.

    Parameters
    ----------
    plots
        Names of all plots.
    """
    found = [
        Oddity(first_run=first, last_run=last, is_wrong=True, what=what) for first, last, what in problems(entries)
    ]
    good = [entry for entry in entries if not entry.fault]
    for first, last in _ranges(good):
        its = {entry.kind: entry for entry in good if entry.is_for(first)}
        if its:
            found += [
                Oddity(first_run=first, last_run=last, is_wrong=is_wrong, what=what)
                for is_wrong, what in _odd([its[kind] for kind in sorted(its)], plots)
            ]
    return sorted(_joined(found), key=lambda each: (each.first_run, each.last_run))


def _ranges(entries: Sequence[Entry]) -> Iterator[tuple[int, int]]:
    """Yield first and last run of the ranges that have the same tables throughout."""
    begins = sorted({0, LAST_RUN + 1} | {run for entry in entries for run in (entry.first_run, entry.last_run + 1)})
    for begin, end in pairwise(begins):
        yield begin, end - 1


def _odd(entries: Sequence[Entry], plots: Collection[str]) -> Iterator[tuple[bool, str]]:
    """Yield whether it is wrong, and what it is, of tables that serve the same runs."""
    its = experiment().conditions
    missing = sorted({kind for kinds in its.needed.values() for kind in kinds} - {entry.kind for entry in entries})
    for kind in missing:
        without = " and ".join(name for name, kinds in its.needed.items() if kind in kinds)
        yield False, f"no table of the kind {kind}: no {without.replace('.', ' ').replace('_', ' ')}"
    try:
        conditions = load(entries)
    except UsageError as error:
        yield True, str(error)
        return
    yield from ((True, f"there is no plot {n}, which has a range") for n in conditions.plot_ranges if n not in plots)
    yield from its.odd(conditions)


def _joined(found: Sequence[Oddity]) -> list[Oddity]:
    """Return one of those that say the same of runs that follow each other."""
    joined: dict[tuple[bool, str], list[Oddity]] = {}
    for each in found:
        same = joined.setdefault((each.is_wrong, each.what), [])
        follows = bool(same) and same[-1].last_run + 1 == each.first_run
        same.append(replace(each, first_run=same.pop().first_run) if follows else each)
    return [each for same in joined.values() for each in same]
