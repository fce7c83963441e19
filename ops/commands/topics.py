"""spilldeck topics: plan, apply, diff."""

import dataclasses
import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table
from rich.text import Text

from ops.console import out

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
def apply(as_json: AsJson = False) -> None:
    """Create topics and change settings; refuse what would lose spills."""
    from ops.topics import apply as apply_all
    from streams.settings import load_settings

    _show(apply_all(load_settings()), as_json=as_json, none="Nothing to do: the topics are what they must be.")


@app.command()
def diff(as_json: AsJson = False) -> None:
    """Show in what the topics differ; status 1 if they do."""
    from ops.topics import differences
    from streams.settings import load_settings

    found = differences(load_settings())
    _show(found, as_json=as_json, none="The topics are what they must be.")
    if found:
        raise typer.Exit(1)


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
