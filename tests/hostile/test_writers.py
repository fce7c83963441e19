"""What nobody could read is refused by who would write it, in words; all else is read back as it was."""

import asyncio
import os
from collections.abc import Awaitable
from dataclasses import fields, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import boost_histogram as bh
import pytest
from aiokafka.errors import MessageSizeTooLargeError
from hypothesis import example, given
from hypothesis import settings as hypothesis
from hypothesis import strategies as st
from structlog.testing import capture_logs

import streams.reconstruct
from ops.topics import ensure_topics
from schemas import wire
from schemas.known import WireError
from schemas.records import MAX_NAMES, MAX_TEXT, Action, RawSpill, ReconstructedSpill, Record, RejectedSpill, RunControl
from schemas.wire import MAX_NUMBER, MAX_TIME_US, MAX_TRIGGERS
from streams.agents.kafka_access import kafka_log
from streams.agents.products import Products
from streams.books import layout
from streams.books.actions import append
from streams.books.book import Book
from streams.books.cells import MAX_BYTES, Cells
from streams.books.run import RunPart
from streams.books.stored import PartitionState, StoredPart, pack_part, pack_state, unpack_part, unpack_state
from streams.books.totals import Totals
from streams.conditions.store import ConditionsStore
from streams.daq.archive_file import Message as Archived
from streams.daq.archive_file import read_messages, write_messages
from streams.daq.producer import SpillProducer
from streams.daq.sources import read_source
from streams.errors import BadDataError, DetectorError, SpilldeckError, UsageError
from streams.experiment import Subsystem, experiment
from streams.settings import Settings
from streams.source_format import FirstCounts
from streams.transform import Message, Outcome, ledger_entry, transform
from tests.catalogue import DETECTORS
from tests.date_builder import event
from tests.edits import EDITS, edited
from tests.hostile.corpus import for_raw, for_reco, rejected_spill
from tests.records import raw_spill, reconstructed_spill
from tests.schemas.test_wire import same
from tests.schemas.write_fixtures import RECORDS
from tests.wire import decode, encode

SURROGATE = "a name of the disk \udcff"
"""What Python makes of bytes that are no UTF-8."""
NUMBERS = [-(2**63) - 1, -2, -1, 0, 7, MAX_TRIGGERS + 1, MAX_NUMBER, MAX_NUMBER + 1, MAX_TIME_US + 1, 2**63, 2**80]
TEXTS = ["", SURROGATE, "\0\n", "x" * MAX_TEXT, "x" * (MAX_TEXT + 1)]
ODD = [
    *NUMBERS,
    *TEXTS,
    None,
    dict.fromkeys(TEXTS, 1),
    {"V": -1},
    {SURROGATE: SURROGATE},
    {str(n): n for n in range(MAX_NAMES + 1)},
    b"",
    [SURROGATE],
    {"tof": RECORDS["reconstructed_spill.v2"].detectors["ckov"]},  # type: ignore[union-attr]
]


def corpus() -> list[Record]:
    """Return the records of the corpus: of those messages that a reader refuses for what they say, too."""
    found = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(wire, "_check", lambda *_: None)
        for hostile in [*for_raw(), *for_reco()]:
            try:
                found.append(decode(hostile.value or b""))
            except WireError:
                continue  # no record has such bytes
    return found


CORPUS = corpus()


@st.composite
def edited_records(draw: st.DrawFn, *kinds: type[Any]) -> Any:
    """Return a record of one of these kinds with some fields that nobody should write."""
    record = draw(st.sampled_from([one for one in RECORDS.values() if not kinds or isinstance(one, kinds)]))
    # Any number may be written for a bool, and comes back as one.
    there = [f.name for f in fields(record) if f.type not in (bool, "bool")]
    names = draw(st.lists(st.sampled_from(there), min_size=1, max_size=3, unique=True))
    odd = {name: [None, *(one for one in ODD if isinstance(getattr(record, name), type(one)))] for name in names}
    return replace(record, **{name: draw(st.sampled_from(values)) for name, values in odd.items()})


def written(record: Record) -> bytes | None:
    """Return the message of a record that is read back as it was; None of one that is refused in words."""
    try:
        message = encode(record)
    except WireError as error:
        words = str(error)
    else:
        assert same(decode(message), record)
        return message
    assert len(words) < 500
    return None


def test_of_the_corpus_all_that_a_reader_refuses_is_refused_by_the_writer() -> None:
    refused = [record for record in CORPUS if written(record) is None]
    assert len(refused) > 20
    assert len(refused) < len(CORPUS)


@hypothesis(max_examples=200, deadline=None)
@given(record=edited_records())
def test_a_record_is_refused_in_words_or_read_back_as_it_was(record: Record) -> None:
    written(record)


