"""spilldeck replay, verify, runs archive: what is made again equals live, and what does not is named."""

import json
import random
import re
import signal
import subprocess
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import psutil
import pytest
from confluent_kafka import TopicPartition
from redis import Redis

from dashboards.choices import Choices
from dashboards.data import Data
from ops.archive import write_archive
from ops.replay.checks import make_plan
from ops.replay.origins import taken
from ops.stack import LocalStack
from schemas.records import RawSpill
from streams.books import layout
from streams.books.cells import Cells
from streams.books.compare import compare, differences
from streams.books.reader import BookReader
from streams.books.replays import Origin
from streams.books.sessions import Sessions
from streams.books.topic_spills import of_topic
from streams.conditions.store import ConditionsStore
from streams.daq.producer import SpillProducer
from streams.daq.sources import read_source
from streams.errors import ServerError, SpilldeckError
from streams.experiments.mice.simulator import SimulatedRun
from streams.experiments.mice.simulator.spill_json import json_lines
from streams.kafka import topic_spans
from streams.process import process
from streams.topics import Topics
from tests.begun import Heard
from tests.conftest import WAIT_S, wait_until_counted
from tests.kafka import admin as admin_of
from tests.kafka import ends
from tests.live import OWN_TABLES, RUNS, Live, count_live, interleaved, own_run, small_run
from tests.ops.conftest import Spilldeck, assert_one_sentence
from tests.servers import settings_on

pytestmark = [pytest.mark.servers, pytest.mark.timeout(300)]  # workers and replays, on a machine that may be busy

RUNNING = 900_399
OF_A_TYPE = range(900_384, 900_387)
SOME = RUNS[:6]
"""More than an aggregator has in memory."""
FEW = RUNS[:3]


def differing_plots(stdout: str) -> set[str]:
    return set(re.findall(r"plot (\w+)", stdout))


def test_verify_says_identical_of_each_of_ten_interleaved_runs(spilldeck: Spilldeck, live: Live) -> None:
    totals = live.reader.runs()[RUNS[0]]
    assert (totals.filled, totals.duplicates, totals.all_rejected) == (7, 1, 1)
    done = spilldeck("verify", f"{RUNS[0]}-{RUNS[-1]}", env=live.env)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [f"run {run}: identical" for run in RUNS]
    # Nothing stays behind.
    assert not list(live.redis.scan_iter(match=f"{live.settings.redis.key_prefix}:*verify*"))


def test_with_a_changed_table_verify_names_the_plots_that_depend_on_it(
    spilldeck_here: Spilldeck, live: Live, tables: Path
) -> None:
    then = process(own_run(), ConditionsStore([(tables / "index.toml", tables)]).for_run)[OWN_TABLES]
    table = tables / "tof_t0.txt"
    good = table.read_text()
    table.write_text(re.sub(r"tof0 -(\d+)", lambda found: f"tof0 -{int(found[1]) + 1000}", good))
    try:
        now = process(own_run(), ConditionsStore([(tables / "index.toml", tables)]).for_run)[OWN_TABLES]
        done = spilldeck_here("verify", str(OWN_TABLES), "--workers", "1", env=live.env)
    finally:
        table.write_text(good)
    wanted = differing_plots(" ".join(d.what for d in compare(then.run_book(), now.run_book())))
    assert wanted
    assert done.returncode == 1, done.stderr
    assert differing_plots(done.stdout) == wanted
    assert "the conditions of today" in done.stderr
    assert re.search(r"first spill that reconstructs to something else: \d+, in tof$", done.stdout, re.MULTILINE)


