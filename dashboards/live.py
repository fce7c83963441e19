"""What open pages are told as it happens: strip, choices, and the figures that changed.

A browser asks over and over, with what it has; its answer waits until there is something new, at most as long as the
strip may stand. Browsers that ask the same get the same bytes, made once.
"""

import asyncio
import gzip
import json
import time
from collections.abc import Callable, Hashable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Any, Self

from fastapi import Request, Response

from dashboards.addresses import within
from dashboards.choices import Choices, passed_over
from dashboards.data import Data, ShownSpill, View
from dashboards.figures.theme import LIGHT, THEMES
from dashboards.make import FigureCache, windows_told
from dashboards.pages.alarms import bell, listed_alarms
from dashboards.pages.controls import controls
from dashboards.pages.dialogs import counted, listed_flags, plain, runs_list
from dashboards.pages.flags import flags_list, flags_shares
from dashboards.pages.issues import listed_issues
from dashboards.pages.plots import beside_on, figures_on, followed_on, is_page, names_on, navigation, tables_on
from dashboards.pages.spills import choices_on, spill_on, spill_parts
from dashboards.pages.strip import badges, banners, clock, strip
from dashboards.pages.tables import table, table_id
from dashboards.pages.tiles import tiles
from dashboards.threads import T, Threads, peer_of
from streams.books import situation

