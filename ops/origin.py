"""Which command decides something."""

import shlex
import sys


def command_origin() -> str:
    """Return the command that is running, as it was given."""
    return shlex.join(["spilldeck", *sys.argv[1:]])
