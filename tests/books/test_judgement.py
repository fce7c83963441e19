"""A run is judged alike whoever counted it, in which order its spills came, and how often somebody looked meanwhile."""

from collections.abc import Iterable
from dataclasses import replace
from functools import cache
from itertools import pairwise

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.columns import I8
from schemas.records import RawSpill
from streams.books.compare import compare
from streams.books.judgement import PATIENCE, Judgement, Judging, cause_words, judged, words
from streams.books.run import RunBook
from streams.checks.begin import Begin
from streams.checks.channels import pack, unpack
from streams.checks.counts import Change, Finding
from streams.checks.judge import Verdict
from streams.conditions.store import ConditionsStore
from streams.experiment import experiment
from streams.experiments.mice.simulator import SimulatedRun
from streams.plots.spillfacts import LedgerEntry
from streams.process import process
from tests.dashboards.views import EMPTY

RUN = 900_020
(TOF1,) = [group for group in experiment().channels["tof"] if group.name == "TOF1"]
SPILLS, AT, DEAD = 120, 70, "horizontal slab 4"


@cache
def book() -> RunBook:
    """Return a run of which one slab of TOF1 dies."""
    rng = np.random.default_rng(1)
    is_dead = np.isin(np.arange(TOF1.size), TOF1.parts[DEAD])
    rates = np.where(is_dead & (np.arange(SPILLS) >= AT)[:, None], 0.0, 6.0)
    counts = {n: pack({TOF1.digest: rng.poisson(its)}) for n, its in enumerate(rates)}
    entry = LedgerEntry(time_us=1, triggers=60, size=1, digest=b"12345678")
    return replace(EMPTY, ledger=dict.fromkeys(range(SPILLS), entry), channel_counts=counts)


@cache
def in_order() -> Judgement:
    """Return what is wrong with the run."""
    return judged(book())


def book_hits(first: int, stop: int) -> float:
    """Return the hits a particle trigger in some spills of the run."""
    hits = [unpack(book().channel_counts[spill], [TOF1])["TOF1"].sum() for spill in range(first, stop)]
    return float(sum(hits) / (60 * len(hits)))


def in_order_of(spills: Iterable[int]) -> I8:
    """Return the numbers of spills as the books have them."""
    return np.array(sorted(spills), np.int64)


def seen(looks: Iterable[Iterable[int]], *, is_over: bool = True) -> Judgement:
    """Return what is known in the end by who looked whenever some spills were there."""
    judging, there = Judging(), dict[int, LedgerEntry]()
    looks = [*looks]
    for number, new in enumerate(looks):
        there |= {spill: book().ledger[spill] for spill in new}
        for spill in judging.due(in_order_of(there), is_over=is_over and number == len(looks) - 1):
            judging.add(spill, 60, book().channel_counts[spill])
    return judging.judgement


def test_a_run_is_judged_with_its_channel_and_its_spill() -> None:
    found = judged(book())
    (cause,) = found.bad
    assert cause_words(cause) == f"TOF1 {DEAD}: 2 of 2 channels silent since spill {AT}"
    assert (found.spills, found.counted, found.last, found.is_settling) == (SPILLS, SPILLS, SPILLS - 1, False)
    plain = found.to_json()
    assert (plain["causes"][0]["group"], plain["causes"][0]["channel"]) == ("TOF1", DEAD)
    its = found.yields["tof"]
    assert its.spills == tuple(range(0, SPILLS, 2))
    assert its.hits[0] == book_hits(0, 2)
    assert set(found.yields["kl"].hits) == {None}  # its counts are not kept of this run


@settings(max_examples=25, deadline=None)
@given(order=st.permutations(range(SPILLS)), cuts=st.lists(st.integers(0, SPILLS), max_size=6))
def test_it_makes_no_difference_in_which_order_spills_come_and_when_somebody_looks(
    order: list[int], cuts: list[int]
) -> None:
    edges = [0, *sorted(cuts), SPILLS]
    found = seen([order[a:b] for a, b in pairwise(edges)])
    assert (found, found.causes) == (in_order(), in_order().causes)


def test_a_spill_that_lacks_is_waited_for_and_not_for_ever() -> None:
    assert seen([range(10), [*range(11, 11 + PATIENCE - 1)]], is_over=False).last == 9
    assert seen([range(10), [*range(11, 11 + PATIENCE)]], is_over=False).last == 10 + PATIENCE
    assert seen([range(10), [*range(11, 11 + PATIENCE - 1)]]).last == 9 + PATIENCE