LOOKS_KEPT = 256
"""What browsers look at, of one moment; beyond it all are made anew."""
ANSWERS_BYTES = 32_000_000
"""Of the answers that are kept, compressed, of one moment."""
COMPRESSION = 6
"""Of zlib: more takes twice as long for a hundredth less."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """What a browser looks at, in the one way in which it can be said: what else its question says makes no other."""

    path: str
    """Empty where there is no page."""
    choices: Choices
    passed_over: tuple[str, ...]
    """Of what the address says what cannot be chosen."""
    theme: str

    @classmethod
    def of(cls, asked: Mapping[str, str]) -> Self:
        """Return what a browser asks for."""
        path, theme = within(asked.get("path", "")), asked.get("theme", "")
        return cls(
            path=path if is_page(path) else "",
            choices=choices_on(path, Choices.of(asked.get("search"))),
            passed_over=passed_over(asked.get("search")),
            theme=theme if theme in THEMES else LIGHT.name,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """What there is to show of it."""

    view: View
    versions: Mapping[str, str]
    spill: ShownSpill | str | None
    """If it is the page of one, as far as it is there."""

    def new(self, has: str) -> frozenset[str]:
        """Return what of it a browser lacks, by what it says that it has."""
        before = dict(part.split(":", 1) for part in has.split(",") if ":" in part)
        return frozenset(what for what, at in self.versions.items() if before.get(what) != at)


class Live:
    """Answers the browsers.

    Parameters
    ----------
    longest_s
        How long an answer waits for something new.
    threads
        Make the answers.
    """

    def __init__(self, data: Data, figures: FigureCache, longest_s: float, threads: Threads) -> None:
        self._data = data
        self._figures = figures
        self._longest_s = longest_s
        self._threads = threads
        self._moment = (0, 0)
        """Changes of the books, and second of the wall clock: nobody asks for answers of another."""
        self._looks: dict[Hashable, asyncio.Task[Shown]] = {}
        self._answers: dict[Hashable, asyncio.Task[bytes]] = {}
        self._answers_bytes = 0
        self._changed: asyncio.Event | None = None
        self.open = 0
        """Pages that wait for an answer."""

    async def answer(self, request: Request) -> Response:
        """Return what is new to a browser."""
        self.open += 1
        try:
            return await self._answer(request)
        finally:
            self.open -= 1

    async def _answer(self, request: Request) -> Response:
        asked, peer = request.query_params, peer_of(request)
        if asked.get("after") == str(self._data.changes):
            await self._wait()
        moment, look = (self._data.changes, int(time.time())), Look.of(asked)
        if moment != self._moment or len(self._looks) >= LOOKS_KEPT or self._answers_bytes > ANSWERS_BYTES:
            self._moment, self._looks, self._answers, self._answers_bytes = moment, {}, {}, 0
        shown = await self._once(self._looks, look, peer, partial(self._look, look))
        new = shown.new(asked.get("has", ""))
        answers = self._answers
        is_made = (look, new) in answers
        body = await self._once(answers, (look, new), peer, partial(self._make, look, shown, new))
        if answers is self._answers and not is_made:
            self._answers_bytes += len(body)
        # Chromium holds back equal questions of other tabs while it waits for an answer that it may keep.
        headers = {"Cache-Control": "no-store", "Vary": "Accept-Encoding"}
        if "gzip" in request.headers.get("accept-encoding", ""):
            return Response(body, media_type="application/json", headers=headers | {"Content-Encoding": "gzip"})
        return Response(gzip.decompress(body), media_type="application/json", headers=headers)

    async def _once(self, made: dict[Hashable, asyncio.Task[T]], key: Hashable, peer: str, make: Callable[[], T]) -> T:
        """Return what is made once for all that ask the same; what fails is made anew for the next."""
        task = made.get(key)
        if task is None:
            task = made[key] = asyncio.create_task(self._threads.run(peer, make))
        try:
            # A browser that goes away must not take the answer from the others.
            return await asyncio.shield(task)
        except Exception:
            if made.get(key) is task:
                del made[key]
            raise

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

    def _look(self, look: Look) -> Shown:
        view = self._data.view(look.choices, followed_on(look.path), beside_on(look.path))
        its = view.flags.get(view.run, ()) if view.run is not None else ()
        now = versions(view, look.theme, look.choices, names_on(look.path)) | {
            "books": version(view.version, look.choices, _listed(view, look.path)),
            "runs": version(view.run, view.runs.version, view.imports, listed_flags(view)),
            "shares": version(view.run, its, view.book.totals.filled),
            "flags": version(view.run, its, view.proposed.get(view.run) if view.run is not None else None),
        }
        address = spill_on(look.path)
        spill = self._data.spill(address, look.choices) if address is not None else None
        return Shown(view=view, versions=now | {"spill": version(address, spill)}, spill=spill)

    def _make(self, look: Look, shown: Shown, new: frozenset[str]) -> bytes:
        """Return the answer, compressed: once for all who get it."""
        view, path, choices = shown.view, look.path, look.choices
        told: dict[str, Any] = {
            "at": view.changes,
            "has": joined(shown.versions),
            "parts": {
                "strip": strip(view),
                "badges": badges(view),
                "banners": banners(view, choices, look.passed_over),
                "tiles": tiles(view, path),
            },
            "clock": clock(view.now_s),
            "now_ms": round(view.now_s * 1000),
            "shows": {"run": view.run, "spills": view.book.totals.filled},
        }
        if "about" in new:
            told["parts"]["controls"] = controls(view, choices, names_on(path), beside_on(path))
            told["parts"]["navigation"] = navigation(path, situation.not_read_out(view.book.totals), bell(view))
        if "spill" in new and (address := spill_on(path)):
            told["parts"]["spill"] = spill_parts(address, shown.spill)
        if "runs" in new:
            told["parts"]["runs-list"] = runs_list(view)
        if "shares" in new:
            told["parts"]["flags-shares"] = flags_shares(view)
        if "flags" in new:
            told["parts"]["flags-list"] = flags_list(view)
        if "books" in new:
            told["parts"]["counted"] = counted(view)
            told["parts"] |= {table_id(name): table(name, view, choices) for name in tables_on(path)}
        if new & {"figures", "axes"}:
            make = self._figures.maker(view, look.theme, choices)
            told["figures"] = {name: make(name) for name in figures_on(path)}
        said = json.dumps(told, default=plain, separators=(",", ":"), allow_nan=False)
        return gzip.compress(said.encode(), COMPRESSION, mtime=0)


def _listed(view: View, path: str) -> object:
    """Return what is listed on a page besides what the books have."""
    match path:
        case "/replays":
            return view.replays
        case "/alarms":
            return listed_alarms(view)
        case "/issues":
            return listed_issues(view)
    return ()


def versions(view: View, theme: str | None, choices: Choices, names: list[str]) -> dict[str, str]:
    """Return what changes when a page's figures do, their axes, and its choices."""
    replays = [(each.plan.session, each.plan.runs, each.promoted, each.state) for each in view.replays]
    reference = view.reference and view.reference.called
    windows = view.windows, windows_told(view)
    about = choices, view.run, reference, view.automatic, view.runs.version, windows, names, replays, bell(view)
    return {
        "figures": version(view.version, theme, choices.but(rotate_s=None), names),
        "axes": version(view.run, choices.log, view.reference and choices.mode, names),
        "about": version(*about, sorted(situation.not_read_out(view.book.totals))),
    }


def joined(these: Mapping[str, str]) -> str:
    """Return versions as a browser says what it has."""
    return ",".join(f"{what}:{at}" for what, at in these.items())


def version(*of: Any) -> str:
    """Return a short name for what something is made of."""
    return f"{hash(repr(of)) & 0xFFFFFFFFFFFF:x}"
