"""spilldeck replay, verify, replays: runs processed again, and the proof that this equals live."""

import json
import os
import re
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Table
from rich.text import Text

from ops.console import err, out, progress, servers
from streams.errors import UsageError

if TYPE_CHECKING:
    from redis import Redis

    from ops.replay.run import Progress
    from streams.books.compare import Difference
    from streams.books.replays import Plan
    from streams.books.sessions import Sessions
    from streams.settings import Settings

app = typer.Typer(help="The replays that there are.", no_args_is_help=True)
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Workers = Annotated[int | None, typer.Option(help="Processes; without, one for each core.", min=1, max=1000)]
Archive = Annotated[Path | None, typer.Option(metavar="FILE", help="Take the run from what `runs archive` wrote.")]
Name = Annotated[str, typer.Argument(metavar="NAME", help="As `replays list` has it.")]
Reason = Annotated[str, typer.Option(metavar="TEXT", help="Why, for those who look at it later.")]
LONGEST_NAME = 50


def replay(
    runs: Annotated[list[str] | None, typer.Argument(metavar="[RUN]...", help="Numbers, or ranges as 10-20.")] = None,
    run_type: Annotated[
        str | None,
        typer.Option("--type", metavar="TYPE", help="All runs of a type that have ended, as runs list has it."),
    ] = None,
    name: Annotated[str | None, typer.Option(help="Of the replay; without, the numbers of its runs.")] = None,
    workers: Workers = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with a replay that was ended or killed.")] = False,
    origin: Annotated[
        str | None,
        typer.Option("--from", metavar="raw|reco", help="Reconstruct again (without), or fill the plots alone again."),
    ] = None,
    archive: Archive = None,
    conditions: Annotated[
        Path | None,
        typer.Option(metavar="INDEX", help="Take the tables of this index before those of the settings."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Process runs again, beside live and behind it, with the conditions and the code of today."""
    from ops.origin import command_origin
    from ops.replay.checks import check_same_conditions, make_plan
    from streams.books.replays import PREFIX, Origin
    from streams.books.sessions import Sessions

    _refuse_what_excludes_each_other(runs or [], run_type, resume, origin, archive, conditions)
    with servers() as (settings, redis):
        sessions = Sessions.now(settings, redis, origin=command_origin())
        numbers = _numbers(runs or [], settings, sessions)
        if run_type is not None:
            numbers = _of_type(run_type, settings, redis)
        name = name or _name_of(numbers)
        if not name:
            raise UsageError("name the runs to replay, or with --resume the replay's --name")
        if not re.fullmatch(rf"[A-Za-z0-9._-]{{1,{LONGEST_NAME}}}", name):
            raise UsageError(f"{name!r} is no name: letters, digits, dot, dash and underscore, at most {LONGEST_NAME}")
        session = f"{PREFIX}{name}"
        with sessions.at_work(session):
            plan = sessions.get(session)
            if resume:
                if plan is None:
                    raise UsageError(f"there is no replay {name} to go on with: see spilldeck replays list")
                if numbers and set(numbers) != set(plan.runs):
                    raise UsageError(f"the replay {name} is of the runs {', '.join(map(str, plan.runs))}, not of these")
                check_same_conditions(settings, plan)
            elif plan is not None:
                raise UsageError(
                    f"there is a replay {name}: --resume it, give --name, or spilldeck replays drop {name}"
                )
            elif not numbers:
                raise UsageError("name the runs to replay")
            else:
                chosen = Origin.ARCHIVE if archive is not None else Origin(origin or Origin.RAW)
                plan = make_plan(settings, sessions.redis, session, numbers, chosen, archive, conditions)
                sessions.save(plan)
            done = _run(sessions, plan, workers)
            _report(settings, sessions, plan, done, as_json=as_json)


def _refuse_what_excludes_each_other(
    runs: list[str],
    run_type: str | None,
    resume: bool,
    origin: str | None,
    archive: Path | None,
    conditions: Path | None,
) -> None:
    from streams.books.replays import Origin

    if origin not in (None, Origin.RAW, Origin.RECO):
        raise UsageError(f"--from takes raw or reco, not {origin}")
    if archive is not None and origin == Origin.RECO:
        raise UsageError("an archive holds raw spills: --archive and --from reco exclude each other")
    if conditions is not None and origin == Origin.RECO:
        raise UsageError("what is in spills.reco has its conditions: --conditions and --from reco exclude each other")
    if run_type is not None and (runs or archive is not None):
        raise UsageError("--type stands for the runs that Kafka has of it: leave out the numbers and --archive")
    if resume and any(given is not None for given in (run_type, origin, archive, conditions)):
        raise UsageError("a replay goes on with what it began with: leave out --type, --from, --archive, --conditions")


def _of_type(run_type: str, settings: "Settings", redis: "Redis") -> list[int]:
    """Return the numbers of the runs of a type that have ended; say which have not."""
    import time

    from streams.books.reader import BookReader
    from streams.books.registry import states

    places = BookReader.of(redis, settings).places()
    its = states(places, time.time())
    ours = [run for run, place in places.items() if place.run_type.casefold() == run_type.casefold()]
    for run in ours:
        if not its[run].is_over:
            err.print(f"run {run} is left out: it is {its[run]}", markup=False, style="yellow", soft_wrap=True)
    over = [run for run in ours if its[run].is_over]
    if not over:
        types = ", ".join(sorted({place.run_type for place in places.values() if place.run_type}))
        there = f"there are runs of the type {types}" if types else "no run says its type"
        raise UsageError(f"no run of the type {run_type} has ended: {there}")
    return over


def verify(
    runs: Annotated[list[str], typer.Argument(metavar="RUN...", help="Numbers, or ranges as 10-20.")],
    workers: Workers = None,
    archive: Archive = None,
    keep: Annotated[bool, typer.Option("--keep", help="Keep the books that are compared with.")] = False,
    as_json: AsJson = False,
) -> None:
    """Process runs again and compare every bin and counter with live; status 1 and what differs if they do."""
    from ops.origin import command_origin
    from ops.replay.verify import compare_with_live, first_explanation, other_origin, plan_for, wait_for_live
    from streams.books.plan import VERIFYING
    from streams.books.sessions import Sessions

    with servers() as (settings, redis):
        sessions = Sessions(settings, redis, origin=command_origin())
        numbers = _numbers(runs, settings, sessions)
        session = f"{VERIFYING}{_name_of(numbers)}"
        with sessions.at_work(session):
            sessions.drop(session)
            plan = plan_for(settings, sessions.redis, session, numbers, archive)
            for run in plan.runs:
                for sentence in other_origin(settings, sessions.redis, run):
                    err.print(f"run {run}: {sentence}", markup=False, style="yellow", soft_wrap=True)
            sessions.save(plan)
            try:
                _run(sessions, plan, workers)
                wait_for_live(settings, sessions.redis, plan)
                results = {}
                for run in plan.runs:
                    found = compare_with_live(settings, sessions.redis, plan, run)
                    results[run] = found, first_explanation(settings, plan, run) if found else ""
                    if not as_json:
                        _show_result(run, *results[run])
            finally:
                if not keep:
                    sessions.drop(session)
    if as_json:
        typer.echo(json.dumps([_plain_result(run, *its) for run, its in results.items()]))
    raise typer.Exit(any(found for found, _ in results.values()))


def _plain_result(run: int, found: "list[Difference]", why: str) -> dict[str, Any]:
    differ = [{"what": one.what, "live": one.here, "made again": one.there} for one in found]
    return {"run": run, "identical": not found, "differences": differ, "explanation": why}


def _show_result(run: int, found: "list[Difference]", why: str) -> None:
    if not found:
        out.print(f"run {run}: [bold green]identical[/]")
        return
    table = Table(title=f"Run {run}")
    for column in ("what", "live", "made again"):
        table.add_column(column, overflow="fold")
    for one in found:
        table.add_row(*map(Text, (one.what, one.here, one.there)))
    out.print(table)
    out.print(f"run {run}: [bold red]differs[/] in {len(found)}; {why}", soft_wrap=True)


@app.command(name="list")
def list_all(as_json: AsJson = False) -> None:
    """List the replays, with how far they are."""
    from ops.origin import command_origin
    from streams.books.reader import BookReader
    from streams.books.sessions import Sessions

    with servers() as (settings, redis):
        sessions = Sessions.now(settings, redis, origin=command_origin())
        found = []
        for plan in sessions.all():
            reader = BookReader.of(sessions.redis, settings, plan.session)
            places = reader.places()
            read, messages = plan.read(reader.progress()), plan.messages
            found.append(
                {
                    "name": plan.name,
                    "session": plan.session,
                    "runs": list(plan.runs),
                    "from": plan.archive or plan.origin.value,
                    "conditions": plan.conditions,
                    "state": sessions.state(plan),
                    "percent": round(100 * read / messages) if messages else 100,
                    "spills": sum(its.filled for its in places.values()),
                    "began": datetime.fromtimestamp(plan.began_s, UTC).strftime("%Y-%m-%d %H:%M:%S"),
                }
            )
    if as_json:
        typer.echo(json.dumps(found))
        return
    table = Table()
    for column in ("name", "runs", "from", "conditions", "state", "%", "spills", "began (UTC)"):
        table.add_column(column, overflow="fold")
    for one in found:
        what = (one["name"], one["runs"], one["from"], one["conditions"] or "of the settings")
        cells = (*what, one["state"], one["percent"], one["spills"], one["began"])
        table.add_row(*(Text(str(cell).strip("[]")) for cell in cells))
    out.print(table if found else "There are no replays.")


@app.command()
def promote(name: Name, reason: Reason = "") -> None:
    """Have the books of a replay be those of its runs, in place of what live made, which stays."""
    from ops.origin import command_origin
    from streams.books.sessions import Sessions

    with servers() as (settings, redis):
        sessions = Sessions.now(settings, redis, origin=command_origin())
        plan = sessions.named(name)
        sessions.promote(plan, reason)
    out.print(f"run {', '.join(map(str, plan.runs))}: the book is that of the replay {name}", markup=False)


@app.command()
def restore(run: Annotated[int, typer.Argument(metavar="RUN", min=0)], reason: Reason = "") -> None:
    """Have what live made be the book of a run again; the replay that was promoted stays."""
    from ops.origin import command_origin
    from streams.books.sessions import Sessions

    with servers() as (settings, redis):
        Sessions.now(settings, redis, origin=command_origin()).restore(run, reason)
    out.print(f"run {run}: the book is that of live", markup=False)


@app.command()
def drop(name: Name, reason: Reason = "") -> None:
    """Remove a replay and its books."""
    from ops.origin import command_origin
    from streams.books.sessions import Sessions

    with servers() as (settings, redis):
        sessions = Sessions.now(settings, redis, origin=command_origin())
        plan = sessions.named(name)
        with sessions.at_work(plan.session):
            sessions.drop(plan.session, reason)
    out.print(f"the replay {name} is removed", markup=False)


def _name_of(runs: list[int]) -> str:
    return "-".join(map(str, runs[:3])) + (f"-and-{len(runs) - 3}-more" if runs[3:] else "")


def _numbers(runs: list[str], settings: "Settings", sessions: "Sessions") -> list[int]:
    """Return the numbers of runs; of a range, those that the live books have."""
    from ops.given import run_numbers
    from streams.books.reader import BookReader

    def inside(first: int, last: int) -> list[int]:
        return [run for run in BookReader.of(sessions.redis, settings).places() if first <= run <= last]

    return run_numbers(runs, inside)


def _run(sessions: "Sessions", plan: "Plan", workers: int | None) -> "Progress":
    """Replay with a progress bar."""
    from ops.replay.figures import ReplayFigures
    from ops.replay.run import run
    from streams.settings import load_settings
    from streams.starting import begin_if_watched

    settings = load_settings()
    figures = ReplayFigures(settings)
    begin_if_watched("replay", settings, figures.health)
    with progress() as bar:
        task = bar.add_task("reading", total=None)

        def show(now: "Progress") -> None:
            figures.look(now)
            words = f"{now.taken / max(now.seconds, 0.1):.0f} spills/s"
            if now.behind:
                words = f"waiting: live is {now.behind} behind"
            bar.update(task, description=words, completed=now.read, total=now.of)

        return run(sessions, plan, workers or os.cpu_count() or 1, show)


def _report(settings: "Settings", sessions: "Sessions", plan: "Plan", done: "Progress", *, as_json: bool) -> None:
    """Say what is in the books of a replay; refuse what turns out to be no run."""
    from streams.books.reader import BookReader

    found = BookReader.of(sessions.redis, settings, plan.session).runs()
    unknown = [run for run in plan.runs if run not in found]
    where = f"not in {plan.archive}" if plan.archive else "neither in the books nor in Kafka"
    if len(unknown) == len(plan.runs):
        sessions.drop(plan.session)
        raise UsageError(f"run {unknown[0]} is {where}")
    there = {run: found[run] for run in plan.runs if run in found}
    if as_json:
        runs = [{"run": run, "spills": its.filled, "rejected": its.all_rejected} for run, its in there.items()]
        read = {"messages": done.of, "read": done.taken, "seconds": round(done.seconds, 3)}
        typer.echo(json.dumps({"name": plan.name, "session": plan.session, "runs": runs} | read))
    else:
        for run, its in there.items():
            rejected = f", {its.all_rejected} rejected" if its.all_rejected else ""
            out.print(f"run {run}: {its.filled} spills{rejected}", markup=False)
        rate = f"{done.taken / max(done.seconds, 0.001):.1f} messages a second"
        out.print(
            f"{plan.name}: {done.taken} messages of {done.of} read, {rate}, session {plan.session}",
            markup=False,
            soft_wrap=True,
        )
    if unknown:
        raise UsageError(f"run {unknown[0]} is {where}")
