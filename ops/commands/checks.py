"""spilldeck checks: what is watched, and what is wrong with runs."""

import json
from collections import Counter
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from ops.console import out, servers
from streams.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from streams.books.judgement import Judgement
    from streams.books.limits import TypeLimits
    from streams.books.run import RunBook
    from streams.books.shapes import PlotVerdict
    from streams.settings import Settings

app = typer.Typer(help="What is wrong with runs, since which spill, in which channel.", no_args_is_help=True)
NOTHING_WATCHED = "{} has nothing that is watched."
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]


@app.command(name="list")
def list_all(as_json: AsJson = False) -> None:
    """List what is watched, and from when on it is told."""
    from streams.books.judgement import Judging
    from streams.checks.peaks import Peak
    from streams.experiment import experiment
    from streams.settings import load_settings

    watched = [(name, each) for name, its in experiment().watched.items() for each in its]
    if not watched and not as_json:
        out.print(NOTHING_WATCHED.format(experiment().title), markup=False)
        return
    limits, borne = Judging().limits, load_settings().checks.spills_a_false_alarm
    if as_json:
        listed = [
            {"detector": name, "name": its.name, "channels": 0 if isinstance(its, Peak) else its.size}
            for name, its in watched
        ]
        plain = {"watched": listed, "limits": limits, "spills_a_false_alarm": borne}
        typer.echo(json.dumps(plain))
        return
    table = Table("detector", "what", "channels")
    for name, its in watched:
        channels = "its place" if isinstance(its, Peak) else f"{its.size:,}"
        table.add_row(*map(Text, (experiment().detectors[name].title, its.name, channels)))
    out.print(table)
    for what, limit in (
        ("A channel's share of its group's hits", limits["channel"]),
        ("A group's hits a particle trigger", limits["group"]),
        ("A peak's place, and its entries a particle trigger", limits["peak"]),
    ):
        out.print(f"{what}: a change is told when it is exp({limit:.1f}) times as likely as none.")
    out.print(f"Borne is one false alarm in {borne:,.0f} spills, in all of them together.")


