"""Verdicts on the shapes of plots: in their titles, as a frame about what is off, in tiles; against which reference."""

import re
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from dashboards.choices import LAST_MINUTE
from dashboards.data import Reference, View
from dashboards.data.automatic import Automatic
from dashboards.data.books import Books
from dashboards.data.one_run import NOTHING
from dashboards.data.shapes import ShapeJudges
from dashboards.figures.theme import LIGHT
from dashboards.make import FigureCache, shown_verdict
from dashboards.pages.tiles import tiles
from ops.commands.checks import tell
from ops.console import out
from streams.books.book import Book
from streams.books.cells import Cells
from streams.books.following import beneath
from streams.books.judgement import Judgement
from streams.books.limits import LimitsFile, TypeLimits, read_limits
from streams.books.run import RunBook, spill_facts
from streams.books.shapes import (
    Against,
    Late,
    PlotVerdict,
    State,
    against_run,
    bad,
    off,
    plot_verdict,
    plot_verdicts,
    words,
)
from streams.books.windows import MINUTE_S, Window
from streams.errors import UsageError
from streams.experiment import experiment
from streams.experiments.mice.simulator import SimulatedRun
from streams.experiments.mice.simulator.run import DETECTORS
from streams.freshness import Level
from streams.process import process
from tests.dashboards.test_tiles import known as known_issue
from tests.dashboards.test_tiles import verdict
from tests.dashboards.views import CONDITIONS, END, RUN, text_of, view

OTHER = RUN + 1
DEAD = "dead_pmt:tof1/0/3/1@0-59"


@cache
def book(
    run: int, *faults: str, spills: int = 60, seed: int = 1, detectors: tuple[str, ...] = tuple(DETECTORS)
) -> RunBook:
    simulated = SimulatedRun(run=run, spills=spills, seed=seed, mean_triggers=20, detectors=detectors)
    return process(simulated.with_faults(faults).records(), CONDITIONS)[run].run_book()


@pytest.fixture(scope="module")
def good() -> RunBook:
    return book(OTHER, seed=2)


@pytest.fixture(scope="module")
def dead() -> RunBook:
    return book(RUN, DEAD)


class Judged(NamedTuple):
    one: RunBook
    other: RunBook
    verdicts: dict[str, PlotVerdict]


_JUDGED: dict[tuple[int, int], Judged] = {}
"""Which two books → what was found, once for all tests."""


def verdicts(one: RunBook, other: RunBook) -> dict[str, PlotVerdict]:
    if (id(one), id(other)) not in _JUDGED:
        _JUDGED[id(one), id(other)] = Judged(one, other, plot_verdicts(one, against_run(6, other), TypeLimits()))
    return _JUDGED[id(one), id(other)].verdicts


def seen(one: RunBook, other: RunBook, **changes: Any) -> View:
    reference = Reference.of_run(OTHER, None, other, spill_facts(other.ledger), chosen=False)
    return view(one, reference=reference, shapes=verdicts(one, other), **changes)


def test_15_a_plot_that_is_off_says_so_with_number_and_limit_and_frames_the_culprit(
    good: RunBook, dead: RunBook
) -> None:
    figure = FigureCache().maker(seen(dead, good), LIGHT.name)("hslabhits10")
    title = figure["layout"]["title"]["text"]
    assert "✕ 39 % off (limit 5 %)" in title
    assert LIGHT.bad in title
    (frame,) = figure["layout"]["shapes"]
    assert frame["x0"] < 3 < frame["x1"]
    assert frame["x1"] - frame["x0"] == pytest.approx(1)


def test_15_a_plot_of_two_axes_has_its_frame_about_cells(good: RunBook, dead: RunBook) -> None:
    (frame,) = FigureCache().maker(seen(dead, good), LIGHT.name)("hspxy_1")["layout"]["shapes"]
    assert frame["y0"] < 3 < frame["y1"]
    assert frame["yref"] == "y"


