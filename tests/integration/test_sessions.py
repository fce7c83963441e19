"""Two sessions beside each other, each with tables of its own: neither touches what is the other's."""

from collections.abc import Callable
from pathlib import Path

import pytest

from schemas.records import ReconstructedSpill
from streams.books.compare import differences
from streams.books.connect import connect
from streams.books.reader import BookReader
from streams.conditions.store import ConditionsStore
from streams.daq.producer import SpillProducer
from streams.process import process
from streams.settings import Settings
from streams.topics import Topics
from tests.conftest import wait_until_counted
from tests.kafka import messages
from tests.live import OWN_TABLES, own_run
from tests.tables import copy_tables, naming, recalibrate
from tests.wire import decode
from tests.workers import Workers

pytestmark = pytest.mark.servers


def test_a_session_with_other_tables_changes_nothing_of_lives(
    settings: Settings, workers: Workers, reader: BookReader, until_counted: Callable[[], None], tmp_path: Path
) -> None:
    ours, theirs = (copy_tables(tmp_path / name, OWN_TABLES, OWN_TABLES) for name in ("ours", "theirs"))
    recalibrate(theirs)
    records = own_run()
    expected, others = (
        process(records, ConditionsStore([(index, index.parent)]).for_run)[OWN_TABLES] for index in (ours, theirs)
    )
    assert differences(expected.run_book(), others.run_book()) != []
    # The other session is there first, and has all of it before live begins.
    workers.start("--session", "test", environment=naming(theirs))
    with SpillProducer(settings) as producer:
        for record in records[: len(records) // 2]:
            producer.send(record)
    with connect(settings) as redis:
        test = BookReader.of(redis, settings, "test")
        wait_until_counted(settings, test)
        assert messages(settings, Topics.of(settings).reco) == []
        workers.start(environment=naming(ours))
        with SpillProducer(settings) as producer:
            for record in records[len(records) // 2 :]:
                producer.send(record)
        until_counted()
        wait_until_counted(settings, test)
        assert differences(expected.run_book(), reader.run(OWN_TABLES, {})) == []
        assert differences(others.run_book(), test.run(OWN_TABLES, {})) == []
    made = [decode(message.value() or b"") for message in messages(settings, Topics.of(settings).reco)]
    good = [one for one in made if isinstance(one, ReconstructedSpill) and one.rejection is None]
    assert {one.conditions for one in good} == expected.part.totals.conditions
    assert len(good) == expected.part.totals.filled + expected.part.totals.duplicates
