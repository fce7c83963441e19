"""How far replays are, and how the page says that plots are a replay's."""

import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from typing import Any

import pytest
from redis import Redis

from dashboards.choices import Choices
from dashboards.data import Data, Replay
from dashboards.data.replays import ReplayWatcher
from dashboards.make import file_name, which_spills
from dashboards.pages.controls import controls
from dashboards.pages.dialogs import runs_list
from dashboards.pages.replays import replays
from dashboards.pages.strip import banners, strip
from ops.topics import ensure_topics
from streams.books import sessions as of_sessions
from streams.books.connect import connect
from streams.books.reader import BookReader
from streams.books.replays import Origin, Plan
from streams.books.sessions import Sessions
from streams.settings import Settings, load_settings
from tests.dashboards.conftest import until
from tests.dashboards.views import RUN, run_book, text_of, view
from tests.redis_servers import until as until_true
from tests.stored import checkpoint

PLAN = Plan(
    session="replay-Better", runs=(RUN,), origin=Origin.RAW, spans=((0, 300), (100, 200)), began_s=1_700_000_000
)
HALF = Replay(plan=PLAN, state="at work", read=100, spills=90, rate=50.0)


@pytest.fixture
def redis(settings: Settings) -> Iterator[Redis]:
    with closing(connect(settings)) as client:
        yield client


