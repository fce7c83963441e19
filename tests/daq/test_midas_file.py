"""MIDAS files through the source: whole, followed, resumed, compressed, in sub-runs, and damaged."""

import gzip
import itertools
import threading
import time
from dataclasses import replace
from pathlib import Path
from unittest.mock import patch

import lz4.frame
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ops.daq_file import write_daq_file
from schemas.records import NO_RUN, ControlKind, RawFormat, RawSpill, ReconstructedSpill, RunControl
from streams.conditions.store import ConditionsStore
from streams.daq import midas_file, sources
from streams.daq.journal import Journal, behind
from streams.daq.midas_file import MidasReader, MidasSpills
from streams.daq.midas_file import midas_file as format_of
from streams.daq.source import SETTLED_S, Source
from streams.daq.sources import follow, read_source
from streams.errors import BadDataError, UsageError
from streams.experiment import Format, experiment
from streams.midas.banks import banks_of
from streams.midas.events import events_of
from streams.process import process
from streams.reconstruct import reconstruct
from streams.unpacked import Hits
from tests import midas_builder as midas
from tests.edits import EDITS, edited, harmed
from tests.wire import decode, encode

SPILLS = MidasSpills(begin=midas.BEGIN_OF_SPILL, end=midas.END_OF_SPILL)
NAME = "run00407.mid"
GENTLY = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def written_as(spills):
    """Have the experiment write MIDAS files with such spills in a ``with`` block; without them, what it writes."""
    form = Format(raw=RawFormat.MIDAS, source=format_of(spills or SPILLS), unpack=lambda *_: Hits(triggers=0))
    return patch.dict(vars(experiment()), {"formats": (form,) if spills else EXPERIMENT_FORMATS})


EXPERIMENT_FORMATS = experiment().formats


@pytest.fixture(autouse=True)
def midas_files():
    """Have the experiment of all tests write MIDAS files."""
    with written_as(SPILLS):
        yield


@pytest.fixture
def read(tmp_path):
    def of(content, name=NAME, spills=SPILLS):
        path = tmp_path / name
        path.write_bytes(content)
        with written_as(spills):
            return list(read_source(path))

    return of


def told(records):
    """What a reader of a list would note: spill numbers, the controls' kinds, and which bytes are unreadable."""
    return [
        r.kind.value if isinstance(r, RunControl) else r.format.value if r.spill == NO_RUN else r.spill for r in records
    ]


@pytest.mark.parametrize("form", midas.FORMS)
@pytest.mark.parametrize("order", midas.ORDERS)
def test_a_run_is_its_start_its_spills_and_its_end(read, form, order):
    content = midas.run_file(range(3), order=order, form=form)
    records = read(content)
    assert told(records) == ["start", 0, 1, 2, "end"]
    assert b"".join(r.payload for r in records) == content
    assert [r.byte for r in records] == [sum(len(r.payload) for r in records[:i]) for i in range(5)]
    assert {(r.run, r.source) for r in records} == {(407, NAME)}
    assert [r.events for r in records] == [1, 5, 6, 6, 2]
    spills = [r for r in records if isinstance(r, RawSpill)]
    assert [r.time_us for r in spills] == [(midas.TIME_S + 4 * n) * 1_000_000 for n in range(3)]
    assert {r.format for r in spills} == {RawFormat.MIDAS}
    for number, spill in enumerate(spills):
        hits = [b.data[0] for e in events_of(spill.payload) for b in banks_of(spill.payload, e) if b.name == "TDC0"]
        assert hits == [100 + number] * 3
    assert [decode(encode(record)) for record in records] == records


def test_spills_count_from_0_wherever_the_front_end_begins(read):
    assert told(read(midas.run_file([1, 2, 5, 5]), spills=replace(SPILLS, first=1))) == ["start", 0, 1, 4, 4, "end"]
    assert told(read(midas.run_file([0, 1]), spills=replace(SPILLS, first=1))) == ["start", "unreadable", 0, "end"]


@pytest.mark.parametrize("pack", [gzip.compress, lz4.frame.compress])
def test_a_compressed_file_is_read_as_what_is_in_it(read, pack):
    content = midas.run_file()
    name = f"{NAME}.packed"
    assert read(pack(content), name) == read(content, name)


