"""spilldeck runs: what is known of the runs, and a run to a file."""

import json
import time
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Table
from rich.text import Text

from ops.console import err, out, servers
from streams.errors import UsageError
from streams.words import calendar_time, several

if TYPE_CHECKING:
    from ops.archive import Archive
    from ops.daq_file import DaqFile
    from schemas.records import RunRecord

app = typer.Typer(help="The runs: what is known of them, and a run as a file.", no_args_is_help=True)
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Run = Annotated[int, typer.Argument(metavar="RUN", min=0)]
_IN_REDIS = "is_in_redis"
"""What is said of a run beside its record: whether its plots are there still."""


@app.command(name="list")
def list_all(as_json: AsJson = False) -> None:
    """List the runs, the newest last; exit with 1 if one cannot be read."""
    from streams.books.products import Products
    from streams.books.reader import BookReader
    from streams.books.registry import records

    with servers() as (settings, redis):
        products = Products(redis, settings.redis.key_prefix, settings.session).names()
        books = BookReader.of(redis, settings)
        away = {run for run, place in books.places().items() if place.retired}
        found = sorted(records(books, products, time.time()), key=lambda one: (one.began_us, one.run))
    if as_json:
        typer.echo(json.dumps([asdict(one) | {_IN_REDIS: one.run not in away} for one in found]))
    else:
        _print_all(found, away)
    for why in books.unreadable.values():
        err.print(why, markup=False, style="yellow", soft_wrap=True)
    raise typer.Exit(bool(books.unreadable))


def _print_all(found: "list[RunRecord]", away: set[int]) -> None:
    table = Table()
    for column in ("run", "type", "state", "began (UTC)", "spills", "rejected", "duplicates", "late spills"):
        table.add_column(column, overflow="fold")
    for one in found:
        rejected = sum(one.rejected.values())
        state = "left Redis" if one.run in away else one.state
        cells = (one.run, one.run_type, state, _time(one.began_us))
        counts = (one.spills, rejected, one.duplicates, "yes" if one.late_spills else "")
        table.add_row(*(Text(str(cell)) for cell in (*cells, *counts)))
    out.print(table if found else "There are no runs.")


@app.command()
def show(run: Run, as_json: AsJson = False) -> None:
    """Show all that is known of a run."""
    found, more = _record(run)
    if as_json:
        typer.echo(json.dumps(asdict(found) | more))
        return
    table = Table(show_header=False)
    table.add_column(style="bold")
    table.add_column(overflow="fold")
    for name, value in (asdict(found) | more).items():
        what, is_time = name.removesuffix("_us").replace("_", " "), name.endswith("_us")
        table.add_row(f"{what} (UTC)" if is_time else what, Text(_time(value) if is_time else _cell(value)))
    out.print(table)


@app.command()
def end(run: Run, reason: Annotated[str, typer.Option(help="Why, for whoever asks later.")] = "") -> None:
    """Say that a run has ended, for a DAQ that never did."""
    from ops.origin import command_origin
    from streams.ending import end_run

    with servers() as (settings, redis):
        end_run(settings, redis, run, origin=command_origin(), reason=reason)
    out.print(f"run {run} has ended")


@app.command()
def restore(run: Run) -> None:
    """Bring the plots of an old run back into Redis, which `keeper.runs_kept` or `days_kept` had leave."""
    from ops.console import progress
    from ops.restoring import bring_back

    with servers() as (settings, redis), progress() as bar:
        task = bar.add_task(f"run {run}", total=None)
        spills = bring_back(settings, redis, run, lambda done, of: bar.update(task, completed=done, total=of))
    out.print(f"run {run} is back, {several(spills, 'spill')}; it stays a day at least", markup=False)


def _record(run: int) -> "tuple[RunRecord, dict[str, Any]]":
    """Return what is known of a run, and what follows from it, as the page says it."""
    from streams.books import situation
    from streams.books.products import Products
    from streams.books.reader import BookReader
    from streams.books.registry import record, state

    with servers() as (settings, redis):
        products = Products(redis, settings.redis.key_prefix, settings.session).names()
        books = BookReader.of(redis, settings)
        places = books.places()
        if run not in places:
            raise UsageError(f"there is no run {run}: see spilldeck runs list")
        its = state(places[run], places.values(), time.time())
        totals = books.totals(run)
        more = {
            "missing": situation.missing(totals),
            "last_came": totals.last_came,
            "not_counted": situation.refused(totals).since_counted,
            "why_not": situation.refused(totals).why,
            _IN_REDIS: not places[run].retired,
        }
        return record(run, totals, places[run], its, products.get(run, ())), more


def _cell(value: object) -> str:
    if isinstance(value, dict):
        value = [f"{name}: {number}" for name, number in value.items()]
    return (", ".join(map(str, value)) or "none") if isinstance(value, list) else str(value)


def _time(time_us: int) -> str:
    return calendar_time(time_us / 1000, "%Y-%m-%d %H:%M:%S") if time_us else "-"


@app.command()
def archive(
    run: Run,
    directory: Annotated[Path, typer.Option("--out", metavar="DIR", help="Where the file is to be.")],
    as_daq: Annotated[
        bool, typer.Option("--as-daq", help="Write the DAQ's bytes instead, as one file of DATE, MIDAS, Avro or JSON.")
    ] = False,
    file: Annotated[
        Path | None, typer.Option("--archive", metavar="FILE", help="With --as-daq: take them from the run's archive.")
    ] = None,
) -> None:
    """Write all messages of a run, as Kafka has them, to a file, with a checksum beside it."""
    from ops.archive import raw_messages, write_archive
    from ops.daq_file import write_daq_file
    from ops.replay.checksum import check_archive
    from streams.books.reader import BookReader
    from streams.daq.archive_file import contents_of
    from streams.daq.archive_source import read_archive

    if file is not None:
        if not as_daq:
            raise UsageError("what --archive names is an archive already: give --as-daq too")
        check_archive(file)
        there = contents_of(file).run
        if there != run:
            raise UsageError(f"{file} is the archive of run {there}, not of run {run}")
        _show_written(write_daq_file(run, read_archive(file), directory))
        return
    with servers() as (settings, redis):
        live = BookReader.of(redis, settings)
        if as_daq:
            records = (record for _, record in raw_messages(settings, live, run))
            _show_written(write_daq_file(run, records, directory))
        else:
            _show_written(write_archive(settings, live, run, directory))


def _show_written(written: "Archive | DaqFile") -> None:
    size = written.file.stat().st_size
    out.print(f"{written.file}: {written.spills} spills, {size:,} bytes", markup=False, soft_wrap=True)
    out.print(f"SHA-256 {written.sha256}")
