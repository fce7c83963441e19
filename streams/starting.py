"""The begin of a process that runs on its own: how it logs, and a first line of what it is and with what it runs."""

import structlog

from streams import __version__
from streams.books.connect import place
from streams.health.server import serve
from streams.health.state import Health
from streams.log import log_to_stderr
from streams.settings import LogFormat, Settings, settings_file

_log = structlog.get_logger(__name__)


def begin_if_watched(part: str, settings: Settings, health: Health) -> None:
    """Have a command that is there for a while log and tell how it is as the parts do, if a port for that is set."""
    if settings.metrics.port is not None:
        begin_log(part, settings)
        serve(settings, health)


def log_as_set(settings: Settings) -> None:
    """Log as the settings say."""
    log_to_stderr(as_json=settings.log.format is LogFormat.JSON)


def begin_log(part: str, settings: Settings) -> None:
    """Log as the settings say, and first that a part starts: nobody need guess which settings it found."""
    log_as_set(settings)
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
