"""What somebody logs is told to the site's logbook: signed, again and again, and never in anybody's way."""

import json
import time
from pathlib import Path
from typing import Any

import pytest

from dashboards import logbook as module
from dashboards import webhook
from dashboards.logbook import GONE, PICTURES, Logbook
from dashboards.webhook import signature
from ops.stack import free_port
from streams.books.notes import Note, find
from streams.errors import ServerError, UsageError
from streams.settings import DashboardSettings, LogbookSettings, load_settings
from tests.ops.test_alarms import SECRET, Hook, hook

__all__ = ["hook"]
WAIT_S = 20.0


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(webhook, "PAUSE_S", 0.05)
    monkeypatch.setattr(webhook, "LONGEST_PAUSE_S", 0.1)
    monkeypatch.setattr(module, "LOOK_S", 0.02)


class Record:
    """What Kafka knows of notes."""

    def __init__(self, *notes: Note) -> None:
        self.notes = notes
        self.asked = 0
        self.is_away = False

    def note(self, note: Note) -> None:
        self.asked += 1
        if self.is_away:
            raise ServerError("Kafka does not answer")
        its = find(self.notes, note.id)
        if its is not None and not its.waits:
            raise UsageError("the logbook has it already")
        others = (each for each in self.notes if each.id != note.id)
        self.notes = (*others, note._replace(logged_us=1))


def noted(number: int = 1, text: str = "one", age_s: float = 0.0) -> Note:
    at_us = time.time_ns() // 1000 - round(1_000_000 * age_s)
    return Note(f"entry-{number:04}", 5, text, "hslabhits10", "anna", at_us, "/plot/hslabhits10?run=5", to_log=True)


def logbook(address: str | None, secret: Path | None = None, record: Record | None = None) -> Logbook:
    its, there = LogbookSettings(webhook=address, secret_file=secret), record or Record()  # type: ignore[arg-type]
    page = DashboardSettings(url="https://deck.example.org")
    return Logbook(load_settings(logbook=its, dashboard=page), lambda: there.notes, there.note)


def until(book: Logbook, entry_id: str, **wanted: Any) -> dict[str, Any]:
    deadline = time.monotonic() + WAIT_S
    while True:
        its = book.state(entry_id)
        assert its is not None
        if wanted.items() <= its.items():
            return its
        assert time.monotonic() < deadline, its
        time.sleep(0.02)


def until_noted(record: Record, entry_id: str) -> None:
    deadline = time.monotonic() + WAIT_S
    while (its := find(record.notes, entry_id)) is None or its.waits:
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_28_an_entry_is_told_once_signed_with_all_that_was_said(hook: Hook, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.touch(0o600)
    secret.write_text(f"{SECRET}\n")
    record, its = Record(), noted(text="the beam <b>came back</b>")
    book = logbook(hook.address, secret, record)
    for _ in range(3):
        book.tell(its, "iVBO")
        until(book, its.id, told=True)
    until_noted(record, its.id)
    link = "https://deck.example.org/plot/hslabhits10?run=5"
    ((told_id, signed, body),) = hook.told
    said = {"id": its.id, "who": "anna", "at_us": its.at_us, "run": 5, "text": f"Run 5: {its.text} {link}"}
    assert told_id == its.id
    assert json.loads(body) == said | {
        "note": its.text,
        "plot": "hslabhits10",
        "link": link,
        "picture": "iVBO",
    }
    assert signed == f"sha256={signature(SECRET.encode(), body)}"
    assert book.state("entry-0002") is None


def test_28_what_is_not_taken_is_told_why_and_again_until_it_is(hook: Hook) -> None:
    book = logbook(hook.address)
    for status in (500, 404, 302):
        hook.status = status
        book.tell(noted(), "")
        assert until(book, "entry-0001", why=f"it answers {status}")["waits"]
    begun = time.monotonic()
    book.tell(noted(2), "")
    assert time.monotonic() - begun < 1.0  # it waits for nobody
    hook.status = 200
    until(book, "entry-0001", told=True, why="", waits=False)
    until(book, "entry-0002", told=True)
    assert {*hook.ids} == {"entry-0001", "entry-0002"}


def test_28_what_nobody_takes_for_long_is_given_up_and_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "GIVE_UP_S", 1.0)
    book = logbook(f"http://127.0.0.1:{free_port()}/")
    book.tell(noted(), "")
    its = until(book, "entry-0001", waits=False)
    assert not its["told"]
    assert "refused" in its["why"]


