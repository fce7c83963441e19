"""What somebody logs is told to the site's logbook: signed, again and again, and never in anybody's way."""

import json
import time
from pathlib import Path
from typing import Any

import pytest

from dashboards import logbook as module
from dashboards import webhook
from dashboards.logbook import KEPT, Logbook
from dashboards.webhook import signature
from ops.stack import free_port
from streams.settings import LogbookSettings, load_settings
from tests.ops.test_alarms import SECRET, Hook, hook

__all__ = ["hook"]
WAIT_S = 20.0


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(webhook, "PAUSE_S", 0.05)
    monkeypatch.setattr(webhook, "LONGEST_PAUSE_S", 0.1)


def logbook(address: str | None, secret: Path | None = None) -> Logbook:
    return Logbook(load_settings(logbook=LogbookSettings(webhook=address, secret_file=secret)))  # type: ignore[arg-type]


def until(book: Logbook, entry_id: str, **wanted: Any) -> dict[str, Any]:
    deadline = time.monotonic() + WAIT_S
    while True:
        its = book.state(entry_id)
        assert its is not None
        if wanted.items() <= its.items():
            return its
        assert time.monotonic() < deadline, its
        time.sleep(0.02)


def test_28_an_entry_is_told_once_signed_with_all_that_was_said(hook: Hook, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.touch(0o600)
    secret.write_text(f"{SECRET}\n")
    book, said = logbook(hook.address, secret), {"text": "Run 5: the beam <b>came back</b>", "picture": "iVBO"}
    for _ in range(3):
        book.tell("entry-0001", said)
        until(book, "entry-0001", told=True)
    ((told_id, signed, body),) = hook.told
    assert (told_id, json.loads(body)) == ("entry-0001", said)
    assert signed == f"sha256={signature(SECRET.encode(), body)}"
    assert book.state("entry-0002") is None


def test_28_what_is_not_taken_is_told_why_and_again_until_it_is(hook: Hook) -> None:
    book = logbook(hook.address)
    for status in (500, 404, 302):
        hook.status = status
        book.tell("entry-0001", {"text": "one"})
        assert until(book, "entry-0001", why=f"it answers {status}")["waits"]
    begun = time.monotonic()
    book.tell("entry-0002", {"text": "two"})
    assert time.monotonic() - begun < 1.0  # it waits for nobody
    hook.status = 200
    until(book, "entry-0001", told=True, why="", waits=False)
    until(book, "entry-0002", told=True)
    assert {*hook.ids} == {"entry-0001", "entry-0002"}


def test_28_what_nobody_takes_for_long_is_given_up_and_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "GIVE_UP_S", 0.0)
    book = logbook(f"http://127.0.0.1:{free_port()}/")
    book.tell("entry-0001", {"text": "one"})
    its = until(book, "entry-0001", waits=False)
    assert not its["told"]
    assert "refused" in its["why"]


def test_28_a_secret_that_others_may_read_signs_nothing(hook: Hook, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text(SECRET)
    secret.chmod(0o644)
    book = logbook(hook.address, secret)
    book.tell("entry-0001", {"text": "one"})
    assert SECRET not in until(book, "entry-0001", told=False)["why"]
    deadline = time.monotonic() + WAIT_S
    while not (its := book.state("entry-0001") or {})["why"]:
        assert time.monotonic() < deadline
        time.sleep(0.02)
    assert "others may read" in its["why"]
    assert hook.told == []
    secret.chmod(0o600)
    until(book, "entry-0001", told=True)


def test_28_only_the_newest_are_remembered_and_without_a_logbook_none(hook: Hook) -> None:
    book = logbook(hook.address)
    hook.status = 500
    for number in range(KEPT + 2):
        book.tell(f"entry-{number:04}", {})
    assert [book.state(f"entry-{number:04}") is None for number in range(4)] == [True, True, False, False]
    hook.status = 200
    for number in range(2, KEPT + 2):
        until(book, f"entry-{number:04}", told=True)
    none = logbook(None)
    none.tell("entry-0001", {})
    assert none.state("entry-0001") is None
    assert not none.is_there
