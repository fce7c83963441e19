"""How fresh the numbers are, in words: thresholds and sentences stand here alone, for page, metrics and commands.

The wall clock decides here and nowhere else: whether something is alive is a question to it.
"""

from dataclasses import dataclass
from enum import StrEnum

DAQ_LATE_S, DAQ_SILENT_S = 10.0, 60.0
"""Without a spill for so long, the DAQ or the beam is late, then silent. Spills come every 1 to 4 s."""
PIPELINE_LATE_S, PIPELINE_STUCK_S = 5.0, 30.0
"""Behind the DAQ for so long, the workers are late, then stuck. A checkpoint is due every second."""
CLOCK_AHEAD_S = 1.0
"""A spill produced so far in the future means that a clock is off."""


class Level(StrEnum):
    """How good something is; each has a letter, so that colour never says it alone."""

    GOOD = "good"
    WARNING = "warning"
    BAD = "bad"
    UNKNOWN = "unknown"
    IDLE = "idle"
    """Nothing is wrong and nothing is expected."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Freshness:
    """One figure of freshness."""

    level: Level
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Observed:
    """What was seen of the servers; times in seconds since 1970 UTC."""

    now_s: float
    produced_s: float
    """When the newest message in the books was produced; 0 if there is none."""
    raw_moved_s: float
    """When ``spills.raw`` was last seen to grow; 0 if not since we look."""
    behind: int
    """Messages of ``spills.raw`` that are not in the books."""
    behind_since_s: float
    """Since when there were some without a break; 0 if there are none."""
    kafka_lost_s: float = 0.0
    """Since when Kafka does not answer; 0 if it does."""
    run_ended: bool = False


def daq(seen: Observed) -> Freshness:
    """Say how long ago the last spill came from the DAQ."""
    last_s = max(seen.produced_s, seen.raw_moved_s)
    age_s = seen.now_s - last_s
    if seen.produced_s - seen.now_s > CLOCK_AHEAD_S:
        ahead = seen.produced_s - seen.now_s
        return Freshness(level=Level.WARNING, text=f"Clock ahead by {span(ahead)}: times of spills are not ours")
    if seen.kafka_lost_s:
        lost = span(seen.now_s - seen.kafka_lost_s)
        return Freshness(
            level=Level.UNKNOWN, text=f"Kafka does not answer for {lost}: nobody knows whether spills come"
        )
    if not last_s:
        return Freshness(level=Level.IDLE, text="No spill yet: waiting for the DAQ")
    if age_s <= DAQ_LATE_S:
        return Freshness(level=Level.GOOD, text=f"Last spill {span(age_s)} ago")
    if seen.run_ended:
        return Freshness(level=Level.IDLE, text=f"Run ended; last spill {span(age_s)} ago")
    level = Level.WARNING if age_s <= DAQ_SILENT_S else Level.BAD
    return Freshness(level=level, text=f"No spills for {span(age_s)}: DAQ or beam")


def pipeline(seen: Observed) -> Freshness:
    """Say how far the books are behind what the DAQ has sent."""
    if seen.kafka_lost_s:
        return Freshness(level=Level.UNKNOWN, text="Kafka does not answer: nobody knows what is not yet processed")
    if seen.behind <= 0:
        return Freshness(level=Level.GOOD, text="All spills processed")
    behind_s = seen.now_s - seen.behind_since_s
    spills = "1 spill" if seen.behind == 1 else f"{seen.behind} spills"
    if behind_s <= PIPELINE_LATE_S:
        return Freshness(level=Level.GOOD, text=f"Processing {spills}")
    level = Level.WARNING if behind_s <= PIPELINE_STUCK_S else Level.BAD
    return Freshness(level=level, text=f"Processing {spills} behind, for {span(behind_s)}: workers")


def span(seconds: float) -> str:
    """Return a length of time as a person says it."""
    whole = max(int(seconds), 0)
    if whole < 120:
        return f"{whole} s"
    minutes, hours = whole // 60, whole // 3600
    if hours < 2:
        return f"{minutes} min"
    return f"{hours} h {minutes % 60} min" if hours < 48 else f"{hours // 24} days"