def test_15_what_is_as_it_was_is_quiet(good: RunBook, dead: RunBook) -> None:
    figure = FigureCache().maker(seen(dead, good), LIGHT.name)("SP_TkU")
    assert "✓ 0 % off<" in figure["layout"]["title"]["text"]
    assert not figure["layout"]["shapes"]


def test_15_not_enough_settling_no_reference_and_not_judged_are_states_of_their_own(
    good: RunBook, dead: RunBook
) -> None:
    few = verdicts(book(RUN, spills=21), book(OTHER, spills=4))["hslabhits10"]
    assert few.state is State.FEW
    assert "/200 in run 6" in few.why
    assert verdicts(book(RUN, spills=20), good)["hslabhits10"].why == "20/21 spills"
    assert {each.state for each in plot_verdicts(dead, None, TypeLimits()).values()} == {
        State.NO_REFERENCE,
        State.NOT_JUDGED,
    }
    of_dead = verdicts(dead, good)
    assert of_dead["hnsp_vs_spill_tof0"].state is of_dead["hnsp_spill_tof0"].state is State.NOT_JUDGED
    for each in (few, of_dead["hnsp_spill_tof0"]):
        assert each.level.value == "idle", "unknown is not good"


def test_a_plot_whose_bins_are_others_is_not_judged(good: RunBook, dead: RunBook) -> None:
    other = Against(called="run 6", histogram=lambda _: good.book["ht01"], triggers=good.totals.triggers)
    found = plot_verdicts(dead, other, TypeLimits())
    assert found["ht01"].state in {State.GOOD, State.BAD}
    assert found["hspxy_1"].state is State.NOT_JUDGED
    assert "bins" in found["hspxy_1"].why


def test_the_title_is_of_the_part_that_is_shown_the_tile_of_the_whole_run(good: RunBook, dead: RunBook) -> None:
    part = seen(dead, good, window=LAST_MINUTE, shown=book(RUN, spills=30).book)
    assert shown_verdict(part, "hslabhits10").state is State.GOOD
    assert part.shapes["hslabhits10"].state is State.BAD


def test_7_a_tile_names_the_plot_that_is_off_when_no_channel_is_known_to_be(good: RunBook, dead: RunBook) -> None:
    shown = seen(dead, good, judgement=Judgement(spills=60, counted=60, last=59))
    overview = [text_of(tile) for tile in tiles(shown, "/")]
    tof = next(each for each in overview if "Time of flight" in each)
    assert tof.startswith("✕")
    assert "% off" in tof
    assert "more" in tof
    (own,) = (text_of(tile) for tile in tiles(shown, "/detector/tof") if "not as in run 6" in text_of(tile))
    assert "TOF1" in own
    (plot,) = tiles(shown, "/plot/hslabhits10")[:1]
    assert "Slab 3 has 0 % where" in text_of(plot)


def test_7_a_detector_that_is_not_watched_has_a_tile_only_when_its_plots_are_off(good: RunBook, dead: RunBook) -> None:
    quiet, loud = seen(book(RUN), good), seen(book(RUN, "noisy_plane:kl@0-59", detectors=("tof", "kl")), good)
    titles = [text_of(tile) for tile in tiles(quiet, "/")]
    assert not any("Across" in each or "Raw" in each for each in titles)
    assert any("Across" in text_of(tile) for tile in tiles(loud, "/"))
    judged = replace(loud, judgement=Judgement(spills=60, counted=60, last=59))
    (across,) = (text_of(tile) for tile in tiles(judged, "/") if "Across" in text_of(tile))
    assert across.startswith("✕ Across")
    assert "% off" in across
    assert "not as in run 6" in text_of(tiles(judged, "/detector/across")[0])


