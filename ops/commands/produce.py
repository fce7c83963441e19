"""spilldeck produce: files, directories, a growing file or standard input to spills.raw."""

from pathlib import Path
from typing import Annotated

import typer

from ops.console import complain, out, progress
from ops.given import type_of_runs
from streams.errors import UsageError


def produce(
    sources: Annotated[
        list[Path],
        typer.Argument(
            metavar="SOURCE...",
            help="Files of DATE, MIDAS, Avro or JSON, archives, directories, pipes, - for stdin; compressed or not.",
        ),
    ],
    rate: Annotated[float | None, typer.Option(help="Spills a second; as fast as it goes without.", min=0.01)] = None,
    as_recorded: Annotated[bool, typer.Option("--as-recorded", help="At the pace of the spills' own times.")] = False,
    follow: Annotated[bool, typer.Option("--follow", help="Go on as the one file grows, until Ctrl-C.")] = False,
    resume: Annotated[bool, typer.Option("--resume", help="Go on behind what an earlier produce has sent.")] = False,
    run_type: Annotated[
        str, typer.Option("--type", metavar="TYPE", help="What the runs are for, as physics or calibration.")
    ] = "",
) -> None:
    """Send recorded spills to Kafka; end when the brokers have acknowledged all."""
    from ops.inputs import Inputs
    from ops.production import Production
    from ops.tables import time_problem
    from ops.topics import ensure_topics
    from schemas.records import RawSpill, RunControl
    from streams.daq.source import STDIN
    from streams.settings import load_settings
    from streams.starting import begin_if_watched

    if rate is not None and as_recorded:
        raise UsageError("--rate and --as-recorded exclude each other: give one of them")
    if follow and (rate is not None or as_recorded):
        raise UsageError("--follow sends spills as they are written: it takes no pace")
    if follow and (len(sources) != 1 or not sources[0].is_file()):
        raise UsageError("--follow takes one file")
    if resume and STDIN in sources:
        raise UsageError("standard input cannot be resumed: it is there once")
    its_type = type_of_runs(run_type)
    settings = load_settings()
    ensure_topics(settings)
    inputs = Inputs(sources)
    with progress() as bar:
        task = bar.add_task("producing", total=None if follow else inputs.size)

        def acknowledged(record: RawSpill | RunControl) -> None:
            bar.advance(task, len(record.payload))
            if record.time_problem:
                complain(time_problem(record))

        production = Production(
            settings,
            on_acknowledged=acknowledged,
            on_waiting=lambda seconds, messages: complain(
                f"Kafka at {settings.kafka.bootstrap_servers} has acknowledged nothing for {seconds:.0f} s: {messages} "
                f"messages wait, nothing is lost"
            ),
            run_type=its_type,
        )
        begin_if_watched("producer", settings, production.health)
        if follow:
            production.follow(inputs.files[0], resume=resume)
        else:
            production.play(inputs, resume=resume, rate=rate, as_recorded=as_recorded)
    out.print(f"{production.spills} spills acknowledged")
    if inputs.exit_status:
        raise typer.Exit(inputs.exit_status)