def test_what_lies_between_spills_goes_with_what_follows(read):
    notes = midas.scalers(7) + midas.message("HV is up")
    content = midas.begin_of_run() + notes + midas.spill(0) + midas.spill(1) + notes + midas.end_of_run()
    records = read(content)
    assert told(records) == ["start", 0, 1, "end"]
    assert records[1].payload == notes + midas.spill(0)
    assert records[3].payload == notes + midas.end_of_run()


def test_much_between_spills_is_kept_and_costs_no_spill(read, monkeypatch):
    monkeypatch.setattr(midas_file, "_OUTSIDE_BYTES", 4 * len(midas.scalers(0)))
    content = midas.begin_of_run() + midas.scalers(0) * 9 + midas.spill(0) + midas.end_of_run()
    records = read(content)
    assert told(records) == ["start", "within", "within", 0, "end"]
    assert [r.events for r in records] == [1, 4, 4, 6, 1]
    assert b"".join(r.payload for r in records) == content


def parts_of_run(**how):
    """Return three sub-run files, each with a begin and an end of run, as MIDAS writes them."""
    return [midas.run_file(counts, **how) for counts in ([0, 1], [2], [3, 4])]


def written(directory, parts, ending=".mid"):
    paths = [directory / f"run00407sub{number:04}{ending}" for number in range(len(parts))]
    for path, content in zip(paths, parts, strict=True):
        path.write_bytes(content)
    return paths


@pytest.mark.parametrize("pack", [bytes, gzip.compress, lz4.frame.compress])
def test_a_run_in_sub_run_files_is_one_run_that_begins_and_ends_once(tmp_path, pack):
    parts = parts_of_run()
    paths = written(tmp_path, [pack(part) for part in parts], ".mid" if pack is bytes else ".mid.packed")
    records = [record for path in paths for record in read_source(path)]
    assert told(records) == ["start", 0, 1, "within", "within", 2, "within", "within", 3, 4, "end"]
    assert b"".join(r.payload for r in records) == b"".join(parts)
    assert {r.run for r in records} == {407}


def test_sub_run_files_joined_to_one_are_the_same_run(read):
    parts = parts_of_run()
    records = read(b"".join(parts), "joined")
    assert told(records) == ["start", 0, 1, "within", "within", 2, "within", "within", 3, 4, "end"]


def test_runs_in_one_file_are_told_apart(read):
    records = read(midas.run_file([0, 1]) + midas.run_file([0], run=408), "joined")
    assert told(records) == ["start", 0, 1, "end", "start", 0, "end"]
    assert [r.run for r in records] == [407] * 4 + [408] * 3


@pytest.mark.parametrize("put", [b"\x80MI", b"\x00\x80MI" + (77).to_bytes(4, "little")])
def test_damage_that_looks_like_the_begin_of_another_run_costs_its_spill_alone(read, put):
    content = midas.run_file(form="16")
    first, spills = len(midas.begin_of_run()), range(1, 4)
    for at in range(first, first + len(midas.spill(0, form="16")) - len(put)):
        records = read(content[:at] + put + content[at:])
        assert {r.spill for r in records if isinstance(r, RawSpill)} >= {*spills}, at
        assert {r.run for r in records} == {407}, at


def test_a_file_whose_name_says_another_run_is_refused(read):
    with pytest.raises(BadDataError, match=r"run00408\.mid begins run 407: one of both is wrong"):
        read(midas.run_file(), "run00408.mid")


def test_a_damaged_begin_of_run_costs_no_spill_where_the_name_tells_the_run(read):
    content = bytearray(midas.run_file())
    content[0] ^= 4
    records = read(bytes(content))
    assert told(records) == ["unreadable", 0, 1, 2, 3, "end"]
    assert {r.run for r in records} == {407}
    assert f"{NAME}, bytes 0 to" in records[0].problem
    nameless = read(bytes(content), "file")
    assert told(nameless) == ["unreadable"] * 5 + ["end"]
    assert "no begin of its run lies before it, and the file's name tells none" in nameless[1].problem


