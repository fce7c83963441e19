"""Whether two accounts of a run are the same: every bin, every counter, every spill."""

import numpy as np

from streams.books.run import RunBook
from streams.plots.catalogue import PLOTS

ORDER_DEPENDENT = {"out_of_order", "disordered"}
"""Counters that say in which order spills came, not which: two right accounts may differ in them."""


def differences(here: RunBook, there: RunBook) -> list[str]:
    """Return what differs, a sentence each; an empty list means identical."""
    ours, theirs = here.totals.to_json(), there.totals.to_json()
    found = [
        f"{name}: {ours[name]} here, {theirs[name]} there"
        for name in ours
        if name not in ORDER_DEPENDENT and ours[name] != theirs[name]
    ]
    only_here, only_there = here.ledger.keys() - there.ledger.keys(), there.ledger.keys() - here.ledger.keys()
    if only_here:
        found.append(f"spills here alone: {_few(only_here)}")
    if only_there:
        found.append(f"spills there alone: {_few(only_there)}")
    changed = {s for s in here.ledger.keys() & there.ledger.keys() if here.ledger[s] != there.ledger[s]}
    if changed:
        found.append(f"spills of which something else is remembered: {_few(changed)}")
    for name in PLOTS:
        a, b = here.book[name].view(flow=True), there.book[name].view(flow=True)
        if a.shape != b.shape:
            found.append(f"plot {name}: {a.shape} bins here, {b.shape} there")
        elif not np.array_equal(a, b):
            bins = np.count_nonzero(a != b)
            found.append(f"plot {name}: {bins} bins differ, {a.sum()} entries here, {b.sum()} there")
    return found


def _few(spills: set[int]) -> str:
    first = sorted(spills)[:5]
    more = f" and {len(spills) - len(first)} more" if len(spills) > len(first) else ""
    return ", ".join(map(str, first)) + more
