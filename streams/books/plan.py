"""What a replay was asked to do."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from streams.conditions.store import ConditionsStore
from streams.settings import Settings

if TYPE_CHECKING:
    from streams.books.reader import Progress

PREFIX = "replay-"
"""Of the session of a replay; what follows is its name."""


class Origin(StrEnum):
    """Where the spills of a replay come from."""

    RAW = "raw"
    """``spills.raw``: reconstructed again, with the conditions of today."""
    RECO = "reco"
    """``spills.reco``: as they were reconstructed, into the plots of today."""
    ARCHIVE = "archive"
    """A file that `ops.archive` wrote."""


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
    began_s: float
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

    def read(self, progress: "Sequence[Progress]") -> int:
        """Return how many of them are behind it when the partitions of its session are so far."""
        if self.done:
            return self.messages
        read = (min(p.offset + 1, stop) - first for p, (first, stop) in zip(progress, self.spans, strict=False))
        return sum(max(each, 0) for each in read)

    def store(self, settings: Settings) -> ConditionsStore:
        """Return what gives its runs their conditions."""
        return ConditionsStore.from_settings(settings, Path(self.conditions) if self.conditions else None)

    def to_json(self) -> str:
        """Return it as it is stored."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str | bytes) -> Self:
        """Return what `to_json` stored."""
        values: dict[str, Any] = json.loads(text)
        spans = tuple((first, stop) for first, stop in values.pop("spans"))
        return cls(**values | {"runs": tuple(values["runs"]), "origin": Origin(values["origin"]), "spans": spans})
