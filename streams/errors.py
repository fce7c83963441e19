"""Errors with a place and a way out: each says what is wrong, where, and what to do."""


class SpilldeckError(Exception):
    """Base of every error that a user may meet; its text is one sentence fit for a terminal."""

    exit_status = 1


class UsageError(SpilldeckError):
    """The command, a setting or a file's name is wrong (exit status 2)."""

    exit_status = 2


class ServerError(SpilldeckError):
    """Kafka, Redis, Java, a port or a topic is not as needed (exit status 3)."""

    exit_status = 3


class BadDataError(SpilldeckError):
    """Bytes that are no good spill: they go to ``spills.rejected`` with this text.

    Parameters
    ----------
    step
        What refused them: ``framing``, ``unpack``, ``json``, ``envelope``, ...
    reason
        What is wrong, with the numbers.
    byte
        Where, counted from the start of the bytes that the step was given; -1 when no one byte is to blame.
    """

    def __init__(self, step: str, reason: str, byte: int = -1) -> None:
        self.step, self.reason, self.byte = step, reason, byte
        super().__init__(step, reason, byte)

    def __str__(self) -> str:
        place = f" at byte {self.byte}" if self.byte >= 0 else ""
        return f"{self.step}{place}: {self.reason}"


class DetectorError(SpilldeckError):
    """A detector cannot be reconstructed in a spill; the others go on."""
