"""spilldeck produce: files, directories or standard input to spills.raw."""

import shutil
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
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
    from ops.topics import ensure_topics
    from schemas.records import RawSpill
    from streams.daq.producer import SpillProducer
    from streams.daq.sources import read_source
    from streams.settings import load_settings

    if rate is not None and as_recorded:
        raise UsageError("--rate and --as-recorded exclude each other: give one of them")
    settings = load_settings()
    ensure_topics(settings)
    with ExitStack() as stack:
        files = list(_files(sources, stack))
        bar = stack.enter_context(progress())
        task = bar.add_task("producing", total=sum(f.stat().st_size for f in files))
        acknowledged = {"spills": 0}

        def count(record: "RawSpill | RunControl") -> None:
            acknowledged["spills"] += isinstance(record, RawSpill)
            bar.advance(task, len(record.payload))

        with SpillProducer(settings, on_acknowledged=count) as producer:
            for file in files:
                for record in paced(read_source(file), rate, as_recorded=as_recorded):
                    producer.send(record)
    out.print(f"{acknowledged['spills']} spills acknowledged")


def _files(sources: Iterable[Path], stack: ExitStack) -> Iterator[Path]:
    for source in sources:
        if source == Path("-"):
            # A DATE file is read by position, which a pipe has not.
            directory = Path(stack.enter_context(tempfile.TemporaryDirectory()))
            with (directory / "stdin").open("wb") as copy:
                shutil.copyfileobj(sys.stdin.buffer, copy)
            yield directory / "stdin"
        elif source.is_dir():
            yield from sorted(p for p in source.iterdir() if p.is_file())
        elif source.is_file():
            yield source
        else:
            raise UsageError(f"{source} is neither a file nor a directory")


def paced(
    records: "Iterable[RawSpill | RunControl]", rate: float | None, *, as_recorded: bool = False
) -> "Iterator[RawSpill | RunControl]":
    """Yield records no sooner than they are due.

    Parameters
    ----------
    rate
        Spills a second; None for no limit.
    as_recorded
        Keep the distances of the spills' own times instead.
    """
    from schemas.records import RawSpill

    start, spills, first_us = time.monotonic(), 0, 0
    for record in records:
        due = 0.0
        if as_recorded and record.time_us:
            first_us = first_us or record.time_us
            due = (record.time_us - first_us) / 1e6
        elif rate is not None and isinstance(record, RawSpill):
            due = spills / rate
            spills += 1
        time.sleep(max(0.0, start + due - time.monotonic()))
        yield record