def test_a_promoted_replay_is_the_book_of_its_run_until_that_is_taken_back(
    spilldeck_here: Spilldeck, live: Live, tables: Path
) -> None:
    reader = BookReader.shown(live.redis, live.settings)
    table = tables / "tof_t0.txt"
    good = table.read_text()
    store = ConditionsStore([(tables / "index.toml", tables)])
    first = process(own_run(), store.for_run)[OWN_TABLES].run_book()
    table.write_text(re.sub(r"tof0 -(\d+)", lambda found: f"tof0 -{int(found[1]) + 1000}", good))
    try:
        now = process(own_run(), ConditionsStore([(tables / "index.toml", tables)]).for_run)[OWN_TABLES].run_book()
        done = spilldeck_here("replay", str(OWN_TABLES), "--name", "better", "--workers", "1", env=live.env)
        assert done.returncode == 0, done.stderr
    finally:
        table.write_text(good)
    assert differences(first, reader.run(OWN_TABLES, first.book.ranges)) == []

    assert "is that of the replay better" in spilldeck_here("replays", "promote", "better", env=live.env).stdout
    assert differences(now, reader.run(OWN_TABLES, now.book.ranges)) == []
    assert reader.runs()[OWN_TABLES].conditions == now.totals.conditions
    assert len(reader.runs()) == len(live.reader.runs())
    assert differences(first, live.reader.run(OWN_TABLES, first.book.ranges)) == []
    with Data(live.settings) as data:
        view = data.view(Choices(run=OWN_TABLES))
        (note,) = view.notes
        assert "replay-better, which was promoted" in note
        assert view.warnings == ()
    refused = assert_one_sentence(spilldeck_here("replays", "drop", "better", env=live.env), 2)
    assert f"spilldeck replays restore {OWN_TABLES} first" in refused

    assert "is that of live" in spilldeck_here("replays", "restore", str(OWN_TABLES), env=live.env).stdout
    assert differences(first, reader.run(OWN_TABLES, first.book.ranges)) == []
    assert "no replay of it was promoted" in assert_one_sentence(
        spilldeck_here("replays", "restore", str(OWN_TABLES), env=live.env), 2
    )
    assert "there is no replay worse" in assert_one_sentence(
        spilldeck_here("replays", "promote", "worse", env=live.env), 2
    )
    assert spilldeck_here("replays", "drop", "better", env=live.env).returncode == 0


def test_verify_finds_a_bin_of_the_live_book_that_somebody_changed(spilldeck_here: Spilldeck, live: Live) -> None:
    run, plot = RUNS[3], "ht01"
    keys = (layout.Keys(live.settings.redis.key_prefix, "live", p) for p in range(live.settings.kafka.partitions))
    key = next(k.book(run) for k in keys if live.redis.hexists(k.book(run), plot))
    good = live.redis.hget(key, plot)
    assert isinstance(good, bytes)
    cells = Cells.unpack(layout.unseal(good))
    cells.counts[5] += 1
    live.redis.hset(key, plot, layout.seal(cells.pack()))
    try:
        done = spilldeck_here("verify", str(run), str(RUNS[4]), "--workers", "1", env=live.env)
    finally:
        live.redis.hset(key, plot, good)
    assert done.returncode == 1, done.stderr
    assert differing_plots(done.stdout) == {plot}
    assert "1 bins differ" in done.stdout
    assert f"run {run}: differs in 1; all 7 spills reconstruct to what they did live" in done.stdout
    assert f"run {RUNS[4]}: identical" in done.stdout


def begin_replay(live: Live, said: Path, *arguments: str) -> Heard:
    """Start a replay that makes a checkpoint after each spill."""
    env = live.env | {"SPILLDECK_BOOKS__BATCH_SPILLS": "1", "PATH": ""}
    return Heard(["replay", *arguments], env=env, said=said)


def kill_replay(replaying: Heard) -> None:
    """Kill a replay, and wait until its workers have ended with it: until then one of them may write still."""
    workers = psutil.Process(replaying.pid).children(recursive=True)
    replaying.kill()
    replaying.communicate()
    _, alive = psutil.wait_procs(workers, WAIT_S)
    assert alive == []


def spills_of(live: Live, session: str) -> int:
    return sum(totals.filled for totals in live.books(session).runs().values())


