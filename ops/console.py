"""Where commands write: results to standard output, progress and complaints to standard error."""

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn

out = Console(highlight=False, emoji=False)
err = Console(stderr=True, highlight=False, emoji=False)


def complain(problem: object) -> None:
    """Say in one line what is wrong."""
    err.print(f"[bold red]spilldeck:[/] {escape(str(problem))}", soft_wrap=True)


def progress() -> Progress:
    """Return a progress bar for what takes long; it shows where a person looks on, and vanishes when done."""
    return Progress(
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.percentage:>3.0f} %"),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        console=err,
        transient=True,
        disable=not err.is_terminal,
    )
