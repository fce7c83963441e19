"""The journal: what is behind the last acknowledged record, and nothing else, is sent again."""

import random
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from schemas.records import RawSpill
from streams.daq.journal import Journal, StoredFirsts, behind
from streams.daq.source import Source
from streams.errors import UsageError
from tests.records import raw_spill

RECORDS = [raw_spill(spill=n, byte=100 * n, payload=b"x" * 100) for n in range(20)]


@pytest.fixture
def source(tmp_path: Path) -> Iterator[Source]:
    path = tmp_path / "run.000"
    path.write_bytes(bytes(range(256)) * 10)
    with Source(path) as opened:
        list(opened.pieces())
        yield opened


def test_a_position_is_behind_all_that_is_acknowledged_in_a_row(tmp_path: Path, source: Source) -> None:
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
    tmp_path: Path, source: Source, sent: int, written: int, seed: int
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


def test_a_journal_of_another_file_under_the_same_name_is_passed_over(tmp_path: Path, source: Source) -> None:
    journal = Journal(tmp_path, source, "raw")
    journal.send(RECORDS[5])
    journal.acknowledge(RECORDS[5], {0: 1})
    journal.write()
    assert Journal(tmp_path, source, "raw").load()
    assert not Journal(tmp_path, source, "other topic").load()
    source.path.write_bytes(b"another run" * 1000)
    with Source(source.path) as other:
        journal = Journal(tmp_path, other, "raw")
        assert not journal.load()
        assert journal.former == 501


def test_a_journal_is_of_the_file_that_was_read_whoever_has_its_name_by_now(tmp_path: Path, source: Source) -> None:
    source.path.unlink()
    source.path.write_bytes(b"another run" * 1000)
    journal = Journal(tmp_path, source, "raw")
    journal.write()
    with Source(source.path) as other:
        assert not Journal(tmp_path, other, "raw").load()


def test_a_journal_knows_a_file_that_has_grown_and_one_that_was_copied(tmp_path: Path, source: Source) -> None:
    Journal(tmp_path, source, "raw").write()
    (tmp_path / "copy").write_bytes(bytes(range(256)) * 20)
    (tmp_path / "copy").rename(source.path)
    with Source(source.path) as grown:
        assert Journal(tmp_path, grown, "raw").load()


def test_what_a_run_counts_from_is_known_to_the_next_process(tmp_path: Path) -> None:
    firsts = StoredFirsts(tmp_path)
    firsts.known |= {7: 1, 8: None}
    for run in (7, 8, 9):
        firsts.keep(run)
    assert StoredFirsts(tmp_path).known == {7: 1, 8: None}
    (tmp_path / "runs" / "7.json").write_text("{")
    with pytest.raises(UsageError, match=r"7\.json cannot be read, remove it"):
        StoredFirsts(tmp_path)


def test_a_damaged_journal_says_what_to_do(tmp_path: Path, source: Source) -> None:
    journal = Journal(tmp_path, source, "raw")
    journal.write()
    (written,) = tmp_path.glob("*.json")
    written.write_text("{")
    with pytest.raises(UsageError, match="cannot be read, remove it"):
        Journal(tmp_path, source, "raw").load()
