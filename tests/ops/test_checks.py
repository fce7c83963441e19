"""spilldeck checks: what is wrong with a run, as live counted it; the same of a replay, and without servers."""

import json
import re
import time
from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from dashboards.choices import Choices
from dashboards.data import Data, View, aside, judged_run
from dashboards.make import shown_verdict, window_verdicts
from dashboards.pages.controls import controls
from ops.commands.checks import tell
from ops.console import out
from ops.stack import LocalStack
from schemas.records import RawSpill, RunControl
from streams.books import judgement
from streams.books.following import beneath
from streams.books.limits import TypeLimits
from streams.books.shapes import against_run, evidence_limit, plot_verdicts
from streams.conditions.store import ConditionsStore
from streams.experiments.mice.simulator import SimulatedRun
from streams.explain.verdicts import Answer
from streams.process import process
from streams.reconstruct import reconstruct
from tests.live import Live, count_live
from tests.ops.conftest import Spilldeck, assert_one_sentence
from tests.redis_servers import until
from tests.servers import settings_on
from tests.tables import copy_tables, naming, recalibrate

RUN, SPILLS = 900_021, 60
PLOT = "hslabhits10"
GOOD, OTHER_TABLES = 77, 78
WORDS = "TOF1 horizontal slab 3, PMT 1 silent since spill 30"
DIES = "dead_pmt:tof1/0/3/1@30-59"


