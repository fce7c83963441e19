"""Channels: what a detector is read out by, how each is called, and how often each was hit in a spill.

Counts of a spill are kept in few bytes, since they are kept of every one.
"""

import struct
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from hashlib import blake2b
from typing import Any, NamedTuple, Protocol

import lz4.block
import numpy as np

from schemas.columns import I8

MAX_COUNT = 65_535
"""More hits of one channel in a spill are counted as so many."""
_HEAD = struct.Struct("<4sH")
"""Of a group in the bytes of a spill: which it is, and how many of its channels were hit."""
MAX_SPILL_BYTES = 1 << 20
"""Counts of a spill take no more: those of 10,000 channels, all hit, take 40 kB."""


class Whole(NamedTuple):
    """Groups that fail as one."""

    name: str
    """As a shifter says it: ``Wall upstream``."""
    pieces: str
    """What its groups are, in the plural: ``stations``."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Channels:
    """Channels that the same particles hit, so that each has its share of the hits of all of them.

    Raises
    ------
    ValueError
        When there are more than can be told apart.
    """

    name: str
    """What they are of, as a shifter says it: ``TOF1``."""
    names: Sequence[str]
    """What each is called there: ``horizontal slab 3, PMT 0``."""
    of: Callable[[Any], I8]
    """Takes what the detector made of a spill; gives the channel of each hit, (hits,), from 0."""
    parts: Mapping[str, Sequence[int]] = field(default_factory=dict)
    """Name of what fails as one, as ``plane 3`` → its channels. A part of another stands behind it."""
    whole: Whole | None = None
    """What fails as one with other groups in it."""
    plots: Sequence[str] = ()
    """The name of the plot that shows each of them best; none if no plot does."""

    def __post_init__(self) -> None:
        """Refuse what cannot be kept."""
        if not 0 < len(self.names) <= MAX_COUNT:
            raise ValueError(f"{self.name} has {len(self.names)} channels, not 1 to {MAX_COUNT}")
        if self.plots and len(self.plots) != self.size:
            raise ValueError(f"{self.name} has {self.size} channels, and plots of {len(self.plots)}")
        for part, channels in self.parts.items():
            if not set(channels) <= set(range(self.size)):
                raise ValueError(f"{part} of {self.name} has a channel that is none of its {self.size}")

    @cached_property
    def digest(self) -> bytes:
        """Four bytes that are others where its channels are."""
        return blake2b("\n".join([self.name, *self.names]).encode(), digest_size=4).digest()

    @property
    def size(self) -> int:
        """How many there are."""
        return len(self.names)

    def plot_of(self, channel: int | None) -> str:
        """Return the plot that shows a channel, or, without one, all of them; empty if there is none."""
        return self.plots[channel or 0] if self.plots else ""

    def counts(self, made: Any) -> I8:
        """Return (channels,) how often each was hit in a spill.

        Parameters
        ----------
        made
            What the detector made of it.

        Raises
        ------
        ValueError
            When a hit is of no channel.
        """
        counts = np.bincount(self.of(made), minlength=len(self.names))
        if len(counts) > len(self.names):
            raise ValueError(f"{self.name} has {len(self.names)} channels, and a hit is of channel {len(counts) - 1}")
        return counts


class Counted(Protocol):
    """What is counted in a spill: channels, or the bins of a peak."""

    @property
    def name(self) -> str:
        """As a shifter says it."""
        raise NotImplementedError

    @property
    def digest(self) -> bytes:
        """Four bytes that are others where it is another."""
        raise NotImplementedError

    @property
    def size(self) -> int:
        """How many counts there are of a spill."""
        raise NotImplementedError

    def plot_of(self, channel: int | None) -> str:
        """Return the plot that shows one, or all, of what is counted; empty if there is none."""
        raise NotImplementedError

    def counts(self, made: Any) -> I8:
        """Return (size,) the counts of a spill, of what the detector made of it."""
        raise NotImplementedError


def pack(counts: Mapping[bytes, I8]) -> bytes:
    """Return the counts of a spill as bytes.

    Parameters
    ----------
    counts
        Digest of a group → (channels,) counts.
    """
    packed = []
    for digest, its in counts.items():
        hit = np.flatnonzero(its)
        numbers = np.empty((2, len(hit)), "<u2")
        numbers[0] = hit
        numbers[0, 1:] -= numbers[0, :-1].copy()  # from the one before
        numbers[1] = np.minimum(its[hit], MAX_COUNT)
        packed.append(_HEAD.pack(digest, len(hit)) + numbers.tobytes())
    return lz4.block.compress(b"".join(packed)) if packed else b""


def unpack(data: bytes, groups: "Sequence[Counted]") -> dict[str, I8]:
    """Return the counts of a spill, by the names of what was counted; without what was another when they were kept.

    Raises
    ------
    ValueError
        When it is none of what `pack` returns.
    """
    found: dict[str, I8] = {}
    known = {group.digest: group for group in groups}
    plain, at = _plain(data), 0
    while at < len(plain):
        digest, hits = _unpack_head(plain, at)
        numbers = np.frombuffer(plain, "<u2", 2 * hits, at + _HEAD.size).reshape(2, hits).astype(np.int64)
        at += _HEAD.size + numbers.size * 2
        group = known.get(digest)
        if group is not None:
            counts = np.zeros(group.size, np.int64)
            hit = np.cumsum(numbers[0])
            if hits and hit[-1] >= len(counts):
                raise ValueError(f"counts of {group.name} are of channel {hit[-1]}, and it has {len(counts)}")
            counts[hit] = numbers[1]
            found[group.name] = counts
    return found


def _plain(data: bytes) -> bytes:
    if not data:
        return b""
    if len(data) < 4 or struct.unpack_from("<I", data)[0] > MAX_SPILL_BYTES:
        raise ValueError("the counts of a spill's channels are cut, or too many")
    try:
        return bytes(lz4.block.decompress(data))
    except lz4.block.LZ4BlockError as error:
        raise ValueError(f"the counts of a spill's channels cannot be read: {error}") from error


def _unpack_head(plain: bytes, at: int) -> tuple[bytes, int]:
    try:
        digest, hits = _HEAD.unpack_from(plain, at)
    except struct.error as error:
        raise ValueError(f"the counts of a spill's channels are cut: {error}") from error
    return digest, hits
