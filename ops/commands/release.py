"""spilldeck release: install, list, use, back, remove, try; and what a release that is tried answers."""

import json
import sys
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table
from rich.text import Text

from ops.console import err, out, servers
from streams.errors import UsageError

if TYPE_CHECKING:
    from ops.releases.shelf import Release, Shelf
    from ops.releases.trial import Tried

app = typer.Typer(help="Versions of spilldeck side by side: tried, taken up, gone back from.", no_args_is_help=True)
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Name = Annotated[str, typer.Argument(metavar="NAME", help="As `release list` has it.")]


@app.command()
def install(
    source: Annotated[Path, typer.Argument(metavar="SOURCE", help="A wheel, or a checkout.", exists=True)],
    name: Annotated[str | None, typer.Option(help="Of the release; without, its version.")] = None,
) -> None:
    """Install a release beside the others, with the packages that it pins; nobody uses it yet."""
    from ops.releases.install import install as make

    with err.status("installing") as shown:
        release = make(_shelf(), source, name, shown.update)
    out.print(_about(release), markup=False, soft_wrap=True)


@app.command(name="list")
def list_all(as_json: AsJson = False) -> None:
    """List the releases."""
    from ops.releases.shelf import PREVIOUS
    from streams.moving import CURRENT

    shelf = _shelf()
    links = {link: shelf.linked(link) for link in (CURRENT, PREVIOUS)}
    found = shelf.all()
    if as_json:
        rows = [asdict(each) | {link: name == each.name for link, name in links.items()} for each in found]
        typer.echo(json.dumps(rows))
        return
    table = Table("name", "version", "installed (UTC)", "code", "")
    for each in found:
        is_what = [link for link, name in links.items() if name == each.name]
        when = datetime.fromtimestamp(each.installed_s, UTC).strftime("%Y-%m-%d %H:%M")
        table.add_row(*map(Text, (each.name, each.version, when, each.digest, ", ".join(is_what))))
    out.print(table if found else "There are no releases.")


@app.command()
def about(as_json: AsJson = False) -> None:
    """Say which version this is, and which formats it reads and writes."""
    from ops.releases.formats import formats
    from streams import __version__

    its = {"version": __version__, "formats": asdict(formats())}
    if as_json:
        typer.echo(json.dumps(its))
        return
    out.print(f"spilldeck {__version__}", markup=False)
    for what, written in asdict(formats()).items():
        out.print(f"{what}: {_words(written)}", markup=False)


@app.command()
def use(name: Name) -> None:
    """Have `current` be a release; workers of this machine that were started through it move, one by one."""
    from ops.releases.move import move

    move(_shelf(), name, lambda words: out.print(words, markup=False, soft_wrap=True))


@app.command()
def back() -> None:
    """Go back to the release that was current before."""
    from ops.releases.shelf import PREVIOUS

    name = _shelf().linked(PREVIOUS)
    if name is None:
        raise UsageError("no release was current before: see spilldeck release list")
    use(name)


@app.command()
def remove(name: Name) -> None:
    """Remove a release that is neither current nor previous, and of which nothing runs."""
    _shelf().remove(name)
    out.print(f"the release {name} is removed", markup=False)


@app.command(name="try")
def try_it(
    name: Name,
    spills: Annotated[int, typer.Option(help="So many are compared.", min=1)] = 200,
    as_json: AsJson = False,
) -> None:
    """Have a release count what live counts and compare every bin; status 1 and what differs if they do."""
    import os

    from ops.releases.trial import try_release
    from ops.replay.part import NICENESS

    os.nice(NICENESS)
    shelf = _shelf()
    release = shelf.get(name)

    def say(words: str) -> None:
        err.print(words, markup=False, style="yellow", soft_wrap=True)

    with servers() as (settings, redis), err.status(f"{name} counts what live counts"):
        tried = try_release(settings, redis, shelf, release, spills, say)
    if as_json:
        typer.echo(json.dumps(tried.to_json()))
    else:
        _show(tried)
    raise typer.Exit(not tried.is_equal)


@app.command(hidden=True)
def follow() -> None:
    """Answer whoever tries this release: see ops/releases/follow.py."""
    from ops.releases.follow import be_behind_live
    from ops.releases.follow import follow as answer
    from ops.topics import with_partitions_there
    from streams.settings import load_settings

    settings = with_partitions_there(load_settings())
    be_behind_live(settings.kafka.partitions)
    answer(settings, sys.stdin, sys.stdout)


def _shelf() -> "Shelf":
    from ops.releases.shelf import Shelf
    from streams.settings import load_settings

    return Shelf.of(load_settings())


def _about(release: "Release") -> str:
    formats = "it does not say which formats it reads and writes"
    if release.formats is not None:
        formats = "; ".join(f"{what} {_words(written)}" for what, written in asdict(release.formats).items())
    commit = f", commit {release.commit}" if release.commit else ""
    return f"{release.name}: version {release.version}{commit}, code {release.digest}; {formats}"


def _words(written: object) -> str:
    if isinstance(written, dict):
        return ", ".join(f"{name} {version}" for name, version in written.items())
    return str(written)


def _show(tried: "Tried") -> None:
    if tried.differing:
        table = Table(title=f"{tried.release} against live")
        for column in ("run", "what", "live", "tried", "from spill"):
            table.add_column(column, overflow="fold")
        for each in tried.differing:
            its = each.difference
            since = "none by itself" if each.since is None else str(each.since)
            table.add_row(*map(Text, (str(each.run), its.what, its.here, its.there, since)))
        out.print(table)
    verdict = "[bold red]differs[/]" if tried.differing else "[bold green]identical[/]"
    so_far = f" of {tried.wanted}: {tried.ended}" if tried.ended else ""
    out.print(f"{verdict} after {tried.spills} spills{so_far}", soft_wrap=True)
