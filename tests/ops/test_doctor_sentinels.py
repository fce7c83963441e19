"""spilldeck doctor, where Redis has sentinels: each trouble of theirs is made on real servers, and named."""

import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from ops.doctor import look
from ops.doctor.host import SETTINGS
from ops.doctor.servers import REDIS, SENTINELS
from ops.doctor.troubles import BY_ID
from ops.stack import free_port
from streams.settings import load_settings
from tests.redis_servers import NAME, WAIT_S, Replicated, client, sentinel, until
from tests.servers import environment

pytestmark = pytest.mark.servers

CHECKS = (SETTINGS, SENTINELS, REDIS)
LAG_S = 2


@dataclass
class Shift:
    """A master with its replica and sentinels, where all is well, and how to make something of it otherwise."""

    group: Replicated
    patch: pytest.MonkeyPatch
    undo: ExitStack = field(default_factory=ExitStack)

    def reach(self, *sentinels: int, **others: str) -> None:
        """Have the settings name these sentinels."""
        named = json.dumps([f"127.0.0.1:{port}" for port in sentinels])
        for name, value in ({"sentinels": named} | others).items():
            self.patch.setenv(f"SPILLDECK_REDIS__{name.upper()}", value)


@pytest.fixture(scope="module")
def group(servers_can_be_had: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Replicated]:
    group = Replicated(tmp_path_factory.mktemp("sentinels"), as_at_a_site=True)
    yield group
    group.end()


@pytest.fixture
def shift(group: Replicated, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Shift]:
    monkeypatch.chdir(tmp_path)
    for name, value in environment(load_settings(redis=group.settings("test"))).items():
        monkeypatch.setenv(name, value)
    for name in ("producer__journals", "dashboard__references", "access__directory", "releases__directory"):
        monkeypatch.setenv(f"SPILLDECK_{name.upper()}", str(tmp_path / name))
    monkeypatch.setenv("SPILLDECK_LOCAL__DIRECTORY", str(tmp_path / "none"))
    monkeypatch.setattr("ops.doctor.servers.LAG_S", LAG_S)
    its = Shift(group, monkeypatch)
    with its.undo:
        yield its


def _one_away(shift: Shift) -> None:
    shift.reach(free_port(), *shift.group.sentinels)


def _all_away(shift: Shift) -> None:
    shift.reach(free_port(), free_port())


def _hung(shift: Shift) -> None:
    shift.undo.enter_context(shift.group.hung(shift.group.sentinels[0]))


def _other_name(shift: Shift) -> None:
    shift.reach(*shift.group.sentinels, url="redis://spilldeck-master/0")


def _another_group(shift: Shift) -> None:
    shift.reach(*shift.group.sentinels, shift.group.stranger())


def _no_quorum(shift: Shift) -> None:
    def ask_for(quorum: int) -> None:
        for port in shift.group.sentinels:
            sentinel(port).sentinel_set(NAME, "quorum", quorum)

    ask_for(4)
    shift.undo.callback(ask_for, 2)


def _wrong_password(shift: Shift) -> None:
    shift.reach(*shift.group.sentinels, sentinel_password="wrong-hunter2")


def _splits(shift: Shift) -> None:
    client(shift.group.master).config_set("min-replicas-to-write", 0)
    shift.undo.callback(client(shift.group.master).config_set, "min-replicas-to-write", 1)


def _pauses(shift: Shift) -> None:
    client(shift.group.master).config_set("repl-diskless-sync-delay", 5)
    shift.undo.callback(client(shift.group.master).config_set, "repl-diskless-sync-delay", 0)


def _replica_hangs(shift: Shift) -> None:
    shift.undo.enter_context(shift.group.hung(shift.group.replica))
    until(lambda: client(shift.group.master).info("replication")["slave0"]["lag"] > LAG_S)


def _no_replica(shift: Shift) -> None:
    shift.undo.callback(until, lambda: client(shift.group.master).info("replication")["connected_slaves"])
    shift.undo.enter_context(shift.group.hung(shift.group.replica))  # it would be back at once
    client(shift.group.master).client_kill_filter(_type="replica")
    until(lambda: not client(shift.group.master).info("replication")["connected_slaves"])


MADE: tuple[tuple[str, Callable[[Shift], None], str], ...] = (
    ("sentinels.away", _one_away, "1 of 4 sentinels do not answer: 127.0.0.1:"),
    ("sentinels.away", _all_away, "2 of 2 sentinels do not answer: 127.0.0.1:"),
    ("sentinels.away", _hung, "1 of 3 sentinels do not answer: 127.0.0.1:"),
    ("sentinels.master", _other_name, "no sentinel knows a master spilldeck-master: "),
    ("sentinels.differ", _another_group, f"{NAME} is 127.0.0.1:"),
    ("sentinels.quorum", _no_quorum, "Not enough available Sentinels"),
    ("redis.refuses", _wrong_password, "a sentinel refuses who asks"),
    ("redis.splits", _splits, "cut off from its replicas, it goes on taking what is lost"),
    ("redis.pauses", _pauses, "that takes nothing for 5 s more"),
    ("redis.replicas", _replica_hangs, "no replica has followed the master for 2 s"),
    ("redis.replicas", _no_replica, "no replica follows the master"),
)


@pytest.mark.parametrize(("trouble", "make", "words"), MADE, ids=[f"{t}-{m.__name__}" for t, m, _ in MADE])
def test_what_is_wrong_with_sentinels_is_told_and_what_follows_from_it_is_not(
    shift: Shift, trouble: str, make: Callable[[Shift], None], words: str
) -> None:
    # What is looked at here is what is said; how soon, others look at. Nobody is waited for but who does not hang.
    if make is not _hung:
        shift.patch.setattr("streams.books.sentinels.PATIENCE_S", WAIT_S)
    shift.patch.setattr("ops.doctor.looking.ALL_S", WAIT_S)
    make(shift)
    found = [each for each in look(checks=[replace(each, bound_s=WAIT_S) for each in CHECKS])[0] if each.is_wrong]
    assert [each.id for each in found] == [trouble], found
    assert words in found[0].words
    assert "hunter2" not in found[0].words
    assert found[0].advice == BY_ID[trouble].advice


def test_where_all_is_well_it_is_said_where_the_master_is(shift: Shift) -> None:
    until(shift.group.is_whole)
    found = {each.id: each for each in look(checks=CHECKS)[0]}
    assert not [each for each in found.values() if each.is_wrong]
    assert found["sentinels"].words == f"all 3 have {NAME} at 127.0.0.1:{shift.group.master}"
    assert f"{NAME}/0 by the sentinels 127.0.0.1:" in found["Redis"].words
