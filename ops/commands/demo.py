"""spilldeck demo: all of it on this machine, to look at or to check."""

import os
from pathlib import Path
from typing import Annotated

import typer


def demo(
    files: Annotated[list[Path] | None, typer.Argument(metavar="[FILE]...", help="Without: a simulated run.")] = None,
    experiment: Annotated[
        str | None, typer.Option(help="One that comes with the package, or a module; else that of the settings.")
    ] = None,
    check: Annotated[bool, typer.Option("--check", help="No page: play, compare every bin, say identical.")] = False,
    secure: Annotated[bool, typer.Option("--secure", help="Servers with TLS, certificates and passwords.")] = False,
) -> None:
    """Play a run through a Kafka, workers and a Redis of its own, and show the page."""
    from ops import demo as demonstration

    if experiment is not None:
        os.environ["SPILLDECK_EXPERIMENT"] = experiment  # the processes that it starts are of it, too
    if not check:
        demonstration.demo(files or [], secure=secure)
    elif not demonstration.check(files or [], secure=secure):
        raise typer.Exit(1)
