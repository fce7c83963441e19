"""What the page shows, read from Redis and Kafka."""

from dashboards.data.automatic import Automatic
from dashboards.data.data import Data
from dashboards.data.history import SPILLS_SHOWN, History, Point
from dashboards.data.one_run import Part
from dashboards.data.replays import Replay
from dashboards.data.view import Reference, RunSummary, StoredRuns, View, book_words, window_words

__all__ = [
    "SPILLS_SHOWN",
    "Automatic",
    "Data",
    "History",
    "Part",
    "Point",
    "Reference",
    "Replay",
    "RunSummary",
    "StoredRuns",
    "View",
    "book_words",
    "window_words",
]
