"""spilldeck known-issues: add, list, extend, withdraw."""

import json
import secrets
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Table
from rich.text import Text

from ops.console import out, servers
from ops.given import beginning_with, span
from streams.errors import UsageError

if TYPE_CHECKING:
    from streams.books.issues import Issue

app = typer.Typer(help="What is known to be wrong with a plot or a channel.", no_args_is_help=True)
LISTED = "spilldeck known-issues list"
SHORT = 8
"""Letters of an id that are shown."""
IssueId = Annotated[str, typer.Argument(metavar="ID", help="As `known-issues list` has it, or how that begins.")]
Until = Annotated[str | None, typer.Option(metavar="DATE", help="As 2026-12-31 or 2026-12-31T08:00, UTC.")]


@app.command()
def add(
    of: Annotated[str, typer.Argument(metavar="OF", help="A plot, or GROUP/CHANNEL as alarms name them; or GROUP.")],
    text: Annotated[str, typer.Option(metavar="TEXT", help="What is known.")],
    owner: Annotated[str, typer.Option(metavar="NAME", help="Who sees to it.")],
    runs: Annotated[str | None, typer.Option(metavar="A-B", help="In these; A- is A and later.")] = None,
    until: Until = None,
) -> None:
    """Have what is wrong with something be known: what is told of it is counted, and waits for nobody."""
    from ops.origin import command_origin
    from streams.books.decided import decide
    from streams.books.flags import END
    from streams.books.issues import NewIssue
    from streams.books.noting import add_action

    first, last = span(runs, "runs", END)
    new = NewIssue(secrets.token_hex(SHORT), of, text, owner, first, last, _time_us(until))
    action = add_action(new, origin=command_origin())
    with servers() as (settings, redis):
        decide(settings, redis, action)
    out.print(f"known issue {new.id[:SHORT]} of {of}: {text}", markup=False, soft_wrap=True)


@app.command(name="list")
def list_all(
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    all_of_them: Annotated[bool, typer.Option("--all", help="Also those that were withdrawn.")] = False,
) -> None:
    """List the known issues, with how often each was seen; those past their end ask whether they are still so."""
    import time

    from streams.books.decided import newest
    from streams.books.reader import BookReader
    from streams.books.situation import current

    with servers() as (settings, redis):
        issues = newest(settings, redis)().issues
        reader = BookReader.shown(redis, settings)
        run = current(reader.places(), reader.came_ms)
    now_us = time.time_ns() // 1000
    found = [each for each in issues if all_of_them or each.withdrawn is None]
    if as_json:
        typer.echo(json.dumps([_plain(each, is_past=each.asks(run, now_us)) for each in found]))
        return
    table = Table()
    for column in ("issue", "of", "what", "owner", "ends", "seen"):
        table.add_column(column, overflow="fold")
    for each in found:
        ends = f"expired ({each.ends}): still so?" if each.asks(run, now_us) else each.ends
        if each.withdrawn is not None:
            ends = f"withdrawn by {each.withdrawn.who}"
        table.add_row(*map(Text, (each.id[:SHORT], each.of, each.text, each.owner, ends, each.seen)))
    out.print(table if found else "There are no known issues.")


@app.command()
def extend(
    issue: IssueId,
    runs: Annotated[int | None, typer.Option("--last-run", metavar="B", min=0, help="Up to this run.")] = None,
    until: Until = None,
) -> None:
    """Say that an issue is still so: up to another run, until another time, or both."""
    from ops.origin import command_origin
    from streams.books.decided import decide, newest
    from streams.books.flags import END
    from streams.books.noting import extend_action

    with servers() as (settings, redis):
        there = newest(settings, redis)().issues
        its = beginning_with(there, issue, "known issue", LISTED)
        last, act_id = END if runs is None else runs, secrets.token_hex(SHORT)
        action = extend_action(
            there, its.id, act_id=act_id, last=last, until_us=_time_us(until), origin=command_origin()
        )
        decide(settings, redis, action)
    out.print(f"the known issue {its.id[:SHORT]} is still so: {its.text}", markup=False, soft_wrap=True)


@app.command()
def withdraw(
    issue: IssueId,
    reason: Annotated[str, typer.Option(metavar="TEXT", help="Why, for whoever asks later.")] = "",
) -> None:
    """Say that an issue is no more so: what is told of it waits for somebody again."""
    from ops.origin import command_origin
    from streams.books.decided import decide, newest
    from streams.books.noting import withdraw_action

    with servers() as (settings, redis):
        there = newest(settings, redis)().issues
        its = beginning_with(there, issue, "known issue", LISTED)
        act_id = secrets.token_hex(SHORT)
        decide(settings, redis, withdraw_action(there, its.id, act_id=act_id, reason=reason, origin=command_origin()))
    out.print(f"the known issue {its.id[:SHORT]} is withdrawn: {its.text}", markup=False, soft_wrap=True)


def _time_us(said: str | None) -> int | None:
    from datetime import UTC, datetime

    if said is None:
        return None
    try:
        return round(datetime.fromisoformat(said).replace(tzinfo=UTC).timestamp() * 1_000_000)
    except (ValueError, OverflowError):
        raise UsageError(f"{said} is no date: give one as 2026-12-31 or 2026-12-31T08:00, UTC") from None


def _plain(issue: "Issue", *, is_past: bool) -> dict[str, Any]:
    remarks = {"extended": issue.extended, "withdrawn": issue.withdrawn, "hit": issue.hit}
    plain = {name: its._asdict() if its is not None else None for name, its in remarks.items()}
    return issue._asdict() | plain | {"expired": is_past, "seen": issue.seen, "ends": issue.ends}