@pytest.fixture(scope="module")
def broken(stack: LocalStack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    """Return runs with a dead photomultiplier, counted by workers of which one was killed meanwhile.

    By the tables of the last one TOF0 comes later than by those of the good one before it.
    """
    tables = tmp_path_factory.mktemp("tables")
    indices = [copy_tables(tables / str(run), run, run) for run in (GOOD, OTHER_TABLES)]
    recalibrate(indices[1])
    env = naming(*indices)
    settings = settings_on(stack, conditions=json.loads(env["SPILLDECK_CONDITIONS"]))
    records = of_run(RUN, DIES)
    of_tof = [*of_tof_alone(GOOD, 1), *of_tof_alone(OTHER_TABLES, 2, "dead_pmt:tof1/0/3/1@0-99")]
    batches = [records[:40], records[40:] + of_tof]
    with count_live(settings, tmp_path_factory.mktemp("broken"), batches, env) as counted:
        yield counted


def of_run(run: int, *faults: str) -> list[RawSpill | RunControl]:
    return [*SimulatedRun(run=run, spills=SPILLS, detectors=("tof",)).with_faults(faults).records()]


@cache
def of_tof_alone(run: int, seed: int, *faults: str) -> list[RawSpill | RunControl]:
    its = SimulatedRun(run=900_077, spills=100, mean_triggers=15, seed=seed, detectors=("tof",)).with_faults(faults)
    return [replace(record, run=run) for record in its.records()]


@pytest.mark.servers
def test_what_is_wrong_is_the_same_live_replayed_and_without_servers(broken: Live, spilldeck_here: Spilldeck) -> None:
    shown = spilldeck_here("checks", "show", str(RUN), "--json", env=broken.env)
    assert shown.returncode == 1
    found = json.loads(shown.stdout)
    assert [each["words"] for each in found["causes"]] == [WORDS]
    raw = [record for record in of_run(RUN, DIES) if isinstance(record, RawSpill)]
    result = process(raw, ConditionsStore([]).for_run)[RUN]
    plots = {name: its.to_json() for name, its in plot_verdicts(result.run_book(), None, TypeLimits()).items()}
    alone = {"run": RUN, "reference": None, "reference_book": "", "earlier_references": [], "too_many": []}
    assert result.to_json()["judgement"] | alone | {"plots": plots} == found
    assert spilldeck_here("replay", str(RUN), "--name", "again", "--workers", "1", env=broken.env).returncode == 0
    again = spilldeck_here("checks", "show", str(RUN), "--session", "replay-again", "--json", env=broken.env)
    assert json.loads(again.stdout) == found
    against = [
        json.loads(spilldeck_here("checks", "show", str(RUN), "--json", *options, env=broken.env).stdout)["plots"]
        for options in (["--reference", str(RUN)], ["--reference", str(RUN), "--session", "replay-again"])
    ]
    assert against[0] == against[1]
    assert against[0]["hslabhits10"]["state"] == "good"
    assert against[0]["hslabhits10"]["shape"]["elsewhere"] == 0
    said = spilldeck_here("checks", "show", str(RUN), env=broken.env).stdout
    assert "No earlier run of its type is good" in said
    assert f"Run {RUN}: {SPILLS} spills judged, up to {SPILLS - 1}" in said
    assert f"{WORDS}: 0 hits, where" in said


@pytest.mark.servers
def test_plots_are_judged_against_a_run_as_process_judges_them_against_its_book(
    broken: Live, spilldeck_here: Spilldeck
) -> None:
    shown = json.loads(spilldeck_here("checks", "show", str(OTHER_TABLES), "--json", env=broken.env).stdout)
    conditions = ConditionsStore.from_settings(broken.settings)
    records = [*of_tof_alone(GOOD, 1), *of_tof_alone(OTHER_TABLES, 2, "dead_pmt:tof1/0/3/1@0-99")]
    good, bad = (process(records, conditions.for_run)[run].run_book() for run in (GOOD, OTHER_TABLES))
    expected = plot_verdicts(bad, against_run(GOOD, good), TypeLimits(), is_over=True)
    whole = {name: its for name, its in shown["plots"].items() if not its["part"]}
    assert whole == json.loads(json.dumps({name: its.to_json() for name, its in expected.items() if name in whole}))
    assert {its["state"] for its in whole.values()} > {"good", "bad", "not enough data"}


@pytest.mark.servers
def test_each_window_of_a_run_is_listed_with_what_is_known_of_it(
    broken: Live, spilldeck_here: Spilldeck, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = ("checks", "show", str(OTHER_TABLES), "--windows")
    plain = json.loads(spilldeck_here(*asked[:-1], "--json", env=broken.env).stdout)
    found = json.loads(spilldeck_here(*asked, "--json", env=broken.env).stdout)
    windows = found.pop("windows")
    assert found == plain
    assert len(windows) == len(broken.reader.windows(OTHER_TABLES)) > 1
    assert sum(each["spills"] for each in windows) == 100
    assert [each["since_s"] for each in windows] == sorted(each["since_s"] for each in windows)
    with Data(broken.settings) as data:
        for each in windows:
            until(lambda its=each: (seen := of_window(data, its)).shown[PLOT].sum() and seen.reference)
            view = of_window(data, each)
            assert shown_verdict(view, PLOT).state == each["plots"][PLOT]["state"], "as the page says it of this window"
        until(lambda: len(data.view(Choices(run=OTHER_TABLES), PLOT).history.windows) == len(windows))
        view = data.view(Choices(run=OTHER_TABLES), PLOT)
    beside = window_verdicts(view, PLOT)
    assert {at: its.state for at, its in beside.items()} == {
        each["since_s"]: each["plots"][PLOT]["state"] for each in windows
    }
    bar = str(controls(view, Choices(run=OTHER_TABLES), [PLOT])[-1])
    assert bar.count("className='bad'") == sum(its.state == "bad" for its in beside.values())
    assert bar.count("Most of all: Slab") >= bar.count("className='bad'"), "what is off is said beside the window"
    states = [each["plots"][PLOT]["state"] for each in windows]
    assert {*states} <= {"bad", "not enough data"}
    assert "bad" in states
    monkeypatch.setattr(out, "_width", 80)
    said = spilldeck_here(*asked, env=broken.env).stdout
    table = said[said.index("window") :]
    assert table.count(" UTC") == len(windows)
    assert "off" in table
    assert max(map(len, said.splitlines())) <= 80
    none = json.loads(spilldeck_here("checks", "show", str(RUN), "--windows", "--json", env=broken.env).stdout)
    assert {each["plots"][PLOT]["state"] for each in none["windows"]} == {"no reference"}


def of_window(data: Data, window: dict[str, Any]) -> View:
    return data.view(Choices(run=OTHER_TABLES, window=window["since_s"]))


@pytest.mark.servers
def test_6_a_command_says_of_each_bad_plot_whether_conditions_explain_it(
    broken: Live, spilldeck_here: Spilldeck, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = ("checks", "explain", str(OTHER_TABLES), "ht01", "hslabhits10", "hnsp_1")
    shown = spilldeck_here(*asked, "--json", env=broken.env)
    found = json.loads(shown.stdout)
    assert (shown.returncode, found["reference"]) == (0, GOOD)
    answers = {name: its["answer"] for name, its in found["plots"].items()}
    assert (answers["ht01"], answers["hslabhits10"]) == ("conditions explain it", "not the conditions")
    assert found["plots"]["ht01"]["why"].endswith(f"% off, 0 % with those of run {GOOD}; tof_t0 differs")
    monkeypatch.setattr(out, "_width", 80)
    said = spilldeck_here(*asked[:3], "--spills", "15", env=broken.env).stdout
    assert "Nobody knows: not enough data in the last" in " ".join(said.split())
    assert max(map(len, said.splitlines())) <= 80
    said = spilldeck_here("checks", "explain", str(GOOD), "--reference", str(GOOD), env=broken.env).stdout
    assert said == f"No plot is off against run {GOOD}, and no peak has moved.\n"
    refused = spilldeck_here("checks", "explain", str(GOOD), env=broken.env)
    assert "--reference RUN" in assert_one_sentence(refused, 2)
    assert "no plot ht99" in assert_one_sentence(spilldeck_here("checks", "explain", str(OTHER_TABLES), "ht99"), 2)


@pytest.mark.servers
def test_6_the_page_finds_by_itself_what_conditions_explain(broken: Live, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(aside, "NICENESS", 0)  # a busy machine would leave it nothing for minutes
    until_s = time.monotonic() + 100
    with Data(broken.settings) as data:
        while Answer.CONDITIONS not in {
            each.answer for each in data.view(Choices(run=OTHER_TABLES)).explained.values()
        }:
            assert time.monotonic() < until_s
            time.sleep(0.2)
        found = data.view(Choices(run=OTHER_TABLES)).explained
    assert found["ht01"].answer is Answer.CONDITIONS
    assert found["hslabhits10"].answer is Answer.NOT


@pytest.mark.servers
def test_a_run_that_there_is_not_is_said(broken: Live, spilldeck_here: Spilldeck) -> None:
    assert "there is no run 12" in assert_one_sentence(spilldeck_here("checks", "show", "12", env=broken.env), 2)


@pytest.mark.servers
def test_spills_are_found_that_filled_what_is_off_in_a_plot_or_have_nothing_there(
    broken: Live, spilldeck_here: Spilldeck, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = SimulatedRun(run=RUN + 1, spills=30, detectors=("tof",))
    broken.send(*whole.records())

    def find(run: int, other: int, *options: str) -> str:
        done = spilldeck_here("spills", "find", str(run), PLOT, "--reference", str(other), *options, env=broken.env)
        assert done.returncode == 0, done.stderr
        return done.stdout

    filled = json.loads(find(RUN + 1, RUN, "--json"))
    first, last = (filled["plot"]["shape"]["worst"][end][0] for end in ("first", "last"))
    conditions = ConditionsStore([]).for_run(RUN + 1)
    for each in filled["filling"]["spills"]:
        hits = reconstruct(whole.spill(each["spill"]).raw, conditions).detectors["tof"].hits
        its = (hits.station == 1) & (hits.plane == 0) & (hits.slab >= first) & (hits.slab <= last)
        assert each["inside"] == its.sum()
        assert set(each["triggers"]) <= {*hits.trigger[its].tolist()}
        assert len(each["triggers"]) == 3
    monkeypatch.setattr(out, "_width", 80)
    said = find(RUN, RUN + 1).splitlines()
    assert max(map(len, said)) <= 80
    at = next(at for at, line in enumerate(said) if line.startswith("No spill filled it, as it lacks entries."))
    spills = [re.match(r"  (\d+): 0 of its \d+ entries, where [\d.e+]+ were expected$", line) for line in said[at:]]
    named = [int(each[1]) for each in spills if each is not None]
    assert len(named) == 3
    assert all(30 <= spill < SPILLS for spill in named)
    assert "Nothing is off." in find(RUN, RUN)
    assert json.loads(find(RUN, RUN, "--json"))["filling"] is None
    no_plot = spilldeck_here("spills", "find", str(RUN), "hslab", env=broken.env)
    assert "there is no plot hslab" in assert_one_sentence(no_plot, 2)


@pytest.mark.servers
def test_a_session_that_is_none_is_refused_with_those_that_there_are(broken: Live, spilldeck_here: Spilldeck) -> None:
    for asked in (("checks", "show", str(RUN)), ("spills", "find", str(RUN), "ht01")):
        said = assert_one_sentence(spilldeck_here(*asked, "--session", "replay-nosuch", env=broken.env), 2)
        assert "there is no session replay-nosuch: there are live" in said
    said = assert_one_sentence(spilldeck_here("checks", "show", "12", "--session", "live", env=broken.env), 2)
    assert "the session live does not have run 12: it has " in said
    assert str(RUN) in said


def test_what_is_watched_is_listed_with_what_is_borne(spilldeck_here: Spilldeck) -> None:
    listed = spilldeck_here("checks", "list").stdout
    assert "TOF1" in listed
    assert "one false alarm in 11,250 spills" in listed
    found = json.loads(spilldeck_here("checks", "list", "--json").stdout)
    assert {"detector": "tof", "name": "TOF1", "channels": 28} in found["watched"]
    assert {"detector": "tof", "name": "Electrons TOF0 → TOF1", "channels": 0} in found["watched"]
    assert "hspxy_1" in found["plots"]
    assert "hnsp_spill_tof0" not in found["plots"], "its shape follows the beam's intensity"
    assert found["limits"]["shape"] == evidence_limit()
    assert "against the reference: a change is told when it is exp(19.9)" in " ".join(listed.split())
    assert found["limits"]["channel"] > found["limits"]["group"] > found["limits"]["peak"] > 10


def test_what_follows_stands_beneath_its_cause_in_80_columns(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    with out.capture() as said:
        judgement = process(of_run(RUN, "dead_pmt:tof1@30-59"), ConditionsStore([]).for_run)[RUN].judgement()
        tell(RUN, judgement, beneath(judgement.causes, ()))
    _, cause, follows, *more = said.get().splitlines()
    assert cause.startswith("TOF1 silent since spill 30: 0 hits, where ")
    assert follows.startswith("    Electrons TOF0 → TOF1 silent since spill 30")
    assert max(map(len, (cause, follows, *more))) <= 80
    assert all(line.startswith("    ") for line in more)


def test_process_tells_what_is_wrong(spilldeck_here: Spilldeck, tmp_path: Path) -> None:
    file = tmp_path / "run.000"
    file.write_bytes(b"".join(record.payload for record in of_run(RUN, DIES)))
    assert f"run {RUN}: {WORDS}" in spilldeck_here("process", file).stderr


def test_an_experiment_of_which_nothing_is_watched_says_so(spilldeck: Spilldeck) -> None:
    its = {"SPILLDECK_DETECTORS": '["scalers"]'}
    listed = spilldeck("checks", "list", env=its)
    assert (listed.returncode, listed.stdout) == (0, "MICE has nothing that is watched.\n")
    found = json.loads(spilldeck("checks", "list", "--json", env=its).stdout, parse_constant=pytest.fail)
    assert found["watched"] == []


@pytest.mark.servers
def test_try_says_what_other_limits_would_have_told_and_changes_nothing(
    broken: Live, spilldeck_here: Spilldeck, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    limits = tmp_path / "limits.toml"
    limits.write_text("[other]\npercent = 50\n")
    before = spilldeck_here("checks", "show", str(RUN), "--json", env=broken.env).stdout
    (found,) = json.loads(
        spilldeck_here("checks", "try", str(RUN), "--limits", limits, "--json", env=broken.env).stdout
    )
    assert found["in_force"] == found["tried"] == json.loads(before)
    seldom = spilldeck_here("checks", "try", str(RUN), "--false-alarm", "1e300", env=broken.env)
    assert f"no longer: {WORDS}" in seldom.stdout
    assert all(len(line) <= 80 for line in seldom.stdout.splitlines() if not line.startswith("Run"))
    assert spilldeck_here("checks", "show", str(RUN), "--json", env=broken.env).stdout == before
    calls = []
    monkeypatch.setattr(judged_run, "judged", lambda *its: calls.append(its) or judgement.judged(*its))
    spilldeck_here("checks", "try", str(RUN), "--limits", limits, "--json", env=broken.env)
    assert len(calls) == 1, "limits say nothing of channels"
    limits.write_text("[other]\npercents = 50\n")
    refused = spilldeck_here("checks", "try", str(RUN), "--limits", limits, env=broken.env)
    assert "other.percents" in assert_one_sentence(refused, 2)


@pytest.mark.servers
def test_a_run_is_compared_with_the_one_that_is_pinned_for_its_type(broken: Live, spilldeck_here: Spilldeck) -> None:
    def reference() -> int | None:
        shown = spilldeck_here("checks", "show", str(RUN), "--json", env=broken.env).stdout
        found: int | None = json.loads(shown)["reference"]
        return found

    run_type = json.loads(spilldeck_here("runs", "show", str(RUN), "--json", env=broken.env).stdout)["run_type"]
    assert "there is no run 12" in assert_one_sentence(spilldeck_here("references", "pin", "12", env=broken.env), 2)
    pinned = spilldeck_here("references", "pin", str(RUN), "--reason", "as good as any", env=broken.env)
    assert pinned.returncode == 0, pinned.stderr
    told = json.loads(spilldeck_here("references", "pinned", "--json", env=broken.env).stdout)
    assert told[run_type]["run"] == RUN
    assert reference() is None, "it is not compared with itself, nor after it came with what was pinned later"
    taken_back = spilldeck_here("references", "unpin", run_type, env=broken.env)
    assert taken_back.returncode == 0, taken_back.stderr
    assert json.loads(spilldeck_here("references", "pinned", "--json", env=broken.env).stdout) == {}
    again = assert_one_sentence(spilldeck_here("references", "unpin", run_type, env=broken.env), 2)
    assert "no reference is pinned" in again
    flagged = spilldeck_here("flags", "set", str(RUN), "bad", "--reason", "a slab is silent", env=broken.env)
    assert flagged.returncode == 0, flagged.stderr
    anyhow = spilldeck_here("references", "pin", str(RUN), env=broken.env)
    assert anyhow.returncode == 0, "who pins it may have a reason"
    assert anyhow.stderr == f"run {RUN} is none that would be chosen: flagged bad: a slab is silent\n"
    assert spilldeck_here("references", "unpin", run_type, env=broken.env).returncode == 0
    (flag,) = json.loads(spilldeck_here("flags", "list", str(RUN), "--json", env=broken.env).stdout)["flags"]
    assert spilldeck_here("flags", "withdraw", str(RUN), flag["id"], env=broken.env).returncode == 0
