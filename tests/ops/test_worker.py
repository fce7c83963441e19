"""spilldeck worker: with the settings that a site may choose, and what it says while its servers are away."""

from collections.abc import Callable
from pathlib import Path

import pytest

from ops.topics import ensure_topics
from streams.books.reader import BookReader
from streams.daq.producer import SpillProducer
from streams.daq.simulator import SimulatedRun
from streams.settings import Settings
from tests.workers import Workers

pytestmark = pytest.mark.servers

RUN = SimulatedRun(run=900_061, spills=4, mean_triggers=2, detectors=("tof",))


def send(settings: Settings, run: SimulatedRun) -> None:
    with SpillProducer(settings) as producer:
        for record in run.records():
            producer.send(record)


@pytest.mark.parametrize("session_s", [120, 300])
def test_a_worker_works_with_every_session_time_out_that_the_settings_take(
    settings: Settings, reader: BookReader, until_counted: Callable[[], None], tmp_path: Path, session_s: int
) -> None:
    ensure_topics(settings)
    workers = Workers(settings, tmp_path, {"SPILLDECK_KAFKA__SESSION_TIMEOUT_S": str(session_s)})
    workers.start()
    try:
        send(settings, RUN)
        until_counted()
    finally:
        workers.stop()
    assert reader.runs()[RUN.run].filled == 4
