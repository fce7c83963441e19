"""spilldeck tokens: add, list, remove."""

import json
import time
from typing import Annotated

import typer
from rich.table import Table
from rich.text import Text

from dashboards.access.roles import Role
from ops.commands.users import accounts
from ops.console import err, out
from streams.words import calendar_time

app = typer.Typer(help="What programs show the page in place of a password.", no_args_is_help=True)
Name = Annotated[str, typer.Argument(metavar="NAME")]
DAY_S = 86_400


@app.command()
def add(
    name: Name,
    role: Annotated[Role, typer.Option(help="What the program may do; each includes those before it.")],
    days: Annotated[float, typer.Option(min=0, max=3650, help="Until it expires.")] = 90,
) -> None:
    """Print a new token, once: it is kept nowhere. It is sent as `Authorization: Bearer TOKEN`."""
    token = accounts().add_token(name, role, time.time() + days * DAY_S)
    typer.echo(token)
    err.print(f"{name} is {role.value} for {days:g} days", markup=False)


@app.command(name="list")
def list_all(as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False) -> None:
    """List the tokens, without what they are."""
    found = accounts().tokens()
    if as_json:
        typer.echo(json.dumps([{"name": n, "role": its.role, "expires_s": its.expires_s} for n, its in found.items()]))
        return
    table = Table("token", "role", "until (UTC)")
    for name, its in found.items():
        until = calendar_time(its.expires_s * 1000, "%d %b %Y %H:%M")
        table.add_row(*map(Text, (name, its.role, until if its.expires_s > time.time() else f"expired {until}")))
    out.print(table if found else "There are no tokens.")


@app.command()
def remove(name: Name) -> None:
    """Have a token be none any more, at once."""
    accounts().remove_token(name)
    out.print(f"the token {name} is removed", markup=False)
