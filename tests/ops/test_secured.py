"""The whole way of a spill on servers with TLS, certificates on both sides, passwords and rights; what is refused."""

import asyncio
import json
import re
import signal
import socket
import ssl
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import uvloop
from confluent_kafka.admin import (
    AclBinding,
    AclOperation,
    AclPermissionType,
    ResourcePatternType,
    ResourceType,
    ScramCredentialInfo,
    ScramMechanism,
    UserScramCredentialUpsertion,
)
from pydantic import SecretStr

from dashboards.choices import Choices
from dashboards.data.data import Data
from ops.stack import LocalStack, free_port, processes
from ops.stack.access import Access, write_own
from ops.stack.certificates import Authority
from ops.stack.redis import FRONT
from ops.topics import ensure_topics
from streams import kafka, tls
from streams.books import sentinels
from streams.books.connect import PATIENCE_S, check_redis, connect, connect_async
from streams.books.reader import BookReader
from streams.daq.producer import SpillProducer
from streams.errors import ServerError
from streams.kafka.clients import admin
from streams.kafka.records import Records
from streams.settings import KafkaSettings, Mechanism, RedisSettings, Settings, load_settings
from streams.topics import Topics
from tests.conftest import WAIT_S, wait_until_counted
from tests.kafka import messages
from tests.live import small_run
from tests.ops.conftest import Spilldeck, assert_one_sentence
from tests.redis_servers import until
from tests.servers import KIND
from tests.workers import Workers

pytestmark = pytest.mark.servers

RUN = 900_040
WRONG, OF_SCRAM = "wrong-hunter2", "scram-hunter2"
PREFIX = "site."
ANSWER_S = 60
ALLOW = AclPermissionType.ALLOW


@dataclass
class Site:
    """A secured stack, a user of it who may what workers need, and the authority of nobody."""

    stack: LocalStack
    directory: Path

    @property
    def access(self) -> Access:
        return self.stack.access

    def settings(self, *, kafka: Mapping[str, Any] = {}, redis: Mapping[str, Any] = {}) -> Settings:
        """Return those of the stack's own user, with changes."""
        ours = self.access.kafka.model_dump() | {"topic_prefix": PREFIX}
        return load_settings(
            kafka=KafkaSettings(**ours | kafka), redis=RedisSettings(**self.access.redis.model_dump() | redis)
        )

    def file(self, settings: Settings, name: str = "site") -> dict[str, str]:
        """Write a settings file as a site would, its passwords in files; return the environment that names it."""
        lines = []
        for section in ("kafka", "redis"):
            its = getattr(settings, section)
            lines.append(f"[{section}]")
            for key in sorted(its.model_fields_set):
                value = getattr(its, key)
                if key in {"password", "key_password"}:
                    secret = self.directory / f"{name}-{section}-{key}"
                    if value.get_secret_value():
                        write_own(secret, value.get_secret_value().encode())
                        lines.append(f'{key}_file = "{secret.name}"')
                elif value is not None:
                    plain = value.get_secret_value() if isinstance(value, SecretStr) else value
                    is_toml = isinstance(plain, bool | int | float | list)
                    lines.append(f"{key} = {json.dumps(plain if is_toml else str(plain))}")
        (self.directory / f"{name}.toml").write_text("\n".join(lines))
        return {"SPILLDECK_CONFIG": str(self.directory / f"{name}.toml")}

    @contextmanager
    def hung_redis(self) -> Iterator[None]:
        """Have what speaks TLS for Redis take connections, and answer nothing."""
        front = processes.find(FRONT, self.stack.directory)
        assert front is not None
        front.send(signal.SIGSTOP)
        try:
            yield
        finally:
            front.send(signal.SIGCONT)


