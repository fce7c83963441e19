import bz2
import gzip
import itertools
import json
import lzma
import os
import random
import struct

import cramjam
import lz4.frame
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from schemas.records import NO_RUN, ControlKind, RawFormat, RawSpill, RunControl
from streams.avro.container import MAGIC
from streams.daq import source, sources
from streams.daq.compressed import PIECE_BYTES, decompressed
from streams.daq.sources import read_source
from streams.errors import BadDataError, UsageError
from streams.experiments.mice.json_file import JsonReader
from streams.experiments.mice.unpack.date import unpack_date
from tests.daq.test_archive_file import FIXTURE as ARCHIVE
from tests.date_builder import (
    CALIBRATION,
    END_OF_BURST,
    START_OF_BURST,
    end_of_run,
    equipment,
    event,
    run_file,
    spill,
    start_of_run,
    super_event,
)
from tests.edits import EDITS, edited
from tests.wire import encode


@pytest.fixture
def read(tmp_path):
    def of(content, name="00007.000"):
        path = tmp_path / name
        path.write_bytes(content)
        return list(read_source(path))

    return of


def told(records):
    """What a reader of a list would note: spill numbers, the controls' kinds, and which bytes are unreadable."""
    return [
        r.kind.value if isinstance(r, RunControl) else r.format.value if r.spill == NO_RUN else r.spill for r in records
    ]


def test_a_run_is_its_start_its_spills_and_its_end(read):
    content = run_file(3)
    records = read(content)
    assert told(records) == ["start", 0, 1, 2, "end"]
    assert [r.events for r in records] == [2, 3, 3, 3, 2]
    assert b"".join(r.payload for r in records) == content
    assert [r.byte for r in records] == [sum(len(r.payload) for r in records[:i]) for i in range(5)]
    assert {(r.run, r.source) for r in records} == {(7, "00007.000")}
    assert {r.time_us for r in records} == {1_500_000_000_250_000}
    assert [unpack_date(r.payload).tdc.leading_time[0] for r in records[1:4]] == [100, 101, 102]


PACK = {
    "gzip": gzip.compress,
    "zstd": lambda content: bytes(cramjam.zstd.compress(content)),
    "lz4": lz4.frame.compress,
    "bzip2": bz2.compress,
    "xz": lzma.compress,
}


@pytest.mark.parametrize("pack", PACK.values(), ids=PACK)
def test_a_compressed_file_is_read_as_what_is_in_it(read, pack):
    dated, text = run_file(2), lines(*SPILLS[0], *SPILLS[1])
    assert read(pack(dated)) == read(dated)
    assert read(pack(text)) == read(text)
    assert read(pack(dated[:300]) + pack(dated[300:]) + bytes(512)) == read(dated)


@pytest.mark.parametrize("pack", PACK.values(), ids=PACK)
def test_of_a_cut_compressed_file_comes_what_can_be_read(tmp_path, pack):
    content = run_file(2) + random.Random(1).randbytes(400_000) + run_file(1)
    path = tmp_path / "cut"
    path.write_bytes(pack(content)[:-40])
    found = []
    with pytest.raises(BadDataError, match=r"cut (was cut|is damaged)"):
        found.extend(read_source(path))
    assert told(found)[:3] == (["start", 0, 1] if pack is not bz2.compress else [])
    path.write_bytes(pack(content)[:10] + bytes(100))
    with pytest.raises(BadDataError, match=r"cut (was cut|is damaged|is compressed, and damaged)"):
        list(read_source(path))


@pytest.mark.parametrize("pack", PACK.values(), ids=PACK)
def test_what_expands_without_end_comes_in_pieces(pack):
    pieces = list(decompressed(iter([pack(bytes(50_000_000))]), "bomb"))
    assert sum(map(len, pieces)) == 50_000_000
    assert max(map(len, pieces)) <= PIECE_BYTES


@pytest.mark.parametrize("begin", [run_file(1) + struct.pack("<I", 0xFFFFFFFC) + event(7)[4:80], b'{"daq_data": "'])
def test_no_more_than_the_longest_spill_is_held(tmp_path, monkeypatch, begin):
    monkeypatch.setattr(sources, "LONGEST_BYTES", 100_000)
    monkeypatch.setattr(source, "PIECE_BYTES", 10_000)
    path = tmp_path / "bomb"
    path.write_bytes(begin + b"x" * 1_000_000)
    records = list(read_source(path))
    assert {r.format for r in records[-4:]} == {RawFormat.UNREADABLE}
    assert max(len(r.payload) for r in records) < 200_000
    assert b"".join(r.payload for r in records) == path.read_bytes()


