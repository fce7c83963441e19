"""One line of what doctor says, and what it knows when it looks."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

from redis import Redis

from ops.doctor.troubles import BY_ID
from streams.books.layout import Place
from streams.books.totals import Totals
from streams.errors import SpilldeckError
from streams.freshness import Level
from streams.settings import Settings

WRONG = (Level.WARNING, Level.BAD, Level.UNKNOWN)
"""Unknown is not good."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """What was found of one thing."""

    id: str
    """The check's name if it is well, else that of the trouble."""
    level: Level
    words: str
    advice: str = ""

    @property
    def is_wrong(self) -> bool:
        """Whether somebody has to do something."""
        return self.level in WRONG

    def to_json(self) -> dict[str, str]:
        """Return it as plain values."""
        return {"id": self.id, "state": self.level.value, "words": self.words, "advice": self.advice}


def trouble(name: str, words: str, level: Level = Level.BAD, **facts: object) -> Finding:
    """Return a finding of something in the table of troubles, with its advice."""
    return Finding(id=name, level=level, words=words, advice=BY_ID[name].advice.format(**facts))


def what_of(error: SpilldeckError) -> str:
    """Return what an error says is wrong, without what it says to do: that is doctor's."""
    text = str(error)
    return text.rpartition(": ")[0] or text


@dataclass(slots=True, kw_only=True)
class Site:
    """What checks know of those before them."""

    deep: bool
    settings: Settings = field(default_factory=Settings.model_construct)
    redis: Redis = field(init=False)
    """Client that returns bytes."""
    partitions: int = 0
    """Of spills.raw."""
    places: Mapping[int, Place] = field(default_factory=dict)
    run: int | None = None
    """The one that is being taken, or was last."""
    totals: Totals = field(default_factory=Totals)
    """Of that run."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """Looks at one thing."""

    name: str
    look: Callable[[Site], Iterator[Finding]]
    needs: tuple[str, ...] = ()
    """Checks without which nothing can be said: what is wrong with one of them is the cause, and this follows."""
    late: str = "doctor.late"
    """The trouble that it is if it does not end in time."""
    bound_s: float = 3.0
    reads_all: bool = False
    """With `--deep` it reads all runs, which takes as long as it takes."""

    def good(self, words: str, level: Level = Level.GOOD) -> Finding:
        """Return that all is well."""
        return Finding(id=self.name, level=level, words=words)
