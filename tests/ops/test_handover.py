"""spilldeck handover, on real servers."""

import time
from dataclasses import replace
from pathlib import Path

import pytest

from ops.keeper import Keeper
from schemas.records import RunControl
from streams.books.decided import newest
from tests.live import Live, Record, small_run
from tests.ops.conftest import Spilldeck, assert_one_sentence
from tests.ops.test_decisions import done

pytestmark = pytest.mark.servers

EARLIER, NEWER = 900_411, 900_412
TYPE = "handed over"
"""Of these two runs alone: how many others come meanwhile, other tests decide."""
BETWEEN_S = 2.0
"""At least."""


def judge_by_keeper(live: Live, run: int) -> None:
    """Have the checks say what they think of a run that is over, and is the newest: of it first."""
    keeper = Keeper(live.settings, live.redis)
    keeper.look()
    assert run in newest(live.settings, live.redis)().proposed


def run_of_type(number: int) -> list[Record]:
    records = small_run(number)
    return [replace(each, run_type=TYPE) if isinstance(each, RunControl) else each for each in records]


def unescaped(markdown: str) -> str:
    return markdown.replace("\\", "")


def test_28_a_shift_is_told_with_what_is_other_than_in_the_one_before(
    spilldeck_here: Spilldeck, live: Live, tmp_path: Path
) -> None:
    live.send(*run_of_type(EARLIER))
    judge_by_keeper(live, EARLIER)
    before_s = time.time()
    # As long as it takes on this machine as it is now, and all that it needs is there then.
    done(spilldeck_here("handover", "--hours", "1", env=live.env))
    time.sleep(max(0.0, BETWEEN_S - (time.time() - before_s)))
    live.send(*run_of_type(NEWER))
    limits = tmp_path / "limits.toml"
    limits.write_text("[physics]\nmatters = 0.1\n")
    env = live.env | {"SPILLDECK_CHECKS__LIMITS": str(limits), "SPILLDECK_CHECKS__GOOD_SPILLS": str(tmp_path / "none")}
    done(spilldeck_here("flags", "set", str(NEWER), "bad", "--reason", "it tripped", env=env))
    done(spilldeck_here("references", "pin", str(NEWER), "--reason", "the repair", env=env))
    done(spilldeck_here("references", "unpin", TYPE, env=env))
    done(spilldeck_here("note", str(NEWER), "the beam came back", "--plot", "hslabhits10", env=env))
    # The clock goes on until the command looks at it: it may for as long as was between the runs.
    hours = (time.time() - before_s) / 3600
    said = done(spilldeck_here("handover", "--hours", f"{hours:.6f}", "--markdown", env=env))
    assert f"| {NEWER} |" in said
    assert f"| {EARLIER} |" not in said
    assert "bad all: it tripped" in said
    assert f"Conditions (run {NEWER} against run {EARLIER}): as before." in unescaped(said)
    assert "The file of limits was edited" in said
    kept = f"Limits of runs of type {TYPE}, since run {EARLIER}: only_warns yes, before no."
    assert kept in unescaped(said)
    assert f"Runs of type {TYPE} are compared with run {NEWER} (" in said
    assert ": the repair)." in said
    assert f"Runs of type {TYPE} are compared with the newest good one again (" in said
    whole = done(spilldeck_here("handover", env=env))
    assert whole.index(f"with run {NEWER} (") < whole.index("with the newest good one again (")
    assert f"run {NEWER}, TOF1 slab hits, horizontal plane: the beam came back" in said
    assert "The file of rules for good spills" in said
    assert "cannot be read: No such file or directory" in said

    assert f" {EARLIER} " in whole
    assert f"Run {NEWER} is compared with none: none of the 50 runs before the shift is of its type." in whole
    assert "there is no plot none" in assert_one_sentence(
        spilldeck_here("note", str(NEWER), "x", "--plot", "none", env=env), 2
    )
    assert "there is no run 5" in assert_one_sentence(spilldeck_here("note", "5", "x", env=env), 2)
    assert "0 and at most 72 hours" in assert_one_sentence(spilldeck_here("handover", "--hours", "0", env=env), 2)
