"""What stands where: strip, banners, pages."""

from collections import Counter
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from dashboards.figures.parts import Figure
from dashboards.pages import plots
from dashboards.pages.strip import MARK, badge, badges, banners, clock, out_of_order, rate, state, strip
from dashboards.pages.tables import table
from streams.books.run import spill_facts
from streams.books.totals import Control, Totals
from streams.freshness import Freshness, Level
from tests.catalogue import DETECTORS, PLOTS, TRENDS
from tests.dashboards.views import EMPTY, RUN, run_book, text_of, view


def make(name: str) -> Figure:
    return {"data": [], "layout": {"title": {"text": name}}}


def with_totals(**changes: Any) -> Any:
    return view(replace(EMPTY, totals=Totals(**changes)), run=RUN)


def test_the_strip_shows_the_run_and_its_numbers() -> None:
    stored = run_book()
    said = text_of(strip(view(stored)))
    assert f"Run {RUN} State running Spills 8 Last spill 7 Rate, 1/s 0.39 Triggers {stored.totals.triggers}" in said
    assert "Missing 0 Duplicate 0 Out of order 0 Rejected 0 Errors 0" in said
    assert "Of no run" not in said


def test_the_strip_shows_the_type_of_a_run_that_has_one() -> None:
    control = {"start": Control(time_us=1, events=2, run_type="PHYSICS")}
    assert "Type PHYSICS State started" in text_of(strip(with_totals(control=control)))


def test_the_counters_are_those_of_the_run_and_what_is_of_no_run_stands_apart() -> None:
    shown = with_totals(
        filled=1200, last_spill=1203, duplicates=2, out_of_order=3, rejected=Counter(unpack=4), errors=Counter(tof=5)
    )
    shown = replace(shown, unattributed=Totals(rejected=Counter(framing=6)))
    said = text_of(strip(shown))
    assert "Spills 1,200" in said
    assert "Missing 4 Duplicate 2 Out of order 3 Rejected 4 Errors 5 Of no run 6" in said
    _, counters = strip(shown)
    assert [c.title for c in counters.children][3:] == [
        "unpack: 4",
        "tof: 5",
        "Could not be put down to any run, ever: framing: 6",
    ]


def test_spills_on_the_way_are_not_missing() -> None:
    # Partitions run ahead of one another: number 9 may be in before number 5.
    shown = with_totals(filled=6, last_spill=9)
    assert shown.missing == 4
    assert replace(shown, behind=3).missing == 1
    assert replace(shown, behind=50).missing == 0
    assert replace(shown, is_made_again=True).missing == 0
    assert view().missing == 0


@pytest.mark.parametrize(
    ("shown", "said"),
    [
        (view(), "no run yet"),
        (with_totals(), "started"),
        (with_totals(received=1), "running"),
        (with_totals(received=1, control={"end": Control(time_us=1, events=2, run_type="")}), "ended"),
        (replace(with_totals(received=1), current=1), "ended"),  # another run began
    ],
)
def test_the_state_of_the_run_is_said(shown: Any, said: str) -> None:
    assert state(shown) == said


def test_rejected_spills_are_not_missing_and_those_that_came_last_are_told() -> None:
    shown = with_totals(filled=6, last_spill=9, last_came=12, refused=[2, 10, 11, 12])
    assert shown.missing == 3
    assert "Last spill / came 9 / 12" in text_of(strip(shown))
    assert "Last spill 9" in text_of(strip(with_totals(filled=6, last_spill=9, last_came=9)))


def test_spills_out_of_order_are_counted_over_all_partitions() -> None:
    assert out_of_order(with_totals(out_of_order=3)) == 3
    assert out_of_order(replace(with_totals(out_of_order=1), disordered=(2, 4, 5))) == 3


def test_the_rate_falls_while_a_spill_is_overdue_and_is_that_of_the_whole_run_in_a_window() -> None:
    shown = view(run_book(30))
    assert "Rate, 1/s 0.39" in text_of(strip(shown))
    assert "Rate, 1/s 0.28" in text_of(strip(replace(shown, waited_s=23.0)))
    assert "Rate, 1/s 0.00" in text_of(strip(replace(shown, waited_s=61.0)))
    assert "Rate, 1/s ?" in text_of(strip(replace(shown, waited_s=None)))
    assert "Rate, 1/s 0.39" in text_of(strip(replace(shown, spills=shown.spills.rows(slice(4, 5)))))


