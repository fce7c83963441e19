"""spilldeck known-issues, on real servers."""

import json
from typing import Any

import pytest

from streams.books.alarm_actions import due_actions
from streams.books.alarming import Due
from streams.books.alarms import New, Priority
from streams.books.decided import decide
from tests.live import RUNS, Live
from tests.ops.conftest import Spilldeck, assert_one_sentence
from tests.ops.test_decisions import done
from tests.ops.test_flags import say

__all__ = ["say"]
pytestmark = pytest.mark.servers

CHANNEL = "TOF1/horizontal slab 3, PMT 1"


def listed(say: Spilldeck, *arguments: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(done(say("known-issues", "list", "--json", *arguments)))
    return found


def test_what_is_known_is_counted_asks_when_it_is_past_and_is_withdrawn(say: Spilldeck, live: Live) -> None:
    words = "it is dead until the winter"
    done(say("known-issues", "add", CHANNEL, "--text", words, "--owner", "anna", "--runs", f"{RUNS[0]}-{RUNS[1]}"))
    new = New("live", RUNS[1], f"{CHANNEL}/fewer", 9, 4, "PMT 1 silent", "tof", "hslabhits10", Priority.MEDIUM)
    (action,) = due_actions(Due(cleared=(), raised=(new,)))
    decide(live.settings, live.redis, action)
    (its,) = listed(say)
    assert (its["of"], its["text"], its["hits"], its["hit"]["run"]) == (CHANNEL, words, 1, RUNS[1])
    assert its["expired"]  # there are later runs
    (alarm,) = [each for each in json.loads(done(say("alarms", "list", "--json")))["alarms"] if each["id"] == new.id]
    assert alarm["known"]["issue"] == its["id"]
    assert "known issue" in done(say("alarms", "list"))
    assert "still so?" in done(say("known-issues", "list"))
    done(say("known-issues", "extend", its["id"][:8], "--last-run", str(RUNS[-1] + 1000)))
    assert not listed(say)[0]["expired"]
    done(say("known-issues", "withdraw", its["id"][:8], "--reason", "it was repaired"))
    assert listed(say) == []
    assert listed(say, "--all")[0]["withdrawn"]["reason"] == "it was repaired"
    kinds = [each["kind"] for each in json.loads(done(say("audit", "list", "--json", "--user", "anna")))]
    assert [each for each in kinds if "known" in each] == [
        "add known issue",
        "extend known issue",
        "withdraw known issue",
    ]


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (["add", "TOF1/slab 99", "--text", "t", "--owner", "o", "--runs", "5"], "is no plot, and no GROUP/CHANNEL"),
        (["add", CHANNEL, "--text", "t", "--owner", "o"], "say up to which run, or until when"),
        (["add", CHANNEL, "--text", "t", "--owner", "o", "--runs", "x"], "x are no runs"),
        (["add", CHANNEL, "--text", "t", "--owner", "o", "--until", "soon"], "soon is no date"),
        (["add", CHANNEL, "--text", "t", "--owner", "o", "--until", "2020-01-01"], "it would be over already"),
        (["withdraw", "12345678"], "there is no known issue 12345678"),
    ],
)
def test_what_cannot_be_known_is_one_sentence(say: Spilldeck, arguments: list[str], why: str) -> None:
    assert why in assert_one_sentence(say("known-issues", *arguments), 2)
