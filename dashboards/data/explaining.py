"""Whether conditions explain what is off in the runs that somebody looks at: made again by a process below all else.

One run at a time. A run is looked at again when another plot of it is off, and after some minutes if spills have come.
"""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from multiprocessing.connection import Connection

from dashboards.data.aside import Aside
from dashboards.data.books import Books
from dashboards.data.one_run import NOTHING
from dashboards.data.shapes import Shapes
from streams.books.limits import LimitsFile, TypeLimits
from streams.books.shapes import bad
from streams.explain.run import compared, explain_run
from streams.explain.verdicts import Answer, Explained, at_once, nobody_knows
from streams.settings import Settings

Explanations = Mapping[int, Mapping[str, Explained]]
"""Run → plot that is off → whether its conditions explain it."""
SOUGHT = Explained(answer=Answer.SOUGHT)
OF_BOOK = "it is compared with a book that was pinned, and not with a run"
SOON_S = 30.0
"""Time after which a run is looked at again of which another plot is off: many are told off one after the other."""
AGAIN_S = 300.0
"""Likewise if spills have come, or it failed."""
AT_MOST_S = 180.0
"""What takes longer is ended: 100 spills take some seconds, on a busy machine a minute."""
_RUNS_KEPT = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class _Known:
    """What was found of a run."""

    reference: int
    versions: tuple[str, str]
    """Of both runs."""
    plots: Mapping[str, Explained]
    at_s: float
    """When, monotonic."""


class Explainer:
    """Explains runs; close it.

    Parameters
    ----------
    settings
        Servers, conditions.
    limits
        By run type.
    """

    def __init__(self, settings: Settings, limits: LimitsFile) -> None:
        self._settings = settings
        self._limits = limits
        self._known: dict[int, _Known] = {}
        self._work: _Work | None = None

    def look(self, books: Books, shapes: Shapes, last: Explanations) -> Explanations:
        """Return what is known of the runs whose plots were judged; the same again if nothing has changed."""
        now_s = time.monotonic()
        self._take(now_s)
        found: dict[int, Mapping[str, Explained]] = {}
        # That which is being taken comes first.
        runs = sorted((run for run, session in shapes if session is None), key=lambda run: run != books.current)
        for run in runs:
            if off := [each.plot for each in bad(shapes[run, None])]:
                found[run] = self._of(books, run, off, now_s)
        return last if found == last else found

    def close(self) -> None:
        """End what is at work."""
        if self._work is not None:
            self._work.end()
            self._work = None

    def _of(self, books: Books, run: int, off: list[str], now_s: float) -> Mapping[str, Explained]:
        one, reference = books.one(run, None), books.automatic_reference(run).run
        if books.automatic_reference(run).book is not None:
            return dict.fromkeys(off, nobody_knows(OF_BOOK))
        other = books.one(reference, None)
        if reference is None or other is NOTHING:
            return {}
        if equal := at_once(one.book.totals, other.book.totals, reference):
            return dict.fromkeys(off, equal)
        known, versions = self._known.get(run), (one.version, other.version)
        if known is not None and known.reference != reference:
            known = None
        plots = known.plots if known is not None else {}
        age_s = now_s - known.at_s if known is not None else AGAIN_S
        is_due = age_s >= SOON_S and not plots.keys() >= {*off}
        is_due |= age_s >= AGAIN_S and (known is None or known.versions != versions)
        if is_due and self._work is None:
            limits = self._limits.of(one.book.totals.run_type)
            self._work = _Work(self._settings, run, reference, limits, off, versions, now_s)
        return {plot: plots.get(plot, SOUGHT) for plot in off}

    def _take(self, now_s: float) -> None:
        """Take what the process has found, if it has ended."""
        work = self._work
        if work is None or (plots := work.result(now_s)) is None:
            return
        work.end()
        self._work = None
        self._known.pop(work.run, None)
        self._known[work.run] = _Known(reference=work.reference, versions=work.versions, plots=plots, at_s=now_s)
        while len(self._known) > _RUNS_KEPT:
            del self._known[next(iter(self._known))]


class _Work:
    """A process that explains a run.

    It reads the books itself: more than fits into a pipe would be waited for until it has started.
    """

    def __init__(
        self,
        settings: Settings,
        run: int,
        reference: int,
        limits: TypeLimits,
        plots: list[str],
        versions: tuple[str, str],
        now_s: float,
    ) -> None:
        self.run, self.reference, self.versions = run, reference, versions
        self._plots, self._until_s = plots, now_s + AT_MOST_S
        self._aside = Aside(_explain, settings, run, reference, limits, plots)

    def result(self, now_s: float) -> Mapping[str, Explained] | None:
        """Return what it has found, or why nothing; None while it is at work."""
        if not self._aside.found.poll():
            return self._nothing(f"it took more than {AT_MOST_S:.0f} s") if now_s > self._until_s else None
        try:
            found = self._aside.found.recv()
        except EOFError:
            return self._nothing("the process that looked into it died")
        return self._nothing(found) if isinstance(found, str) else found

    def _nothing(self, why: str) -> Mapping[str, Explained]:
        return dict.fromkeys(self._plots, nobody_knows(why))

    def end(self) -> None:
        """End it, if it has not."""
        self._aside.end()


def _explain(
    send: Connection, settings: Settings, run: int, reference: int, limits: TypeLimits, plots: list[str]
) -> None:
    """Explain a run, in a process of its own."""
    try:
        found: Mapping[str, Explained] | str = explain_run(settings, compared(settings, run, reference, limits), plots)
    except Exception as error:  # noqa: BLE001 - whatever it is, the page says it
        found = str(error) or type(error).__name__
    send.send(found)
