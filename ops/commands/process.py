"""spilldeck process: a file to counts and a book, without any server."""

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ops.console import complain, err, out, progress
from streams.errors import UsageError

if TYPE_CHECKING:
    from schemas.records import RawSpill, RunControl
    from streams.process import RunResult


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
) -> None:
    """Process files without servers: the same functions that the workers call."""
    from ops.inputs import Inputs
    from ops.products import write_book
    from ops.tables import run_table
    from streams.conditions.store import ConditionsStore
    from streams.process import Processor
    from streams.settings import load_settings

    conditions = ConditionsStore.from_settings(load_settings())
    processor = Processor(conditions.for_run)
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
    if as_json and results:
        found = [result.to_json() for result in results.values()]
        typer.echo(json.dumps(found[0] if len(found) == 1 else found))
    else:
        for result in results.values():
            out.print(run_table(result))
    for result in results.values():
        _tell(result)
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


def _tell(result: "RunResult") -> None:
    """Tell what in a run could not be done, and what is wrong with it."""
    from ops.tables import problems
    from streams.books.judgement import cause_words

    for problem in problems(result):
        err.print(f"run {result.run}: {problem}", markup=False, style="yellow", soft_wrap=True)
    for cause in result.judgement().causes:
        err.print(f"run {result.run}: {cause_words(cause)}", markup=False, style="red", soft_wrap=True)
