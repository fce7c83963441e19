"""Where runs begin in spills.raw, as the topic of runs says: Kafka's own memory of it, for when Redis has lost its."""

import threading
from collections.abc import Iterable

from schemas.known import WireError
from schemas.records import RunRecord
from schemas.wire import decode
from streams.books.kafka_log import Known
from streams.kafka import asking, messages, span
from streams.settings import Settings


def known(records: Iterable[RunRecord], log: str, partition: int) -> Known:
    """Return where runs begin in a partition of the topic of raw spills that has this id, as records say.

    Parameters
    ----------
    records
        In the order in which they were written.
    """
    number = str(partition)
    ours = [one for one in records if one.log == log]
    newest = {one.run: one for one in ours}
    counted = [one.counted[number] for one in ours if number in one.counted]
    return Known(
        runs={run: one.firsts[number] for run, one in newest.items() if number in one.firsts},
        below=counted[-1] if counted else 0,  # it may be less than once: Kafka loses the end of a log, too
    )


class KnownRuns:
    """Where runs begin, as the topic of runs says. Blocking: call it from a thread.

    Parameters
    ----------
    settings
        Brokers.
    topic
        The one of runs.
    """

    def __init__(self, settings: Settings, topic: str) -> None:
        self._settings = settings
        self._topic = topic
        self._lock = threading.Lock()
        self._end = 0
        self._records: list[RunRecord] = []

    def of(self, log: str, partition: int) -> Known:
        """Return where runs begin in a partition of the topic of raw spills that has this id.

        Raises
        ------
        ServerError
            When Kafka does not answer.
        """
        with self._lock:
            self._read()
            return known(self._records, log, partition)

    def newest(self) -> dict[int, RunRecord]:
        """Return the record of each run that was written last; raises as `of` does."""
        with self._lock:
            self._read()
            return {one.run: one for one in self._records}

    def _read(self) -> None:
        """Read what was written since somebody read last."""
        with asking(self._settings) as consumer:
            low, end = span(consumer, self._topic, 0)
            if end < self._end:  # the topic was made anew
                self._records, self._end = [], 0
            start, found = max(low, self._end), []
            for message in messages(consumer, self._topic, 0, start, end):
                try:
                    one = decode(message.value() or b"")
                except WireError:
                    continue  # somebody else's
                if isinstance(one, RunRecord):
                    found.append(one)
            self._records += found
            self._end = end
