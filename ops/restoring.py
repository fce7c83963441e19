"""An old run back into Redis, from Kafka: a worker makes it again, as one that was lost."""

import time
from collections.abc import Callable

from redis import Redis

from streams.books.reader import BookReader
from streams.books.retiring import Retiring
from streams.errors import ServerError, SpilldeckError, UsageError
from streams.kafka import topic_spans
from streams.kafka.probe import Probe
from streams.settings import Settings
from streams.topics import Topics

BEGUN_S = 30.0
"""A worker looks every five seconds for what it is asked; where none has begun within it, none is there."""
_LOOK_S = 0.2


def bring_back(settings: Settings, redis: Redis, run: int, say: Callable[[int, int], None]) -> int:
    """Have a worker make a run again, wait until that is done, and return the run's spills.

    Parameters
    ----------
    say
        Told again and again how many of how many partitions have their part.

    Raises
    ------
    UsageError
        When there is no such run, or it has not left.
    SpilldeckError
        When Kafka no longer has all of it.
    ServerError
        When no worker takes it up, or Kafka does not answer.
    """
    live = BookReader.of(redis, settings)
    places = live.places()
    if run not in places:
        raise UsageError(f"there is no run {run}: see spilldeck runs list")
    if not places[run].retired:
        raise UsageError(f"the plots of run {run} have not left Redis")
    totals = live.totals(run)
    _refuse_what_kafka_lost(settings, run, places[run].log, totals.first_raw)
    Retiring(redis, settings.redis.key_prefix, settings.session).restore(run, totals.last_raw, time.time())
    readers = [BookReader(redis, settings.redis.key_prefix, settings.session, partition=p) for p in totals.last_raw]
    until_s, left_before = time.monotonic() + BEGUN_S, len(readers)
    while left := sum(_is_away(reader, run) for reader in readers):
        say(len(readers) - left, len(readers))
        if left < left_before or live.being_made_again(run):
            until_s, left_before = time.monotonic() + BEGUN_S, left
        if time.monotonic() > until_s:
            raise ServerError(
                f"no worker has begun to bring run {run} back: start one (spilldeck worker), and it is done by itself"
            )
        time.sleep(_LOOK_S)
    return live.totals(run).filled


def _is_away(reader: BookReader, run: int) -> bool:
    """Say whether a partition's part of a run is not back yet."""
    return bool(reader.places()[run].retired or reader.being_made_again(run))


def _refuse_what_kafka_lost(settings: Settings, run: int, log: str, firsts: dict[int, int]) -> None:
    topic = Topics.of(settings).raw
    spans = topic_spans(settings, topic)
    is_same = Probe(settings, topic).id() == log
    if not is_same or any(p >= len(spans) or spans[p][0] > first for p, first in firsts.items()):
        raise SpilldeckError(
            f"Kafka no longer has all of run {run}: make its plots from its archive, spilldeck replay {run} --archive "
            f"FILE --name {run}, and have them shown, spilldeck replays promote {run}"
        )
