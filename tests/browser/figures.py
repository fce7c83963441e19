"""Figures of all kinds that the page shows, made without a server."""

from collections.abc import Iterator
from dataclasses import replace

from dashboards.choices import Choices, Mode
from dashboards.data import Reference
from dashboards.data.history import History, Point
from dashboards.figures.parts import Figure
from dashboards.make import RUNS, SPILLS, WINDOWS, FigureCache
from streams.books.key_number import KeyNumber
from streams.books.run import RunBook, spill_facts
from streams.books.spill_numbers import SpillNumber
from tests.catalogue import PLOTS, TRENDS
from tests.dashboards.views import run_book, view

OTHER = 900_030
BEFORE = 900_029
HOW = {
    "": Choices(),
    "log": Choices(log=frozenset("xyz")),
    "linear": Choices(log=frozenset()),
    "errors": Choices(errors=True),
    **{mode.value: Choices(mode=mode) for mode in Mode},
    "log pull": Choices(mode=Mode.PULL, log=frozenset("x")),
    "log ratio": Choices(mode=Mode.RATIO, log=frozenset("xy")),
}


def figures() -> Iterator[tuple[str, Figure]]:
    """Yield what each figure is called, and the figure."""
    alone, empty = view(run_book(40)), view()
    its = replace(alone, reference=_reference(OTHER, earlier=(_reference(BEFORE),)))
    for name in (*PLOTS, *TRENDS):
        for how, choices in HOW.items():
            yield f"{name} {how}".strip(), FigureCache().maker(its, "light", choices)(name)
        yield f"{name} alone", FigureCache().maker(alone, "dark")(name)
    for name in PLOTS:
        yield f"{name} empty", FigureCache().maker(empty, "light")(name)
    yield from followed()


def followed() -> Iterator[tuple[str, Figure]]:
    """Yield the figures of key numbers."""
    number = [KeyNumber(value=float(n % 5) + 0.25, error=0.1 * (n % 3)) for n in range(12)]
    points = tuple(Point(at=1_700_000_000 + 60 * n, number=its, measures=(its,) * 4, spills=60) for n, its in enumerate(number))
    runs = tuple(replace(point, at=900_000 + n) for n, point in enumerate(points))
    for spills in (5, 30, 400):
        each = tuple(SpillNumber(spill=n, value=27.5 + n % 7, entries=20) for n in range(spills))
        shown = view(run_book(8), history=History(is_read=True, spills=each, windows=points, runs=runs))
        make = FigureCache().maker(shown, "light")
        for ending in (SPILLS, WINDOWS, RUNS):
            yield f"ht01{ending} {spills}", make(f"ht01{ending}")


def _reference(run: int, earlier: tuple[Reference, ...] = ()) -> Reference:
    book: RunBook = run_book(60, run=run)
    return replace(Reference.of_run(run, None, book, spill_facts(book.ledger), chosen=True), earlier=earlier)