@app.command()
def show(
    run: Annotated[int, typer.Argument(metavar="RUN", min=0)],
    session: Annotated[
        str | None, typer.Option(help="Whose book of it, as replay-new-t0; the run's own by default.")
    ] = None,
    reference: Annotated[
        int | None, typer.Option(min=0, help="Run to compare plots with; the newest good one of its type by default.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Show what is and what was wrong with a run; exit with 1 if something is."""
    from streams.books.judgement import judged
    from streams.books.plain_limits import too_many
    from streams.books.shapes import State, against_run, bad, plot_verdicts

    _, book, other, compared, its = _read(run, reference, session)
    found = judged(book, compared)
    if found.problem:
        raise UsageError(f"run {run} cannot be judged: {found.problem}")
    against = against_run(other, compared) if other is not None and compared is not None else None
    shapes, over = plot_verdicts(book, against, its), too_many(book.totals, its.percent)
    if as_json:
        plots = {name: its.to_json() for name, its in shapes.items()}
        more = {"run": run, "reference": other, "plots": plots, "too_many": [asdict(each) for each in over]}
        typer.echo(json.dumps(found.to_json() | more))
    else:
        for each in over:
            out.print(Text(each.words, style="yellow" if its.only_warns else "red"))
        tell(run, found)
        _print_shapes(shapes, other)
    is_bad = bool(over) and not its.only_warns
    raise typer.Exit(is_bad or bool(found.bad) or any(each.state is State.BAD for each in bad(shapes)))


@app.command()
def explain(
    run: Annotated[int, typer.Argument(metavar="RUN", min=0)],
    plots: Annotated[list[str] | None, typer.Argument(metavar="[PLOT]...", help="All that are bad by default.")] = None,
    reference: Annotated[
        int | None, typer.Option(min=0, help="Run to compare plots with; the newest good one of its type by default.")
    ] = None,
    spills: Annotated[int, typer.Option(min=1, max=1000, help="About so many, the last ones, are made again.")] = 100,
    as_json: AsJson = False,
) -> None:
    """Say of bad plots and of peaks that have moved whether it is the detector or the calibration.

    The last spills are made again, with the run's conditions and with those of the run that it is compared with.
    """
    from streams.books.judgement import judged
    from streams.books.judgement import words as fault_words
    from streams.experiment import experiment
    from streams.explain.run import Compared, explain_run
    from streams.explain.verdicts import moved, of_peak

    settings, book, other, compared, limits = _read(run, reference)
    if unknown := [plot for plot in plots or () if plot not in experiment().plots]:
        raise UsageError(f"there is no plot {unknown[0]}: docs/plots.md lists them")
    if other is None or compared is None:
        raise UsageError(f"no earlier run of the type of run {run} is good: name one, --reference RUN")
    its = Compared(run=run, book=book, reference=other, reference_book=compared, limits=limits)
    found = explain_run(settings, its, plots or (), spills)
    peaks = {} if plots else {fault_words(each.verdict): of_peak(book.totals) for each in moved(judged(book, compared))}
    if as_json:
        of_plots, of_peaks = ({name: asdict(each) for name, each in all_of.items()} for all_of in (found, peaks))
        typer.echo(json.dumps({"run": run, "reference": other, "plots": of_plots, "peaks": of_peaks}))
        return
    titled = [(experiment().plots[name].title, each) for name, each in found.items()]
    for title, each in (*titled, *peaks.items()):
        out.print(f"{title}: {each.words}", markup=False)
    if not titled and not peaks:
        out.print(f"No plot is off against run {other}, and no peak has moved.")


def _read(
    run: int, reference: int | None, session: str | None = None
) -> "tuple[Settings, RunBook, int | None, RunBook | None, TypeLimits]":
    """Return the settings, a run, the one that it is compared with, and the limits of its type."""
    from dashboards.data.books import automatic_of
    from streams.books.limits import LimitsFile
    from streams.books.reader import BookReader
    from streams.conditions.store import ConditionsStore
    from streams.process import plot_ranges

    with servers() as (settings, redis):
        conditions = ConditionsStore.from_settings(settings)
        shown = BookReader.shown(redis, settings)
        reader = shown if session is None else BookReader.of(redis, settings, session)
        book = reader.run(run, plot_ranges(run, conditions.for_run))
        if not book.totals.received:
            raise UsageError(f"there is no run {run} in the books: see spilldeck runs list")
        other = automatic_of(shown, run).run if reference is None else reference
        compared = shown.run(other, plot_ranges(other, conditions.for_run)) if other is not None else None
        if compared is not None and not compared.totals.received:
            raise UsageError(f"there is no run {other} in the books: see spilldeck runs list")
    limits = LimitsFile(settings.checks.limits)
    limits.look()
    if limits.problem:
        raise UsageError(limits.problem)
    return settings, book, other, compared, limits.of(book.totals.run_type)


def tell(run: int, found: "Judgement") -> None:
    """Print what is and was wrong with a run, and beneath each fault what follows from it."""
    from streams.books.judgement import cause_words, measured, words
    from streams.experiment import experiment
    from streams.words import several

    if not experiment().watched:
        out.print(NOTHING_WATCHED.format(experiment().title), markup=False)
        return
    without = found.spills - found.counted
    kept = f", of {without:,} of which no hits by channel are kept" if without else ""
    out.print(f"Run {run}: {several(found.spills, 'spill')} judged, up to {found.last}{kept}", soft_wrap=True)
    if found.is_settling:
        out.print("Too few for anything to be told.")
    for cause in found.causes:
        style = "red" if cause.verdict.ended is None else "yellow"
        told = f"told at spill {cause.verdict.finding.told}"
        out.print(Text(f"{cause_words(cause)}: {measured(cause.verdict)}; {told}", style=style))
        for each in cause.follows:
            out.print(Padding(Text(f"{words(each)}: {measured(each)}"), (0, 0, 0, 4)))
    if not found.verdicts and not found.is_settling and found.counted:
        out.print("Nothing has changed.")


def _print_shapes(shapes: "Mapping[str, PlotVerdict]", other: int | None) -> None:
    from streams.books.shapes import State, bad, words
    from streams.experiment import experiment

    if other is None:
        out.print("No earlier run of its type is good: no plot is compared.")
        return
    for verdict in bad(shapes):
        style = "red" if verdict.state is State.BAD else "yellow"
        out.print(Text(f"{experiment().plots[verdict.plot].title}: {words(verdict)}", style=style))
    states = Counter(verdict.state for verdict in shapes.values())
    as_before = f"{states[State.GOOD]} plots as in run {other}"
    rest = ", ".join(f"{count} {state}" for state, count in states.items() if state not in {State.GOOD, State.BAD})
    out.print(f"{as_before}{f'; {rest}' if rest else ''}.", soft_wrap=True)
