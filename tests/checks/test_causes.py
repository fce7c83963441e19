"""One fault is told once, where it comes from; what follows from it stands under it, and nothing is lost."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.books.judgement import Judgement, cause_words
from streams.checks.begin import Begin
from streams.checks.causes import Cause, causes
from streams.checks.channels import Channels, Whole
from streams.checks.counts import CHANNEL, YIELD, Finding
from streams.checks.judge import Verdict
from streams.checks.means import Moved
from streams.checks.peaks import Peak
from tests.checks.faults import GROUPS, causes_of, counted

BARS, PLANES = 10, 3
LAST = 200
SILENT, WEAK, _, _, HOT = CHANNEL
STATIONS = tuple(
    Channels(
        name=name,
        names=[f"plane {plane}, bar {bar}" for plane in range(PLANES) for bar in range(BARS)],
        of=lambda hits: hits,
        parts={f"plane {plane}": range(plane * BARS, (plane + 1) * BARS) for plane in range(PLANES)}
        | {"pair": range(2)},
        whole=Whole("Wall", "stations"),
    )
    for name in ("A", "B", "C")
)
ROW = Channels(name="D", names=[f"bar {bar}" for bar in range(40)], of=lambda hits: hits, parts={"row": range(40)})
PEAKS = tuple(
    Peak(name=f"{start} → {stop}", unit="ns", low=0, high=1, bins=10, matters=0.05, of=lambda v: v, moved_by=moved_by)
    for start, stop, moved_by in (("A", "B", {"A": -1, "B": 1}), ("B", "C", {"B": -1, "C": 1}))
)
WATCHED = (*STATIONS, ROW, *PEAKS)
A_B, B_C = (peak.name for peak in PEAKS)


def changed(
    channel: int = -1,
    *,
    group: str = "A",
    change: int = 0,
    first: int = 100,
    doubt: int = 0,
    ended: int | None = None,
    expected: float = 25.0,
) -> Verdict:
    """Return a channel whose counts have changed; of -1, a group or a peak."""
    size = (YIELD if channel < 0 else CHANNEL)[change]
    finding = Finding(
        column=max(channel, 0),
        change=size,
        factor=size.factor,
        counted=round(expected * size.factor),
        expected=expected,
        begin=Begin(first, first - doubt, first + doubt),
        told=first + 4,
    )
    name = STATIONS[0].names[channel] if channel >= 0 else ""
    return Verdict(group=group, channel=name, finding=finding, ended=ended)


def moved(group: str, by: float, *, first: int = 100, error: float = 0.02, ended: int | None = None) -> Verdict:
    """Return a peak that has moved."""
    finding = Moved(column=0, by=by, error=error, begin=Begin(first, first, first), told=first + 4)
    return Verdict(group=group, channel="", finding=finding, unit="ns", ended=ended)


def plane(*channels: int, **its: int | None) -> list[Verdict]:
    """Return channels that have changed."""
    return [changed(channel, **its) for channel in channels]  # type: ignore[arg-type]


def told(verdicts: Sequence[Verdict], rates: Sequence[float] = ()) -> list[str]:
    """Return the causes in words; all that follows is checked to be there."""
    hits = {"A": rates} if rates else {}
    found = causes(verdicts, WATCHED, hits, LAST)
    assert in_the_tree(found) == Counter(map(id, verdicts))
    return [cause_words(cause) for cause in found]


def in_the_tree(found: Sequence[Cause]) -> Counter[int]:
    """Return how often each of a run's verdicts is in the causes."""
    return Counter(id(v) for each in found for v in (*([] if each.members else [each.verdict]), *each.follows))


def test_a_dead_plane_is_one_fault_with_its_channels_under_it() -> None:
    its = plane(*range(10, 20))
    (cause,) = causes(its, WATCHED, {}, LAST)
    assert cause_words(cause) == "A plane 1: 10 of 10 channels silent since spill 100"
    assert (cause.follows, cause.where) == (tuple(its), "A")
    assert isinstance(cause.verdict.finding, Finding)
    assert (cause.verdict.finding.expected, cause.verdict.finding.counted) == (250.0, 0)


