"""What faults of channels need of a simulated board: its words taken apart to the signals of its channels, and back."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Self

import numpy as np

from schemas.columns import I8
from streams.experiments.mice.simulator.boards import Words


@dataclass(frozen=True, slots=True, eq=False)
class Signals:
    """What one channel gives in a spill; signals of boards of one kind can be exchanged."""

    trigger: I8
    """(signals,)."""
    value: I8
    """(signals,) TDC counts since the trigger request; or (signals, samples) ADC counts."""


class Board(ABC):
    """A board's words in one spill, taken apart. None of the methods changes it."""

    @classmethod
    @abstractmethod
    def decode(cls, words: Words, geo: int) -> Self:
        """Take the words of a simulated board apart."""

    @abstractmethod
    def words(self) -> Words:
        """Return the words."""

    @abstractmethod
    def signals(self, channel: int) -> Signals:
        """Return the signals of a channel."""

    @abstractmethod
    def silenced(self, channel: int) -> Self:
        """Return the board with nothing connected to a channel."""

    @abstractmethod
    def replaced(self, channel: int, signals: Signals) -> Self:
        """Return the board with other signals in a channel; those of triggers that it has not drop out."""

    @abstractmethod
    def shifted(self, channel: int, counts: int) -> Self:
        """Return the board with the signals of a channel so many counts of its clock later."""

    @abstractmethod
    def noisy(self, rng: np.random.Generator, channel: int, trigger: I8) -> Self:
        """Return the board with noise in a channel in these triggers, each once, in their order."""

    @abstractmethod
    def without_last_trigger(self) -> Self:
        """Return the board with one particle event less."""

    def near_wrap(self) -> Self:
        """Return the board with those of its counters that run on from spill to spill, if any, about to wrap."""
        return self


def about_to_wrap(time_tag: I8, period: int) -> I8:
    """Return (triggers,) time tags, moved so that the counter wraps in the middle of the spill."""
    moved: I8 = (time_tag - time_tag[len(time_tag) // 2]) % period if len(time_tag) else time_tag
    return moved
