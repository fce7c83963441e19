"""spilldeck config: the settings in force."""

import json
from collections.abc import Iterator
from typing import Annotated, Any

import typer
from pydantic import BaseModel, SecretStr
from rich.table import Table

from ops.console import out

app = typer.Typer(help="The settings.", no_args_is_help=True)


@app.command()
def show(as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False) -> None:
    """Show every setting, its value and where that comes from; secrets are masked."""
    import os
    import tomllib

    from streams.settings import load_settings, settings_file

    settings, file = load_settings(), settings_file()
    in_file = set(_keys(tomllib.loads(file.read_text()))) if file is not None else set()
    in_environment = {key.upper() for key in os.environ}

    def origin(name: str) -> str:
        if "SPILLDECK_" + name.replace(".", "__").upper() in in_environment:
            return "environment"
        return str(file) if name in in_file else "default"

    rows = [(name, _shown(value), origin(name)) for name, value in _values(settings)]
    if as_json:
        typer.echo(json.dumps({name: {"value": value, "from": source} for name, value, source in rows}))
        return
    table = Table()
    for column in ("setting", "value", "from"):
        table.add_column(column, overflow="fold")
    for row in rows:
        table.add_row(*row)
    out.print(table)


def _values(model: BaseModel, prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name in type(model).model_fields:
        value = getattr(model, name)
        if isinstance(value, BaseModel):
            yield from _values(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value


def _keys(document: dict[str, Any], prefix: str = "") -> Iterator[str]:
    for name, value in document.items():
        if isinstance(value, dict):
            yield from _keys(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}"


def _shown(value: Any) -> str:
    if isinstance(value, SecretStr):
        scheme, separator, rest = value.get_secret_value().partition("://")
        credentials, at, place = rest.rpartition("@")
        return f"{scheme}{separator}{'***' + at if credentials else ''}{place}" if separator else "***"
    if isinstance(value, list):
        return "; ".join(" ".join(f"{k}={v}" for k, v in dict(item).items()) for item in value) or "none"
    return str(value)
