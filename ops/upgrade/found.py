"""What becomes of a part of a run."""

from dataclasses import dataclass
from enum import StrEnum


class Verdict(StrEnum):
    """What becomes of it."""

    REBUILT = "rebuilt from Kafka"
    """By workers, since Kafka has it whole."""
    CARRIED = "carried over"
    THERE = "already there"
    LEFT = "cannot be carried over"


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """A partition's part of a run that an earlier version counted."""

    session: str
    partition: int
    run: int | None
    """None where not even the numbers of the runs can be read."""
    spills: int = 0
    """That were counted."""
    verdict: Verdict
    why: str = ""
