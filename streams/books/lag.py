"""How far the books are behind what Kafka has of ``spills.raw``."""

from collections.abc import Mapping

from streams.books.reader import Progress
from streams.kafka import Spans


def behind(spans: Spans, progress: Mapping[int, Progress]) -> int:
    """Return how many messages that Kafka still has are not in the books; a partition without progress lacks all."""
    nexts = {partition: its.next for partition, its in progress.items()}
    return sum(max(end - max(low, nexts.get(partition, low)), 0) for partition, (low, end) in enumerate(spans))
