"""What is wrong with the runs that somebody looks at: judged spill by spill, a part of them at a time."""

import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial

from dashboards.data.books import Books
from dashboards.data.one_run import NOTHING, OneRun
from streams.books.judgement import Judgement, Judging, known_of
from streams.books.part_reader import UnreadableRunError
from streams.books.reader import BookReader
from streams.checks.start import Known

AT_ONCE_S = 0.25
"""Time that is spent on it before the page is told what is known so far."""
SPILLS_AT_ONCE = 20
"""Spills of which the counts are read together."""

_Against = tuple[int | None, str]
"""A run that is compared with, and its version; or no run, and the SHA-256 of a book that was pinned."""
Judgements = Mapping[tuple[int, str | None], Judgement]
"""Run and session, as in `Books.read` → what is wrong with it."""


class Judges:
    """Judges runs.

    Parameters
    ----------
    reader_of
        Gives what reads the books of a session, None for those that are the runs'.
    """

    def __init__(self, reader_of: Callable[[str | None], BookReader]) -> None:
        self._reader_of = reader_of
        self._judging: dict[tuple[int, str | None], tuple[_Against, Judging]] = {}
        self._over: dict[tuple[int, str | None], tuple[tuple[str, _Against], Judgement]] = {}
        """Of a run that is over its version, and what is wrong with it: who judges remembers much more, and may go."""
        self._known: dict[_Against, Mapping[str, Known]] = {(None, ""): {}}
        """What runs had that others are compared with."""

    def look(self, books: Books, last: Judgements) -> Judgements:
        """Return what is known of the runs that were read; the same again if nothing has changed.

        Raises
        ------
        redis.RedisError
            When Redis does not answer.
        """
        wanted = books.to_judge()
        self._judging = {at: its for at, its in self._judging.items() if at in wanted}
        self._over = {at: its for at, its in self._over.items() if at in wanted}
        against = {at: self._against(books, at[0]) for at in wanted}
        self._known = {other: its for other, its in self._known.items() if other in {(None, ""), *against.values()}}
        until_s = time.monotonic() + AT_ONCE_S
        # That which is being taken comes first.
        order = sorted(wanted, key=lambda at: at != (books.current, None))
        found = {
            at: self._judged(at, wanted[at], against[at], until_s, last.get(at), is_over=at[0] != books.current)
            for at in order
        }
        return last if found == last else found

    def _against(self, books: Books, run: int) -> _Against:
        """Return what a run is compared with, and have it be known what that had."""
        automatic = books.automatic_reference(run)
        if automatic.book is not None:
            self._known[None, automatic.book.sha256] = automatic.book.known
            return None, automatic.book.sha256
        other = automatic.run
        one = books.one(other, None)
        against = (other, one.version)
        if other is None or one is NOTHING:
            return None, ""
        if against not in self._known:
            try:
                counts_of = partial(self._reader_of(None).channel_counts, other)
                self._known[against] = known_of(one.book.ledger, counts_of)
            except (UnreadableRunError, ValueError):  # the page says so of a run that is compared with
                self._known[against] = {}
        return against

    def _judged(
        self,
        at: tuple[int, str | None],
        one: OneRun,
        against: _Against,
        until_s: float,
        before: Judgement | None,
        *,
        is_over: bool,
    ) -> Judgement:
        """Return what is known of a run with its next spills; what was known before, while less is known again."""
        (run, session), ledger = at, one.book.ledger
        version, known = self._over.get(at, (("", (None, "")), Judgement()))
        if version == (one.version, against):
            return known
        former, judging = self._judging.get(at, (against, None))
        if judging is None or former != against:
            judging = Judging(self._known[against])
        self._judging[at] = against, judging
        more_come = one.settled is not None
        is_over = (is_over or one.book.totals.ended) and not more_come
        due = judging.due(one.spills.spill, is_over=is_over, more_come=more_come)
        try:
            while due and time.monotonic() < until_s:
                now, due = due[:SPILLS_AT_ONCE], due[SPILLS_AT_ONCE:]
                counts = self._reader_of(session).channel_counts(run, now)
                for spill in now:
                    judging.add(spill, ledger[spill].triggers, counts[spill])
        except (UnreadableRunError, ValueError) as error:
            del self._judging[at]
            return Judgement(problem=str(error))
        left, late = judging.late + len(due), judging.late
        found = replace(judging.judgement, left=left, late=late, is_whole=not late)
        if is_over and not due:
            self._over[at] = (one.version, against), found
            del self._judging[at]
        if due and before is not None and found.last < before.last:
            # It is judged again, as what it is compared with has changed, or a spill came late. What is wrong would be
            # good for a moment, and new again for who has seen it.
            return replace(before, left=left, late=late, is_whole=False)
        return found
