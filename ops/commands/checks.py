"""spilldeck checks: what is watched, and what is wrong with runs."""

import json
from collections import Counter
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from ops.console import out, servers
from streams.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from dashboards.data.judged_run import JudgedRun, JudgedWindow
    from streams.books.following import Beneath
    from streams.books.judgement import Judgement
    from streams.books.shapes import PlotVerdict

app = typer.Typer(help="What is wrong with runs, since which spill, in which channel.", no_args_is_help=True)
NOTHING_WATCHED = "{} has nothing that is watched."
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]


@app.command(name="list")
def list_all(as_json: AsJson = False) -> None:
    """List what is watched, and from when on it is told."""
    from streams.books.judgement import Judging
    from streams.books.shapes import evidence_limit
    from streams.checks.peaks import Peak
    from streams.experiment import experiment
    from streams.settings import load_settings

    watched = [(name, each) for name, its in experiment().watched.items() for each in its]
    if not watched and not as_json:
        out.print(NOTHING_WATCHED.format(experiment().title), markup=False)
        return
    limits, borne = Judging().limits | {"shape": evidence_limit()}, load_settings().checks.spills_a_false_alarm
    judged = [plot.name for plot in experiment().plots.values() if plot.is_judged]
    if as_json:
        listed = [
            {"detector": name, "name": its.name, "channels": 0 if isinstance(its, Peak) else its.size}
            for name, its in watched
        ]
        plain = {"watched": listed, "plots": judged, "limits": limits, "spills_a_false_alarm": borne}
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
        (f"The shape of one of {len(judged)} plots, against the reference", limits["shape"]),
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
    by_window: Annotated[bool, typer.Option("--windows", help="What is known of each window of it, too.")] = False,
    as_json: AsJson = False,
) -> None:
    """Show what is and what was wrong with a run; exit with 1 if something is."""
    from dashboards.data.judged_run import StoredRuns
    from streams.books.following import beneath
    from streams.books.limits import limits_of
    from streams.books.shapes import bad

    with servers() as (settings, redis):
        runs, borne = StoredRuns(settings, redis), settings.checks.spills_a_false_alarm
        stored = runs.read(run, session=session, reference=reference)
        limits = limits_of(settings).of(stored.book.totals.run_type)
        windows = runs.windows(stored, session, limits, borne) if by_window else []
    found = stored.judged(limits, borne)
    if as_json:
        of_windows = {"windows": [each.to_json() for each in windows]} if by_window else {}
        typer.echo(json.dumps(found.to_json() | of_windows))
    else:
        for each in found.too_many:
            out.print(Text(each.words, style="yellow" if limits.only_warns else "red"))
        off = beneath(found.judgement.causes, bad(found.shapes))
        tell(run, found.judgement, off)
        _print_shapes(found, off.rest)
        _print_windows(windows)
    raise typer.Exit(found.is_bad)


def _print_windows(windows: "Sequence[JudgedWindow]") -> None:
    """Print what is known of each window of a run."""
    from dashboards.data import window_words
    from streams.books.shapes import State, bad

    table = Table("window", "spills", "verdict")
    for each in windows:
        its = bad(each.shapes)
        style = "" if not its else "red" if its[0].state is State.BAD else "yellow"
        table.add_row(*map(Text, (window_words(each.window), f"{each.spills:,}")), Text(each.words, style=style))
    if windows:
        out.print(table)