@pytest.mark.parametrize("change", [lambda path: os.truncate(path, 1500), lambda path: path.write_bytes(bytes(90_000))])
def test_a_file_that_becomes_shorter_or_another_while_it_is_read_is_said(tmp_path, monkeypatch, change):
    monkeypatch.setattr(source, "PIECE_BYTES", 1000)
    path = tmp_path / "run.000"
    path.write_bytes(run_file(20))
    records = read_source(path)
    next(records)
    change(path)
    with pytest.raises(UsageError, match=r"run\.000 has become shorter, or was written anew"):
        list(records)


@pytest.mark.parametrize("first", [0, 1])
@pytest.mark.parametrize("cuts", [(1, 3), (0, 1), (2, 5)])
def test_the_numbering_of_a_run_goes_on_over_its_files(tmp_path, first, cuts):
    records = [start_of_run(), *(spill(first + n) for n in range(6)), end_of_run()]
    found, firsts = [], {}
    for number, (begin, end) in enumerate(itertools.pairwise((0, cuts[0] + 1, cuts[1] + 1, len(records)))):
        (tmp_path / str(number)).write_bytes(b"".join(records[begin:end]))
        found += read_source(tmp_path / str(number), firsts)
    assert told(found) == ["start", 0, 1, 2, 3, 4, 5, "end"]


def test_a_run_that_is_started_anew_counts_as_it_shows(tmp_path):
    firsts = {7: 1}
    (tmp_path / "again").write_bytes(run_file(2, first_count=0))
    assert told(read_source(tmp_path / "again", firsts)) == ["start", 0, 1, "end"]
    (tmp_path / "within").write_bytes(start_of_run(8) + spill(41, run=8))
    assert told(read_source(tmp_path / "within", {8: 1})) == ["start", 40]


@pytest.mark.parametrize("first", [0, 1])
def test_spills_count_from_0_wherever_the_daq_begins(read, first):
    assert told(read(run_file(3, first_count=first))) == ["start", 0, 1, 2, "end"]


def test_a_file_that_begins_within_a_run_keeps_the_daq_count(read):
    assert told(read(spill(41) + spill(42))) == [41, 42]
    assert told(read(spill(1) + spill(2))) == [1, 2]


def test_gaps_and_repeated_spills_are_shown_as_they_are(read):
    content = start_of_run() + b"".join(spill(n) for n in (1, 2, 5, 5, 6)) + end_of_run()
    assert told(read(content)) == ["start", 0, 1, 4, 4, 5, "end"]


def test_a_run_that_follows_without_an_end_counts_for_itself(read):
    content = run_file(2)[: -len(end_of_run())] + start_of_run(8) + spill(1, run=8) + spill(9, run=9)
    records = read(content)
    assert told(records) == ["start", 0, 1, "start", 0, 9]
    assert [r.run for r in records] == [7, 7, 7, 8, 8, 9]


def test_a_missing_end_of_burst_does_not_join_two_spills(read):
    end = len(super_event(END_OF_BURST, {1: equipment(101, [0])}))
    records = read(spill(3)[:-end] + spill(4))
    assert told(records) == [3, 4]
    assert [r.events for r in records] == [2, 3]


def test_events_of_other_types_go_with_what_they_follow(read):
    files = event(3, run=7, number=1)
    calibration = super_event(CALIBRATION, {1: equipment(110)}, number=9)
    records = read(start_of_run() + files + spill(1) + calibration + spill(2))
    assert told(records) == ["start", 0, 1]
    assert [r.events for r in records] == [3, 4, 3]
    assert told(read(calibration + spill(2))) == [2]


def test_damage_between_spills_is_one_unreadable_record_with_its_place(read):
    begin = start_of_run() + spill(0)
    records = read(begin + b"\xaa" * 1001 + spill(1))
    assert told(records) == ["start", 0, "unreadable", 1]
    damage = records[2]
    assert (damage.format, damage.run, damage.byte, damage.payload) == (
        RawFormat.UNREADABLE,
        7,
        len(begin),
        b"\xaa" * 1001,
    )
    assert f"00007.000, bytes {len(begin)} to {len(begin) + 1001}: no event header" in damage.problem


