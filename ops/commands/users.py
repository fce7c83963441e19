"""spilldeck users: add, list, role, remove."""

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table
from rich.text import Text

from dashboards.access.roles import Role
from ops.console import out
from streams.errors import UsageError

if TYPE_CHECKING:
    from dashboards.access.accounts import Accounts

app = typer.Typer(help="Who may log in to the page, and do what.", no_args_is_help=True)
Name = Annotated[str, typer.Argument(metavar="NAME")]
STANDARD_INPUT = Path("-")


@app.command()
def add(
    name: Name,
    role: Annotated[Role, typer.Option(help="What the user may do; each includes those before it.")],
    password_file: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Its first line is the password, - for standard input; else it is asked."),
    ] = None,
    no_password: Annotated[bool, typer.Option("--no-password", help="A proxy says who it is.")] = False,
) -> None:
    """Add a user, or give one another password, which ends all sessions of before."""
    if no_password and password_file is not None:
        raise UsageError("give --no-password or --password-file, not both")
    password = None if no_password else _password(password_file)
    accounts().add_user(name, role, password)
    out.print(f"{name} is {role.value}", markup=False)


@app.command(name="list")
def list_all(as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False) -> None:
    """List the users."""
    found = accounts().users()
    if as_json:
        rows = [{"name": name, "role": its.role, "password": bool(its.password)} for name, its in found.items()]
        typer.echo(json.dumps(rows))
        return
    table = Table("user", "role", "logs in")
    for name, its in found.items():
        table.add_row(*map(Text, (name, its.role, "by password" if its.password else "by a proxy")))
    out.print(table if found else "There are no users: whoever is on the page's machine may act.")


@app.command()
def role(name: Name, role: Annotated[Role, typer.Argument(metavar="ROLE")]) -> None:
    """Give a user another role, at once."""
    accounts().set_role(name, role)
    out.print(f"{name} is {role.value}", markup=False)


@app.command()
def remove(name: Name) -> None:
    """Remove a user, whose sessions end at once."""
    accounts().remove_user(name)
    out.print(f"{name} is removed", markup=False)


def accounts() -> "Accounts":
    """Return those that the settings name."""
    from dashboards.access.accounts import Accounts
    from streams.settings import load_settings

    return Accounts.of(load_settings().access.directory)


def _password(file: Path | None) -> str:
    """Return what is asked on the terminal, or stands in a file: the command line can be read by others."""
    if file is None:
        if not sys.stdin.isatty():
            raise UsageError("a password is asked on a terminal: give --password-file, or - for standard input")
        return str(typer.prompt("Password", hide_input=True, confirmation_prompt=True))
    try:
        with sys.stdin if file == STANDARD_INPUT else file.open(encoding="utf-8") as given:
            return given.readline().rstrip("\r\n")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"no password can be read from {file}: {error}") from error
