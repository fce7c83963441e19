"""Single spills on the page: their addresses, the links to them, and what is found in the background."""

import threading
import time
from collections.abc import Callable
from dataclasses import replace

import pytest

from dashboards.data import ShownSpill, SpillAddress, lookups
from dashboards.data.lookups import MOST_WAITING, Lookups
from dashboards.pages.plots import is_page, page
from dashboards.pages.spills import filling_line, spill_on, spill_parts
from streams.books.block_spills import BlockSpill
from streams.books.shapes import PlotVerdict, State
from streams.books.spill_search import Filling
from streams.books.spill_words import MOST_ROWS, table_words
from streams.checks.shapes import Block, Shape
from streams.errors import SpilldeckError
from streams.experiments.mice.tables.tof import Tof
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
        ("/spill/7/²", None),
    ],
)
def test_a_spill_has_an_address_and_nothing_else_is_one(path: str, address: SpillAddress | None) -> None:
    assert spill_on(path) == address
    assert is_page(path) is (address is not None)
    assert (getattr(page(path, lambda _: {}), "id", None) == "spill") is (address is not None)


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
    deadline = time.monotonic() + 10
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
