"""Old runs leave Redis when all of them is in files, and come back from Kafka when somebody wants them."""

import json
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from confluent_kafka import TopicPartition
from pydantic import ValidationError

from dashboards.choices import LAST_MINUTE, Choices
from dashboards.data.data import Data
from dashboards.figures.theme import LIGHT
from dashboards.make import FigureCache
from ops.book_checks import findings
from ops.keeper import Keeper
from streams.books.layout import Keys, Place
from streams.books.part_reader import RetiredRunError
from streams.books.reader import BookReader
from streams.books.retiring import Retiring
from streams.books.run import RunBook
from streams.settings import LIVE, KeeperSettings, Settings
from streams.topics import Topics
from tests.books.test_kept_run import books_alone
from tests.catalogue import PLOTS
from tests.conftest import WAIT_S
from tests.kafka import admin as admin_of
from tests.live import Live, count_live, small_run
from tests.ops.conftest import Spilldeck, assert_one_sentence
from tests.ops.test_keeper import tof_alone
from tests.servers import settings_on

pytestmark = [pytest.mark.servers, pytest.mark.timeout(300)]  # workers and replays, on a machine that may be busy

OLD, LATE, WITHOUT_FILES, NEWEST = 900_501, 900_502, 900_503, 900_504


@dataclass(frozen=True, kw_only=True)
class Kept:
    """A session whose keeper leaves one run in Redis."""

    live: Live
    settings: Settings
    before: dict[int, RunBook]
    """Its runs before any has left."""

    def look(self) -> None:
        """Have a keeper that has just started look."""
        Keeper(self.settings, self.live.redis, books_alone).look()

    def place(self, run: int) -> Place:
        return self.live.reader.places()[run]

    def until(self, run: int, *, retired: bool) -> None:
        deadline = time.monotonic() + WAIT_S
        while self._parts_away(run) != retired * self.place(run).partitions:
            assert time.monotonic() < deadline
            time.sleep(0.05)

    def _parts_away(self, run: int) -> int:
        """Return in how many partitions a run has left, or is not back yet."""
        return self.place(run).retired + len(self.live.reader.being_made_again(run))

    def keys(self, run: int) -> set[str]:
        """Return what Redis has of a run, by the keys' last parts, whatever it is called."""
        prefix = self.settings.redis.key_prefix
        found = (key.decode().removeprefix(prefix) for key in self.live.redis.scan_iter(match=f"{prefix}:v2:*{run}*"))
        return {key.split("}:")[1] for key in found}

    def asked(self) -> list[str]:
        """Return what workers are asked and have not heard yet, by the keys' last parts."""
        keys = [Keys(self.settings.redis.key_prefix, LIVE, each) for each in range(self.settings.kafka.partitions)]
        names = [name for each in keys for name in (each.retire, each.repair)]
        return [name.rpartition(":")[2] for name in names if self.live.redis.exists(name)]

    def until_heard(self) -> None:
        """Wait until workers have heard what they are asked, and done it."""
        deadline = time.monotonic() + WAIT_S
        while self.asked():
            assert time.monotonic() < deadline
            time.sleep(0.05)
        time.sleep(1)

    def findings(self) -> list[str]:
        return list(findings(self.settings, self.live.redis, self.settings.kafka.partitions))


@pytest.fixture(scope="module")
def kept(stack: object, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kept]:
    directory = tmp_path_factory.mktemp("kept")
    settings = settings_on(stack)  # type: ignore[arg-type]
    batch = [record for run in (OLD, LATE, NEWEST) for record in small_run(run)]
    with count_live(settings, directory, [batch], {}) as live:
        keeper = KeeperSettings(archive=directory / "archive", products=directory / "products", runs_kept=1)
        before = {run: live.reader.run(run, {}) for run in (OLD, LATE, NEWEST)}
        yield Kept(live=live, settings=settings.model_copy(update={"keeper": keeper}), before=before)


