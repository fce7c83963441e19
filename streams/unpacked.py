"""What the engine needs to know of a spill's bytes that are unpacked; an experiment's own hits say more."""

from dataclasses import dataclass, field

from streams.errors import BadDataError


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Hits:
    """A spill that is unpacked, before any detector is reconstructed."""

    triggers: int
    """Particle triggers."""
    failed: dict[str, BadDataError] = field(default_factory=dict)
    """Detector → why what it reads cannot be read in this spill: of it nothing may be told."""
    absent: frozenset[str] = frozenset()
    """Detectors that are not read out in this spill: that is no error."""
    skipped: dict[str, int] = field(default_factory=dict)
    """Equipment type that nothing here reads → non-empty payloads skipped."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Word:
    """A word of a spill's bytes, less at the end of what is unknown, or several that are told together."""

    byte: int
    """Where it begins in the spill's bytes."""
    content: bytes
    """Its bytes; none where several are told together."""
    depth: int
    """0 in the header of an event, one more within it."""
    what: str

    @property
    def value(self) -> int:
        """What it counts."""
        return int.from_bytes(self.content, "little")
