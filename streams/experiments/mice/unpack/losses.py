"""What of a spill cannot be read, and which detectors that costs; the others go on."""

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from streams.date.fragments import Equipment
from streams.errors import BadDataError
from streams.experiments.mice.boards import VLSB
from streams.experiments.mice.read_out import ANY, Place, ReadOut
from streams.experiments.mice.unpack.added import Boards

_Found = TypeVar("_Found")
RAW = "raw"
"""The detector that keeps of every board what can be read, and so tells of each that cannot."""


@dataclass(slots=True, kw_only=True)
class Losses:
    """What of a spill cannot be read."""

    read_out: ReadOut
    added: Boards = field(default_factory=dict)
    gone: dict[tuple[int, int], set[int]] = field(default_factory=dict)
    """LDC and geo → the types of the boards that are cabled there, and not in the spill."""
    failed: dict[str, BadDataError] = field(default_factory=dict)
    """Detector → why it lacks something: of several reasons the first that was found."""

    def lose_ldc(self, ldc: int, there: Collection[Place], error: BadDataError) -> None:
        """Take note that nothing of an LDC can be read; `there` are the boards of the others."""
        self._fail(self.read_out.readers_of_ldc(ldc, there), error)

    def lose(self, board: Equipment, error: BadDataError, geo: int | None = None) -> None:
        """Take note that a board cannot be read; `geo`, if it tells another one than its equipment's header.

        If a cabled board of another type is not there, whose place this is, its equipment's header tells a wrong type.
        """
        if (added := self.added.get(board.type)) is not None:
            self._fail(added.read_by, error)
            return
        kinds = self.in_place_of(board) or {board.type}
        number = board.number if geo is None else geo
        self._fail({name for kind in kinds for name in self.read_out.readers(kind, board.ldc, number)}, error)

    def see(self, there: Collection[Place]) -> None:
        """Learn which boards there are, by the headers of their equipments."""
        banks = {geo for kind, _, geo in there if kind == VLSB}
        of_trackers = {ldc for kind, ldc, _ in there if kind == VLSB}
        for kind, ldc, geo in self.read_out.named - set(there):
            # No table says by which LDC a bank is read, but it is one of a tracker's.
            its_ldcs = {ldc} if ldc != ANY else of_trackers if geo not in banks else set()
            for its in its_ldcs:
                self.gone.setdefault((its, geo), set()).add(kind)

    def in_place_of(self, board: Equipment) -> set[int]:
        """Return the types of the cabled boards that are not there, at whose place a board is that is not cabled."""
        is_cabled = (board.type, board.ldc, board.number) in self.read_out.named
        return set() if is_cabled else self.gone.get((board.ldc, board.number), set())

    def lose_nothing_else(self, error: BadDataError) -> None:
        """Take note of what no detector needs."""
        self._fail((), error)

    def _fail(self, detectors: Iterable[str], error: BadDataError) -> None:
        for detector in (*detectors, RAW):
            self.failed.setdefault(detector, error)

    def each(
        self, boards: Iterable[Equipment], unpack: Callable[[Equipment], _Found]
    ) -> list[tuple[Equipment, _Found]]:
        """Unpack boards one by one; return those that can be read, and what is in them."""
        found = []
        for board in boards:
            try:
                found.append((board, unpack(board)))
            except BadDataError as error:
                self.lose(board, error)
        return found

    def together(
        self, boards: Sequence[Equipment], unpack: Callable[[Sequence[Equipment]], _Found]
    ) -> tuple[list[Equipment], _Found]:
        """Unpack boards at once; return those that can be read, and what is in them."""
        try:
            return list(boards), unpack(boards)
        except BadDataError as error:
            between = error
        good = [board for board, _ in self.each(boards, lambda board: unpack([board]))]
        if len(good) == len(boards):  # they contradict each other, and nothing tells which ones are right
            for board in boards:
                self.lose(board, between)
            good = []
        return self.together(good, unpack)
