"""spilldeck process: a file to counts and a book, without any server."""

import json
from pathlib import Path
from typing import Annotated

import typer

from ops.console import out, progress
from streams.errors import UsageError


def process(
    files: Annotated[list[Path], typer.Argument(metavar="FILE...", help="DATE files or spills as JSON.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object (a list for several runs).")] = False,
    book: Annotated[Path | None, typer.Option("--out", metavar="BOOK", help="Write the book, UHI as JSON.")] = None,
) -> None:
    """Process files without servers: the same functions that the workers call."""
    from ops.products import write_book
    from ops.tables import run_table
    from streams.conditions.store import ConditionsStore
    from streams.daq.sources import read_source
    from streams.process import Processor
    from streams.settings import load_settings

    conditions = ConditionsStore.from_settings(load_settings())
    processor = Processor(conditions.for_run)
    with progress() as bar:
        task = bar.add_task("processing", total=sum(f.stat().st_size for f in files if f.is_file()) or None)
        for file in files:
            for record in read_source(file):
                processor.take(record)
                bar.advance(task, len(record.payload))
    results = processor.finish()
    if book is not None:
        if len(results) != 1:
            raise UsageError(f"--out takes the book of one run, and there are {len(results)}: process them one by one")
        write_book(book, next(iter(results.values())))
    if as_json:
        found = [result.to_json() for result in results.values()]
        typer.echo(json.dumps(found[0] if len(found) == 1 else found))
        return
    for result in results.values():
        out.print(run_table(result))
    for source in conditions.missing:
        out.print(f"[yellow]Conditions left out, the directory is not there: {source}[/]")
