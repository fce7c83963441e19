"""spilldeck doctor: each trouble is made on real servers, and named as the cause, with what to do."""

import json
import os
import re
import runpy
import subprocess
import threading
import time
import tomllib
import urllib.request
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Consumer
from redis import Redis

from ops.demo import Running
from ops.doctor import Finding, host, look, page
from ops.doctor.finding import Check, Site
from ops.doctor.host import _has_secrets
from ops.doctor.looking import CHECKS
from ops.doctor.servers import _kafka_off_s, _off_s
from ops.doctor.troubles import BY_ID, TROUBLES
from ops.stack import LocalStack, free_port
from ops.stack.access import USER
from ops.topics import ensure_topics
from schemas.wire import MAX_MESSAGE_BYTES
from streams.books.connect import connect, masters
from streams.books.layout import Loss
from streams.books.reader import BookReader
from streams.books.run import RunBook
from streams.books.totals import Control
from streams.daq.producer import SpillProducer
from streams.experiments.mice.simulator import SimulatedRun
from streams.kafka import topic_spans
from streams.settings import (
    LIVE,
    AccessSettings,
    DashboardSettings,
    Settings,
    load_settings,
)
from streams.topics import Topics, workers_group
from tests.browser.conftest import environment
from tests.conftest import PROJECT, wait_until_counted
from tests.dashboards.views import RUN, run_book
from tests.kafka import admin as admin_of
from tests.kafka import create, delete, reached, set_topic
from tests.ops.conftest import Spilldeck
from tests.ops.test_doctor_sentinels import MADE as MADE_WITH_SENTINELS
from tests.servers import IS_SECURED, all_hung, settings_on, without_redis
from tests.servers import environment as of_servers
from tests.stored import checkpoint
from tests.watching import watched

pytestmark = pytest.mark.servers

PLAYED = 900_101
WAIT_S = 60.0
LATE = "no answer within|doctor.late"
"""Something was not looked at in time: the machine may be busy, and to ask again is what is said."""
CLOCKED = {"settings", "Kafka", "sentinels", "Redis", "topics", "clocks"}
"""Checks that need no other time than theirs."""
DAY_S = 86_400
OTHERS_CHECK = {"page.other"}
"""Where books of a test's own are looked at, the page of all tests shows others: that comes last."""


@dataclass
class Shift:
    """A site where all is well, and how to make something of it otherwise."""

    settings: Settings
    redis: Redis
    directory: Path
    patch: pytest.MonkeyPatch
    undo: ExitStack = field(default_factory=ExitStack)
    deep: bool = False
    checks: tuple[Check, ...] = ()

    def set(self, **values: object) -> None:
        """Set settings in the environment: kafka__partitions=8."""
        for name, value in values.items():
            self.patch.setenv(f"SPILLDECK_{name.upper()}", str(value))

    def of_redis(self, name: str, value: str) -> None:
        """Set how Redis is set, until the test is over."""
        for its in masters(self.redis):
            self._of_one(its, name, value)

    def of_memory(self, times: float) -> None:
        """Let Redis hold so many times what it holds, until the test is over."""
        for its in masters(self.redis):
            self._of_one(its, "maxmemory", str(int(its.info("memory")["used_memory"] * times)))

    def _of_one(self, redis: Redis, name: str, value: str) -> None:
        self.undo.callback(redis.config_set, name, redis.config_get(name)[name])
        redis.config_set(name, value)

    def books(
        self, book: RunBook, *, run: int = RUN, session: str = LIVE, beats: bool = True, **state: Any
    ) -> Settings:
        """Have books of this test's own that have counted all that Kafka has, somebody who watches too."""
        name = f"test-{uuid.uuid4().hex[:12]}"
        self.set(redis__key_prefix=name)
        there = load_settings(session=session, redis=self.settings.redis.model_copy(update={"key_prefix": name}))
        spans = topic_spans(self.settings, Topics.of(self.settings).raw)
        for partition, (_, end) in enumerate(spans):
            runs = {run: book} if partition == 0 else {}
            at = {"next": end, "produced_ms": book.totals.produced_ms or 1} | state
            checkpoint(there, runs, partition=partition, **at)
        if beats:
            self.undo.enter_context(watched(self.redis, there))
        return there

    def found(self) -> list[Finding]:
        """Return what is wrong."""
        found, _ = look(deep=self.deep, **({"checks": self.checks} if self.checks else {}))
        return [each for each in found if each.is_wrong]


