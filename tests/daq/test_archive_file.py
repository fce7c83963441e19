"""An archive is read back as it was written, or in one sentence not at all."""

import io
import json
import random
import subprocess
import sys
import zlib
from dataclasses import replace
from pathlib import Path

import cramjam
import fastavro
import fastavro._read_py as avro
import pytest
from hypothesis import HealthCheck, given, settings

from schemas.records import ControlKind, RawSpill, RunControl
from streams.avro.container import HEADER
from streams.daq import archive_file
from streams.daq.archive_file import Message, check_messages, contents_of, is_archive, read_messages, write_messages
from streams.daq.source import Source
from streams.daq.sources import follow, read_source
from streams.errors import BadDataError, SpilldeckError
from tests.date_builder import event
from tests.edits import EDITS, edited
from tests.records import raw_spill, reconstructed_spill
from tests.wire import decode, encode

RUN, PARTITIONS = 900001, 3
FIXTURE = Path(__file__).parent / "fixtures" / "archive.v1.spills.avro"
"""Written once and kept for ever, as `sent` had it then."""


def sent() -> list[RawSpill | RunControl]:
    """Return a run that was ended twice, with a duplicate and a spill from another source."""
    start = RunControl(run=RUN, kind=ControlKind.START, time_us=1, source="f", byte=0, events=2, run_type="beam")
    end = RunControl(run=RUN, kind=ControlKind.END, time_us=9, source="f", byte=900, events=2)
    by_hand = RunControl(run=RUN, kind=ControlKind.END, time_us=9, source="spilldeck runs end", byte=0, events=0)
    spills = [raw_spill(spill=n, source="f", byte=100 + n, payload=b"spill %d" % n * 20) for n in range(8)]
    other = raw_spill(spill=3, source="g", byte=0, payload=b"other bytes")
    return [start, *spills, spills[2], other, end, by_hand, end]


