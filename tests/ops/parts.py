"""The parts of a site, started as the compose file has them, on servers of the tests' own."""

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import yaml

from ops.stack import free_port
from streams.settings import Settings
from tests.begun import Begun
from tests.conftest import PROJECT
from tests.servers import environment as of_servers

COMPOSE = PROJECT / "ops" / "compose" / "compose.yml"
OURS = ("worker", "page", "keeper", "alarms")
WAIT_S = 120.0
"""Four processes that begin at the same time, on a machine that may be busy."""


def services() -> dict[str, Any]:
    """Return those of the compose file that are ours."""
    all_of_them: dict[str, Any] = yaml.safe_load(COMPOSE.read_text())["services"]
    return {name: its for name, its in all_of_them.items() if its["image"] == "spilldeck"}


@dataclass
class Site:
    """Parts that run."""

    settings: Settings
    directory: Path
    running: dict[str, Begun] = field(default_factory=dict)
    ports: dict[str, int] = field(default_factory=dict)
    """Where each says how it is."""

    def environment(self, name: str, its: dict[str, str]) -> dict[str, str]:
        """Return the environment of a part: what the compose file says, with servers and places of ours."""
        self.ports[name] = free_port()
        here = {
            **of_servers(self.settings),
            "SPILLDECK_METRICS__HOST": "127.0.0.1",
            "SPILLDECK_METRICS__PORT": str(self.ports[name]),
            "SPILLDECK_DASHBOARD__HOST": "127.0.0.1",
            "SPILLDECK_DASHBOARD__PORT": str(self.ports[name]),
            "SPILLDECK_PRODUCER__JOURNALS": str(self.directory / "journals"),
        }
        moved = {key: value.replace("/var/lib/spilldeck", str(self.directory)) for key, value in its.items()}
        plain = {key: value for key, value in os.environ.items() if not key.upper().startswith("SPILLDECK_")}
        return plain | moved | here

    def start(self, name: str, *command: str, environment: dict[str, str]) -> None:
        """Start a part."""
        env = self.environment(name, environment)
        nothing, log = Path(os.devnull), self.directory / f"{name}.log"
        self.running[name] = Begun(command, env=env, cwd=self.directory, stdin=nothing, out=log, err=log)

    def log(self, name: str) -> str:
        """Return what a part has said."""
        return (self.directory / f"{name}.log").read_text(errors="replace")

    def ask(self, name: str, path: str, **headers: str) -> tuple[int, str]:
        """Return how a part is."""
        connection = HTTPConnection("127.0.0.1", self.ports[name], timeout=WAIT_S)
        try:
            connection.request("GET", path, headers=headers)
            answer = connection.getresponse()
            return answer.status, answer.read().decode()
        finally:
            connection.close()

    def until(self, name: str, path: str, true: Callable[[int, str], bool]) -> str:
        """Return the first answer of a part of which something is true."""
        deadline, last = time.monotonic() + WAIT_S, ""
        while time.monotonic() < deadline:
            try:
                status, last = self.ask(name, path)
            except OSError as error:
                last = str(error)
            else:
                if true(status, last):
                    return last
            time.sleep(0.1)
        raise AssertionError(f"never so of {name}: {last}\n{self.log(name)}")


@contextmanager
def site(settings: Settings, directory: Path) -> Iterator[Site]:
    """Have all parts run, and be ready."""
    its = Site(settings, directory)
    try:
        for name, service in services().items():
            its.start(name, *service["command"], environment=service["environment"])
        for name in its.running:
            its.until(name, "/ready", lambda status, _: status == 200)
        yield its
    finally:
        for process in its.running.values():
            process.terminate()
        for process in its.running.values():
            process.wait(WAIT_S)
