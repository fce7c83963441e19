"""What a worker says of itself follows from what its loop saw last."""

import asyncio
import time
from dataclasses import dataclass, replace
from typing import Any, cast

import pytest
from structlog.testing import capture_logs

from streams import metrics
from streams.agents.state import WorkerState
from streams.books.partition import Partition, Partitions
from streams.books.stored import PartitionState
from tests.health.test_state import Clock


@dataclass
class Known:
    """A partition, as far as it is asked."""

    state: PartitionState


def at(next_: int, produced_ms: int = 0, repairs: dict[int, int] | None = None) -> Partition:
    state = replace(PartitionState(), next=next_, produced_ms=produced_ms, repairs=repairs or {})
    return cast("Partition", Known(state))


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def partitions() -> Partitions:
    return Partitions()


@pytest.fixture
def state(partitions: Partitions, clock: Clock) -> WorkerState:
    return WorkerState(partitions, clock)


def figures(state: WorkerState) -> dict[Any, float | None]:
    return {(each.figure, *each.labels): each.value for each in state.figures()}


def test_a_worker_that_has_not_joined_says_so_and_knows_nothing(state: WorkerState) -> None:
    assert list(state.faults()) == ["it has not joined the others yet: Kafka has given it no partitions"]
    assert figures(state) == {}


def test_one_for_which_no_partition_is_left_is_ready_as_a_spare(state: WorkerState) -> None:
    state.joined([])
    assert list(state.faults()) == []
    assert state.does() == "a spare: others have all partitions"
    assert figures(state)[metrics.WORKER_PARTITIONS,] == 0


def test_lag_is_by_how_long_one_message_waits_not_by_whether_some_are_under_way(
    state: WorkerState, partitions: Partitions, clock: Clock
) -> None:
    state.joined([0])
    for step in range(100):  # a steady stream: a message is always under way, none for more than two seconds
        partitions[0] = at(max(step - 1, 0))
        state.ends_at(0, step + 1)
        state.looked("")
        clock.now_s += 1
        assert (figures(state)[metrics.PARTITION_BEHIND, "0"] or 0) <= 3
    assert list(state.faults()) == []
    assert figures(state)[metrics.PARTITION_LAG, "0"] == 2
    for _ in range(32):  # and now nothing is taken
        state.ends_at(0, 200)
        state.looked("")
        clock.now_s += 1
    (why,) = state.faults()
    assert why.startswith("partition 0: 102 messages not in the books, for 3")
    partitions[0] = at(200)
    state.ends_at(0, 200)
    assert list(state.faults()) == []
    assert figures(state)[metrics.PARTITION_BEHIND, "0"] == 0


def test_what_the_client_has_fetched_says_no_less_than_what_kafka_said(
    state: WorkerState, partitions: Partitions, clock: Clock
) -> None:
    partitions[0] = at(0)
    state.joined([0])
    for _ in range(32):  # a worker that is deaf fetches no more
        state.ends_at(0, 9)
        state.ends_at(0, 5, at_least=True)
        state.looked("")
        clock.now_s += 1
    assert figures(state)[metrics.PARTITION_BEHIND, "0"] == 32
    assert list(state.faults()) == ["partition 0: 9 messages not in the books, for 32 s"]
    state.ends_at(0, 12, at_least=True)
    assert figures(state)[metrics.PARTITION_LAG, "0"] == 12
    state.ends_at(0, 0)  # the topic was made anew
    assert figures(state)[metrics.PARTITION_LAG, "0"] == 0


def test_a_server_that_is_away_and_a_look_that_hangs_are_told(
    state: WorkerState, partitions: Partitions, clock: Clock
) -> None:
    partitions[0] = at(3)
    state.joined([0])
    state.looked("ConnectionError: refused")
    assert list(state.faults()) == ["partitions: ConnectionError: refused"]
    state.looked("")
    clock.now_s += 30
    assert list(state.faults()) == ["partitions: nothing is known for 30 s"]


def test_freshness_is_of_what_is_in_the_books_and_absent_where_nothing_is(
    state: WorkerState, partitions: Partitions
) -> None:
    partitions[0], partitions[1] = at(3, round(time.time() * 1000) - 5000, {7: 1, 8: 0}), at(0)
    state.joined([0, 1])
    now = figures(state)
    assert now[metrics.PARTITION_FRESHNESS, "0"] == pytest.approx(5, abs=1)
    assert (metrics.PARTITION_FRESHNESS, "1") not in now
    assert now[metrics.WORKER_REPAIRS,] == 2
    assert (metrics.PARTITION_LAG, "0") not in now  # Kafka has not said


def test_what_kafka_says_when_it_is_asked_is_noted(state: WorkerState, partitions: Partitions) -> None:
    async def span(_partition: int) -> tuple[int, int]:
        return 2, 9

    partitions[3] = at(4)
    state.joined([3])
    assert asyncio.run(state.noting(span)(3)) == (2, 9)
    assert figures(state)[metrics.PARTITION_LAG, "3"] == 5
    state.joined([])
    assert (metrics.PARTITION_LAG, "3") not in figures(state)


def test_what_moved_to_another_while_it_was_looked_after_is_not_told(
    state: WorkerState, partitions: Partitions, clock: Clock
) -> None:
    state.joined([0, 1])
    state.joined([0])
    partitions[1] = at(3, round(time.time() * 1000), {7: 1})
    state.ends_at(1, 9)
    state.looked("")
    clock.now_s += 10
    for again in range(3):
        state.ends_at(1, 9 + again)
        state.looked("")
        clock.now_s += 15
    state.looked("")
    assert list(state.faults()) == []
    now = figures(state)
    assert not {(metrics.PARTITION_LAG, "1"), (metrics.PARTITION_FRESHNESS, "1")} & set(now)
    assert now[metrics.WORKER_REPAIRS,] == 0


def test_what_became_of_spills_is_said_while_some_come(state: WorkerState) -> None:
    state.say()
    with capture_logs() as logs:
        state.say()
        with metrics.WORKER_RECONSTRUCT.time():
            metrics.WORKER_COUNTED.inc(3)
        metrics.rejected("unpack")
        state.say()
        state.say()
    (line,) = logs
    assert (line["event"], line["messages"], line["counted"], line["rejected"], line["duplicates"]) == (
        "spills",
        1,
        3,
        1,
        0,
    )
