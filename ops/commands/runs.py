"""spilldeck runs: what is known of the runs, and a run back to a file."""

from pathlib import Path
from typing import Annotated

import typer

from ops.console import out, servers

app = typer.Typer(help="The runs: what is known of them, and a run as a file.", no_args_is_help=True)
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Run = Annotated[int, typer.Argument(metavar="RUN", min=0)]


@app.command()
def archive(
    run: Run,
    directory: Annotated[Path, typer.Option("--out", metavar="DIR", help="Where the file is to be.")],
) -> None:
    """Write a run's raw spills to a file, as the DAQ wrote them, with a checksum beside it."""
    from ops.archive import write_archive
    from ops.replay.sessions import books

    with servers() as (settings, redis):
        written = write_archive(settings, books(redis, settings, settings.session), run, directory)
    out.print(f"{written.file}: {written.spills} spills, {written.size:,} bytes", markup=False, soft_wrap=True)
    out.print(f"SHA-256 {written.sha256}")