@pytest.fixture(scope="module")
def running(stack: LocalStack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Settings]:
    """Return a site with a worker, a page, and a run that was played and has ended."""
    directory, name = tmp_path_factory.mktemp("shift"), f"shift-{uuid.uuid4().hex[:8]}"
    settings = settings_on(
        stack,
        name,
        dashboard=DashboardSettings(port=free_port(), refresh_s=0.4),
        access=AccessSettings(directory=directory / "access"),
    )
    ensure_topics(settings)
    with Running(settings, directory, environment(settings)) as parts, connect(settings) as redis:
        parts.start("worker", "worker")
        parts.start("page", "dashboard")
        run = SimulatedRun(run=PLAYED, spills=8, mean_triggers=4, detectors=("tof",))
        with SpillProducer(settings) as producer:
            for record in run.records():
                producer.send(record)
        wait_until_counted(settings, BookReader.of(redis, settings))
        _wait_for_page(settings)
        yield settings


def _wait_for_page(settings: Settings) -> None:
    deadline = time.monotonic() + WAIT_S
    while True:
        try:
            with urllib.request.urlopen(f"http://{settings.dashboard.address}/live?path=/&search=") as answer:
                if json.loads(answer.read())["shows"] == {"run": PLAYED, "spills": 8}:
                    return
        except OSError:
            pass
        assert time.monotonic() < deadline
        time.sleep(0.1)


@pytest.fixture
def shift(running: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Shift]:
    """Return that site, with somebody who watches for alarms."""
    for name, value in environment(running).items():
        if name.startswith("SPILLDECK_"):
            monkeypatch.setenv(name, value)
    monkeypatch.chdir(tmp_path)
    with connect(running) as redis:
        its = Shift(running, redis, tmp_path, monkeypatch)
        its.set(
            redis__key_prefix=running.redis.key_prefix,
            local__directory=tmp_path / "none",
            producer__journals=tmp_path / "journals",
            dashboard__references=tmp_path / "references",
            releases__directory=tmp_path / "releases",
        )
        monkeypatch.setattr("ops.doctor.page.CATCHES_UP_S", 0.3)  # where it shows others' books it never will
        with watched(redis, running), its.undo:
            yield its


def in_time(ask: Callable[[], "subprocess.CompletedProcess[str]"]) -> "subprocess.CompletedProcess[str]":
    """Ask again, as it says itself, while something was not looked at in time."""
    deadline = time.monotonic() + WAIT_S
    while (done := ask()) and re.search(LATE, done.stdout):
        assert time.monotonic() < deadline, done.stdout
    return done


