"""The spills that filled what is off in a plot, or have nothing there, found among those of its run that Kafka has."""

import hashlib
import time
from contextlib import closing
from dataclasses import asdict, dataclass
from typing import Any

from schemas.records import DIGEST_BYTES
from streams.books.block_spills import BlockSearch, BlockSpill
from streams.books.run import RunBook
from streams.books.topic_spills import newest_first, run_spans
from streams.checks.shapes import Block
from streams.reconstruct import reconstruct
from streams.settings import Settings
from streams.transform import ConditionsOf
from streams.words import several

MOST_LOOKED = 200
"""Spills that are looked at."""
SEARCH_S = 5.0
"""The longest that they are looked at."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Filling:
    """What was found."""

    is_lacking: bool
    """The bins lack entries: the spills are some that have none there."""
    expected: float
    """Share of a plot's entries that the bins should have."""
    spills: tuple[BlockSpill, ...]
    """Those that say most, at first."""
    matching: int
    """Spills that filled the bins, or have nothing there: these and the others."""
    looked: int
    """Spills that were looked at, the newest ones."""
    of: int
    """Spills of the run."""
    is_all: bool
    """All that Kafka has were looked at."""
    is_as_counted: bool
    """They were made with the conditions that the run was counted with."""

    def to_json(self) -> dict[str, Any]:
        """Return it as plain values."""
        return asdict(self) | {"words": words(self)}


def find_filling(
    settings: Settings, run: int, book: RunBook, plot: str, block: Block, conditions_of: ConditionsOf
) -> Filling:
    """Return which spills of a run filled a block of bins of a plot, or lack entries there.

    Raises
    ------
    SpilldeckError
        When Kafka does not answer, or the run's conditions cannot be read.
    """
    conditions = conditions_of(run)
    search = BlockSearch(plot, block, book.book.ranges)
    # Only what is in the book has filled it: no conflict, and no spill twice.
    left = {(spill, entry.digest) for spill, entry in book.ledger.items()}
    spans, until_s, is_all = run_spans(settings, book.totals), time.monotonic() + SEARCH_S, True
    with closing(newest_first(settings, run, spans)) as found:
        for raw in found:
            its = raw.spill, hashlib.sha256(raw.payload).digest()[:DIGEST_BYTES]
            if its not in left:
                continue
            if search.looked == MOST_LOOKED or time.monotonic() > until_s:
                is_all = False
                break
            left.remove(its)
            search.look(reconstruct(raw, conditions))
    return Filling(
        is_lacking=search.is_lacking,
        expected=block.expected,
        spills=search.found(),
        matching=search.matching,
        looked=search.looked,
        of=len(book.ledger),
        is_all=is_all,
        is_as_counted=book.totals.conditions <= {conditions.digest if conditions is not None else ""},
    )


def words(filling: Filling) -> str:
    """Return what the spills are, and of how many: what goes before them, or stands for them."""
    rest = _rest(filling)
    if not filling.looked:
        return f"Which spills it is of nobody knows: {rest}"
    more = f"{len(filling.spills)} of {filling.matching:,}" if filling.matching > len(filling.spills) else ""
    notes = [each for each in (more, f"of {several(filling.looked, 'spill')}: {rest}" if rest else "") if each]
    among = f" ({'; '.join(notes)})" if notes else ""
    if filling.is_lacking:
        found = "Spills with none there" if filling.spills else "Each spill has some there"
        return f"No spill filled it, as it lacks entries. {found}{among}"
    return f"Spills that filled it{among}" if filling.spills else f"No spill filled it{among}"


def _rest(filling: Filling) -> str:
    """Return why not all that is in the run was looked at as it was counted; empty if it was."""
    rest = []
    if filling.looked < filling.of:
        left = "the others are not in Kafka" if filling.looked else "its spills are not in Kafka"
        rest.append(left if filling.is_all else f"the newest of {filling.of:,}")
    if not filling.is_as_counted:
        rest.append("made with other conditions than it was counted with")
    return "; ".join(rest)


def entries_words(found: BlockSpill, filling: Filling) -> str:
    """Return what a spill has in the bins, and how much it should have."""
    should = f"where {filling.expected * found.entries:.2g} were expected"
    return f"{found.inside:,} of its {found.entries:,} entries, {should}"


def triggers_words(found: BlockSpill) -> str:
    """Return the particle triggers that filled the bins; empty where none is known."""
    if not found.triggers:
        return ""
    some = ", ".join(map(str, found.triggers))
    return f"{'trigger' if len(found.triggers) == 1 else 'triggers'} {some}{' …' if found.has_more else ''}"
