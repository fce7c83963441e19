"""Workers moved from one release to another and back while spills come: python -m tests.bench.roll ONE TWO.

ONE and TWO are releases of the directory that the settings name. What is measured is the longest time from a spill's
acknowledgement by Kafka until it was in the books.
"""

import argparse
import subprocess
import threading
import time
from collections.abc import Sequence
from pathlib import Path

from ops.demo import Part, Running, playground, wait_until_counted
from ops.releases.shelf import Shelf
from schemas.records import RawSpill, RunControl
from streams.books.compare import differences
from streams.books.connect import connect
from streams.books.reader import BookReader
from streams.conditions.store import ConditionsStore
from streams.daq.producer import SpillProducer
from streams.experiments.mice.simulator import SimulatedRun
from streams.moving import CURRENT
from streams.process import process
from streams.settings import load_settings
from tests.kafka import wait_until_shared

RUN = 900_711


def roll(one: str, two: str, workers: int, spills: int, pace_s: float) -> None:
    """Print how long spills waited, before, while workers moved and while they moved back."""
    shelf = Shelf.of(load_settings())
    shelf.use(one)
    records = list(SimulatedRun(run=RUN, spills=spills, mean_triggers=8).records())
    expected = process(records, ConditionsStore([]).for_run)[RUN]
    with playground(0) as running:
        for number in range(workers):
            _start(running, f"worker {number + 1}", shelf.command(CURRENT))
        wait_until_shared(running.settings, workers)
        thread = threading.Thread(target=_produce, args=(running, records, pace_s))
        thread.start()
        time.sleep(10)
        times = [("before", time.time())]
        for name in (two, one):
            done = subprocess.run(
                [shelf.command(CURRENT), "release", "use", name],
                env=running.environment,
                capture_output=True,
                text=True,
                check=False,
            )
            print(done.stdout, done.stderr)
            times.append((f"to {name}", time.time()))
            time.sleep(5)
        thread.join()
        wait_until_counted(running)
        with connect(running.settings) as redis:
            book = BookReader.of(redis, running.settings).run(RUN, expected.book.ranges)
        for what in differences(expected.run_book(), book):
            print(f"differs: {what}")
        began = 0.0
        for what, until in [*times, ("after", time.time())]:
            its = [h.delay_s for h in book.handling.values() if began <= h.produced_ms / 1000 < until]
            print(f"{what}: {len(its)} spills, the longest waited {max(its, default=0.0):.2f} s")
            began = until
        print(f"filled by {', '.join(sorted(book.totals.code))}; {book.totals.filled} of {spills} spills")


def _start(running: Running, name: str, command: Path) -> None:
    part = Part(name, [str(command), "worker"], running.environment, running.directory / f"{name}.log")
    running.parts.append(part)
    part.start()


def _produce(running: Running, records: Sequence[RawSpill | RunControl], pace_s: float) -> None:
    with SpillProducer(running.settings) as producer:
        for record in records:
            producer.send(record)
            producer.flush()
            time.sleep(pace_s)


def main() -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("one")
    parser.add_argument("two")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--spills", type=int, default=300)
    parser.add_argument("--pace", type=float, default=0.25)
    asked = parser.parse_args()
    roll(asked.one, asked.two, asked.workers, asked.spills, asked.pace)


if __name__ == "__main__":
    main()