def test_28_a_page_that_begins_anew_tells_what_waits_by_the_record_once_and_nothing_else(
    hook: Hook, monkeypatch: pytest.MonkeyPatch
) -> None:
    hook.status = 500
    record = Record(
        noted(1, age_s=9),
        noted(2, age_s=9)._replace(to_log=False),
        noted(3, age_s=9)._replace(logged_us=1),
        noted(4, age_s=2 * module.GIVE_UP_S),
        noted(5, age_s=1),
    )
    monkeypatch.setattr(module, "ORPHAN_S", 8.0)
    book, another = (logbook(hook.address, record=record) for _ in range(2))
    until(book, "entry-0001", why="it answers 500", waits=True)
    assert book.state("entry-0002") is None
    assert [book.state(f"entry-000{number}") for number in (3, 4, 5)] == [
        {"told": True, "waits": False, "why": ""},
        {"told": False, "waits": False, "why": GONE},
        {"told": False, "waits": True, "why": GONE},  # whoever took it may be at it
    ]
    monkeypatch.setattr(module, "ORPHAN_S", 0.0)
    until(book, "entry-0005", why="it answers 500")
    record.is_away, hook.status = True, 200
    until(book, "entry-0001", told=True)
    until(book, "entry-0005", told=True)
    deadline = time.monotonic() + WAIT_S
    while record.asked < 5:
        assert time.monotonic() < deadline
        time.sleep(0.02)
    told = len(hook.told)
    record.is_away = False
    for number in (1, 5):
        until_noted(record, f"entry-000{number}")
        until(another, f"entry-000{number}", told=True, waits=False)
    assert len(hook.told) == told  # that it was told could not be noted at first, and it was not told again for that
    assert {*hook.ids} == {"entry-0001", "entry-0005"}
    assert {json.loads(body)["picture"] for _, _, body in hook.told} == {""}


def test_28_a_secret_that_others_may_read_signs_nothing(hook: Hook, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text(SECRET)
    secret.chmod(0o644)
    book = logbook(hook.address, secret)
    book.tell(noted(), "")
    assert SECRET not in until(book, "entry-0001", told=False)["why"]
    deadline = time.monotonic() + WAIT_S
    while not (its := book.state("entry-0001") or {})["why"]:
        assert time.monotonic() < deadline
        time.sleep(0.02)
    assert "others may read" in its["why"]
    assert hook.told == []
    secret.chmod(0o600)
    until(book, "entry-0001", told=True)


def test_28_only_the_newest_pictures_are_kept_and_every_entry_is_told(hook: Hook) -> None:
    book = logbook(hook.address)
    hook.status = 500
    for number in range(PICTURES + 2):
        book.tell(noted(number), "iVBO")
    until(book, "entry-0000", why="it answers 500")
    hook.status = 200
    hook.told.clear()
    for number in range(PICTURES + 2):
        until(book, f"entry-{number:04}", told=True)
    pictures = {told_id: json.loads(body)["picture"] for told_id, _, body in hook.told}
    assert [pictures[f"entry-{number:04}"] for number in range(4)] == ["", "", "iVBO", "iVBO"]


def test_28_without_a_logbook_nothing_is_told() -> None:
    none = logbook(None, record=Record(noted(1, age_s=100)._replace(to_log=False)))
    none.tell(noted(2), "")
    assert none.state("entry-0002") is None
    assert not none.is_there
