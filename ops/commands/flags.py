"""spilldeck flags: set, list, withdraw, verify."""

import json
import secrets
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table
from rich.text import Text

from ops.console import out, servers
from ops.given import span
from streams.errors import UsageError
from streams.words import calendar_time

if TYPE_CHECKING:
    from redis import Redis

    from schemas.records import ActionKind
    from streams.books.flags import Flag, Flags, Interval, Shares
    from streams.settings import Settings

app = typer.Typer(help="What people say of runs: good, bad or unknown.", no_args_is_help=True)
Run = Annotated[int, typer.Argument(metavar="RUN", min=0)]
FlagId = Annotated[str, typer.Argument(metavar="FLAG", help="As `flags list` has it, or how that begins.")]
Reason = Annotated[str, typer.Option(metavar="TEXT", help="Why, for whoever asks later.")]
SHORT = 8
"""Letters of an id that are shown."""


@app.command(name="set")
def set_flag(
    run: Run,
    verdict: Annotated[str, typer.Argument(metavar="good|bad|unknown")],
    detector: Annotated[str | None, typer.Option(metavar="D", help="Else all of them.")] = None,
    spills: Annotated[str | None, typer.Option(metavar="A-B", help="Else the whole run; A- is A and later.")] = None,
    reason: Reason = "",
) -> None:
    """Flag a run, or some of its spills; it cuts older flags of the same detector."""
    from ops.origin import command_origin
    from streams.books.decided import decide, newest
    from streams.books.flagging import flag_action
    from streams.books.flags import END, NewFlag, Verdict, spill_words
    from streams.books.reader import BookReader

    if verdict not in list(Verdict):
        raise UsageError(f"a flag is good, bad or unknown, not {verdict}")
    first, last = span(spills, "spills", END)
    with servers() as (settings, redis):
        if run not in BookReader.shown(redis, settings).places():
            raise UsageError(f"there is no run {run} in the books: see spilldeck runs list")
        there = newest(settings, redis)().flags.get(run, ())
        new = NewFlag(secrets.token_hex(SHORT), Verdict(verdict), reason, detector or "", first, last)
        decide(settings, redis, flag_action(there, run, new=new, origin=command_origin()))
    out.print(f"run {run}, {spill_words(first, last)}: {verdict}, flag {new.id[:SHORT]}", markup=False)


@app.command(name="list")
def list_all(run: Run, as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False) -> None:
    """List the flags of a run with what became of each, and which share of its spills is what."""
    from streams.books.decided import newest
    from streams.books.flags import of_run, shares, spill_words
    from streams.books.reader import BookReader

    with servers() as (settings, redis):
        decisions = newest(settings, redis)()
        flags, proposal = decisions.flags.get(run, ()), decisions.proposed.get(run)
        reader = BookReader.shown(redis, settings)
        spills = sorted(reader.run(run, {}, of_spills=False).ledger) if run in reader.places() else []
    holds = of_run(flags)
    counted = shares(holds, spills)
    if as_json:
        its = proposal.flags if proposal is not None else ()
        proposed = {"proposed": [each._asdict() for each in its]}
        typer.echo(json.dumps(_plain(run, flags, holds, counted) | proposed))
        return
    table = Table()
    for column in ("flag", "is", "detector", "spills", "by", "when (UTC)", "reason", "became"):
        table.add_column(column, overflow="fold")
    for flag in flags:
        when = calendar_time(flag.at_us / 1000, "%d %b %Y %H:%M:%S")
        cells = (flag.id[:SHORT], flag.verdict, flag.detector or "all", flag.spills, flag.who, when, flag.reason)
        table.add_row(*map(Text, (*cells, _became(flag))))
    out.print(table if flags else f"Run {run} has no flags.")
    for each in proposal.flags if proposal is not None else ():
        where = f"{each.detector or 'all'}, {spill_words(each.first, each.last)}"
        out.print(f"proposed: {each.verdict}, {where}: {each.reason}", markup=False, soft_wrap=True)
    said = ", ".join(f"{name.replace('unseen', 'not looked at')} {n}" for name, n in counted._asdict().items())
    out.print(f"of {len(spills)} spills: {said}", markup=False)


@app.command()
def withdraw(run: Run, flag: FlagId, reason: Reason = "") -> None:
    """Take a flag back; what it cut holds again."""
    from schemas.records import ActionKind

    with servers() as (settings, redis):
        which = _remark(settings, redis, ActionKind.WITHDRAW_FLAG, run, flag, reason)
    out.print(f"the flag {which[:SHORT]} of run {run} is withdrawn", markup=False)


@app.command()
def verify(run: Run, flag: FlagId, reason: Reason = "") -> None:
    """Agree with a flag that somebody else has set."""
    from schemas.records import ActionKind

    with servers() as (settings, redis):
        which = _remark(settings, redis, ActionKind.VERIFY_FLAG, run, flag, reason)
    out.print(f"the flag {which[:SHORT]} of run {run} is verified", markup=False)


def _remark(settings: "Settings", redis: "Redis", kind: "ActionKind", run: int, flag: str, reason: str) -> str:
    from ops.origin import command_origin
    from streams.books.decided import decide, newest
    from streams.books.flagging import remark_action

    there = newest(settings, redis)().flags.get(run, ())
    found = [each.id for each in there if each.id.startswith(flag)]
    if len(found) > 1:
        raise UsageError(f"run {run} has several flags that begin with {flag}: give more of it")
    which = found[0] if found else flag
    ids = secrets.token_hex(SHORT), which
    action = remark_action(there, run, kind=kind, ids=ids, reason=reason, origin=command_origin())
    decide(settings, redis, action)
    return which


def _became(flag: "Flag") -> str:
    if flag.withdrawn is not None:
        why = f": {flag.withdrawn.reason}" if flag.withdrawn.reason else ""
        return f"withdrawn by {flag.withdrawn.who}{why}"
    return f"verified by {flag.verified.who}" if flag.verified is not None else "to be verified"


def _plain(run: int, flags: "Flags", holds: "list[Interval]", counted: "Shares") -> dict[str, object]:
    rows = [flag._asdict() | _remarks(flag) for flag in flags]
    return {"run": run, "flags": rows, "holds": [each._asdict() for each in holds], "shares": counted._asdict()}


def _remarks(flag: "Flag") -> dict[str, object]:
    its = {"withdrawn": flag.withdrawn, "verified": flag.verified}
    return {name: remark._asdict() if remark is not None else None for name, remark in its.items()}
