"""spilldeck alarms: list, acknowledge, shelve, try, watch."""

import json
import re
import secrets
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Table
from rich.text import Text

from ops.console import out, servers
from ops.given import beginning_with
from streams.errors import UsageError
from streams.words import calendar_time, several

if TYPE_CHECKING:
    from streams.books.alarms import Alarm

app = typer.Typer(help="What the checks tell, and what people do about it.", no_args_is_help=True)
LISTED = "spilldeck alarms list --all"
SHORT = 8
"""Letters of an id that are shown."""
_SECONDS = {"m": 60, "h": 3600, "d": 86_400}
AlarmId = Annotated[str, typer.Argument(metavar="ID", help="As `alarms list` has it, or how that begins.")]


@app.command(name="list")
def list_all(
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    all_of_them: Annotated[bool, typer.Option("--all", help="Also those that are over.")] = False,
) -> None:
    """List the alarms that are not over, what matters most first."""
    import time

    from schemas.records import NO_RUN
    from streams.books.alarms import by_priority, figures
    from streams.books.decided import newest
    from streams.books.watchers import watched as is_watched

    with servers() as (settings, redis):
        alarms = newest(settings, redis)().alarms
        watched = is_watched(redis, settings.redis.key_prefix, settings.session).text
    now_us = time.time_ns() // 1000
    found = sorted((each for each in alarms if all_of_them or not each.is_over), key=by_priority)
    found.sort(key=lambda each: (not each.is_active, each.acknowledged is not None))
    counted = figures(alarms, now_us)
    if as_json:
        its = [_plain(each, now_us) for each in found]
        typer.echo(json.dumps({"alarms": its, "figures": counted._asdict(), "watching": watched}))
        return
    table = Table()
    for column in ("alarm", "is", "run", "raised (UTC)", "what", "became"):
        table.add_column(column, overflow="fold")
    for each in found:
        when = calendar_time(each.at_us / 1000, "%d %b %Y %H:%M:%S")
        run = str(each.new.run) if each.new.run != NO_RUN else "-"
        cells = (each.id[:SHORT], _is(each, now_us), run, when, each.new.words, _became(each))
        table.add_row(*map(Text, cells))
    out.print(table if found else "No alarm is known.")
    out.print(watched, markup=False)
    out.print(
        f"{several(counted.standing, 'alarm')} active; raised in the last 10 minutes {counted.lately}, "
        f"in the worst 10 minutes of 8 hours {counted.worst}",
        markup=False,
    )


@app.command()
def acknowledge(
    alarms: Annotated[list[str], typer.Argument(metavar="ID...", help="As `alarms list` has it, or how that begins.")],
) -> None:
    """Say that somebody knows of alarms; they are not told again."""
    from ops.origin import command_origin
    from streams.books.alarm_actions import acknowledge_action
    from streams.books.decided import decide, newest

    with servers() as (settings, redis):
        there = newest(settings, redis)().alarms
        for found in [beginning_with(there, begin, "alarm", LISTED) for begin in alarms]:
            act_id = secrets.token_hex(SHORT)
            decide(settings, redis, acknowledge_action(there, found.id, act_id=act_id, origin=command_origin()))
            out.print(f"acknowledged: {found.new.words}", markup=False)


@app.command()
def shelve(
    alarm: AlarmId,
    how_long: Annotated[str, typer.Option("--for", metavar="TIME", help="As 30m, 2h or 3d; 7d at most.")],
    reason: Annotated[str, typer.Option(metavar="TEXT", help="Why, for whoever asks later.")],
) -> None:
    """Have nothing told of an alarm for a while, in no run."""
    from ops.origin import command_origin
    from streams.books.alarm_actions import shelve_action
    from streams.books.decided import decide, newest

    parts = re.fullmatch(r"([0-9]{1,5})([mhd])", how_long)
    if parts is None:
        raise UsageError(f"{how_long} is no time: give minutes, hours or days, as 30m, 2h or 3d")
    for_s = int(parts[1]) * _SECONDS[parts[2]]
    with servers() as (settings, redis):
        there = newest(settings, redis)().alarms
        found = beginning_with(there, alarm, "alarm", LISTED)
        act_id = secrets.token_hex(SHORT)
        action = shelve_action(there, found.id, act_id=act_id, for_s=for_s, reason=reason, origin=command_origin())
        decide(settings, redis, action)
    out.print(f"shelved for {how_long}: {found.new.words}", markup=False)


@app.command(name="try")
def try_out() -> None:
    """Tell webhook, mail and logbook that this is a test; status 1 if one does not take it."""
    from ops.telling import try_ways
    from streams.settings import load_settings

    found = try_ways(load_settings())
    if not found:
        raise UsageError(
            "nobody is told: set alarms.webhook, alarms.mail.host or logbook.webhook, see docs/operations.md"
        )
    for way, why in found.items():
        out.print(Text(f"{way}: {why or 'taken'}"))
    if any(found.values()):
        raise typer.Exit(1)


@app.command()
def watch() -> None:
    """Raise the alarms of the current run, clear them, and tell a webhook, until stopped."""
    import signal
    import threading

    from ops.alarm_watch import watch as watch_alarms
    from ops.topics import ensure_topics
    from streams.books.connect import check_redis, connect
    from streams.settings import load_settings
    from streams.starting import begin_log

    settings = load_settings()
    ensure_topics(settings)
    check_redis(settings)
    begin_log("watcher of alarms", settings)
    stopped = threading.Event()
    for name in (signal.SIGTERM, signal.SIGINT):
        signal.signal(name, lambda *_: stopped.set())
    with connect(settings) as redis:
        watch_alarms(settings, redis, stopped)


def _is(alarm: "Alarm", now_us: int) -> str:
    if alarm.is_over:
        return "over"
    if not alarm.is_active:
        return "recovered, not acknowledged"
    shelved = ", known issue" if alarm.is_known(now_us) else ", shelved" if alarm.is_shelved(now_us) else ""
    return f"{alarm.new.priority}{', acknowledged' if alarm.acknowledged else ''}{shelved}"


def _became(alarm: "Alarm") -> str:
    parts = []
    if alarm.acknowledged is not None:
        parts.append(f"acknowledged by {alarm.acknowledged.who}")
    if alarm.shelved is not None:
        until = calendar_time(alarm.shelved.until_us / 1000, "%d %b %H:%M")
        parts.append(f"shelved until {until} UTC by {alarm.shelved.who}: {alarm.shelved.reason}")
    if alarm.known is not None:
        parts.append(alarm.known.words)
    if alarm.cleared is not None:
        parts.append(alarm.cleared.reason)
    return "; ".join(parts)


def _plain(alarm: "Alarm", now_us: int) -> dict[str, Any]:
    from streams.books.advice import advice

    became = {name: getattr(alarm, name) for name in ("cleared", "acknowledged", "shelved", "known")}
    plain = {name: its._asdict() if its is not None else None for name, its in became.items()}
    its = {"id": alarm.id, "at_us": alarm.at_us, "told_us": alarm.told_us, "active": alarm.is_active}
    over = {"over": alarm.is_over, "shelved_now": alarm.is_shelved(now_us)}
    return its | over | alarm.new._asdict() | advice(alarm.new)._asdict() | plain
