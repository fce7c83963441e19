"""spilldeck config: the settings in force."""

import json
from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Table
from rich.text import Text

from ops.console import out

if TYPE_CHECKING:
    from pydantic import BaseModel

app = typer.Typer(help="The settings.", no_args_is_help=True)


@app.command()
def show(as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False) -> None:
    """Show every setting, its value and where that comes from; secrets are masked."""
    import tomllib

    from pydantic_settings import EnvSettingsSource

    from streams.experiment import experiment
    from streams.settings import Settings, load_settings, local_servers, settings_file

    settings, file = load_settings(), settings_file()
    experiment()  # one that cannot be had is a wrong setting
    in_file = tomllib.loads(file.read_text()) if file is not None else {}
    in_environment = EnvSettingsSource(Settings)()
    sections = ("local", "kafka", "redis")
    given = {name: {**in_file.get(name, {}), **in_environment.get(name, {})} for name in sections}
    sources = [(str(where), set(_keys({name: its}))) for name, (where, its) in local_servers(given).items()]
    sources += [("environment", set(_keys(in_environment))), (str(file), set(_keys(in_file)))]

    def origin(name: str) -> str:
        return next((source for source, there in sources if there & {name, f"{name}_file"}), "default")

    rows = [(name, _shown(value), origin(name)) for name, value in _values(settings)]
    if as_json:
        typer.echo(json.dumps({name: {"value": value, "from": source} for name, value, source in rows}))
        return
    table = Table()
    for column in ("setting", "value", "from"):
        table.add_column(column, overflow="fold")
    for row in rows:
        table.add_row(*map(Text, row))
    out.print(table)


def _values(model: "BaseModel", prefix: str = "") -> Iterator[tuple[str, Any]]:
    from pydantic import BaseModel

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
    from pydantic import BaseModel, SecretStr

    if isinstance(value, SecretStr):
        return _masked(value.get_secret_value())
    if isinstance(value, list):
        shown = (_pairs(item) if isinstance(item, BaseModel) else str(item) for item in value)
        return "; ".join(shown) or "none"
    return str(value)


def _pairs(item: "BaseModel") -> str:
    return " ".join(f"{name}={value}" for name, value in item if value is not None)


def _masked(url: str) -> str:
    """Return a URL without what may be secret: who asks, and the query, where Redis takes a password too."""
    scheme, separator, rest = url.partition("://")
    if not separator:
        return "***"
    rest, question_mark, _ = rest.partition("?")
    _, at, place = rest.rpartition("@")
    return f"{scheme}://{'***@' if at else ''}{place}{'?***' if question_mark else ''}"
