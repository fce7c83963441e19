"""Who may only read in Redis reads: what the commands and the page show needs no right to write."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from pydantic import SecretStr

from dashboards.choices import Choices
from dashboards.data import Data
from streams.settings import load_settings
from tests.live import RUNS, Live
from tests.ops.conftest import Spilldeck

pytestmark = pytest.mark.servers

RIGHTS: dict[str, Any] = {
    "categories": ["+@read", "+@connection", "+@transaction", "+@pubsub"],
    "keys": ["*"],
    "channels": ["*"],
}


@pytest.fixture
def reader(live: Live) -> Iterator[str]:
    """Return the address of Redis with a user who may only read."""
    live.redis.acl_setuser("reader", enabled=True, passwords=["+right"], **RIGHTS)
    url = urlsplit(live.settings.redis.url.get_secret_value())
    yield url._replace(netloc=f"reader:right@{url.hostname}:{url.port}").geturl()
    live.redis.acl_deluser("reader")


@pytest.mark.parametrize(
    "command", ["runs list", f"runs show {RUNS[0]}", "books", "replays list", f"export {RUNS[0]} --format json --out"]
)
def test_a_reader_reads(spilldeck_here: Spilldeck, live: Live, reader: str, tmp_path: Path, command: str) -> None:
    arguments = [*command.split(), *([str(tmp_path)] if command.endswith("--out") else [])]
    done = spilldeck_here(*arguments, env=live.env | {"SPILLDECK_REDIS__URL": reader})
    assert done.returncode == 0, done.stderr


def test_the_page_of_a_reader_shows_what_there_is(live: Live, reader: str) -> None:
    redis = live.settings.redis.model_copy(update={"url": SecretStr(reader)})
    with Data(load_settings(kafka=live.settings.kafka, redis=redis)) as data:
        view = data.view(Choices(run=RUNS[0]))
    assert view.is_stored
    assert view.book.totals.filled
    assert view.warnings == ()


def test_what_a_reader_may_not_do_is_said(spilldeck_here: Spilldeck, live: Live, reader: str) -> None:
    done = spilldeck_here("verify", str(RUNS[0]), env=live.env | {"SPILLDECK_REDIS__URL": reader})
    assert done.returncode == 3
    assert "does not let its user do this" in done.stderr
