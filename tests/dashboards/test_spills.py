"""Single spills on the page: their addresses, the links to them, and what is found in the background."""

import threading
import time
from collections.abc import Callable
from dataclasses import replace

import pytest

from dashboards.choices import Choices, number
from dashboards.data import ShownSpill, SpillAddress, lookups, spills
from dashboards.data.lookups import MOST_WAITING, Lookups
from dashboards.live import Look
from dashboards.pages.plots import is_page, page
from dashboards.pages.spills import choices_on, filling_line, spill_on, spill_parts
from streams.books.block_spills import BlockSpill
from streams.books.shapes import PlotVerdict, State
from streams.books.spill_search import Filling
from streams.books.spill_words import MOST_ROWS, table_words
from streams.checks.shapes import Block, Shape
from streams.errors import SpilldeckError
from streams.experiments.mice.simulator import SimulatedRun
from streams.experiments.mice.tables.tof import Tof
from streams.settings import Settings
from tests.dashboards.conftest import WAIT_S
from tests.dashboards.views import RUN, run_book, text_of, view
from tests.records import reconstructed_spill

PLOT = "hslabhits10"
BLOCK = Block(first=(3,), last=(3,), share=0.4, expected=0.1, evidence=99.0)
OFF = PlotVerdict(plot=PLOT, state=State.BAD, shape=Shape(entries=900, reference=900, worst=BLOCK))
FILLING = Filling(
    is_lacking=False,
    expected=0.1,
    spills=(
        BlockSpill(spill=412, inside=41, entries=164, triggers=(3, 9), has_more=True),
        BlockSpill(spill=413, inside=7, entries=100),
    ),
    matching=2,
    looked=60,
    of=60,
    is_all=True,
    is_as_counted=True,
)
ADDRESS = SpillAddress(run=7, spill=412, trigger=3)


@pytest.mark.parametrize(
    ("path", "address"),
    [
        ("/spill/7/412", replace(ADDRESS, trigger=None)),
        ("/spill/7/412/3", ADDRESS),
        ("/spill/7/412/", replace(ADDRESS, trigger=None)),
        ("/spill/7", None),
        ("/spill/7/x", None),
        ("/spill/7/-1", None),
        ("/spill/7/412/3/4", None),
        (f"/spill/7/{10**12}", None),
        (f"/spill/{2**31}/1", None),
        ("/spill/7/412/-3", None),
        ("/spill", None),
        ("/spill/7/²", None),
    ],
)
def test_a_spill_has_an_address_and_nothing_else_is_one(path: str, address: SpillAddress | None) -> None:
    assert spill_on(path) == address
    assert is_page(path) is (address is not None)
    its = page(path, lambda _: {})
    assert (getattr(its, "id", None) == "spill") is (address is not None)
    if address is None:
        assert "A spill is at /spill/RUN/SPILL or /spill/RUN/SPILL/TRIGGER, each a number from 0 to" in text_of(its)
        wrong = [each for each in path.split("/")[2:] if number(each) is None]
        assert all(each[:60] in text_of(its) for each in wrong)


def test_what_an_address_says_is_not_repeated_at_any_length() -> None:
    for path in (f"/spill/7/{'9' * 4000}", f"/plot/{'x' * 4000}"):
        assert len(text_of(page(path, lambda _: {}))) < 250


def test_the_page_of_a_spill_is_of_the_run_of_that_spill_and_of_its_book_if_that_was_chosen() -> None:
    chosen = Choices(run=8, session="replay-x", window=60, frozen=1_700_000_000_000, log=frozenset("y"))
    assert choices_on("/spill/7/412", chosen) == Choices(run=7, log=frozenset("y"))
    assert choices_on("/spill/8/412", chosen) == Choices(run=8, session="replay-x", log=frozenset("y"))
    assert choices_on("/plot/ht01", chosen) is chosen
    look = Look.of({"path": "/spill/7/412", "search": "?run=8"})
    assert look.choices.run == 7


def test_a_spill_and_a_trigger_that_are_not_there_are_said_with_what_there_is(monkeypatch: pytest.MonkeyPatch) -> None:
    run, book = SimulatedRun(run=RUN, spills=8, mean_triggers=20), run_book()
    raw = run.spill(3).raw
    triggers = run_book().ledger[3].triggers
    monkeypatch.setattr(spills, "find_raw", lambda *_: raw)

    def shown(spill: int, trigger: int | None = None) -> ShownSpill:
        return spills.show(Settings(), SpillAddress(run=RUN, spill=spill, trigger=trigger), book, lambda _: None)

    assert not shown(3, triggers - 1).no_trigger
    no_trigger = shown(3, triggers)
    assert (
        no_trigger.no_trigger == f"It has no trigger {triggers}: it has {triggers} particle triggers, counted from 0."
    )
    assert not any(f"of trigger {triggers}" in title for title, _ in no_trigger.tables)
    assert no_trigger.no_trigger in text_of(spill_parts(SpillAddress(run=RUN, spill=3, trigger=triggers), no_trigger))
    with pytest.raises(
        SpilldeckError, match=f"There is no spill 4000 in run {RUN}: it has 8 spills, and the last that came is 7"
    ):
        shown(4000)
    monkeypatch.setattr(spills, "find_raw", lambda *_: None)
    with pytest.raises(SpilldeckError, match=f"Spill 3 of run {RUN} is no longer in Kafka"):
        shown(3)


