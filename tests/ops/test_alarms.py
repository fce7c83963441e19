"""spilldeck alarms, on real servers: raised once, told once, whatever is killed, lost or away meanwhile."""

import json
import os
import shutil
import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from pydantic import SecretStr, ValidationError
from redis import Redis, RedisError

from dashboards.choices import Choices
from dashboards.data import Data
from dashboards.webhook import FAILS, post, signature
from ops.alarm_watch import AlarmWatcher, watch
from ops.stack import free_port
from ops.telling import Teller, Webhook
from ops.topics import ensure_topics
from schemas.records import Action, ActionKind
from streams.books.actions import ActionLog, new_action
from streams.books.alarm_actions import acknowledge_action
from streams.books.alarms import Alarms
from streams.books.connect import connect
from streams.books.decided import decide, newest
from streams.books.layout import watchers_key
from streams.books.run import RunBook
from streams.books.watchers import REMEMBERED_S, Heartbeat
from streams.books.watchers import watching as watching_of
from streams.conditions.store import ConditionsStore
from streams.errors import ServerError
from streams.experiments.mice.simulator import SimulatedRun
from streams.freshness import WATCHER_SILENT_S
from streams.process import process
from streams.settings import AlarmsSettings, DashboardSettings, Settings
from tests.begun import Begun
from tests.books.test_alarms import new
from tests.ops.conftest import Spilldeck, assert_one_sentence
from tests.ops.test_decisions import done
from tests.servers import environment, own_redis
from tests.stored import checkpoint
from tests.wire import decode

pytestmark = pytest.mark.servers

RUN = 900_371
SPILLS = 90
DEAD = "dead_pmt:tof1/0/3/1@30-59"
WORDS = "TOF1 horizontal slab 3, PMT 1 silent since spill 30"
SECRET = "kept in a file"
WAIT_S = 60.0


@cache
def book(spills: int = SPILLS, run: int = RUN, fault: str = DEAD, of: int = SPILLS) -> RunBook:
    simulated = SimulatedRun(run=run, spills=of, seed=run, mean_triggers=20, detectors=("tof",))
    records = [*simulated.with_faults([fault] if fault else []).records()][: spills + 1]
    return process(records, ConditionsStore([]).for_run)[run].run_book()


