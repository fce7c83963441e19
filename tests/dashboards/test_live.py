"""What open pages are told, from books in a real Redis."""

import asyncio
import json
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import replace
from types import SimpleNamespace
from typing import Any
from urllib.parse import urlencode

import pytest
from fastapi import Request

from dashboards import live as module
from dashboards.choices import Choices
from dashboards.data import Data, View
from dashboards.live import ANSWERS_BYTES, Live
from dashboards.make import FigureCache, Maker
from dashboards.pages.plots import on_the_overview
from dashboards.threads import Threads
from streams.settings import DashboardSettings, Settings, load_settings
from tests.dashboards.views import RUN, run_book
from tests.stored import checkpoint

pytestmark = pytest.mark.servers

LONG_S = 40.0
"""Nothing here waits so long: only what is announced can come sooner."""
PAGE = {"path": "/", "search": "", "theme": "light"}


@pytest.fixture
def slow(settings: Settings) -> Settings:
    """Return settings of a page that hardly ever looks by itself."""
    return load_settings(kafka=settings.kafka, redis=settings.redis, dashboard=DashboardSettings(refresh_s=LONG_S))


@pytest.fixture
def _one_second(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have all be asked for in one second of the wall clock: what is made once is made anew in the next."""
    now_s = time.time()
    monkeypatch.setattr(module, "time", SimpleNamespace(time=lambda: now_s))


class CountingCache(FigureCache):
    made = 0

    def maker(self, view: View, theme: str | None, choices: Choices = Choices()) -> Maker:  # noqa: B008 - frozen
        self.made += 1
        return super().maker(view, theme, choices)


def with_books(settings: Settings, scenario: Callable[[Live, CountingCache], Awaitable[None]]) -> None:
    checkpoint(settings, {RUN: run_book(4)}, next=4)
    with Data(settings) as data:
        data.view()
        cache = CountingCache()
        asyncio.run(scenario(Live(data, cache, LONG_S, Threads()), cache))  # type: ignore[arg-type]


async def ask(live: Live, **said: Any) -> dict[str, Any]:
    query = urlencode(PAGE | said).encode()
    answer = await live.answer(Request({"type": "http", "query_string": query, "headers": []}))
    found: dict[str, Any] = json.loads(bytes(answer.body))
    return found


def again(told: dict[str, Any]) -> dict[str, Any]:
    return {"has": told["has"], "after": told["at"]}


def test_an_answer_waits_for_a_checkpoint_and_comes_with_it(slow: Settings) -> None:
    async def scenario(live: Live, _cache: CountingCache) -> None:
        first = await ask(live)
        assert set(first["figures"]) == set(on_the_overview())
        waiting = asyncio.create_task(ask(live, **again(first)))
        await asyncio.sleep(0.5)
        assert not waiting.done()
        start = time.monotonic()
        await asyncio.to_thread(checkpoint, slow, {RUN: run_book(8)}, next=8)
        second = await waiting
        assert time.monotonic() - start < LONG_S / 4
        assert "spills 0–7 " in second["figures"]["ht01"]["layout"]["title"]["text"]

    with_books(slow, scenario)


@pytest.mark.usefixtures("_one_second")
def test_figures_are_made_once_for_all_browsers_and_sent_once_to_each(slow: Settings) -> None:
    async def scenario(live: Live, cache: CountingCache) -> None:
        answers = await asyncio.gather(*(ask(live) for _ in range(20)))
        assert cache.made == 1
        assert all(answer == answers[0] for answer in answers)
        # Nothing has changed: a browser that has all gets the strip alone.
        later = await ask(live, has=answers[0]["has"])
        assert "figures" not in later
        assert set(later["parts"]) == {"strip", "badges", "banners", "tiles"}
        now = f"?frozen={time.time_ns() // 1_000_000}"
        frozen = await ask(live, search=now, has=answers[0]["has"])
        await asyncio.to_thread(checkpoint, slow, {RUN: run_book(8)}, next=8)
        still = await ask(live, search=now, **again(frozen))
        assert "figures" not in still
        assert "Last spill" in json.dumps(still["parts"]["strip"])

    with_books(slow, scenario)


def test_the_pages_of_detectors_that_turn_out_absent_are_struck_through_without_a_reload(slow: Settings) -> None:
    async def scenario(live: Live, _cache: CountingCache) -> None:
        first = await ask(live)
        assert "absent" not in json.dumps(first["parts"]["navigation"])
        book = run_book(8)
        totals = replace(book.totals, absent=Counter(ckov=book.totals.filled))
        await asyncio.to_thread(checkpoint, slow, {RUN: replace(book, totals=totals)}, next=8)
        second = await ask(live, **again(first))
        links = {each["props"]["children"]: each["props"]["className"] for each in second["parts"]["navigation"]}
        assert links["Cherenkov"] == "absent"
        assert "navigation" not in (await ask(live, has=second["has"]))["parts"]

    with_books(slow, scenario)


@pytest.mark.usefixtures("_one_second")
def test_questions_without_end_make_no_more_than_what_is_shown_and_are_not_kept_without_end(
    slow: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "LOOKS_KEPT", 4)

    async def scenario(live: Live, _cache: CountingCache) -> None:
        kept = []
        for number in range(30):
            await ask(live, search=f"?reference={number}&nonsense={number}", has="", theme=f"theme{number}")
            kept.append(len(live._looks))
        assert max(kept) == 4
        assert len(live._figures._figures) == len(on_the_overview())
        live._answers_bytes = ANSWERS_BYTES + 1
        await ask(live)
        assert len(live._answers) == 1
        assert 0 < live._answers_bytes < ANSWERS_BYTES
        kept = []
        for number in range(10):
            await ask(live, has="", path=f"/nothing{number}", nonsense=str(number))
            kept.append(len(live._looks))
        assert max(kept) <= 2

    with_books(slow, scenario)