@app.command(name="try")
def try_limits(
    runs: Annotated[list[int], typer.Argument(metavar="RUN...", min=0)],
    file: Annotated[
        Path | None, typer.Option("--limits", metavar="FILE", help="Limits to try; those in force by default.")
    ] = None,
    false_alarm: Annotated[
        float | None, typer.Option(min=100, help="Spills in which one false alarm is borne; as in force by default.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Say what other limits would have told of stored runs; nothing is changed."""
    from dashboards.data.judged_run import StoredRuns
    from dashboards.data.trying import try_on
    from streams.books.limits import LimitsFile, limits_of, read_limits

    with servers() as (settings, redis):
        if file is not None:
            read_limits(file)
        tried = limits_of(settings) if file is None else LimitsFile(file)
        tried.look()
        in_force, borne = limits_of(settings), settings.checks.spills_a_false_alarm
        stored, both = StoredRuns(settings, redis), (borne, false_alarm or borne)
        found = [try_on(stored, run, in_force.of, tried.of, both) for run in dict.fromkeys(runs)]
    if as_json:
        typer.echo(json.dumps([{"in_force": now.to_json(), "tried": then.to_json()} for now, then in found]))
        return
    for now, then in found:
        _print_difference(now, then)


def _print_difference(now: "JudgedRun", then: "JudgedRun") -> None:
    """Print what is told of a run by the limits that are in force, and what by others."""
    from dashboards.data.trying import difference

    found = difference(now, then)
    out.print(found.title, soft_wrap=True, markup=False)
    for each in found.warns:
        out.print(Text(each, style="yellow"), soft_wrap=True)
    table = Table("", "in force", "tried")
    for what, *told in found.counts:
        table.add_row(what, *map(str, told))
    out.print(table)
    for gone in found.gone:
        out.print(Text(f"no longer: {gone}", style="green"))
    for new in found.new:
        out.print(Text(f"new: {new}", style="red"))


@app.command()
def explain(
    run: Annotated[int, typer.Argument(metavar="RUN", min=0)],
    plots: Annotated[list[str] | None, typer.Argument(metavar="[PLOT]...", help="All that are off by default.")] = None,
    reference: Annotated[
        int | None, typer.Option(min=0, help="Run to compare plots with; the newest good one of its type by default.")
    ] = None,
    spills: Annotated[int, typer.Option(min=1, max=1000, help="About so many, the last ones, are made again.")] = 100,
    as_json: AsJson = False,
) -> None:
    """Say of plots that are off and of peaks that have moved whether it is the detector or the calibration.

    The last spills are made again, with the run's conditions and with those of the run that it is compared with.
    """
    from dashboards.data.judged_run import StoredRuns
    from streams.books.judgement import words
    from streams.books.limits import limits_of
    from streams.books.shapes import bad
    from streams.experiment import experiment
    from streams.explain.run import Compared, explain_run
    from streams.explain.verdicts import moved, of_peak

    if unknown := [plot for plot in plots or () if plot not in experiment().plots]:
        raise UsageError(f"there is no plot {unknown[0]}: docs/plots.md lists them")
    with servers() as (settings, redis):
        stored = StoredRuns(settings, redis).read(run, reference=reference)
    if stored.chosen.book is not None:
        its_book = f"{stored.chosen.compared}, which was pinned"
        raise UsageError(f"run {run} is compared with the book of {its_book}: name a run, --reference RUN")
    if stored.reference is None or stored.compared is None:
        raise UsageError(f"no earlier run of the type of run {run} is good: name one, --reference RUN")
    book, limits = stored.book, limits_of(settings).of(stored.book.totals.run_type)
    its = Compared(run=run, book=book, reference=stored.reference, reference_book=stored.compared, limits=limits)
    judged = stored.judged(limits, settings.checks.spills_a_false_alarm)
    found = explain_run(settings, its, plots or [each.plot for each in bad(judged.shapes)], spills)
    peaks = {} if plots else {words(each.verdict): of_peak(book.totals) for each in moved(judged.judgement)}
    if as_json:
        of_plots, of_peaks = ({name: asdict(each) for name, each in all_of.items()} for all_of in (found, peaks))
        typer.echo(json.dumps({"run": run, "reference": its.reference, "plots": of_plots, "peaks": of_peaks}))
        return
    titled = [(experiment().plots[name].title, each) for name, each in found.items()]
    for title, each in (*titled, *peaks.items()):
        out.print(f"{title}: {each.words}", markup=False)
    if not titled and not peaks:
        out.print(f"No plot is off against run {its.reference}, and no peak has moved.")


def tell(run: int, found: "Judgement", off: "Beneath") -> None:
    """Print what is and was wrong with a run, and beneath each fault what follows from it, plots that are off too."""
    from streams.books import shapes
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
    for cause, plots in off.of:
        style = "red" if cause.verdict.ended is None else "yellow"
        told = f"told at spill {cause.verdict.finding.told}"
        out.print(Text(f"{cause_words(cause)}: {measured(cause.verdict)}; {told}", style=style))
        for each in cause.follows:
            out.print(Padding(Text(f"{words(each)}: {measured(each)}"), (0, 0, 0, 4)))
        for plot in plots:
            title = experiment().plots[plot.plot].title
            out.print(Padding(Text(f"{title}: {shapes.words(plot)}"), (0, 0, 0, 4)))
    if not found.verdicts and not found.is_settling and found.counted:
        out.print("Nothing has changed.")


def _print_shapes(found: "JudgedRun", off: "Sequence[PlotVerdict]") -> None:
    """Print which plots are off that follow from no fault, and how all others are."""
    from streams.books.shapes import State, words
    from streams.experiment import experiment

    shapes = found.shapes
    if not found.compared:
        out.print("No earlier run of its type is good: no plot is compared.")
        return
    for verdict in off:
        style = "red" if verdict.state is State.BAD else "yellow"
        out.print(Text(f"{experiment().plots[verdict.plot].title}: {words(verdict)}", style=style))
    states = Counter(verdict.state for verdict in shapes.values())
    as_before = f"{states[State.GOOD]} plots as in {found.compared}"
    rest = ", ".join(f"{count} {state}" for state, count in states.items() if state not in {State.GOOD, State.BAD})
    out.print(f"{as_before}{f'; {rest}' if rest else ''}.", soft_wrap=True)