def test_two_dead_bars_of_a_plane_stay_two() -> None:
    assert told(plane(10, 11)) == [
        "A plane 1, bar 0 silent since spill 100",
        "A plane 1, bar 1 silent since spill 100",
    ]


def test_most_of_a_plane_are_most_of_those_that_are_hit_often_enough_to_be_told() -> None:
    its = plane(13, 14, 15, 16)
    assert len(told(its)) == 4
    rates = [5.0] * 30
    assert len(told(its, rates)) == 4
    rates[17:20] = rates[10:13] = [0.01] * 3
    assert told(its, rates) == ["A plane 1: 4 of 4 channels silent since spill 100"]


def test_noise_is_seen_wherever_the_beam_is() -> None:
    assert len(told(plane(13, 14, 15, 16, change=4), [0.01] * 30)) == 4
    its = plane(*range(13, 19), change=4)
    assert told(its, [0.01] * 30) == ["A plane 1: 6 of 10 channels hot (× 5) since spill 100"]


def test_what_is_known_worse_narrows_nothing_and_what_lies_beside_it_belongs_to_it() -> None:
    its = [*plane(*range(10, 17), doubt=30), changed(17, first=99), changed(18, first=101, doubt=1), changed(19)]
    assert told(its) == ["A plane 1: 10 of 10 channels silent since spill 100"]


def test_a_plane_that_died_in_two_steps_is_two_faults() -> None:
    assert told(plane(*range(10, 16)) + plane(*range(16, 20), first=150)) == [
        "A plane 1: 6 of 10 channels silent since spill 100",
        "A plane 1: 4 of 10 channels silent since spill 150",
    ]


def test_a_few_channels_of_a_dead_row_whose_begin_is_off_are_no_step() -> None:
    names = [replace(changed(0, first=100 if bar < 30 else 130), group="D", channel=f"bar {bar}") for bar in range(35)]
    assert told(names) == ["D row: 35 of 40 channels silent since spill 100"]


def test_a_channel_of_a_dead_plane_that_is_told_late_follows_and_one_that_died_before_does_not() -> None:
    its = plane(*range(10, 17))
    assert told([*its, changed(17, first=130)]) == ["A plane 1: 8 of 10 channels silent since spill 100"]
    assert told([*its, changed(17, first=30)]) == [
        "A plane 1: 7 of 10 channels silent since spill 100",
        "A plane 1, bar 7 silent since spill 30",
    ]


def test_of_a_small_part_all_channels_make_it() -> None:
    assert told(plane(0, 1)) == ["A pair: 2 of 2 channels silent since spill 100"]
    assert told(plane(0)) == ["A plane 0, bar 0 silent since spill 100"]


def test_a_hot_channel_beside_a_dead_plane_is_a_fault_of_its_own() -> None:
    assert told([*plane(*range(10, 19)), changed(19, change=4)]) == [
        "A plane 1: 9 of 10 channels silent since spill 100",
        "A plane 1, bar 9 hot (× 5) since spill 100",
    ]


def test_what_a_group_lacks_follows_from_the_part_that_lacks_it() -> None:
    assert told([*plane(*range(10, 20)), changed(change=1, expected=400)]) == [
        "A plane 1: 10 of 10 channels silent since spill 100"
    ]
    # One channel is not why all of the group has less, nor is one of two planes.
    assert told([changed(13), changed(change=1, expected=4000)]) == ["A low (× 0.8) since spill 100"]
    assert told([*plane(*range(10, 30)), changed(change=1, expected=1000)]) == ["A low (× 0.8) since spill 100"]


