"""spilldeck rejected: list, show, replay."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Table
from rich.text import Text

from ops.console import complain, out
from streams.errors import UsageError
from streams.words import calendar_time

if TYPE_CHECKING:
    from ops.rejected import Place, Rejected

app = typer.Typer(help="Spills that are in no histogram: why, their bytes, and through again.", no_args_is_help=True)
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Run = Annotated[int | None, typer.Option(help="Of this run alone.", min=0)]
Step = Annotated[
    str | None, typer.Option(help="Refused by this step alone: framing, unpack, json, conflict, envelope.")
]
LISTED = 500
"""Characters of a cell of the list; `show` has the whole text."""


@app.command(name="list")
def list_all(run: Run = None, step: Step = None, as_json: AsJson = False) -> None:
    """List the rejected spills."""
    found = sorted((_summary(one) for one in _all() if _is_of(one, run, step)), key=lambda one: one["time_ms"])
    if as_json:
        typer.echo(json.dumps(found))
        return
    table = Table()
    for column in ("id", "time (UTC)", "run", "spill", "step", "reason"):
        table.add_column(column, overflow="fold")
    for one in found:
        numbers = (str(number) if number >= 0 else "-" for number in (one["run"], one["spill"]))
        cells = (one["id"], calendar_time(one["time_ms"]), *numbers, one["step"], one["reason"])
        table.add_row(*(_cell(cell, LISTED) for cell in cells))
    out.print(table if found else "Nothing is rejected.")


@app.command()
def show(
    name: Annotated[str, typer.Argument(metavar="ID", help="As `list` has it.")],
    file: Annotated[Path | None, typer.Option("--out", metavar="FILE", help="Write the DAQ's bytes.")] = None,
    as_json: AsJson = False,
) -> None:
    """Show one rejected spill; write its bytes."""
    from ops.rejected import read_rejected
    from streams.settings import load_settings

    one = next(read_rejected(load_settings(), [_place(name)]), None)
    if one is None:
        raise _absent(name)
    summary = _summary(one)
    raw = one.raw()
    if file is not None:
        try:
            file.write_bytes(raw.payload if raw is not None else one.spill.payload)
        except OSError as error:
            raise UsageError(f"{file} cannot be written: {error.strerror}") from error
    if as_json:
        typer.echo(json.dumps(summary))
        return
    table = Table(show_header=False)
    table.add_column(style="bold")
    table.add_column(overflow="fold")
    for key, value in summary.items():
        table.add_row(key, _cell(str(value)))
    out.print(table)


@app.command()
def replay(
    names: Annotated[list[str] | None, typer.Argument(metavar="[ID]...", help="As `list` has them.")] = None,
    run: Run = None,
    step: Step = None,
    everything: Annotated[bool, typer.Option("--all", help="All that can be sent again.")] = False,
) -> None:
    """Send rejected spills through again, after a fix: each is counted once, or rejected again."""
    from ops.rejected import check_can_be_replayed, read_rejected
    from ops.rejected import replay as replay_all
    from streams.kafka import topic_partitions
    from streams.settings import load_settings
    from streams.topics import Topics

    settings = load_settings()
    if names and (everything or run is not None or step is not None):
        raise UsageError("name spills, or choose them with --run, --step or --all: not both")
    if not names and not everything and run is None and step is None:
        raise UsageError("nothing is chosen: name spills as `rejected list` has them, or give --run, --step or --all")
    raw = Topics.of(settings).raw
    partitions = topic_partitions(settings, raw)
    wanted = {_place(name): name for name in names or ()}
    # Chosen and checked before the first is sent: a worker may reject one again while others are still to be read.
    chosen = set()
    for one in read_rejected(settings, wanted or None):
        if not wanted and not (one.spill.topic == raw and _is_of(one, run, step)):
            continue
        try:
            check_can_be_replayed(settings, one, partitions)
        except UsageError as error:
            if wanted:
                raise
            complain(error)
        else:
            chosen.add(one.place)
    for place, name in wanted.items():
        if place not in chosen:
            raise _absent(name)
    replay_all(settings, chosen)
    out.print(f"{len(chosen)} spills sent again")


def _is_of(one: "Rejected", run: int | None, step: str | None) -> bool:
    return run in (None, one.spill.run) and step in (None, one.spill.step)


def _all() -> "Iterator[Rejected]":
    from ops.rejected import read_rejected
    from streams.settings import load_settings

    return read_rejected(load_settings())


def _place(name: str) -> "Place":
    found = re.fullmatch(r"([0-9]{1,9})/([0-9]{1,18})", name)
    if found is None:
        raise _absent(name)
    return int(found[1]), int(found[2])


def _absent(name: str) -> UsageError:
    return UsageError(f"there is no rejected spill {name}: see spilldeck rejected list")


def _cell(text: str, longest: int | None = None) -> Text:
    """Return a text for a table, cut after so many characters."""
    return Text(text if longest is None or len(text) <= longest else text[:longest] + "...")


def _summary(one: "Rejected") -> dict[str, Any]:
    spill, raw = one.spill, one.raw()
    return {
        "id": one.name,
        "time_ms": one.time_ms,
        "run": spill.run,
        "spill": spill.spill,
        "step": spill.step,
        "reason": spill.reason,
        "source": spill.source,
        "byte": spill.byte,
        "topic": spill.topic,
        "partition": spill.partition,
        "offset": spill.offset,
        "bytes": len(raw.payload if raw is not None else spill.payload),
    }
