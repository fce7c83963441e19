"""spilldeck upgrade: the runs that an earlier version counted, and that Kafka no longer has."""

import json
from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table
from rich.text import Text

from ops.console import out, servers

if TYPE_CHECKING:
    from redis import Redis

    from ops.upgrade.found import Found
    from streams.settings import Settings


def upgrade(
    do: Annotated[bool, typer.Option("--do", help="Do it; without, say what it would do.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Carry over the runs that an earlier version counted and Kafka no longer has; status 1 if some cannot be."""
    import asyncio

    from ops.upgrade.found import Verdict
    from streams.kafka import topic_spans
    from streams.topics import Topics

    with servers() as (settings, redis):
        topic_spans(settings, Topics.of(settings).raw)  # says so in a sentence if there is none
        found = asyncio.run(_go(settings, redis, do=do))
    if as_json:
        typer.echo(json.dumps([asdict(one) for one in found]))
    elif not found:
        out.print("There is nothing of an earlier version.")
    else:
        out.print(_table(found))
        if not do and any(one.verdict is Verdict.CARRIED for one in found):
            out.print("Nothing is written yet: spilldeck upgrade --do does it.")
    if any(one.verdict is Verdict.LEFT for one in found):
        raise typer.Exit(1)


async def _go(settings: "Settings", redis: "Redis", *, do: bool) -> "list[Found]":
    from ops.upgrade.carry import carry_over, note_replays
    from ops.upgrade.source import source_of
    from streams.books.connect import COMMAND_S, connect_async
    from streams.books.decided import Copy, refresh
    from streams.books.made import Made

    copy = Copy(redis, settings.redis.key_prefix)
    former = copy.former()
    if do:
        refresh(settings, redis)  # what had been decided is taken over into Kafka
    now = copy.read() or former
    client = connect_async(settings, COMMAND_S)
    try:
        parts = carry_over(client, settings, lambda name: source_of(settings, name, now, former), do=do)
        found = [one async for one in parts]
    finally:
        await client.aclose()
    if do:
        note_replays(Made(redis, settings.redis.key_prefix), former.plans, found)
    return found


def _table(found: "Sequence[Found]") -> Table:
    """Return a row for the parts of a run that have the same fate."""
    from schemas.records import NO_RUN

    rows: dict[tuple[str, int, str, str], list[Found]] = {}
    for one in found:
        rows.setdefault((one.session, -1 if one.run is None else one.run, one.verdict, one.why), []).append(one)
    table = Table()
    for column in ("session", "run", "spills", "in partitions", "what becomes of it", "why"):
        table.add_column(column, overflow="fold")
    for (session, _, verdict, why), parts in sorted(rows.items()):
        run = {None: "all", NO_RUN: "none"}.get(parts[0].run, str(parts[0].run))
        partitions = ", ".join(str(one.partition) for one in parts)
        cells = (session, run, f"{sum(one.spills for one in parts):,}", partitions, verdict, why)
        table.add_row(*map(Text, cells))
    return table
