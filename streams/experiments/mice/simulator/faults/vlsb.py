"""A bank of the trackers' boards as faults see it: ADC and TDC of each channel that is read out."""

from dataclasses import dataclass, replace
from typing import Self

import numpy as np

from schemas.columns import I8
from streams.date.fragments import Equipment
from streams.experiments.mice.boards import VLSB
from streams.experiments.mice.simulator.boards import Words
from streams.experiments.mice.simulator.faults.board import Board, Signals
from streams.experiments.mice.simulator.tracker import vlsb_words
from streams.experiments.mice.unpack.vlsb import unpack_vlsb

_NOISE_ADC = (80, 200)
"""Well above two photo-electrons with any of the pedestals and gains."""
_COUNTS = 256
_MAX_TRIGGERS = 1 << 12
"""More than the master can count: a bank does not tell how many there are."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Bank(Board):
    """A bank; what is connected to a channel keeps its ADC counts, whatever the pedestal there."""

    trigger: I8
    channel: I8
    value: I8
    """(hits, 3) ADC, TDC, discriminator."""

    @classmethod
    def decode(cls, words: Words, geo: int) -> Self:
        """Take the words apart as the unpacker does; `geo` is the bank's number."""
        hits = unpack_vlsb([Equipment(type=VLSB, ldc=0, at=0, words=words, number=geo)], _MAX_TRIGGERS)
        return cls(
            trigger=hits.trigger.astype(np.int64),
            channel=hits.channel.astype(np.int64),
            value=np.stack([hits.adc, hits.tdc, hits.discriminator], axis=1).astype(np.int64),
        )

    def words(self) -> Words:
        """Return the words, in the order of triggers and channels."""
        order = np.lexsort([self.channel, self.trigger])
        return vlsb_words(self.trigger[order], self.channel[order], *self.value[order].T)

    def signals(self, channel: int) -> Signals:
        """Return what a channel gave."""
        mine = self.channel == channel
        return Signals(self.trigger[mine], self.value[mine])

    def silenced(self, channel: int) -> Self:
        """Return the bank with a channel that is never read out."""
        return self.replaced(channel, Signals(np.empty(0, np.int64), np.empty((0, 3), np.int64)))

    def replaced(self, channel: int, signals: Signals) -> Self:
        """Return the bank with these counts in a channel."""
        others = self.channel != channel
        return replace(
            self,
            trigger=np.concatenate([self.trigger[others], signals.trigger]),
            channel=np.concatenate([self.channel[others], np.full(len(signals.trigger), channel)]),
            value=np.concatenate([self.value[others], signals.value]),
        )

    def shifted(self, channel: int, counts: int) -> Self:
        """Return the bank with later TDC counts in a channel, as far as the TDC reaches."""
        mine, value = self.channel == channel, self.value.copy()
        value[mine, 1] = np.clip(value[mine, 1] + counts, 0, _COUNTS - 1)
        return replace(self, value=value)

    def noisy(self, rng: np.random.Generator, channel: int, trigger: I8) -> Self:
        """Return the bank with light in those of the triggers in which the channel is not read out."""
        signals = self.signals(channel)
        new = np.setdiff1d(trigger, signals.trigger)
        adc, tdc = rng.integers(*_NOISE_ADC, len(new)), rng.integers(0, _COUNTS, len(new))
        noise = np.stack([adc, tdc, np.ones(len(new), np.int64)], axis=1)
        both = Signals(np.concatenate([signals.trigger, new]), np.concatenate([signals.value, noise]))
        return self.replaced(channel, both)

    def without_last_trigger(self) -> Self:
        """Return the bank without the hits of the last trigger in which it has any."""
        kept = self.trigger < self.trigger.max(initial=-1)
        return replace(self, trigger=self.trigger[kept], channel=self.channel[kept], value=self.value[kept])
