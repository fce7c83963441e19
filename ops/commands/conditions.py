"""spilldeck conditions: show, check."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table
from rich.text import Text

from ops.console import err, out
from streams.errors import UsageError

if TYPE_CHECKING:
    from streams.conditions.store import ConditionsStore, Entry

app = typer.Typer(help="Cabling and calibration of the runs: which table serves which.", no_args_is_help=True)
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
SHORT_HASH = 12


@app.command()
def show(run: Annotated[int, typer.Argument(help="Run.", min=0)], as_json: AsJson = False) -> None:
    """Show which table serves a run, with its range and hash, and what the run has no table for; 1 if it has none.

    Of a run whose tables cannot be read or contradict each other, all that are named for it are shown, and why; 2 then.
    """
    from streams.words import called

    store = _store()
    try:
        entries, conditions = store.entries(run), store.for_run(run)
    except UsageError as error:
        _print_entries(f"Run {run}, no conditions", store.named(run))
        raise UsageError(f"the conditions of run {run} cannot be read: {error}") from error
    lacking = dict(conditions.lacking) if conditions is not None else {}
    if as_json:
        tables = [_plain(entry) for entry in entries]
        digest = conditions.digest if conditions is not None else ""
        typer.echo(json.dumps({"run": run, "conditions": digest, "tables": tables, "lacking": lacking}))
    elif conditions is None:
        out.print(f"No index has a table for run {run}.")
    else:
        _print_entries(f"Run {run}, conditions {conditions.digest}", entries)
        for note in dict.fromkeys(entry.note for entry in entries if entry.note):
            out.print(f"{', '.join(entry.kind for entry in entries if entry.note == note)}: {note}", markup=False)
        for name, why in lacking.items():
            err.print(f"not calibrated: {called(name)}: {why}", style="yellow", markup=False, soft_wrap=True)
    _tell_missing(store.missing)
    if conditions is None:
        raise typer.Exit(1)


@app.command()
def check(as_json: AsJson = False) -> None:
    """Read all tables and say what is odd: ranges that overlap, gaps, channels mapped twice; 1 if one is wrong."""
    from dataclasses import asdict

    from streams.conditions.check import check as check_tables
    from streams.conditions.store import all_entries, places
    from streams.experiment import experiment
    from streams.settings import load_settings

    its = places(load_settings())
    found = check_tables(all_entries(its), experiment().plots.keys())
    if as_json:
        typer.echo(json.dumps([asdict(each) for each in found]))
    elif not found:
        out.print("Nothing is odd.")
    else:
        rows = [
            ["wrong" if each.is_wrong else "lacking", _runs(each.first_run, each.last_run), each.what] for each in found
        ]
        _print("", ("", "runs", "what"), rows)
    _tell_missing([tables for _, tables in its if not tables.is_dir()])
    if any(each.is_wrong for each in found):
        raise typer.Exit(1)


def _store() -> "ConditionsStore":
    from streams.conditions.store import ConditionsStore
    from streams.settings import load_settings

    return ConditionsStore.from_settings(load_settings())


def _print_entries(title: str, entries: "Sequence[Entry]") -> None:
    rows = [[e.kind or "?", e.file.name, _runs(e.first_run, e.last_run), _short_hash(e)] for e in entries]
    _print(title, ("kind", "file", "runs", "SHA-256"), rows)


def _short_hash(entry: "Entry") -> str:
    try:
        return _hash(entry)[:SHORT_HASH] if not entry.fault else "entry cannot be"
    except UsageError:
        return "cannot be read"


def _plain(entry: "Entry") -> dict[str, object]:
    return {
        "kind": entry.kind,
        "file": str(entry.file),
        "first_run": entry.first_run,
        "last_run": entry.last_run,
        "sha256": _hash(entry),
        "note": entry.note,
    }


def _hash(entry: "Entry") -> str:
    import hashlib

    return hashlib.sha256(entry.content()).hexdigest()


def _runs(first: int, last: int) -> str:
    from streams.conditions.store import LAST_RUN

    return f"{first}–{'' if last == LAST_RUN else last}"


def _print(title: str, columns: tuple[str, ...], rows: list[list[str]]) -> None:
    table = Table(title=title)
    for column in columns:
        table.add_column(column, overflow="fold")
    for row in rows:
        table.add_row(*map(Text, row))
    out.print(table)


def _tell_missing(missing: list[Path]) -> None:
    for directory in missing:
        err.print(f"conditions left out, not there: {directory}", markup=False, style="yellow", soft_wrap=True)