def stored(settings: Settings, runs: Mapping[int, RunBook], **state: int) -> None:
    """Have runs in the books of which the last spill came just now."""
    checkpoint(settings, runs, produced_ms=time.time_ns() // 10**6, **state)


def until(what: Callable[[], Any]) -> Any:
    deadline = time.monotonic() + WAIT_S
    while not (found := what()):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    return found


@pytest.fixture
def own(settings: Settings) -> Iterator[tuple[Settings, Redis]]:
    """Return fresh topics, a page that looks often, and a client."""
    ensure_topics(settings)
    settings = settings.model_copy(update={"dashboard": DashboardSettings(refresh_s=0.2)})
    with connect(settings) as redis:
        yield settings, redis


def heart(settings: Settings, redis: Redis) -> Heartbeat:
    return Heartbeat(redis, settings.redis.key_prefix, settings.session)


def alarms_of(settings: Settings, redis: Redis) -> Alarms:
    return newest(settings, redis)().alarms


def actions(settings: Settings) -> list[Action]:
    with ActionLog(settings) as log:
        return [its for _, message in log.read(*log.span()) if isinstance(its := decode(message), Action)]


def judged(data: Data, last: int) -> bool:
    judgement = data.view(Choices()).judgement
    return judgement is not None and judgement.last == last


def test_of_two_watchers_one_raises_and_what_is_acknowledged_and_recovered_is_over(
    own: tuple[Settings, Redis], spilldeck_here: Spilldeck
) -> None:
    settings, redis = own

    def say(*arguments: str) -> str:
        return done(spilldeck_here("alarms", *arguments, env=environment(settings)))

    stored(settings, {RUN: book(50)}, next=50)
    with Data(settings, explains=False) as data:
        until(lambda: judged(data, 49))
        watchers = [AlarmWatcher(settings, redis, data) for _ in range(2)]
        with ThreadPoolExecutor(2) as pool:
            for _ in pool.map(AlarmWatcher.look, watchers):
                pass
        (alarm,) = alarms_of(settings, redis)
        assert alarm.new.words.startswith(WORDS)
        listed = json.loads(say("list", "--json"))["alarms"]
        assert [each["id"] for each in listed] == [alarm.id]
        assert listed[0]["call"]
        assert WORDS in say("list")
        assert WORDS in say("acknowledge", alarm.id[:8])
        again = spilldeck_here("alarms", "acknowledge", alarm.id, env=environment(settings))
        assert "acknowledged it already" in assert_one_sentence(again, 2)
        stored(settings, {RUN: book()}, next=SPILLS)
        until(lambda: judged(data, SPILLS - 1))
        until(lambda: data.view(Choices()).alarms)
        for watcher in watchers:
            watcher.look()
    (alarm,) = alarms_of(settings, redis)
    assert alarm.is_over
    assert alarm.cleared is not None
    assert alarm.cleared.reason.startswith("as before again after spill")
    assert say("list").startswith("No alarm is known.")
    assert "over" in say("list", "--all")
    kinds = [each.kind for each in actions(settings)]
    assert kinds.count(ActionKind.ACKNOWLEDGE_ALARM) == 1
    assert kinds.count(ActionKind.CLEAR_ALARM) == 1


def test_a_redis_that_is_away_is_an_alarm_by_kafka_alone_and_told(
    settings: Settings, hook: "Hook", tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("streams.books.data_flow.HOLDS_S", 1.0)
    monkeypatch.setattr("streams.books.data_flow.CLEARS_S", 1.0)
    monkeypatch.setattr("ops.telling.GATHER_S", 0)
    ensure_topics(settings)
    server = own_redis(tmp_path)
    with ExitStack() as started:
        started.callback(server.end)
        its = server.settings(settings.redis.key_prefix)
        own = with_hook(settings, hook.address).model_copy(
            update={"redis": its, "dashboard": DashboardSettings(refresh_s=0.2)}
        )
        stored(own, {RUN: book(50)}, next=50)
        redis, data = started.enter_context(connect(own)), started.enter_context(Data(own, explains=False))
        until(lambda: judged(data, 49))
        watcher, teller = (
            AlarmWatcher(own, redis, data),
            Teller(own, redis, lambda: data.view().alarms, Webhook(own), heart(own, redis)),
        )
        watcher.watch()
        (dead,) = alarms_of(own, redis)
        until(lambda: data.view().alarms)
        teller.look()
        assert len(hook.told) == 1
        until(lambda: data.view().alarms[0].told_us)
        server.kill_all()

        def is_told() -> bool:
            with suppress(ServerError):
                watcher.look()
            teller.look()
            return len(hook.told) == 2

        until(is_told)
        # The page knows it, too.
        assert [each.new.run for each in data.view().alarms if each.waits(time.time_ns() // 1000)] == [RUN, -1]
        said = [json.loads(body)["alarms"][0] for _, _, body in hook.told]
        assert [each["words"].partition(" since ")[0] for each in said] == [
            dead.new.words.partition(" since ")[0],
            "Redis does not answer, or not with books,",
        ]
        assert (said[1]["run"], said[1]["call"]) == (-1, "whoever keeps the servers")
        # It comes back, without anything in it.
        for file in server.files:
            shutil.rmtree(file)
        server.mend()

        def is_over() -> bool:
            with suppress(ServerError, RedisError):
                watcher.look()
            return any(each.cleared for each in data.view().alarms if each.new.run == -1)

        until(is_over)
        after = alarms_of(own, redis)
    assert [(each.id, len(each.told_us)) for each in after] == [(dead.id, 1), (said[1]["id"], 1)]
    assert [each.cleared and each.cleared.reason for each in after] == [None, "Redis answers again"]


def test_what_cannot_be_done_to_an_alarm_is_one_sentence(
    own: tuple[Settings, Redis], spilldeck_here: Spilldeck
) -> None:
    settings, redis = own
    raise_any(settings, redis)
    (alarm,) = alarms_of(settings, redis)
    for arguments, why in (
        (["acknowledge", "12345678"], "there is no alarm 12345678: see spilldeck alarms list --all"),
        (["shelve", alarm.id, "--for", "2w", "--reason", "x"], "2w is no time"),
        (["shelve", alarm.id, "--for", "8d", "--reason", "x"], "an alarm is shelved for at most 7 days"),
        (["shelve", alarm.id, "--for", "1h", "--reason", " "], "say why it is shelved"),
    ):
        assert why in assert_one_sentence(spilldeck_here("alarms", *arguments, env=environment(settings)), 2)


def raise_any(settings: Settings, redis: Redis) -> None:
    """Have an alarm, wherever it is from."""
    its = new()
    decide(settings, redis, new_action(ActionKind.RAISE_ALARM, its.id, after=its.to_json(), origin="a test"))


def raise_one(settings: Settings, redis: Redis) -> None:
    stored(settings, {RUN: book(50)}, next=50)
    with Data(settings, explains=False) as data:
        until(lambda: judged(data, 49))
        watcher = AlarmWatcher(settings, redis, data)
        watcher.heart.hear()
        watcher.look()


def test_an_emptied_redis_and_a_kafka_that_is_away_lose_no_alarm_and_clear_none(own: tuple[Settings, Redis]) -> None:
    settings, redis = own
    raise_one(settings, redis)
    (alarm,) = alarms_of(settings, redis)
    decide(settings, redis, acknowledge_action((alarm,), alarm.id, act_id="test-0001", origin="a test"))
    with Data(settings, explains=False) as data:
        watcher = AlarmWatcher(settings, redis, data)
        until(lambda: judged(data, 49))
        redis.delete(*redis.scan_iter(f"{settings.redis.key_prefix}*"))
        until(lambda: not judged(data, 49))
        watcher.look()
        for spills in (10, 40, 50):  # it is counted again
            stored(settings, {RUN: book(spills)}, next=spills)
            until(lambda last=spills - 1: judged(data, last))
            watcher.look()
        (after,) = alarms_of(settings, redis)
        assert after.is_active
        assert after.acknowledged is not None
        # Kafka is away when the fault is over: what is due waits.
        stored(settings, {RUN: book()}, next=SPILLS)
        until(lambda: judged(data, SPILLS - 1))
        away = settings.kafka.model_copy(update={"bootstrap_servers": f"127.0.0.1:{free_port()}"})
        with pytest.raises(ServerError):
            AlarmWatcher(settings.model_copy(update={"kafka": away}), redis, data).look()
        watcher.look()
    assert alarms_of(settings, redis)[0].is_over


def test_a_plot_that_is_off_against_the_reference_and_follows_from_nothing_is_an_alarm(
    own: tuple[Settings, Redis],
) -> None:
    settings, redis = own
    good, run = RUN + 1, RUN + 2

    def shifted(spills: int) -> RunBook:
        return book(spills, run, "shifted_timing:tof1=0.5")

    reference = book(121, good, "", of=120)  # with its end
    assert reference.totals.ended
    stored(settings, {good: reference, run: shifted(30)}, next=150)
    with Data(settings, explains=False) as data:
        watcher = AlarmWatcher(settings, redis, data)
        until(lambda: judged(data, 29) and data.view(Choices()).reference)
        watcher.look()
        assert alarms_of(settings, redis) == ()
        stored(settings, {run: shifted(60)}, next=180)
        until(lambda: judged(data, 59))
        watcher.look()
        found = alarms_of(settings, redis)
    assert {each.new.run for each in found} == {run}
    assert any("off (limit 5 %)" in each.new.words for each in found)


@pytest.mark.parametrize(
    "address", ["host/path", "file:///etc/passwd", "ftp://host/x", "https://host/a secret", "https://host/\x07"]
)
def test_what_is_no_address_of_the_web_is_no_webhook(address: str) -> None:
    with pytest.raises(ValidationError, match="no address of the web"):
        AlarmsSettings(webhook=address)


class Hook(ThreadingHTTPServer):
    """A webhook that notes what it is told."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Answer)
        self.status = 200
        self.told: list[tuple[str, str, bytes]] = []

    @property
    def ids(self) -> list[str]:
        return [told_id for told_id, _, _ in self.told]

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/told"


class _Answer(BaseHTTPRequestHandler):
    server: Hook

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.told.append((self.headers["Spilldeck-Id"], self.headers["Spilldeck-Signature"], body))
        self.send_response(self.server.status)
        self.send_header("Location", "/elsewhere")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def listening() -> Iterator[Hook]:
    """Serve what alarms, or notes, are told to."""
    with Hook() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture
def hook() -> Iterator[Hook]:
    with listening() as server:
        yield server


@contextmanager
def watching(settings: Settings, hook: Hook, directory: Path) -> Iterator[Begun]:
    """Run `alarms watch`, and kill it."""
    (directory / "secret").touch(0o600)
    (directory / "secret").write_text(f"{SECRET}\n")
    its = {"SPILLDECK_ALARMS__WEBHOOK": hook.address, "SPILLDECK_ALARMS__SECRET_FILE": str(directory / "secret")}
    its["SPILLDECK_DASHBOARD__REFRESH_S"] = str(settings.dashboard.refresh_s)
    env, log = os.environ | environment(settings) | its, directory / "log"
    watcher = Begun(["alarms", "watch"], env=env, cwd=directory, stdin=Path(os.devnull), out=log, err=log)
    try:
        yield watcher
    finally:
        watcher.kill()
        watcher.wait()


def test_who_watches_says_so_as_long_as_it_sees_and_is_missed_when_it_is_killed(
    own: tuple[Settings, Redis], hook: Hook, spilldeck_here: Spilldeck, tmp_path: Path
) -> None:
    settings, redis = own

    def said() -> str:
        with Data(settings, explains=False) as data:
            until(lambda: not data.view().is_old)
            return data.view().watching.text

    def speaks() -> bool:
        return watching_of(redis, settings.redis.key_prefix, settings.session, WATCHER_SILENT_S).at_work == 1

    assert said() == "Nobody watches: no alarm is raised"
    with watching(settings, hook, tmp_path) as watcher:
        until(speaks)
        assert said() == "Watched"
        assert "Watched" in done(spilldeck_here("alarms", "list", env=environment(settings)))
        watcher.send_signal(signal.SIGTERM)
        assert watcher.wait(WAIT_S) == 0
    assert said() == "Nobody watches: no alarm is raised"
    with watching(settings, hook, tmp_path):
        until(speaks)
    # It was killed; time goes by.
    key = watchers_key(settings.redis.key_prefix, settings.session)
    (name,) = redis.zrange(key, 0, -1)
    redis.zincrby(key, -1000 * (WATCHER_SILENT_S + 1), name)
    assert said().startswith("Watcher silent since ")
    assert '"Watcher silent since ' in done(spilldeck_here("alarms", "list", "--json", env=environment(settings)))
    assert 0 < redis.ttl(key) <= REMEMBERED_S


def test_who_cannot_see_or_write_does_not_say_that_it_watches(own: tuple[Settings, Redis]) -> None:
    settings, redis = own
    away = settings.kafka.model_copy(update={"bootstrap_servers": f"127.0.0.1:{free_port()}"})
    blind = settings.model_copy(update={"kafka": away})
    with Data(blind, explains=False) as data:
        until(lambda: data.view().observed.kafka_lost_s)
        with pytest.raises(ServerError, match="Kafka"):
            AlarmWatcher(blind, redis, data).watch()
    assert not redis.exists(watchers_key(settings.redis.key_prefix, settings.session))


def test_a_watcher_that_is_killed_between_raising_and_telling_tells_once_with_the_same_id(
    own: tuple[Settings, Redis], hook: Hook, tmp_path: Path
) -> None:
    settings, redis = own
    stored(settings, {RUN: book(50)}, next=50)
    hook.status = 503
    with watching(settings, hook, tmp_path):
        until(lambda: hook.told)
    (alarm,) = alarms_of(settings, redis)
    assert alarm.told_us == ()
    # What the first one was about to tell when it was killed may come still: not to who takes it.
    with listening() as takes, watching(settings, takes, tmp_path) as watcher:
        until(lambda: alarms_of(settings, redis)[0].told_us)
        watcher.send_signal(signal.SIGTERM)
        assert watcher.wait(WAIT_S) == 0
    assert {*hook.ids} == {f"{alarm.id}-0"}
    assert takes.ids == [f"{alarm.id}-0"]
    ((_, signed, body),) = takes.told
    assert signed == f"sha256={signature(SECRET.encode(), body)}"
    said = json.loads(body)
    assert (said["id"], said["text"]) == (f"{alarm.id}-0", alarm.new.words)
    assert said["alarms"][0]["call"]
    log = (tmp_path / "log").read_text()
    assert "the webhook cannot be told" in log
    assert "it answers 503" in log


def with_hook(settings: Settings, address: str, repeat_s: float = 600) -> Settings:
    return settings.model_copy(update={"alarms": AlarmsSettings(webhook=address, repeat_s=repeat_s)})


def test_what_nobody_acknowledges_is_told_again_and_what_is_acknowledged_is_not(
    own: tuple[Settings, Redis], hook: Hook, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings, redis = own
    monkeypatch.setattr("ops.telling.GATHER_S", 600)
    raise_any(settings, redis)
    its = with_hook(settings, hook.address, 1)
    teller = Teller(its, redis, lambda: alarms_of(settings, redis), Webhook(its), heart(its, redis))
    teller.look()
    assert hook.told == []  # it waits for what comes with it
    monkeypatch.setattr("ops.telling.GATHER_S", 0)
    (alarm,) = alarms_of(settings, redis)

    def twice() -> bool:
        teller.look()
        return len(hook.told) == 2

    until(twice)
    assert hook.ids == [f"{alarm.id}-0", f"{alarm.id}-1"]
    decide(settings, redis, acknowledge_action((alarm,), alarm.id, act_id="test-0001", origin="a test"))
    time.sleep(1.1)
    teller.look()
    assert len(hook.told) == 2


def test_whoever_does_not_take_what_is_told_is_asked_again_after_ever_longer(
    own: tuple[Settings, Redis], hook: Hook, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings, redis = own
    monkeypatch.setattr("ops.telling.GATHER_S", 0)
    raise_any(settings, redis)
    its = with_hook(settings, hook.address)
    teller = Teller(its, redis, lambda: alarms_of(settings, redis), Webhook(its), heart(its, redis))
    pauses = []
    for status in (301, 404, 500):
        hook.status = status
        teller.look()
        pauses.append(teller.pause_s)
    assert pauses == [1, 2, 4]
    assert len({*hook.ids}) == 1
    hook.status = 204
    teller.look()
    assert teller.pause_s == 0
    assert alarms_of(settings, redis)[0].told_us


def test_a_webhook_that_answers_a_letter_at_a_time_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dashboards.webhook.ALL_S", 0.5)

    class Drips(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            with suppress(OSError):
                for _ in range(200):
                    self.wfile.write(b"H")
                    time.sleep(0.05)

    with ThreadingHTTPServer(("127.0.0.1", 0), Drips) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        begun = time.monotonic()
        with pytest.raises(FAILS):
            post(SecretStr(f"http://127.0.0.1:{server.server_address[1]}/"), None, "an-id", {})
        assert time.monotonic() - begun < 5.0
        server.shutdown()


def test_of_two_watchers_one_tells_and_the_other_when_that_one_is_gone(
    own: tuple[Settings, Redis], hook: Hook, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings, redis = own
    monkeypatch.setattr("ops.telling.GATHER_S", 0)
    its = with_hook(settings, hook.address)
    hearts = [heart(its, redis) for _ in range(2)]
    for each in (*hearts, *hearts):
        each.beat()
    first, second = sorted(hearts, key=lambda each: each.rank)
    assert (first.rank, second.rank) == (0, 1)
    raise_any(settings, redis)
    one, other = (
        Teller(its, redis, lambda: alarms_of(settings, redis), Webhook(its), its_) for its_ in (first, second)
    )
    other.look()
    assert hook.told == []
    # The first one was killed, and is silent.
    key = watchers_key(settings.redis.key_prefix, settings.session)
    for name, said_ms in redis.zrange(key, 0, -1, withscores=True):
        redis.zadd(key, {name: said_ms - 1000 * (WATCHER_SILENT_S + 1)})
    second.beat()
    other.look()
    one.look()  # it was but stopped, and goes on
    assert hook.ids == [f"{alarms_of(settings, redis)[0].id}-0"]


@pytest.mark.parametrize("off_s", [-7200, 7200])
def test_a_watcher_whose_clock_is_hours_off_goes_by_that_of_redis(
    own: tuple[Settings, Redis], hook: Hook, off_s: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings, redis = own
    monkeypatch.setattr("ops.telling.GATHER_S", 0)
    true_us = time.time_ns() // 1000
    off = SimpleNamespace(time_ns=lambda: time.time_ns() + off_s * 10**9, time=lambda: time.time() + off_s)
    monkeypatch.setattr("streams.books.watchers.time", off)
    monkeypatch.setattr("streams.books.actions.time", off)
    raise_one(settings, redis)
    (alarm,) = alarms_of(settings, redis)
    assert abs(alarm.at_us - true_us) < WAIT_S * 1e6
    its = with_hook(settings, hook.address)
    watcher = heart(its, redis)
    watcher.beat()
    teller = Teller(its, redis, lambda: alarms_of(settings, redis), Webhook(its), watcher)
    for _ in range(2):
        teller.look()
    (alarm,) = alarms_of(settings, redis)
    assert abs(alarm.told_us[0] - true_us) < WAIT_S * 1e6
    assert hook.ids == [f"{alarm.id}-0"]


def test_what_is_no_servers_fault_ends_all_that_watches_with_an_error(
    own: tuple[Settings, Redis], hook: Hook, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings, redis = own

    def fail(_: Teller) -> None:
        raise RuntimeError("a fault of ours")

    monkeypatch.setattr(Teller, "look", fail)
    with pytest.raises(RuntimeError, match="a fault of ours"):
        watch(with_hook(settings, hook.address), redis, threading.Event())
