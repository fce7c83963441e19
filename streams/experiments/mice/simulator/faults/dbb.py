"""The digitiser buffer board of the EMR as faults see it: times since the spill began, of each channel."""

from dataclasses import dataclass, replace
from typing import Self

import numpy as np

from schemas.columns import I8, Bools
from schemas.records import MISSING
from streams.date.fragments import Equipment
from streams.experiments.mice.boards import DBB, DBB_MAX_EDGES
from streams.experiments.mice.simulator import boards
from streams.experiments.mice.simulator.boards import Words
from streams.experiments.mice.simulator.faults.board import Board, Signals
from streams.experiments.mice.unpack.dbb import TRIGGER_CHANNEL, unpack_dbb

_NOISE_AFTER = (-230, -219)
"""Counts from the trigger to the noise: where the hits of particles come, or it would show in no plot."""
_NOISE_TOT = (3, 30)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Dbb(Board):
    """A board. All count from the same start, so that a hit is the same on every one."""

    geo: int
    spill: int
    triggers: int
    channel: I8
    time: I8
    """(hits, 2) leading, trailing; none is lacking in a simulated board."""

    @classmethod
    def decode(cls, words: Words, geo: int) -> Self:
        """Take the words apart as the unpacker does."""
        spills, hits = unpack_dbb([Equipment(type=DBB, ldc=0, at=0, words=words)])
        time = np.stack([hits.leading_time, hits.trailing_time], axis=1).astype(np.int64)
        assert (time != MISSING).all()  # noqa: S101 - the simulated boards write pairs
        return cls(
            geo=geo,
            spill=int(spills.spill_number[0]),
            triggers=int(spills.trigger_count[0]),
            channel=hits.channel.astype(np.int64),
            time=time,
        )

    def words(self) -> Words:
        """Return the words, the edges in the order of time; of more than the board can tell, the first hits."""
        kept = np.argsort(self.time[:, 0], kind="stable")[: DBB_MAX_EDGES // 2]
        time = self.time[kept].reshape(-1)
        channel, is_trailing = np.repeat(self.channel[kept], 2), np.tile([False, True], len(kept))
        order = np.lexsort((channel, is_trailing, time))
        return boards.dbb_words(
            self.geo, self.spill, self.triggers, channel[order].astype(np.int32), is_trailing[order], time[order]
        )

    def signals(self, channel: int) -> Signals:
        """Return the hits of a channel; they belong to the spill, not to one of its triggers."""
        time = self.time[self.channel == channel]
        return Signals(np.zeros(len(time), np.int64), time)

    def silenced(self, channel: int) -> Self:
        """Return the board without hits in a channel."""
        return self._with_times(channel, np.empty((0, 2), np.int64))

    def replaced(self, channel: int, signals: Signals) -> Self:
        """Return the board with these hits in a channel."""
        return self._with_times(channel, signals.value)

    def _with_times(self, channel: int, time: I8) -> Self:
        others = self.channel != channel
        return replace(
            self,
            channel=np.concatenate([self.channel[others], np.full(len(time), channel)]),
            time=np.concatenate([self.time[others], time]),
        )

    def shifted(self, channel: int, counts: int) -> Self:
        """Return the board with the hits of a channel so many counts later; none before the spill began."""
        time = self.signals(channel).value + counts
        return self._with_times(channel, time[time[:, 0] >= 0])

    def noisy(self, rng: np.random.Generator, channel: int, trigger: I8) -> Self:
        """Return the board with a hit more in these triggers, unless it would begin within another one."""
        there = self.signals(channel).value
        told = np.sort(self.signals(TRIGGER_CHANNEL).value[:, 0])
        trigger = trigger[trigger < len(told)]  # a board that is full does not tell of the later ones
        start = told[trigger] + rng.integers(*_NOISE_AFTER, len(trigger))
        noise = np.stack([start, start + rng.integers(*_NOISE_TOT, len(trigger))], axis=1)
        free = (noise[:, 0] >= 0) & ~_overlaps(noise, there)
        return self._with_times(channel, np.concatenate([there, noise[free]]))

    def without_last_trigger(self) -> Self:
        """Return the board with one trigger less in its count."""
        return replace(self, triggers=self.triggers - 1)


def _overlaps(ones: I8, others: I8) -> Bools:
    """Say of each of (n, 2) intervals whether it touches one of (m, 2) others."""
    after_start = ones[:, np.newaxis, 1] >= others[np.newaxis, :, 0]
    before_end = ones[:, np.newaxis, 0] <= others[np.newaxis, :, 1]
    touching: Bools = np.any(after_start & before_end, axis=1)
    return touching
