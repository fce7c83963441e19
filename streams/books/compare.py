"""Whether two accounts of a run are the same: every bin, every counter, every spill."""

import json
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

import numpy as np

from streams.books.run import RunBook
from streams.experiment import experiment

ORDER_DEPENDENT = {"out_of_order", "disordered"}
"""Counters that say in which order spills came, not which: two right accounts may differ in them."""
OF_KAFKA = {"first_raw", "last_raw", "first_ms", "produced_ms", "ended_ms"}
"""What says where and when the messages were in Kafka, which another account of the same spills need not know."""

NOT_IN_OLDER = {"last_came", "refused", "reasons", "counted_ms", "counted_us"}
"""What books from before it was kept lack."""

OF_WHOEVER_MADE_IT = {"code"}
"""Which versions filled it: that two of them fill the same is what is compared."""

_NOT_COMPARED = ORDER_DEPENDENT | OF_KAFKA | NOT_IN_OLDER | OF_WHOEVER_MADE_IT


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """One thing in which two accounts of a run differ."""

    what: str
    """Name of a counter, ``plot`` and the name of a plot, or which spills."""
    here: str
    there: str
    """Empty where `here` says all."""

    def __str__(self) -> str:
        return f"{self.what}: {self.here} here, {self.there} there" if self.there else f"{self.what}: {self.here}"


def differences(here: RunBook, there: RunBook) -> list[str]:
    """Return what differs, a sentence each; an empty list means identical."""
    return [str(difference) for difference in compare(here, there)]


def compare(here: RunBook, there: RunBook) -> list[Difference]:
    """Return what differs; an empty list means identical."""
    ours, theirs = _counters(here), _counters(there)
    found = [
        Difference(what=name, here=json.dumps(ours[name]), there=json.dumps(theirs.get(name)))
        for name in ours
        if ours[name] != theirs.get(name)
    ]
    both = here.ledger.keys() & there.ledger.keys()
    for what, spills in (
        ("spills here alone", here.ledger.keys() - there.ledger.keys()),
        ("spills there alone", there.ledger.keys() - here.ledger.keys()),
        ("spills of which something else is remembered", {s for s in both if here.ledger[s] != there.ledger[s]}),
    ):
        if spills:
            found.append(Difference(what=what, here=few(spills), there=""))
    for what, its, others in (
        ("key numbers", here.key_numbers, there.key_numbers),
        ("hits by channel", here.channel_counts, there.channel_counts),
    ):
        # One of the accounts may be of before they were kept.
        if differing := {spill for spill, kept in its.items() if kept and others.get(spill, kept) not in {kept, b""}}:
            found.append(Difference(what=f"spills with other {what}", here=few(differing), there=""))
    for name in experiment().plots:
        a, b = here.book.counts(name), there.book.counts(name)
        if a.shape != b.shape:
            found.append(Difference(what=f"plot {name}", here=f"{a.shape} bins", there=f"{b.shape}"))
        elif not np.array_equal(a, b):
            bins = f"{np.count_nonzero(a != b)} bins differ"
            found.append(Difference(what=f"plot {name}: {bins}", here=f"{a.sum()} entries", there=str(b.sum())))
    return found


def _counters(account: RunBook) -> dict[str, Any]:
    """Return the totals without what another account of the same spills need not have alike."""
    found = account.totals.to_json()
    # The file that a start or an end was in has another name when it is read from an archive.
    said = {
        kind: {n: v for n, v in its.items() if n not in ("source", "byte")} for kind, its in found["control"].items()
    }
    return {name: value for name, value in found.items() if name not in _NOT_COMPARED} | {"control": said}


def few(spills: Collection[int]) -> str:
    """Return some of the numbers of spills, and how many more there are."""
    first = sorted(spills)[:5]
    more = f" and {len(spills) - len(first)} more" if len(spills) > len(first) else ""
    return ", ".join(map(str, first)) + more
