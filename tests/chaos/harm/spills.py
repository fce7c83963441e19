"""Another file of the DAQ, spills that are too large, spills on which the code fails, and a table with a typo."""

import random
from collections.abc import Iterable

from schemas.records import RawSpill
from schemas.wire import MAX_MESSAGE_BYTES
from streams.topics import Topics
from tests.chaos import planted
from tests.chaos.cluster import Cluster
from tests.chaos.daq import SOON, OwnRun, Record
from tests.chaos.tables import BREAKABLE_RUNS, cabling
from tests.kafka import set_topic

OVERSIZED_RUNS = range(700_201, 700_300)
MOST_TRIGGERS = 300
RECO_BYTES = 200_000
"""What spills.reco takes while a spill comes that reconstructs to more."""


def replace_the_followed_file(cluster: Cluster, _: random.Random) -> None:
    """Have the DAQ go on in another file of the same name, at once."""
    before = len(cluster.daq.written)
    cluster.daq.replace_the_file()
    cluster.until(lambda: len(cluster.daq.written) > before + SOON, "the DAQ")


def write_an_oversized_spill(cluster: Cluster, _: random.Random) -> None:
    """Write a spill that reconstructs to more than spills.reco takes."""
    reco = Topics.of(cluster.settings).reco
    set_topic(cluster.settings, reco, "max.message.bytes", str(RECO_BYTES))
    run = _unused(cluster, OVERSIZED_RUNS)
    _count(cluster, OwnRun(run=run, spills=1, mean_triggers=MOST_TRIGGERS).with_faults(["many_triggers"]).records())
    set_topic(cluster.settings, reco, "max.message.bytes", str(MAX_MESSAGE_BYTES))


def plant_faults(cluster: Cluster, _: random.Random) -> None:
    """Write a run on three spills of which the code fails: in a detector, when it fills, and for the ledger."""
    run = _unused(cluster, planted.RUNS)
    _count(cluster, OwnRun(run=run, spills=12, mean_triggers=4).records())


def break_a_table(cluster: Cluster, _: random.Random) -> None:
    """Put a typo into a table in mid-run, start all workers again, and mend it when the run is over."""
    run = _unused(cluster, BREAKABLE_RUNS)
    table = cabling(cluster.index, run)
    good = table.read_text()
    *records, end = OwnRun(run=run, spills=24, mean_triggers=4).records()
    _count(cluster, records[:12])
    table.write_text(good.replace("tof0", "tof O", 1))
    for worker in cluster.workers:
        worker.kill()
    for worker in cluster.workers:
        worker.start()
    _count(cluster, [*records[12:], end])
    table.write_text(good)


def _unused(cluster: Cluster, runs: Iterable[int]) -> int:
    used = {record.run for record in list(cluster.daq.written)}
    return next(run for run in runs if run not in used)


def _count(cluster: Cluster, records: Iterable[Record]) -> None:
    """Have the DAQ write records of one run, and wait until they are counted."""
    records = list(records)
    (run,) = {record.run for record in records}

    def received() -> int:
        place = cluster.books.places().get(run)
        return place.received if place is not None else 0

    wanted = received() + sum(isinstance(record, RawSpill) for record in records)
    cluster.daq.write(records)
    cluster.until(lambda: received() >= wanted, f"run {run}")
