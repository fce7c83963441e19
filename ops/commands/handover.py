"""spilldeck handover: what the next shift needs to know."""

from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table as Columns
from rich.text import Text

from ops.console import out, servers

if TYPE_CHECKING:
    from streams.books.handover import Table


def handover(
    hours: Annotated[float, typer.Option(metavar="H", help="The last so many.")] = 8,
    as_markdown: Annotated[bool, typer.Option("--markdown", help="Print Markdown.")] = False,
) -> None:
    """Say what happened in a shift: runs, alarms, known issues, and what is other than before."""
    from dashboards.data.shift import shift
    from streams.books.handover import markdown, report

    with servers() as (settings, redis):
        found = report(shift(settings, redis, hours))
    if as_markdown:
        typer.echo(markdown(found), nl=False)
        return
    out.print(Text(found.title, style="bold"), soft_wrap=True)
    for section in found.sections:
        out.print(Text(f"\n{section.title}", style="bold"))
        for line in section.lines:
            out.print(line, markup=False, soft_wrap=True)
        if section.table is not None:
            out.print(_columns(section.table))
        for line in section.after:
            out.print(line, markup=False, soft_wrap=True)


def _columns(its: "Table") -> Columns:
    table = Columns()
    for head in its.heads:
        table.add_column(head, overflow="fold")
    for row in its.rows:
        table.add_row(*map(Text, row))
    return table
