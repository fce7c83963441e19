"""spilldeck audit: list."""

import json
from collections.abc import Iterator
from typing import Annotated, Any

import typer
from rich.table import Table
from rich.text import Text

from ops.console import out
from streams.words import calendar_time

app = typer.Typer(help="The record of what people did.", no_args_is_help=True)


@app.callback()
def _audit() -> None:
    pass


@app.command(name="list")
def list_all(
    run: Annotated[int | None, typer.Option(min=0, metavar="R", help="What was done to this run.")] = None,
    user: Annotated[str | None, typer.Option(metavar="U", help="What a user did, from whichever machine.")] = None,
    kind: Annotated[str | None, typer.Option(metavar="K", help="As the list has it: flag, promote.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """List the actions as Kafka has them, in their order; those that count for nothing say why."""
    from streams.books.flags import person

    found = [
        one
        for one in _actions()
        if (run is None or run in one["runs"])
        and (user is None or user == one["who"] or person(user) == person(one["who"]))
        and (kind is None or kind == one["kind"])
    ]
    if as_json:
        typer.echo(json.dumps(found))
        return
    table = Table()
    for column in ("#", "when (UTC)", "who", "did", "to", "reason", "by", "refused"):
        table.add_column(column, overflow="fold")
    for one in found:
        when = calendar_time(one["at_us"] / 1000, "%d %b %Y %H:%M:%S")
        cells = (one["offset"], when, one["who"], one["kind"], one["subject"], one["reason"], one["origin"])
        table.add_row(*(Text(str(cell)) for cell in (*cells, one["refused"])))
    out.print(table if found else "There are no such actions.")


def _actions() -> Iterator[dict[str, Any]]:
    from dataclasses import asdict, replace

    from schemas.records import ActionKind
    from streams.books.decided import record
    from streams.settings import load_settings

    for its in record(load_settings()):
        action = (
            replace(its.action, after=_without_book(its.action.after))
            if its.action.kind == ActionKind.PIN_BOOK
            else its.action
        )
        yield {"offset": its.offset, **asdict(action), "runs": its.runs, "refused": its.refused}


def _without_book(after: str) -> str:
    """Return what an action pins, but for the book itself, which nobody reads there."""
    try:
        return json.dumps({name: value for name, value in json.loads(after).items() if name != "book"})
    except (ValueError, AttributeError):
        return after