@pytest.mark.parametrize(
    ("harm", "reason"),
    [
        (
            lambda parts: [*parts[:2], parts[2][:20] + b"\xff" * 9 + parts[2][29:], *parts[3:]],
            "banks of the form 0xffffffff",
        ),
        (lambda parts: [*parts[:2], parts[2][:40] + parts[2][47:], *parts[3:]], "bytes on, another one begins"),
        (lambda parts: [*parts[:2], b"\xaa" * 1001, *parts[2:]], "event id 0xaaaa"),
        (lambda parts: parts[1:], "the end of a spill whose begin is not there"),
        (lambda parts: parts[:-1], "a spill without its end"),
        (lambda parts: [parts[0], parts[2], parts[1][:30]], "another one begins"),
    ],
)
def test_a_spill_with_damage_is_told_with_its_place_and_those_beside_it_count(read, harm, reason):
    before, behind_it = midas.begin_of_run() + midas.spill(0), midas.spill(2) + midas.end_of_run()
    harmed = b"".join(harm(midas.spill_parts(1)))
    records = read(before + harmed + behind_it)
    assert told(records) == ["start", 0, "unreadable", 2, "end"]
    damage = records[2]
    assert (damage.run, damage.byte, damage.payload) == (407, len(before), harmed)
    assert reason in damage.problem
    assert f"{NAME}, bytes {len(before)} to {len(before + harmed)}" in damage.problem


def test_damage_between_spills_costs_none(read):
    content = (
        midas.begin_of_run() + midas.spill(0) + midas.scalers(0) + b"\xaa" * 99 + midas.scalers(1) + midas.spill(1)
    )
    records = read(content)
    assert told(records) == ["start", 0, "within", "unreadable", 1]
    assert b"".join(r.payload for r in records) == content


def test_the_end_of_another_run_is_damage(read):
    records = read(midas.run_file([0])[: -len(midas.end_of_run())] + midas.end_of_run(408) + midas.spill(1))
    assert told(records) == ["start", 0, "unreadable", 1]
    assert "the end of run 408 within run 407" in records[2].problem


def test_an_impossible_time_is_replaced_and_told(read):
    parts = midas.spill_parts(1)
    parts[0] = parts[0][:8] + b"\xff" * 4 + parts[0][12:]
    records = read(midas.begin_of_run() + midas.spill(0) + b"".join(parts))
    assert told(records) == ["start", 0, 1]
    assert records[2].time_us == (midas.TIME_S + 4) * 1_000_000
    assert "replaced by what else it shows" in records[2].time_problem


def test_a_truncated_last_event_waits_when_followed_and_is_told_when_whole(tmp_path, read):
    content = midas.begin_of_run() + midas.spill(0) + midas.spill(1)[:-5]
    whole = read(content)
    assert told(whole) == ["start", 0, "unreadable"]
    assert "of which" in whole[2].problem
    assert (whole[2].byte, whole[2].byte + len(whole[2].payload)) == (
        len(midas.begin_of_run() + midas.spill(0)),
        len(content),
    )
    reader = MidasReader(NAME, tmp_path / NAME, SPILLS)
    assert told(reader.read(content, ended=False, settled=True)) == ["start", 0]
    rest = (content + midas.spill(1)[-5:])[reader.at :]
    assert told(reader.read(rest, ended=False, settled=False)) == [1]


def grown(content, stops):
    """Return the records of a file that is read each time that it has grown to these lengths."""
    reader, found = MidasReader(NAME, Path(NAME), SPILLS), []
    for stop in [*sorted(stop % len(content) for stop in stops), len(content)]:
        found += reader.read(content[reader.at : stop], ended=False, settled=stop == len(content))
    return found


@GENTLY
@given(stops=st.lists(st.integers(0, 1 << 20), max_size=30))
def test_however_it_grows_the_records_are_those_of_the_whole_file(tmp_path, stops):
    content = midas.run_file()
    (tmp_path / NAME).write_bytes(content)
    assert grown(content, stops) == list(read_source(tmp_path / NAME))


