"""Fixtures that all tests share."""

import os
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest
import structlog
from hypothesis import settings as hypothesis_settings

from ops.stack import LocalStack, free_port, redis
from ops.stack.jars import class_path
from ops.stack.java import find_java
from ops.stack.redis import find_server
from ops.topics import ensure_topics
from streams.books.connect import connect
from streams.books.reader import BookReader
from streams.errors import ServerError
from streams.settings import Settings
from tests.kafka import ends
from tests.servers import settings_on, shared_stack
from tests.workers import Workers

# Where a failure cannot be looked into, the same examples each time; new ones wherever somebody works. However long
# one takes, that is none: a busy machine keeps any of them waiting.
hypothesis_settings.register_profile("here", deadline=None)
hypothesis_settings.register_profile("ci", deadline=None, derandomize=True)
hypothesis_settings.load_profile("ci" if os.environ.get("CI") else "here")

FIRST = (
    "simulation/test_simulation.py",
    "ops/test_replay.py",
    "ops/test_archive.py",
    "ops/test_keeper.py",
    "integration/",
    "browser/",
    "books/test_counter.py",
    "test_outside_experiment.py",
    "ops/",
    "testbeam/",
    "upgrade/",
    "test_guide.py",
    "hostile/",
    "simulator/",
)
"""Files that take longest: begun last, one of them would be waited for alone."""
WAIT_S = 120.0
"""For the workers to count what was produced, on a machine that may be busy."""
PROJECT = Path(__file__).resolve().parent.parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the files that take longest."""
    tests = Path(__file__).parent

    def place(item: pytest.Item) -> int:
        name = item.path.relative_to(tests).as_posix()
        return next((at for at, first in enumerate(FIRST) if name.startswith(first)), len(FIRST))

    items.sort(key=place)


@pytest.fixture(autouse=True)
def _log_where_this_test_looks() -> Iterator[None]:
    """Have no test write to where another one looked: what a command sets up in this process would stay."""
    yield
    structlog.reset_defaults()


@pytest.fixture(scope="session")
def shared() -> Path:
    """Return the folder with the experiment's data beside the project; skip where it is absent."""
    path = PROJECT.parent / "shared"
    if not (path / "data").is_dir():
        pytest.skip(f"the experiment's data is not at {os.path.relpath(path, PROJECT)}")
    return path


@pytest.fixture(scope="session")
def servers_can_be_had() -> None:
    """Skip where the programs of the local stack are neither installed nor to be fetched."""
    try:
        find_java()
        class_path()
        find_server()
    except ServerError as error:
        pytest.skip(str(error))


@pytest.fixture(scope="session")
def stack(servers_can_be_had: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalStack]:
    """Return a Kafka and a Redis of our own, the same for all tests."""
    with shared_stack(tmp_path_factory.mktemp("stack")) as running:
        yield running


@pytest.fixture(scope="session")
def redis_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Return the address of a Redis that a test may empty."""
    port = free_port()
    try:
        server = redis.start(tmp_path_factory.mktemp("redis"), port, keep=False)
    except ServerError as error:
        pytest.skip(str(error))
    while not redis.answers(port, 1.0):
        time.sleep(0.05)
    yield f"redis://127.0.0.1:{port}/0"
    server.end()


@pytest.fixture
def settings(stack: LocalStack) -> Settings:
    """Return settings that name the stack, with topics and Redis keys of this test's own."""
    return settings_on(stack)


@pytest.fixture
def reader(settings: Settings) -> Iterator[BookReader]:
    """Return what reads the books."""
    with connect(settings) as client:
        yield BookReader.of(client, settings)


@pytest.fixture
def workers(settings: Settings, tmp_path: Path) -> Iterator[Workers]:
    """Return workers on fresh topics, none started yet."""
    ensure_topics(settings)
    workers = Workers(settings, tmp_path)
    yield workers
    workers.stop()


@pytest.fixture
def until_counted(settings: Settings, reader: BookReader) -> Callable[[], None]:
    """Return what waits until the books hold all that spills.raw holds."""
    return lambda: wait_until_counted(settings, reader)


def is_counted(reader: BookReader, wanted: Sequence[int]) -> bool:
    """Say whether the books hold all before these ends, by partition, with nothing that is to be made again."""
    progress = reader.progress()
    nexts = [progress[p].next if p in progress else 0 for p in range(len(wanted))]
    return nexts == list(wanted) and not any(its.repairs for its in progress.values())


def wait_until_counted(settings: Settings, reader: BookReader) -> None:
    """Wait until the books hold all that spills.raw holds."""
    wanted = ends(settings)
    deadline = time.monotonic() + WAIT_S
    while not is_counted(reader, wanted):
        assert time.monotonic() < deadline, f"only {reader.progress()} of {wanted} counted"
        time.sleep(0.1)
