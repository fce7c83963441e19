"""Law 2 without servers: however messages are spread over partitions, batched and put in order, a run is the same.

Of two spills of one number the one at the lower offset counts, so only the order of those is kept.
"""

from collections import Counter
from dataclasses import replace
from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.records import ControlKind, ReconstructedSpill, Rejection, RunControl
from streams.books.book import Book
from streams.books.compare import differences
from streams.books.run import RunBook, RunPart
from streams.books.totals import NAMES_KEPT, OTHERS, Totals
from tests.records import outcome_of, reconstructed_spill

RUN = 900001
Record = ReconstructedSpill | RunControl

_names = st.dictionaries(st.text("ab~\U0001f680", min_size=1, max_size=3), st.integers(1, 3), max_size=3)


@st.composite
def spills(draw: st.DrawFn) -> ReconstructedSpill:
    """Draw a spill of one of two sources: a number may come again with the same bytes, or with others, or rejected."""
    spill = reconstructed_spill(
        draw(st.integers(0, 12)),
        version=draw(st.sampled_from([0, 0, 1])),
        skipped=draw(_names),
        errors=dict.fromkeys(draw(_names), "why"),
        lacking=dict.fromkeys(draw(_names), "why"),
        **dict.fromkeys(("raw", "emr", "tracker", "kl")),
    )
    kind = draw(st.sampled_from(["good", "good", "good", "no time", "rejected"]))
    if kind == "no time":
        spill = replace(spill, time_us=0)
    if kind == "rejected":
        spill = replace(spill, detectors={}, rejection=Rejection(step=draw(st.sampled_from("xy")), reason="why"))
    return spill


controls = st.builds(
    RunControl,
    run=st.just(RUN),
    kind=st.sampled_from(ControlKind),
    time_us=st.integers(0, 3),
    source=st.sampled_from(["one", "other"]),
    byte=st.integers(0, 2),
    events=st.integers(1, 2),
    run_type=st.sampled_from(["", "beam", "cosmics"]),
)


def counted(records: list[Record], partitions: int, batch: int) -> RunBook:
    """Return what the parts of so many partitions add up to."""
    logs: list[list[Record]] = [[] for _ in range(partitions)]
    for record in records:
        for p in range(partitions) if isinstance(record, RunControl) else [record.spill % partitions]:
            logs[p].append(record)
    totals, book, ledger, numbers = Totals(), Book({}), {}, {}
    for partition, log in enumerate(logs):
        part = RunPart()
        outcomes = [outcome_of(r, partition=partition, offset=n, produced_ms=n + 1) for n, r in enumerate(log)]
        for at in range(0, len(outcomes), batch):
            for _, _, filled in part.count(outcomes[at : at + batch], {}, lambda _us: 0).filled:
                book += filled.book
                numbers |= filled.key_numbers
        totals += part.totals
        ledger |= part.ledger
    return RunBook(totals=totals, ledger=ledger, book=book, key_numbers=numbers)


@settings(max_examples=60, deadline=None)
@given(
    records=st.lists(st.one_of(spills(), spills(), controls), min_size=1, max_size=40),
    seed=st.randoms(use_true_random=False),
    partitions=st.integers(1, 8),
    batch=st.integers(1, 40),
)
def test_a_run_is_the_same_in_any_order_over_any_partitions_in_any_batches(
    records: list[Record], seed: Random, partitions: int, batch: int
) -> None:
    # Another order of all, with the spills of each number in theirs.
    order = list(range(len(records)))
    seed.shuffle(order)
    other: list[Record] = [records[at] for at in order]
    for number in range(13):
        places = [at for at, r in enumerate(other) if isinstance(r, ReconstructedSpill) and r.spill == number]
        theirs = [r for r in records if isinstance(r, ReconstructedSpill) and r.spill == number]
        for at, record in zip(places, theirs, strict=True):
            other[at] = record
    assert differences(counted(records, 1, 64), counted(other, partitions, batch)) == []


def test_of_two_starts_at_one_place_that_say_something_else_the_same_one_counts_in_any_order() -> None:
    one = RunControl(run=RUN, kind=ControlKind.START, time_us=2, source="one", byte=0, events=1)
    for other in (replace(one, run_type="beam"), replace(one, events=2)):
        assert differences(counted([one, other], 1, 64), counted([other, one], 1, 1)) == []


@given(names=st.lists(st.integers(0, 3 * NAMES_KEPT), max_size=5 * NAMES_KEPT), cut=st.integers(1, 9))
def test_names_are_bounded_and_each_that_is_kept_has_all_its_counts(names: list[int], cut: int) -> None:
    total = Totals()
    for start in range(cut):
        part = Totals()
        for name in names[start::cut]:
            part.count_errors(f"{name:03}", {0: "why"})
        total += part
    wanted = Counter(f"{name:03}" for name in names)
    kept = sorted(wanted)[:NAMES_KEPT]
    assert total.errors == Counter({name: wanted[name] for name in kept}) + Counter(
        {OTHERS: sum(wanted.values()) - sum(wanted[name] for name in kept)}
    )
    assert len(total.errors) <= NAMES_KEPT + 1