def same(one: RunBook, other: RunBook) -> bool:
    return (
        one.totals == other.totals
        and one.ledger == other.ledger
        and (one.key_numbers, one.channel_counts) == (other.key_numbers, other.channel_counts)
        and {*one.book} == {*other.book}
        and all(np.array_equal(one.book.counts(name), other.book.counts(name)) for name in one.book)
    )


def test_old_runs_leave_with_all_but_their_totals(kept: Kept, spilldeck_here: Spilldeck) -> None:
    reader = kept.live.reader
    kept.look()
    for run in (OLD, LATE):
        kept.until(run, retired=True)
    assert not kept.place(NEWEST).retired
    assert kept.keys(OLD) == {f"run:{OLD}"}
    assert reader.totals(OLD) == kept.before[OLD].totals
    assert same(reader.run(NEWEST, {}), kept.before[NEWEST])
    for read in (lambda: reader.run(OLD, {}), lambda: reader.windows(OLD), lambda: reader.key_numbers(OLD, [0])):
        with pytest.raises(RetiredRunError, match=f"spilldeck runs restore {OLD} brings them back"):
            read()
    assert kept.findings() == []
    listed = {one["run"]: one for one in json.loads(spilldeck_here("runs", "list", "--json", env=kept.live.env).stdout)}
    assert (listed[OLD]["is_in_redis"], listed[NEWEST]["is_in_redis"]) == (False, True)
    assert listed[OLD]["spills"] == kept.before[OLD].totals.filled
    assert "left Redis" in spilldeck_here("runs", "list", env=kept.live.env).stdout
    why = assert_one_sentence(spilldeck_here("verify", str(OLD), env=kept.live.env), 1)
    assert "have left Redis" in why


def test_the_page_shows_the_plots_of_a_run_that_has_left_as_the_keeper_wrote_them(kept: Kept) -> None:
    kept.look()
    kept.until(OLD, retired=True)
    totals, chosen = kept.live.reader.totals(OLD), Choices(run=OLD)
    with Data(kept.settings) as data:
        view = data.view(chosen)
        assert data.view(Choices(run=OLD, window=LAST_MINUTE)).is_loading is False
    assert (view.is_retired, view.is_kept, view.is_unreadable, view.absent) == (True, True, False, {})
    for name in PLOTS:
        assert np.array_equal(view.shown[name].view(flow=True), kept.before[OLD].book.counts(name)), name
    (said,) = view.notes
    assert said.startswith(f"Run {OLD} has left Redis, as old runs do: these are its plots as the keeper wrote them")
    drawn = FigureCache().maker(view, LIGHT.name, chosen)("ht01")
    assert sum(drawn["data"][0]["y"][:-1]) == kept.before[OLD].book["ht01"].sum()
    heading = drawn["layout"]["title"]["text"]
    assert f"Run {OLD} · {totals.filled} spills (whole run, as the keeper wrote it)" in heading
    trend = FigureCache().maker(view, LIGHT.name, chosen)("daq_triggers")
    assert (trend["data"], f"run {OLD} have left" in str(trend["layout"]["annotations"])) == ([], True)


def test_a_run_that_somebody_wants_back_comes_back_the_same_and_stays(kept: Kept, spilldeck_here: Spilldeck) -> None:
    kept.look()
    kept.until(OLD, retired=True)
    back = spilldeck_here("runs", "restore", str(OLD), env=kept.live.env)
    spills = kept.before[OLD].totals.filled
    assert (back.returncode, back.stdout) == (0, f"run {OLD} is back, {spills} spills; it stays a day at least\n")
    assert same(kept.live.reader.run(OLD, {}), kept.before[OLD])
    kept.look()
    assert not any(each.startswith("retire") for each in kept.asked())
    refused = assert_one_sentence(spilldeck_here("runs", "restore", str(OLD), env=kept.live.env), 2)
    assert "have not left Redis" in refused


