"""spilldeck topics: list, plan, apply, diff."""

import dataclasses
import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table
from rich.text import Text

from ops.console import out
from streams.words import calendar_time

if TYPE_CHECKING:
    from ops.topics import Difference

app = typer.Typer(help="The topics: what they must be, and how to get there.", no_args_is_help=True)
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]


@app.command()
def plan(as_json: AsJson = False) -> None:
    """Show what `apply` would do."""
    from ops.topics import differences
    from streams.settings import load_settings

    _show(differences(load_settings()), as_json=as_json, none="The topics are what they must be.")


@app.command()
def apply(
    as_json: AsJson = False,
    delete_data: Annotated[
        bool, typer.Option("--delete-data", help="Have Kafka delete what it keeps longer than the settings say.")
    ] = False,
    force: Annotated[
        bool, typer.Option("--force", help="Add partitions while workers run, which must be started again then.")
    ] = False,
) -> None:
    """Create topics and change settings; refuse what would lose spills."""
    from ops.topics import apply as apply_all
    from streams.settings import load_settings

    done = apply_all(load_settings(), delete_data=delete_data, force=force)
    _show(done, as_json=as_json, none="Nothing to do: the topics are what they must be.")


@app.command()
def diff(as_json: AsJson = False) -> None:
    """Show in what the topics differ; status 1 if they do."""
    from ops.topics import differences
    from streams.settings import load_settings

    found = differences(load_settings())
    _show(found, as_json=as_json, none="The topics are what they must be.")
    if found:
        raise typer.Exit(1)


@app.command(name="list")
def list_all(as_json: AsJson = False) -> None:
    """Show how far back each topic reaches, in time and in runs."""
    from ops.spills import reaches
    from streams.settings import load_settings

    found = reaches(load_settings())
    if as_json:
        typer.echo(json.dumps([dataclasses.asdict(reach) for reach in found]))
        return
    table = Table()
    for column in ("topic", "partitions", "messages", "oldest (UTC)", "run", "newest (UTC)", "run"):
        table.add_column(column, overflow="fold")
    for reach in found:
        row: list[object] = [reach.topic, reach.partitions, reach.messages]
        for end in (reach.oldest, reach.newest):
            row += ("-", "-") if end is None else (calendar_time(end.time_ms, "%Y-%m-%d %H:%M:%S"), end.key)
        table.add_row(*(Text(str(cell)) for cell in row))
    out.print(table)


def _show(found: "Sequence[Difference]", *, as_json: bool, none: str) -> None:
    if as_json:
        typer.echo(json.dumps([dataclasses.asdict(d) for d in found]))
    elif not found:
        out.print(none)
    else:
        table = Table()
        for column in ("topic", "change", "setting", "now", "wanted"):
            table.add_column(column, overflow="fold")
        for d in found:
            table.add_row(*map(Text, (d.topic, d.change, d.setting, d.now or "-", d.wanted)))
        out.print(table)
