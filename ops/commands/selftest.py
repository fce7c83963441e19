"""spilldeck selftest: simulated spills through the site's own servers, compared and removed."""

import json
import os
from typing import Annotated

import typer
from rich.text import Text

from ops.console import err, out, servers


def selftest(as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False) -> None:
    """Send simulated spills through the site's own Kafka, a worker and Redis, beside live, and compare every bin.

    All of it has names of its own, and is removed; live does not notice. Status 1 if something differs.
    """
    from ops.selftest import selftest as test
    from streams.books.connect import place

    with servers() as (settings, redis):
        tested = test(settings, redis, dict(os.environ), lambda words: err.print(words, markup=False))
        where = f"Kafka at {settings.kafka.bootstrap_servers}, a worker, Redis at {place(settings)}"
    if as_json:
        typer.echo(json.dumps(tested.to_json()))
    else:
        for what in tested.differences:
            out.print(Text(f"{what}  (here: process; there: the books)", style="red"), soft_wrap=True)
        out.print(f"{tested.spills} spills through {where}, in {tested.seconds:.0f} s", markup=False)
        out.print("[bold red]differs[/]" if tested.differences else "[bold green]identical[/]")
    if tested.differences:
        raise typer.Exit(1)
