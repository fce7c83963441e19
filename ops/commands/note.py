"""spilldeck note: what is to be remembered of a run."""

import secrets
from typing import Annotated

import typer

from ops.console import out, servers
from streams.errors import UsageError


def note(
    run: Annotated[int, typer.Argument(metavar="RUN", min=0)],
    text: Annotated[str, typer.Argument(metavar="TEXT", help="What whoever comes next is to know.")],
    plot: Annotated[str, typer.Option(metavar="NAME", help="Of which plot.")] = "",
) -> None:
    """Note something of a run: the hand-over of its shift lists it."""
    from ops.origin import command_origin
    from streams.books.decided import decide
    from streams.books.noting import note_action
    from streams.books.reader import BookReader
    from streams.experiment import experiment

    if plot and plot not in experiment().plots:
        raise UsageError(f"there is no plot {plot}")
    with servers() as (settings, redis):
        if run not in BookReader.shown(redis, settings).places():
            raise UsageError(f"there is no run {run} in the books: see spilldeck runs list")
        action = note_action(run, text, plot, act_id=secrets.token_hex(8), origin=command_origin())
        decide(settings, redis, action)
    out.print(f"noted of run {run}: {text}", markup=False, soft_wrap=True)
