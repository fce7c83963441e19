"""What follows from what several sentinels say of a master: the newest that any of them knows counts."""

from typing import Any

import pytest
from redis.exceptions import AuthenticationError, RedisError, ResponseError
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.sentinel import MasterNotFoundError

from streams.books.sentinels import newest

AWAY = RedisConnectionError("Connection refused")
UNKNOWN = ResponseError("No such master with that name")


def says(port: int, epoch: int, *, is_down: bool = False, leads: bool = False) -> dict[str, Any]:
    """Return what a sentinel says of a master at a port."""
    return {
        "ip": "127.0.0.1",
        "port": port,
        "config-epoch": epoch,
        "flags": "master,failover_in_progress" if leads else "master",
        "is_master": True,
        "is_sdown": is_down,
        "is_odown": False,
    }


@pytest.mark.parametrize(
    ("answers", "port"),
    [
        ([says(1, 0), says(1, 0)], 1),
        ([says(1, 7), says(2, 8), says(2, 8)], 2),  # the first was cut off with the master that was
        ([says(2, 10), says(1, 9)], 2),
        ([says(1, 8, leads=True), says(2, 8)], 2),  # it has the old one until all replicas follow
        ([says(1, 7, leads=True), says(1, 7)], 1),  # nobody has been promoted yet
        ([AWAY, UNKNOWN, says(1, 3)], 1),
        ([says(1, 3, is_down=True), says(1, 3)], 1),  # one cannot reach it
        ([AuthenticationError("WRONGPASS"), says(1, 3)], 1),
    ],
)
def test_the_newest_configuration_counts_whoever_answers_first(answers: list[Any], port: int) -> None:
    assert newest("Main", answers) == ("127.0.0.1", port)


@pytest.mark.parametrize(
    ("answers", "error", "said"),
    [
        ([says(1, 3, is_down=True), AWAY], MasterNotFoundError, "master Main is down.*no other has its place yet"),
        ([says(2, 8, is_down=True), says(1, 7)], MasterNotFoundError, "master Main is down"),
        ([AWAY, AWAY], MasterNotFoundError, "no sentinel knows a master Main: Connection refused$"),
        ([UNKNOWN, AWAY], MasterNotFoundError, "no sentinel knows a master Main: Connection refused; No such master"),
        ([AuthenticationError("WRONGPASS"), AWAY], AuthenticationError, "WRONGPASS"),
    ],
)
def test_where_no_master_is_up_it_is_said_why(answers: list[Any], error: type[RedisError], said: str) -> None:
    with pytest.raises(error, match=said):
        newest("Main", answers)
