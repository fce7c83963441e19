"""How far the books are behind what Kafka has of ``spills.raw``."""

from collections.abc import Sequence

from streams.books.reader import Progress
from streams.kafka import Spans


def behind(spans: Spans, progress: Sequence[Progress]) -> int:
    """Return how many messages that Kafka still has are not in the books; a partition without progress lacks all."""
    counted = {partition: its.raw_end for partition, its in enumerate(progress)}
    return sum(max(end - max(low, counted.get(partition, low)), 0) for partition, (low, end) in enumerate(spans))