def test_the_rate_is_that_of_the_newest_spills_by_their_own_times() -> None:
    ledger = run_book(30).ledger
    assert rate(spill_facts(ledger)) == f"{1 / 2.56:.2f}"
    assert rate(spill_facts({})) == "–"
    one_time = replace(spill_facts(ledger), time_us=np.full(30, 5, np.int64))
    assert rate(one_time) == "–"


def test_each_level_has_a_mark_and_a_class_of_its_own() -> None:
    assert len(set(MARK.values())) == len(Level)
    for level in Level:
        shown = badge("DAQ", Freshness(level=level, text="words"))
        assert text_of(shown) == f"{MARK[level]} DAQ words"
        assert shown.className == f"badge {level.value}"


def test_there_is_a_badge_for_the_daq_and_one_for_the_pipeline() -> None:
    late = Freshness(level=Level.WARNING, text="late")
    assert [text_of(b) for b in badges(view(pipeline=late))] == ["✓ DAQ Last spill 1 s ago", "! Pipeline late"]


def test_each_warning_is_a_banner_and_without_one_there_is_none() -> None:
    assert banners(view()) == []
    assert text_of(banners(view(warnings=("Redis is away", "gone")))) == "✕ Redis is away ✕ gone"


def test_the_clock_is_in_universal_and_local_time() -> None:
    assert clock(1_700_000_000.0).startswith("22:13:20 UTC · ")
    assert clock(1_700_000_000.0).endswith(" local")


def test_a_shifter_watches_at_most_twelve_plots_a_detector() -> None:
    for detector in DETECTORS:
        names = plots.of_detector(detector, expert=False)
        assert 0 < len(names) <= 12
        assert all(plots.entry(name).detector == detector for name in names)


def test_every_plot_is_on_a_page_of_its_detector() -> None:
    shown = [n for d in DETECTORS for expert in (False, True) for n in plots.of_detector(d, expert=expert)]
    assert sorted(shown) == sorted((*PLOTS, *TRENDS))
    assert set(plots.on_the_overview()) <= set(shown)


@pytest.mark.parametrize("name", [*PLOTS, *TRENDS])
def test_a_plots_page_has_its_four_texts(name: str) -> None:
    said = text_of(plots.page(f"/plot/{name}", make))
    words = plots.entry(name).words
    for title, text in (
        ("What it shows", words.shows),
        ("What is normal", words.normal),
        ("What to do", words.action),
        ("Whom to call", words.call),
    ):
        assert f"{title} {text}" in said


@pytest.mark.parametrize(
    "path",
    [
        "/nowhere",
        "/detector",
        "/detector/nowhere",
        "/detector/daq/expert",
        "/detector/tof/more",
        "/plot/ht99",
        "/plot",
    ],
)
def test_an_address_that_leads_nowhere_says_so(path: str) -> None:
    assert text_of(plots.page(path, make)) == f"There is no page {path}. Choose one above."


@pytest.mark.parametrize(
    ("path", "marked"),
    [
        ("/", "Overview"),
        ("/detector/tof", "Time of flight"),
        ("/detector/tof/expert", "Time of flight"),
        ("/plot/hPMT1", "Cherenkov"),
        ("/plot/daq_rate", "DAQ"),
        ("/replays", "Replays"),
        ("/changed", "Changes"),
        ("/alarms", "Alarms"),
        ("/issues", "Alarms"),
        ("/nowhere", None),
    ],
)
def test_the_navigation_marks_where_one_is(path: str, marked: str | None) -> None:
    links = plots.navigation(path)
    assert [link.children for link in links] == [
        "Overview",
        "Changes",
        *(detector.title for detector in DETECTORS.values()),
        "Alarms",
        "Replays",
    ]
    assert [link.children for link in links if "here" in link.className.split()] == ([marked] if marked else [])


def test_the_rows_of_a_grid_are_full() -> None:
    for number in range(1, 43):
        shown = plots.grid(["ht01"] * number, make)
        wide = sum("wide" in card.className for card in shown.children)
        assert (number + wide) % shown.style["--columns"] == 0


def test_the_table_of_the_scalers_has_their_names_and_counts_per_spill() -> None:
    stored = run_book()
    said = text_of(table("scalers", view(stored)))
    counts = spill_facts(stored.ledger).scalers[:, 0]
    mean = f"{counts.mean():,.1f}".removesuffix(".0")
    assert f"Triggers {counts[-1]} {mean} {mean}" in said
    assert "10 MHz clock 32,000 32,000.0 32,000.0" in said


def test_the_table_of_the_scalers_has_no_numbers_without_spills() -> None:
    assert "Triggers – – –" in text_of(table("scalers", view()))
