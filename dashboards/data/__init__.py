"""What the page shows, read from Redis and Kafka."""

from dashboards.data.data import Data
from dashboards.data.view import Reference, RunSummary, View

__all__ = ["Data", "Reference", "RunSummary", "View"]
