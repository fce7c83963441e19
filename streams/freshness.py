"""How fresh the numbers are, in words: thresholds and sentences stand here alone, for page, metrics and commands.

The wall clock decides here and nowhere else: whether something is alive is a question to it.
"""

from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum

from streams.words import several

DAQ_LATE_S, DAQ_SILENT_S = 10.0, 60.0
"""Without a spill for so long, the DAQ or the beam is late, then silent. Spills come every 1 to 4 s."""
PIPELINE_LATE_S, PIPELINE_STUCK_S = 5.0, 30.0
"""When a spill waits for so long, the workers are late, then stuck. A checkpoint is due every second."""
BROWSER_LATE_S = 5.0
"""A browser that has not heard from its server for so long says so."""
CLOCK_AHEAD_S = 1.0
"""A spill produced so far in the future means that a clock is off."""
CLOCK_BEHIND_S = 10.0
"""So does one produced so long before it came. By a clock far behind, Kafka takes new spills for old ones to remove."""
OWN_CLOCK_OFF_S = 10.0
"""Spills whose own times differ so much from when they were produced have a clock that is off, or came late."""
RECORDED_S = 86_400.0
"""Spills that are so old when they are produced were recorded: a file is played."""
LOSS_TOLD_S = 86_400.0
"""For so long it is told what Kafka lost: each shift hears of it. The runs' missing spills stay in their books."""
WATCHER_SILENT_S = 15.0
"""A watcher of alarms speaks every second, but may have a whole run to judge first, and several alarms to write."""
REFUSED_OF_LAST, REFUSED_LATE, REFUSED_ALL = 20, 3, 10
"""Of the last so many spills, so many that are refused are told; without one that counts, so many are bad."""


class Level(StrEnum):
    """How good something is; each has a mark, so that colour never says it alone."""

    GOOD = "good"
    WARNING = "warning"
    BAD = "bad"
    UNKNOWN = "unknown"
    IDLE = "idle"
    """Nothing is wrong and nothing is expected."""
    KNOWN = "known"
    """Something is wrong, and known: nobody has to do anything."""