def test_another_spill_of_a_run_that_has_left_brings_it_back(kept: Kept) -> None:
    kept.look()
    kept.until(LATE, retired=True)
    *_, end = small_run(LATE)
    more = small_run(LATE, spills=12)[-4]
    kept.live.send(more, end)
    kept.until(LATE, retired=False)
    book = kept.live.reader.run(LATE, {})
    assert more.spill in book.ledger  # type: ignore[union-attr]
    assert book.totals.filled == len(book.ledger)
    assert kept.findings() == []
    # What lies in the files is of before; when it is written anew, the run leaves again.
    kept.look()
    kept.until(LATE, retired=True)
    assert kept.live.reader.totals(LATE) == book.totals


def test_a_run_stays_while_its_files_are_not_all_of_it_and_one_that_is_asked_with_an_older_end(
    kept: Kept, capsys: pytest.CaptureFixture[str]
) -> None:
    kept.live.send(*small_run(WITHOUT_FILES), *small_run(NEWEST + 1))
    keeper = Keeper(kept.settings, kept.live.redis, tof_alone)
    archive = kept.settings.keeper.archive
    assert archive is not None
    keeper._archive = None  # it writes none, and there is none
    keeper.look()
    assert f"{WITHOUT_FILES:08d}.spills.avro" in capsys.readouterr().out
    # As a keeper asks that did not see the last message of a partition.
    lasts = kept.live.reader.totals(WITHOUT_FILES).last_raw
    retiring = Retiring(kept.live.redis, kept.settings.redis.key_prefix, kept.settings.session)
    retiring.ask(WITHOUT_FILES, {partition: last - 1 for partition, last in lasts.items()})
    kept.until_heard()
    assert not kept.place(WITHOUT_FILES).retired
    assert kept.live.reader.run(WITHOUT_FILES, {}).ledger


def test_what_kafka_no_longer_has_is_refused_in_words_and_nothing_is_lost(
    kept: Kept, spilldeck_here: Spilldeck
) -> None:
    kept.look()
    kept.until(LATE, retired=True)
    totals = kept.live.reader.totals(LATE)
    raw = Topics.of(kept.settings).raw
    admin = admin_of(kept.settings)
    gone = [TopicPartition(raw, partition, first + 1) for partition, first in totals.first_raw.items()]
    for future in admin.delete_records(gone).values():
        future.result(30)
    why = assert_one_sentence(spilldeck_here("runs", "restore", str(LATE), env=kept.live.env), 1)
    assert f"spilldeck replay {LATE} --archive FILE" in why
    # A worker that is asked all the same leaves it as it is.
    Retiring(kept.live.redis, kept.settings.redis.key_prefix, kept.settings.session).restore(
        LATE, totals.last_raw, time.time()
    )
    kept.until_heard()
    assert kept.place(LATE).retired
    assert kept.live.reader.totals(LATE) == totals
    assert not any(its.lost for its in kept.live.reader.progress().values())
    # What the refusal names shows it again.
    archive = f"{kept.settings.keeper.archive}/{LATE:08d}.spills.avro"
    again = spilldeck_here(
        "replay", str(LATE), "--archive", archive, "--name", "again", "--workers", "1", env=kept.live.env
    )
    assert again.returncode == 0, again.stderr
    assert spilldeck_here("replays", "promote", "again", env=kept.live.env).returncode == 0
    shown = BookReader.shown(kept.live.redis, kept.settings)
    assert len(shown.run(LATE, {}).ledger) == totals.filled
    assert not shown.places()[LATE].retired


def test_runs_leave_only_where_they_are_written_to_files(tmp_path: Path) -> None:
    for limits in ({"runs_kept": 3}, {"days_kept": 2.0}):
        with pytest.raises(ValidationError, match="say where they go"):
            KeeperSettings(archive=tmp_path, **limits)  # type: ignore[arg-type]
    assert not KeeperSettings().has_limit


def test_there_is_nothing_to_bring_back_of_a_run_that_there_is_not(kept: Kept, spilldeck_here: Spilldeck) -> None:
    assert "there is no run 5" in assert_one_sentence(spilldeck_here("runs", "restore", "5", env=kept.live.env), 2)
