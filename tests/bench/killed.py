"""Workers killed, started anew and told to end while spills come: python -m tests.bench.killed.

What is measured is the longest time from a spill's acknowledgement by Kafka until a worker filled it into the books.
"""

import argparse
import statistics
import threading
import time

from ops.demo import Part, Running, playground, wait_until_counted
from streams.books.compare import differences
from streams.books.connect import connect
from streams.books.reader import BookReader
from streams.conditions.store import ConditionsStore
from streams.daq.producer import SpillProducer
from streams.experiments.mice.simulator import SimulatedRun
from streams.process import process
from tests.kafka import wait_until_shared

RUN = 900_712
PACE_S = 0.05
"""Between two spills: there is one for each partition soon after a worker is gone."""
SETTLES_S = 3.0
"""What a harm does to a spill shows within it, but for a session's time-out."""


def measure(workers: int, rounds: int, settles_s: float) -> None:
    """Print how long spills waited when a worker was killed, came, and was told to end."""
    with playground(0) as running:
        parts = [running.start(f"worker {number + 1}", "worker") for number in range(workers)]
        wait_until_shared(running.settings, workers)
        ended = threading.Event()
        run = SimulatedRun(run=RUN, spills=100_000, mean_triggers=4, detectors=("tof",))
        sent: list[int] = []
        thread = threading.Thread(target=produce, args=(running, run, ended, sent))
        thread.start()
        time.sleep(settles_s)
        times: list[tuple[str, float]] = []
        for number in range(rounds):
            part = parts[number % workers]
            assert part.process is not None
            times.append(("killed", time.time()))
            part.process.kill()
            part.process.wait()
            time.sleep(settles_s)
            times.append(("came", time.time()))
            _come(running, part, workers, settles_s)
            times.append(("told to end", time.time()))
            part.ask_to_end()
            part.process.wait()
            time.sleep(settles_s)
            times.append(("came", time.time()))
            _come(running, part, workers, settles_s)
        ended.set()
        thread.join()
        wait_until_counted(running)
        records = [run.spill(number).raw for number in sent]
        (expected,) = process(records, ConditionsStore([]).for_run).values()
        with connect(running.settings) as redis:
            book = BookReader.of(redis, running.settings).run(RUN, expected.book.ranges)
        for what in differences(expected.run_book(), book):
            print(f"differs: {what}")
        print(f"{book.totals.filled} of {len(sent)} spills counted")
        waits: dict[str, list[float]] = {}
        for (what, since), (_, until) in zip(times, [*times[1:], ("", time.time())], strict=True):
            its = [h.delay_s for h in book.handling.values() if since - 1 <= h.produced_ms / 1000 < until]
            waits.setdefault(what, []).append(max(its, default=0.0))
        for what, its in waits.items():
            its.sort()
            late = its[min(len(its) - 1, int(0.95 * len(its)))]
            print(f"{what}: {len(its)} times; the longest wait {statistics.median(its):.2f} s median, {late:.2f} s p95")


def _come(running: Running, part: Part, workers: int, settles_s: float) -> None:
    part.start()
    wait_until_shared(running.settings, workers)
    time.sleep(settles_s)


def produce(
    running: Running, run: SimulatedRun, ended: threading.Event, sent: list[int], pace_s: float = PACE_S
) -> None:
    """Send one spill after the other until it is told to end, and take note of the number of each."""
    with SpillProducer(running.settings) as producer:
        while not ended.wait(pace_s):
            producer.send(run.spill(len(sent)).raw)
            producer.flush()
            sent.append(len(sent))


def main() -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=6)
    parser.add_argument("--settles", type=float, default=SETTLES_S)
    asked = parser.parse_args()
    measure(asked.workers, asked.rounds, asked.settles)


if __name__ == "__main__":
    main()