class Topic:
    """Remembers what is written to it, and takes no message that is longer than this."""

    def __init__(self, most: int = 64 << 20) -> None:
        self.most = most
        self.values: list[bytes] = []

    def get_topic_name(self) -> str:
        return "a topic"

    async def send(self, *, value: bytes, **_: Any) -> Awaitable[None]:
        if len(value) > self.most:
            raise MessageSizeTooLargeError
        self.values.append(value)
        return asyncio.sleep(0)


def message(value: bytes) -> Message:
    """Return a message of spills.raw."""
    return Message(partition=1, offset=5, start=5, produced_ms=0, value=value)


def test_what_nobody_could_read_is_left_out_of_the_reconstructed_spills_and_said() -> None:
    records = [one for one in CORPUS if isinstance(one, ReconstructedSpill | RunControl)]
    topic, good = Topic(), reconstructed_spill()
    odd = replace(good, detectors={"tof": good.detectors["ckov"]})
    with capture_logs() as said:
        outcomes = [Outcome(message=message(b""), record=record) for record in [*records, odd, good]]
        asyncio.run(Products(topic, asyncio.to_thread).send(outcomes))
    assert same(decode(topic.values[-1]), good)
    assert all(decode(value) for value in topic.values)
    assert len(topic.values) + len(said) == len(outcomes)
    assert "detectors['tof'] is a Ckov" in said[-1]["why"]