def test_what_a_partition_that_lags_brings_is_judged_when_no_more_is_on_its_way_and_once() -> None:
    judging, there, added = Judging(), set[int](), 0

    def take(new: Iterable[int], *, more_come: bool) -> None:
        nonlocal added
        there.update(new)
        for spill in judging.due(in_order_of(there), is_over=False, more_come=more_come):
            judging.add(spill, 60, book().channel_counts[spill])
            added += 1

    take(range(0, SPILLS, 2), more_come=True)
    for spill in range(1, SPILLS, 2):
        take([spill], more_come=True)
    assert added + judging.late == SPILLS, "none is judged twice"
    assert judging.late > SPILLS // 3
    assert judging.judgement.bad, "what came is judged meanwhile"
    meanwhile = added
    take([], more_come=False)
    assert (added - meanwhile, judging.late) == (SPILLS, 0)
    assert judging.judgement == judged(book())


def test_what_somebody_lost_is_judged_again() -> None:
    judging = Judging()
    for spill in judging.due(np.arange(50), is_over=True):
        judging.add(spill, 60, b"")
    assert judging.due(np.arange(40), is_over=True) == [*range(40)]


def test_another_spill_in_place_of_one_has_all_judged_again_though_they_are_as_many() -> None:
    judging = Judging()
    for spill in judging.due(np.array([0, 2, 4]), is_over=True):
        judging.add(spill, 60, b"")
    assert judging.due(np.array([0, 2, 4]), is_over=True) == []
    assert judging.due(np.array([0, 1, 4]), is_over=True) == [0, 1, 4]


def test_spills_without_counts_are_known_to_be_without() -> None:
    old = replace(book(), channel_counts={n: c for n, c in book().channel_counts.items() if n >= 60})
    assert (judged(old).spills, judged(old).counted) == (SPILLS, SPILLS - 60)
    none = judged(replace(book(), channel_counts={}))
    assert (none.counted, none.is_settling, none.verdicts) == (0, True, ())


def test_other_counts_are_a_difference_and_none_is_none() -> None:
    changed = replace(book(), channel_counts={**book().channel_counts, 3: pack({TOF1.digest: np.ones(28, np.int64)})})
    assert [str(each) for each in compare(book(), changed)] == ["spills with other hits by channel: 3"]
    assert compare(book(), replace(book(), channel_counts={})) == []


def test_counts_that_cannot_be_read_are_said() -> None:
    found = judged(replace(book(), channel_counts={**book().channel_counts, 3: b"\1\2"}))
    assert (found.spills, found.verdicts, found.is_settling) == (0, (), True)
    assert "the counts of a spill's channels" in found.problem


def test_process_judges_what_the_simulator_broke() -> None:
    run = SimulatedRun(run=RUN, spills=50, mean_triggers=60).with_faults(["dead_pmt:tof1/0/3/1@30-49"])
    records = [record for record in run.records() if isinstance(record, RawSpill)]
    found = process(records, ConditionsStore([]).for_run)[RUN].to_json()["judgement"]
    assert [each["words"] for each in found["causes"]] == ["TOF1 horizontal slab 3, PMT 1 silent since spill 30"]
    shuffled = [records[int(at)] for at in np.random.default_rng(1).permutation(len(records))]
    assert process(shuffled, ConditionsStore([]).for_run)[RUN].to_json()["judgement"] == found


def test_what_was_never_there_is_missed_by_what_the_reference_had() -> None:
    without = replace(
        book(),
        channel_counts={n: pack({TOF1.digest: unpack(its, [TOF1])["TOF1"] * ALL_BUT_3}) for n, its in counts_before()},
    )
    assert not any(each.channel == TOF1.names[3] for each in judged(without).verdicts)
    (plain,) = (each for each in judged(without, earlier()).to_json()["causes"] if each["channel"] == TOF1.names[3])
    assert plain["words"] == f"TOF1 {TOF1.names[3]} silent from the begin on"
    assert plain["from_the_begin"] is True


def test_a_reference_of_which_no_hits_are_kept_tells_nothing() -> None:
    assert judged(book(), replace(earlier(), channel_counts={})) == judged(book())


def test_a_reference_whose_counts_are_damaged_is_said() -> None:
    assert judged(book(), replace(earlier(), channel_counts={0: b"\xff" * 9})).problem


ALL_BUT_3 = np.arange(TOF1.size) != 3


def counts_before() -> list[tuple[int, bytes]]:
    return [*book().channel_counts.items()][:AT]


def earlier() -> RunBook:
    """Return the run as it was before its channel died."""
    its = dict(counts_before())
    return replace(book(), ledger={n: book().ledger[n] for n in its}, channel_counts=its)


def test_what_had_next_to_nothing_before_is_new_and_has_no_factor() -> None:
    hot = Finding(
        column=0,
        change=Change(5.0, "hot"),
        factor=3600.0,
        counted=3600,
        expected=1.0,
        begin=Begin(7, 7, 7),
        told=9,
    )
    assert (
        words(Verdict(group="KL", channel="cell 1, PMT 0", finding=hot)) == "KL cell 1, PMT 0 hot (new) since spill 7"
    )
