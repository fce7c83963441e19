"""The trackers' boards of a spill together: masters, boards with the lengths of their banks, and the banks."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from schemas.wire import MAX_TRIGGERS
from streams.date.fragments import Equipment
from streams.experiments.mice.boards import BANK_CHANNELS, BANKS_OF_BOARD, COSMIC_GEOS, VLSB
from streams.experiments.mice.unpack.hits import VlsbHits
from streams.experiments.mice.unpack.losses import Losses
from streams.experiments.mice.unpack.triggers import Counted, agreed, outvoted
from streams.experiments.mice.unpack.vlsb import unpack_vlsb

_SHOWN = 300
"""Characters of a reason with many numbers."""


@dataclass(slots=True, kw_only=True)
class TrackerBoards:
    """The trackers' boards that can be read."""

    masters: list[tuple[Equipment, int]]
    """And how many particle triggers they have counted."""
    lengths: list[tuple[Equipment, list[int]]]
    """Boards, and how many words their banks have."""
    banks: list[Equipment]
    """VLSB and VLSB_C that are not empty, in the order of the read-out."""
    are_read_out: bool
    """Whether there are any banks, or boards that tell of them, and be they empty."""

    @property
    def counted(self) -> list[Counted]:
        """What the masters have counted."""
        return [Counted(board=board, events=events, geo=board.number) for board, events in self.masters]

    def check_masters(self, triggers: int, counted: Sequence[Counted], losses: Losses) -> None:
        """Take note of masters that have counted another number than the spill has particle triggers."""
        for one in self.counted:
            if one.events != triggers:
                losses.lose(one.board, outvoted(one, triggers, counted))

    def triggers(self, losses: Losses) -> int | None:
        """Return how many particle triggers a spill has that the trackers alone have read out; None if none can tell.

        Banks that write all their channels say it, by their majority, and else, where nothing is left out, the lengths.
        Banks without zeros have at least as many as they have hits of, and at most what a master has counted. It may
        count triggers that its banks have not accepted, so that by itself it says nothing of banks that are there.
        """
        most = max((events for _, events in self.masters), default=MAX_TRIGGERS)
        are_empty = not self.banks
        self.banks, hits = losses.together(self.banks, partial(unpack_vlsb, triggers=most))
        of_banks = [
            Counted(board=self._bank(number), events=int(hits.trigger[hits.bank == number].max()) + 1, geo=number)
            for number in np.unique(hits.bank).tolist()
        ]
        of_boards = [
            Counted(board=board, events=words // BANK_CHANNELS, geo=board.number * BANKS_OF_BOARD + bank)
            for board, lengths in self.lengths
            for bank, words in enumerate(lengths)
            if words
        ]
        if of_banks and len(hits) == BANK_CHANNELS * sum(one.events for one in of_banks):
            triggers = agreed(of_banks)
            wrong = [one for one in of_banks if one.events != triggers]
            for one in wrong:
                losses.lose(one.board, outvoted(one, triggers, of_banks))
            self.banks = [bank for bank in self.banks if bank not in [one.board for one in wrong]]
            return triggers
        if of_banks:
            return max(one.events for one in of_banks)
        if of_boards:
            return agreed(of_boards)
        if self.are_read_out:
            return 0 if are_empty else None
        return agreed(self.counted) if self.masters else None

    def _bank(self, number: int) -> Equipment:
        of_board = COSMIC_GEOS[number // BANKS_OF_BOARD]
        return next(bank for bank in self.banks if bank.number == (number if bank.type == VLSB else of_board))

    def hits(self, triggers: int, losses: Losses) -> VlsbHits:
        """Return the hits of the banks that can be read."""
        return losses.together(self.banks, partial(unpack_vlsb, triggers=triggers))[1]

    def check_lengths(self, losses: Losses) -> None:
        """Take note of boards that give their banks other lengths than these have.

        Both come in the order of the read-out, LDC by LDC; the layouts do not say how else they belong together.
        """
        for ldc in sorted({board.ldc for board, _ in self.lengths}):
            boards = [board for board, lengths in self.lengths if board.ldc == ldc for n in lengths if n]
            told = [n for board, lengths in self.lengths if board.ldc == ldc for n in lengths if n]
            there = [len(bank.words) for bank in self.banks if (bank.type, bank.ldc) == (VLSB, ldc)]
            if told != there:
                last = next(board for board, _ in reversed(self.lengths) if board.ldc == ldc)
                differ = (board for board, one, other in zip(boards, told, there, strict=False) if one != other)
                board = next(differ, last)
                said = f"its LDC's boards say that their banks have {told} words, and they have {there}"
                losses.lose(board, board.error(0, said[:_SHOWN]))
