"""Fixtures of other tests that these need."""

from tests.ops.conftest import spilldeck

__all__ = ["spilldeck"]
