"""A book of a replay or of a file that is pinned: later runs are compared with it, whatever becomes of where it was."""

import json
import os
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import boost_histogram as bh
import pytest
import uproot

from dashboards.choices import Choices
from dashboards.data import Data
from dashboards.make import FigureCache
from ops.products import write_book
from ops.stack import LocalStack
from streams.books.decided import newest
from streams.books.imported import Imported
from streams.books.kept_book import imported_text
from streams.books.pinned_books import PinnedBooks
from streams.books.shapes import State
from streams.conditions.store import ConditionsStore
from streams.errors import UsageError
from streams.experiment import experiment
from streams.experiments.mice.simulator import SimulatedRun
from streams.process import process
from tests.live import Live, Record, count_live
from tests.ops.conftest import Spilldeck, assert_one_sentence
from tests.redis_servers import until
from tests.servers import settings_on

pytestmark = [pytest.mark.servers, pytest.mark.timeout(300)]  # workers and replays, on a machine that may be busy

GOOD, DEAD, AGAIN, LAST = 900_061, 900_062, 900_063, 900_064
PLOT = "hslabhits10"
DIES = ("dead_pmt:tof1/0/3/1@0-39",)


@cache
def records(run: int, *faults: str, seed: int = 1) -> tuple[Record, ...]:
    its = SimulatedRun(run=run, spills=40, mean_triggers=20, detectors=("tof",), seed=seed)
    return (*its.with_faults(faults).records(),)


def file_of(directory: Path, its: Sequence[Record]) -> Path:
    file = directory / f"{its[0].run}.000"
    file.write_bytes(b"".join(record.payload for record in its))
    return file


