"""How far the books are behind what Kafka has of ``spills.raw``."""

from collections.abc import Mapping

from streams.books.progress import Progress
from streams.kafka import Spans


def behind(spans: Spans, progress: Mapping[int, Progress]) -> int:
    """Return how many messages that Kafka still has are not in the books; a partition without progress lacks all."""
    nexts = {partition: its.next for partition, its in progress.items()}
    return sum(max(end - max(low, nexts.get(partition, low)), 0) for partition, (low, end) in enumerate(spans))


def to_be_read_again(progress: Mapping[int, Progress]) -> int:
    """Return how many messages are to be read once more for runs that are being made again."""
    return sum(max(its.next - first, 0) for its in progress.values() for first in its.repairs.values())
