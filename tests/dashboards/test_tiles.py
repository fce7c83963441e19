"""What a tile says of a detector: unknown is not good, and what is wrong has its channel and its first spill."""

import json
from collections import Counter
from dataclasses import replace
from typing import Any

import pytest

from dashboards.pages.tiles import MOST, tiles
from streams.books.issues import Hit, Issue
from streams.books.judgement import Judgement
from streams.books.limits import TypeLimits
from streams.books.totals import Totals
from streams.checks.begin import Begin
from streams.checks.counts import CHANNEL, Finding
from streams.checks.judge import Verdict
from streams.checks.yields import Yield
from streams.experiment import experiment
from streams.experiments.mice.conditions import emr
from tests.dashboards.views import EMPTY, END, run_book, text_of, view

FINE = Judgement(spills=100, counted=100, last=99)


def verdict(
    channel: int = 3, *, first: int = 40, earliest: int | None = None, ended: int | None = None, group: str = "TOF1"
) -> Verdict:
    """Return a silent channel; of -1, a silent group."""
    (its,) = [g for groups in experiment().channels.values() for g in groups if g.name == group]
    finding = Finding(
        column=channel,
        change=CHANNEL[0],
        factor=0.0,
        counted=0,
        expected=25.0,
        begin=Begin(first=first, earliest=first if earliest is None else earliest, latest=first),
        told=first + 4,
    )
    return Verdict(group=group, channel=its.names[channel] if channel >= 0 else "", finding=finding, ended=ended)


def said(judgement: Judgement | None, detector: str = "tof", path: str = "/", **changes: Any) -> tuple[str, str]:
    """Return level and words of a detector's tile."""
    shown = view(run_book(), judgement=judgement, **changes)
    title = experiment().detectors[detector].title
    (tile,) = [each for each in tiles(shown, path) if title in text_of(each)]
    return _level_of(tile), text_of(tile).split(title, 1)[1].strip()


def _level_of(tile: Any) -> str:
    level = str(tile.className.split()[-1])
    assert (level == "bad") <= bool(names_of(tile)), "without a name it would pass for seen"
    return level


def names_of(tile: Any) -> list[str]:
    """Return the names of what is wrong that a tile tells of."""
    found: list[str] = json.loads(getattr(tile, "data-names"))
    return found


@pytest.mark.parametrize(
    ("judgement", "level", "words"),
    [
        (None, "unknown", "Not judged yet"),
        (Judgement(), "unknown", "Not judged yet"),
        (Judgement(problem="its counts are cut"), "unknown", "Cannot be judged: its counts are cut"),
        (Judgement(spills=30, last=29), "unknown", "No hits by channel are kept of this run"),
        (Judgement(spills=7, counted=7, last=6), "idle", "Settling: 7/21 spills"),
        (FINE, "good", "No change; no run to compare with"),
        (replace(FINE, left=9), "good", "No change, as of spill 99; no run to compare with"),
        (
            replace(FINE, left=200),
            "unknown",
            "No change, as of spill 99: 200 spills not judged yet; no run to compare with",
        ),
        (replace(FINE, verdicts=(verdict(ended=60),)), "good", "No change; 1 fault before; no run to compare with"),
        (replace(FINE, verdicts=(verdict(),)), "bad", "TOF1 horizontal slab 1, PMT 1 silent since spill 40"),
        (
            replace(FINE, verdicts=(verdict(earliest=38), verdict(4, first=70)), left=9),
            "bad",
            "TOF1 horizontal slab 1, PMT 1 silent since spill 40 (between 38 and 40); 1 more, as of spill 99",
        ),
        (replace(FINE, verdicts=(verdict(-1),)), "bad", "TOF1 silent since spill 40"),
        (replace(FINE, verdicts=(verdict(group="KL"),)), "good", "No change; no run to compare with"),
    ],
)
def test_a_tile_says_how_a_detector_is(judgement: Judgement | None, level: str, words: str) -> None:
    assert said(judgement) == (level, words)


