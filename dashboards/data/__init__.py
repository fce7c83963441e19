"""What the page shows, read from Redis and Kafka."""

from dashboards.data.data import Data
from dashboards.data.view import RunSummary, View

__all__ = ["Data", "RunSummary", "View"]