@GENTLY
@given(edits=EDITS, stops=st.lists(st.integers(0, 1 << 20), max_size=5))
def test_damage_in_a_file_that_grows_hides_no_spill_behind_it(edits, stops):
    content = edited(midas.run_file(), edits) + midas.spill(7) + midas.spill(8) + midas.spill(9)
    try:
        found = grown(content, stops)
    except BadDataError as error:
        assert "one of both is wrong" in error.reason  # noqa: PT017 - it need not be raised
        return
    assert [r.spill for r in found if isinstance(r, RawSpill)][-2:] == [8, 9]


def test_a_spill_comes_while_the_daq_still_writes(tmp_path):
    path = tmp_path / NAME
    path.touch()
    pieces = [midas.begin_of_run(), midas.spill(0)[:99], midas.spill(0)[99:], midas.spill(1), midas.end_of_run()]
    came = []

    def write():
        with path.open("ab") as file:
            for piece in pieces:
                file.write(piece)
                file.flush()
                time.sleep(SETTLED_S)

    writer = threading.Thread(target=write)
    writer.start()
    with Source(path) as source:
        found = []
        for record in itertools.islice(follow(source, {}), 4):
            found.append(record)
            came.append(time.monotonic())
    writer.join()
    assert told(found) == ["start", 0, 1, "end"]
    assert came[0] < came[1] < came[2] < came[3]
    assert found == list(read_source(path))


def test_a_source_that_was_read_in_part_goes_on_behind_it(tmp_path):
    path = tmp_path / NAME
    path.write_bytes(midas.run_file())
    records = list(read_source(path))
    for sent in range(1, len(records)):
        with Source(path) as source:
            journal = Journal(tmp_path, source, f"raw-{sent}")
            for offset, record in enumerate(records[:sent]):
                journal.send(record)
                journal.acknowledge(record, {0: offset})
            journal.write()
            again = Journal(tmp_path, source, f"raw-{sent}")
            assert again.load()
        assert list(behind(again.position, read_source(path), [])) == records[sent:]


def test_no_more_than_the_longest_spill_is_held(read, monkeypatch):
    monkeypatch.setattr(midas_file, "MAX_PAYLOAD_BYTES", 2_000)
    content = midas.begin_of_run() + midas.spill(0, triggers=300) + midas.spill(1) + midas.end_of_run()
    records = read(content)
    assert told(records)[:2] == ["start", "unreadable"]
    assert told(records)[-2:] == [1, "end"]
    assert "more than 2000 bytes in one spill" in records[1].problem
    assert b"".join(r.payload for r in records) == content


def test_an_experiment_without_midas_files_refuses_one_in_words(read):
    for content in (
        midas.run_file(),
        midas.run_file(order="big"),
        midas.run_file()[7:],
        gzip.compress(midas.run_file()),
    ):
        with pytest.raises(BadDataError, match="is a MIDAS file, which the DAQ of MICE does not write"):
            read(content, spills=None)


def test_a_midas_file_in_something_else_is_not_taken_out_of_it(read):
    for begin, what in ((b"PK\x03\x04", "a zip file"), (b"root", "a ROOT file")):
        with pytest.raises(BadDataError, match=f"is {what}"):
            read(begin + midas.run_file())


def test_a_spill_of_midas_that_comes_all_the_same_is_rejected_in_words(read):
    _, spill, *_ = read(midas.run_file())
    with written_as(None):
        made = reconstruct(spill, ConditionsStore([]).for_run(spill.run))
    assert isinstance(made, ReconstructedSpill)
    assert made.rejection is not None
    assert (made.rejection.step, made.detectors) == ("unpack", {})
    assert "a spill in the format midas, which MICE does not write" in made.rejection.reason


def test_what_is_within_a_run_neither_begins_nor_ends_it(tmp_path):
    paths = written(tmp_path, parts_of_run()[:2])
    records = list(read_source(paths[0]))
    assert told(records)[-1] == ControlKind.WITHIN
    assert not process(records, ConditionsStore([]).for_run)[407].part.totals.ended
    records += read_source(paths[1])
    assert process(records, ConditionsStore([]).for_run)[407].part.totals.ended


