"""spilldeck checklist, on real servers."""

import json
from typing import Any

import pytest

from streams.books.checklists import Answer, Line
from streams.books.decided import decide
from streams.books.duties import Duty
from streams.books.noting import checklist_action
from tests.dashboards.test_checklist import OWN
from tests.live import Live, small_run
from tests.ops.conftest import Spilldeck, assert_one_sentence
from tests.ops.test_decisions import done
from tests.servers import environment, without_redis

pytestmark = pytest.mark.servers

RUN = 900_391


def test_27_what_is_due_is_shown_with_its_lines_and_is_not_when_it_was_sent(
    spilldeck_here: Spilldeck, live: Live
) -> None:
    live.send(*small_run(RUN - 1), *small_run(RUN))
    env = live.env | {"SPILLDECK_CHECKLIST__LINES": json.dumps(OWN)}

    def found() -> dict[str, Any]:
        its: dict[str, Any] = json.loads(done(spilldeck_here("checklist", "--json", env=env)))
        return its

    its = found()
    before, last = its["due"]
    assert (before["run"], before["is_end"], last["run"], last["is_end"]) == (RUN - 1, True, RUN, True)
    assert (its["run"], its["spill"]) == (RUN - 1, live.reader.totals(RUN - 1).last_spill)
    said = {each["name"]: each for each in its["lines"]}
    assert said["spills"]["answer"] == "yes"
    assert said["flag"]["answer"] == "no"
    assert said["detector tof"]["answer"] == "not known"
    assert said["detector tof"]["why"].startswith("Not enough data")
    assert said[f"own: {OWN[0]}"]["answer"] == "not known"
    shown = done(spilldeck_here("checklist", env=env | {"COLUMNS": "80"}))
    assert f"The end of run {RUN - 1}, due since" in shown
    assert "✕ no" in shown
    assert "a person can tell" in shown

    lines = tuple(checked(each) for each in its["lines"])
    for duty in its["due"]:
        action = checklist_action(Duty(**duty), 7, lines, act_id=f"check-{duty['run']}", origin="a test")
        decide(live.settings, live.redis, action)
    assert found()["due"] == []
    assert "No checklist is due." in done(spilldeck_here("checklist", env=env))
    handed = done(spilldeck_here("handover", env=env))
    assert f"the end of run {RUN}, due since" in handed
    assert "The run is flagged: no" in handed
    assert f"Not done: the end of run {RUN}" not in handed
    records = json.loads(done(spilldeck_here("audit", "list", "--kind", "checklist", "--json", env=env)))
    assert [each["subject"] for each in records][-2:] == [str(RUN - 1), str(RUN)]


def checked(said: dict[str, Any]) -> Line:
    return Line(said["name"], said["asks"], Answer(said["answer"]), said["why"])


def test_27_where_nobody_can_say_what_is_due_it_is_said(spilldeck_here: Spilldeck, live: Live) -> None:
    away = live.env | environment(without_redis(live.settings))
    assert "Redis" in assert_one_sentence(spilldeck_here("checklist", env=away), 3)


def test_27_a_setting_that_is_no_list_of_lines_is_refused(spilldeck_here: Spilldeck, live: Live) -> None:
    for lines in ('[""]', '["a  b"]', '["a", "a"]', '["a\\nb"]', json.dumps(["x" * 191])):
        env = live.env | {"SPILLDECK_CHECKLIST__LINES": lines}
        assert "checklist" in assert_one_sentence(spilldeck_here("checklist", env=env), 2)
