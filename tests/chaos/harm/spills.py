"""Another file or clock of the DAQ, too large messages, spills on which the code fails, and a table with a typo."""

import random
import time
from collections.abc import Iterable
from dataclasses import replace

from schemas.records import RawSpill
from schemas.wire import MAX_MESSAGE_BYTES
from streams.topics import Topics
from tests.chaos import planted
from tests.chaos.cluster import Cluster
from tests.chaos.daq import SOON, OwnRun, Record
from tests.chaos.tables import BREAKABLE_RUNS, cabling
from tests.kafka import set_topic

CLOCK_RUNS = range(700_401, 700_500)
HOUR_US = 3_600_000_000
OVERSIZED_RUNS = range(700_201, 700_300)
MOST_TRIGGERS = 300
RECO_BYTES = 200_000
"""What spills.reco takes while a spill comes that reconstructs to more."""
FEW_BYTES = 1_000
"""Less than any spill has."""


def replace_the_followed_file(cluster: Cluster, _: random.Random) -> None:
    """Have the DAQ go on in another file of the same name, at once."""
    before = len(cluster.daq.written)
    cluster.daq.replace_the_file()
    cluster.until(lambda: len(cluster.daq.written) > before + SOON, "the DAQ")


def set_the_daqs_clock(cluster: Cluster, rng: random.Random) -> None:
    """Set the DAQ's clock an hour behind or ahead in mid-run."""
    run = OwnRun(run=_unused(cluster, CLOCK_RUNS), spills=24, mean_triggers=4)
    then = replace(run, start_us=run.start_us + rng.choice([-HOUR_US, HOUR_US]))
    _count(cluster, [*[*run.records()][:12], *[*then.records()][12:]])


def lower_a_topics_limit(cluster: Cluster, rng: random.Random) -> None:
    """Let one topic take no spill for a while."""
    topics = Topics.of(cluster.settings)
    topic = rng.choice([topics.raw, topics.reco])
    set_topic(cluster.settings, topic, "max.message.bytes", str(FEW_BYTES))
    time.sleep(rng.uniform(2, 4))
    set_topic(cluster.settings, topic, "max.message.bytes", str(MAX_MESSAGE_BYTES))


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
