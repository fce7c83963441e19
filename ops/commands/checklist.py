"""spilldeck checklist: what is due to be looked at, and what the checks say of it."""

import json
import time
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table
from rich.text import Text

from ops.console import out, servers
from streams.errors import ServerError

if TYPE_CHECKING:
    from dashboards.choices import Choices
    from dashboards.data import Data, View

JUDGED_S = 30.0
"""A run that is not judged within it is said to be so."""


def checklist(as_json: Annotated[bool, typer.Option("--json", help="For programs.")] = False) -> None:
    """Show which checklist is due, and its lines as the checks answer them; it is filled in on the page."""
    from dashboards.choices import Choices
    from dashboards.data import Data
    from dashboards.pages.checklist import MARKS, agenda_words, lines

    with servers() as (settings, _), Data(settings, explains=False) as data:
        view = data.view()
        if view.agenda is None:
            raise ServerError(view.warnings[0] if view.warnings else "nobody can say what is due")
        duty = next(iter(view.agenda.due), None)
        if view.run is not None:
            view = _judged(data, Choices(run=view.run if duty is None else duty.run))
        found = lines(view, duty, settings.checklist.lines) if view.run is not None else ()
        due = [each._asdict() for each in view.agenda.due] if view.agenda is not None else []
        head = duty.words if duty is not None else agenda_words(view.agenda, view.current)
    spill = view.book.totals.last_spill
    if as_json:
        its = [{"name": each.name, "asks": each.asks, "answer": each.checks, "why": each.why} for each in found]
        typer.echo(json.dumps({"due": due, "run": view.run, "spill": spill, "lines": its}, indent=2))
        return
    out.print(Text(head[:1].upper() + head[1:], style="bold"), soft_wrap=True)
    if not found:
        return
    out.print(f"run {view.run} as of spill {spill}", markup=False)
    table = Table("Answer", "Line", "Why")
    for each in found:
        table.add_row(f"{MARKS[each.checks]} {each.checks}", Text(each.asks), Text(each.why or "a person can tell"))
    out.print(table)


def _judged(data: "Data", choices: "Choices") -> "View":
    """Return a run when it is judged, or has not been for long."""
    deadline = time.monotonic() + JUDGED_S
    while True:
        view = data.view(choices)
        is_judged = view.judgement is not None and not view.judgement.left and not view.is_loading
        if is_judged or view.is_old or time.monotonic() > deadline:
            return view
        time.sleep(0.1)