def test_21_a_run_that_is_over_does_not_settle_and_nothing_of_it_is_still_to_come() -> None:
    few, nothing = Judgement(spills=20, counted=20, last=19), Judgement()
    ended = replace(run_book(), totals=replace(run_book().totals, control=END))
    for book, changes in ((ended, {}), (run_book(), {"current": 7})):
        for judgement, words in ((few, "Not enough data: 20/21 spills"), (nothing, "Not judged yet")):
            shown = view(book, judgement=judgement, **changes)
            (tile,) = (text_of(each) for each in tiles(shown, "/") if "Time of flight" in text_of(each))
            assert words in tile
    empty = replace(EMPTY, totals=Totals(received=1, control=END))
    told = [text_of(each) for each in tiles(view(empty, judgement=nothing), "/")]
    assert any(each.endswith("No spills") for each in told)
    assert not any("yet" in each for each in told)


def test_since_when_is_told_of_the_run_that_is_taken() -> None:
    bad = replace(FINE, verdicts=(verdict(first=5),))
    book = run_book()
    now_s = book.ledger[5].time_us / 1e6 + 90
    assert said(bad, now_s=now_s)[1].endswith("since spill 5, 90 s ago")
    assert said(bad, now_s=now_s, current=1)[1].endswith("since spill 5")


def test_while_a_run_is_read_nothing_is_known_of_it() -> None:
    assert said(FINE, is_loading=True) == ("unknown", "Not judged yet")


def test_each_watched_detector_has_a_tile_on_the_overview_and_its_faults_on_its_page() -> None:
    shown = view(run_book(), judgement=replace(FINE, verdicts=(verdict(ended=50), verdict(5, first=60))))
    assert len(tiles(shown, "/")) == len(experiment().channels)
    assert [text_of(each).split("Time of flight")[1].strip() for each in tiles(shown, "/detector/tof/expert")] == [
        "TOF1 horizontal slab 2, PMT 1 silent since spill 60: 0 hits, where 25 were expected",
        "TOF1 horizontal slab 1, PMT 1 silent since spill 40 until 50: 0 hits, where 25 were expected",
    ]
    assert [each.className.split()[-1] for each in tiles(shown, "/detector/kl")] == ["good", "bad"]
    for path in ("/plot/ht01", "/replays", "/detector/daq", "/detector/kl"):
        (elsewhere,) = [each for each in tiles(shown, path) if "elsewhere" in each.className]
        assert "TOF1 horizontal slab 2, PMT 1 silent" in text_of(elsewhere)
        assert not [each for each in tiles(view(run_book(), judgement=FINE), path) if "elsewhere" in each.className]
    assert tiles(view(), "/") == []


def test_of_many_faults_the_first_ones_are_listed_and_the_others_counted() -> None:
    # One of each plane, so that none has died.
    many = tuple(verdict(plane * emr.BARS + plane, group="EMR") for plane in range(emr.PLANES))
    found = tiles(view(run_book(), judgement=replace(FINE, verdicts=many)), "/detector/emr")
    assert len(found) == MOST + 1
    assert f"{emr.PLANES - MOST} faults more: spilldeck checks show" in text_of(found[-1])


def test_a_plane_that_dies_is_one_fault_with_its_channels_folded_beneath() -> None:
    plane = tuple(verdict(3 * emr.BARS + bar, group="EMR") for bar in range(emr.BARS))
    shown = view(run_book(), judgement=replace(FINE, verdicts=(*plane, verdict(7, group="EMR", first=20))))
    words = "EMR plane 3: 60 of 60 channels silent since spill 40"
    assert said(shown.judgement, "emr") == ("bad", f"{words}; 1 more")
    fault, beneath, other = tiles(shown, "/detector/emr")
    assert f"{words}: 0 hits, where 1,500 were expected" in text_of(fault)
    assert (text_of(beneath.children[0]), beneath.open) == ("What follows from it: 60", False)
    assert len(beneath.children[1].children) == emr.BARS
    assert text_of(beneath.children[1].children[2]).startswith("EMR plane 3, bar 2 silent since spill 40: 0 hits")
    assert "EMR plane 0, bar 7 silent" in text_of(other)


