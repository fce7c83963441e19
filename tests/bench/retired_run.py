"""What a run takes of Redis while its plots are there, and when they have left: python -m tests.bench.retired_run."""

import time

from redis import Redis

from ops.demo import playground
from streams.books.connect import connect
from streams.books.reader import BookReader
from streams.books.retiring import Retiring
from streams.daq.producer import SpillProducer
from streams.experiments.mice.simulator import SimulatedRun
from streams.settings import Settings

RUN, SPILLS, TRIGGERS = 900_016, 100, 60
LOOK_S = 0.2


def size(redis: Redis, settings: Settings) -> int:
    """Return the bytes of all keys of the run."""
    keys = redis.scan_iter(match=f"{settings.redis.key_prefix}:v2:*{RUN}*")
    return sum(redis.memory_usage(key, samples=0) or 0 for key in keys)


def main() -> None:
    """Print both."""
    with playground() as running, connect(running.settings) as redis:
        settings = running.settings
        with SpillProducer(settings) as producer:
            for record in SimulatedRun(run=RUN, spills=SPILLS, mean_triggers=TRIGGERS).records():
                producer.send(record)
        reader = BookReader.of(redis, settings)
        while (place := reader.places().get(RUN)) is None or place.filled < SPILLS or not place.ended:
            time.sleep(LOOK_S)
        before = size(redis, settings)
        Retiring(redis, settings.redis.key_prefix, settings.session).ask(RUN, reader.totals(RUN).last_raw)
        while (place := reader.places()[RUN]).retired < place.partitions:
            time.sleep(LOOK_S)
        what = f"{SPILLS} spills of {TRIGGERS} particle triggers"
        print(f"{what}: {before:,} bytes, {size(redis, settings):,} when they have left")


if __name__ == "__main__":
    main()
