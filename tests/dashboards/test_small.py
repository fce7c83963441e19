"""The small picture of a plot, and the page of one alarm that has it."""

import re
from typing import Any
from xml.etree import ElementTree as ET

import pytest

from dashboards.data import Reference
from dashboards.figures.small import small
from dashboards.pages.one_alarm import GONE, one_alarm
from schemas.records import NO_RUN
from streams.books.alarms import Alarm
from streams.books.run import spill_facts
from tests.books.test_alarms import acknowledged, known, new, raised
from tests.catalogue import PLOTS
from tests.dashboards.views import RUN, run_book, view

PLOT = "hslabhits10"
BYTES = 40_000
"""Of a picture, before it is compressed."""
REFERENCE = Reference.of_run(RUN + 1, None, run_book(run=RUN + 1), spill_facts({}), chosen=False)


class Known:
    """Data that shows one view."""

    def __init__(self, *alarms: Alarm, **changes: Any) -> None:
        self._view = view(run_book(), alarms=alarms, **changes)

    def view(self, _: object = None) -> Any:
        return self._view


@pytest.mark.parametrize("name", PLOTS)
def test_every_plot_has_a_small_picture_that_says_what_it_is(name: str) -> None:
    histogram = run_book().book[name]
    drawn = small(PLOTS[name], histogram, histogram, "run <5>")
    root = ET.fromstring(drawn)
    assert len(drawn) < BYTES
    assert f"{int(histogram.sum()):,} entries" in root.attrib["aria-label"]
    numbers = [
        float(each) for each in re.findall(r"[VHM]([\d.-]+)", " ".join(p.attrib["d"] for p in root.iter("path")))
    ]
    assert all(0 <= each <= 320 for each in numbers)


def test_a_reference_of_other_bins_is_not_drawn_and_not_named() -> None:
    histogram, other = run_book().book[PLOT], run_book().book["ht01"]
    assert small(PLOTS[PLOT], histogram, other, "run 5") == small(PLOTS[PLOT], histogram, None, "")
    assert "run 5" in small(PLOTS[PLOT], histogram, histogram, "run 5")


def test_the_page_of_an_alarm_says_all_and_nothing_of_it_is_markup() -> None:
    its = new(run=RUN, detector="tof", plot=PLOT, words="PMT 1 <b>silent</b>")
    shown = one_alarm(Known(*known(raised(its), acknowledged(its, who="<i>anna</i>")), reference=REFERENCE), its.id)  # type: ignore[arg-type]
    assert shown.is_there
    for said in ("✕ acknowledged", "medium priority", "PMT 1 &lt;b&gt;silent&lt;/b&gt;", "&lt;i&gt;anna&lt;/i&gt;"):
        assert said in shown.body
    assert "told after spill 40, 01 Jan 00:16:40 UTC" in shown.body
    assert "TOF expert on call" in shown.body
    assert "<svg" in shown.body
    assert f"dashed: run {RUN + 1}" in shown.body
    assert "Alarms: Watched" in shown.body
    assert "acknowledge-alarm" not in shown.body
    assert "shelve-alarm" in shown.body
    waits = one_alarm(Known(*known(raised(its))), its.id)  # type: ignore[arg-type]
    assert "acknowledge-alarm" in waits.body


def test_an_alarm_of_no_run_and_of_a_run_that_is_gone_have_their_pages() -> None:
    redis = new(run=NO_RUN, spill=NO_RUN, of="data flow: Redis", plot="", words="Redis does not answer")
    body = one_alarm(Known(*known(raised(redis))), redis.id).body  # type: ignore[arg-type]
    assert "Start Redis again" in body
    assert "Run -1" not in body
    assert "<svg" not in body
    its = new(run=RUN, plot=PLOT)
    gone = one_alarm(Known(*known(raised(its)), runs=()), its.id).body  # type: ignore[arg-type]
    assert f"Run {RUN} is not in the books any more." in gone
    loading = one_alarm(Known(*known(raised(its)), is_loading=True), its.id).body  # type: ignore[arg-type]
    assert "is being read" in loading


def test_an_alarm_that_nobody_knows_is_said_to_be_none_only_by_who_can_know() -> None:
    nothing = one_alarm(Known(), "nosuch")  # type: ignore[arg-type]
    assert (nothing.is_there, nothing.body) == (False, f"<p>{GONE}</p>")
    away = one_alarm(Known(is_old=True, warnings=("The store (Redis) does not answer",)), "nosuch")  # type: ignore[arg-type]
    assert "does not answer" in away.body
    assert GONE not in away.body
