"""Fixtures that all tests share."""

import os
from pathlib import Path

import pytest

PROJECT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def shared() -> Path:
    """Return the folder with the experiment's data beside the project; skip where it is absent."""
    path = PROJECT.parent / "shared"
    if not (path / "data").is_dir():
        pytest.skip(f"the experiment's data is not at {os.path.relpath(path, PROJECT)}")
    return path
