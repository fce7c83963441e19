"""What is an alarm: causes that stand, the plane in place of its channels, plots that are off twice."""

from collections.abc import Sequence
from dataclasses import replace
from itertools import islice

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.records import Action
from streams.books.alarming import PART, STANDS, Due, Gone, Lasting, Seen, due
from streams.books.alarms import Alarms, Priority
from streams.books.decisions import Decisions
from streams.books.judgement import Judgement
from streams.books.limits import TypeLimits
from streams.books.run import RunBook
from streams.books.shapes import Against, PlotVerdict, State, against_run, bad
from streams.checks.judge import Verdict
from streams.conditions.store import ConditionsStore
from streams.experiment import experiment
from streams.experiments.mice.conditions import emr
from streams.experiments.mice.simulator import SimulatedRun
from streams.process import process
from tests.books.test_alarms import acknowledged, cleared, raised, shelved
from tests.books.test_decisions import fold
from tests.dashboards.test_shapes import verdicts
from tests.dashboards.test_tiles import verdict

RUN = 900_031
TOLD = 44
"""The spill after which `verdict` tells a fault that began at 40."""
NOW_US = 10**9


def seen(*its: Verdict, last: int = TOLD + STANDS, **changes: object) -> Seen:
    judgement = Judgement(spills=last + 1, counted=last + 1, last=last, verdicts=its)
    usual = Seen(session="live", run=RUN, is_over=False, judgement=judgement)
    return replace(usual, **changes)  # type: ignore[arg-type]


def written(found: Due) -> list[Action]:
    return [*(cleared(alarm.new, why) for alarm, why in found.cleared), *map(raised, found.raised)]


def after(*looks: Seen, known: Decisions = Decisions()) -> Alarms:  # noqa: B008 - frozen
    """Return the alarms when each of these was seen, by two watchers at once."""
    for each in looks:
        actions = written(due(each, known.alarms, NOW_US))
        known = fold(*actions, *actions, known=known)
        again = due(each, known.alarms, NOW_US)
        assert again == Due((), ())
    return known.alarms


def told(its: Alarms) -> list[tuple[str, str | None]]:
    return [(each.new.words, each.cleared and each.cleared.reason) for each in its]


def plane(first: int = 40, *, but: Sequence[int] = (), ended: int | None = None) -> list[Verdict]:
    bars = [bar for bar in range(emr.BARS) if bar not in but]
    return [verdict(3 * emr.BARS + bar, group="EMR", first=first, ended=ended) for bar in bars]


def test_a_cause_is_an_alarm_when_it_has_stood_and_cleared_when_it_is_over() -> None:
    assert after(seen(verdict(), last=TOLD + STANDS - 1)) == ()
    (alarm,) = after(seen(verdict()), seen(verdict(), last=90))
    assert alarm.new[:5] == ("live", RUN, "TOF1/horizontal slab 1, PMT 1/fewer", TOLD, 40)
    assert (alarm.new.detector, alarm.new.priority) == ("tof", Priority.MEDIUM)
    assert alarm.new.plot
    (alarm,) = after(seen(verdict()), seen(verdict(ended=80), last=90))
    assert alarm.cleared is not None
    assert alarm.cleared.reason == "as before again after spill 80"
    assert [each.is_active for each in after(seen(verdict()), seen(verdict(ended=80), verdict(first=85), last=95))] == [
        False,
        True,
    ]
    (group,) = after(seen(verdict(-1)))
    assert group.new.priority is Priority.HIGH


def test_channels_that_die_together_are_one_alarm_their_plane() -> None:
    (alarm,) = after(seen(*plane()))
    assert told((alarm,)) == [("EMR plane 3: 60 of 60 channels silent since spill 40", None)]
    assert alarm.new.priority is Priority.HIGH


def test_a_cause_that_becomes_part_of_another_is_cleared_and_not_told_again() -> None:
    first = verdict(3 * emr.BARS + 7, group="EMR")
    whole = "EMR plane 3: 60 of 60 channels silent since spill 40"
    looks = seen(first), seen(*plane(), last=60)
    alone, its_plane = after(*looks)
    assert told((alone, its_plane)) == [
        ("EMR plane 3, bar 7 silent since spill 40", f"{PART}{whole}"),
        (whole, None),
    ]
    # Nor when the others are repaired.
    repaired = seen(first, *plane(but=[7], ended=80), last=100)
    assert [each.is_active for each in after(*looks, repaired)] == [False, False]


