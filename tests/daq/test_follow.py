"""A file that grows gives the records of the whole file, each when it is complete."""

import gzip
import threading
import time
from itertools import islice
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from schemas.records import RawSpill, RunControl
from streams.daq.date_file import DateReader
from streams.daq.source import SETTLED_S, Source
from streams.daq.sources import follow, read_source
from streams.errors import BadDataError, UsageError
from streams.experiments.mice.simulator import SimulatedRun
from tests.date_builder import end_of_run, run_file
from tests.edits import EDITS, edited

Record = RawSpill | RunControl


def whole(path: Path) -> list[Record]:
    return list(read_source(path))


def grown(path: Path, content: bytes, stops: list[int], *, settled: bool) -> list[Record]:
    """Return the records of a file that is read each time that it has grown to these lengths, and then once at rest."""
    reader, found = DateReader(path.name, {}), []
    for stop in [*sorted(stop % len(content) for stop in stops), len(content)]:
        there = content[reader.at : stop]
        found += reader.read(there, ended=False, settled=settled and stop == len(content))
    path.write_bytes(content)
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
    with Source(path) as source:
        for record in islice(follow(source, {}), len(records)):
            found.append(record)
            came.append(time.monotonic())
    writer.join()
    assert [r.payload for r in found] == [r.payload for r in records]
    assert came[0] < came[1] < came[2] < came[3]
    assert found == whole(path)


def test_what_is_no_file_of_the_daq_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "notes").write_bytes(b"x" * 10_000)
    with Source(tmp_path / "notes") as source, pytest.raises(BadDataError, match="notes is no file of the DAQ"):
        next(follow(source, {}))
    (tmp_path / "run.000.gz").write_bytes(gzip.compress(run_file(1), mtime=0))
    with Source(tmp_path / "run.000.gz") as source, pytest.raises(BadDataError, match="only these are followed"):
        next(follow(source, {}))
    with pytest.raises(UsageError, match="cannot be read"):
        Source(tmp_path / "nothing")


def by_rename(path: Path, content: bytes) -> None:
    (path.parent / "new").write_bytes(content)
    (path.parent / "new").rename(path)


def by_link(path: Path, content: bytes) -> None:
    path.rename(path.parent / "former.000")
    (path.parent / "other.000").write_bytes(content)
    path.symlink_to("other.000")


def in_its_place(path: Path, content: bytes) -> None:
    path.write_bytes(content)


@pytest.mark.parametrize("replace", [by_rename, by_link, in_its_place])
@pytest.mark.parametrize("spills", [1, 3, 9])
def test_a_file_is_followed_until_another_has_its_name(tmp_path: Path, replace, spills: int) -> None:
    path = tmp_path / "00007.000"
    former = run_file(3)
    path.write_bytes(former)
    with Source(path) as source:
        following = follow(source, {})
        found = list(islice(following, 4))
        replace(path, run_file(spills, run=8))
        found += following
    assert b"".join(record.payload for record in found) == former


def test_a_file_that_nobody_has_is_followed_on(tmp_path: Path) -> None:
    path = tmp_path / "00007.000"
    path.write_bytes(run_file(2)[: -len(end_of_run())])
    with Source(path) as source, path.open("ab") as writer:
        following = follow(source, {})
        next(following)
        path.unlink()
        next(following)
        writer.write(end_of_run())
        writer.flush()
        time.sleep(2 * SETTLED_S)
        assert [type(record) for record in islice(following, 2)] == [RawSpill, RunControl]
