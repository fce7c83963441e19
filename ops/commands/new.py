"""spilldeck new: the folder of an experiment, to begin with."""

from pathlib import Path
from typing import Annotated

import typer

from ops.console import out


def new(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Small letters, digits and _, as Python imports it.")],
    directory: Annotated[
        Path, typer.Option("--out", metavar="DIR", help="Where the folder is to be.", show_default="here")
    ] = Path(),
) -> None:
    """Write the folder of an experiment of your own, which runs at once: docs/experiments.md says how to go on."""
    from ops.new import write

    folder = write(name, directory)
    out.print(f"{folder}: where it lies, it runs with SPILLDECK_EXPERIMENT={name}", markup=False, soft_wrap=True)
