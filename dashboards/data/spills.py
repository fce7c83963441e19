"""Single spills of runs, as Kafka has them: which of them filled what is off in a plot, and what one is made of."""

from dataclasses import dataclass
from functools import partial
from itertools import islice
from typing import Any

from dashboards.data.lookups import Lookups
from dashboards.data.replays import Replay
from dashboards.data.view import View
from streams.books.run import RunBook
from streams.books.shapes import off_block
from streams.books.spill_search import Filling, find_filling
from streams.books.spill_words import bytes_words, summary, table_words
from streams.books.topic_spills import find_raw
from streams.conditions.store import ConditionsStore
from streams.errors import SpilldeckError
from streams.reconstruct import reconstruct
from streams.settings import Settings
from streams.transform import ConditionsOf
from streams.words import several

MOST_LINES, MOST_CHARACTERS = 2000, 200_000
"""Of a spill's bytes, in words."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SpillAddress:
    """Which spill a page shows."""

    run: int
    spill: int
    trigger: int | None
    """The particle trigger that is looked at, if there is one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ShownSpill:
    """What a page shows of it."""

    numbers: dict[str, str]
    """By what they are called."""
    tables: tuple[tuple[str, str], ...]
    """Title and first rows of each."""
    bytes_words: str
    """What the first words of its bytes are."""
    has_more: bool
    """There are more of these."""
    no_trigger: str = ""
    """What to say if it does not have the trigger that is looked at."""


class Spills:
    """Looks for them in the background.

    Parameters
    ----------
    settings
        Kafka, conditions.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._conditions = ConditionsStore.from_settings(settings)
        self._fillings = Lookups[Filling]("fillings")
        self._shown = Lookups[ShownSpill]("spills")

    def filling(self, view: View, plot: str) -> Filling | str | None:
        """Return which spills filled what is off in a plot, or why nobody knows; None if nothing is, and until then."""
        verdict = view.shapes.get(plot)
        if verdict is None or view.run is None or (block := off_block(verdict)) is None:
            return None
        at = view.run, view.session, plot, block.first, block.last, block.share < block.expected
        find = partial(find_filling, self._settings, view.run, view.book, plot, block)
        return self._fillings.get(at, partial(self._with_conditions, view, find))

    def shown(self, view: View, address: SpillAddress) -> ShownSpill | str | None:
        """Return a spill of a view's run, or why it cannot be shown; None until it is there."""
        if view.is_loading:
            return None
        if not view.is_stored:
            return f"There is no run {address.run} in the books"
        find = partial(show, self._settings, address, view.book)
        return self._shown.get((view.session, address), partial(self._with_conditions, view, find))

    def close(self) -> None:
        """Look for nothing more."""
        self._fillings.close()
        self._shown.close()

    def _with_conditions(self, view: View, find: "partial[Any]") -> Any:
        """Call with what gives the conditions that the run of a view was made with."""
        replay = next((each for each in view.replays if _is_of(each, view)), None)
        store = self._conditions if replay is None else replay.plan.store(self._settings)
        return find(store.for_run)


def _is_of(replay: Replay, view: View) -> bool:
    if view.session is not None:
        return replay.plan.session == view.session
    return view.run in replay.promoted


def show(settings: Settings, address: SpillAddress, book: RunBook, conditions_of: ConditionsOf) -> ShownSpill:
    """Return a spill that is looked for in Kafka.

    Raises
    ------
    SpilldeckError
        When there is none, with what there is.
    """
    last = max(book.totals.last_spill, book.totals.last_came)
    if address.spill > last:
        spills = f"{several(book.totals.filled, 'spill')}, and the last that came is {last}"
        has = spills if last >= 0 else "none"
        raise SpilldeckError(f"There is no spill {address.spill} in run {address.run}: it has {has}")
    raw = find_raw(settings, address.run, address.spill, book.totals)
    if raw is None:
        where = "no longer in Kafka" if address.spill in book.ledger else "in no plot, and not in Kafka either"
        raise SpilldeckError(f"Spill {address.spill} of run {address.run} is {where}")
    spill = reconstruct(raw, conditions_of(address.run))
    has_trigger = address.trigger is not None and address.trigger < spill.triggers
    has = f"{several(spill.triggers, 'particle trigger')}, counted from 0" if spill.triggers else "no particle triggers"
    lacking = "" if has_trigger or address.trigger is None else f"It has no trigger {address.trigger}: it has {has}."
    lines = list(islice(bytes_words(raw), MOST_LINES + 1))
    said = "\n".join(lines[:MOST_LINES])
    return ShownSpill(
        numbers=summary(spill),
        tables=tuple(
            table_words(f"{name} {its}", table, address.trigger if has_trigger else None)
            for name, detector in spill.detectors.items()
            for its, table in detector.tables().items()
            if len(table)
        ),
        bytes_words=said[:MOST_CHARACTERS],
        no_trigger=lacking,
        has_more=len(lines) > MOST_LINES or len(said) > MOST_CHARACTERS,
    )
