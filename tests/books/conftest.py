"""A Redis of their own for the tests of the books, which empty it."""

import time
from collections.abc import Iterator

import pytest

from ops.stack import free_port, redis
from streams.errors import ServerError

pytest.register_assert_rewrite("tests.books.one_partition")


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