def state_of(live: Live, session: str) -> str:
    sessions = Sessions(live.settings, live.redis, origin="a test")
    plan = sessions.get(session)
    return sessions.state(plan) if plan is not None else ""


def lose(redis: Redis, pattern: str) -> None:
    for key in redis.scan_iter(match=pattern):
        redis.delete(key)


def test_a_replay_that_is_killed_and_of_which_redis_loses_a_part_equals_live(
    spilldeck_here: Spilldeck, live: Live, tmp_path: Path
) -> None:
    session, before = "replay-killed", 0
    for arguments in (
        [f"{SOME[0]}-{SOME[-1]}", "--name", "killed"],
        ["--resume", "--name", "killed", "--workers", "1"],
    ):
        replaying = begin_replay(live, tmp_path, *arguments)
        while spills_of(live, session) <= before:
            assert replaying.poll() is None, replaying.communicate()
            time.sleep(0.02)
        time.sleep(random.uniform(0, 0.2))
        kill_replay(replaying)
        before = spills_of(live, session)
        assert before < 7 * len(SOME)
    (listed,) = json.loads(spilldeck_here("replays", "list", "--json", env=live.env).stdout)
    assert (listed["name"], listed["runs"], listed["spills"]) == ("killed", list(SOME), before)
    assert listed["state"] in ("at work", "stopped")  # it is not missed for some seconds
    replaying = begin_replay(live, tmp_path, "--resume", "--name", "killed", "--workers", "4")
    while spills_of(live, session) <= before:
        assert replaying.poll() is None, replaying.communicate()
        time.sleep(0.02)
    lose(live.redis, f"{live.settings.redis.key_prefix}:{{{session}:[01]}}:*")
    said, complaints = replaying.communicate()
    assert replaying.poll() == 0, complaints
    assert said.count("7 spills, 1 rejected") == len(SOME)
    for run in SOME:
        assert differences(live.reader.run(run, {}), live.books(session).run(run, {})) == []
    assert_one_sentence(spilldeck_here("replay", str(SOME[0]), "--name", "killed", env=live.env), 2)
    assert spilldeck_here("replays", "drop", "killed", env=live.env).returncode == 0
    assert not list(live.redis.scan_iter(match=f"{live.settings.redis.key_prefix}:*killed*"))


def test_a_replay_of_which_a_worker_is_killed_says_so_and_goes_on(
    spilldeck_here: Spilldeck, live: Live, tmp_path: Path
) -> None:
    replaying = begin_replay(live, tmp_path, f"{FEW[0]}-{FEW[-1]}", "--name", "crippled")
    while not spills_of(live, "replay-crippled"):
        assert replaying.poll() is None, replaying.communicate()
        time.sleep(0.02)
    worker = next(c for c in psutil.Process(replaying.pid).children() if "spawn_main" in " ".join(c.cmdline()))
    worker.kill()
    said, complaints = replaying.communicate()
    assert (replaying.poll(), said) == (3, ""), complaints
    assert complaints.startswith("spilldeck: a worker of the replay died: --resume goes on")
    done = spilldeck_here("replay", "--resume", "--name", "crippled", "--workers", "1", env=live.env)
    assert done.stdout.count("7 spills, 1 rejected") == len(FEW), done.stderr
    for run in FEW:
        assert differences(live.reader.run(run, {}), live.books("replay-crippled").run(run, {})) == []


def test_a_replay_waits_while_live_is_behind(live: Live, tmp_path: Path) -> None:
    session = "replay-waiting"
    for worker in live.workers.running:
        worker.send_signal(signal.SIGSTOP)
    try:
        with SpillProducer(live.settings) as producer:
            for record in small_run(900_397):
                producer.send(record)
        replaying = begin_replay(live, tmp_path, str(RUNS[7]), "--name", "waiting", "--workers", "1")
        while state_of(live, session) != "waiting for live":
            assert replaying.poll() is None, replaying.communicate()
            time.sleep(0.05)
        assert not spills_of(live, session)
    finally:
        for worker in live.workers.running:
            worker.send_signal(signal.SIGCONT)
    _, complaints = replaying.communicate()
    assert replaying.poll() == 0, complaints
    assert differences(live.reader.run(RUNS[7], {}), live.books(session).run(RUNS[7], {})) == []
    wait_until_counted(live.settings, live.reader)


