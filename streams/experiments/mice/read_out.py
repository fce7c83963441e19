"""Which boards each detector reads, and so which detectors a board that cannot be read costs."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field

from streams.date import fragments
from streams.experiments.mice.boards import V830, VLSB, VLSB_BOARD, VLSB_C, VLSB_MASTER

Place = tuple[int, int, int]
"""Equipment type, LDC, geo of a board."""
ANY = fragments.ANY
"""In a place: whichever LDC or geo."""

UNCABLED: Mapping[str, frozenset[Place]] = {
    "scalers": frozenset({(V830, ANY, ANY)}),
    "tracker": frozenset((kind, ANY, ANY) for kind in (VLSB_C, VLSB_MASTER, VLSB_BOARD, VLSB)),
}
"""Boards that a detector reads wherever they are: no table names their places."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadOut:
    """The boards of a run, as its cabling has them."""

    boards: Mapping[str, frozenset[Place]] = field(default_factory=dict)
    """Detector → the boards that it reads."""
    named: frozenset[Place] = frozenset()
    """All boards that the cabling names, those of no detector too; of the trackers' banks no LDC."""

    def readers(self, kind: int, ldc: int, geo: int) -> set[str]:
        """Return the detectors that read a board; of one whose LDC is `ANY`, those that read such a board of any.

        Of one that the cabling does not name, which may be a board that tells a wrong geo, these are all that read such
        a board of its LDC.
        """
        is_named = any(place[0] == kind and ldc in (place[1], ANY) and place[2] == geo for place in self.named)
        return {
            detector
            for detector, places in self._all()
            if any(
                place[0] == kind and (ldc == ANY or place[1] in (ldc, ANY)) and (place[2] in (geo, ANY) or not is_named)
                for place in places
            )
        }

    def is_idle(self, kind: int, ldc: int, geo: int) -> bool:
        """Say whether nothing is connected to a board: there is a cabling, and it does not name it."""
        return bool(self.named) and (kind, ldc, geo) not in self.named

    def readers_of_ldc(self, ldc: int, there: Collection[Place]) -> set[str]:
        """Return the detectors that lack boards if an LDC is missing; `there` are the boards of the others.

        The trackers lack some if the cabling names nothing of that LDC: it may be one of theirs. The scalers, one
        board, lack it if it is not there.
        """
        found = {detector for detector, places in self.boards.items() if any(place[1] == ldc for place in places)}
        if not any(place[1] == ldc for place in self.named):
            found.add("tracker")
        if self._none_of(UNCABLED["scalers"], there):
            found.add("scalers")
        return found

    def absent(self, there: Iterable[Place]) -> frozenset[str]:
        """Return the detectors that have none of their boards among these."""
        boards = set(there)
        return frozenset(detector for detector, places in self._all() if self._none_of(places, boards))

    def _all(self) -> Iterable[tuple[str, frozenset[Place]]]:
        yield from self.boards.items()
        yield from UNCABLED.items()

    @staticmethod
    def _none_of(places: Iterable[Place], there: Collection[Place]) -> bool:
        return not any(
            board[0] == kind and ldc in (board[1], ANY) and geo in (board[2], ANY)
            for kind, ldc, geo in places
            for board in there
        )
