"""The page of alarms: what waits first, what to do, who knows; and how many there are, in its link."""

from dataclasses import replace
from typing import Any

import pytest

from dashboards.pages.alarms import NONE, Bell, alarms, bell, listed_alarms
from dashboards.pages.plots import navigation, page
from schemas.records import Action
from streams.books.alarms import Priority
from streams.freshness import Freshness, Level
from tests.books.test_alarms import acknowledged, cleared, known, new, raised, shelved
from tests.dashboards.views import run_book, text_of, view

NOW_S = 1300.0
"""Five minutes after the alarms of `test_alarms` were raised."""
PLOT = "hslabhits10"
ONE = new(1, detector="tof", plot=PLOT, words="PMT 1 <b>silent</b>")


def shown(*actions: Action, now_s: float = NOW_S) -> Any:
    return view(run_book(), alarms=known(*actions), now_s=now_s)


def rows(component: Any) -> list[str]:
    """Return the rows of all tables in a component, in words."""
    tables = [each for each in component if getattr(each, "className", "") == "flags alarms"]
    tables += [each.children[1] for each in component if type(each).__name__ == "Details"]
    return [text_of(row) for each in tables for row in each.children[1].children]


def test_an_alarm_says_what_since_when_what_to_do_whom_to_call_and_who_knows() -> None:
    (row,) = rows(alarms(shown(raised(ONE))))
    assert row.startswith("✕ active medium priority PMT 1 <b>silent</b>")
    assert "Run 6008, told after spill 40, 01 Jan 00:16:40 UTC" in row
    assert "Time of flight TOF1 slab hits" in row
    assert "Call: TOF expert" in row
    assert row.endswith("Acknowledge Shelve Known issue")
    (row,) = rows(alarms(shown(raised(ONE), acknowledged(ONE))))
    assert row.startswith("✕ acknowledged")
    assert row.endswith("anna@here, 01 Jan 00:16:41 UTC Shelve Known issue")
    (row,) = rows(alarms(shown(raised(ONE), shelved(ONE))))
    assert row.startswith("– shelved")
    assert "Shelved until 01 Jan 01:16:40 UTC by anna@here: a known fault" in row
    (row,) = rows(alarms(shown(raised(ONE), cleared(ONE))))
    assert row.startswith("✓ recovered")
    assert "over since spill 90" in row
    assert row.endswith("Acknowledge")
    (row,) = rows(alarms(shown(raised(ONE), cleared(ONE), acknowledged(ONE))))
    assert row.startswith("✓ over")
    assert not row.endswith(("Acknowledge", "Shelve", "Known issue"))
    assert text_of(alarms(shown())[2]) == NONE


def test_what_waits_comes_first_and_of_that_what_matters_most() -> None:
    its = [
        new(1, priority=Priority.LOW, words="a plot"),
        new(2, priority=Priority.HIGH, words="a detector"),
        new(3, words="acknowledged"),
        new(4, words="recovered"),
        new(5, words="over"),
    ]
    done = [acknowledged(its[2]), cleared(its[3]), cleared(its[4]), acknowledged(its[4])]
    seen = shown(*map(raised, its), *done)
    words = ("a detector", "a plot", "acknowledged", "recovered", "over")
    assert all(word in row for word, row in zip(words, rows(alarms(seen)), strict=True))
    assert bell(seen).waiting == (f"low:{its[0].id}", f"high:{its[1].id}")


def test_the_link_to_the_page_counts_what_waits() -> None:
    def link(count: int, path: str = "/") -> Any:
        its = Bell(("low:1", "high:2", "low:3")[:count])
        return next(each for each in navigation(path, (), its) if each.href == "/alarms")

    assert (text_of(link(2)), link(2).className) == ("Alarms 2", "apart bad")
    assert (text_of(link(0, "/alarms")), link(0, "/alarms").className) == ("Alarms", "apart here")
    assert "alarm-status" in str(page("/alarms", None))  # type: ignore[arg-type]


def test_without_who_watches_neither_the_link_nor_the_page_is_taken_for_good() -> None:
    nobody = Freshness(level=Level.WARNING, text="Nobody watches: no alarm is raised")
    for watching, mark in ((nobody, " !"), (Freshness(level=Level.GOOD, text="Watched"), "")):
        its = replace(shown(), watching=watching)
        link = next(each for each in navigation("/", (), bell(its)) if each.href == "/alarms")
        assert text_of(link) == f"Alarms{mark}"
        assert getattr(link, "title", "") == (nobody.text if mark else "")
        assert text_of(alarms(its)[0]).endswith(watching.text)
    assert listed_alarms(shown()) != listed_alarms(replace(shown(), watching=nobody))


@pytest.mark.parametrize(("count", "level"), [(1, ""), (2, "bad")])
def test_the_alarms_are_held_against_what_one_person_can_bear(count: int, level: str) -> None:
    line = alarms(shown(*(raised(new(number)) for number in range(count))))[1]
    number = f"{count} in the last 10 minutes (bearable for long: 1)"
    assert number in text_of(line)
    assert next(each.className for each in line.children if number in str(each)) == level


def test_the_page_changes_when_a_shelf_expires_and_when_ten_minutes_have_passed() -> None:
    its = shown(raised(ONE), shelved(ONE))
    same, later = replace(its, now_s=NOW_S + 1), replace(its, now_s=1000 + 3600.0)
    assert listed_alarms(same) == listed_alarms(its) != listed_alarms(later)
    assert listed_alarms(replace(its, now_s=1601.0)) != listed_alarms(its)
