"""How far live is behind what the DAQ sends: a replay waits while it is too far."""

import time
from contextlib import ExitStack, closing
from typing import Self

from confluent_kafka import KafkaException

from streams.books.connect import COMMAND_S, connect
from streams.books.lag import behind
from streams.books.reader import BookReader
from streams.kafka import no_kafka, reader, spans
from streams.settings import Settings
from streams.topics import Topics

LIMIT = 4
"""Messages of ``spills.raw`` that are not in the live books: at a spill a second one is usual, two are no wonder."""
LOOK_S = 0.5
"""Time between two looks."""


class LiveLag:
    """Looks at the live session now and then; use it in a ``with`` block. Its errors are those of Redis and Kafka."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._looked_s, self._behind = 0.0, 0

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            self._consumer = stack.enter_context(closing(reader(self._settings)))
            redis = stack.enter_context(connect(self._settings, COMMAND_S))
            self._books = BookReader.of(redis, self._settings)
            self._open = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._open.close()

    def too_far_behind(self) -> int:
        """Return by how many messages live is behind if they are more than `LIMIT`, else 0."""
        if time.monotonic() - self._looked_s > LOOK_S:
            try:
                now = spans(self._consumer, Topics.of(self._settings).raw)
            except KafkaException as error:
                raise no_kafka(self._settings, error) from error
            self._behind = behind(now, self._books.progress())
            self._looked_s = time.monotonic()
        return self._behind if self._behind > LIMIT else 0
