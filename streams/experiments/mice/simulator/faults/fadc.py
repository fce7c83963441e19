"""The V1724 and the V1731 as faults see them: samples of each channel."""

from dataclasses import dataclass, replace
from typing import Self

import numpy as np

from schemas.columns import I8, U1, U2
from streams.experiments.mice.simulator import boards
from streams.experiments.mice.simulator.boards import Words
from streams.experiments.mice.simulator.faults.board import Board, Signals, about_to_wrap

CHANNELS = 8
_TAG_PERIOD = 1 << 31
_HEADER_WORDS = 4
_LENGTH = 0x0FFFFFFF
_V1724_SAMPLES = 64
"""Of a pulse on a board that has no other to go by."""
_NOISE_PEDESTAL = 9000
_NOISE_CHARGE = (500, 3000)
_NOISE_WIDTH = 2.5
_V1731_SAMPLES = 256
_NOISE_AREA = (50, 400)
_GATE = (25, 75)
"""Samples between which noise begins, if there are so many: inside the Cherenkov counters' gate, to be seen at all."""
_PULSE = np.array([0.1, 0.3, 0.3, 0.2, 0.1])
"""Share of the area in each sample."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SuppressedFadc(Board):
    """A V1724 that sends the channels with a hit alone, all with as many samples."""

    geo: int
    time_tag: I8
    trigger: I8
    channel: I8
    samples: U2

    @classmethod
    def decode(cls, words: Words, geo: int) -> Self:
        """Take blocks of channels with a length each apart."""
        starts, at = [], 0
        while at < len(words):
            starts.append(at)
            at += int(words[at]) & _LENGTH
        start = np.array(starts, np.int64)
        triggers, channels, places, n_words = [], [], [], 0
        place = start + _HEADER_WORDS
        for channel in range(CHANNELS):
            length = (words[place] & 0xFFF).astype(np.int64)
            hit = np.flatnonzero(length)
            n_words = max(n_words, int(length.max(initial=0)))
            triggers.append(hit)
            channels.append(np.full(len(hit), channel))
            places.append(place[hit] + 1)
            place = place + 1 + length
        rows = words[np.concatenate(places)[:, np.newaxis] + np.arange(n_words or _V1724_SAMPLES // 2)]
        return cls(
            geo=geo,
            time_tag=words[start + 3].astype(np.int64),
            trigger=np.concatenate(triggers),
            channel=np.concatenate(channels),
            samples=rows.view("<u2"),
        )

    def words(self) -> Words:
        """Return the words."""
        return boards.v1724_words(
            self.geo, self.time_tag, self.trigger.astype(np.int32), self.channel.astype(np.int32), self.samples
        )

    def signals(self, channel: int) -> Signals:
        """Return the pulses of a channel."""
        mine = self.channel == channel
        return Signals(self.trigger[mine], self.samples[mine].astype(np.int64))

    def silenced(self, channel: int) -> Self:
        """Return the board with a channel suppressed in all triggers."""
        nothing = np.empty((0, self.samples.shape[1]), np.int64)
        return self.replaced(channel, Signals(np.empty(0, np.int64), nothing))

    def replaced(self, channel: int, signals: Signals) -> Self:
        """Return the board with these pulses in a channel."""
        others, there = self.channel != channel, signals.trigger < len(self.time_tag)
        trigger, samples = signals.trigger[there], signals.value[there]
        return replace(
            self,
            trigger=np.concatenate([self.trigger[others], trigger]),
            channel=np.concatenate([self.channel[others], np.full(len(trigger), channel)]),
            samples=np.concatenate([self.samples[others], samples.astype(np.uint16)]),
        )

    def shifted(self, channel: int, counts: int) -> Self:
        """Return the board with the pulses of a channel so many samples later."""
        signals = self.signals(channel)
        return self.replaced(channel, Signals(signals.trigger, np.roll(signals.value, counts, axis=1)))

    def noisy(self, rng: np.random.Generator, channel: int, trigger: I8) -> Self:
        """Return the board with a pulse in those of the triggers in which the channel has none."""
        signals, n_samples = self.signals(channel), self.samples.shape[1]
        new = np.setdiff1d(trigger, signals.trigger)
        charge = rng.integers(*_NOISE_CHARGE, (len(new), 1))
        peak = rng.integers(n_samples // 4, 3 * n_samples // 4, (len(new), 1))
        shape = np.exp(-0.5 * ((np.arange(n_samples) - peak) / _NOISE_WIDTH) ** 2)
        noise = _NOISE_PEDESTAL + np.rint(charge * shape).astype(np.int64)
        both = Signals(np.concatenate([signals.trigger, new]), np.concatenate([signals.value, noise]))
        return self.replaced(channel, both)

    def without_last_trigger(self) -> Self:
        """Return the board without the pulses of its last trigger too."""
        kept = self.trigger < len(self.time_tag) - 1
        return replace(
            self,
            time_tag=self.time_tag[:-1],
            trigger=self.trigger[kept],
            channel=self.channel[kept],
            samples=self.samples[kept],
        )

    def near_wrap(self) -> Self:
        """Return the board with its time tags about to wrap; its event counter begins anew in each spill."""
        return replace(self, time_tag=about_to_wrap(self.time_tag, _TAG_PERIOD))


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Fadc(Board):
    """A V1731 that sends all samples of its eight channels."""

    geo: int
    time_tag: I8
    samples: U1
    """(triggers, 8, samples)."""

    @classmethod
    def decode(cls, words: Words, geo: int) -> Self:
        """Take blocks of equal length apart."""
        length = int(words[0]) & _LENGTH if len(words) else _HEADER_WORDS + CHANNELS * _V1731_SAMPLES // 4
        rows = words.reshape(-1, length)
        body = np.ascontiguousarray(rows[:, _HEADER_WORDS:])
        samples = body.view("u1").reshape(len(rows), CHANNELS, (length - _HEADER_WORDS) * 4 // CHANNELS)
        return cls(geo=geo, time_tag=rows[:, 3].astype(np.int64), samples=samples)

    def words(self) -> Words:
        """Return the words."""
        return boards.v1731_words(self.geo, self.time_tag, self.samples)

    def signals(self, channel: int) -> Signals:
        """Return the samples of a channel, of all triggers."""
        return Signals(np.arange(len(self.samples)), self.samples[:, channel].astype(np.int64))

    def silenced(self, channel: int) -> Self:
        """Return the board with the commonest sample of a channel in all of it: its pedestal."""
        samples = self.samples.copy()
        samples[:, channel] = np.bincount(samples[:, channel].reshape(-1), minlength=1).argmax()
        return replace(self, samples=samples)

    def replaced(self, channel: int, signals: Signals) -> Self:
        """Return the board with these samples in a channel, as many as it reads; the last one if there are no more."""
        samples, there = self.samples.copy(), signals.trigger < len(self.samples)
        length = samples.shape[2]
        more = max(0, length - signals.value.shape[1])
        samples[signals.trigger[there], channel] = np.pad(signals.value[there], ((0, 0), (0, more)), "edge")[:, :length]
        return replace(self, samples=samples)

    def shifted(self, channel: int, counts: int) -> Self:
        """Return the board with the samples of a channel so many later."""
        signals = self.signals(channel)
        return self.replaced(channel, Signals(signals.trigger, np.roll(signals.value, counts, axis=1)))

    def noisy(self, rng: np.random.Generator, channel: int, trigger: I8) -> Self:
        """Return the board with a pulse more inside the gate in these triggers."""
        samples = self.signals(channel).value
        area = rng.integers(*_NOISE_AREA, (len(trigger), 1))
        low, high = _GATE
        last = samples.shape[1] - len(_PULSE)
        at = rng.integers(low, min(high, last), (len(trigger), 1)) + np.arange(len(_PULSE))
        row = trigger[:, np.newaxis]
        samples[row, at] = np.maximum(samples[row, at] - np.rint(area * _PULSE).astype(np.int64), 0)
        return self.replaced(channel, Signals(np.arange(len(samples)), samples))

    def without_last_trigger(self) -> Self:
        """Return the board with one trigger less."""
        return replace(self, time_tag=self.time_tag[:-1], samples=self.samples[:-1])

    def near_wrap(self) -> Self:
        """Return the board with its time tags about to wrap; its event counter begins anew in each spill."""
        return replace(self, time_tag=about_to_wrap(self.time_tag, _TAG_PERIOD))
