"""The page of one spill, and the links to it from a plot of which something is off."""

from typing import Any

from dash import html

from dashboards.choices import MAX_RUN, Choices, number
from dashboards.data import ShownSpill, SpillAddress, View
from dashboards.pages.links import to_page
from streams.books.block_spills import BlockSpill
from streams.books.shapes import off_block
from streams.books.spill_search import Filling, entries_words, triggers_words, words

LONGEST = 60
"""Of what is said of an address."""
PLACE = html.Div(id="spill", className="card spill")
"""Of a spill: it is filled when that is there."""


def spill_on(path: str) -> SpillAddress | None:
    """Return the spill at an address: ``/spill/RUN/SPILL``, or ``/spill/RUN/SPILL/TRIGGER``."""
    match path.strip("/").split("/"):
        case ["spill", *said] if len(said) in {2, 3}:
            numbers = [each for each in map(number, said) if each is not None]
            if len(numbers) == len(said):
                return SpillAddress(run=numbers[0], spill=numbers[1], trigger=numbers[2] if len(said) > 2 else None)
    return None


def is_spill(path: str) -> bool:
    """Say whether an address would be that of a spill, if its numbers were any."""
    return path.strip("/").split("/")[0] == "spill"


def short(said: str) -> str:
    """Return what an address says as it can be repeated."""
    return said if len(said) <= LONGEST else f"{said[:LONGEST]}…"


def no_spill(path: str) -> str:
    """Return why there is no spill at an address that would be one's."""
    said = path.strip("/").split("/")[1:]
    wrong = [short(each) for each in said if number(each) is None]
    why = f": {' and '.join(wrong)} cannot be one" if wrong else ""
    return f"A spill is at /spill/RUN/SPILL or /spill/RUN/SPILL/TRIGGER, each a number from 0 to {MAX_RUN}{why}."


def choices_on(path: str, choices: Choices) -> Choices:
    """Return what is chosen on the page at an address: that of a spill is of the run of that spill."""
    address = spill_on(path)
    if address is None:
        return choices
    session = choices.session if choices.run == address.run else None
    return choices.but(run=address.run, session=session, window=None, frozen=None)


def spill_parts(address: SpillAddress, spill: ShownSpill | str | None) -> list[Any]:
    """Return what a spill's page shows."""
    title = html.H2(f"Run {address.run}, spill {address.spill}")
    if not isinstance(spill, ShownSpill):
        return [title, html.P("Looking for it in Kafka …" if spill is None else f"{spill}.")]
    lacking = html.P(spill.no_trigger, className="lacking") if spill.no_trigger else None
    numbers = [html.Tr([html.Th(name, scope="row"), html.Td(value)]) for name, value in spill.numbers.items()]
    tables = [part for head, rows in spill.tables for part in (html.H3(head), html.Pre(rows, tabIndex=0))]
    command = f"spilldeck spills get --run {address.run} --spill {address.spill}"
    more = html.P(["There are more: ", html.Code(f"{command} --raw")]) if spill.has_more else None
    folded = html.Details([html.Summary("The board’s words"), html.Pre(spill.bytes_words, tabIndex=0), more])
    all_rows = html.P(["All rows: ", html.Code(f"{command} --json")])
    return [title, lacking, html.Table(html.Tbody(numbers)), *tables, all_rows, folded]


def filling_line(view: View, plot: str) -> list[Any]:
    """Return a line with links to the spills that filled what is off in a plot, or have nothing there."""
    if off_block(view.shapes[plot]) is None:
        return []
    found = view.filling
    if not isinstance(found, Filling):
        return [_line(["Spills that filled it: looking …" if found is None else f"Spills that filled it: {found}."])]
    links = [part for each in found.spills for part in (", ", _link(view.run, each, found))]
    return [_line([words(found), ": " if links else ".", *links[1:]])]


def _line(parts: list[Any]) -> Any:
    return html.P(parts, className="filling")


def _link(run: int | None, found: BlockSpill, filling: Filling) -> Any:
    triggers = triggers_words(found)
    address = f"/spill/{run}/{found.spill}{f'/{found.triggers[0]}' if found.triggers else ''}"
    return to_page(f"{found.spill}{f' ({triggers})' if triggers else ''}", address, title=entries_words(found, filling))
