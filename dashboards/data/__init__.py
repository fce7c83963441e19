"""What the page shows, read from Redis and Kafka."""

from dashboards.data.data import Data
from dashboards.data.history import SPILLS_SHOWN, History, Point
from dashboards.data.replays import Replay
from dashboards.data.view import Reference, RunSummary, StoredRuns, View, book_words, window_words

__all__ = [
    "SPILLS_SHOWN",
    "Data",
    "History",
    "Point",
    "Reference",
    "Replay",
    "RunSummary",
    "StoredRuns",
    "View",
    "book_words",
    "window_words",
]
