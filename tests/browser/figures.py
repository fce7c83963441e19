"""Figures of all kinds that the page shows, made without a server, and an empty page with the painter."""

import gzip
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from playwright.sync_api import Browser, Page

import dashboards
from dashboards.choices import Choices, Mode
from dashboards.data import History, Point, Reference
from dashboards.figures.parts import Figure
from dashboards.figures.theme import LIGHT
from dashboards.make import RUNS, SPILLS, WINDOWS, FigureCache
from dashboards.scripts import PLOTLY
from streams.books.key_number import KeyNumber
from streams.books.run import RunBook, spill_facts
from streams.books.spill_numbers import SpillNumber
from tests.dashboards.views import view

HOW = {
    "": Choices(),
    "log": Choices(log=frozenset("xyz")),
    "linear": Choices(log=frozenset()),
    "errors": Choices(errors=True),
    "absolute": Choices(mode=Mode.ABSOLUTE),
    "spills": Choices(mode=Mode.SPILLS),
    "ratio": Choices(mode=Mode.RATIO),
    "pull": Choices(mode=Mode.PULL),
    "log pull": Choices(mode=Mode.PULL, log=frozenset("x")),
    "log ratio": Choices(mode=Mode.RATIO, log=frozenset("xy")),
}
ASSETS = Path(dashboards.__file__).parent / "assets"
_COMPARE = Path(__file__).parent / "compare.js"


def figures(names: Iterable[str], book: RunBook, others: Sequence[RunBook], how: Iterable[str]) -> Iterator[Figure]:
    """Yield the figures of plots and trends, compared with other runs and alone, each in all these ways."""
    first, *earlier = (
        Reference.of_run(number, None, other, spill_facts(other.ledger), chosen=True)
        for number, other in enumerate(others, start=1)
    )
    alone = view(book)
    compared = replace(alone, reference=replace(first, earlier=tuple(earlier)))
    ways = [HOW[each] for each in how]
    for name in names:
        for choices in ways:
            yield FigureCache().maker(compared, LIGHT.name, choices)(name)
        yield FigureCache().maker(alone, LIGHT.name)(name)


def followed(name: str, book: RunBook) -> Iterator[Figure]:
    """Yield the figures of a key number over few and many spills, windows and runs."""
    numbers = [KeyNumber(value=n % 5 + 0.25, error=0.1 * (n % 3)) for n in range(12)]
    windows = tuple(Point(at=1_700_000_000 + 60 * n, number=each, spills=60) for n, each in enumerate(numbers))
    runs = tuple(replace(each, at=900_000 + n) for n, each in enumerate(windows))
    for many in (5, 30, 400):
        spills = tuple(SpillNumber(spill=n, value=27.5 + n % 7, entries=20) for n in range(many))
        make = FigureCache().maker(view(book, history=History(spills=spills, windows=windows, runs=runs)), LIGHT.name)
        for over in (SPILLS, WINDOWS, RUNS):
            yield make(f"{name}{over}")


def page_with_painter(chromium: Browser) -> Page:
    """Return an empty page that has the painter, plotly, and what compares them."""
    page = chromium.new_page(viewport={"width": 1000, "height": 600})
    page.set_content("<html lang='en'><body style='margin: 0'></body></html>")
    page.add_script_tag(content=gzip.decompress(PLOTLY.read_bytes()).decode())
    for script in (ASSETS / "plots.js", *sorted(ASSETS.glob("painter/*.js")), _COMPARE):
        page.add_script_tag(path=script)
    return page


def unknown(page: Page, its: Iterable[Figure]) -> set[str]:
    """Return what the painter does not know of figures."""
    told: list[str] = page.evaluate("its => its.flatMap(window.painter.unknown)", list(its))
    return set(told)
