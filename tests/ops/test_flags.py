"""spilldeck flags and audit, on real servers."""

import json
import time
from typing import Any

import pytest

from schemas.records import ActionKind
from streams.books import layout
from streams.books.actions import append, new_action
from tests.live import RUNS, Live
from tests.ops.conftest import Spilldeck, assert_one_sentence
from tests.ops.test_decisions import done

pytestmark = pytest.mark.servers

RUN, OTHER = RUNS[1], RUNS[2]


@pytest.fixture
def say(spilldeck_here: Spilldeck, live: Live, monkeypatch: pytest.MonkeyPatch) -> Spilldeck:
    """Return the command on the servers of `live`, whose user is anna."""
    monkeypatch.setenv("LOGNAME", "anna")

    def run(*arguments: str, user: str = "anna") -> Any:
        monkeypatch.setenv("LOGNAME", user)
        return spilldeck_here(*arguments, env=live.env)

    return run


def listed(say: Spilldeck, run: int) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(done(say("flags", "list", str(run), "--json")))
    return found


def test_a_run_is_flagged_verified_by_another_withdrawn_and_all_of_it_is_on_record(say: Spilldeck, live: Live) -> None:
    assert listed(say, RUN)["flags"] == []
    assert listed(say, RUN)["shares"]["good"] == 0
    with live.redis.pubsub(ignore_subscribe_messages=True) as heard:  # type: ignore[no-untyped-call]
        heard.subscribe(layout.changed_channel(live.settings.redis.key_prefix, "live"))
        while heard.get_message(timeout=0.2):
            pass
        done(say("flags", "set", str(RUN), "good"))
        deadline = time.monotonic() + 60
        while not heard.get_message(timeout=0.2):  # so pages look at once
            assert time.monotonic() < deadline
    done(say("flags", "set", str(RUN), "bad", "--detector", "tof", "--spills", "1-2", "--reason", "tripped"))
    good, bad = (flag["id"] for flag in listed(say, RUN)["flags"])
    assert "somebody else is to verify it" in assert_one_sentence(say("flags", "verify", str(RUN), good), 2)
    done(say("flags", "verify", str(RUN), good[:8], user="bob"))
    found = listed(say, RUN)
    assert found["flags"][0]["verified"]["who"].startswith("bob@")
    assert [each["verdict"] for each in found["holds"]] == ["good", "bad", "good"]
    assert sum(found["shares"].values()) == live.reader.totals(RUN).filled
    assert found["shares"]["bad"] > 0
    done(say("flags", "withdraw", str(RUN), bad, "--reason", "of another run"))
    assert listed(say, RUN)["shares"]["bad"] == 0
    assert "withdrawn by anna@" in done(say("flags", "list", str(RUN)))

    # A record that counts for nothing stays, with why.
    append(live.settings, new_action(ActionKind.FLAG, RUN, after="{}", origin="a test"))
    records = json.loads(done(say("audit", "list", "--run", str(RUN), "--json")))
    mine = [each for each in records if each["kind"].endswith("flag")]
    kinds = ["flag", "flag", "verify flag", "withdraw flag", "flag"]
    assert [each["kind"] for each in mine] == kinds
    assert [bool(each["refused"]) for each in mine] == [False] * 4 + [True]
    assert [each["offset"] for each in mine] == sorted(each["offset"] for each in mine)
    assert json.loads(mine[1]["before"]) == [[1, 2, "good"]]
    assert mine[1]["origin"].startswith("spilldeck flags set")
    of_bob = json.loads(done(say("audit", "list", "--user", "bob", "--json")))
    assert [each["kind"] for each in of_bob] == ["verify flag"]
    assert json.loads(done(say("audit", "list", "--kind", "withdraw flag", "--run", str(OTHER), "--json"))) == []
    assert "tripped" in done(say("audit", "list", "--kind", "flag"))


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (["set", "5", "good"], "there is no run 5 in the books"),
        (["set", str(RUN), "fine"], "a flag is good, bad or unknown, not fine"),
        (["set", str(RUN), "bad"], "say why it is bad"),
        (["set", str(RUN), "good", "--detector", "none"], "there is no detector none: there are"),
        (["set", str(RUN), "good", "--spills", "9-x"], "9-x are no spills"),
        (["set", str(RUN), "good", "--spills", "9-3"], "there are no spills 9 to 3"),
        (["withdraw", str(RUN), "12345678"], f"run {RUN} has no flag 12345678"),
    ],
)
def test_what_cannot_be_flagged_is_one_sentence(say: Spilldeck, arguments: list[str], why: str) -> None:
    assert why in assert_one_sentence(say("flags", *arguments), 2)
