"""A replay of a long run beside live, measured: python -m tests.bench.replay [--spills N] [--workers N]."""

import argparse
import subprocess
import sys
import threading
import time
from collections import deque
from contextlib import closing, suppress

import psutil
from redis import Redis

from ops.demo import playground, wait_until_counted
from streams.books.connect import connect
from streams.books.lag import behind
from streams.books.reader import BookReader
from streams.daq.producer import SpillProducer
from streams.experiments.mice.simulator import SimulatedRun
from streams.kafka import Spans, reader, spans
from streams.settings import Settings
from streams.topics import Topics
from tests.bench.repeated import RepeatedRun

REPLAYED, LIVE = 900_701, 900_702
DISTINCT = 40
"""Spills that are simulated; the run repeats them."""


class Watch:
    """Looks at live's lag and at the memory of the replay's processes, until it is stopped."""

    def __init__(self, settings: Settings, redis: Redis, process: "subprocess.Popen[str]") -> None:
        self.lags_s: list[float] = []
        self.largest_mb = 0.0
        self._settings, self._process = settings, psutil.Process(process.pid)
        self._books = BookReader.of(redis, settings)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._look)
        self._thread.start()

    def stop(self) -> None:
        self._stop.set()
        self._thread.join()

    def _look(self) -> None:
        topic = Topics.of(self._settings).raw
        waiting: deque[tuple[float, Spans]] = deque()
        last: Spans = ()
        with closing(reader(self._settings)) as consumer:
            while not self._stop.wait(0.05):
                now = spans(consumer, topic, 10)
                if now != last:
                    waiting.append((time.monotonic(), now))
                    last = now
                there = self._books.progress()
                while waiting and not behind(waiting[0][1], there):
                    seen_s, _ = waiting.popleft()
                    self.lags_s.append(time.monotonic() - seen_s)
                with suppress(psutil.NoSuchProcess):  # it may end at any moment
                    for child in self._process.children():
                        self.largest_mb = max(self.largest_mb, child.memory_info().rss / 1e6)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--spills", type=int, default=2000)
    parser.add_argument("--workers", type=int, default=4)
    asked = parser.parse_args()
    run = SimulatedRun(run=REPLAYED, spills=DISTINCT)
    repeated = RepeatedRun(run)
    with playground(workers=2) as running, connect(running.settings) as redis:
        with SpillProducer(running.settings) as producer:
            producer.send(repeated.start)
            for number in range(asked.spills):
                producer.send(repeated.spill(number))
            producer.send(repeated.end)
        began_s = time.monotonic()
        wait_until_counted(running)
        print(f"live counted {asked.spills} spills in {time.monotonic() - began_s:.0f} s")
        stop = threading.Event()

        def play() -> None:
            with SpillProducer(running.settings) as producer:
                for record in SimulatedRun(run=LIVE, spills=100_000).records():
                    if stop.wait(1.0):
                        return
                    producer.send(record)

        player = threading.Thread(target=play)
        player.start()
        command = [sys.executable, "-m", "ops", "replay", str(REPLAYED), "--workers", str(asked.workers)]
        began_s = time.monotonic()
        replaying = subprocess.Popen(command, env=running.environment, text=True, stdout=subprocess.PIPE)
        watch = Watch(running.settings, redis, replaying)
        said, _ = replaying.communicate()
        seconds = time.monotonic() - began_s
        watch.stop()
        stop.set()
        player.join()
        print(said.strip())
        lags = sorted(watch.lags_s)
        beam_s = asked.spills * run.period_s
        print(f"replay: {seconds:.1f} s, {asked.spills / seconds:.0f} spills/s, {beam_s / seconds:.0f} x real time")
        print(f"live's lag: median {lags[len(lags) // 2]:.2f} s, longest {lags[-1]:.2f} s, of {len(lags)} spills")
        print(f"largest process of the replay: {watch.largest_mb:.0f} MB")


if __name__ == "__main__":
    main()
