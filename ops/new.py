"""The folder of a new experiment: a copy of the one that ships as the template."""

import re
import sys
from importlib.util import find_spec
from keyword import iskeyword
from pathlib import Path

import streams.experiments
from ops.files import workspace
from streams.errors import UsageError

TEMPLATE = Path(streams.experiments.__path__[0]) / "template"
_NAME = re.compile(r"[a-z][a-z0-9_]{0,99}")


def write(name: str, directory: Path) -> Path:
    """Write the folder of an experiment, whole or not at all; return where it is.

    Raises
    ------
    UsageError
        When Python could not import it under this name, something of the name is there, or nothing can be written.
    """
    if not _NAME.fullmatch(name) or iskeyword(name):
        raise UsageError(f"{name!r} cannot be imported: give small letters, digits and _, at most 100, and no keyword")
    folder = directory / name
    if folder.exists() or folder.is_symlink():
        raise UsageError(f"{folder} is there already, and stays as it is: give another name")
    for module in (name, f"{streams.experiments.__name__}.{name}"):
        if module in sys.modules or find_spec(module) is not None:
            raise UsageError(f"{name} would not be found: Python has a module {module} already; give another name")
    try:
        directory.mkdir(parents=True, exist_ok=True)
        with workspace(directory) as new:
            (new / name).mkdir()
            for file in sorted(TEMPLATE.glob("*.py")):
                (new / name / file.name).write_bytes(file.read_bytes())
            (new / name).rename(folder)
    except OSError as error:
        raise UsageError(f"{folder} cannot be written: {error.strerror}") from error
    return folder