def test_what_a_group_lacked_until_its_channels_were_told_follows_from_them() -> None:
    assert told([*plane(*range(10, 20)), changed(change=1, expected=4000, ended=120)]) == [
        "A plane 1: 10 of 10 channels silent since spill 100"
    ]


def test_a_silent_station_explains_its_channels_and_empties_its_peaks() -> None:
    its = [changed(group="B"), *plane(3, 17, group="B"), changed(group=A_B, doubt=2), changed(group=B_C, change=1)]
    assert told(its) == ["B silent since spill 100"]
    # What began before has another reason, and what is as it was is not why something is wrong now.
    assert len(told([changed(group="B"), changed(group=A_B, first=50)])) == 2
    assert len(told([changed(group="B", ended=120), changed(group=A_B)])) == 2
    assert told([changed(group="B"), changed(group=A_B, ended=120)]) == ["B silent since spill 100"]


def test_a_dead_plane_empties_its_peaks() -> None:
    assert told([*plane(*range(10, 20)), changed(group=A_B, change=1)]) == [
        "A plane 1: 10 of 10 channels silent since spill 100"
    ]


def test_of_a_detector_whose_stations_are_silent_that_is_told() -> None:
    its = [changed(group=name) for name in "ABC"]
    assert told([*its, changed(group=A_B), changed(13, group="C")]) == ["Wall: 3 of 3 stations silent since spill 100"]
    assert told(its[:1]) == ["A silent since spill 100"]
    assert len(told([its[0], changed(group="B", first=150)])) == 2


@pytest.mark.parametrize(("by", "words"), [(0.31, "B later by 0.31 ns"), (-0.31, "B earlier by 0.31 ns")])
def test_a_station_that_comes_later_has_moved_both_its_peaks(by: float, words: str) -> None:
    assert told([moved(A_B, by), moved(B_C, -by)]) == [f"{words} since spill 100 (2 of 2 peaks)"]


def test_what_is_no_time_is_neither_later_nor_earlier() -> None:
    verdict = replace(moved("Absorber", 0.31), unit="MeV")
    words = cause_words(Cause(verdict=verdict, follows=(verdict, verdict), members="peaks", told=2, of=2))
    assert words == "Absorber moved by +0.31 MeV since spill 100 (2 of 2 peaks)"


def test_a_station_with_one_peak_has_moved_that_one() -> None:
    assert told([moved(A_B, -0.31)]) == [f"{A_B} moved by -0.31 ns since spill 100"]


@pytest.mark.parametrize(
    "its",
    [
        [moved(A_B, 0.3), moved(B_C, 0.3)],
        [moved(A_B, 0.3), moved(B_C, -0.6)],
        [moved(A_B, 0.3), moved(B_C, -0.3, first=150)],
    ],
    ids=["to one side", "not as far", "not at once"],
)
def test_peaks_that_have_not_moved_by_one_source_are_told_each(its: list[Verdict]) -> None:
    assert len(told(its)) == 2


def test_a_peak_that_leaves_its_window_has_few_entries_because_it_moved() -> None:
    assert told([moved(A_B, 0.3), moved(B_C, -0.3), changed(group=A_B, change=1)]) == [
        "B later by 0.30 ns since spill 100 (2 of 2 peaks)"
    ]
    assert told([moved(A_B, 0.3), changed(group=A_B, change=1)]) == [f"{A_B} moved by +0.30 ns since spill 100"]


def test_peaks_that_are_gone_at_once_have_lost_their_source() -> None:
    assert told([changed(group=A_B), changed(group=B_C)]) == ["B: 2 of 2 peaks silent since spill 100"]


