"""The reference of a type of runs, as somebody pins it, on the page or by a command: a run, or a book of one."""

import json

from redis import Redis

from schemas.records import ActionKind
from schemas.wire import encode
from streams.books.actions import new_action
from streams.books.decided import decide, newest
from streams.books.decisions import Decisions, Pin, pin_of
from streams.books.imported import Imported
from streams.books.kept_book import KeptBook, book_text, imported_text
from streams.books.pinned_books import keep, pinning
from streams.books.reader import BookReader
from streams.books.sessions import Sessions
from streams.errors import UsageError
from streams.printable import printable
from streams.settings import Settings

NAMED = 10
"""Runs of a replay that are named."""


def pin(settings: Settings, redis: Redis, run: int, *, origin: str, reason: str = "", who: str = "") -> str:
    """Have the runs of its type be compared with a run, from now on, and return the type; it may be so already.

    Raises
    ------
    UsageError
        When there is no such run.
    ServerError
        When Kafka does not answer.
    """
    totals = BookReader.shown(redis, settings).runs([run]).get(run)
    if totals is None or not totals.filled:
        raise UsageError(f"there is no run {run} in the books: see spilldeck runs list")
    _decide(settings, redis, totals.run_type, run, origin=origin, reason=reason, who=who)
    return totals.run_type


def pin_replay(
    settings: Settings, redis: Redis, name: str, run: int | None, *, origin: str, reason: str = "", who: str = ""
) -> tuple[int, str]:
    """Have the runs of its type be compared with the book that a replay made of a run; return the run and the type.

    The book is kept as it is now: the replay may be removed.

    Parameters
    ----------
    run
        None if the replay is of one alone.

    Raises
    ------
    UsageError
        When there is no such replay, it is not done, its books are lost, or it is not of this run.
    ServerError
        When Kafka does not answer.
    """
    plan = Sessions.now(settings, redis, origin=origin, who=who).named(name)
    if not plan.done:
        raise UsageError(f"the replay {name} is not done: spilldeck replay --resume --name {name}")
    if run is None and len(plan.runs) > 1:
        raise UsageError(
            f"the replay {name} is of {len(plan.runs)} runs: say which, from {plan.runs[0]} to {plan.runs[-1]}"
        )
    its = plan.runs[0] if run is None else run
    if its not in plan.runs:
        raise UsageError(f"the replay {name} is not of run {its}, but of {', '.join(map(str, plan.runs[:NAMED]))}")
    conditions = plan.store(settings).for_run(its)
    reader = BookReader.of(redis, settings, plan.session)
    book = reader.run(its, conditions.plot_ranges if conditions is not None else {})
    run_type, text = book.totals.run_type, book_text(its, book, {})
    _pin(settings, redis, run_type, its, text, f"replay {name}", origin=origin, reason=reason, who=who)
    return its, run_type


def pin_file(
    settings: Settings,
    redis: Redis,
    text: bytes,
    called: str,
    run_type: str | None = None,
    *,
    origin: str,
    reason: str = "",
    who: str = "",
) -> tuple[KeptBook, str]:
    """Have the runs of a type be compared with a book of a file, which is kept; return the book and the type.

    Parameters
    ----------
    text
        As `process --out` wrote it.
    called
        The file's name.
    run_type
        None takes the type that the book says.

    Raises
    ------
    UsageError
        When it is no book, is larger than can be kept, or says no type.
    ServerError
        When Kafka does not answer.
    """
    book = KeptBook.from_text(text, called)
    its = book.run_type if run_type is None else run_type
    if its is None:
        raise UsageError(f"{called} does not say of which type its run is: name it, --type TYPE")
    content = text.decode()
    _pin(settings, redis, its, book.run, content, f"file {printable(called)}", origin=origin, reason=reason, who=who)
    return book, its


def pin_imported(
    settings: Settings, redis: Redis, imported: Imported, run: int, run_type: str | None = None, **by: str
) -> tuple[KeptBook, str]:
    """Have the runs of a type be compared with histograms that were imported, as with a book of a file: see `pin_file`.

    Parameters
    ----------
    run
        That they are of: a file of histograms does not say.
    run_type
        None takes that of the run, if the books have it; a `UsageError` if not.
    """
    its = run_type
    if its is None:
        totals = BookReader.shown(redis, settings).runs([run]).get(run)
        if totals is None:
            raise UsageError(f"run {run} is not in the books, which would say its type: name it, --type TYPE")
        its = totals.run_type
    text = imported_text(run, its, imported).encode()
    return pin_file(settings, redis, text, imported.name, its, **by)


def unpin(settings: Settings, redis: Redis, run_type: str, *, origin: str, reason: str = "", who: str = "") -> None:
    """Have the runs of a type be compared with the newest good one again; raises as `pin` does."""
    _decide(settings, redis, run_type, None, origin=origin, reason=reason, who=who)


def _decide(settings: Settings, redis: Redis, run_type: str, run: int | None, **by: str) -> None:
    known = newest(settings, redis)()
    last = _last(known, run_type)
    if run is not None and last is not None and (last.run, last.book) == (run, ""):
        return
    after = json.dumps({"run": run})
    decide(settings, redis, new_action(ActionKind.PIN_REFERENCE, run_type, before=_said(last), after=after, **by))


def _pin(settings: Settings, redis: Redis, run_type: str, run: int, text: str, called: str, **by: str) -> None:
    """Keep a book in the record of what people did, and at hand in Redis: the action that pins it has it."""
    last = _last(newest(settings, redis)(), run_type)
    action = pinning(run_type, run, text, called=called, before=_said(last), **by)
    sha256 = pin_of(action).book
    if last is not None and last.book == sha256:
        return
    decide(settings, redis, action)
    keep(settings, redis, sha256, encode(action))


def _last(known: Decisions, run_type: str) -> Pin | None:
    pins = known.pins.get(run_type, ())
    return pins[-1] if pins else None


def _said(last: Pin | None) -> str:
    """Return what held before, as an action has it."""
    if last is None:
        return ""
    return json.dumps({"run": last.run, "sha256": last.book, "called": last.called} if last.book else {"run": last.run})
