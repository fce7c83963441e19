"""What commands show as tables."""

from collections.abc import Iterator

from rich.table import Table

from schemas.records import RawSpill, RunControl
from streams.books import situation
from streams.experiment import experiment
from streams.process import RunResult
from streams.words import called


def run_table(result: RunResult) -> Table:
    """Return a run's counts."""
    totals = result.part.totals
    table = Table(title=f"Run {result.run}", show_header=False)
    table.add_column(style="bold")
    table.add_column(justify="right")
    for name, value in (
        ("DAQ events", totals.all_events),
        ("spills", totals.filled),
        ("duplicates", totals.duplicates),
        ("rejected", totals.all_rejected),
        ("particle triggers", totals.triggers),
    ):
        table.add_row(name, f"{value:,}")
    for detector, hits in sorted(totals.detectors.items()):
        for kind, count in hits.items():
            table.add_row(f"{detector} {kind.replace('_', ' ')}", f"{count:,}")
    if absent := situation.not_read_out(totals):
        table.add_row("not read out", ", ".join(sorted(absent)))
    for name, count in sorted(totals.lacking.items()):
        table.add_row(f"[yellow]spills not calibrated: {called(name)}[/]", f"{count:,}")
    for step, count in sorted(totals.errors.items()):
        table.add_row(f"[yellow]errors of {step}[/]", f"{count:,}")
    return table


def time_problem(record: RawSpill | RunControl) -> str:
    """Say of which record an impossible time was replaced, and by what."""
    what = f"{record.kind} of run" if isinstance(record, RunControl) else f"spill {record.spill}"
    return f"{record.source}, run {record.run}, {what}, byte {record.byte}: {record.time_problem}"


def problems(result: RunResult) -> Iterator[str]:
    """Yield what went wrong in a run, a sentence each."""
    for rejection in result.rejections:
        yield f"rejected by {rejection}"
    more = result.part.totals.all_rejected - len(result.rejections)
    if more:
        yield f"{more:,} more rejected"
    totals = result.part.totals
    for name, why in sorted(result.lacking.items()):
        yield f"{called(name)} not calibrated in {totals.lacking[name]:,} spills: {why}"
    if doubt := experiment().doubt_run(totals):
        yield doubt
    for name, (spill, why) in sorted(totals.first_errors.items()):
        yield f"{name} failed on {totals.errors[name]:,} spills, first on spill {spill}: {why}"
    for name, spills in situation.lapses(totals).items():
        yield f"{name} was not read out in {spills:,} of {totals.filled:,} spills"
