"""spilldeck produce: files, directories or standard input to spills.raw."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ops.console import out, progress
from streams.errors import UsageError

if TYPE_CHECKING:
    from schemas.records import RawSpill, RunControl


def produce(
    sources: Annotated[
        list[Path], typer.Argument(metavar="SOURCE...", help="DATE files, spills as JSON, directories, - for stdin.")
    ],
    rate: Annotated[float | None, typer.Option(help="Spills a second; as fast as it goes without.", min=0.01)] = None,
    as_recorded: Annotated[bool, typer.Option("--as-recorded", help="At the pace of the spills' own times.")] = False,
) -> None:
    """Send recorded spills to Kafka; end when the brokers have acknowledged all."""
    from ops.inputs import Inputs, paced
    from ops.topics import ensure_topics
    from schemas.records import RawSpill
    from streams.daq.producer import SpillProducer
    from streams.settings import load_settings

    if rate is not None and as_recorded:
        raise UsageError("--rate and --as-recorded exclude each other: give one of them")
    settings = load_settings()
    ensure_topics(settings)
    with Inputs(sources) as inputs, progress() as bar:
        task = bar.add_task("producing", total=inputs.size)
        acknowledged = {"spills": 0}

        def count(record: "RawSpill | RunControl") -> None:
            acknowledged["spills"] += isinstance(record, RawSpill)
            bar.advance(task, len(record.payload))

        with SpillProducer(settings, on_acknowledged=count) as producer:
            for record in paced(inputs.records(), rate, as_recorded=as_recorded):
                producer.send(record)
    out.print(f"{acknowledged['spills']} spills acknowledged")
    if inputs.exit_status:
        raise typer.Exit(inputs.exit_status)
