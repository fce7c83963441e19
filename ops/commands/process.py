"""spilldeck process: a file to counts and a book, without any server."""

import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ops.console import complain, err, out, progress
from streams.errors import UsageError

if TYPE_CHECKING:
    from schemas.records import RawSpill, RunControl
    from streams.books.shapes import Against, PlotVerdict
    from streams.process import RunResult
    from streams.settings import Settings


def process(
    files: Annotated[
        list[Path],
        typer.Argument(
            metavar="FILE...",
            help="Files of DATE, MIDAS, Avro or JSON, archives, directories, pipes, - for stdin; compressed or not.",
        ),
    ],
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object (a list for several runs).")] = False,
    book: Annotated[Path | None, typer.Option("--out", metavar="BOOK", help="Write the book, UHI as JSON.")] = None,
    against: Annotated[
        list[Path] | None,
        typer.Option(metavar="BOOK", help="Judge the plots against books of good runs, the newest first."),
    ] = None,
) -> None:
    """Process files without servers: the same functions that the workers call."""
    from ops.inputs import Inputs
    from ops.products import against_books, read_books, write_book
    from ops.tables import run_table
    from streams.conditions.store import ConditionsStore
    from streams.process import Processor
    from streams.settings import load_settings

    settings = load_settings()
    books = read_books(against) if against else []
    conditions = ConditionsStore.from_settings(settings)
    processor = Processor(conditions.for_run, books[0].known if books else {})
    inputs = Inputs(files)
    with progress() as bar:
        task = bar.add_task("processing", total=inputs.size)
        for record in _told(inputs.records()):
            processor.take(record)
            bar.advance(task, len(record.payload))
    results = processor.finish()
    if book is not None and results:
        if len(results) != 1:
            raise UsageError(f"--out takes the book of one run, and there are {len(results)}: process them one by one")
        write_book(book, next(iter(results.values())))
    shapes = _judged(results, against_books(books), settings) if books else {}
    if as_json and results:
        found = [result.to_json() | _verdicts(shapes.get(run)) for run, result in results.items()]
        typer.echo(json.dumps(found[0] if len(found) == 1 else found))
    else:
        for result in results.values():
            out.print(run_table(result))
    for run, result in results.items():
        _tell(result, shapes.get(run, {}))
    for source in conditions.missing:
        err.print(f"conditions left out, not there: {source}", markup=False, style="yellow", soft_wrap=True)
    if inputs.exit_status:
        raise typer.Exit(inputs.exit_status)


def _told(records: "Iterable[RawSpill | RunControl]") -> "Iterator[RawSpill | RunControl]":
    """Yield records; tell of a run's start or end whose time was replaced, as a spill's is told among its errors."""
    from ops.tables import time_problem
    from schemas.records import RunControl

    for record in records:
        if isinstance(record, RunControl) and record.time_problem:
            complain(time_problem(record))
        yield record


def _judged(
    results: "Mapping[int, RunResult]", reference: "Against", settings: "Settings"
) -> dict[int, dict[str, "PlotVerdict"]]:
    """Return what is known of the plots of each run."""
    from streams.books.limits import limits_of
    from streams.books.shapes import plot_verdicts

    of, borne, found = limits_of(settings).of, settings.checks.spills_a_false_alarm, {}
    for run, result in results.items():
        book = result.run_book()
        limits = of(book.totals.run_type)
        found[run] = plot_verdicts(book, reference, limits, borne, is_over=book.totals.ended)
    return found


def _verdicts(shapes: "Mapping[str, PlotVerdict] | None") -> dict[str, object]:
    """Return what is known of the plots as plain values; nothing where they were judged against nothing."""
    return {} if shapes is None else {"verdicts": {name: each.to_json() for name, each in shapes.items()}}


def _tell(result: "RunResult", shapes: "Mapping[str, PlotVerdict]") -> None:
    """Tell what in a run could not be done, and what is wrong with it: with plots, what follows from no other."""
    from ops.tables import problems
    from streams.books.following import beneath
    from streams.books.judgement import cause_words
    from streams.books.shapes import State, bad, words
    from streams.experiment import experiment

    for problem in problems(result):
        err.print(f"run {result.run}: {problem}", markup=False, style="yellow", soft_wrap=True)
    for cause in result.judgement().causes:
        err.print(f"run {result.run}: {cause_words(cause)}", markup=False, style="red", soft_wrap=True)
    for off in beneath(result.judgement().causes, bad(shapes)).rest:
        said = f"run {result.run}: {experiment().plots[off.plot].title}: {words(off)}"
        err.print(said, markup=False, style="red" if off.state is State.BAD else "yellow", soft_wrap=True)
