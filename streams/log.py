"""How the parts that run on their own say what they do: a line each, with names and values, to standard error."""

import sys

import structlog


def log_to_stderr() -> None:
    """Have what is logged written so."""
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.LogfmtRenderer(key_order=["timestamp", "level", "event"]),
        ],
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )
