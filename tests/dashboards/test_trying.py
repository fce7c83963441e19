"""Limits that somebody tries on the page: what they would have told, one after the other, and never for ever."""

import asyncio
from multiprocessing import Pipe
from typing import Any

import pytest

from dashboards.data import trying
from dashboards.data.judged_run import JudgedRun
from dashboards.data.trying import Trier, difference
from streams.books.judgement import Judgement
from streams.books.limits import TypeLimits
from streams.books.shapes import PlotVerdict, State
from streams.checks.shapes import Shape
from streams.errors import UsageError
from streams.settings import Settings


class Work:
    """Stands for the process."""

    def __init__(self, *said: Any, dies: bool = False) -> None:
        self.found, self.send = Pipe(duplex=False)
        for each in said:
            self.send.send(each)
        if dies:
            self.send.close()
        self.is_ended = False

    def end(self) -> None:
        self.is_ended = True


@pytest.mark.parametrize(
    ("work", "lines"),
    [
        (Work(["Run 1"], ["Run 2"], None), ["Run 1", "Run 2"]),
        (Work(None), ["There are no runs."]),
        (Work(["Run 1"], dies=True), ["Run 1", "The process that tried it died."]),
        (Work(["Run 1"]), ["Run 1", "The rest took more than 0 s: ask for fewer runs."]),
    ],
)
def test_what_was_found_is_told_and_what_takes_too_long_is_ended(
    monkeypatch: pytest.MonkeyPatch, work: Work, lines: list[str]
) -> None:
    monkeypatch.setattr(trying, "AT_MOST_S", 0.05)
    monkeypatch.setattr(trying, "Aside", lambda *_: work)
    trier = Trier(Settings())
    assert asyncio.run(trier.lines(b"[physics]", 3)) == lines
    assert work.is_ended
    assert not trier.is_at_work


@pytest.mark.parametrize(
    ("limits", "why"),
    [
        (b"[physics", "What was typed is no TOML"),
        (b"[physics]\nmatter = 0.1", "What was typed is wrong: physics.matter"),
        (b"[physics.plots.ht99]", "physics.plots.ht99 .line 1. is no plot"),
        (b"", "What was typed says nothing of any run type"),
        (b"\xff\xfe", "What was typed is no TOML"),
    ],
)
def test_what_are_no_limits_is_said_and_nothing_is_tried(
    monkeypatch: pytest.MonkeyPatch, limits: bytes, why: str
) -> None:
    monkeypatch.setattr(trying, "Aside", pytest.fail)
    with pytest.raises(UsageError, match=why):
        asyncio.run(Trier(Settings()).lines(limits, 3))


def judged(state: State, limits: TypeLimits, run_type: str = "physics") -> JudgedRun:
    off = PlotVerdict(plot="hspxy_1", state=state, shape=Shape(entries=900, reference=900, elsewhere=0.4))
    return JudgedRun(
        run=7,
        run_type=run_type,
        reference=None,
        compared="",
        book="",
        earlier=(),
        limits=limits,
        judgement=Judgement(spills=60, counted=60, last=59),
        shapes={"hspxy_1": off},
        too_many=[],
    )


@pytest.mark.parametrize(("run_type", "called"), [("physics", "physics"), ("", "none")])
def test_what_other_limits_only_warn_of_is_told_by_them_and_not_gone(run_type: str, called: str) -> None:
    warns = judged(State.WARNING, TypeLimits(only_warns=True), run_type)
    found = difference(judged(State.BAD, TypeLimits(), run_type), warns)
    assert ("plots that are off", 1, 1) in found.counts
    assert (found.gone, found.new) == ((), ())
    (said,) = found.warns
    assert said == f"tried: what is off is only a warning, they say so, or nothing of runs of type {called}"
    back = difference(warns, judged(State.BAD, TypeLimits(), run_type))
    assert back.warns == (said.replace("tried", "in force"),)
    gone = difference(warns, judged(State.GOOD, TypeLimits(), run_type))
    assert gone.gone == ("TOF1 beam spot",)