def untouched(records, start, stop, size):
    """The spills of this size whose own bytes, without what goes with them, end before the edit or begin behind it."""
    found = [(r.run, r.spill, r.payload[-size:], r.byte + len(r.payload)) for r in records if isinstance(r, RawSpill)]
    return [spill for *spill, end in found if end <= start or end - size >= stop]


@pytest.mark.parametrize("what", ["the begin of the run", "the scalers of a spill"])
def test_an_event_that_lacks_as_many_bytes_as_the_next_one_has_does_not_swallow_it(read, what):
    lacks = midas.begin_of_run() if what == "the begin of the run" else midas.scalers(1)
    next_one = midas.spill_parts(0)[0]
    before = b"" if what == "the begin of the run" else midas.begin_of_run()
    cut = lacks[:24] + lacks[24 + len(next_one) :]
    records = read(before + cut + midas.spill(0) + midas.spill(1) + midas.end_of_run())
    assert told(records)[-3:] == [0, 1, "end"]
    (told_of,) = [r.problem for r in records if isinstance(r, RawSpill) and r.spill == NO_RUN]
    assert f"another one begins (at byte {len(before)})" in told_of


@settings(max_examples=250, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data(), form=st.sampled_from(sorted(midas.FORMS)), order=st.sampled_from(sorted(midas.ORDERS)))
def test_every_untouched_spill_of_a_damaged_file_is_still_there(tmp_path, data, form, order):
    content = midas.run_file(form=form, order=order)
    path = tmp_path / NAME
    path.write_bytes(content)
    whole = list(read_source(path))
    damaged, kind, start, stop = harmed(data, content, 4)
    path.write_bytes(damaged)
    try:
        found = list(read_source(path))
    except BadDataError as error:
        assert "begins run" in error.reason  # noqa: PT017 - it need not be raised
        assert start < 8
        return
    there = [(r.run, r.spill, r.payload) for r in found if isinstance(r, RawSpill)]
    missing = [
        (run, spill)
        # Where an event's header has lost bytes, nothing tells whether it was not the one before that lost them.
        for run, spill, payload in untouched(whole, start - 16 * (kind == "cut"), stop, len(midas.spill(0, form=form)))
        if not any(own[:2] == (run, spill) and own[2].endswith(payload) for own in there)
    ]
    assert missing == []


@GENTLY
@given(edits=EDITS, name=st.sampled_from([NAME, "run00407sub0001.mid", "file"]))
def test_any_file_is_read_or_refused_and_what_is_read_fits_on_the_wire(tmp_path, edits, name):
    path = tmp_path / name
    content = edited(midas.run_file(range(3)), edits)
    path.write_bytes(content)
    try:
        records = list(read_source(path))
    except (BadDataError, UsageError):
        return
    assert all(encode(record) for record in records)
    at = 0
    for record in records:
        assert record.byte == at
        at += len(record.payload)
    assert content[:at] == b"".join(r.payload for r in records)


def test_a_source_of_hostile_bytes_is_read_in_pieces(tmp_path, monkeypatch):
    monkeypatch.setattr(sources, "LONGEST_BYTES", 100_000)
    monkeypatch.setattr("streams.daq.source.PIECE_BYTES", 10_000)
    path = tmp_path / NAME
    longest = midas.scalers(1)
    longest = longest[:12] + (50_000_000).to_bytes(4, "little") + (49_999_992).to_bytes(4, "little") + longest[20:]
    path.write_bytes(midas.begin_of_run() + longest + b"\xaa" * 1_000_000)
    records = list(read_source(path))
    assert {r.format for r in records[1:]} == {RawFormat.UNREADABLE}
    assert max(len(r.payload) for r in records) < 250_000
    assert b"".join(r.payload for r in records) == path.read_bytes()


def test_the_file_of_a_run_in_sub_run_files_is_these_one_behind_the_other(tmp_path):
    parts = parts_of_run(order="big")
    records = [record for path in written(tmp_path, parts) for record in read_source(path)]
    (tmp_path / "out").mkdir()
    made = write_daq_file(407, reversed(records), tmp_path / "out")
    assert made.file.name == "00000407.mid"
    assert made.spills == 5
    assert made.file.read_bytes() == b"".join(parts)