def in_kafka(records: list[RawSpill | RunControl], partitions: int = PARTITIONS) -> list[Message]:
    """Return what Kafka makes of records: some in the same millisecond, messages of other runs between them."""
    found = [
        Message(
            partition=partition,
            offset=1000 * partition + 2 * number,
            time_ms=1_700_000_000_000 + (number // 2 if number < 8 else number),
            key=str(RUN).encode() if number else None,
            value=encode(record),
            headers=(("a", b"\0"), ("b", None)) if number == 1 else (),
        )
        for number, record in enumerate(records)
        for partition in (range(partitions) if isinstance(record, RunControl) else [record.spill % partitions])
    ]
    return sorted(found, key=lambda message: (message.partition, message.offset))


def read_all(path: Path) -> list[Message]:
    return [message for partition in contents_of(path).parts for message in read_messages(path, partition)]


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    path = tmp_path / "archive"
    write_messages(path, RUN, in_kafka(sent()))
    return path


def test_messages_are_read_back_as_they_are_partition_by_partition(archive: Path) -> None:
    messages = in_kafka(sent())
    contents = contents_of(archive)
    assert (contents.run, contents.produced_ms) == (RUN, max(message.time_ms for message in messages))
    for partition, part in contents.parts.items():
        theirs = [message for message in messages if message.partition == partition]
        assert list(read_messages(archive, partition)) == theirs
        assert (part.first, part.last, part.messages) == (theirs[0].offset, theirs[-1].offset, len(theirs))
    assert list(read_messages(archive, PARTITIONS)) == []
    assert list(archive.parent.iterdir()) == [archive]


def test_the_same_messages_make_the_same_file(archive: Path) -> None:
    write_messages(archive.with_name("again"), RUN, in_kafka(sent()))
    assert archive.with_name("again").read_bytes() == archive.read_bytes()


def test_an_archive_of_the_first_format_is_read_for_ever() -> None:
    # Records have got fields since, so that the bytes of their messages are others today.
    def decoded(messages: list[Message]) -> list[object]:
        return [(replace(message, value=b""), decode(message.value)) for message in messages]

    assert decoded(read_all(FIXTURE)) == decoded(in_kafka(sent()))


def test_any_reader_of_avro_reads_it(archive: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # Of Python itself from 3.14 on, or of the package backports.zstd.
    monkeypatch.setitem(
        avro.BLOCK_READERS, "zstandard", lambda at: io.BytesIO(cramjam.zstd.decompress(at.read_bytes()))
    )
    with archive.open("rb") as file:
        messages = list(avro.reader(file))
    assert [message["value"] for message in messages] == [message.value for message in in_kafka(sent())]
    assert messages[1]["headers"] == [{"name": "a", "value": b"\0"}, {"name": "b", "value": None}]


def test_a_source_yields_what_was_sent_in_its_order_and_run_control_once(archive: Path) -> None:
    assert list(read_source(archive)) == sent()


def test_an_archive_is_no_file_of_the_daq_though_the_bytes_of_one_are_in_it(tmp_path: Path) -> None:
    # What cannot be compressed is stored as it is, and what lies in it too.
    before, behind = random.Random(1).randbytes(9999), random.Random(2).randbytes(9999)
    spill = raw_spill(payload=before + event(7) + behind)
    path = tmp_path / "archive"
    write_messages(path, RUN, in_kafka([spill]))
    assert event(7) in path.read_bytes()
    assert list(read_source(path)) == [spill]
    with Source(path) as source, pytest.raises(BadDataError, match="archive is no file that the DAQ writes to"):
        next(follow(source, {}))


def test_an_archive_of_nothing_has_no_partition(tmp_path: Path) -> None:
    assert write_messages(tmp_path / "archive", RUN, []).parts == {}
    assert list(read_source(tmp_path / "archive")) == []


@pytest.mark.parametrize("kept", [3, 100, 1500, -1])
def test_a_cut_archive_is_refused_with_its_name_and_the_place(archive: Path, kept: int) -> None:
    content = archive.read_bytes()[:kept]
    archive.write_bytes(content)
    with pytest.raises(SpilldeckError, match=r"archive\b") as refused:
        check_messages(archive)
    if kept < 0:
        assert str(refused.value) == (
            f"archive at byte {len(content)}: archive is damaged: it was cut: {len(content)} of its {len(content) + 1} "
            f"bytes are there"
        )


def test_damage_is_found_in_the_block_in_which_it_is(archive: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archive_file, "_BLOCK_BYTES", 1)
    archive.unlink()
    contents = write_messages(archive, RUN, in_kafka(sent()))
    content = bytearray(archive.read_bytes())
    header = len(content) - contents.size
    at = header + contents.parts[1].begins
    content[at + 30] ^= 1
    archive.write_bytes(content)
    assert len(list(read_messages(archive, 0))) == contents.parts[0].messages
    with pytest.raises(BadDataError, match=f"^archive at byte {at}: archive is damaged: "):
        list(read_messages(archive, 1))


@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(EDITS)
def test_whatever_is_done_to_an_archive_no_other_message_is_read(
    archive: Path, edits: list[tuple[str, int, bytes]]
) -> None:
    wanted = in_kafka(sent())
    harmed = archive.with_name("harmed")
    harmed.write_bytes(edited(archive.read_bytes(), edits))
    try:
        found = read_all(harmed) if is_archive(harmed) else []
    except BadDataError:
        return
    assert found in (wanted, [])


def test_an_archive_of_a_newer_format_is_refused(archive: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archive_file, "FORMAT", 2)
    archive.unlink()
    write_messages(archive, RUN, in_kafka(sent()))
    monkeypatch.undo()
    with pytest.raises(BadDataError, match="archive was written by a newer version of spilldeck"):
        contents_of(archive)


def test_another_file_of_avro_is_no_archive(tmp_path: Path) -> None:
    with (tmp_path / "other").open("wb") as file:
        fastavro.writer(file, "long", [1, 2])
    with pytest.raises(BadDataError, match="other is no archive of a run"):
        contents_of(tmp_path / "other")
    with pytest.raises(BadDataError, match="other is a file of Avro, which the DAQ of MICE does not write"):
        list(read_source(tmp_path / "other"))


def rewrite(archive: Path, before: bytes = b"", **changed: object) -> None:
    """Have the header claim something else, with a right CRC, and put bytes before the first block."""
    content = archive.read_bytes()
    size = len(content) - contents_of(archive).size
    header = fastavro.schemaless_reader(io.BytesIO(content), HEADER)
    about = json.loads(header["meta"]["spilldeck.archive"])
    text = json.dumps(about | {"size": about["size"] + len(before)} | changed).encode()
    header["meta"] |= {"spilldeck.archive": text, "spilldeck.crc32": b"%08x" % zlib.crc32(text)}
    with archive.open("wb") as file:
        fastavro.schemaless_writer(file, HEADER, header)
        file.write(before + content[size:])


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"run": "x"}, "its header cannot be read"),
        ({"parts": []}, "its header cannot be read"),
        ({"parts": {"0": {"first": 0, "last": 9, "messages": 1, "begins": -5}}}, "its header cannot be read"),
        ({"parts": {"0": {"first": 0, "last": 2**70, "messages": 2**70, "begins": 2**70}}}, "damaged"),
        ({"parts": {"0": {"first": 0, "last": 10**6, "messages": 10**6, "begins": 0}}}, "another message than"),
        ({"parts": {"0": {"first": 0, "last": 0, "messages": 1, "begins": 0}}}, "another message than"),
        ({"size": -(2**70)}, "its header cannot be read"),
    ],
)
def test_a_header_that_claims_what_is_not_there_is_refused(
    archive: Path, changed: dict[str, object], said: str
) -> None:
    rewrite(archive, **changed)
    with pytest.raises(BadDataError, match=said):
        read_all(archive)


@pytest.mark.parametrize("frames", [0, 40])
def test_a_block_that_claims_more_than_a_message_may_have_takes_no_memory(archive: Path, frames: int) -> None:
    block = frames * bytes(cramjam.zstd.compress(bytes(64 << 20)))
    claimed = io.BytesIO()
    for number in (1, len(block) or 2**62):
        fastavro.schemaless_writer(claimed, "long", number)
    rewrite(archive, claimed.getvalue() + block + archive.read_bytes()[-16:])
    reading = """
import resource, sys
from pathlib import Path
from streams.daq.archive_file import check_messages
resource.setrlimit(resource.RLIMIT_AS, (1 << 30, 1 << 30))
try:
    check_messages(Path(sys.argv[1]))
except Exception as error:
    print(error)
"""
    done = subprocess.run([sys.executable, "-c", reading, archive], capture_output=True, text=True, check=True)
    assert "archive is damaged: a block cannot be read" in done.stdout


def test_a_message_that_is_as_long_as_one_may_be_is_archived(tmp_path: Path) -> None:
    spill = raw_spill(payload=bytes(60 << 20))
    write_messages(tmp_path / "archive", RUN, in_kafka([spill]))
    assert list(read_source(tmp_path / "archive")) == [spill]


def test_what_is_no_raw_spill_is_named(tmp_path: Path) -> None:
    of_another_topic = encode(reconstructed_spill())
    for value, why in ((b"rubbish", "no Avro single-object message"), (of_another_topic, "has no place there")):
        path = tmp_path / why
        bad = Message(partition=2, offset=7, time_ms=0, key=None, value=value)
        write_messages(path, RUN, [bad])
        with pytest.raises(BadDataError, match=f"message 7 of partition 2 is no raw spill: .*{why}"):
            list(read_source(path))
