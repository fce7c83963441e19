"""Where commands write: results to standard output, progress and complaints to standard error."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from rich.console import Console, ConsoleOptions, RenderableType
from rich.markup import escape
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.segment import Segment

from streams.printable import printable

if TYPE_CHECKING:
    from redis import Redis

    from streams.settings import Settings


BEGIN_S = 8.0
"""So long a command that begins waits for sentinels to have a master; it says what is wrong within some ten seconds."""


class _Terminal(Console):
    """Shows every text letter by letter: what somebody wrote into a message must not clear a screen or set a title."""

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        for segment in super().render(renderable, options):
            yield segment if segment.control else Segment(printable(segment.text), segment.style)


out = _Terminal(highlight=False, emoji=False)
err = _Terminal(stderr=True, highlight=False, emoji=False)


def complain(problem: object) -> None:
    """Say in one line what is wrong."""
    err.print(f"[bold red]spilldeck:[/] {escape(str(problem))}", soft_wrap=True)


@contextmanager
def servers() -> "Iterator[tuple[Settings, Redis]]":
    """Give the settings and a client of Redis, which waits for one that is away; what it raises becomes one sentence.

    One that is away at the beginning is waited for where another may just be taking its place: else nobody has
    started it, or the settings name another one.
    """
    from redis.exceptions import RedisError

    from streams.books.connect import COMMAND_S, check_redis, connect, no_redis
    from streams.settings import load_settings

    settings = load_settings()
    check_redis(settings, BEGIN_S if settings.redis.sentinels else 0.0)
    with connect(settings, COMMAND_S) as redis:
        try:
            yield settings, redis
        except RedisError as error:
            raise no_redis(settings, error) from error


@contextmanager
def needs_export() -> Iterator[None]:
    """Import in a ``with`` block what writes pictures and files of ROOT; say what to install if it is not there."""
    from streams.errors import UsageError

    try:
        yield
    except ModuleNotFoundError as error:
        raise UsageError(f"the package {error.name} is not installed: install spilldeck[export]") from error


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
