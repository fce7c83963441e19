"""The V1290 as faults see it: times since the trigger request, so that they can go from board to board."""

from dataclasses import dataclass, field, replace
from typing import Self

import numpy as np

from schemas.columns import I4, I8
from streams.date.fragments import Boards, Equipment
from streams.experiments.mice.boards import V1290
from streams.experiments.mice.simulator import boards
from streams.experiments.mice.simulator.boards import Words
from streams.experiments.mice.simulator.faults.board import Board, Signals, about_to_wrap
from streams.experiments.mice.unpack.v1290 import unpack_v1290

_REQUEST_CHANNEL = 1
"""Of every simulated board."""
_PERIOD = 1 << 21
_TAG_PERIOD = 1 << 27
_EVENT_PERIOD = 1 << 22
_NOISE_COUNTS = 4000
"""Noise comes within so many counts of the trigger request: 100 ns, where the signals are."""
_AFTER_WRAP = 500
"""Counts from the wrap to the trigger request: the signals come some 2 000 counts before the request."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Tdc(Board):
    """A V1290 without trailing edges."""

    geo: int
    first_event: int
    bunch_id: I8
    time_tag: I8
    trigger: I4
    channel: I4
    leading: I8
    request: I8 = field(init=False)
    """(triggers,) leading time of the first trigger request; -1 without one."""

    def __post_init__(self) -> None:
        request = np.full(len(self.time_tag), -1, np.int64)
        found = np.flatnonzero(self.channel == _REQUEST_CHANNEL)[::-1]  # of several, the first is written last
        request[self.trigger[found]] = self.leading[found]
        object.__setattr__(self, "request", request)

    @classmethod
    def decode(cls, words: Words, geo: int) -> Self:
        """Take the words apart as the unpacker does."""
        events, _, hits = unpack_v1290(Boards([Equipment(type=V1290, ldc=0, at=0, words=words)]))
        return cls(
            geo=geo,
            first_event=int(events.event_counter[0]) if len(events) else 0,
            bunch_id=events.bunch_id.astype(np.int64),
            time_tag=events.time_tag,
            trigger=hits.trigger,
            channel=hits.channel.astype(np.int32),
            leading=hits.leading_time.astype(np.int64),
        )

    def words(self) -> Words:
        """Return the words, the hits of a chip by channel, as the plain board has them."""
        order = np.argsort(self.channel, kind="stable")
        hits = self.trigger[order], self.channel[order], self.leading[order]
        return boards.v1290_words(self.geo, self.first_event, self.bunch_id, self.time_tag, *hits)

    def signals(self, channel: int) -> Signals:
        """Return times since the trigger request, of triggers that have one."""
        mine = np.flatnonzero((self.channel == channel) & (self.request[self.trigger] >= 0))
        trigger = self.trigger[mine].astype(np.int64)
        return Signals(trigger, self.leading[mine] - self.request[trigger])

    def silenced(self, channel: int) -> Self:
        """Return the board without hits in a channel."""
        return self.replaced(channel, Signals(np.empty(0, np.int64), np.empty(0, np.int64)))

    def replaced(self, channel: int, signals: Signals) -> Self:
        """Return the board with hits at these times after its own trigger requests."""
        others = self.channel != channel
        there = np.flatnonzero(signals.trigger < len(self.request))
        there = there[self.request[signals.trigger[there]] >= 0]
        trigger, since = signals.trigger[there], signals.value[there]
        return replace(
            self,
            trigger=np.concatenate([self.trigger[others], trigger]).astype(np.int32),
            channel=np.concatenate([self.channel[others], np.full(len(trigger), channel)]).astype(np.int32),
            leading=np.concatenate([self.leading[others], (self.request[trigger] + since) % _PERIOD]),
        )

    def shifted(self, channel: int, counts: int) -> Self:
        """Return the board with later times in a channel."""
        signals = self.signals(channel)
        return self.replaced(channel, Signals(signals.trigger, signals.value + counts))

    def noisy(self, rng: np.random.Generator, channel: int, trigger: I8) -> Self:
        """Return the board with one more hit in each of these triggers."""
        signals, noise = self.signals(channel), rng.integers(-_NOISE_COUNTS, _NOISE_COUNTS, len(trigger))
        both = Signals(np.concatenate([signals.trigger, trigger]), np.concatenate([signals.value, noise]))
        return self.replaced(channel, both)

    def without_last_trigger(self) -> Self:
        """Return the board without the hits of its last trigger too."""
        kept = self.trigger < len(self.time_tag) - 1
        return replace(
            self,
            bunch_id=self.bunch_id[:-1],
            time_tag=self.time_tag[:-1],
            trigger=self.trigger[kept],
            channel=self.channel[kept],
            leading=self.leading[kept],
        )

    def near_wrap(self) -> Self:
        """Return the board with each trigger request just behind the wrap, and its event counter's wrap inside."""
        moved = self.leading + (_AFTER_WRAP - self.request)[self.trigger]
        return replace(
            self,
            first_event=_EVENT_PERIOD - len(self.time_tag) // 2,
            time_tag=about_to_wrap(self.time_tag, _TAG_PERIOD),
            leading=moved % _PERIOD,
        )
