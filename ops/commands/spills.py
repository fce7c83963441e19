"""spilldeck spills: get, find, count."""

import dataclasses
import json
import math
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Table
from rich.text import Text

from ops.console import out, servers
from streams.errors import UsageError

if TYPE_CHECKING:
    from schemas.records import ReconstructedSpill

app = typer.Typer(help="Spills as they are in Kafka.", no_args_is_help=True)
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]


@app.command()
def get(
    run: Annotated[int, typer.Option(help="Run.", min=0)],
    spill: Annotated[int, typer.Option(help="Its number, which counts from 0 in each run.", min=0)],
    as_json: Annotated[bool, typer.Option("--json", help="Print all columns as JSON.")] = False,
    raw: Annotated[bool, typer.Option("--raw", help="Show the DAQ's bytes, word by word, with what each is.")] = False,
    file: Annotated[
        Path | None, typer.Option("--out", metavar="FILE", help="Write the DAQ's bytes; - is standard output.")
    ] = None,
) -> None:
    """Show a reconstructed spill, or the DAQ's bytes of it; or write these."""
    from schemas.records import RawSpill
    from streams.books.spill_words import bytes_words
    from streams.books.topic_spills import find_spill
    from streams.kafka import topic_spans
    from streams.settings import load_settings
    from streams.topics import Topics

    if raw + as_json + (file is not None) > 1:
        raise UsageError("--raw, --json and --out exclude each other: give one of them")
    settings = load_settings()
    topics = Topics.of(settings)
    topic = topics.raw if raw or file is not None else topics.reco
    found = find_spill(settings, topic, run, spill, topic_spans(settings, topic))
    if found is None:
        raise UsageError(f"Kafka has no spill {spill} of run {run}: see spilldeck runs list and spilldeck topics list")
    if isinstance(found, RawSpill):
        if file is None:
            for line in bytes_words(found):
                typer.echo(line)
        else:
            _write(found.payload, file)
    elif as_json:
        typer.echo(json.dumps(_plain(found)))
    else:
        _show(found)


@app.command()
def find(
    run: Annotated[int, typer.Argument(metavar="RUN", min=0)],
    plot: Annotated[str, typer.Argument(metavar="PLOT", help="Its name, as in the address of its page.")],
    session: Annotated[
        str | None, typer.Option(help="Whose book of it, as replay-new-t0; the run's own by default.")
    ] = None,
    reference: Annotated[
        int | None, typer.Option(min=0, help="Run to compare with; the newest good one of its type by default.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Find the spills that filled what is off in a plot, or that have nothing there."""
    from dashboards.data.judged_run import StoredRuns
    from streams.books.limits import limits_of
    from streams.books.replays import Replays
    from streams.books.shapes import off_block, words
    from streams.books.spill_search import entries_words, find_filling, triggers_words
    from streams.books.spill_search import words as filling_words
    from streams.conditions.store import ConditionsStore
    from streams.experiment import experiment

    if plot not in experiment().plots:
        raise UsageError(
            f"there is no plot {plot}: its name stands in the address of its page, and in spilldeck export"
        )
    with servers() as (settings, redis):
        its = StoredRuns(settings, redis).read(run, session=session, reference=reference)
        plan = Replays(redis, settings.redis.key_prefix).get(session) if session is not None else None
    limits = limits_of(settings).of(its.book.totals.run_type)
    verdict = its.shapes(limits, settings.checks.spills_a_false_alarm)[plot]
    store = ConditionsStore.from_settings(settings) if plan is None else plan.store(settings)
    block = off_block(verdict)
    filling = find_filling(settings, run, its.book, plot, block, store.for_run) if block is not None else None
    if as_json:
        found = {"run": run, "reference": its.reference, "plot": verdict.to_json()}
        typer.echo(json.dumps(found | {"filling": filling.to_json() if filling is not None else None}))
        return
    out.print(Text(f"{experiment().plots[plot].title}: {words(verdict)}"))
    if filling is None:
        out.print("Nothing is off.")
        return
    out.print(Text(f"{filling_words(filling)}{':' if filling.spills else '.'}"))
    for each in filling.spills:
        triggers = triggers_words(each)
        out.print(Text(f"  {each.spill}: {entries_words(each, filling)}{f'; {triggers}' if triggers else ''}"))
    if filling.spills:
        out.print(f"spilldeck spills get --run {run} --spill {filling.spills[0].spill} shows one.")


def _write(payload: bytes, file: Path) -> None:
    if str(file) == "-":
        sys.stdout.buffer.write(payload)
        return
    try:
        file.write_bytes(payload)
    except OSError as error:
        raise UsageError(f"{file} cannot be written: {error.strerror}") from error


def _plain(spill: "ReconstructedSpill") -> dict[str, Any]:
    """Return a spill as plain values; a number that is none, as in NaN, becomes null."""
    fixed = {f.name: getattr(spill, f.name) for f in dataclasses.fields(spill) if f.name != "detectors"}
    rejection = dataclasses.asdict(spill.rejection) if spill.rejection is not None else None
    detectors = {
        name: {
            table: {f.name: _numbers(getattr(columns, f.name).tolist()) for f in dataclasses.fields(columns)}
            for table, columns in detector.tables().items()
        }
        for name, detector in spill.detectors.items()
    }
    return fixed | {"digest": spill.digest.hex(), "rejection": rejection, "detectors": detectors}


def _numbers(values: Any) -> Any:
    if isinstance(values, list):
        return [_numbers(value) for value in values]
    return values if not isinstance(values, float) or math.isfinite(values) else None


def _show(spill: "ReconstructedSpill") -> None:
    from streams.books.spill_words import summary

    table = Table(show_header=False, title=f"Run {spill.run}, spill {spill.spill}")
    table.add_column(style="bold")
    table.add_column(overflow="fold")
    for name, value in summary(spill).items():
        table.add_row(Text(name), Text(value))
    out.print(table)


@app.command()
def count(as_json: AsJson = False) -> None:
    """Count the messages of each run in each topic of spills, with their bytes."""
    from ops.spills import count_messages
    from streams.settings import load_settings

    found = count_messages(load_settings())
    if as_json:
        typer.echo(json.dumps([dataclasses.asdict(one) for one in found]))
        return
    table = Table()
    for column in ("run", "topic", "messages", "bytes"):
        table.add_column(column, overflow="fold")
    for one in found:
        table.add_row(*map(Text, (one.run, one.topic, f"{one.messages:,}", f"{one.size:,}")))
    out.print(table if found else "There are no spills.")
