"""spilldeck references: import, list, remove."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table
from rich.text import Text

from ops.console import err, needs_export, out
from streams.errors import SpilldeckError, UsageError
from streams.words import calendar_time

if TYPE_CHECKING:
    from streams.books.imported import Imported, Imports

app = typer.Typer(help="Histograms of other systems' files, to compare runs with.", no_args_is_help=True)
FORM = "%d %b %Y %H:%M"


@app.command("import")
def import_file(
    file: Annotated[Path, typer.Argument(metavar="FILE.root", help="A file of ROOT with histograms.")],
    pairs: Annotated[
        list[str] | None,
        typer.Option("--map", metavar="THEIRS=OURS", help="A histogram's name in the file, and that of our plot."),
    ] = None,
) -> None:
    """Keep a file's histograms, so that the page can compare runs with them; all of them or none.

    A histogram belongs to our plot of the same name, or to that which --map says.
    """
    with needs_export():
        from ops.references import keep, other_bins, read_root
    imports = _imports()
    new = read_root(file, _renamed(pairs or []))
    before = new.name in imports.names()
    keep(imports, new)
    again = ", in place of the one before" if before else ""
    out.print(f"{new.name}: {', '.join(new.histograms)}{again}", markup=False, soft_wrap=True)
    for words in other_bins(new):
        err.print(words, markup=False, style="yellow", soft_wrap=True)


@app.command("list")
def list_all(as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False) -> None:
    """List what was imported; exit with 1 if one cannot be read."""
    imports = _imports()
    found: list[Imported] = []
    unreadable = []
    for name in imports.names():
        try:
            found.append(imports.read(name))
        except SpilldeckError as error:
            unreadable.append(str(error))
    if as_json:
        typer.echo(json.dumps([_plain(one) for one in found]))
    else:
        _print_all(found, imports)
    for why in unreadable:
        err.print(why, markup=False, style="yellow", soft_wrap=True)
    raise typer.Exit(bool(unreadable))


@app.command("remove")
def remove_one(name: Annotated[str, typer.Argument(metavar="NAME", help="As `references list` has it.")]) -> None:
    """Remove what was imported of a file."""
    _imports().remove(name)


def _imports() -> "Imports":
    from streams.books.imported import Imports
    from streams.settings import load_settings

    return Imports.of(load_settings())


def _renamed(pairs: list[str]) -> dict[str, str]:
    renamed: dict[str, str] = {}
    for pair in pairs:
        theirs, _, ours = pair.rpartition("=")
        if not theirs or not ours:
            raise UsageError(f"--map {pair}: a name in the file, =, and a plot's name belong there")
        if theirs in renamed:
            raise UsageError(f"--map names {theirs} twice")
        renamed[theirs] = ours
    return renamed


def _plain(one: "Imported") -> dict[str, object]:
    plots = {name: int(histogram.sum(flow=True)) for name, histogram in one.histograms.items()}
    return {"name": one.name, "imported_ms": one.imported_ms, "sha256": one.sha256, "entries": plots}


def _print_all(found: "list[Imported]", imports: "Imports") -> None:
    table = Table()
    for column in ("reference", "imported (UTC)", "plots"):
        table.add_column(column, overflow="fold")
    for one in found:
        table.add_row(*map(Text, (one.name, calendar_time(one.imported_ms, FORM), ", ".join(one.histograms))))
    out.print(table if found else f"There are no references in {imports.directory}.", soft_wrap=not found)
