"""spilldeck doctor: what is wrong with a site, from the settings to what the page shows."""

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer
from rich.text import Text

from ops.console import out

if TYPE_CHECKING:
    from ops.doctor import Finding

_STYLE = {"good": "green", "warning": "yellow", "bad": "red", "unknown": "yellow", "idle": "dim"}


def doctor(
    deep: Annotated[bool, typer.Option("--deep", help="Read all runs too, and say what in them is wrong.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON: an object a finding.")] = False,
) -> None:
    """Say what is wrong, the first cause on top, and what to do; within ten seconds. Status 1 if something is."""
    from ops.doctor import look

    found, left_out = look(deep=deep)
    if as_json:
        typer.echo(json.dumps([each.to_json() for each in found]))
    else:
        _print(found, left_out)
    if any(each.is_wrong for each in found):
        raise typer.Exit(1)


def _print(found: "Sequence[Finding]", left_out: Sequence[str]) -> None:
    from rich.table import Table

    from streams.freshness import MARK, Level

    wrong, well = ([each for each in found if each.is_wrong is is_wrong] for is_wrong in (True, False))
    lines = Table.grid(padding=(0, 1))
    lines.add_column(width=1)
    lines.add_column(no_wrap=True)
    lines.add_column(overflow="fold")

    def add(level: Level, *words: str, mark: str = "") -> None:
        style = _STYLE[level.value]
        lines.add_row(Text(mark or MARK[level], style=style), Text(words[0], style="bold"), Text(words[1]))

    for each in wrong:
        add(each.level, each.id, each.words)
        add(each.level, "", each.advice, mark="→")
    for each in well:
        add(each.level, each.id, each.words)
    if left_out:
        add(Level.IDLE, "not seen", f"{', '.join(left_out)}: that follows from what is above")
    out.print(lines)