def test_a_spill_whose_physics_event_is_broken_is_one_unreadable_record(read):
    start = len(super_event(START_OF_BURST, {1: equipment(101, [0])}))
    broken = bytearray(spill(1))
    struct.pack_into("<I", broken, start + 4, 0)
    records = read(start_of_run() + spill(0) + bytes(broken) + spill(2))
    assert told(records) == ["start", 0, "unreadable", 2]
    assert records[2].payload == bytes(broken)
    assert records[2].events == 2


def test_a_physics_event_behind_damage_is_still_its_spill(read):
    start = len(super_event(START_OF_BURST, {1: equipment(101, [0])}))
    whole = spill(1)
    records = read(start_of_run() + spill(0) + whole[:start] + b"\xaa" * 64 + whole[start:])
    assert told(records) == ["start", 0, "unreadable", 1]
    assert unpack_date(records[3].payload).triggers == 2


def test_a_first_spill_lost_to_damage_is_still_counted(read):
    broken = bytearray(spill(0))
    at = 0
    for _ in range(3):  # the super-event's header alone: its sub-event still tells the count
        struct.pack_into("<I", broken, at + 4, 0)
        at += struct.unpack_from("<I", broken, at)[0]
    assert told(read(start_of_run() + bytes(broken) + spill(1))) == ["start", "unreadable", 1]


def test_at_most_a_mebibyte_of_damage_is_kept(read):
    records = read(spill(0) + b"\xaa" * (3 << 20))
    assert len(records[1].payload) == 1 << 20
    assert str(len(spill(0)) + (3 << 20)) in records[1].problem


def test_every_record_fits_on_the_wire(read):
    for record in read(run_file(2)[:-100] + b"\xaa" * 9):
        assert encode(record)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"\0\0\0\xa0\xda\x1e\x5a\xfe"[::1] * 20, "byte-swapped"),
        (b"a text\n" * 20, "neither DATE events nor spills as JSON"),
        (b"\0", "neither DATE events nor spills as JSON"),
        (b"root\0\0\xf2\x5e", "is a ROOT file"),
        ("{}".encode("utf-16"), "is text in UTF-16"),
        (gzip.compress(MAGIC, mtime=0), "is a file of Avro, which the DAQ of MICE does not write"),
        (gzip.compress(ARCHIVE.read_bytes(), mtime=0), "is an archive that is compressed once more"),
    ],
)
def test_a_file_of_something_else_is_refused(read, content, reason):
    with pytest.raises(BadDataError, match=reason):
        read(content)


def test_a_file_that_cannot_be_read_is_refused(read, tmp_path):
    with pytest.raises(UsageError, match="is empty"):
        read(b"")
    with pytest.raises(UsageError, match="Is a directory"):
        list(read_source(tmp_path))
    with pytest.raises(UsageError, match="No such file"):
        list(read_source(tmp_path / "absent"))


def test_a_source_may_be_left_before_its_end(tmp_path):
    path = tmp_path / "left"
    path.write_bytes(run_file(3))
    records = read_source(path)
    next(records)
    next(records)
    records.close()


def document(kind, **more):
    return {"daq_event_type": kind, "run_number": 5, "time_stamp": 1_500_000_000} | more


def lines(*documents):
    return b"".join((d if isinstance(d, bytes) else json.dumps(d).encode()) + b"\n" for d in documents)


SPILLS = [
    [
        document("start_of_burst", spill_number=n),
        document("physics_event", spill_number=n, daq_data={"trigger": [None] * n}),
        document("end_of_burst", spill_number=n),
    ]
    for n in range(3)
]


def test_documents_a_line_are_a_run_whose_events_are_all_counted(read):
    header = {"maus_event_type": "JobHeader"}
    content = lines(
        header, document("start_of_run"), document("start_of_run"), *SPILLS[0], *SPILLS[1], b"", document("end_of_run")
    )
    records = read(content)
    assert told(records) == ["start", 0, 1, "end"]
    assert [r.events for r in records] == [2, 3, 3, 1]
    assert records[1].payload == json.dumps(SPILLS[0][1]).encode()
    assert all(content[r.byte :].startswith(r.payload) for r in records)
    assert {r.time_us for r in records} == {1_500_000_000_000_000}
    assert (records[0].kind, records[2].format) == (ControlKind.START, RawFormat.SPILL_JSON)


