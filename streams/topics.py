"""Names of the topics, and of who reads them; where in them a spill lies."""

from dataclasses import dataclass
from typing import Self

from streams.settings import Settings


def workers_group(settings: Settings, session: str) -> str:
    """Return the consumer group of a session's workers."""
    return f"{settings.kafka.topic_prefix}spilldeck-{session}"


def partition_of(spill: int, partitions: int) -> int:
    """Return the partition of a spill: a run is spread over all of them. Unreadable bytes have none: the first."""
    return max(spill, 0) % partitions


@dataclass(frozen=True, slots=True, kw_only=True)
class Topics:
    """The topics of one experiment; all begin with the prefix in the settings."""

    raw: str
    """Raw spills and run control."""
    reco: str
    """Reconstructed spills."""
    rejected: str
    """What is in no histogram, with the reason."""
    runs: str
    """One record a run."""
    quality: str
    """What people decided, an action a record, for ever."""
    schemas: str
    """Every schema that messages are written with, for ever."""

    @classmethod
    def of(cls, settings: Settings) -> Self:
        """Return the topics of these settings."""
        prefix = settings.kafka.topic_prefix
        return cls(
            raw=f"{prefix}spills.raw",
            reco=f"{prefix}spills.reco",
            rejected=f"{prefix}spills.rejected",
            runs=f"{prefix}runs",
            quality=f"{prefix}quality",
            schemas=f"{prefix}schemas",
        )
