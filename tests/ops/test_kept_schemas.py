"""Schemas that are kept in Kafka: who has other detectors reads what was written, or says which column it cannot."""

import re
import tracemalloc
from dataclasses import replace

import pytest

from ops.topics import ensure_topics
from schemas import wire
from schemas.columns import column
from schemas.known import schemas_of
from schemas.records import ReconstructedSpill
from schemas.spill_schema import Tables, tables_of
from streams.books.topic_spills import find_spill
from streams.errors import ServerError, SpilldeckError
from streams.kafka import topic_spans, writer
from streams.kept_schemas import KeptSchemas
from streams.settings import Settings
from streams.topics import Topics
from tests.catalogue import TABLES
from tests.live import Live
from tests.records import reconstructed_spill
from tests.schemas.test_other_tables import detector, hits, spill_of, table
from tests.schemas.test_wire import same

pytestmark = [pytest.mark.servers]
TAGGER = TABLES | hits(light=column("<i4"))


def write(settings: Settings, spill: ReconstructedSpill, tables: Tables, *, kept: bool = True) -> None:
    """Write a reconstructed spill as a worker with these tables does."""
    if kept:
        KeptSchemas(settings).keep(schemas_of(tables).texts)
    producer = writer(settings)
    producer.produce(Topics.of(settings).reco, wire.encode(spill, tables), key=str(spill.run))
    assert producer.flush(10) == 0


def found(settings: Settings, spill: ReconstructedSpill) -> ReconstructedSpill | None:
    """Return a spill as ``spills get`` has it."""
    reco = Topics.of(settings).reco
    record = find_spill(settings, reco, spill.run, spill.spill, topic_spans(settings, reco))
    assert record is None or isinstance(record, ReconstructedSpill)
    return record


def test_what_a_worker_writes_with_is_kept(live: Live) -> None:
    fingerprint, schema = schemas_of(TABLES).written["ReconstructedSpill"]
    assert KeptSchemas(live.settings).find(fingerprint) == schema
    assert KeptSchemas(live.settings).find(bytes(8)) is None


def test_a_spill_of_somebody_with_more_detectors_is_read_without_them(settings: Settings) -> None:
    ensure_topics(settings)
    spill = spill_of(TAGGER, light=[1, 2])
    write(settings, spill, TAGGER, kept=False)
    assert found(settings, spill) is None
    KeptSchemas(settings).keep(schemas_of(TAGGER).texts)
    there = topic_spans(settings, Topics.of(settings).schemas)
    KeptSchemas(settings).keep(schemas_of(TAGGER).texts)
    assert topic_spans(settings, Topics.of(settings).schemas) == there, "what is kept is not written again"
    again = found(settings, spill)
    assert again is not None
    assert again.left_out == ("tagger",)
    assert same(again, replace(spill, detectors={}, left_out=("tagger",)))


def test_a_spill_with_a_column_that_cannot_be_had_is_refused_by_its_name(settings: Settings) -> None:
    ensure_topics(settings)
    good = reconstructed_spill()
    ckov = TABLES["ckov"]
    name, kind = next(iter(tables_of(ckov).items()))
    other = table(kind.__name__, light=column("<f8"))
    tables = TABLES | {"ckov": detector(**{name: other})}
    made = tables["ckov"](**{name: other(light=[0.5])})
    write(settings, replace(good, detectors={"ckov": made}), tables)
    with pytest.raises(SpilldeckError, match=re.escape(f"the column ckov.{name}.")):
        found(settings, good)
    # A run of which all can be read is read, whatever lies beside it.
    beside = replace(good, run=good.run + 1)
    write(settings, beside, TABLES)
    assert found(settings, beside) is not None


@pytest.mark.parametrize("damaged", [b"{", None, b" " * (30 << 20)], ids=["no JSON", "removed", "30 MiB"])
def test_what_is_damaged_there_is_written_again(settings: Settings, damaged: bytes | None) -> None:
    ensure_topics(settings)
    texts = schemas_of(TAGGER).texts
    fingerprint, schema = schemas_of(TAGGER).written["ReconstructedSpill"]
    producer = writer(settings)
    producer.produce(Topics.of(settings).schemas, damaged, key=fingerprint.hex())
    producer.produce(Topics.of(settings).schemas, b"{", key="no fingerprint")
    assert producer.flush(10) == 0
    tracemalloc.start()
    KeptSchemas(settings).keep(texts)
    assert tracemalloc.get_traced_memory()[0] < 4 << 20
    tracemalloc.stop()
    assert KeptSchemas(settings).find(fingerprint) == schema


def test_a_topic_that_is_not_there_is_said(settings: Settings) -> None:
    with pytest.raises(ServerError, match="spilldeck topics apply"):
        KeptSchemas(settings).find(bytes(8))