def test_a_document_of_many_lines_is_one(read):
    content = json.dumps(SPILLS[1][1], indent=1).encode()
    (record,) = read(content + b"\n\n")
    assert (record.spill, record.byte) == (1, 0)


def test_old_spellings_and_the_marker_of_old_files_are_read(read):
    old = {"daq_event_type": "physics_event", "run_num": 2873, "spill_num": 4}
    old["daq_data"] = {"V830": {"time_stamp": 1_281_804_484}}
    (record,) = read(lines(old, b"END_OF_RUN"))
    assert (record.run, record.spill, record.time_us) == (2873, 4, 1_281_804_484_000_000)


@pytest.mark.parametrize("indent", [None, 0, 2])
@pytest.mark.parametrize("between", [b"", b"\n", b"\r\nEND_OF_RUN\r\n", b"\xef\xbb\xbf"])
def test_documents_are_told_apart_however_they_are_written(read, indent, between):
    documents = [document("start_of_run"), *SPILLS[0], *SPILLS[1], document("end_of_run")]
    content = between + between.join(json.dumps(one, indent=indent).encode() for one in documents)
    records = read(content)
    assert told(records) == ["start", 0, 1, "end"]
    assert all(content[r.byte :].startswith(r.payload) for r in records)


@pytest.mark.parametrize("indent", [None, 2])
@pytest.mark.parametrize("cut", [5, 20, 30])
def test_a_damaged_document_of_many_lines_costs_itself_alone(read, indent, cut):
    spills = [json.dumps(SPILLS[n][1], indent=indent).encode() for n in range(3)]
    records = read(b"\n".join([spills[0], spills[1][:cut] + spills[1][cut + 3 :], spills[2]]))
    assert told(records) == [0, "unreadable", 2]


@pytest.mark.parametrize("size", [1, 7, 100])
def test_documents_that_come_in_pieces_are_those_of_the_whole(read, size):
    hits = document("physics_event", spill_number=9, daq_data={"tof0": [{"V1290": []}, {"V1724": []}]})
    documents = [*(d for spill in SPILLS for d in spill), hits]
    content = b"".join(json.dumps(d, indent=0).encode() + b"\n" for d in documents) + b"[1]\n"
    reader, found = JsonReader("00007.000"), []
    for stop in range(0, len(content) + size, size):
        found += reader.read(content[reader.at : stop], ended=stop >= len(content), settled=False)
    assert found == read(content)


def test_markers_that_hold_nothing_are_no_spills_and_no_runs(read):
    markers = [
        document("physics_event", spill_number=-1, daq_data=None),
        document("end_of_run", run_number=-1, spill_number=-1),
        document("start_of_run", run_number=-1),
    ]
    records = read(lines(markers[2], *SPILLS[0], *SPILLS[1], *markers))
    assert told(records) == [0, 1]
    assert told(read(lines(document("end_of_run", spill_number=-1)))) == ["end"]


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        (b'{"daq_event_type": "physics', "no JSON"),
        (b"[1]", "a JSON list"),
        (document([]), "daq_event_type is no text"),
        (document("physics_event"), "there is no spill_num, but"),
        (document("physics_event", spill_number=-1, daq_data={"trigger": []}), "spill_number is -1"),
        (document("physics_event", spill_number=1, run_number="5"), "run_number is 5"),
        ({"daq_data": {"trigger": []}}, "whose daq_event_type is ''"),
        (b"\xff\xff", "no UTF-8"),
    ],
)
@pytest.mark.parametrize("first", [True, False])
def test_a_bad_line_costs_itself_alone(read, bad, reason, first):
    content = lines(bad, *SPILLS[0], *SPILLS[1]) if first else lines(*SPILLS[0], bad, *SPILLS[1])
    records = read(content)
    assert told(records) == (["unreadable", 0, 1] if first else [0, "unreadable", 1])
    damage = records[0 if first else 1]
    assert reason in damage.problem
    assert damage.byte == (0 if first else len(lines(*SPILLS[0])))
    assert all(encode(record) for record in records)