def test_what_is_over_is_told_together_and_hides_nothing_that_goes_on() -> None:
    over = plane(*range(10, 15), ended=150) + plane(*range(15, 18), ended=160)
    assert told(over) == ["A plane 1: 8 of 10 channels silent since spill 100 until 160"]
    assert told(over + plane(18, 19)) == [
        "A plane 1: 2 of 10 channels silent since spill 100",
        "A plane 1: 8 of 10 channels silent since spill 100 until 160",
    ]
    assert told([*over, changed(18)])[-1] == "A plane 1, bar 8 silent since spill 100"
    # A plane that was dead before is not dead because three of its channels are.
    assert len(told([*over, *plane(10, 11, 12, first=180)])) == 4


def test_what_takes_most_with_it_is_told_first() -> None:
    its = [moved(B_C, 0.3), changed(5, group="B", first=50), *plane(*range(10, 20), first=70), changed(group="C")]
    assert [words.split(" since")[0] for words in told(its)] == [
        "C silent",
        "A plane 1: 10 of 10 channels silent",
        "B plane 0, bar 5 silent",
        f"{B_C} moved by +0.30 ns",
    ]


VERDICTS = st.builds(
    lambda channel, group, change, first, doubt, ended, expected: changed(
        channel if len(group) == 1 else -1,
        group=group,
        change=change,
        first=first,
        doubt=doubt,
        ended=None if ended is None else first + ended,
        expected=expected,
    ),
    st.integers(-1, 29),
    st.sampled_from(["A", "B", "C", A_B, B_C, "somebody else's"]),
    st.integers(0, 4),
    st.sampled_from([50, 52, 100]),
    st.integers(0, 40),
    st.none() | st.integers(5, 90),
    st.floats(0, 1e6),
) | st.builds(moved, st.sampled_from([A_B, B_C]), st.floats(-1, 1), error=st.floats(0, 1))


@given(st.lists(VERDICTS, max_size=60), st.none() | st.lists(st.floats(0, 10), min_size=30, max_size=30))
def test_every_verdict_is_once_in_the_tree_and_none_that_goes_on_is_under_one_that_is_over(
    verdicts: list[Verdict], rates: list[float] | None
) -> None:
    found = causes(verdicts, WATCHED, {} if rates is None else {"A": rates}, LAST)
    assert in_the_tree(found) == Counter(map(id, verdicts))
    for cause in found:
        assert cause.verdict.ended is None or all(each.ended is not None for each in cause.follows)
        begin = cause.verdict.finding.begin
        assert begin.earliest <= begin.first <= begin.latest
        assert cause.told <= cause.of
        assert cause_words(cause)


AT = 40


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        ("dead_pmt:emr/20", "EMR plane 20: "),
        ("dead_pmt:tof1", "TOF1 silent"),
    ],
)
def test_a_board_that_dies_in_the_simulator_is_one_cause_from_its_first_spills_on(fault: str, words: str) -> None:
    spills = counted([f"{fault}@{AT}-{AT + 29}"], spills=AT + 30)
    for until in (AT + 10, AT + 30):
        (cause,) = causes_of(spills[:until])
        assert cause_words(cause).startswith(words)
        begin = cause.verdict.finding.begin
        assert begin.earliest <= AT <= begin.latest


def test_a_judgement_tells_its_causes_with_all_that_follows() -> None:
    (emr,) = [group for group in GROUPS if group.name == "EMR"]
    names = [emr.names[number] for number in emr.parts["plane 3"]]
    bars = [replace(changed(0), group="EMR", channel=name) for name in names]
    judgement = Judgement(verdicts=(*bars, changed(group="KL")), last=LAST)
    group, part = judgement.to_json()["causes"]
    assert (group["words"], group["follows"]) == ("KL silent since spill 100", [])
    assert part["words"] == "EMR plane 3: 60 of 60 channels silent since spill 100"
    assert (part["group"], part["channel"], part["counted"], part["expected"]) == ("EMR", "plane 3", 0, 1500)
    assert (part["members"], part["members_told"], part["members_of"]) == ("channels", 60, 60)
    assert [(each["channel"], each["first"]) for each in part["follows"]] == [(name, 100) for name in names]
    assert len(judgement.bad) == 2