@pytest.fixture(scope="module")
def site(servers_can_be_had: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    directory = tmp_path_factory.mktemp("site")
    with LocalStack(directory / "stack", free_port(), free_port(), secure=True) as stack:
        site = Site(stack, directory)
        client = admin(site.access.kafka)
        for mechanism in (ScramMechanism.SCRAM_SHA_256, ScramMechanism.SCRAM_SHA_512):
            its = ScramCredentialInfo(mechanism, 4096)
            asked = [UserScramCredentialUpsertion(user, its, OF_SCRAM.encode()) for user in ("worker", "stranger")]
            for future in client.alter_user_scram_credentials(asked).values():
                future.result(ANSWER_S)
        rights = [
            AclBinding(kind, PREFIX, ResourcePatternType.PREFIXED, "User:worker", "*", AclOperation.ALL, ALLOW)
            for kind in (ResourceType.TOPIC, ResourceType.GROUP)
        ]
        for future in client.create_acls(rights).values():
            future.result(ANSWER_S)
        with connect(site.settings()) as redis:
            redis.acl_setuser("worker", enabled=True, passwords=[f"+{OF_SCRAM}"], keys=["spilldeck*"], channels=["*"],
                              categories=["+@all", "-@dangerous"], commands=["+info", "+config|get"])  # fmt: skip
            redis.acl_setuser("stranger", enabled=True, passwords=[f"+{OF_SCRAM}"], categories=["+@connection"])
        yield site


def of_user(site: Site, user: str, mechanism: Mechanism = Mechanism.SCRAM_SHA_512) -> Settings:
    who = {"user": user, "password": OF_SCRAM}
    return site.settings(kafka=who | {"mechanism": mechanism}, redis=who)


@pytest.mark.timeout(300)  # a worker, and nine commands, on a machine that may be busy
def test_a_spill_goes_its_whole_way_by_a_user_with_no_more_rights_than_needed(
    site: Site, spilldeck_here: Spilldeck, tmp_path: Path
) -> None:
    settings = of_user(site, "worker")
    env = site.file(settings, "worker")
    assert spilldeck_here("topics", "apply", env=env).returncode == 0
    workers = Workers(None, tmp_path, env)
    workers.start()
    try:
        with SpillProducer(settings) as sender:
            for record in small_run(RUN):
                sender.send(record)
        with connect(settings) as redis:
            wait_until_counted(settings, BookReader.of(redis, settings))
        for command, said in (
            (f"verify {RUN} --workers 1", "identical"),
            (f"replay {RUN} --name again --workers 1", ""),
            ("replays list", "again"),
            ("runs list", str(RUN)),
            ("topics diff", ""),
            ("rejected list", str(RUN)),
            ("alarms list", ""),
            ("books --deep", ""),
        ):
            done = spilldeck_here(*command.split(), env=env)
            assert done.returncode == 0, (command, done.stderr, workers.log(0))
            assert said in done.stdout
        with Data(settings) as data:
            view = data.view(Choices(run=RUN))
        assert view.is_stored
        assert view.warnings == ()
        workers.kill(0)
        until(lambda: "its partitions move now" in workers.log(0))
        assert not re.search(OF_SCRAM, workers.log(0))
    finally:
        workers.stop()


@pytest.mark.parametrize("mechanism", Mechanism)
def test_both_libraries_show_a_password_in_each_way(site: Site, mechanism: Mechanism) -> None:
    ensure_topics(site.settings())
    settings = site.settings() if mechanism is Mechanism.PLAIN else of_user(site, "worker", mechanism)
    topic = Topics.of(settings).schemas
    with closing(kafka.reader(settings)) as consumer:
        before = kafka.span(consumer, topic, 0)[1]
    client = kafka.writer(settings)
    client.produce(topic, b"value", key=b"key", partition=0)
    assert client.flush(ANSWER_S) == 0
    assert [m.offset() for m in messages(settings, topic)][-1:] == [before]


def test_nobody_waits_for_a_master_that_hangs_to_say_goodbye_by_tls(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    own, place = site.settings().redis, ("127.0.0.1", site.stack.redis_port)
    reached = own.model_copy(update={"url": SecretStr("rediss://Main/0"), "sentinels": ["127.0.0.1:1"]})
    settings = site.settings().model_copy(update={"redis": reached})
    said = [place]  # no Redis of a package speaks TLS to a sentinel

    async def ask(*_: object) -> tuple[str, int]:
        return said[-1]

    async def move() -> float:
        async with connect_async(settings) as redis:
            await redis.ping()
            said.append(("127.0.0.1", free_port()))
            with site.hung_redis():
                began_s = time.monotonic()
                await redis.connection_pool.get_master_address()
                return time.monotonic() - began_s

    monkeypatch.setattr(sentinels.AsyncSentinels, "discover_master", ask)
    assert asyncio.run(move()) < PATIENCE_S / 2


def test_a_reader_of_a_worker_does_not_wait_for_the_other_end_of_tls(site: Site) -> None:
    settings = site.settings()
    ensure_topics(settings)
    servers, topic = [settings.kafka.bootstrap_servers], Topics.of(settings).runs
    before = asyncio.get_event_loop_policy()
    asyncio.set_event_loop_policy(uvloop.EventLoopPolicy())  # as in a worker
    try:
        with closing(Records(settings.kafka, servers, topic, 0, 0, ANSWER_S)) as reader:
            while reader.next() is not None:
                pass
            # With uvloop's one end in fourteen takes ten seconds.
            assert isinstance(reader._loop, asyncio.SelectorEventLoop)
    finally:
        asyncio.set_event_loop_policy(before)


class Expired:
    """Takes connections with a certificate of yesterday."""

    def __init__(self, site: Site) -> None:
        authority = Authority.new("expired")
        self.ca, own = site.directory / "expired-ca.pem", site.directory / "expired.pem"
        signed = authority.sign("server", ["127.0.0.1"], valid=timedelta(days=-1))
        self.ca.write_bytes(authority.pem)
        write_own(own, signed.key + signed.certificate)
        self._context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        self._context.load_cert_chain(own)
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._socket.getsockname()[1]
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            try:
                client, _ = self._socket.accept()
            except OSError:
                return
            with closing(client):
                client.settimeout(2)
                try:
                    self._context.wrap_socket(client, server_side=True).close()
                except OSError:
                    continue

    def close(self) -> None:
        self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()


@pytest.fixture(scope="module")
def expired(site: Site) -> Iterator[Expired]:
    server = Expired(site)
    yield server
    server.close()


@pytest.fixture(scope="module")
def foreign(site: Site) -> dict[str, Path]:
    """Return the authority of somebody else, and what it signed for us."""
    authority = Authority.new("somebody else")
    signed = authority.sign("spilldeck")
    files = {name: site.directory / f"foreign-{name}.pem" for name in ("ca", "certificate", "key")}
    for name, content in (("ca", authority.pem), ("certificate", signed.certificate), ("key", signed.key)):
        write_own(files[name], content)
    return files


TLS_CASES = {
    "another authority": "its certificate is of nobody whom {}.ca knows",
    "no authority": "its certificate is of nobody whom this machine trusts .*give {}.ca",
    "another name": "its certificate is for another name .*localhost",
    "expired": "its certificate has expired: have it renewed",
    "no certificate of ours": "it wants a certificate of ours .*give {}.certificate and {}.key",
    "a foreign certificate of ours": "it does not take our certificate .*correct {}.certificate and {}.key",
    "no TLS here": "it speaks TLS: {}",
    "no TLS there": "it speaks no TLS: {}",
    "wrong password": "refuses .*correct .*{}",
}
TO_DO = {
    ("kafka", "no TLS here"): "set kafka.protocol to ssl or sasl_ssl",
    ("redis", "no TLS here"): "have redis.url begin with rediss://",
    ("kafka", "no TLS there"): "correct kafka.protocol",
    ("redis", "no TLS there"): "have redis.url begin with redis://",
}


def changes(section: str, case: str, site: Site, other: LocalStack, foreign: dict[str, Path], expired: Expired) -> Any:
    port = {"kafka": site.stack.kafka_port, "redis": site.stack.redis_port}[section]
    plain = {"kafka": other.kafka_port, "redis": other.redis_port}[section]

    def at(host: str, port: int, scheme: str = "rediss") -> dict[str, str]:
        return {"bootstrap_servers": f"{host}:{port}"} if section == "kafka" else {"url": f"{scheme}://{host}:{port}/0"}

    nobody = (
        {"protocol": "plaintext", "user": "", "password": ""} if section == "kafka" else at("127.0.0.1", port, "redis")
    )
    return {
        "another authority": {"ca": foreign["ca"]},
        "no authority": {"ca": None},
        "another name": at("localhost", port),
        "expired": at("127.0.0.1", expired.port) | {"ca": expired.ca},
        "no certificate of ours": {"certificate": None, "key": None},
        "a foreign certificate of ours": {"certificate": foreign["certificate"], "key": foreign["key"]},
        "no TLS here": nobody | {"ca": None, "certificate": None, "key": None},
        "no TLS there": at("127.0.0.1", plain),
        "wrong password": {"password": WRONG},
    }[case]


@pytest.mark.usefixtures("quickly")
@pytest.mark.parametrize("case", TLS_CASES)
@pytest.mark.parametrize("section", ["kafka", "redis"])
def test_what_is_wrong_with_how_a_server_is_reached_is_said_in_words(
    site: Site,
    stack: LocalStack,
    foreign: dict[str, Path],
    expired: Expired,
    spilldeck_here: Spilldeck,
    monkeypatch: pytest.MonkeyPatch,
    section: str,
    case: str,
) -> None:
    if case == "no TLS there" and KIND == "secured":
        pytest.skip("the servers that tests share speak TLS, too")
    if case != "no TLS there":  # it says nothing to who greets it by TLS
        monkeypatch.setattr(tls, "CONNECT_S", WAIT_S)
    if case == "wrong password":
        monkeypatch.setattr(kafka, "REFUSED_S", WAIT_S)
    changed = changes(section, case, site, stack, foreign, expired)
    settings = site.settings(kafka=changed) if section == "kafka" else site.settings(redis=changed)
    command = ("topics", "plan") if section == "kafka" else ("runs", "list")
    line = assert_one_sentence(spilldeck_here(*command, env=site.file(settings, "wrong")), 3)
    assert re.search(TLS_CASES[case].replace("{}", TO_DO.get((section, case), section)), line), line
    assert "spilldeck up" not in line
    for secret in (WRONG, site.access.kafka.password, site.access.redis.password):
        assert (secret if isinstance(secret, str) else secret.get_secret_value()) not in line


def test_who_has_no_right_is_told_so(site: Site, spilldeck_here: Spilldeck) -> None:
    ensure_topics(site.settings())
    stranger = of_user(site, "stranger")
    with pytest.raises(ServerError, match=r"does not let user stranger do this .*authorization.*: have .* \(ACL\)"):
        SpillProducer(stranger)
    env = site.file(stranger, "stranger")
    line = assert_one_sentence(spilldeck_here("runs", "list", env=env), 3)
    assert re.search(r"does not let its user do this .*: give the user the right \(ACL\)", line)
    line = assert_one_sentence(spilldeck_here("topics", "apply", env=env), 3)
    assert "Authorization failed" in line


@pytest.mark.usefixtures("quickly")
@pytest.mark.parametrize("command", ["worker", "simulate --spills 1", "produce {}", "books", "keeper", "alarms watch"])
def test_each_command_says_that_a_password_is_wrong(
    site: Site, spilldeck_here: Spilldeck, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    monkeypatch.setattr(kafka, "REFUSED_S", WAIT_S)
    monkeypatch.setattr(tls, "CONNECT_S", WAIT_S)
    (tmp_path / "spill.json").write_text("{}")
    wrong = site.settings(kafka={"password": WRONG}, redis={"password": WRONG})
    words = command.format(tmp_path / "spill.json").split()
    line = assert_one_sentence(spilldeck_here(*words, env=site.file(wrong, "wrong")), 3)
    assert re.search("it refuses (user spilldeck by PLAIN|who asks)", line)
    assert WRONG not in line


def test_status_and_the_page_say_that_a_password_is_wrong(site: Site, spilldeck_here: Spilldeck) -> None:
    wrong = site.settings(kafka={"password": WRONG}, redis={"password": WRONG})
    env = site.file(wrong, "wrong") | {"SPILLDECK_LOCAL__DIRECTORY": str(site.directory / "none")}
    assert "it refuses who asks (" in spilldeck_here("status", env=env).stdout
    deadline = time.monotonic() + WAIT_S
    with Data(wrong) as data:
        while "Kafka lets" not in (warnings := "\n".join(data.view(Choices()).warnings)):
            assert time.monotonic() < deadline, warnings
            time.sleep(0.1)
    assert "The store (Redis) lets nobody in from here (it refuses who asks" in warnings
    assert "Kafka lets nobody in from here (it refuses user spilldeck by PLAIN" in warnings
    assert WRONG not in warnings


def test_the_files_of_a_stack_are_for_its_user_alone(site: Site, stack: LocalStack) -> None:
    for directory in (site.stack.directory, stack.directory):
        there = [path for path in directory.rglob("*") if not path.is_symlink()]
        assert {"servers.toml", "redis.conf", "server.properties"} <= {path.name for path in there}
        assert [path for path in there if path.stat().st_mode & 0o077] == []


def test_no_command_line_of_a_server_has_a_password(site: Site) -> None:
    for name in ("kafka", "redis", "redis-tls"):
        process = processes.find(name, site.stack.directory)
        assert process is not None
        line = Path(f"/proc/{process.pid}/cmdline").read_text()
        for secret in (site.access.kafka.password, site.access.redis.password):
            assert secret.get_secret_value() not in line


def test_config_show_has_no_secret(site: Site, spilldeck_here: Spilldeck) -> None:
    for extra in ([], ["--json"]):
        said = spilldeck_here("config", "show", *extra, env=site.file(site.settings(), "shown")).stdout
        assert "redis.password" in said
        for secret in (site.access.kafka.password, site.access.redis.password):
            assert secret.get_secret_value() not in said


@pytest.mark.parametrize("who", ["", ":wrong@", "spilldeck:wrong@"])
def test_the_local_redis_asks_for_a_password(stack: LocalStack, who: str) -> None:
    own = stack.access.redis
    url = SecretStr(own.url.get_secret_value().replace("//", f"//{who}"))
    settings = load_settings(redis=own.model_copy(update={"url": url, "user": "", "password": SecretStr("")}))
    with pytest.raises(ServerError, match=r"it refuses who asks .*: correct user and password, in redis\.url"):
        check_redis(settings)


def test_a_stack_that_runs_is_not_taken_for_one_of_the_other_kind(site: Site) -> None:
    with pytest.raises(ServerError, match="runs with --secure: run spilldeck down first"):
        LocalStack(site.stack.directory, site.stack.kafka_port, site.stack.redis_port).start(keep=True)


def test_the_worker_s_client_of_redis_speaks_tls_too(site: Site) -> None:
    async def ask() -> bool:
        async with connect_async(site.settings()) as redis:
            return bool(await redis.ping())

    assert asyncio.run(ask())