@pytest.mark.parametrize("error", [DetectorError(SURROGATE), RuntimeError(SURROGATE), KeyError("x" * 20_000)])
def test_an_error_of_a_detector_is_told_whatever_its_words(error: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise error

    spill = next(one for one in CORPUS if isinstance(one, RawSpill) and one.format.value == "spill_json")
    spill = replace(spill, payload=b'{"daq_event_type": "physics_event", "daq_data": {"tof": [{}]}}')
    raw = experiment().reconstructions["raw"]
    monkeypatch.setitem(experiment().reconstructions, "raw", replace(raw, step=fail))
    made = transform(message(encode(spill)), ConditionsStore([]).for_run)
    assert isinstance(made.record, ReconstructedSpill)
    assert "raw" in made.record.errors
    assert written(made.record)
    monkeypatch.setattr(streams.reconstruct, "_reconstruct", fail)
    made = transform(message(encode(spill)), ConditionsStore([]).for_run)
    assert isinstance(made.record, ReconstructedSpill)
    assert made.record.rejection is not None
    assert written(made.record)
    assert written(made.rejected("spills.raw", "fault", SURROGATE))


def test_a_rejected_spill_that_is_kept_without_its_bytes_can_be_read(settings: Settings) -> None:
    topic = Topic(most=MAX_TEXT + 1000)
    channels: Any = SimpleNamespace(raw=topic, rejected=topic, runs=topic)
    log = kafka_log(SimpleNamespace(), settings, channels)  # type: ignore[arg-type]
    asyncio.run(log.reject(rejected_spill(reason="r" * MAX_TEXT, payload=bytes(100_000))))  # type: ignore[arg-type]
    (value,) = topic.values
    kept = decode(value)
    assert isinstance(kept, RejectedSpill)
    assert kept.reason.endswith("see a topic[0] at 0)")


@hypothesis(max_examples=100, deadline=None)
@given(action=edited_records(Action))
def test_what_nobody_could_read_is_not_decided(action: Action) -> None:
    nowhere = Settings(kafka={"bootstrap_servers": "127.0.0.1:1"})  # type: ignore[arg-type]
    if written(action) is None:
        with pytest.raises(UsageError, match="this cannot be noted: "):
            append(nowhere, action)


@pytest.mark.servers
def test_a_producer_refuses_what_workers_would_and_sends_the_next(settings: Settings) -> None:
    ensure_topics(settings)
    sent, refused = [], 0
    records = [one for one in CORPUS if isinstance(one, RawSpill | RunControl) and len(one.payload) < MAX_TEXT]
    with SpillProducer(settings, lambda record, _: sent.append(record)) as producer:
        for record in [*records, raw_spill(source=SURROGATE), raw_spill()]:
            try:
                producer.send(record)
            except BadDataError:
                refused += 1
    assert refused > 10
    assert sent[-1] == raw_spill()
    assert all(decode(encode(record)) == record for record in sent)


@hypothesis(max_examples=50, deadline=None)
@given(edits=EDITS, json=st.booleans())
@example(edits=[("insert", 270, b"\xa0")], json=True)  # white space of Latin-1, and none of JSON
@example(edits=[("insert", 0, b"\x1c\x85")], json=True)
def test_whatever_a_source_holds_its_records_can_be_sent(
    edits: list[tuple[str, int, bytes]], json: bool, tmp_path_factory: pytest.TempPathFactory
) -> None:
    lines = b'{"daq_event_type":"physics_event","run_num":900001,"spill_num":3,"daq_data":{"tof":[{}]}}\n' * 3
    file = Path(os.fsdecode(bytes(tmp_path_factory.mktemp("a")) + b"/\xff\n.000"))
    file.write_bytes(edited(lines if json else event(7) * 5, edits))
    firsts: FirstCounts = {}
    try:
        records = list(read_source(file, firsts))
    except SpilldeckError:
        return
    assert all(written(record) for record in records)


@hypothesis(max_examples=50, deadline=None)
@given(
    messages=st.lists(
        st.builds(
            Archived,
            partition=st.integers(0, 2),
            offset=st.integers(-1, 5) | st.just(2**63 - 1),
            time_ms=st.sampled_from([-1, 0, 2**63 - 1]),
            key=st.none() | st.binary(max_size=3),
            value=st.sampled_from([hostile.value or b"" for hostile in for_raw()]).filter(lambda v: len(v) < 1 << 20),
            headers=st.lists(st.tuples(st.sampled_from(["", "x", "raw-offset"]), st.none() | st.binary())).map(tuple),
        ),
        max_size=5,
    )
)
def test_an_archive_is_read_back_or_not_there(
    messages: list[Archived], tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.mktemp("a") / "archive"
    try:
        contents = write_messages(path, 900001, messages)
    except SpilldeckError:
        return
    assert [one for partition in contents.parts for one in read_messages(path, partition)] == sorted(
        messages, key=lambda one: one.partition
    )


@hypothesis(max_examples=200, deadline=None)
@given(spills=st.lists(edited_records(ReconstructedSpill, RunControl), max_size=4))
def test_what_a_checkpoint_writes_of_spills_is_read_back(spills: list[ReconstructedSpill | RunControl]) -> None:
    totals = Totals()
    for offset, spill in enumerate(one for one in spills if written(one) is not None):
        totals.note_origin(spill, 0, offset, 2**62)
        if isinstance(spill, RunControl):
            totals.hear(spill)
        elif spill.rejection is not None:
            totals.count_rejected(spill, spill.rejection.step, spill.rejection.reason, is_filled=False)
        else:
            totals.count_filled(spill, 2**62)
            entry = ledger_entry(spill)
            assert layout.unpack_ledger_entry(layout.pack_ledger_entry(entry)) == entry
    place = layout.Place.of(totals, 0, "a topic")
    assert layout.unpack_place(layout.pack_place(place)) == place
    stored = StoredPart(part=RunPart({}, totals), book=Book({}), upto=2**62, log="a topic", stamps={SURROGATE: "a:1"})
    packed = {name.encode(): value for name, value in pack_part(stored).items()}
    back = unpack_part(packed, {})
    assert (back.part.totals, back.upto, back.stamps) == (totals, stored.upto, stored.stamps)


def test_how_far_a_partition_is_is_read_back() -> None:
    state = PartitionState(
        next=2**63 - 1,
        fence="a:7",
        log="a topic",
        tail=(layout.Counted(2**63 - 1, -1),),
        lost=(layout.Loss(2**33, SURROGATE),),
        repairs={-1: 0, MAX_NUMBER: 2**63 - 1},
    )
    packed = pack_state(state)
    assert unpack_state({b"fence": packed["fence"].encode(), b"state": packed["state"]}) == state


def test_a_plot_that_could_not_be_read_is_not_stored() -> None:
    def histogram(cells: int) -> bh.Histogram[bh.storage.Int64]:
        made = bh.Histogram(bh.axis.Regular(cells - 2, 0, 1), storage=bh.storage.Int64())
        vars(made).update(name=f"plot of {cells} cells", title="")
        made.view(flow=True)[...] = 1
        return made

    most = MAX_BYTES // 12 - 100
    cells = Cells.of(histogram(most))
    assert (Cells.unpack(cells.pack()).counts == cells.counts).all()
    with pytest.raises(ValueError, match="cells are more than can be stored"):
        Cells.of(histogram(most + 100))


@pytest.mark.parametrize("name", ["", SURROGATE, "two\nlines"])
def test_a_plot_has_a_name_that_can_be_stored(name: str) -> None:
    plot = replace(DETECTORS["tof"].plots[0], name=name)
    with pytest.raises(ValueError, match="is no name"):
        replace(experiment(), subsystems=(Subsystem(plots=replace(DETECTORS["tof"], plots=(plot,), trends=())),))
