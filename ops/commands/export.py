"""spilldeck export: a run's plots, or the hits of its spills, for other programs."""

from pathlib import Path
from typing import Annotated

import typer

from ops.console import err, needs_export, out, servers
from streams.errors import SpilldeckError, UsageError
from streams.words import several


def export(
    run: Annotated[int, typer.Argument(metavar="RUN", min=0)],
    directory: Annotated[Path, typer.Option("--out", metavar="DIR", help="Where the files are to be.")],
    form: Annotated[
        str, typer.Option("--format", metavar="FORMAT", help="json, zip (both UHI), root, csv, png, svg or pdf.")
    ] = "",
    plots: Annotated[list[str] | None, typer.Option("--plot", metavar="NAME", help="This plot alone.")] = None,
    detectors: Annotated[
        list[str] | None, typer.Option("--detector", metavar="NAME", help="This detector's plots alone.")
    ] = None,
    tables: Annotated[
        list[str] | None,
        typer.Option("--tables", metavar="NAME", help="In place of plots, this detector's hits, as trees of ROOT."),
    ] = None,
    archive: Annotated[
        Path | None,
        typer.Option("--from", metavar="FILE", help="With --tables: an archive or DAQ file, in place of Kafka."),
    ] = None,
) -> None:
    """Write a run's plots as files (numbers, or pictures of each canvas), or the hits of its spills.

    Hits are those that the spills reconstruct to today. With --from no server is needed.
    """
    if tables:
        _refuse({"--format": form, "--plot": plots, "--detector": detectors}, "--tables")
        file = _hits(run, tables, archive, directory)
        out.print(file, markup=False, soft_wrap=True)
        return
    _refuse({"--from": archive}, "plots, which are in Redis")
    _plots(run, form, plots or [], detectors or [], directory)


def _refuse(options: dict[str, object], what: str) -> None:
    for name, value in options.items():
        if value:
            raise UsageError(f"{name} does not go with {what}")


def _hits(run: int, detectors: list[str], archive: Path | None, directory: Path) -> Path:
    with needs_export():
        from ops.export.hits import noting, write_hits
    from ops.replay.again import archived, spills_again
    from ops.replay.checks import make_plan
    from streams.books.plan import Origin
    from streams.settings import load_settings

    if archive is not None:
        settings, plan = load_settings(), archived(run, archive)
    else:
        with servers() as (settings, redis):
            plan = make_plan(settings, redis, "", [run], Origin.RAW, None)
    lacks: dict[str, tuple[int, str]] = {}
    file = write_hits(noting(spills_again(settings, plan, run), detectors, lacks), run, detectors, directory)
    for name, (number, first) in sorted(lacks.items()):
        said = f"{name.replace('.', ' ')}: nothing of {several(number, 'spill')}, the first of them {first}"
        err.print(said, markup=False, soft_wrap=True)
    return file


def _plots(run: int, form: str, plots: list[str], detectors: list[str], directory: Path) -> None:
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
        what = f"there is no format {form}" if form else "--format is missing"
        raise UsageError(f"{what}: there are {', '.join(FORMATS)}")
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
    for file in write(choose(run, book, plots, detectors), form, directory):
        out.print(file, markup=False, soft_wrap=True)