def test_21_a_run_that_is_over_has_not_enough_spills_where_one_that_goes_on_settles(good: RunBook) -> None:
    few = book(RUN, spills=20)
    against = against_run(6, good)
    goes_on, is_over = (plot_verdicts(few, against, TypeLimits(), is_over=each)["ht01"] for each in (False, True))
    assert (goes_on.state, goes_on.why) == (State.SETTLING, "20/21 spills")
    assert (is_over.state, words(is_over)) == (State.FEW, "Not enough data: 20/21 spills.")
    other = replace(NOTHING, book=good, version="b")
    for control, current, state in (({}, RUN, State.SETTLING), ({}, OTHER, State.FEW), (END, RUN, State.FEW)):
        its = replace(few, totals=replace(few.totals, control=control))
        read = {(RUN, None): replace(NOTHING, book=its, version="a"), (OTHER, None): other}
        books = Books(current=current, read=read, automatic={RUN: Automatic(run=OTHER)})
        assert ShapeJudges(LimitsFile(None)).look(books, {})[RUN, None]["ht01"].state is state


def test_23_limits_come_by_run_type_and_an_unknown_type_only_warns(
    tmp_path: Path, good: RunBook, dead: RunBook
) -> None:
    path = tmp_path / "limits.toml"
    path.write_text(
        "[physics]\nmatters = 0.1\n[physics.plots.hspxy_1]\njudged = false\n[physics.plots.hnsp_1]\nmatters = 0.9\n"
    )
    file = LimitsFile(path)
    file.look()
    against = against_run(6, good)
    found = plot_verdicts(dead, against, file.of("physics"))
    assert found["hslabhits10"].state is State.BAD
    assert found["hspxy_1"].state is State.NOT_JUDGED
    assert found["hnsp_1"].state is State.GOOD
    unknown = plot_verdicts(dead, against, file.of("cosmics"))
    assert {each.state for each in unknown.values()} & {State.BAD, State.WARNING} == {State.WARNING}
    assert unknown["hnsp_1"].matters == TypeLimits().matters


def test_a_file_of_limits_that_is_wrong_says_where_and_what_it_said_before_holds(tmp_path: Path) -> None:
    path = tmp_path / "limits.toml"
    path.write_text("[physics]\nmatters = 0.1\n")
    file = LimitsFile(path)
    file.look()
    for text, told in (
        ("[physics\n", "is no TOML"),
        ("[physics]\nmatter = 0.1\n", "physics.matter"),
        ("[physics]\nmatters = 1.5\n", "physics.matters"),
        ("[physics]\nmatters = nan\n", "physics.matters"),
        ("[physics.plots.ht99]\n", "physics.plots.ht99 (line 1) is no plot"),
        ("", "says nothing of any run type"),
        ("# All of it will come.\n", "says nothing of any run type"),
        ("physics = 3\n", "physics"),
    ):
        path.write_text(text)
        file.look()
        assert told in file.problem, text
        assert file.told.endswith("what it said before holds")
        assert file.of("physics") == TypeLimits(matters=0.1)
        with pytest.raises(UsageError, match=r"limits\.toml"):
            read_limits(path)
    path.unlink()
    file.look()
    assert "cannot be read" in file.problem
    path.write_text("[cosmics]\n")
    file.look()
    assert not file.told
    assert file.of("physics").only_warns


def test_without_a_file_the_same_limits_hold_for_every_type() -> None:
    file = LimitsFile(None)
    file.look()
    assert file.of("anything") == TypeLimits()


def test_every_plot_has_a_verdict_and_words(good: RunBook, dead: RunBook) -> None:
    found = verdicts(dead, good)
    assert found.keys() == experiment().plots.keys()
    assert all(each.to_json()["words"].endswith(".") for each in found.values())