def test_books_that_are_made_again_clear_nothing_and_lose_no_alarm() -> None:
    known = fold(*written(due(seen(verdict()), (), NOW_US)))
    for less in (
        seen(last=-1),
        seen(last=TOLD + STANDS - 1),
        seen(judgement=Judgement(problem="its counts are cut", last=99)),
        replace(seen(), run=5),  # nobody knows what became of the run
    ):
        assert due(less, known.alarms, NOW_US) == Due((), ())
    # What was taken back for want of spills is raised again.
    gone, back = after(seen(last=60), seen(verdict(), last=61), known=known)
    assert told((gone, back))[0][1] == "it is not told any more"
    assert back.is_active
    assert (back.new, back.id != gone.id) == (gone.new._replace(again=1), True)


def test_books_of_which_one_partition_is_far_ahead_clear_nothing() -> None:
    dead = after(seen(verdict()))
    # Of half the spills it is not told yet, though the last of them is far behind that after which it was.
    ahead = seen(last=TOLD + 50, settled=TOLD + STANDS)
    assert [each.is_active for each in after(ahead, known=Decisions(alarms=dead))] == [True]
    for whole in (seen(last=TOLD + 50, settled=TOLD + STANDS + 1), seen(last=TOLD + 50)):
        assert [each.is_active for each in after(whole, known=Decisions(alarms=dead))] == [False]


def test_while_spills_that_came_late_wait_to_be_judged_nothing_is_cleared() -> None:
    dead = after(seen(verdict()))
    of_half = Judgement(spills=TOLD, counted=TOLD, last=TOLD + 50, is_whole=False)
    assert [each.is_active for each in after(seen(judgement=of_half), known=Decisions(alarms=dead))] == [True]
    of_all = seen(judgement=replace(of_half, is_whole=True))
    assert [each.is_active for each in after(of_all, known=Decisions(alarms=dead))] == [False]


def test_of_a_run_that_is_over_nothing_is_an_alarm() -> None:
    assert after(seen(verdict(), is_over=True)) == ()
    for over in (seen(verdict(), is_over=True), replace(seen(), run=5, over={RUN})):
        (alarm,) = after(seen(verdict()), over)
        assert alarm.cleared is not None
        assert alarm.cleared.reason == f"run {RUN} is over"


def test_a_run_that_is_gone_from_the_books_for_long_has_no_alarm() -> None:
    gone, looks = Gone(), [(0.0, [RUN]), (300.0, []), (400.0, [RUN]), (999.0, [RUN]), (1000.0, [RUN])]
    assert [gone.look(absent, at) for at, absent in looks] == [set(), set(), set(), set(), {RUN}]
    (alarm,) = after(seen(verdict()), replace(seen(), run=5, gone={RUN}))
    assert alarm.cleared is not None
    assert alarm.cleared.reason == f"run {RUN} is gone from the books"


def test_what_is_shelved_is_raised_in_no_run_and_what_is_acknowledged_is_none_again() -> None:
    (alarm,) = after(seen(verdict()))
    known = fold(raised(alarm.new), shelved(alarm.new, for_us=600 * 10**6))
    elsewhere = replace(seen(verdict(), over={RUN}), run=RUN + 1)
    assert not due(elsewhere, known.alarms, known.alarms[0].at_us).raised
    assert due(elsewhere, known.alarms, known.alarms[0].at_us + 600 * 10**6).raised
    known = fold(raised(alarm.new), acknowledged(alarm.new))
    assert due(seen(verdict(), last=99), known.alarms, NOW_US) == Due((), ())


@given(looks=st.lists(st.tuples(st.sampled_from(["none", "one", "plane", "ended"]), st.integers(0, 200)), max_size=8))
def test_whatever_is_seen_in_whichever_order_what_is_wrong_last_is_an_alarm_once(looks: list[tuple[str, int]]) -> None:
    kinds = {"none": [], "one": [verdict()], "plane": plane(), "ended": [verdict(ended=50)]}
    its = after(*(seen(*kinds[kind], last=last) for kind, last in looks), seen(*plane(), last=300))
    active = [each.new.of for each in its if each.is_active]
    assert active in (["EMR/plane 3/fewer"], [])
    assert active or [each.new.of for each in its].count("EMR/plane 3/fewer") == 3  # it came and went too often


# Plots.

SHIFTED = "shifted_timing:tof1=0.5"


def book(spills: int, *faults: str, run: int = RUN, seed: int = 1) -> RunBook:
    simulated = SimulatedRun(run=run, spills=60, seed=seed, mean_triggers=20, detectors=("tof",))
    records = islice(simulated.with_faults(faults).records(), spills + 1)  # with its start
    return process(records, ConditionsStore([]).for_run)[run].run_book()


@pytest.fixture(scope="module")
def good() -> RunBook:
    return book(60, run=RUN + 1, seed=2)


@pytest.fixture(scope="module")
def half() -> RunBook:
    return book(30, SHIFTED)


@pytest.fixture(scope="module")
def whole() -> RunBook:
    return book(60, SHIFTED)


