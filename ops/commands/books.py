"""spilldeck books: how far the books are, and whether they are whole."""

import json
from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table
from rich.text import Text

from ops.console import out, servers
from streams.words import calendar_time

if TYPE_CHECKING:
    from ops.book_checks import PartitionStatus


def books(
    deep: Annotated[bool, typer.Option("--deep", help="Read all runs, and say what in them is wrong.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Say how far the books are, and what was lost; status 1 if not all is counted, or something is wrong."""
    from ops.book_checks import findings, how_far
    from streams.books.connect import risks_of

    with servers() as (settings, redis):
        risks = risks_of(redis).all
        found = how_far(settings, redis)
        wrong = list(findings(settings, redis, len(found))) if deep else []
    if as_json:
        _print_json(settings.session, found, wrong if deep else None, risks)
    else:
        _print(settings.session, found)
        for risk in risks:
            out.print(Text(f"what Redis holds is not safe: {risk}", style="yellow"), soft_wrap=True)
        for what in wrong:
            out.print(Text(what, style="red"), soft_wrap=True)
        if deep and not wrong:
            out.print("Each run was read, and nothing in it is wrong.")
    if wrong or not all(one.is_well for one in found):
        raise typer.Exit(1)


def _print_json(
    session: str, found: "Sequence[PartitionStatus]", wrong: list[str] | None, risks: Sequence[str]
) -> None:
    partitions = [
        asdict(one) | {"lost": [loss._asdict() for loss in one.lost], "is_well": one.is_well} for one in found
    ]
    plain: dict[str, object] = {"session": session, "partitions": partitions, "risks": list(risks)}
    typer.echo(json.dumps(plain if wrong is None else plain | {"wrong": wrong}))


def _print(session: str, found: "Sequence[PartitionStatus]") -> None:
    table = Table(title=Text(f"session {session}"))
    for column in ("partition", "in the books up to", "Kafka's end", "behind", "made again", "lost"):
        table.add_column(column, overflow="fold")
    for one in found:
        upto = "-" if one.next is None else f"{one.next:,}"
        again = ", ".join(f"run {run}" for run in one.made_again)
        cells = (str(one.partition), upto, f"{one.end:,}", f"{one.behind:,}" if one.behind else "", again)
        table.add_row(
            *map(Text, cells), Text(f"{len(one.lost)}×" if one.lost else ""), style="" if one.is_well else "yellow"
        )
    out.print(table)
    lost = [(one.partition, loss) for one in found for loss in one.lost]
    if lost:
        table = Table(title="What Kafka no longer had when it was needed")
        for column in ("found (UTC)", "partition", "what"):
            table.add_column(column, overflow="fold")
        for partition, loss in lost:
            at = calendar_time(loss.at_s * 1000, "%Y-%m-%d %H:%M:%S")
            table.add_row(*map(Text, (at, str(partition), loss.what)))
        out.print(table)
