"""spilldeck up, down, status: the local stack."""

import dataclasses
import json
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from ops.console import out

if TYPE_CHECKING:
    from ops.stack import LocalStack


def _stack(*, secure: bool = False) -> "LocalStack":
    from ops.stack import LocalStack
    from streams.settings import load_settings

    local = load_settings().local
    return LocalStack(local.directory, local.kafka_port, local.redis_port, secure=secure)


def up(
    secure: Annotated[
        bool, typer.Option("--secure", help="With TLS, certificates and passwords of their own.")
    ] = False,
) -> None:
    """Start a Kafka and a Redis on this machine; they stay until `spilldeck down`."""
    from streams.settings import LOCAL_SERVERS

    stack = _stack(secure=secure)
    stack.start(keep=True)
    by = " by TLS" if secure else ""
    out.print(f"Kafka at 127.0.0.1:{stack.kafka_port}, Redis at 127.0.0.1:{stack.redis_port}{by}")
    out.print(f"How they are reached stands in {stack.directory / LOCAL_SERVERS}, where commands find it.")


def down() -> None:
    """End the Kafka and the Redis that `spilldeck up` started; what they hold stays on disk."""
    ended = _stack().stop()
    out.print(f"ended {', '.join(ended)}" if ended else "nothing was running")


def _watched() -> str:
    """Say whether anybody watches for alarms, by the Redis of the settings."""
    from redis import RedisError

    from streams.books.connect import connect, place, refusal
    from streams.books.watchers import watched
    from streams.freshness import Observed, alarms
    from streams.settings import load_settings

    settings = load_settings()
    try:
        with connect(settings) as redis:
            return watched(redis, settings.redis.key_prefix, settings.session).text
    except RedisError as error:
        if why := refusal(settings, error):
            return f"Redis at {place(settings)}: {why}"
        return alarms(Observed(now_s=0, store_lost_s=1)).text


def status(as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False) -> None:
    """Say what of the local stack runs; status 1 if not all of it answers."""
    found = _stack().status()
    if as_json:
        typer.echo(json.dumps([dataclasses.asdict(s) for s in found]))
    else:
        table = Table()
        for column in ("server", "port", "process", "answers"):
            table.add_column(column)
        for s in found:
            no = "[red]no[/], another program has its port" if s.is_of_another else "[red]no[/]"
            table.add_row(s.name, str(s.port), str(s.pid or "-"), "[green]yes[/]" if s.answers else no)
        out.print(table)
        out.print(f"Alarms: {_watched()}", markup=False)
    if not all(s.answers for s in found):
        raise typer.Exit(1)
