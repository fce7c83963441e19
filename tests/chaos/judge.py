"""What the books must be after all harm: the pure calculation of what was sent, and one whole in itself."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace

from schemas.records import RawSpill, ReconstructedSpill
from streams.books.book import Book
from streams.books.compare import differences
from streams.books.part_reader import UnreadableRunError
from streams.books.reader import BookReader
from streams.books.run import RunBook
from streams.conditions.store import ConditionsStore
from streams.experiment import experiment
from streams.process import RunResult, process
from streams.settings import Settings
from streams.topics import Topics
from tests.catalogue import PLOTS
from tests.chaos import planted
from tests.chaos.cluster import Cluster
from tests.chaos.daq import Record
from tests.chaos.tables import BREAKABLE_RUNS
from tests.kafka import messages
from tests.same_counts import differing
from tests.wire import decode


def is_whole(books: BookReader, run: int) -> bool:
    """Say whether all that Redis has of a run can be read, and fits together; a worker hears of it if not."""
    try:
        return not what_does_not_fit(books, run)
    except UnreadableRunError:
        return False


def what_does_not_fit(books: BookReader, run: int) -> list[str]:
    """Return what does not fit together of what Redis has of a run."""
    stored, place, windows = books.run(run, {}), books.places().get(run), books.windows(run)
    totals, found = stored.totals, list[str]()
    if totals.filled + totals.all_rejected != totals.received - totals.duplicates:
        found.append(f"the counters do not add up: {totals}")
    if place is None or (place.received, place.filled) != (totals.received, totals.filled):
        found.append(f"the list of runs has {place}, the totals {totals}")
    if not totals.filled == len(stored.ledger) == sum(windows.values()):
        found.append(
            f"{totals.filled} spills filled, {len(stored.ledger)} remembered, {sum(windows.values())} in windows"
        )
    joined = Book({})
    for window in windows:
        joined += books.window(run, window, {})
    if others := sorted(differing(joined, stored.book)):
        found.append(f"the windows have other entries than the run in {len(others)} plots, as {others[0]}")
    return found


def judge(cluster: Cluster, sent: Sequence[Record]) -> list[str]:
    """Return what is other than it must be once all that was sent is counted."""
    books, settings = cluster.books, cluster.settings
    with planted.plant():
        expected = process(sent, ConditionsStore([(cluster.index, cluster.index.parent)]).for_run)
    order, found = _out_of_order(settings, expected), list[str]()
    for run, result in expected.items():
        here, there = result.run_book(), books.run(run, {})
        if run in BREAKABLE_RUNS:
            here, there = _without_conditions(here), _without_conditions(there)
        wrong = [*differences(here, there), *what_does_not_fit(books, run)]
        if there.totals.out_of_order != order[run]:
            wrong.append(f"out of order: {order[run]} here, {there.totals.out_of_order} there")
        if run in planted.RUNS and (there.totals.rejected, there.totals.errors) != ({"fault": 2}, {"tof": 1}):
            wrong.append(f"of the planted faults {there.totals.rejected} and {there.totals.errors} are told")
        found += [f"run {run}: {what}" for what in wrong]
    found += [f"run {run} should not be there" for run in books.places().keys() - expected.keys()]
    found += _of_other_tables(settings, expected)
    # Kafka has lost nothing: three brokers, each killed as it was, have all that they acknowledged.
    return found + [loss.what for progress in books.progress().values() for loss in progress.lost]


def _without_conditions(account: RunBook) -> RunBook:
    """Return an account of a run without what its conditions make: when they could be read, nobody knows."""
    made = {name for name, its in experiment().reconstructions.items() if its.needs_conditions}
    book = Book({})
    for name in account.book:
        if not experiment().needs(PLOTS[name]) & made:
            book[name] = account.book[name]
    totals = replace(
        account.totals,
        errors=Counter({name: n for name, n in account.totals.errors.items() if name not in made}),
        first_errors={name: why for name, why in account.totals.first_errors.items() if name not in made},
        detectors={name: hits for name, hits in account.totals.detectors.items() if name not in made},
        conditions=set(),
    )
    return replace(account, totals=totals, book=book, key_numbers={}, channel_counts={})


def _out_of_order(settings: Settings, expected: Mapping[int, RunResult]) -> Counter[int]:
    """Return, for each run, how many spills come after one with a higher number in the same partition of spills.raw."""
    last: dict[tuple[int, int], int] = {}
    seen: set[tuple[int, int]] = set()
    found: Counter[int] = Counter()
    for message in messages(settings, Topics.of(settings).raw):
        record = decode(message.value() or b"")
        if not isinstance(record, RawSpill) or (record.run, record.spill) in seen:
            continue
        if record.spill not in expected[record.run].part.ledger:
            continue
        seen.add((record.run, record.spill))
        place = record.run, message.partition() or 0
        found[record.run] += record.spill < last.get(place, -1)
        last[place] = max(last.get(place, -1), record.spill)
    return found


def _of_other_tables(settings: Settings, expected: Mapping[int, RunResult]) -> list[str]:
    """Return a sentence if something in spills.reco was made with other tables than those of live."""
    ours = {digest for result in expected.values() for digest in result.part.totals.conditions} | {""}
    made = (decode(message.value() or b"") for message in messages(settings, Topics.of(settings).reco))
    theirs = [one for one in made if isinstance(one, ReconstructedSpill) and one.conditions not in ours]
    return [f"{len(theirs)} spills in spills.reco were made with other tables"] if theirs else []
