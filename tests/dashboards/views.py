"""Views and books made without a server."""

from functools import cache
from typing import Any

from dashboards.data import Automatic, History, RunSummary, StoredRuns, View
from schemas.records import RawSpill
from streams.books.book import Book
from streams.books.duties import Agenda
from streams.books.limits import TypeLimits
from streams.books.run import RunBook, spill_facts
from streams.books.totals import Control, Totals
from streams.conditions.store import ConditionsStore
from streams.experiments.mice.simulator import SimulatedRun
from streams.freshness import Freshness, Level, Observed
from streams.process import process

RUN = 900_031
END = {"end": Control(time_us=1, events=2, run_type="")}
"""What the DAQ said of a run that has ended."""
CONDITIONS = ConditionsStore([]).for_run
"""Of simulated runs, which are read once."""
EMPTY = RunBook(totals=Totals(), ledger={}, book=Book({}))


def _simulated(run: int, spills: int) -> SimulatedRun:
    return SimulatedRun(run=run, spills=spills, mean_triggers=20)


@cache
def run_book(spills: int = 8, *, run: int = RUN, conditions: bool = True) -> RunBook:
    """Return the books of a simulated run, without its end."""
    records = [r for r in _simulated(run, spills).records() if isinstance(r, RawSpill)]
    return process(records, CONDITIONS if conditions else lambda _: None)[run].run_book()


def view(book: RunBook = EMPTY, **changes: Any) -> View:
    """Return a view of a run's books."""
    fresh = Freshness(level=Level.GOOD, text="Last spill 1 s ago")
    run = changes.get("run", RUN if book.totals.received or book.totals.control else None)
    values: dict[str, Any] = {
        "now_s": 1_700_000_000.0,
        "run": run,
        "session": None,
        "current": run,
        "runs": () if run is None else (RunSummary(run=run, run_type="", begin_us=0, ended=False),),
        "book": book,
        "judgement": None,
        "shapes": {},
        "explained": {},
        "flags": {},
        "proposed": {},
        "alarms": (),
        "checklists": (),
        "agenda": Agenda(),
        "issues": (),
        "known": (),
        "limits": TypeLimits(),
        "filling": None,
        "is_loading": False,
        "is_made_again": False,
        "is_unreadable": False,
        "is_retired": False,
        "is_kept": False,
        "absent": {},
        "notes": (),
        "shown": book.book,
        "window": None,
        "windows": (),
        "beside": None,
        "beside_spills": spill_facts({}),
        "hits": None,
        "beyond_axis": {},
        "history": History(),
        "reference": None,
        "imports": (),
        "automatic": Automatic(),
        "automatic_faults": 0,
        "expected_rate": None,
        "spills": spill_facts(book.ledger, refused=book.totals.refused),
        "run_spills": spill_facts(book.ledger, refused=book.totals.refused),
        "settled": None,
        "disordered": tuple(book.totals.disordered),
        "waited_s": 0.0,
        "stand_since_ms": 0,
        "is_frozen": False,
        "goes_on": None,
        "unattributed": Totals(),
        "version": "1",
        "behind": 0,
        "replays": (),
        "warnings": (),
        "is_old": False,
        "daq": fresh,
        "pipeline": fresh,
        "watching": Freshness(level=Level.GOOD, text="Watched"),
        "observed": Observed(now_s=1_700_000_000.0),
    }
    values |= changes
    return View(**values | {"runs": StoredRuns(values["runs"])})


def text_of(component: Any) -> str:
    """Return all the words in a layout, in order."""
    if component is None:
        return ""
    if isinstance(component, list | tuple):
        return " ".join(filter(None, map(text_of, component)))
    if isinstance(component, str | int | float):
        return str(component)
    return text_of(getattr(component, "children", None))
