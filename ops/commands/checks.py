"""spilldeck checks: what is watched, and what is wrong with runs."""

import json
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table
from rich.text import Text

from ops.console import out, servers
from streams.errors import UsageError

if TYPE_CHECKING:
    from streams.books.judgement import Judgement

app = typer.Typer(help="What is wrong with runs, since which spill, in which channel.", no_args_is_help=True)
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]


@app.command(name="list")
def list_all(as_json: AsJson = False) -> None:
    """List what is watched, and from when on it is told."""
    from streams.checks.counts import CHANNEL, YIELD
    from streams.checks.judge import SPILLS_A_FALSE_ALARM, Judge
    from streams.experiment import experiment

    watched = [(name, group) for name, groups in experiment().channels.items() for group in groups]
    of_channels, of_groups = Judge([group for _, group in watched]).limits
    if as_json:
        groups = [{"detector": name, "group": group.name, "channels": len(group.names)} for name, group in watched]
        limits = {"channel": of_channels, "group": of_groups}
        typer.echo(json.dumps({"groups": groups, "limits": limits, "spills_a_false_alarm": SPILLS_A_FALSE_ALARM}))
        return
    table = Table("detector", "group", "channels")
    for name, group in watched:
        table.add_row(*map(Text, (experiment().detectors[name].title, group.name, f"{len(group.names):,}")))
    out.print(table)
    for what, changes, limit in (
        ("of a channel, its share of its group's hits", CHANNEL, of_channels),
        ("of a group, its hits a particle trigger", YIELD, of_groups),
    ):
        factors = ", ".join(f"× {change.factor:g}" for change in changes)
        out.print(
            f"Watched is {what}; looked for is {factors}; told where the logarithm of the likelihood is {limit:.1f}."
        )
    out.print(f"Borne is one false alarm in {SPILLS_A_FALSE_ALARM:,} spills, in all channels and groups together.")


@app.command()
def show(
    run: Annotated[int, typer.Argument(metavar="RUN", min=0)],
    session: Annotated[
        str | None, typer.Option(help="Whose book of it, as replay-new-t0; the run's own by default.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Show what is and what was wrong with a run; exit with 1 if something is."""
    from streams.books.judgement import judged
    from streams.books.reader import BookReader
    from streams.conditions.store import ConditionsStore
    from streams.process import plot_ranges

    with servers() as (settings, redis):
        reader = BookReader.shown(redis, settings) if session is None else BookReader.of(redis, settings, session)
        book = reader.run(run, plot_ranges(run, ConditionsStore.from_settings(settings).for_run))
    if not book.totals.received:
        raise UsageError(f"there is no run {run} in the books: see spilldeck runs list")
    found = judged(book)
    if found.problem:
        raise UsageError(f"run {run} cannot be judged: {found.problem}")
    if as_json:
        typer.echo(json.dumps(found.to_json() | {"run": run}))
    else:
        _print(run, found)
    raise typer.Exit(bool(found.bad))


def _print(run: int, found: "Judgement") -> None:
    from streams.books.judgement import words
    from streams.words import several

    without = found.spills - found.counted
    kept = f", of {without:,} of which no hits by channel are kept" if without else ""
    out.print(f"Run {run}: {several(found.spills, 'spill')} judged, up to {found.last}{kept}", soft_wrap=True)
    if found.is_settling:
        out.print("Too few for anything to be told.")
    for verdict in found.verdicts:
        style = "red" if verdict.ended is None else "yellow"
        finding = verdict.finding
        counts = f"{finding.counted:,} hits, where {finding.expected:,.0f} were expected; told at spill {finding.told}"
        out.print(Text(f"{words(verdict)}: {counts}", style=style))
    if not found.verdicts and not found.is_settling and found.counted:
        out.print("Nothing has changed.")
