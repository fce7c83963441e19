"""spilldeck good-spills: which spills of runs are good by a rule."""

from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table
from rich.text import Text

from ops.console import out, servers
from streams.errors import UsageError
from streams.words import several

RUNS_SAID = "6000-6010,6012"


def good_spills(
    rule: Annotated[str, typer.Argument(metavar="RULE", help="Its name, or NAME@VERSION; else the newest version.")],
    runs: Annotated[str, typer.Option(metavar="A-B,C", help=f"Numbers and ranges, as {RUNS_SAID}.")],
    at: Annotated[
        int | None,
        typer.Option(metavar="N", min=0, help="As people had flagged before action N (`quality.upto` of a list)."),
    ] = None,
    archives: Annotated[
        Path | None, typer.Option(metavar="DIR", help="For runs that are not in the books; else keeper.archive.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the list: the same bytes for the same list.")] = False,
) -> None:
    """List the spills of runs that are good by a rule of the file `checks.good_spills`."""
    from ops.given import run_numbers
    from ops.good_spills import SpillSource
    from streams import __version__
    from streams.books.decided import as_of
    from streams.books.good_spills import canonical, choose, read_rules, spill_list

    with servers() as (settings, redis):
        if settings.checks.good_spills is None:
            raise UsageError("no file of rules is named: set checks.good_spills")
        named = choose(read_rules(settings.checks.good_spills), rule)
        decisions = as_of(settings, at)
        source = SpillSource(settings, redis, decisions, archives or settings.keeper.archive)
        found = spill_list(
            named,
            source.of(run_numbers(runs.split(","), source.there)),
            code=__version__,
            upto=decisions.next,
            last_action=decisions.tail[-1] if decisions.tail else "",
        )
    if as_json:
        typer.echo(canonical(found))
        return
    table = Table()
    for column in ("run", "good", "of", "good spills"):
        table.add_column(column, overflow="fold")
    for each in found["runs"]:
        counts, spans = each["counts"], ", ".join(f"{a}-{b}" if a < b else str(a) for a, b in each["good"])
        table.add_row(*map(Text, (str(each["run"]), str(counts["good"]), str(counts["counted"]), spans or "none")))
    out.print(table)
    of_it = f"rule {named.name} version {named.rule.version}, as of action {decisions.next}"
    out.print(f"{several(sum(each['counts']['good'] for each in found['runs']), 'good spill')}: {of_it}", markup=False)
