"""A file that grows gives the records of the whole file, each when it is complete."""

import mmap
import threading
import time
from itertools import islice
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from schemas.records import RawSpill, RunControl
from streams.daq.date_file import DateReader
from streams.daq.simulator import SimulatedRun
from streams.daq.sources import SETTLED_S, follow_date, read_source
from streams.errors import BadDataError, UsageError
from tests.date_builder import run_file
from tests.edits import EDITS, edited

Record = RawSpill | RunControl


def whole(path: Path) -> list[Record]:
    return list(read_source(path))


def grown(path: Path, content: bytes, stops: list[int], *, settled: bool) -> list[Record]:
    """Return the records of a file that is read each time that it has grown to these lengths, and then once at rest."""
    reader, found = DateReader(path.name), []
    for stop in [*sorted(stop % len(content) for stop in stops), len(content)]:
        path.write_bytes(content[:stop])
        if stop:
            with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as view:
                found += reader.read_growing(view, settled=settled and stop == len(content))
    return found


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(stops=st.lists(st.integers(0, 1 << 20), max_size=30))
def test_however_it_grows_the_records_are_those_of_the_whole_file(tmp_path: Path, stops: list[int]) -> None:
    content = run_file(4)
    path = tmp_path / "00007.000"
    found = grown(path, content, stops, settled=True)
    assert found == whole(path)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(edits=EDITS, stops=st.lists(st.integers(0, 1 << 20), max_size=5))
def test_damage_in_a_file_that_grows_hides_no_spill_behind_it(tmp_path: Path, edits: list, stops: list[int]) -> None:
    # The last spill is whole, and something follows it.
    content = edited(run_file(3), edits) + run_file(2)
    path = tmp_path / "00007.000"
    found = grown(path, content, [], settled=True)
    assert found == whole(path)[: len(found)]
    spills = [r.payload for r in whole(path) if isinstance(r, RawSpill)]
    growing = [r.payload for r in grown(path, content, stops, settled=True) if isinstance(r, RawSpill)]
    assert growing[-2:] == spills[-2:]


def test_a_spill_comes_while_the_daq_still_writes(tmp_path: Path) -> None:
    records = list(SimulatedRun(spills=3, mean_triggers=3).records())
    path = tmp_path / "run.000"
    path.touch()
    came: list[float] = []

    def write() -> None:
        with path.open("ab") as file:
            for record in records:
                half = len(record.payload) // 2
                for part in (record.payload[:half], record.payload[half:]):
                    file.write(part)
                    file.flush()
                    time.sleep(SETTLED_S / 2)
                time.sleep(SETTLED_S * 2)

    writer = threading.Thread(target=write)
    writer.start()
    found = []
    for record in islice(follow_date(path), len(records)):
        found.append(record)
        came.append(time.monotonic())
    writer.join()
    assert [r.payload for r in found] == [r.payload for r in records]
    assert came[0] < came[1] < came[2] < came[3]
    assert found == whole(path)


def test_what_is_no_date_file_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "notes").write_bytes(b"x" * 10_000)
    with pytest.raises(BadDataError, match="notes is no DATE file"):
        next(follow_date(tmp_path / "notes"))
    with pytest.raises(UsageError, match="cannot be read"):
        next(follow_date(tmp_path / "nothing"))


def test_a_file_that_becomes_shorter_is_another_one(tmp_path: Path) -> None:
    path = tmp_path / "00007.000"
    path.write_bytes(run_file(5))
    following = follow_date(path)
    next(following)
    path.write_bytes(run_file(1))
    with pytest.raises(UsageError, match="has become shorter"):
        list(following)