def test_a_replay_from_reconstructed_spills_equals_live(spilldeck_here: Spilldeck, live: Live) -> None:
    done = spilldeck_here("replay", str(RUNS[1]), "--from", "reco", "--name", "plots", "--workers", "1", env=live.env)
    assert done.returncode == 0, done.stderr
    assert differences(live.reader.run(RUNS[1], {}), live.books("replay-plots").run(RUNS[1], {})) == []


def test_a_replay_has_the_conditions_that_it_was_begun_with_when_it_goes_on(
    spilldeck_here: Spilldeck, live: Live, tables: Path, tmp_path: Path
) -> None:
    index, table = tmp_path / "index.toml", tmp_path / "tof_t0.txt"
    index.write_text(
        f'[[table]]\nkind = "tof_t0"\nfile = "tof_t0.txt"\nfirst_run = {OWN_TABLES}\nlast_run = {OWN_TABLES}\n'
    )
    good = (tables / "tof_t0.txt").read_text()
    table.write_text(re.sub(r"tof0 -(\d+)", lambda found: f"tof0 -{int(found[1]) + 1000}", good))
    store = ConditionsStore([(tables / "index.toml", tables)], index)
    wanted = process(own_run(), store.for_run)[OWN_TABLES].run_book()
    replaying = begin_replay(
        live, tmp_path, str(OWN_TABLES), "--name", "named", "--conditions", str(index), "--workers", "1"
    )
    while not spills_of(live, "replay-named"):
        assert replaying.poll() is None, replaying.communicate()
        time.sleep(0.02)
    kill_replay(replaying)

    changed = table.read_text()
    table.write_text(good)
    refused = assert_one_sentence(spilldeck_here("replay", "--resume", "--name", "named", env=live.env), 1)
    assert f"the conditions of run {OWN_TABLES} have changed since the replay named began" in refused
    table.write_text(changed)
    done = spilldeck_here("replay", "--resume", "--name", "named", "--workers", "1", env=live.env)
    assert done.returncode == 0, done.stderr
    assert differences(wanted, live.books("replay-named").run(OWN_TABLES, {})) == []
    assert differences(live.reader.run(OWN_TABLES, {}), live.books("replay-named").run(OWN_TABLES, {}))
    listed = json.loads(spilldeck_here("replays", "list", "--json", env=live.env).stdout)
    assert {one["name"]: one["conditions"] for one in listed}["named"] == str(index)
    assert str(index) in spilldeck_here("replays", "list", env=live.env).stdout

    def refused_with(*arguments: object) -> str:
        return assert_one_sentence(spilldeck_here("replay", *map(str, arguments), env=live.env), 2)

    assert f"{index} has no table for run {RUNS[0]}" in refused_with(RUNS[0], "--conditions", index)
    assert "cannot be read" in refused_with(OWN_TABLES, "--name", "no", "--conditions", tmp_path / "nosuch")
    assert "exclude each other" in refused_with(OWN_TABLES, "--from", "reco", "--conditions", index)
    assert "goes on with what it began with" in refused_with("--resume", "--name", "named", "--conditions", index)
    assert spilldeck_here("replays", "drop", "named", env=live.env).returncode == 0


