"""The runs that are compared with if nobody chooses: the newest earlier ones of the type that are good.

That is by counters, by what people said, and by what the checks proposed when it had ended, if somebody asked them.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from itertools import islice

from streams.books.decisions import Decisions
from streams.books.kept_book import KeptBook
from streams.books.layout import Place
from streams.books.plain_limits import FEW_PERCENT, too_many
from streams.books.totals import Totals
from streams.words import several

ENOUGH_SPILLS = 100
"""A run of fewer says little of how spills differ, and is scaled by much."""
ENOUGH_TRIGGERS = 1000
"""Particle triggers: a bin with a tenth of them has 10 %."""
CONSIDERED = 100
"""So many of the newest runs of the type."""
TOGETHER = 5
"""Good runs that are the reference, if there are as many: of one nobody knows how it differs from others."""
GOOD = (
    f"ended, {ENOUGH_SPILLS} spills, {ENOUGH_TRIGGERS:,} triggers, "
    f"at most {FEW_PERCENT:g} % rejected, missing, in error, not bad by flags or checks"
)
"""What a run must be to be chosen, in words."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Automatic:
    """What was chosen."""

    run: int | None = None
    """The reference."""
    earlier: tuple[int, ...] = ()
    """Good ones before it, the newest first: how they scatter is no change. None before one that is pinned."""
    is_pinned: bool = False
    """Somebody decided it, for all runs of the type."""
    book: KeptBook | None = None
    """The book that was pinned, in place of a run."""
    called: str = ""
    """Whence that book is: ``replay new-t0``."""
    lost: str = ""
    """Why what was pinned is not to be had: no other takes its place, as nobody decided that."""
    passed_over: Mapping[int, str] = field(default_factory=dict)
    """Newer runs of the type, and why they were not chosen."""

    @property
    def compared(self) -> str:
        """What is compared with, in words: ``run 9012``; empty if nothing is."""
        if self.book is not None:
            return f"run {self.book.run}, {self.called}"
        return "" if self.run is None else f"run {self.run}"


class Chooser:
    """Chooses, and reads totals of those runs alone that may be good, each again only when it has changed.

    Parameters
    ----------
    totals
        Gives the totals of a run; None if they cannot be read.
    decisions
        Give what people said of runs, and the checks.
    """

    def __init__(self, totals: Callable[[int], Totals | None], decisions: Callable[[], Decisions] = Decisions) -> None:
        self._totals, self._decisions = totals, decisions
        self._known: dict[int, tuple[Place, str]] = {}

    def choose(self, earlier: Iterable[int], places: Mapping[int, Place], began_ms: int = 0) -> Automatic:
        """Return the first of some runs that are good.

        Parameters
        ----------
        began_ms
            When the first message came of the run that is compared, so that it makes no difference when somebody looks:
            a run that ended later is not taken, and what is said later of one is not asked. 0 where nobody knows.
        """
        decisions, until_us = self._decisions(), 1000 * began_ms or None
        good: list[int] = []
        passed_over: dict[int, str] = {}
        for run in islice(earlier, CONSIDERED):
            is_late = began_ms and places[run].ended_ms > began_ms
            why = "ended when this one had begun" if is_late else decisions.bad(run, until_us)
            why = why or self._why_not(run, places[run])
            if not why:
                good.append(run)
            elif not good:
                passed_over[run] = why
            if len(good) == TOGETHER:
                break
        return Automatic(run=next(iter(good), None), earlier=tuple(good[1:]), passed_over=passed_over)

    def _why_not(self, run: int, place: Place) -> str:
        known, why = self._known.get(run, (None, ""))
        if known != place:
            totals = self._totals(run) if not (why := too_little(place)) else None
            if not why and totals is None:
                return "cannot be read"
            why = why or (bad(totals) if totals is not None else "")
            self._known[run] = place, why
        return why


def too_little(place: Place) -> str:
    """Return why there is too little of a run to compare with; empty if there is enough."""
    if not place.ended:
        return "has not ended"
    if place.retired:
        return "has left Redis"
    if place.filled < ENOUGH_SPILLS:
        return several(place.filled, "spill")
    return several(place.triggers, "trigger") if place.triggers < ENOUGH_TRIGGERS else ""


def bad(totals: Totals) -> str:
    """Return what is bad of a run as far as counters tell; empty if nothing is."""
    found = too_many(totals)
    return f"of {found[0].of} spills {', '.join(f'{each.count} {each.what}' for each in found)}" if found else ""
