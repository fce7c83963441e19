"""What open pages are told as it happens: strip, choices, and the figures that changed.

A browser asks over and over, with what it has; its answer waits until there is something new, at most as long as the
strip may stand. Browsers that ask the same get the same bytes, made once.
"""

import asyncio
import json
import time
from contextlib import suppress
from functools import partial
from typing import Any

from fastapi import Request, Response

from dashboards.choices import Choices
from dashboards.data import Data, View
from dashboards.make import FigureCache
from dashboards.pages.controls import controls
from dashboards.pages.dialogs import counted, plain, runs_list
from dashboards.pages.plots import figures_on, followed_on, names_on, tables_on
from dashboards.pages.strip import badges, banners, clock, strip
from dashboards.pages.tables import TABLES

Question = tuple[str, str, str, str]
"""Path, choices, theme, and what the browser has."""


class Live:
    """Answers the browsers.

    Parameters
    ----------
    longest_s
        How long an answer waits for something new.
    """

    def __init__(self, data: Data, figures: FigureCache, longest_s: float) -> None:
        self._data = data
        self._figures = figures
        self._longest_s = longest_s
        self._moment = (0, 0)
        """Changes of the books, and second of the wall clock: nobody asks for answers of another."""
        self._answers: dict[Question, asyncio.Task[bytes]] = {}
        self._changed: asyncio.Event | None = None

    async def answer(self, request: Request) -> Response:
        """Return what is new to a browser."""
        asked = request.query_params
        if asked.get("after") == str(self._data.changes):
            await self._wait()
        path, search, theme, has = (asked.get(name, "") for name in ("path", "search", "theme", "has"))
        moment, question = (self._data.changes, int(time.time())), (path, search, theme, has)
        if moment != self._moment:
            self._moment, self._answers = moment, {}
        task = self._answers.get(question)
        if task is None:
            task = asyncio.create_task(asyncio.to_thread(self._make, moment[0], *question))
            self._answers[question] = task
        # A browser that goes away must not take the answer from the others.
        return Response(await asyncio.shield(task), media_type="application/json")

    async def _wait(self) -> None:
        if self._changed is None:
            self._changed = asyncio.Event()
            self._data.on_change = partial(self._ring_from_thread, asyncio.get_running_loop())
        with suppress(TimeoutError):
            await asyncio.wait_for(self._changed.wait(), self._longest_s)

    def _ring_from_thread(self, loop: asyncio.AbstractEventLoop) -> None:
        with suppress(RuntimeError):  # the server ended
            loop.call_soon_threadsafe(self._ring)

    def _ring(self) -> None:
        """Wake all that wait; who comes later waits for the next time."""
        assert self._changed is not None  # noqa: S101
        self._changed.set()
        self._changed = asyncio.Event()

    def _make(self, changes: int, path: str, search: str, theme: str, has: str) -> bytes:
        choices = Choices.of(search)
        view = self._data.view(choices, followed_on(path))
        names = names_on(path)
        now = versions(view, theme, search, names) | {
            "books": version(view.version, view.replays if path == "/replays" else ()),
            "runs": version(view.run, view.runs.version),
        }
        before = dict(part.split(":", 1) for part in has.split(",") if ":" in part)
        new = {what for what, at in now.items() if before.get(what) != at}
        told: dict[str, Any] = {
            "at": changes,
            "has": joined(now),
            "parts": {
                "strip": strip(view),
                "badges": badges(view),
                "banners": banners(view, choices),
            },
            "clock": clock(view.now_s),
            "now_ms": round(view.now_s * 1000),
        }
        if "about" in new:
            told["parts"]["controls"] = controls(view, choices, names)
        if "runs" in new:
            told["lists"] = {"runs-list": runs_list(view)}
        if "books" in new:
            told["parts"]["counted"] = counted(view)
            told["tables"] = {name: TABLES[name](view) for name in tables_on(path)}
        if new & {"figures", "axes"}:
            make = self._figures.maker(view, theme, choices)
            told["figures"] = {name: make(name) for name in figures_on(path)}
        return json.dumps(told, default=plain, separators=(",", ":"), allow_nan=False).encode()


def versions(view: View, theme: str | None, search: str | None, names: list[str]) -> dict[str, str]:
    """Return what changes when a page's figures do, their axes, and its choices."""
    choices = Choices.of(search)
    replays = [(each.plan.session, each.plan.runs, each.promoted, each.state) for each in view.replays]
    reference = view.reference and view.reference.called
    return {
        "figures": version(view.version, theme, choices.but(rotate_s=None), names),
        "axes": version(view.run, choices.log, view.reference and choices.mode, names),
        "about": version(search, view.run, reference, view.runs.version, view.windows, names, replays),
    }


def joined(these: dict[str, str]) -> str:
    """Return versions as a browser says what it has."""
    return ",".join(f"{what}:{at}" for what, at in these.items())


def version(*of: Any) -> str:
    """Return a short name for what something is made of."""
    return f"{hash(repr(of)) & 0xFFFFFFFFFFFF:x}"