def test_all_runs_of_a_type_that_have_ended_are_replayed(spilldeck_here: Spilldeck, live: Live) -> None:
    typed = [small_run(number) for number in OF_A_TYPE]
    typed[-1].pop()  # it goes on
    for start, *others in typed:
        live.send(replace(start, run_type="Calibration"), *others)
    done = spilldeck_here("replay", "--type", "calibration", "--name", "typed", "--workers", "1", env=live.env)
    assert done.returncode == 0, done.stderr
    assert f"run {OF_A_TYPE[-1]} is left out: it is running" in done.stderr
    for run in OF_A_TYPE[:-1]:
        assert differences(live.reader.run(run, {}), live.books("replay-typed").run(run, {})) == []
    assert [*live.books("replay-typed").runs()] == [*OF_A_TYPE[:-1]]
    for arguments, said in (
        (("--type", "cosmics"), "no run of the type cosmics has ended: there are runs of the type Calibration"),
        ((str(RUNS[0]), "--type", "calibration"), "leave out the numbers"),
        (("--resume", "--name", "typed", "--type", "calibration"), "goes on with what it began with"),
        (("--resume", "--name", "typed", "--from", "reco"), "goes on with what it began with"),
    ):
        assert said in assert_one_sentence(spilldeck_here("replay", *arguments, env=live.env), 2)
    assert spilldeck_here("replays", "drop", "typed", env=live.env).returncode == 0


def test_wrong_use_of_replay_is_one_sentence_and_leaves_nothing(spilldeck_here: Spilldeck, live: Live) -> None:
    def refused(status: int, *arguments: str) -> str:
        return assert_one_sentence(spilldeck_here(*arguments, env=live.env), status)

    assert "neither in the books nor in Kafka" in refused(2, "replay", "4711")
    assert "nothing to compare with" in refused(2, "verify", "4711")
    assert "--from takes raw or reco" in refused(2, "replay", str(RUNS[0]), "--from", "wire")
    assert "no replay 12 to go on with" in refused(2, "replay", "12", "--resume")
    assert "there is no replay lost" in refused(2, "replays", "drop", "lost")
    assert "cannot be read" in refused(2, "replay", str(RUNS[0]), "--archive", "nosuch")
    live.send(*small_run(RUNNING)[:3])
    assert f"run {RUNNING} is still running" in refused(1, "verify", str(RUNNING))
    ours = live.redis.scan_iter(match=f"{live.settings.redis.key_prefix}:*")
    assert not [key for key in ours if b"verify" in key or b"4711" in key]


def test_a_run_of_json_documents_is_written_as_the_daq_did_without_those_that_hold_nothing(
    spilldeck_here: Spilldeck, live: Live, tmp_path: Path
) -> None:
    run = SimulatedRun(run=900_396, spills=4, mean_triggers=2, detectors=("tof",))
    source = tmp_path / "run.json"
    source.write_bytes(b"".join(json_lines(record, run.conditions.detectors) for record in run.records()))
    live.send(*read_source(source))
    as_daq = ("runs", "archive", str(run.run), "--as-daq", "--out")
    done = spilldeck_here(*as_daq, tmp_path, env=live.env)
    assert done.returncode == 0, done.stderr
    file = tmp_path / f"{run.run:08d}.json"
    lines = source.read_bytes().splitlines(keepends=True)
    kept = file.read_bytes().splitlines(keepends=True)
    # Documents of other DAQ events hold nothing, and were never sent: they are missing from the count of events alone.
    named = {line: json.loads(line)["daq_event_type"] for line in lines}
    assert kept == [line for line, name in named.items() if name in ("start_of_run", "physics_event", "end_of_run")]
    assert len(kept) == run.spills + 2
    # An archive was such a file once.
    done = spilldeck_here("verify", str(run.run), "--archive", file, "--workers", "1", env=live.env)
    assert (done.returncode, differing_plots(done.stdout)) == (1, set()), done.stderr
    assert re.findall(r"^│ (\w+) ", done.stdout, re.MULTILINE) == ["events", "control"]
    assert "is there already" in assert_one_sentence(spilldeck_here(*as_daq, tmp_path, env=live.env), 2)
    nowhere = spilldeck_here(*as_daq, tmp_path / "nosuch", env=live.env)
    assert "nothing can be written to" in assert_one_sentence(nowhere, 2)