def test_shapes_are_judged_again_only_when_run_or_reference_have_changed(good: RunBook, dead: RunBook) -> None:
    one = replace(NOTHING, book=dead, version="a")
    other = replace(NOTHING, book=good, version="b")
    books = Books(read={(RUN, None): one, (OTHER, None): other}, automatic={RUN: Automatic(run=OTHER)})
    judges = ShapeJudges(LimitsFile(None))
    first = judges.look(books, {})
    assert first[RUN, None]["hslabhits10"].state is State.BAD
    assert first[RUN, None]["hslabhits10"].against == f"run {OTHER}"
    assert first[OTHER, None]["hslabhits10"].state is State.NO_REFERENCE
    assert judges.look(books, first) is first
    later = replace(books, read={(RUN, None): replace(one, version="c"), (OTHER, None): other})
    assert judges.look(later, first)[RUN, None] is not first[RUN, None]


def test_13_good_runs_before_the_reference_are_judged_with_and_are_not_judged(good: RunBook, dead: RunBook) -> None:
    one = replace(NOTHING, book=dead, version="a")
    other, before = replace(NOTHING, book=good, version="b"), replace(NOTHING, book=dead, version="c")
    books = Books(
        read={(RUN, None): one, (OTHER, None): other, (OTHER + 1, None): before},
        compared=frozenset({(OTHER + 1, None)}),
        automatic={RUN: Automatic(run=OTHER, earlier=(OTHER + 1, OTHER + 2))},
    )
    judges = ShapeJudges(LimitsFile(None))
    found = judges.look(books, {})
    assert found.keys() == {(RUN, None), (OTHER, None)}
    its = found[RUN, None]["hslabhits10"]
    assert its.against == f"run {OTHER} and 1 before"
    assert its.state is State.GOOD, "it is as one of the runs that are good"
    later = replace(books, read=books.read | {(OTHER + 1, None): replace(before, book=good, version="d")})
    assert judges.look(later, found)[RUN, None]["hslabhits10"].state is State.BAD


def test_15_what_is_off_is_said_in_the_units_of_the_plot_with_errors(good: RunBook) -> None:
    its = verdicts(book(RUN, "shifted_timing:tof1=0.5", detectors=("tof",)), good)["tof_flight01"]
    first, place, *_ = its.changes
    assert (first.what, first.matters) == ("Electron peak less L/c (ns)", 0.05)
    assert (place.what, place.matters) == ("Muon time of flight (ns)", None)
    for each in (first, place):
        assert each.apart.by == pytest.approx(0.5, abs=0.1)
        assert each.apart.errors > 10
    assert f"{place.what}: {place.now}, there {place.expected}." in words(its)
    assert f"{first.what}: {first.now}, there {first.expected} (0.05 matters)." in words(its)
    assert its.to_json()["changes"][1]["now"] == {"value": place.now.value, "error": place.now.error}


def test_15_a_share_that_falls_is_bad_by_its_own_limit_though_few_entries_lie_elsewhere(good: RunBook) -> None:
    """Of a station of a tracker a tenth of the points are lost: that is 2 % of the entries of all stations."""
    ours = good.book["Trk_Eff_TkU"]
    kept = ours.view(flow=True)
    lost = kept[3, 2] // 10  # of the third station, behind the bins below
    kept[3, 2] -= lost
    kept[3, 1] += lost
    spills, triggers = good.totals.filled, good.totals.triggers
    found = plot_verdict("Trk_Eff_TkU", Cells.of(ours), spills, triggers, against_run(6, good), TypeLimits())
    assert found.shape is not None
    assert found.shape.elsewhere < found.matters
    assert found.state is State.BAD
    (change,) = found.changes
    assert (change.what, change.matters) == ("Efficiency of station 3", 0.03)
    assert change.apart.by == pytest.approx(-0.1, abs=0.02)
    assert off(found, with_limit=True) == f"off by {change.apart.by:+.2g} (limit 0.03): Efficiency of station 3"
    shown = view(good, shapes={"Trk_Eff_TkU": found}, judgement=Judgement(spills=60, counted=60, last=59))
    assert off(found) in text_of(tiles(shown, "/"))


def test_15_no_number_of_a_plot_that_is_good_is_said_to_be_another(good: RunBook) -> None:
    assert not any(each.changes for each in verdicts(book(RUN), good).values())