@pytest.fixture(scope="module")
def site(stack: LocalStack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    """Return a good run, counted live, of too few spills to be taken if nobody pins it."""
    with count_live(settings_on(stack), tmp_path_factory.mktemp("pinned"), [[*records(GOOD)]], {}) as counted:
        yield counted


def verdicts(found: dict[str, Any]) -> dict[str, Any]:
    """Return the verdicts of plots of a whole run."""
    return {name: its for name, its in found.items() if not its["part"]}


def test_a_book_of_a_file_is_there_when_file_and_redis_have_lost_it_and_all_ways_say_the_same(
    site: Live, spilldeck_here: Spilldeck, tmp_path: Path
) -> None:
    def show(run: int, *options: str) -> dict[str, Any]:
        its: dict[str, Any] = json.loads(
            spilldeck_here("checks", "show", str(run), "--json", *options, env=site.env).stdout
        )
        return its

    def lose_copies() -> None:
        keys = [*site.redis.scan_iter(match=f"{site.settings.redis.key_prefix}:pinned:*")]
        assert keys
        site.redis.delete(*keys, f"{site.settings.redis.key_prefix}:decisions")

    book, kept = tmp_path / "good.json", tmp_path / "kept.json"
    good, dead = file_of(tmp_path, records(GOOD)), file_of(tmp_path, records(DEAD, *DIES, seed=2))
    assert spilldeck_here("process", good, "--out", book, env=site.env).returncode == 0
    kept.write_bytes(book.read_bytes())
    pinned = spilldeck_here("references", "pin", "--book", book, "--reason", "the survey", env=site.env)
    assert pinned.returncode == 0, pinned.stderr
    assert pinned.stdout == f"runs of type none are compared with run {GOOD} as good.json has it\n"
    again = spilldeck_here("references", "pin", "--book", book, env=site.env)
    assert again.returncode == 0, "it is pinned so already"
    listed = json.loads(spilldeck_here("references", "pinned", "--json", env=site.env).stdout)
    assert (listed[""]["run"], listed[""]["called"], len(listed)) == (GOOD, "file good.json", 1)
    noted = json.loads(spilldeck_here("audit", "list", "--kind", "pin book", "--json", env=site.env).stdout)
    assert [(each["subject"], each["reason"], each["runs"]) for each in noted] == [("", "the survey", [GOOD])]
    assert json.loads(noted[0]["after"]).keys() == {"run", "called", "sha256"}, "nobody reads the book there"
    book.unlink()
    site.send(*records(DEAD, *DIES, seed=2))
    found = show(DEAD)
    assert (found["reference"], found["reference_book"]) == (None, listed[""]["book"])
    assert found["plots"][PLOT]["state"] == "bad"
    (cause,) = (each["words"] for each in found["causes"])
    assert cause == "TOF1 horizontal slab 3, PMT 1 silent from the begin on", "the book tells what should be there"
    alone = json.loads(spilldeck_here("process", dead, "--json", "--against", kept, env=site.env).stdout)
    assert alone["judgement"]["causes"] == found["causes"]
    ours = verdicts(found["plots"])
    assert ours == {name: alone["verdicts"][name] for name in ours}
    assert spilldeck_here("replay", str(DEAD), "--name", "dead", "--workers", "1", env=site.env).returncode == 0
    assert show(DEAD, "--session", "replay-dead") == found
    assert spilldeck_here("verify", str(DEAD), "--workers", "1", env=site.env).stdout == f"run {DEAD}: identical\n"
    lose_copies()
    assert show(DEAD) == found
    site.redis.set(f"{site.settings.redis.key_prefix}:pinned:{listed['']['book']}", b"damaged")
    assert show(DEAD) == found
    said = spilldeck_here("checks", "show", str(DEAD), env=site.env).stdout
    assert f"plots as in run {GOOD}, file good.json" in said
    refused = assert_one_sentence(spilldeck_here("checks", "explain", str(DEAD), env=site.env), 2)
    assert "the book of run 900061, file good.json, which was pinned: name a run" in refused
    lose_copies()
    with Data(site.settings) as data:
        until(lambda: PLOT in data.view(Choices(run=DEAD)).shapes)
        until(lambda: data.view(Choices(run=DEAD)).judgement and data.view(Choices(run=DEAD)).judgement.causes)
        view = data.view(Choices(run=DEAD))
        assert view.shapes[PLOT].state is State.BAD
        assert view.shapes[PLOT].to_json()["against"] == f"run {GOOD}"
        assert view.reference is not None
        assert (view.reference.in_full, view.is_as_judged) == (f"Run {GOOD}, file good.json", True)
        assert view.judgement is not None
        assert [each["words"] for each in view.judgement.to_json()["causes"]] == [cause]
        trend = str(FigureCache().maker(view, None)(next(iter(experiment().trends))))
        assert f"not in the book of run {GOOD}" in trend, "the run has it"
        assert data.view(Choices(run=DEAD, compare=False)).reference is None
        assert data.view(Choices(run=GOOD)).reference is None, "it is not compared with itself"


def test_a_book_of_a_replay_that_is_removed_is_there_still(
    site: Live, spilldeck_here: Spilldeck, tmp_path: Path
) -> None:
    assert spilldeck_here("replay", str(GOOD), "--name", "kept", "--workers", "1", env=site.env).returncode == 0
    pinned = spilldeck_here("references", "pin", "--replay", "kept", env=site.env)
    assert pinned.stdout == f"runs of type none are compared with run {GOOD} as the replay kept made it\n"
    assert spilldeck_here("replays", "drop", "kept", env=site.env).returncode == 0
    site.send(*records(AGAIN, *DIES, seed=2))
    found = json.loads(spilldeck_here("checks", "show", str(AGAIN), "--json", env=site.env).stdout)
    good, dead = file_of(tmp_path, records(GOOD)), file_of(tmp_path, records(AGAIN, *DIES, seed=2))
    book = tmp_path / "good.json"
    assert spilldeck_here("process", good, "--out", book, env=site.env).returncode == 0
    alone = json.loads(spilldeck_here("process", dead, "--json", "--against", book, env=site.env).stdout)
    ours = verdicts(found["plots"])
    assert ours == {name: alone["verdicts"][name] for name in ours}
    assert ours[PLOT]["state"] == "bad"
    assert alone["judgement"]["causes"] == found["causes"]
    table = spilldeck_here("references", "pinned", env=site.env).stdout
    assert "replay kept" in table
    assert max(map(len, table.splitlines())) <= 80
    taken_back = spilldeck_here("references", "unpin", "", env=site.env)
    assert taken_back.returncode == 0, taken_back.stderr
    assert json.loads(spilldeck_here("references", "pinned", "--json", env=site.env).stdout) == {}


def test_histograms_of_another_system_that_were_imported_are_there_when_they_are_removed(
    site: Live, spilldeck_here: Spilldeck, tmp_path: Path
) -> None:
    env = site.env | {"SPILLDECK_DASHBOARD__REFERENCES": str(tmp_path / "kept")}

    def show() -> dict[str, Any]:
        done = spilldeck_here("checks", "show", str(LAST), "--json", env=env)
        its: dict[str, Any] = json.loads(done.stdout)
        return its

    (good,) = process(records(GOOD), ConditionsStore([]).for_run).values()
    counted: Any = good.run_book().histogram(PLOT)
    with uproot.recreate(tmp_path / "tof.root") as file:
        file[PLOT] = bh.Histogram(*counted.axes).fill(counted.axes[0].centers, weight=counted.values())
    assert spilldeck_here("references", "import", tmp_path / "tof.root", env=env).returncode == 0
    pin = ("references", "pin", "--imported", "tof.root")
    said = assert_one_sentence(spilldeck_here(*pin, str(LAST), env=env), 2)
    assert f"run {LAST} is not in the books, which would say its type: name it, --type TYPE" in said
    pinned = spilldeck_here(*pin, str(GOOD), env=env)
    assert (pinned.returncode, pinned.stderr) == (0, "")
    assert pinned.stdout == f"runs of type none are compared with run {GOOD} as tof.root has it\n"
    site.send(*records(LAST, *DIES, seed=2))
    found = show()
    ours = verdicts(found["plots"])
    assert (ours[PLOT]["state"], ours[PLOT]["against"]) == ("bad", f"run {GOOD}")
    assert {its["state"] for name, its in ours.items() if name != PLOT} <= {"no reference", "not judged"}
    assert spilldeck_here("references", "remove", "tof.root", env=env).returncode == 0
    keys = [*site.redis.scan_iter(match=f"{site.settings.redis.key_prefix}:pinned:*")]
    site.redis.delete(*keys, f"{site.settings.redis.key_prefix}:decisions")
    assert show() == found
    book = tmp_path / "of_old.json"
    old = Imported(name="tof.root", imported_ms=0, sha256="", histograms={PLOT: good.run_book().book[PLOT]})
    book.write_text(imported_text(GOOD, "", old))
    dead = file_of(tmp_path, records(LAST, *DIES, seed=2))
    alone = json.loads(spilldeck_here("process", dead, "--json", "--against", book, env=env).stdout)
    assert ours == {name: alone["verdicts"][name] for name in ours}
    with Data(site.settings) as data:
        until(lambda: data.view(Choices(run=LAST)).reference is not None)
        reference = data.view(Choices(run=LAST)).reference
        assert reference is not None
        assert (reference.in_full, reference.triggers) == (f"Run {GOOD}, file tof.root", None)


@pytest.fixture(scope="module")
def odd(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a directory with what is no book that can be pinned."""
    directory = tmp_path_factory.mktemp("odd")
    (result,) = process(records(GOOD), ConditionsStore([]).for_run).values()
    write_book(directory / "good.json", result)
    text = (directory / "good.json").read_text()
    (directory / "cut.json").write_text(text[:-100])
    what = json.loads(text)
    del what["summary"]["run_type"]
    (directory / "older.json").write_text(json.dumps(what))
    os.mkfifo(directory / "pipe")
    with (directory / "huge").open("wb") as huge:
        huge.truncate(65 << 20)
    return directory


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((), "what is to be pinned?"),
        (("--replay", "nobody"), "there is no replay nobody"),
        (("--replay", "../../etc"), "there is no replay ../../etc"),
        ((str(GOOD), "--book", "cut.json"), "--book stands in place of RUN, --replay and --imported"),
        (("--imported", "tof.root", "--book", "cut.json"), "--book stands in place of RUN, --replay and --imported"),
        ((str(GOOD), "--imported", "tof.root", "--replay", "x"), "--imported and --replay name two books"),
        (("--imported", "tof.root"), "of which run is tof.root?"),
        ((str(GOOD), "--imported", "nobody"), "no reference nobody is kept in"),
        ((str(GOOD), "--imported", "../../etc"), "no reference ../../etc is kept in"),
        ((str(GOOD), "--type", "x"), "--type goes with --book and --imported alone"),
        (("--book", "no.json"), "cannot be read: No such file"),
        (("--book", "."), "cannot be read"),
        (("--book", "pipe"), "cannot be read: it is no regular file"),
        (("--book", "huge"), "is longer than 64 MiB"),
        (("--book", "cut.json"), "cut.json is no book of process --out (JSONDecodeError"),
        (("--book", "good.json", "--type", "p" * 41), "is no type of a run: at most 40 characters"),
        (("--book", "good.json", "--type", "a\nb"), r"'a\nb' is no type of a run"),
        (("--book", "older.json"), "does not say of which type its run is: name it, --type TYPE"),
    ],
)
def test_what_cannot_be_pinned_is_one_sentence_and_nothing_is_noted(
    site: Live,
    spilldeck_here: Spilldeck,
    odd: Path,
    monkeypatch: pytest.MonkeyPatch,
    arguments: tuple[str, ...],
    said: str,
) -> None:
    monkeypatch.chdir(odd)
    before = newest(site.settings, site.redis)().next
    assert said in assert_one_sentence(spilldeck_here("references", "pin", *arguments, env=site.env), 2)
    assert newest(site.settings, site.redis)().next == before


def test_a_book_that_nobody_has_any_more_is_said_and_no_other_takes_its_place(site: Live) -> None:
    books = PinnedBooks(site.settings, site.redis)
    for _ in range(2):
        with pytest.raises(UsageError, match="the book 000000000000 that was pinned is neither in Kafka nor in Redis"):
            books.read("0" * 64)
