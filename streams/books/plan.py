"""What a replay was asked to do."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Annotated

from pydantic import Field, TypeAdapter

from schemas.wire import MAX_TIME_US
from streams.books.progress import Progress
from streams.conditions.store import ConditionsStore
from streams.settings import Settings

PREFIX = "replay-"
"""Of the session of a replay; what follows is its name."""
VERIFYING = "verify-"
"""Of the session of one that is compared with live, and removed."""


class Origin(StrEnum):
    """Where the spills of a replay come from."""

    RAW = "raw"
    """``spills.raw``: reconstructed again, with the conditions of today."""
    RECO = "reco"
    """``spills.reco``: as they were reconstructed, into the plots of today."""
    ARCHIVE = "archive"
    """A file that `ops.archive` wrote, or one of the DAQ, as archives were once."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What a replay was asked to do; nothing of it changes later."""

    session: str
    runs: tuple[int, ...]
    origin: Origin
    archive: str = ""
    """The file, if the spills come from one."""
    spans: tuple[tuple[int, int], ...]
    """By partition: the first offset that is read, and the first that is not."""
    began_s: Annotated[float, Field(ge=0, le=MAX_TIME_US / 1e6)]
    """Seconds since 1970 UTC."""
    conditions: str = ""
    """Index of the tables that go before those of the settings, if there is one."""
    digests: dict[str, str] = field(default_factory=dict)
    """Run → hash of its conditions; empty if it has none."""
    done: bool = False
    """Whether all is in its books, as whoever reads it from Redis finds them: it is no part of what was asked."""

    @property
    def name(self) -> str:
        """What it is called on the command line."""
        return self.session.removeprefix(PREFIX)

    @property
    def messages(self) -> int:
        """How many messages there are to be read, those of other runs between them included."""
        return sum(stop - first for first, stop in self.spans)

    def read(self, progress: Mapping[int, Progress]) -> int:
        """Return how many of them are behind it when the partitions of its session are so far."""
        if self.done:
            return self.messages
        nexts = {partition: its.next for partition, its in progress.items()}
        return sum(max(min(nexts.get(p, 0), stop) - first, 0) for p, (first, stop) in enumerate(self.spans))

    def left(self, progress: Mapping[int, Progress]) -> list[int]:
        """Return the partitions of which something is still to be counted when its session is so far."""
        return [
            partition
            for partition, (first, stop) in enumerate(self.spans)
            if first < stop
            and (partition not in progress or progress[partition].next < stop or progress[partition].repairs)
        ]

    def store(self, settings: Settings) -> ConditionsStore:
        """Return what gives its runs their conditions."""
        return ConditionsStore.from_settings(settings, Path(self.conditions) if self.conditions else None)

    def to_json(self) -> str:
        """Return it as it is stored."""
        return json.dumps(asdict(self))

    @staticmethod
    def from_json(text: str | bytes) -> "Plan":
        """Return what `to_json` stored; raises ValueError when it is no plan."""
        return _PLAN.validate_json(text, strict=True)


_PLAN = TypeAdapter(Plan)