def test_before_a_shift_all_is_green_in_few_lines_of_80_columns(
    shift: Shift, spilldeck_here: Spilldeck, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ops.console.out._width", 80)
    shift.set(releases__directory="/dev/null/releases")  # of whoever installs them, who need not be us
    done = in_time(lambda: spilldeck_here("doctor", "--deep"))
    assert done.returncode == 0, done.stdout
    lines = done.stdout.splitlines()
    assert len(lines) <= 18 + bool(shift.settings.redis.sentinels)  # of which there is a line more
    assert all(len(line) <= 80 for line in lines)
    assert all(line[0] in "✓– " for line in lines)
    assert f"run {PLAYED} has ended, 8 spills" in done.stdout
    assert "each run was read, nothing is wrong" in done.stdout


def test_as_json_it_is_an_object_a_finding(shift: Shift, spilldeck_here: Spilldeck) -> None:
    shift.set(dashboard__port=free_port())
    done = in_time(lambda: spilldeck_here("doctor", "--json"))
    assert done.returncode == 1
    found = json.loads(done.stdout)
    assert all(each.keys() == {"id", "state", "words", "advice"} for each in found)
    assert [each["id"] for each in found if each["state"] not in {"good", "idle"}] == ["page.away"]
    assert spilldeck_here("doctor", "--no-such-option").returncode == 2


def _settings_wrong(shift: Shift) -> None:
    shift.set(kafka__partitions=0)


def _directory(shift: Shift) -> None:
    (shift.directory / "file").touch()
    shift.set(keeper__archive=shift.directory / "file" / "archive")


def _limits(shift: Shift) -> None:
    (shift.directory / "limits.toml").write_text("[physics]\nmatters = 5\n")
    shift.set(checks__limits=shift.directory / "limits.toml")


def _no_rules(shift: Shift) -> None:
    shift.set(checks__good_spills=shift.directory / "nowhere.toml")


def _secret(shift: Shift) -> None:
    access = shift.directory / "access"
    access.mkdir()
    (access / "key").write_bytes(b"a key")
    (access / "key").chmod(0o644)
    shift.set(access__directory=access)


def _secret_in_file(shift: Shift) -> None:
    (shift.directory / "spilldeck.toml").write_text('[alarms.mail]\npassword = "a secret"\n')
    (shift.directory / "spilldeck.toml").chmod(0o644)


def _kafka_away(shift: Shift) -> None:
    shift.set(kafka__bootstrap_servers=f"127.0.0.1:{free_port()}")


def _redis_away(shift: Shift) -> None:
    if shift.settings.redis.sentinels:
        pytest.skip("where sentinels are away, that is told: tests/ops/test_doctor_sentinels.py")
    for name, value in of_servers(without_redis(shift.settings)).items():
        shift.patch.setenv(name, value)


def _redis_refuses(shift: Shift) -> None:
    scheme, _, rest = shift.settings.redis.url.get_secret_value().partition("://")
    shift.set(redis__url=f"{scheme}://{rest.rpartition('@')[2]}", redis__user="nobody", redis__password="wrong")


def _kafka_refuses(shift: Shift) -> None:
    shift.set(**({"kafka__password": "wrong"} if IS_SECURED else {"kafka__protocol": "ssl"}))


def _clock_of(which: str) -> Callable[[Shift], None]:
    def shifted(shift: Shift) -> None:
        of = "_redis_off_s" if which == "kafka" else "_kafka_off_s"
        shift.patch.setattr(f"ops.doctor.servers.{of}", lambda _: 0.0)
        real = time.time
        shift.patch.setattr("ops.doctor.servers.time.time", lambda: real() + 30)
        shift.patch.setattr("ops.doctor.servers.ASK_S", WAIT_S)  # Kafka may show late what it has written
        shift.checks = tuple(each for each in shift.checks if each.name in CLOCKED)

    return shifted


def _topics_lacking(shift: Shift) -> None:
    shift.set(kafka__topic_prefix="nobody-made.")


def _retention(shift: Shift) -> None:
    shift.set(kafka__retention_days=30)


def _replication(shift: Shift) -> None:
    shift.set(kafka__replication=2)


def _partitions(shift: Shift) -> None:
    shift.set(kafka__partitions=8)


def _largest(shift: Shift) -> None:
    raw = Topics.of(shift.settings).raw
    set_topic(shift.settings, raw, "max.message.bytes", "1000")
    shift.undo.callback(set_topic, shift.settings, raw, "max.message.bytes", str(MAX_MESSAGE_BYTES))


def _evicts(shift: Shift) -> None:
    shift.of_redis("maxmemory-policy", "allkeys-lru")


def _full(shift: Shift) -> None:
    shift.of_memory(1.05)


def _forgets(shift: Shift) -> None:
    shift.of_redis("appendonly", "no")


def _memory_fills(shift: Shift) -> None:
    shift.books(ended(2 * DAY_S))
    shift.of_memory(1.5)


def _disk_fills(shift: Shift) -> None:
    archive = shift.directory / "archive"
    archive.mkdir()
    for name, age_s in (("old", 3 * DAY_S), ("new", 10)):
        file = archive / name
        with file.open("wb") as sparse:
            sparse.truncate(4 << 40)
        os.utime(file, (time.time() - age_s,) * 2)
    shift.set(keeper__archive=archive)


def _disk_full(shift: Shift) -> None:
    shift.patch.setattr(host, "FULL", 0.0)
    _disk_grows_by_nothing(shift)


def _disk_full_before_it_is_used(shift: Shift) -> None:
    shift.patch.setattr(host, "FULL", 0.0)
    shift.set(keeper__archive=shift.directory / "not" / "made")


def _disk_grows_by_nothing(shift: Shift) -> None:
    (shift.directory / "archive").mkdir()
    shift.set(keeper__archive=shift.directory / "archive")


def _tables(shift: Shift, text: str, index: str) -> None:
    (shift.directory / "table.txt").write_text(text)
    (shift.directory / "index.toml").write_text(index)
    place = {"index": str(shift.directory / "index.toml"), "tables": str(shift.directory)}
    shift.set(conditions=json.dumps([place]))


def _unreadable_tables(shift: Shift) -> None:
    entry = f'[[table]]\nkind = "daq_channels"\nfile = "table.txt"\nfirst_run = {PLAYED + 1}\nlast_run = {PLAYED + 1}\n'
    _tables(shift, "nonsense", entry)


def _no_tables(shift: Shift) -> None:
    shift.books(going_on(0), run=77)


def _no_workers(shift: Shift) -> None:
    shift.set(session="other")
    shift.undo.enter_context(watched(shift.redis, shift.settings.model_copy(update={"session": "other"})))


def _idle_workers(shift: Shift) -> None:
    shift.books(ended(0), session="idle")
    shift.set(session="idle")
    raw, group = Topics.of(shift.settings).raw, workers_group(shift.settings, "idle")
    members = []
    for _ in range(5):
        member = Consumer(reached(shift.settings) | {"group.id": group})
        member.subscribe([raw])
        members.append(member)
        shift.undo.callback(member.close)
    admin = admin_of(shift.settings)
    deadline = time.monotonic() + WAIT_S
    while len(admin.describe_consumer_groups([group])[group].result().members) < 5:
        assert time.monotonic() < deadline
        for member in members:
            member.poll(0.05)


def _other_versions(shift: Shift) -> None:
    book = going_on(0)
    shift.books(replace(book, totals=replace(book.totals, code={"1", "2"})))


def _wrong_books(shift: Shift) -> None:
    book = ended(0)
    shift.books(replace(book, totals=replace(book.totals, received=book.totals.received + 1)))
    shift.deep = True


def _damaged_books(shift: Shift) -> None:
    there = shift.books(ended(0))
    (key,) = shift.redis.scan_iter(f"{there.redis.key_prefix}:*run:{RUN}", count=1000)
    shift.redis.hset(key, "totals", b"\x00 nonsense")


def _lost(shift: Shift) -> None:
    shift.books(ended(0), lost=(Loss(int(time.time()), "offsets 3 to 5 of it"),))


def _behind(shift: Shift) -> None:
    shift.books(going_on(0), next=0)
    newest_s = max(each.produced_ms for each in BookReader.of(shift.redis, shift.settings).progress().values()) / 1000
    time.sleep(max(0.0, newest_s + 6 - time.time()))


def _silent(shift: Shift) -> None:
    shift.books(going_on(300))


def _refused(shift: Shift) -> None:
    book = going_on(0)
    late = [*range(100, 112)]
    totals = replace(book.totals, refused=late, last_came=111, reasons={111: ["unpack", "LDC 1 lacks"]})
    shift.books(replace(book, totals=totals))


def _nobody_watches(shift: Shift) -> None:
    shift.books(ended(0), beats=False)


def _no_keeper(shift: Shift) -> None:
    shift.books(ended(1200))
    shift.set(keeper__products=shift.directory)


def _no_page(shift: Shift) -> None:
    shift.set(dashboard__port=free_port())


def _no_page_of_ours(shift: Shift) -> None:
    shift.set(dashboard__port=shift.settings.kafka.bootstrap_servers.rpartition(":")[2])


class _SpeaksTls(BaseHTTPRequestHandler):
    """What wants TLS of who asks, and says so in TLS's own way."""

    def handle(self) -> None:
        self.rfile.readline()
        self.wfile.write(b"\x15\x03\x03\x00\x02\x02P")


def _tls_for_a_page(shift: Shift) -> None:
    _answering(shift, _SpeaksTls)


class _Slow(BaseHTTPRequestHandler):
    """A page that says how it is, and takes its time for what it shows."""

    def do_GET(self) -> None:
        if not self.path.endswith("/ready"):
            time.sleep(5 * page.THERE_S)
        self.send_response(HTTPStatus.SERVICE_UNAVAILABLE)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


def _slow_page(shift: Shift) -> None:
    _answering(shift, _Slow)
    shift.patch.setattr("ops.doctor.page.ANSWER_S", page.THERE_S)


def _answering(shift: Shift, how: type[BaseHTTPRequestHandler]) -> None:
    """Have something answer so where the page is to be."""
    server = shift.undo.enter_context(ThreadingHTTPServer(("127.0.0.1", 0), how))
    threading.Thread(target=server.serve_forever).start()
    shift.undo.callback(server.shutdown)
    shift.set(dashboard__port=server.server_port)


def _other_page(shift: Shift) -> None:
    shift.books(ended(0))


def _killed_selftest(shift: Shift) -> None:
    topic = f"{shift.settings.kafka.topic_prefix}selftest-0123abcd.spills.raw"
    create(shift.settings, topic, 1)
    shift.undo.callback(delete, shift.settings, topic)


def _raises(shift: Shift) -> None:
    def look_in_vain(_: Site) -> Iterator[Finding]:
        raise RuntimeError("nobody thought of this")
        yield

    shift.checks = (Check(name="new", look=look_in_vain), host.SETTINGS)


def _hangs(shift: Shift) -> None:
    def wait(_: Site) -> Iterator[Finding]:
        time.sleep(5)
        yield from ()

    shift.checks = (Check(name="slow", look=wait, bound_s=0.1), host.SETTINGS)


def ended(since_s: float) -> RunBook:
    """Return a run that ended so long ago."""
    return _of_run(since_s, {"end": Control(time_us=1, events=2, run_type="")})


def going_on(since_s: float) -> RunBook:
    """Return a run of which the last spill came so long ago."""
    return _of_run(since_s, {})


def _of_run(since_s: float, control: Mapping[str, Control]) -> RunBook:
    book, ms = run_book(3), round((time.time() - since_s) * 1000)
    its = {"first_ms": ms - 10, "produced_ms": ms, "counted_ms": ms, "ended_ms": ms if control else 0}
    totals = replace(book.totals, **its, counted_us=ms * 1000, control=dict(control), first_raw={0: 0}, last_raw={0: 1})
    return replace(book, totals=totals)


MADE: tuple[tuple[str, Callable[[Shift], None], str], ...] = (
    ("settings.wrong", _settings_wrong, "kafka.partitions"),
    ("settings.directory", _directory, "keeper.archive"),
    ("settings.file", _limits, "physics.matters (line 2) is 5: it must be at most 1"),
    ("settings.file", _no_rules, "nowhere.toml cannot be read"),
    ("settings.secret", _secret, "access/key"),
    ("settings.secret", _secret_in_file, "spilldeck.toml"),
    ("kafka.away", _kafka_away, "no Kafka answers at 127.0.0.1:"),
    ("redis.away", _redis_away, "no Redis answers at 127.0.0.1:"),
    ("kafka.refuses", _kafka_refuses, f"it refuses user {USER} by PLAIN" if IS_SECURED else "it speaks no TLS"),
    ("redis.refuses", _redis_refuses, "it refuses who asks"),
    ("clock.kafka", _clock_of("kafka"), "s ahead of Kafka's"),
    ("clock.redis", _clock_of("redis"), "s ahead of Redis's"),
    ("topics.lacking", _topics_lacking, "nobody-made.spills.raw"),
    ("topics.retention", _retention, "retention.ms 1209600000"),
    ("topics.replication", _replication, "replication 1, the settings say 2"),
    ("topics.differ", _partitions, "partitions 4, the settings say 8"),
    ("topics.differ", _largest, "max.message.bytes 1000"),
    ("redis.evicts", _evicts, "maxmemory-policy allkeys-lru"),
    ("redis.full", _full, "nearly full"),
    ("redis.forgets", _forgets, "writes nothing to disk"),
    ("space.redis", _memory_fills, "; full about "),
    ("space.disk", _disk_fills, "; full about "),
    ("space.disk", _disk_full, "when full is unknown"),
    ("space.disk", _disk_full_before_it_is_used, "for keeper.archive; when full is unknown"),
    ("conditions.unreadable", _unreadable_tables, "table.txt"),
    ("conditions.lacking", _no_tables, "no table serves run 77"),
    ("workers.none", _no_workers, "no worker of session other runs"),
    ("workers.idle", _idle_workers, "5 workers for 4 partitions: 1 have nothing to do"),
    ("workers.differ", _other_versions, "several versions of the code: 1, 2"),
    ("books.wrong", _wrong_books, "the counters do not add up"),
    ("books.wrong", _damaged_books, f"{RUN}"),
    ("books.lost", _lost, "offsets 3 to 5 of it"),
    ("books.behind", _behind, "behind ("),
    ("spills.off", _silent, "No spills for 5 min: DAQ or beam"),
    ("spills.off", _refused, "No spill counted for 12: rejected by unpack"),
    ("alarms.unwatched", _nobody_watches, "Nobody watches"),
    ("keeper.away", _no_keeper, "no book and pictures of 1 run"),
    ("page.away", _no_page, "no page answers at http://127.0.0.1:"),
    ("page.away", _no_page_of_ours, "no page answers at http://127.0.0.1:"),
    ("page.away", _tls_for_a_page, "(what answers there speaks no HTTP)"),
    ("page.other", _other_page, f"the page shows run {PLAYED} with 8 spills, the books have run {RUN} with 3"),
    ("selftest.left", _killed_selftest, "selftest-0123abcd left topics"),
    ("doctor.failed", _raises, "new: RuntimeError: nobody thought of this"),
    ("doctor.late", _hangs, "slow: no answer within"),
    ("doctor.late", _slow_page, "answers, and what it shows was not made within 0.4 s"),
)


@pytest.mark.parametrize(("behind", "is_well"), [(3, True), (1000, False)])
def test_while_spills_come_a_page_that_follows_them_is_well_and_one_that_stands_is_not(
    shift: Shift, behind: int, is_well: bool
) -> None:
    spills = iter(range(100, 100_000))
    shift.patch.setattr(page, "_now", lambda _: {"run": RUN, "spills": next(spills)})
    shift.patch.setattr(page, "_ask", lambda _: {"shows": {"run": RUN, "spills": next(spills) - behind}})
    shift.patch.setattr(page, "CATCHES_UP_S", 1.0)
    found = list(page.SHOWN.look(Site(deep=False, settings=shift.settings)))
    assert [each.is_wrong for each in found] == [not is_well]


@pytest.mark.parametrize(("trouble", "make", "words"), MADE, ids=[f"{t}-{m.__name__}" for t, m, _ in MADE])
def test_what_is_wrong_is_told_as_the_cause_and_what_follows_from_it_is_not(
    shift: Shift, trouble: str, make: Callable[[Shift], None], words: str
) -> None:
    # What is looked at here is what is said; how soon is said, others look at.
    shift.patch.setattr("ops.doctor.looking.ALL_S", WAIT_S)
    shift.patch.setattr("streams.freshness.DAQ_LATE_S", WAIT_S)
    if not trouble.startswith("kafka."):  # where it is away, nobody waits for it
        shift.patch.setattr("ops.doctor.servers.ASK_S", WAIT_S)
    shift.checks = tuple(replace(each, bound_s=WAIT_S) for each in CHECKS)
    make(shift)
    found = shift.found()
    assert {each.id for each in found} - (OTHERS_CHECK - {trouble}) == {trouble}, found
    first = found[0]
    assert first.id == trouble
    assert words in first.words
    assert first.advice.startswith(BY_ID[trouble].advice.partition("{")[0])
    assert "{" not in first.advice


def test_the_clock_of_kafka_is_read_whatever_the_group_is_called(shift: Shift) -> None:
    shift.patch.setattr("ops.doctor.servers.ASK_S", WAIT_S)
    site = Site(deep=False)
    site.settings = shift.settings
    for name in range(16):  # of a name's hash Kafka takes the magnitude: half are negative
        shift.patch.setattr("ops.doctor.servers.secrets.token_hex", lambda _, name=name: f"{name:08x}")
        off_s = _kafka_off_s(site)
        assert off_s is not None
        assert abs(off_s) < WAIT_S


@pytest.mark.parametrize(("shown_s", "off_s"), [(100.0, 0.0), (102.5, 0.0), (103.0, 0.0), (95.0, -5.0), (110.0, 7.0)])
def test_a_clock_is_off_by_what_no_slow_answer_explains(shown_s: float, off_s: float) -> None:
    assert _off_s(shown_s, before_s=100.0, after_s=103.0) == off_s


def test_each_trouble_of_the_table_is_made_here() -> None:
    elsewhere = {"topics.leader"} | {name for name, *_ in MADE_WITH_SENTINELS}
    assert {name for name, *_ in MADE} | elsewhere == BY_ID.keys()
    assert len(TROUBLES) == len(BY_ID)


def test_reading_all_runs_may_take_longer(shift: Shift) -> None:
    def read_all(_: Site) -> Iterator[Finding]:
        time.sleep(0.3)
        yield slow.good("read")

    slow = Check(name="slow", look=read_all, bound_s=0.1, reads_all=True)
    assert [each.id for each in look(checks=[slow])[0]] == ["doctor.late"]
    assert [each.id for each in look(checks=[slow], deep=True)[0]] == ["slow"]


def test_servers_that_hang_keep_nobody_waiting(shift: Shift, stack: LocalStack) -> None:
    with all_hung(stack):
        began_s = time.monotonic()
        wrong = shift.found()
        took_s = time.monotonic() - began_s
    assert [each.id for each in wrong] == ["kafka.away", "redis.away"]
    assert took_s < 10


def test_the_list_of_troubles_in_the_documentation_is_that_of_the_table() -> None:
    made = runpy.run_path(str(PROJECT / "docs" / "write_troubleshooting.py"))
    assert made["TROUBLESHOOTING_MD"].read_text() == made["text"](), "run docs/write_troubleshooting.py"


@pytest.mark.parametrize(
    ("said", "has"),
    [
        ('[alarms.mail]\npassword = "a secret"', True),
        ('[alarms]\nwebhook = "https://host/a-secret"', True),
        ('[kafka]\npassword = "a secret"', True),
        ('[redis]\nkey_password = "a secret"', True),
        ('[redis]\nurl = "redis://:a-secret@host:6379/0"', True),
        ('[redis]\nurl = "redis://host:6379/0"\npassword_file = "elsewhere"', False),
        ('[kafka]\nuser = "spilldeck"\n[[conditions]]\nindex = "i"\ntables = "t"', False),
    ],
)
def test_a_settings_file_is_private_where_any_secret_of_the_settings_is_in_it(said: str, has: bool) -> None:
    assert _has_secrets(tomllib.loads(said)) is has
