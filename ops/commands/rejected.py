"""spilldeck rejected: list, show, replay."""

import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Table
from rich.text import Text

from ops.console import out
from streams.errors import UsageError

if TYPE_CHECKING:
    from ops.rejected import Rejected

app = typer.Typer(help="Spills that are in no histogram: why, their bytes, and through again.", no_args_is_help=True)
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Run = Annotated[int | None, typer.Option(help="Of this run alone.", min=0)]
Step = Annotated[
    str | None, typer.Option(help="Refused by this step alone: framing, unpack, json, conflict, envelope.")
]


@app.command(name="list")
def list_all(run: Run = None, step: Step = None, as_json: AsJson = False) -> None:
    """List the rejected spills."""
    found = _find(lambda one: _is_of(one, run, step))
    if as_json:
        typer.echo(json.dumps([_summary(one) for one in found]))
        return
    table = Table()
    for column in ("id", "time (UTC)", "run", "spill", "step", "reason"):
        table.add_column(column, overflow="fold")
    for one in found:
        spill = one.spill
        when = datetime.fromtimestamp(one.time_ms / 1000, UTC).strftime("%d %b %H:%M:%S")
        numbers = (str(number) if number >= 0 else "-" for number in (spill.run, spill.spill))
        table.add_row(*map(Text, (one.name, when, *numbers, spill.step, spill.reason)))
    out.print(table if found else "Nothing is rejected.")


@app.command()
def show(
    name: Annotated[str, typer.Argument(metavar="ID", help="As `list` has it.")],
    file: Annotated[Path | None, typer.Option("--out", metavar="FILE", help="Write the DAQ's bytes.")] = None,
    as_json: AsJson = False,
) -> None:
    """Show one rejected spill; write its bytes."""
    (one,) = _named([name])
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
        table.add_row(key, Text(str(value)))
    out.print(table)


@app.command()
def replay(
    names: Annotated[list[str] | None, typer.Argument(metavar="[ID]...", help="As `list` has them.")] = None,
    run: Run = None,
    step: Step = None,
    everything: Annotated[bool, typer.Option("--all", help="All that can be sent again.")] = False,
) -> None:
    """Send rejected spills through again, after a fix: each is counted once, or rejected again."""
    from ops.rejected import replay as replay_all
    from streams.settings import load_settings
    from streams.topics import Topics

    settings = load_settings()
    if names and (everything or run is not None or step is not None):
        raise UsageError("name spills, or choose them with --run, --step or --all: not both")
    if not names and not everything and run is None and step is None:
        raise UsageError("nothing is chosen: name spills as `rejected list` has them, or give --run, --step or --all")
    raw = Topics.of(settings).raw
    chosen = _named(names) if names else _find(lambda one: one.spill.topic == raw and _is_of(one, run, step))
    replay_all(settings, chosen)
    out.print(f"{len(chosen)} spills sent again")


def _is_of(one: "Rejected", run: int | None, step: str | None) -> bool:
    return run in (None, one.spill.run) and step in (None, one.spill.step)


def _find(wanted: "Callable[[Rejected], bool]") -> "list[Rejected]":
    from ops.rejected import read_rejected
    from streams.settings import load_settings

    return sorted((one for one in read_rejected(load_settings()) if wanted(one)), key=lambda one: one.time_ms)


def _named(names: list[str]) -> "list[Rejected]":
    found = {one.name: one for one in _find(lambda one: one.name in names)}
    for name in names:
        if name not in found:
            raise UsageError(f"there is no rejected spill {name}: see spilldeck rejected list")
    return [found[name] for name in dict.fromkeys(names)]


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
