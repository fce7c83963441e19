"""spilldeck simulate: a run of a simulated beam line, as a DATE file or into Kafka."""

import time
from pathlib import Path
from typing import Annotated

import typer

from ops.console import out, progress


def simulate(
    run: Annotated[int, typer.Option(help="Run number.", min=900_000, max=999_999)] = 900_001,
    spills: Annotated[int, typer.Option(help="Spills of the run.", min=1, max=1_000_000)] = 200,
    seed: Annotated[int, typer.Option(help="The same seed gives the same bytes.", min=0)] = 1,
    file: Annotated[Path | None, typer.Option("--out", metavar="FILE", help="Without: into Kafka.")] = None,
    rate: Annotated[float | None, typer.Option(help="Spills a second into Kafka.", min=0.01)] = None,
) -> None:
    """Simulate a run: real DATE bytes of the time-of-flight and Cherenkov counters, with physics in them."""
    from streams.daq.simulator import SimulatedRun
    from streams.errors import UsageError
    from streams.settings import load_settings

    simulated = SimulatedRun(run=run, spills=spills, seed=seed, start_us=time.time_ns() // 1000)
    with progress() as bar:
        task = bar.add_task("simulating", total=spills + 2)
        if file is not None:
            # The same seed must give the same file, so its times are not today's.
            simulated = SimulatedRun(run=run, spills=spills, seed=seed)
            try:
                with file.open("wb") as output:
                    for record in simulated.records():
                        output.write(record.payload)
                        bar.advance(task)
            except OSError as error:
                raise UsageError(f"{file} cannot be written: {error.strerror}") from error
        else:
            from ops.inputs import paced
            from ops.topics import ensure_topics
            from streams.daq.producer import SpillProducer

            settings = load_settings()
            ensure_topics(settings)
            with SpillProducer(settings, on_acknowledged=lambda _: bar.advance(task)) as producer:
                for record in paced(simulated.records(), rate):
                    producer.send(record)
    out.print(f"run {run}: {spills} spills {'to ' + str(file) if file is not None else 'acknowledged'}")