def look(lasting: Lasting, one: RunBook, other: RunBook, run: int = RUN) -> Seen:
    """Return what is known of a run whose plots alone are off."""
    shapes = verdicts(one, other)
    against: Against = against_run(RUN + 1, other)
    its = seen(last=one.totals.filled - 1, shapes=shapes)
    return replace(its, lasting=lasting.look(run, one, its.beneath.rest, against, TypeLimits()))


def test_a_plot_is_an_alarm_when_two_windows_in_a_row_say_so(good: RunBook, half: RunBook, whole: RunBook) -> None:
    lasting = Lasting()
    first = look(lasting, half, good)
    assert any(each.state is State.BAD for each in first.shapes.values())
    assert due(first, (), NOW_US).raised == ()
    assert due(look(lasting, half, good), (), NOW_US).raised == ()  # nothing has come since
    then = look(lasting, whole, good)
    found = due(then, (), NOW_US).raised
    assert {each.priority for each in found} == {Priority.LOW}
    assert {each.plot for each in found} <= {each.plot for each in bad(first.shapes)}
    assert any("off (limit 5 %)" in each.words for each in found)
    waits = replace(then, judgement=replace(then.judgement, left=1))
    assert due(waits, (), NOW_US).raised == (), "what it follows from may be told yet"


def test_a_burst_is_no_alarm(good: RunBook, half: RunBook) -> None:
    lasting = Lasting()
    first, then = look(lasting, half, good), look(lasting, book(60, f"{SHIFTED}@0-29"), good)
    off, still = ({each.plot for each in bad(its.shapes)} for its in (first, then))
    assert off & still  # all of it is off still
    assert due(then, (), NOW_US).raised == ()


def test_a_book_that_is_made_again_and_another_run_begin_anew(good: RunBook, half: RunBook, whole: RunBook) -> None:
    lasting = Lasting()
    look(lasting, whole, good)
    assert look(lasting, half, good).lasting == frozenset()
    assert look(lasting, whole, good).lasting
    assert look(lasting, whole, good, run=5).lasting == frozenset()


def test_what_may_follow_from_a_cause_raises_nothing_and_its_alarm_is_cleared(
    good: RunBook, half: RunBook, whole: RunBook
) -> None:
    lasting = Lasting()
    look(lasting, half, good)
    then = look(lasting, whole, good)
    known = after(then)
    assert known
    cause = verdict(-1)
    told_too = replace(then, judgement=replace(then.judgement, last=99, verdicts=(cause,)))
    found = due(told_too, known, NOW_US)
    assert [each.of for each in found.raised] == ["TOF1//fewer"]
    of_tof = [why for alarm, why in found.cleared if alarm.new.detector == "tof"]
    assert {*of_tof} == {"may follow from TOF1 silent since spill 40"}


def test_a_plot_of_which_nothing_is_known_any_more_stays_an_alarm(good: RunBook, half: RunBook, whole: RunBook) -> None:
    lasting = Lasting()
    look(lasting, half, good)
    then = look(lasting, whole, good)
    known = after(then)
    for state, why in (
        (State.GOOD, {"as in the reference again"}),
        (State.NOT_JUDGED, {"not judged"}),
        (State.NO_REFERENCE, set()),
        (State.FEW, set()),
        (State.SETTLING, set()),
    ):
        changed = {name: PlotVerdict(plot=name, state=state) for name in then.shapes}
        later = replace(then, shapes=changed, judgement=replace(then.judgement, last=99))
        assert {reason for _, reason in due(later, known, NOW_US).cleared} == why


def test_a_plot_that_is_off_by_what_is_over_is_no_alarm(good: RunBook, half: RunBook, whole: RunBook) -> None:
    lasting = Lasting()
    look(lasting, half, good)
    then = look(lasting, whole, good)
    known = after(then)
    repaired = {name: replace(its, is_past=its.state is State.BAD) for name, its in then.shapes.items()}
    later = replace(then, shapes=repaired, judgement=replace(then.judgement, last=99))
    assert {reason for _, reason in due(later, known, NOW_US).cleared} == {"as in the reference again"}
    assert len(due(later, known, NOW_US).cleared) == len(known)
    assert due(later, (), NOW_US).raised == ()


@pytest.mark.parametrize(
    ("wrong", "plot"),
    [
        ([verdict(6, group="TOF1")], "hpmthits100"),
        ([verdict(7, group="TOF1")], "hpmthits101"),
        (plane(), "emr_occupancy_yz"),
    ],
)
def test_an_alarm_names_the_plot_that_shows_its_channels(wrong: list[Verdict], plot: str) -> None:
    (alarm,) = after(seen(*wrong))
    assert alarm.new.plot == plot


def test_each_channel_and_peak_has_a_plot_that_there_is() -> None:
    for its in experiment().watched.values():
        for each in its:
            assert {each.plot_of(channel) for channel in range(each.size)} <= experiment().plots.keys(), each.name
