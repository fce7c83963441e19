"""The tables of one run have a typo: its detectors say which line, all else of it counts, and so do other runs."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from schemas.records import ReconstructedSpill
from streams.books.compare import differences
from streams.books.reader import BookReader
from streams.conditions.store import ConditionsStore
from streams.daq.producer import SpillProducer
from streams.experiment import experiment
from streams.experiments.mice.simulator import SimulatedRun
from streams.process import process
from streams.settings import Settings
from streams.topics import Topics
from tests.kafka import messages
from tests.live import OWN_TABLES, Record, small_run
from tests.tables import copy_tables, naming
from tests.wire import decode
from tests.workers import Workers

pytestmark = pytest.mark.servers

OTHER_RUN = 900_090
LINE = 3
WITH_CONDITIONS = {name for name, its in experiment().reconstructions.items() if its.needs_conditions}


def produce(settings: Settings, records: list[Record]) -> None:
    with SpillProducer(settings) as producer:
        for record in records:
            producer.send(record)


def test_a_typo_in_the_tables_of_one_run_costs_its_detectors_alone_until_it_is_mended(
    settings: Settings, workers: Workers, reader: BookReader, until_counted: Callable[[], None], tmp_path: Path
) -> None:
    index = copy_tables(tmp_path / "tables", OWN_TABLES, OWN_TABLES)
    table = index.parent / "tof_channels.txt"
    good = table.read_text()
    lines = good.splitlines()
    lines[LINE - 1] = lines[LINE - 1].replace("tof0", "").replace("120", "12O")
    table.write_text("\n".join(lines))
    conditions_of = ConditionsStore([(index, index.parent)]).for_run
    records = [replace(record, run=OWN_TABLES) for record in SimulatedRun(spills=12, mean_triggers=3).records()]
    others = small_run(OTHER_RUN)
    before, after = records[:5], records[5:]
    workers.start(environment=naming(index))
    produce(settings, [*others[:5], *before])
    until_counted()
    (expected,) = process(before, conditions_of).values()
    assert differences(expected.run_book(), reader.run(OWN_TABLES, {})) == []
    totals = reader.runs()[OWN_TABLES]
    assert totals.errors == dict.fromkeys(WITH_CONDITIONS, totals.filled)
    assert totals.detectors.keys() == experiment().tables.keys() - WITH_CONDITIONS
    made = [decode(message.value() or b"") for message in messages(settings, Topics.of(settings).reco)]
    for one in made:
        if isinstance(one, ReconstructedSpill) and one.run == OWN_TABLES:
            said = {one.errors[name] for name in WITH_CONDITIONS}
            assert len(said) == 1
            assert f"tof_channels.txt, line {LINE}" in said.pop()

    # Nobody need start anything again when it is mended.
    table.write_text(good)
    produce(settings, [*after, *others[5:]])
    until_counted()
    assert reader.runs()[OWN_TABLES].errors == totals.errors
    (whole,) = process(after, conditions_of).values()
    assert reader.runs()[OWN_TABLES].detectors["tof"] == whole.part.totals.detectors["tof"]
    (other,) = process(others, conditions_of).values()
    assert differences(other.run_book(), reader.run(OTHER_RUN, {})) == []