def test_what_follows_stands_with_its_cause_and_is_unfolded_where_it_is_short() -> None:
    peak = replace(verdict(-1), group="Electrons TOF0 → TOF1")
    shown = view(run_book(), judgement=replace(FINE, verdicts=(verdict(-1), peak)))
    assert said(shown.judgement) == ("bad", "TOF1 silent since spill 40")
    _, beneath = tiles(shown, "/detector/tof")
    assert (text_of(beneath.children[0]), beneath.open) == ("What follows from it: 1", True)


def test_22_what_too_many_spills_have_is_told_in_the_tile_of_its_detector_and_of_the_run() -> None:
    totals = Totals(received=400, filled=370, last_spill=399, errors=Counter(tof=40), rejected=Counter(unpack=30))
    totals.refused = [*range(30)]
    its = replace(run_book(), totals=totals)
    said = [text_of(tile) for tile in tiles(view(its, judgement=Judgement(spills=370, counted=370, last=399)), "/")]
    assert "✕ Run 30 of 400 spills (7.5 %) rejected" in said
    assert "✕ Time of flight 40 of 400 spills (10 %) with errors of tof" in said
    only_warns = view(its, limits=TypeLimits(only_warns=True))
    assert "! Run 30 of 400 spills (7.5 %) rejected" in [text_of(tile) for tile in tiles(only_warns, "/detector/kl")]
    on_their_way = view(replace(its, totals=Totals(received=360, filled=360, last_spill=399)), behind=40)
    assert not any("Run" in text_of(tile) for tile in tiles(on_their_way, "/"))


def test_23_what_is_wrong_in_a_run_of_a_type_without_limits_only_warns() -> None:
    dead = replace(FINE, verdicts=(verdict(),))
    shown = view(run_book(), judgement=dead, limits=TypeLimits(only_warns=True))
    assert tiles(shown, "/")[0].className.split()[-1] == "warning"
    assert tiles(shown, "/detector/tof")[0].className.split()[-1] == "warning"
    assert tiles(view(run_book(), judgement=dead), "/")[0].className.split()[-1] == "bad"


def test_a_tile_has_the_yield_of_its_detector_if_that_has_channels() -> None:
    its = Yield(spills=(0, 40, 80), hits=(4.0, 3.0, 3.0))
    judgement = replace(FINE, verdicts=(verdict(),), yields={"tof": its, "kl": its})
    shown = view(run_book(), judgement=judgement)
    lines = [each.children[1:] for each in tiles(shown, "/")]
    assert [[line.className for line in its] for its in lines] == [["line marked"], [], ["line"], [], []]
    assert lines[0][0].style["--since"] == "50.0%"
    assert [each.children[1:] for each in tiles(view(run_book(), judgement=judgement, is_loading=True), "/")] == [
        []
    ] * 5


def known(of: str, **changes: Any) -> Issue:
    usual = Issue("issue-0001", of, "it is dead", "anna", 0, 10**6, None, "anna@here", 1, "a test")
    return usual._replace(**changes)


def test_25_what_is_known_is_hatched_and_says_the_issue_and_what_is_not_known_goes_before_it() -> None:
    its = replace(FINE, verdicts=(verdict(),))
    of = f"TOF1/{verdict().channel}"
    words = "Known: it is dead (anna; 2 hits, the last in run 7 after spill 9)"
    seen = known(of, hits=2, hit=Hit(7, 9, 1))
    assert said(its, known=(seen,)) == ("known", words)
    assert said(its, known=(known("TOF1"),))[0] == "known"
    assert said(its, known=(known("TOF1/horizontal slab 9, PMT 0"),))[0] == "bad"
    both = replace(FINE, verdicts=(verdict(), verdict(4, first=70)))
    level, which = said(both, known=(seen,))
    assert (level, which) == ("bad", f"TOF1 {verdict(4).channel} silent since spill 70")
    # Its own page has both, and what was measured.
    shown = view(run_book(), judgement=both, known=(seen,))
    lines = {each.className.split()[-1]: text_of(each) for each in tiles(shown, "/detector/tof")}
    assert words in lines["known"]
    assert "since spill 40" in lines["known"]
    assert "since spill 70" in lines["bad"]