@pytest.mark.servers
def test_one_is_at_work_from_its_plan_on_however_long_it_prepares_and_stopped_if_it_was_killed_then(
    settings: Settings, redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    ensure_topics(settings)
    monkeypatch.setattr(of_sessions, "ALIVE_S", 1)
    monkeypatch.setattr(of_sessions, "SAID_S", 0.1)
    sessions = Sessions(settings, redis, origin="a test")
    plan = replace(PLAN, session="replay-slow")
    with sessions.at_work(plan.session):
        sessions.save(plan)
        time.sleep(1.5)  # longer than one that was killed is waited for
        assert sessions.state(plan) == "at work"
        redis.delete(f"{settings.redis.key_prefix}:at-work:{plan.session}")
        until_true(lambda: sessions.is_at_work(plan.session))
    assert sessions.state(plan) == "stopped"
    sessions.drop(plan.session)


@pytest.mark.servers
def test_a_replay_at_work_has_a_rate_of_the_last_seconds_and_a_time_that_is_left(
    settings: Settings, redis: Redis
) -> None:
    ensure_topics(settings)
    now, sessions = [0.0], Sessions(settings, redis, origin="a test")
    there = load_settings(redis=settings.redis, session=PLAN.session)
    watcher = ReplayWatcher(sessions, lambda _: BookReader.of(redis, there), clock=lambda: now[0])

    def look(at_s: float, offset: int, behind: int = 0) -> Replay:
        checkpoint(there, {RUN: run_book()}, next=offset + 1)
        sessions.say_behind(PLAN.session, behind)
        now[0] = at_s
        (found,) = watcher.look({RUN: PLAN.session})
        return found

    sessions.save(PLAN)
    first = look(0, 39)
    assert (first.state, first.read, first.rate, first.left_s) == ("at work", 40, None, None)
    assert (first.spills, first.promoted) == (8, (RUN,))
    second = look(4, 79)
    assert (second.read, second.rate, second.left_s) == (80, 10.0, 32)
    # What was long ago does not count.
    look(12, 99)
    assert look(20, 299).rate == 25.0
    assert look(21, 299, behind=9).state == "waiting for live"
    assert look(22, 299).rate is None
    sessions.made.finish(PLAN, [0])
    done = look(23, 299)
    assert (done.state, done.read, done.share, done.rate) == ("done", 400, 1.0, None)
    sessions.drop(PLAN.session)
    assert watcher.look({}) == ()


@pytest.mark.servers
def test_the_book_of_a_session_is_shown_beside_the_runs_own(settings: Settings, redis: Redis) -> None:
    ensure_topics(settings)
    checkpoint(settings, {RUN: run_book(4)}, next=4)
    sessions = Sessions(settings, redis, origin="a test")
    sessions.save(PLAN)
    checkpoint(load_settings(redis=settings.redis, session=PLAN.session), {RUN: run_book(8)}, next=8)
    sessions.made.finish(PLAN, [0])
    chosen = Choices.of(f"?run={RUN}.{PLAN.session}&reference={RUN}.live")
    with Data(settings) as data:
        live, again = data.view(), data.view(chosen)
        assert len(live.spills) == 4
        assert again.is_stored
        assert (again.run, len(again.spills), again.current, again.behind) == (RUN, 8, RUN, 0)
        assert again.reference is not None
        assert len(again.reference.spills) == 4
        assert live.version != again.version
        assert not data.view(chosen.but(session="replay-worse")).is_stored
        assert not data.view(chosen.but(run=5)).is_stored
        # A replay that is dropped is gone from the page, too, and one that is promoted is seen without a new spill.
        sessions.drop(PLAN.session)
        redis.hset(f"{settings.redis.key_prefix}:verifying", "verify-rubbish", "{}")
        until(data, lambda _: not data.view(chosen).is_stored)
        until(data, lambda v: v.warnings and "of the replays cannot be read: verify-rubbish: " in v.warnings[-1])
        assert len(data.view().spills) == 4
        # What can be read is listed all the same.
        sessions.save(PLAN)
        until(data, lambda v: v.replays)


def test_plots_of_a_replay_say_so_everywhere() -> None:
    stored = run_book()
    shown = view(stored, session=PLAN.session, replays=(HALF,), behind=300)
    assert f"Run {RUN} Book replay Better State" in text_of(strip(shown))
    (banner,) = banners(shown)
    assert text_of(banner).startswith(f"↻ You look at run {RUN}, replay Better: not at the run’s own book")
    assert "The replay is at work, 25 % done" in text_of(banner)
    assert which_spills(shown) == f"Run {RUN}, replay Better · spills 0–7 (whole run)"
    assert file_name(shown, "ht01") == f"run{RUN}.replay-Better_ht01_spills0-7"
    # What it has not read yet is not missing.
    assert replace(shown, book=replace(stored, totals=replace(stored.totals, last_spill=20))).missing == 0


def links(part: Any) -> dict[str, str]:
    """Return what each link in a layout sets."""
    children = getattr(part, "children", part)
    if not isinstance(children, list | tuple):
        return {}
    found: dict[str, str] = {}
    for each in children:
        if "data-set" in getattr(each, "available_wildcard_properties", []) or hasattr(each, "data-set"):
            found[text_of(each)] = getattr(each, "data-set")
        found |= links(each)
    return found


def test_a_view_leads_to_the_same_view_of_the_other_book() -> None:
    of_run = links(controls(view(run_book(), replays=(HALF,)), Choices(), ["ht01"]))
    assert of_run["replay Better"] == of_run["Beside ↗"] == f"run={RUN}.replay-Better"
    assert of_run["Over"] == f"reference={RUN}.replay-Better"
    of_replay = links(controls(view(run_book(), session=PLAN.session, replays=(HALF,)), Choices(), ["ht01"]))
    assert of_replay["the run’s own"] == of_replay["Beside ↗"] == f"run={RUN}"
    assert of_replay["Over"] == f"reference={RUN}"
    assert of_replay["Freeze"] == f"frozen=now&run={RUN}.replay-Better"
    promoted = links(controls(view(run_book(), replays=(replace(HALF, promoted=(RUN,)),)), Choices(), ["ht01"]))
    assert promoted["live"] == f"run={RUN}.live"
    assert "Beside ↗" not in links(controls(view(run_book()), Choices(), ["ht01"]))
    assert links(runs_list(view(run_book(), replays=(HALF,))))[f"Run {RUN}, replay Better"].startswith(
        f"run={RUN}.replay-Better"
    )


def test_replays_are_listed_with_how_far_they_are() -> None:
    assert "There are no replays" in text_of(replays(view()))
    own = replace(HALF, plan=replace(PLAN, conditions="/tables/index.toml"))
    assert "from raw spills with own tables 25 %" in text_of(replays(view(replays=(own,))))
    many = replace(HALF, plan=replace(PLAN, runs=tuple(range(6000, 6010))), state="stopped", rate=None)
    said = text_of(replays(view(replays=(HALF, many))))
    of_one = f"25 %, 100 of 400 messages 50 a second, 6 s left 90 {RUN} Show Over live’s"
    assert f"Better 14 Nov 22:13 UTC at work from raw spills {of_one}" in said
    assert "stopped from raw spills 25 %, 100 of 400 messages 90 10 runs, 6000 to 6009 6000 Show" in said