@pytest.fixture
def few_runs(stack: LocalStack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    """Return runs of a test's own, of which it may have Kafka drop messages."""
    records = interleaved([*map(small_run, RUNS[:3])])
    with count_live(settings_on(stack), tmp_path_factory.mktemp("few-runs"), [records], {}) as counted:
        yield counted


def test_a_run_that_kafka_no_longer_holds_is_refused_and_comes_back_from_an_archive_of_earlier_days(
    spilldeck_here: Spilldeck, few_runs: Live, tmp_path: Path
) -> None:
    live, run = few_runs, RUNS[2]
    done = spilldeck_here("runs", "archive", str(run), "--as-daq", "--out", tmp_path, env=live.env)
    assert done.returncode == 0, done.stderr
    archive = tmp_path / f"{run:08d}.000"
    # Byte for byte what the DAQ wrote: what was sent, in its order, control once.
    assert archive.read_bytes() == b"".join(record.payload for record in small_run(run))
    subprocess.run(["sha256sum", "--check", "--quiet", f"{archive.name}.sha256"], cwd=tmp_path, check=True)
    assert sorted(path.name for path in tmp_path.iterdir()) == [archive.name, f"{archive.name}.sha256"]

    raw, admin = (
        Topics.of(live.settings).raw,
        admin_of(live.settings),
    )
    cut = ends(live.settings)[1] // 2
    for future in admin.delete_records([TopicPartition(raw, 1, cut)]).values():
        future.result()
    (expected,) = process([r for r in small_run(run) if isinstance(r, RawSpill)], ConditionsStore([]).for_run).values()
    for command in (["replay", str(run)], ["verify", str(run)], ["runs", "archive", str(run), "--out", str(tmp_path)]):
        line = assert_one_sentence(spilldeck_here(*command, env=live.env), 1)
        assert f"Kafka no longer holds run {run} whole: 1 of its 7 spills are gone: 1;" in line
        assert "--archive FILE" in line
    assert expected.part.ledger.keys() == live.reader.run(run, {}).ledger.keys()
    done = spilldeck_here("verify", str(run), "--archive", archive, "--workers", "1", env=live.env)
    assert (done.returncode, done.stdout) == (0, f"run {run}: identical\n"), done.stderr
    # Had the retention come while a replay reads, it would not go on in silence: within what it reads, or at its end.
    for stop in (cut + 2, cut):
        with pytest.raises(SpilldeckError, match=f"dropped messages 0 to {cut - 1} of"):
            list(of_topic(live.settings, raw, 1, 0, stop, (run,)))
    archive.write_bytes(archive.read_bytes()[:-1] + b"x")
    assert "is damaged" in assert_one_sentence(
        spilldeck_here("verify", str(run), "--archive", archive, env=live.env), 1
    )


def test_what_a_new_leader_does_not_show_ends_an_archive_and_a_replay_with_a_sentence(
    live: Live, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, topic = RUNS[5], Topics.of(live.settings).raw
    (low, end), *others = topic_spans(live.settings, topic)
    more = ((low, end + 2), *others)
    monkeypatch.setattr("streams.kafka.SHOWN_S", 1.0)
    monkeypatch.setattr("ops.replay.checks.topic_spans", lambda *_: more)
    said = rf"{re.escape(topic)}\[0\] up to offset {end + 1} and has shown none from {end} on"
    with pytest.raises(ServerError, match=said):
        write_archive(live.settings, live.reader, run, tmp_path)
    assert not list(tmp_path.iterdir())
    plan = replace(make_plan(live.settings, live.redis, "replay-x", [run], Origin.RAW, None), spans=more)
    with pytest.raises(ServerError, match=said):
        list(taken(live.settings, plan, 0, low, lambda _offset: None))