MARK = {Level.GOOD: "✓", Level.WARNING: "!", Level.BAD: "✕", Level.UNKNOWN: "?", Level.IDLE: "–", Level.KNOWN: "▨"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Freshness:
    """One figure of freshness."""

    level: Level
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Observed:
    """What was seen of the servers; times in seconds since 1970 UTC."""

    now_s: float
    produced_s: float = 0.0
    """When the newest message in the books was produced; 0 if there is none."""
    raw_moved_s: float = 0.0
    """When ``spills.raw`` was last seen to grow; 0 if not since we look."""
    caught_up: bool = False
    """All that it was seen to have then is in the books."""
    behind: int = 0
    """Messages of ``spills.raw`` that are not in the books."""
    behind_since_s: float = 0.0
    """When the oldest of them was first seen; 0 if there are none."""
    made_again: int = 0
    """Runs of which something was not whole in the books, and that are made again behind the others."""
    kafka_lost_s: float = 0.0
    """Since when Kafka does not answer; 0 if it does."""
    store_lost_s: float = 0.0
    """Since when Redis does not answer, or not with books; 0 if it does."""
    refused: int = 0
    """Spills of the run that came after the last one in its book, and were rejected."""
    refused_of_last: int = 0
    """Of the last `REFUSED_OF_LAST` spills of the run, those that were rejected."""
    refused_why: str = ""
    """What rejected the last of them, and why."""
    own_clock_s: float = 0.0
    """The own time of the run's newest spill less that at which it was produced."""
    run_waits: bool = False
    """The run has begun and none of its spills has come."""
    run_ended: bool = False
    watchers: int = 0
    """Watchers of alarms that are at work."""
    not_told: tuple[str, ...] = ()
    """Ways of telling alarms by which something was not taken last, when and why, in words."""
    watched_s: float = 0.0
    """When any of them last said so; 0 if none ever did."""


def silence_s(seen: Observed) -> float | None:
    """Return for how long no spill has come; None if nobody knows."""
    last_s = _last_s(seen)
    return max(seen.now_s - last_s, 0.0) if last_s and not seen.kafka_lost_s else None


def is_silent(seen: Observed) -> bool:
    """Say whether spills should come and none does, for so long that it is bad."""
    return daq(seen).level is Level.BAD


def is_stuck(seen: Observed) -> bool:
    """Say whether a spill waits for so long to be processed that it is bad."""
    return seen.behind > 0 and seen.now_s - seen.behind_since_s > PIPELINE_STUCK_S


def refuses_all(seen: Observed) -> bool:
    """Say whether so many spills of a run that goes on have come and not counted, the last of all, that it is bad."""
    return seen.refused >= REFUSED_ALL and not seen.run_ended


def stand(seen: Observed) -> bool:
    """Say whether plots stand that should go on: no spill comes, none of those that come counts, or none is processed.

    Of a run that has ended, or has not begun, nothing should go on.
    """
    if seen.run_ended or seen.run_waits:
        return False
    return is_stuck(seen) or seen.refused >= REFUSED_LATE or (silence_s(seen) or 0.0) > DAQ_SILENT_S


def _last_s(seen: Observed) -> float:
    """Return when the last spill came; 0 if nobody knows. A time in the future does not say how long ago."""
    is_ahead = seen.produced_s - seen.now_s > CLOCK_AHEAD_S
    return seen.raw_moved_s if is_ahead else max(seen.produced_s, seen.raw_moved_s)


def _ended(seen: Observed, age_s: float) -> Freshness:
    """Say of a run that is over whether anything came since: of the next run, nobody knows before it is processed."""
    if seen.behind:
        return Freshness(level=Level.UNKNOWN, text=f"Run ended; what came {span(age_s)} ago is not processed yet")
    return Freshness(level=Level.IDLE, text=f"Run ended, nothing more for {span(age_s)}")


def daq(seen: Observed) -> Freshness:
    """Say how long ago the last spill came from the DAQ."""
    if seen.kafka_lost_s:
        return Freshness(level=Level.UNKNOWN, text="Kafka does not answer: spills unknown")
    ahead_s = seen.produced_s - seen.now_s
    clock_is_ahead = ahead_s > CLOCK_AHEAD_S
    behind_s = seen.raw_moved_s - seen.produced_s if seen.caught_up and seen.produced_s else 0.0
    last_s = _last_s(seen)
    age_s = seen.now_s - last_s
    if clock_is_ahead and (not last_s or age_s <= DAQ_LATE_S):
        return Freshness(level=Level.WARNING, text=f"Clock ahead by {span(ahead_s)}: times of spills are not ours")
    if behind_s > CLOCK_BEHIND_S and age_s <= DAQ_LATE_S:
        return Freshness(
            level=Level.WARNING, text=f"Clock behind by {span(behind_s)} or more: times of spills are not ours"
        )
    if age_s <= DAQ_LATE_S and (off := _own_clock(seen.own_clock_s)):
        return Freshness(level=Level.WARNING, text=off)
    if not last_s and seen.behind:
        return Freshness(level=Level.UNKNOWN, text="Spills came before this page looked: when, nobody knows yet")
    if not last_s:
        return Freshness(level=Level.IDLE, text="No spill yet: waiting for the DAQ")
    if seen.run_ended:
        return _ended(seen, age_s)
    if seen.run_waits:
        level = Level.IDLE if age_s <= DAQ_SILENT_S else Level.WARNING
        return Freshness(level=level, text=f"Run started {span(age_s)} ago: waiting for its first spill")
    if age_s <= DAQ_LATE_S:
        return Freshness(level=Level.GOOD, text=f"Last spill {span(age_s)} ago")
    level = Level.WARNING if age_s <= DAQ_SILENT_S else Level.BAD
    return Freshness(level=level, text=f"No spills for {span(age_s)}: DAQ or beam")


def _own_clock(off_s: float) -> str:
    """Say by how much the spills' own times are off; empty if they are not, or a file of long ago is played."""
    if off_s > OWN_CLOCK_OFF_S:
        return f"Spills’ own clock ahead by {span(off_s)}: their times are not ours"
    if -RECORDED_S < off_s < -OWN_CLOCK_OFF_S:
        return f"Spills are {span(-off_s)} old when they come: their clock is behind, or they are sent late"
    return ""


def pipeline(seen: Observed) -> Freshness:
    """Say how far the books are behind what the DAQ has sent."""
    for server, lost_s in (("Redis", seen.store_lost_s), ("Kafka", seen.kafka_lost_s)):
        if lost_s:
            return Freshness(level=Level.UNKNOWN, text=f"{server} does not answer: lag unknown")
    if seen.behind <= 0 and not seen.produced_s and not seen.raw_moved_s:
        return Freshness(level=Level.IDLE, text="Nothing to process yet")
    behind_s = seen.now_s - seen.behind_since_s
    is_late = seen.behind > 0 and behind_s > PIPELINE_LATE_S
    if not is_late and (refused := _refused(seen)):
        return refused
    if seen.behind <= 0 and seen.made_again:
        runs = several(seen.made_again, "run")
        return Freshness(level=Level.WARNING, text=f"Making {runs} again from Kafka")
    if seen.behind <= 0:
        return Freshness(level=Level.GOOD, text="All spills processed")
    spills = several(seen.behind, "spill")
    if not is_late:
        return Freshness(level=Level.GOOD, text=f"Processing {spills}")
    level = Level.BAD if is_stuck(seen) else Level.WARNING
    return Freshness(level=level, text=f"Processing {span(behind_s)} behind ({spills}): workers")


def alarms(seen: Observed) -> Freshness:
    """Say whether anybody watches for alarms: else that there is none says nothing."""
    if seen.store_lost_s:
        return Freshness(level=Level.UNKNOWN, text="Redis does not answer: nobody knows who watches for alarms")
    if seen.kafka_lost_s:
        return Freshness(level=Level.WARNING, text="Kafka does not answer: no alarm can be raised until it does")
    if seen.watchers and seen.not_told:
        return Freshness(level=Level.WARNING, text=f"Watched, but {'; '.join(seen.not_told)}")
    if seen.watchers:
        by = f" by {seen.watchers}" if seen.watchers > 1 else ""
        return Freshness(level=Level.GOOD, text=f"Watched{by}")
    if seen.watched_s:
        at = f"{datetime.fromtimestamp(seen.watched_s, UTC):%d %b %H:%M:%S} UTC"
        return Freshness(level=Level.BAD, text=f"Watcher silent since {at}: no alarm is raised")
    return Freshness(level=Level.WARNING, text="Nobody watches: no alarm is raised")


def _refused(seen: Observed) -> Freshness | None:
    """Say that spills come and do not count; None if they do."""
    if seen.refused >= REFUSED_LATE:
        text = f"No spill counted for {seen.refused:,}: {seen.refused_why}"
        return Freshness(level=Level.BAD if refuses_all(seen) else Level.WARNING, text=text)
    if seen.refused_of_last >= REFUSED_LATE:
        text = f"{seen.refused_of_last} of the last {REFUSED_OF_LAST} spills not counted: {seen.refused_why}"
        return Freshness(level=Level.WARNING, text=text)
    return None


def span(seconds: float) -> str:
    """Return a length of time as a person says it."""
    whole = max(int(seconds), 0)
    if whole < 120:
        return f"{whole} s"
    minutes, hours = whole // 60, whole // 3600
    if hours < 2:
        return f"{minutes} min"
    return f"{hours} h {minutes % 60} min" if hours < 48 else f"{hours // 24} days"