def test_run_6008_is_read_as_known(shared):
    records = list(read_source(shared / "data/06008.000"))
    assert told(records) == ["start", 0, 1, 2, 3, 4, 5, "end"]
    assert sum(r.events for r in records) == 22
    assert b"".join(r.payload for r in records) == (shared / "data/06008.000").read_bytes()
    expected = json.loads((shared / "expected/06008.json").read_text())
    assert {r.run for r in records} == set(expected["runs"])


def test_the_spill_of_run_2873_is_read_as_known(shared):
    (record,) = read_source(shared / "data/02873-spill0.json")
    assert (record.run, record.spill, record.time_us) == (2873, 0, 1_281_804_484_000_000)
    assert record.events == 1


def untouched(records, content, start, stop):
    """The spills whose bytes end before the edit or begin behind it."""
    return [
        (r.run, r.spill, r.time_us, r.payload)
        for r in records
        if isinstance(r, RawSpill) and (r.byte + len(r.payload) <= start or r.byte >= stop)
    ]


def damaged(content, data):
    """Return bytes with one stretch written over, taken out or put in, and what the stretch was."""
    at = data.draw(st.integers(0, len(content)))
    taken = data.draw(st.integers(0, 100))
    put = data.draw(st.binary(max_size=40) | st.just(content[at : at + 8][::-1]))
    return content[:at] + put + content[at + taken :], at, min(at + taken, len(content))


def check_untouched(path, whole, content, data):
    broken, start, stop = damaged(content, data)
    assume(not broken.startswith(MAGIC))  # hypothesis finds it in the code: then it is an archive, and damaged
    path.write_bytes(broken or b"\0")
    try:
        found = list(read_source(path))
    except BadDataError:
        found = []
    wanted = untouched(whole, content, start, stop)
    there = [(r.run, r.spill, r.time_us, r.payload) for r in found if isinstance(r, RawSpill)]
    # Beside a time that was damaged, and nothing else yet, nothing tells which of both is right.
    behind = min((r.byte for r in whole if isinstance(r, RawSpill) and r.byte >= stop), default=-1)
    beside = [(r.run, r.spill, r.payload) for r in whole if isinstance(r, RawSpill) and r.byte == behind]
    missing = [w[:2] for w in wanted if w not in there and (w[0], w[1], w[3]) not in beside]
    assert missing == []
    assert [one[:2] for one in beside if one not in [(run, spill, payload) for run, spill, _, payload in there]] == []


def test_a_run_is_not_numbered_from_a_damaged_header(read):
    content = run_file(4, first_count=1)
    at = 320 + 21  # in the run number of the first start of burst: seven bytes more move all that follows
    broken = content[:at] + b"\0\0\0\0\1\0\0\0" + content[at + 1 :]
    assert [r.spill for r in read(broken) if isinstance(r, RawSpill) and r.format is RawFormat.DATE] == [0, 1, 2, 3]


@pytest.mark.parametrize("cut", [(67, 161), (21, 22), (100, 130)])
def test_a_damaged_start_costs_the_spill_behind_it_no_more_than_its_time(read, cut):
    content = run_file(4)
    broken = read(content[: cut[0]] + content[cut[1] :])
    assert [r.spill for r in broken if isinstance(r, RawSpill) and r.format is RawFormat.DATE][-4:] == [0, 1, 2, 3]


@settings(max_examples=250, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data(), first=st.sampled_from([0, 1]))
def test_every_untouched_spill_of_a_damaged_file_is_still_there(tmp_path, data, first):
    content = run_file(4, first_count=first)
    (tmp_path / "whole").write_bytes(content)
    check_untouched(tmp_path / "broken", list(read_source(tmp_path / "whole")), content, data)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_every_untouched_spill_of_the_damaged_run_6008_is_still_there(shared, tmp_path, data):
    path = shared / "data/06008.000"
    check_untouched(tmp_path / "broken", list(read_source(path)), path.read_bytes(), data)


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(EDITS, st.booleans())
def test_any_file_is_read_or_refused_and_what_is_read_fits_on_the_wire(tmp_path, edits, as_json):
    content = lines(*(d for spill_documents in SPILLS for d in spill_documents)) if as_json else run_file(3)
    path = tmp_path / "any"
    path.write_bytes(edited(content, edits))
    try:
        records = list(read_source(path))
    except (BadDataError, UsageError):
        return
    assert all(encode(record) for record in records)
