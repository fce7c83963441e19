"""The first line that a process logs: what it is, and with what it runs."""

import structlog

from streams import __version__
from streams.books.connect import place
from streams.settings import Settings, settings_file

_log = structlog.get_logger(__name__)


def say_start(part: str, settings: Settings) -> None:
    """Log that a part of the system starts, so that nobody need guess which settings it found."""
    _log.info(
        f"the {part} starts",
        version=__version__,
        settings=str(file.absolute()) if (file := settings_file()) is not None else "no file",
        session=settings.session,
        kafka=settings.kafka.bootstrap_servers,
        redis=place(settings),
        conditions=", ".join(str(source.index) for source in settings.conditions) or "of simulated runs alone",
        experiment=settings.experiment,
    )
