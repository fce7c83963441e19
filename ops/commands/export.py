"""spilldeck export: a run's plots for other programs."""

from pathlib import Path
from typing import Annotated

import typer

from ops.console import needs_export, out, servers
from streams.errors import SpilldeckError, UsageError


def export(
    run: Annotated[int, typer.Argument(metavar="RUN", min=0)],
    form: Annotated[
        str, typer.Option("--format", metavar="FORMAT", help="json, zip (both UHI), root, csv, png, svg or pdf.")
    ],
    directory: Annotated[Path, typer.Option("--out", metavar="DIR", help="Where the files are to be.")],
    plots: Annotated[list[str] | None, typer.Option("--plot", metavar="NAME", help="This plot alone.")] = None,
    detectors: Annotated[
        list[str] | None, typer.Option("--detector", metavar="NAME", help="This detector's plots alone.")
    ] = None,
) -> None:
    """Write a run's plots as files: numbers, or pictures of each canvas."""
    with needs_export():
        from ops.export.write import FORMATS
        from ops.export.write import export as write
    from ops.export.chosen import choose
    from streams.books.decided import refresh
    from streams.books.promotions import Promotions
    from streams.books.reader import BookReader
    from streams.conditions.store import ConditionsStore
    from streams.process import ranges_of

    if form not in FORMATS:
        raise UsageError(f"there is no format {form}: there are {', '.join(FORMATS)}")
    with servers() as (settings, redis):
        refresh(settings, redis)
        if loss := Promotions(redis, settings.redis.key_prefix).look().loss(run):
            raise SpilldeckError(f"run {run}: {loss}")
        reader = BookReader.shown(redis, settings)
        if run not in reader.places():
            raise UsageError(f"there is no run {run}: see spilldeck runs list")
        if left := reader.being_made_again(run):
            where = ", ".join(map(str, left))
            raise SpilldeckError(f"run {run} is being made again from Kafka (partition {where}): try again later")
        book = reader.run(run, ranges_of(ConditionsStore.from_settings(settings).for_run(run)))
    for file in write(choose(run, book, plots or [], detectors or []), form, directory):
        out.print(file, markup=False, soft_wrap=True)