def test_6_plots_follow_from_what_is_known_to_be_wrong_with_what_they_are_filled_from(
    good: RunBook, dead: RunBook
) -> None:
    fault = verdict(7)
    judgement = Judgement(spills=60, counted=60, last=59, verdicts=(fault,))
    shown = seen(dead, good, judgement=judgement)
    told, follows, *more = (text_of(tile) for tile in tiles(shown, "/detector/tof"))
    assert "TOF1 horizontal slab 3, PMT 1 silent" in told
    assert follows.startswith("What follows from it: ")
    assert "TOF1 slab hits, horizontal plane" in follows
    assert not any("not as in run 6" in each for each in more)
    overview = tiles(shown, "/")
    assert sum("bad" in tile.className for tile in overview) == 1
    assert not any("Across" in text_of(tile) for tile in overview)


@pytest.mark.parametrize(
    ("plot", "follows"), [("raw_v1290_hits", True), ("raw_v1724_charge_mm", True), ("raw_dbb_hits", False)]
)
def test_6_raw_plots_stand_beneath_a_fault_of_a_detector_that_their_boards_read(
    good: RunBook, dead: RunBook, plot: str, *, follows: bool
) -> None:
    judgement = Judgement(spills=60, counted=60, last=59, verdicts=(verdict(7),))
    its = verdicts(dead, good)["hslabhits10"]
    shown = replace(seen(dead, good, judgement=judgement), shapes={plot: replace(its, plot=plot)})
    title = experiment().plots[plot].title
    beneath = [text_of(each) for each in tiles(shown, "/detector/tof") if "What follows" in text_of(each)]
    assert any(title in each for each in beneath) is follows
    red = [text_of(tile) for tile in tiles(shown, "/") if "bad" in tile.className]
    assert any(title in each for each in red) is not follows
    assert any("Time of flight" in each for each in red)
    (own,) = (text_of(each) for each in tiles(shown, "/detector/raw") if title in text_of(each))
    assert own.startswith("– What may follow from a fault elsewhere: 1 plot" if follows else "✕ 1 plot not as")


def test_every_raw_plot_names_the_detectors_of_its_boards() -> None:
    raw = experiment().detectors["raw"].plots
    assert raw
    assert all(plot.boards_of and plot.boards_of <= experiment().watched.keys() for plot in raw)


