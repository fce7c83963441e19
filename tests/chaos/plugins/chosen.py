"""The experiment of a worker, with what makes it another than it is: modules named in ``CHAOS_PLUGINS``."""

import os
from importlib import import_module

from streams.experiments.mice import EXPERIMENT

__all__ = ["EXPERIMENT"]

for name in filter(None, os.environ["CHAOS_PLUGINS"].split(",")):
    import_module(f"tests.chaos.plugins.{name}")
