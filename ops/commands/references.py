"""spilldeck references: import, list, remove; pin, unpin, pinned."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table
from rich.text import Text

from ops.console import err, needs_export, out, servers
from ops.given import type_of_runs
from streams.errors import SpilldeckError, UsageError
from streams.words import calendar_time

if TYPE_CHECKING:
    from streams.books.imported import Imported, Imports
    from streams.books.kept_book import KeptBook

app = typer.Typer(help="What runs are compared with: other systems' files, runs that are pinned.", no_args_is_help=True)
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


@app.command()
def pin(
    run: Annotated[int | None, typer.Argument(metavar="[RUN]", min=0, help="Not with --book.")] = None,
    replay: Annotated[
        str | None, typer.Option(metavar="NAME", help="The book that this replay made of it, kept as it is now.")
    ] = None,
    book: Annotated[
        Path | None, typer.Option(metavar="FILE", help="A book of `process --out` in place of a run; it is kept.")
    ] = None,
    imported: Annotated[
        str | None, typer.Option(metavar="NAME", help="What was imported of it, see `list`; it is kept.")
    ] = None,
    run_type: Annotated[
        str | None, typer.Option("--type", metavar="TYPE", help="Of runs; that of the book or run by default.")
    ] = None,
    reason: Annotated[str, typer.Option(help="Why, for whoever asks later.")] = "",
) -> None:
    """Have the runs of its type be compared with a run, from now on, or with a book of one, which is kept for ever."""
    if run_type is not None and book is None and imported is None:
        raise UsageError("--type goes with --book and --imported alone: a run has its own")
    if book is not None and (run, replay, imported) != (None, None, None):
        raise UsageError("--book stands in place of RUN, --replay and --imported")
    if replay is not None and imported is not None:
        raise UsageError("--imported and --replay name two books: name one")
    its_type = type_of_runs(run_type) if run_type is not None else None
    if book is not None:
        _pin_file(book, its_type, reason)
    elif replay is not None:
        _pin_replay(replay, run, reason)
    elif run is None:
        of = f": of which run is {imported}?" if imported is not None else "? A RUN, --replay NAME, or --book FILE"
        raise UsageError(f"what is to be pinned{of}")
    elif imported is not None:
        _pin_imported(imported, run, its_type, reason)
    else:
        _pin_run(run, reason)


def _pin_replay(replay: str, run: int | None, reason: str) -> None:
    from ops.origin import command_origin
    from streams.books.pinning import pin_replay

    with servers() as (settings, redis):
        its, its_type = pin_replay(settings, redis, replay, run, origin=command_origin(), reason=reason)
    _say_pinned(its_type, f"run {its} as the replay {replay} made it")


def _pin_file(file: Path, run_type: str | None, reason: str) -> None:
    from ops.origin import command_origin
    from ops.products import book_bytes
    from streams.books.pinning import pin_file

    text = book_bytes(file)
    with servers() as (settings, redis):
        book, its_type = pin_file(settings, redis, text, file.name, run_type, origin=command_origin(), reason=reason)
    _say_book(its_type, book, file.name)


def _pin_imported(name: str, run: int, run_type: str | None, reason: str) -> None:
    from ops.origin import command_origin
    from streams.books.pinning import pin_imported

    its = _imports().read(name)
    with servers() as (settings, redis):
        book, its_type = pin_imported(settings, redis, its, run, run_type, origin=command_origin(), reason=reason)
    _say_book(its_type, book, name)


def _say_book(its_type: str, book: "KeptBook", called: str) -> None:
    _say_pinned(its_type, f"run {book.run} as {called} has it")
    for words in book.other_bins():
        err.print(words, markup=False, style="yellow", soft_wrap=True)


def _say_pinned(its_type: str, what: str) -> None:
    out.print(f"runs of type {its_type or 'none'} are compared with {what}", markup=False, soft_wrap=True)


def _pin_run(run: int, reason: str) -> None:
    from dashboards.data.automatic import bad, too_little
    from ops.origin import command_origin
    from streams.books.decided import newest
    from streams.books.pinning import pin as pin_run
    from streams.books.reader import BookReader

    with servers() as (settings, redis):
        run_type = pin_run(settings, redis, run, origin=command_origin(), reason=reason)
        reader = BookReader.shown(redis, settings)
        totals, place = reader.totals(run), reader.places().get(run)
        said = newest(settings, redis)().bad(run)
    _say_pinned(run_type, f"run {run}")
    if why := said or (too_little(place) if place is not None else "") or bad(totals):
        err.print(f"run {run} is none that would be chosen: {why}", markup=False, style="yellow", soft_wrap=True)


@app.command()
def unpin(
    run_type: Annotated[
        str, typer.Argument(metavar="TYPE", help="Of runs, as `runs list` has it; '' for those of none.")
    ],
    reason: Annotated[str, typer.Option(help="Why, for whoever asks later.")] = "",
) -> None:
    """Have the runs of a type be compared with the newest good one again."""
    from ops.origin import command_origin
    from streams.books.pinning import unpin as unpin_type

    with servers() as (settings, redis):
        unpin_type(settings, redis, run_type, origin=command_origin(), reason=reason)
    _say_pinned(run_type, "the newest good one")


@app.command()
def pinned(as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False) -> None:
    """List the runs that those of a type are compared with, and since when."""
    from streams.books.decided import newest

    with servers() as (settings, redis):
        found = {its: pins[-1] for its, pins in newest(settings, redis)().pins.items() if pins[-1].run is not None}
    if as_json:
        typer.echo(json.dumps({its: pin._asdict() for its, pin in found.items()}))
        return
    table = Table("type", "run", "book", "since (UTC)")
    for its, pin in found.items():
        since = calendar_time(pin.at_us / 1000, FORM)
        table.add_row(*map(Text, (its or "none", str(pin.run), pin.called or "its own", since)))
    out.print(table if found else "No reference is pinned.")


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
