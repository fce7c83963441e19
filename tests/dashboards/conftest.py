"""A page's data on real servers."""

import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from redis import Redis

from dashboards.data import Data, View
from dashboards.data import data as data_module
from ops.stack import free_port
from streams.books.connect import connect
from streams.settings import DashboardSettings, Settings, load_settings

WAIT_S = 30.0


@pytest.fixture(autouse=True)
def _patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have a view wait for what it was asked for, where a page on a machine that is busy would say that it loads."""
    monkeypatch.setattr(data_module, "FIRST_READ_S", WAIT_S)


@pytest.fixture
def quick(settings: Settings) -> Settings:
    """Return settings of a page that looks often."""
    return load_settings(
        kafka=settings.kafka, redis=settings.redis, dashboard=DashboardSettings(port=free_port(), refresh_s=0.2)
    )


@pytest.fixture
def redis(quick: Settings) -> Iterator[Redis]:
    with connect(quick) as client:
        yield client


@pytest.fixture
def data(quick: Settings) -> Iterator[Data]:
    with Data(quick) as data:
        yield data


def until(data: Data, true: Callable[[View], Any]) -> View:
    """Return the first view of which something is true."""
    deadline = time.monotonic() + WAIT_S
    while not true(view := data.view()):
        assert time.monotonic() < deadline, f"never so: {view.run}, {view.warnings}, {view.daq}, {view.pipeline}"
        time.sleep(0.02)
    return view
