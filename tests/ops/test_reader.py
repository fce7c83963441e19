"""Who may only read in Redis reads: what the commands and the page show needs no right to write."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from dashboards.choices import Choices
from dashboards.data import Data
from streams.books.connect import masters
from streams.settings import Settings
from tests.live import RUNS, Live
from tests.ops.conftest import Spilldeck
from tests.servers import environment

pytestmark = pytest.mark.servers

RIGHTS: dict[str, Any] = {
    "categories": ["+@read", "+@connection", "+@transaction", "+@pubsub"],
    "keys": ["*"],
    "channels": ["*"],
    "commands": ["+cluster|slots"],
}


@pytest.fixture
def reader(live: Live) -> Iterator[Settings]:
    """Return settings with a user of Redis who may only read."""
    for master in masters(live.redis):
        master.acl_setuser("reader", enabled=True, passwords=["+right"], **RIGHTS)
    its = live.settings.redis
    scheme, _, rest = its.url.get_secret_value().partition("://")
    user = {"url": SecretStr(f"{scheme}://{rest.rpartition('@')[2]}"), "user": "reader", "password": SecretStr("right")}
    yield live.settings.model_copy(update={"redis": its.model_copy(update=user)})
    for master in masters(live.redis):
        master.acl_deluser("reader")


@pytest.mark.parametrize(
    "command", ["runs list", f"runs show {RUNS[0]}", "books", "replays list", f"export {RUNS[0]} --format json --out"]
)
def test_a_reader_reads(spilldeck_here: Spilldeck, live: Live, reader: Settings, tmp_path: Path, command: str) -> None:
    arguments = [*command.split(), *([str(tmp_path)] if command.endswith("--out") else [])]
    done = spilldeck_here(*arguments, env=live.env | environment(reader))
    assert done.returncode == 0, done.stderr


def test_the_page_of_a_reader_shows_what_there_is(live: Live, reader: Settings) -> None:
    with Data(reader) as data:
        view = data.view(Choices(run=RUNS[0]))
    assert view.is_stored
    assert view.book.totals.filled
    assert view.warnings == ()


def test_what_a_reader_may_not_do_is_said(spilldeck_here: Spilldeck, live: Live, reader: Settings) -> None:
    done = spilldeck_here("verify", str(RUNS[0]), env=live.env | environment(reader))
    assert done.returncode == 3
    assert "does not let its user do this" in done.stderr
