"""Files of a run, all of them or none."""

from collections.abc import Callable
from functools import partial
from pathlib import Path

from ops.export.chosen import Chosen
from ops.export.numbers import write_csv, write_json, write_root, write_zip
from ops.export.pictures import write_pictures
from ops.files import write_together
from streams.books.kept_run import BOOK

FORMATS: dict[str, Callable[[Chosen, Path], None]] = {
    "json": write_json,
    "zip": write_zip,
    "root": write_root,
    "csv": write_csv,
    **{ending: partial(write_pictures, ending=ending) for ending in ("png", "svg", "pdf")},
}

IN_ALL = {BOOK: "json", "pictures": "png"}
"""Directory → format, of a run that is written for good."""


def write_all(chosen: Chosen, directory: Path) -> None:
    """Write what is chosen as UHI and as pictures, each into a directory of its own inside a new one."""
    for name, form in IN_ALL.items():
        (directory / name).mkdir()
        FORMATS[form](chosen, directory / name)


def export(chosen: Chosen, form: str, directory: Path) -> list[Path]:
    """Write the files in a format, in place of those of the same names; return them.

    Raises
    ------
    UsageError
        When they cannot be written; then none has been.
    """
    return write_together(directory, partial(FORMATS[form], chosen))
