"""Worker processes of a test's own on the real stack."""

import os
import signal
import subprocess
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

from streams.settings import Settings
from tests.begun import Begun
from tests.servers import environment as of_servers

END_S = 60.0
"""One that is told to end has ended within it, on a machine that may be busy."""


class Workers:
    """Worker processes that share a session.

    Without settings the environment alone says which servers are theirs, as where secrets are in files.
    """

    def __init__(
        self, settings: Settings | None, logs: Path, environment: Mapping[str, str] = MappingProxyType({})
    ) -> None:
        self._environment = os.environ | environment
        if settings is not None:
            books = {"SPILLDECK_BOOKS__BATCH_SPILLS": str(settings.books.batch_spills)}
            self._environment = os.environ | of_servers(settings) | books | environment
        self._logs = logs
        self.running: list[Begun | subprocess.Popen[bytes]] = []

    def start(
        self,
        *arguments: str,
        plugin: str = "",
        environment: Mapping[str, str] = MappingProxyType({}),
        command: Path | None = None,
    ) -> int:
        """Start one with these arguments, a plug-in of this text, a release's command; return its number."""
        number = len(self.running)
        env = self._environment | environment
        if plugin:
            whose = "from streams.experiments.mice import EXPERIMENT\n"
            (self._logs / f"plugin_{number}.py").write_text(whose + plugin)
            env["SPILLDECK_EXPERIMENT"] = f"plugin_{number}"
        log, words = self._logs / f"worker-{number}.log", ["worker", *arguments]
        if command is None:
            here = Path(os.devnull)
            self.running.append(Begun(words, env=env, cwd=self._logs, stdin=here, out=log, err=log))
        else:
            with log.open("wb") as file:
                said = {"stdout": file, "stderr": file}
                self.running.append(subprocess.Popen([command, *words], env=env, cwd=self._logs, **said))
        return number

    def log(self, which: int) -> str:
        """Return what one has said so far."""
        return (self._logs / f"worker-{which}.log").read_text(errors="replace")

    def kill(self, which: int) -> None:
        os.kill(self.running[which].pid, signal.SIGKILL)
        self.running[which].wait()

    def stop(self) -> None:
        for worker in self.running:
            worker.terminate()
        for worker in self.running:
            worker.wait(END_S)
