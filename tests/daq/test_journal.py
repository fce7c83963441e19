"""The journal: what is behind the last acknowledged record, and nothing else, is sent again."""

import random
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from schemas.records import RawSpill
from streams.daq.journal import Journal, behind
from streams.errors import UsageError
from tests.records import raw_spill

RECORDS = [raw_spill(spill=n, byte=100 * n, payload=b"x" * 100) for n in range(20)]


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "run.000"
    path.write_bytes(bytes(range(256)) * 10)
    return path


def test_a_position_is_behind_all_that_is_acknowledged_in_a_row(tmp_path: Path, source: Path) -> None:
    journal = Journal(tmp_path, source, "raw")
    for record in RECORDS[:4]:
        journal.send(record)
    journal.acknowledge(RECORDS[0], {0: 10})
    journal.acknowledge(RECORDS[2], {1: 20})
    assert (journal.position.byte, journal.position.offsets) == (1, {0: 11})
    journal.acknowledge(RECORDS[1], {0: 11})
    assert (journal.position.byte, journal.position.offsets) == (201, {0: 12, 1: 21})


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(sent=st.integers(0, 20), written=st.integers(0, 20), seed=st.integers(0, 1000))
def test_each_record_is_in_kafka_once_whenever_the_producer_dies(
    tmp_path: Path, source: Path, sent: int, written: int, seed: int
) -> None:
    journal = Journal(tmp_path, source, f"raw-{sent}-{written}-{seed}")
    kafka: dict[int, list[RawSpill]] = {partition: [] for partition in range(3)}
    journal.position.offsets = dict.fromkeys(kafka, 0)
    for record in RECORDS[:sent]:
        journal.send(record)
        kafka[record.spill % 3].append(record)
    # Acknowledged in the order of each partition; then it dies with some unacknowledged, a while after it last wrote.
    order = [(record, {record.spill % 3: at}) for theirs in kafka.values() for at, record in enumerate(theirs)]
    random.Random(seed).shuffle(order)
    order.sort(key=lambda pair: next(iter(pair[1].values())))
    for number, (record, offsets) in enumerate(order):
        if number == written:
            journal.write()
        journal.acknowledge(record, offsets)
    again = Journal(tmp_path, source, f"raw-{sent}-{written}-{seed}")
    loaded = again.load()
    assert loaded is (written < len(order))
    start = again.position.offsets if loaded else dict.fromkeys(kafka, 0)
    there = [record for partition, theirs in kafka.items() for record in theirs[start[partition] :]]
    resumed = list(behind(again.position, RECORDS, there))
    assert [r.spill for r in resumed] == list(range(sent, 20))


def test_a_journal_of_another_file_under_the_same_name_is_passed_over(tmp_path: Path, source: Path) -> None:
    journal = Journal(tmp_path, source, "raw")
    journal.send(RECORDS[5])
    journal.acknowledge(RECORDS[5], {0: 1})
    journal.write()
    assert Journal(tmp_path, source, "raw").load()
    assert not Journal(tmp_path, source, "other topic").load()
    source.write_bytes(b"another run" * 1000)
    assert not Journal(tmp_path, source, "raw").load()


def test_a_damaged_journal_says_what_to_do(tmp_path: Path, source: Path) -> None:
    journal = Journal(tmp_path, source, "raw")
    journal.write()
    (written,) = tmp_path.glob("*.json")
    written.write_text("{")
    with pytest.raises(UsageError, match="cannot be read, remove it"):
        Journal(tmp_path, source, "raw").load()