def test_a_plot_that_is_off_has_links_to_the_spills_and_their_triggers() -> None:
    shown = view(run_book(), shapes={PLOT: OFF}, filling=FILLING)
    (line,) = filling_line(shown, PLOT)
    links = [part for part in line.children if hasattr(part, "href")]
    assert [link.href for link in links] == [f"/spill/{RUN}/412/3", f"/spill/{RUN}/413"]
    assert links[0].title == "41 of its 164 entries, where 16 were expected"
    assert text_of(line) == "Spills that filled it :  412 (triggers 3, 9 …) ,  413"


def test_until_they_are_found_and_where_they_cannot_be_the_plot_says_so() -> None:
    for filling, said in (
        (None, "Spills that filled it: looking …"),
        ("no Kafka answers", "Spills that filled it: no Kafka answers."),
    ):
        assert text_of(filling_line(view(run_book(), shapes={PLOT: OFF}, filling=filling), PLOT)) == said
    assert filling_line(view(run_book(), shapes={PLOT: replace(OFF, state=State.GOOD)}), PLOT) == []


def test_a_spill_is_looked_for_shown_or_said_not_to_be_there() -> None:
    assert "Looking for it" in text_of(spill_parts(ADDRESS, None))
    assert "It is gone." in text_of(spill_parts(ADDRESS, "It is gone"))
    spill = ShownSpill(numbers={"bytes": "9"}, tables=(("tof hits", "slab"),), bytes_words="0  00", has_more=True)
    said = text_of(spill_parts(ADDRESS, spill))
    assert "Run 7, spill 412 bytes 9 tof hits slab" in said
    assert "spilldeck spills get --run 7 --spill 412 --raw" in said


def test_the_rows_of_a_trigger_come_first() -> None:
    spill = next(its for n in range(50) if len((its := reconstructed_spill(n)).get(Tof).hits) > MOST_ROWS)  # type: ignore[union-attr]
    hits = spill.get(Tof).hits  # type: ignore[union-attr]
    last = int(hits.trigger.max())
    title, rows = table_words("tof hits", hits, last)
    count = int((hits.trigger == last).sum())
    assert title == f"tof hits: {len(hits)} rows, {count} of trigger {last}"
    head, *lines, more = rows.splitlines()
    assert head.split()[0] == "trigger"
    assert len(lines) == MOST_ROWS
    assert more == "…"
    first = [int(line.split()[0]) for line in lines]
    assert first[:count] == [last] * min(count, MOST_ROWS)
    assert last not in first[count:]
    assert table_words("tof hits", hits, None)[0] == f"tof hits: {len(hits)} rows"


def until(found: Callable[[], object]) -> None:
    deadline = time.monotonic() + WAIT_S
    while not found():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def test_what_several_ask_for_is_found_once_and_nobody_waits() -> None:
    found, go_on, asked = Lookups[int]("test"), threading.Event(), []

    def find() -> int:
        asked.append(1)
        go_on.wait()
        return 7

    assert [found.get("a", find) for _ in range(20)] == [None] * 20
    go_on.set()
    until(lambda: found.get("a", find) == 7)
    assert asked == [1]
    found.close()


def test_who_asks_for_too_much_is_not_remembered() -> None:
    found, go_on, asked = Lookups[int]("test"), threading.Event(), list[int]()
    for key in range(3 * MOST_WAITING):
        found.get(key, lambda key=key: (go_on.wait(), asked.append(key), key)[2])  # type: ignore[misc]
    go_on.set()
    until(lambda: len(asked) == MOST_WAITING)
    until(lambda: found.get(3 * MOST_WAITING, lambda: 1) == 1)
    assert len(asked) == MOST_WAITING
    found.close()


def test_what_could_not_be_found_is_said_and_looked_for_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lookups, "AGAIN_S", 0.05)
    found, faults = Lookups[int]("test"), [SpilldeckError("no Kafka answers"), ValueError("own words")]

    def find() -> int:
        if faults:
            raise faults.pop(0)
        return 7

    said = []
    until(lambda: said.append(found.get("a", find)) or said[-1] == 7)  # type: ignore[func-returns-value]
    assert list(dict.fromkeys(said)) in (
        [None, "no Kafka answers", "The server failed: its log says why", 7],
        ["no Kafka answers", "The server failed: its log says why", 7],
    )
    found.close()