def test_plots_beneath_a_fault_are_listed_with_it_and_no_second_time(
    good: RunBook, dead: RunBook, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(out, "_width", 200)
    both = (verdict(7), verdict(2, group="KL"), verdict(3, ended=50))
    its = Judgement(spills=60, counted=60, last=59, verdicts=both)
    off = bad(verdicts(dead, good))
    found = beneath(its.causes, off)
    with out.capture() as said:
        tell(RUN, its, found)
    lines = said.get().splitlines()
    at = next(at for at, line in enumerate(lines) if line.startswith("TOF1 horizontal slab 3, PMT 1 silent"))
    assert lines[at + 1].startswith("    ")
    for plot in off:
        assert (plot in found.rest) is not bool(experiment().shows(experiment().plots[plot.plot]) & {"tof", "kl"})
        title = f"    {experiment().plots[plot.plot].title}: "
        assert sum(line.startswith(title) for line in lines) == (plot not in found.rest)


def test_triggers_are_called_so_where_each_has_several_entries(good: RunBook, dead: RunBook) -> None:
    judged = [each for each in verdicts(dead, good).values() if each.shape is not None and each.shape.is_enough]
    for each, its in ((each, each.shape) for each in judged if each.shape is not None):
        hits = int(dead.book[each.plot].view(flow=True).sum())
        has_several = hits > dead.totals.triggers
        assert its.of_triggers is has_several
        assert its.entries == (dead.totals.triggers if has_several else hits)
        assert bool(re.search(r"; [\d,]+ triggers, [\d,]+ in the reference\.", words(each))) is has_several
    assert len({each.shape.of_triggers for each in judged if each.shape is not None}) == 2


def test_2_what_changed_late_is_told_by_the_last_minute_though_it_is_little_of_the_run(good: RunBook) -> None:
    simulated = SimulatedRun(run=RUN, spills=200, seed=3, mean_triggers=20, detectors=("tof", "tracker"))
    records = [*simulated.with_faults(["dead_pmt:tof1/0/3/1@180-199"]).records()]
    whole, late = (process(its, CONDITIONS)[RUN].run_book() for its in (records, records[181:]))
    against, limits = against_run(6, good), TypeLimits()
    assert plot_verdicts(whole, against, limits)["hslabhits10"].state is State.GOOD
    minute = Late(book=late.book, triggers=late.totals.triggers)
    found = plot_verdicts(whole, against, limits, late=minute)
    assert found["hslabhits10"].state is State.BAD
    assert found["hslabhits10"].part == "the last minute"
    assert "of the entries of the last minute lie elsewhere" in words(found["hslabhits10"])
    assert found["SP_TkU"].part == ""
    assert found["hslabhits10"].told_from > found["SP_TkU"].told_from, "chance has a try in each minute"
    shown = view(whole, shapes=found, judgement=Judgement(spills=200, counted=200, last=199))
    assert "% off in the last minute" in text_of(tiles(shown, "/"))


def test_2_a_plot_that_is_off_by_what_is_over_is_no_longer_red_while_the_run_goes_on(good: RunBook) -> None:
    simulated = SimulatedRun(run=RUN, spills=200, seed=3, mean_triggers=20, detectors=("tof",))
    records = [*simulated.with_faults(["dead_pmt:tof1/0/3/1@0-159"]).records()]
    whole, late, bad_late = (process(its, CONDITIONS)[RUN].run_book() for its in (records, records[161:], records[:41]))
    against, limits = against_run(6, good), TypeLimits()
    minute, bad_minute = (Late(book=its.book, triggers=its.totals.triggers) for its in (late, bad_late))
    found = plot_verdicts(whole, against, limits, late=minute)
    name = "hslabhits10"
    was = found[name]
    assert (was.state, was.is_past, was.level) == (State.BAD, True, Level.WARNING)
    assert "% off, not in the last minute" in off(was)
    assert "The last minute is as the reference again." in words(was)
    assert was.to_json()["is_past"]
    # Unknown is not good: neither without a last minute, nor with one that is still off, nor at the run's end.
    for known in (
        plot_verdicts(whole, against, limits),
        plot_verdicts(whole, against, limits, late=bad_minute),
        plot_verdicts(whole, against, limits, late=Late(book=Book({}), triggers=0)),
        plot_verdicts(whole, against, limits, late=minute, is_over=True),
    ):
        assert (known[name].state, known[name].is_past, known[name].level) == (State.BAD, False, Level.BAD)
        assert "last minute" not in words(known[name])
    # What is off now stands before what was.
    now = replace(was, plot="tof_A", is_past=False)
    assert bad({was.plot: was, now.plot: now}) == [now, was]


def test_1_a_detector_whose_plots_are_off_is_never_green_whatever_they_may_follow_from(
    good: RunBook, dead: RunBook
) -> None:
    judgement = Judgement(spills=60, counted=60, last=59, verdicts=(verdict(7),))
    shown = seen(dead, good, judgement=judgement, automatic=Automatic(run=6))
    its = shown.shapes["tof_A"]
    assert its.shape is not None
    assert "tof" in experiment().needs(experiment().plots["tof_A"])
    off = {"tof_A": replace(its, state=State.BAD, shape=replace(its.shape, elsewhere=0.5))}
    before, after = (
        next(text_of(tile) for tile in tiles(each, "/") if "Cherenkov" in text_of(tile))
        for each in (shown, replace(shown, shapes=dict(shown.shapes) | off))
    )
    assert before.startswith("✓")
    assert after.startswith("! Cherenkov No change; 1 plot not as in run 6, as may follow from what is wrong elsewhere")


def test_8_without_a_reference_a_tile_says_so_and_one_with_a_fault_of_its_own_is_named(good: RunBook) -> None:
    judgement = Judgement(spills=60, counted=60, last=59)
    alone = view(good, judgement=judgement)
    said = [text_of(tile) for tile in tiles(alone, "/")]
    assert said
    assert all("No change; no run to compare with" in each for each in said), said
    its = seen(good, good, judgement=judgement, automatic=Automatic(run=6), automatic_faults=2)
    assert any("plots as in run 6 (itself with 2 faults)" in text_of(tile) for tile in tiles(its, "/"))
    begun = verdict(7)
    begun = replace(begun, finding=replace(begun.finding, from_the_begin=True))
    its = replace(its, judgement=replace(judgement, verdicts=(begun,)))
    assert any("from the begin on, unlike in run 6 (itself with 2 faults)" in text_of(t) for t in tiles(its, "/"))


def test_no_file_of_limits_stops_the_page_or_fills_it(tmp_path: Path) -> None:
    path = tmp_path / "limits.toml"
    file = LimitsFile(path)
    file.look()
    assert "cannot be read" in file.problem
    assert file.of("physics") == TypeLimits(), "of a file that never could be read nobody knows whether it has the type"
    path.write_text(f"[physics]\nmatters = {'1' * 5000}\n")
    file.look()
    assert "is no TOML" in file.problem
    assert file.told.endswith("the same limits hold for every type")
    path.write_text("".join(f"[{'t' * 500}{number}]\nmatters = 7\n" for number in range(2000)))
    file.look()
    assert "and 1,997 more" in file.problem
    assert len(file.problem) < 1000


def test_all_of_a_plot_is_a_hundred_percent_in_a_tile_too(good: RunBook, dead: RunBook) -> None:
    its = verdicts(dead, good)["hslabhits10"]
    assert its.shape is not None
    all_of_it = replace(its, shape=replace(its.shape, elsewhere=0.998))
    shown = seen(dead, good, judgement=Judgement(spills=60, counted=60, last=59))
    said = text_of(tiles(replace(shown, shapes={"hslabhits10": all_of_it}), "/"))
    assert "TOF1 slab hits, horizontal plane 100 % off" in said


def test_25_a_plot_that_is_known_to_be_off_is_hatched_with_its_verdict_as_it_was(good: RunBook, dead: RunBook) -> None:
    shown = seen(dead, good)
    off_plot = bad(shown.shapes)[0]
    its = replace(shown, known=(known_issue(f"plot: {off_plot.plot}"),))
    (tile,) = [each for each in tiles(its, f"/plot/{off_plot.plot}") if "tile one" in each.className][:1]
    assert tile.className.split()[-1] == "known"
    assert text_of(tile).startswith("▨ Known: it is dead (anna; not seen since). ")
    assert "of the entries lie elsewhere" in text_of(tile)
    assert its.shapes[off_plot.plot] == off_plot  # what is stored stays
    figure = FigureCache().maker(its, LIGHT.name)(off_plot.plot)
    assert figure["layout"]["meta"]["known"]
    assert "known: it is dead (anna)" in figure["layout"]["title"]["text"]
    assert "▨" in figure["layout"]["title"]["text"]
    assert not FigureCache().maker(shown, LIGHT.name)(off_plot.plot)["layout"]["meta"]["known"]


def test_a_window_after_which_others_came_settles_no_more(good: RunBook, dead: RunBook) -> None:
    goes_on = replace(dead, totals=replace(dead.totals, control={}))
    few = book(RUN, spills=10)
    windows = tuple(Window(start, MINUTE_S) for start in (0, MINUTE_S))
    of = {"windows": windows, "shown": few.book, "spills": spill_facts(few.ledger)}
    states = [shown_verdict(seen(goes_on, good, window=each.start, **of), "hslabhits10").state for each in windows]
    assert states == [State.FEW, State.SETTLING]
