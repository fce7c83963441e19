"""spilldeck simulate: a run of a simulated beam line, as a file or into Kafka, with faults where asked."""

import json
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Self

import typer
from rich.table import Table
from rich.text import Text

from ops.console import out, progress
from streams.errors import UsageError

if TYPE_CHECKING:
    from schemas.records import RawSpill, RunControl
    from streams.experiment import Simulation


def simulate(
    run: Annotated[int | None, typer.Option(help="Run number.", show_default="the second that has conditions")] = None,
    spills: Annotated[int, typer.Option(help="Spills of the run.", min=1, max=1_000_000)] = 200,
    seed: Annotated[int, typer.Option(help="The same seed gives the same bytes.", min=0)] = 1,
    file: Annotated[
        Path | None,
        typer.Option(
            "--out", metavar="FILE", help="As the DAQ writes it, in the form of its ending. Without: into Kafka."
        ),
    ] = None,
    rate: Annotated[float | None, typer.Option(help="Spills a second into Kafka.", min=0.01)] = None,
    faults: Annotated[
        list[str] | None,
        typer.Option("--fault", metavar="FAULT", help="NAME[:PLACE][=VALUE][@FIRST[-LAST]]; may be repeated."),
    ] = None,
    list_faults: Annotated[bool, typer.Option("--list-faults", help="Explain all faults and do nothing else.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the list of faults as JSON.")] = False,
    truth: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write what was really there, a JSON object a spill.")
    ] = None,
) -> None:
    """Simulate a run: real bytes of the detectors' boards, with physics in them, and with faults on demand."""
    if list_faults:
        _explain(as_json=as_json)
        return
    if as_json:
        raise UsageError("--json goes with --list-faults alone")
    if truth is not None and truth == file:
        raise UsageError(f"--out and --truth both name {file}: give each a file of its own")
    from streams.experiment import simulator

    its = simulator()
    run = its.runs[1] if run is None else run
    if run not in its.runs:
        raise UsageError(f"run {run} cannot be simulated: conditions are there for {its.runs[0]} to {its.runs[-1]}")
    simulated = its.simulate(run, spills, seed)
    if file is None:
        # Only a file must have the same times each time. Each spill is sent when it is, or the last one now.
        now_us = time.time_ns() // 1000
        begin_us = now_us if rate else now_us - round((spills + 1) * simulated.period_s * 1e6)
        simulated = simulated.at(begin_us, 1 / rate if rate else simulated.period_s)
    simulated = simulated.with_faults(faults) if faults else simulated
    with progress() as bar:
        task = bar.add_task("simulating", total=spills + 2)
        records = _records(simulated, truth)
        if file is not None:
            written = _write(simulated, records, file, lambda: bar.advance(task))
        else:
            written = _send(records, rate, lambda: bar.advance(task))
    out.print(f"run {run}: {written} spills {'to ' + str(file) if file is not None else 'acknowledged'}", markup=False)


class _Output:
    """A file to write into, in a ``with`` block; whatever goes wrong with it is a `UsageError`."""

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            self._file = path.open("wb", buffering=0)
        except OSError as error:
            raise self._error(error) from error

    def write(self, content: bytes) -> None:
        """Write all of it."""
        try:
            while content:
                content = content[self._file.write(content) or 0 :]
        except OSError as error:
            raise self._error(error) from error

    def _error(self, error: OSError) -> UsageError:
        return UsageError(f"{self._path} cannot be written: {error.strerror}")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()


def _write(
    simulated: "Simulation",
    records: "Iterable[RawSpill | RunControl]",
    file: Path,
    on_written: Callable[[], None],
) -> int:
    """Write a file of records; return how many are spills."""
    from schemas.records import RawSpill

    spills = 0
    with _Output(file) as output:
        for record in records:
            output.write(simulated.written(record, file.suffix))
            spills += isinstance(record, RawSpill)
            on_written()
    return spills


def _send(records: "Iterable[RawSpill | RunControl]", rate: float | None, on_acknowledged: Callable[[], None]) -> int:
    """Send records to Kafka; return how many spills the brokers have acknowledged."""
    from ops.inputs import paced
    from ops.topics import ensure_topics
    from schemas.records import RawSpill
    from streams.daq.producer import SpillProducer
    from streams.settings import load_settings

    spills = 0

    def count(record: "RawSpill | RunControl", _offsets: dict[int, int]) -> None:
        nonlocal spills
        spills += isinstance(record, RawSpill)
        on_acknowledged()

    settings = load_settings()
    ensure_topics(settings)
    with SpillProducer(settings, on_acknowledged=count) as producer:
        for record in paced(records, rate):
            producer.send(record)
    return spills


def _records(simulated: "Simulation", truth: Path | None) -> "Iterator[RawSpill | RunControl]":
    """Yield the records of the run, and write the truth of its spills beside."""
    if truth is None:
        yield from simulated.records()
        return
    with _Output(truth) as output:
        for record, line in simulated.records_and_truth():
            output.write(line)
            if record is not None:
                yield record


def _explain(*, as_json: bool) -> None:
    """Show all faults, how they are asked for, and what names their places."""
    from streams.experiment import simulator

    faults, lines = simulator().explained()
    if as_json:
        typer.echo(json.dumps(faults))
        return
    table = Table(show_lines=True)
    for column in ("--fault", "what it does", "what the shifter sees"):
        table.add_column(column, overflow="fold")
    for fault in faults:
        value = f" VALUE: {fault['value']}." if fault["value"] else ""
        table.add_row(*map(Text, (fault["syntax"], fault["does"] + value, fault["look"])))
    out.print(table)
    for line in lines:
        out.print(line, markup=False)
