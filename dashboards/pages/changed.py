"""The page of what changed: what moved of late against the rest of the run, or against the reference."""

from collections.abc import Mapping
from typing import Any

from dash import html

from dashboards.choices import LAST_MINUTE, Choices
from dashboards.data import Part, Reference, View, book_words, window_words
from dashboards.pages.links import to_page
from schemas.columns import I8
from streams.books.book import Book
from streams.books.changed import ALL, Changed, Moved, Side, changed, without
from streams.books.judgement import MOST
from streams.books.shapes import PlotVerdict, State, percent, where
from streams.books.windows import Window
from streams.checks.counts import SETTLING
from streams.experiment import experiment
from streams.plots.spillfacts import SpillFacts
from streams.words import several

MOST_PLOTS, MOST_CHANNELS = 20, 12
"""That are listed: a board that dies takes hundreds of channels with it."""
HEADS = {
    "What": "",
    "How it moved": "",
    "Elsewhere": "Share of the entries that lie elsewhere; of a channel, of its group’s hits",
    "Entries": "Here, and in what it is compared with, those of a trigger as one; of a channel, what was expected",
    "Evidence": "How much likelier a change is than chance, as a logarithm",
}


def what_changed(view: View, choices: Choices) -> list[Any]:
    """Return what changed, the largest first; in words, if nothing can be told."""
    sides = _sides(view, choices)
    if isinstance(sides, str):
        return [html.P(sides)]
    ours, theirs = sides
    found = changed(ours, theirs, view.limits)
    rows = [*_channels(found), *_plots(found), *_rest(found)]
    head = html.Tr([html.Th(each, scope="col", title=said) for each, said in HEADS.items()])
    return [
        html.P([html.B(_lead(found)), f" {ours.called} against {theirs.called}."]),
        *map(html.P, _doubts(view, choices)),
        html.Table([html.Thead(head), html.Tbody(rows)], className="changed"),
    ]


def _sides(view: View, choices: Choices) -> tuple[Side, Side] | str:
    """Return what is compared, or why nothing can be."""
    if why := _why_nothing(view, choices):
        return why
    its, reference = view.beside, view.reference if choices.against_reference else None
    if reference is not None and choices.window is None:
        called = f"{book_words(view.run, view.session, 'Run')}, spills {_numbers(view.run_spills)},"
        return _side(called, view.book.book, view, view.run_spills), _reference_side(reference)
    if its is None or its.unreadable or not its.windows:
        return f"{its.unreadable}. Nobody knows what changed." if its and its.unreadable else "This window is not kept."
    if not its.is_of_whole:
        return "Spills come faster than the run can be read with a part of it: what changed is told once fewer come."
    span = window_words(Window(its.windows[0].start, its.windows[-1].end - its.windows[0].start))
    part = {None: "its end" if view.is_over else "of late", LAST_MINUTE: "last minute"}.get(
        choices.window, "this window"
    )
    share = f"{len(view.beside_spills):,} of the run’s {several(len(view.run_spills), 'spill')}"
    called = f"Spills {_numbers(view.beside_spills)} ({part}, {share}, {span})"
    ours = _side(called, its.book, view, view.beside_spills, its.windows)
    theirs = _rest_side(view, its) if reference is None else _reference_side(reference)
    few = f"Not enough data: {theirs.spills} of {SETTLING} spills to compare with. {called}."
    return (ours, theirs) if reference is not None or theirs.spills >= SETTLING else few


def _why_nothing(view: View, choices: Choices) -> str:
    """Return why there is nothing to compare; empty if there may be something."""
    run = book_words(view.run, view.session, "Run")
    if view.run is None:
        return "There is no run yet."
    if view.is_loading or (view.beside is None and not view.is_frozen):
        return f"{run} is being read."
    if not view.book.totals.filled:
        return f"{run} has no spills{view.yet}."
    if choices.against_reference and view.reference is None:
        return "There is no run to compare with: choose one, or compare with the rest of the run."
    return ""


def _rest_side(view: View, part: Part) -> Side:
    """Return the run without a part of it."""
    times_us = view.run_spills.time_us
    both = [view.run_spills.rows(times_us < part.since_us), view.run_spills.rows(times_us >= part.until_us)]
    return Side(
        called=f"the rest of the run, spills {' and '.join(_numbers(each) for each in both if len(each))}",
        histogram=without(view.book.book, part.book),
        spills=sum(map(len, both)),
        triggers=sum(int(each.triggers.sum()) for each in both),
        hits=view.hits.without(part.windows) if view.hits is not None else {},
    )


def _side(
    called: str,
    book: Book,
    view: View,
    spills: SpillFacts,
    windows: tuple[Window, ...] | None = None,
) -> Side:
    """Return the run that is shown, or some windows of it."""
    hits: Mapping[str, I8] = {}
    if view.hits is not None:
        hits = view.hits.without([]) if windows is None else view.hits.within(windows)
    return Side(
        called=called,
        histogram=book.__getitem__,
        spills=len(view.run_spills),
        triggers=int(spills.triggers.sum()),
        hits=hits,
    )


def _reference_side(reference: Reference) -> Side:
    spills = reference.spills
    return Side(
        called=reference.called,
        histogram=reference.histogram,
        spills=len(spills) if spills is not None else 1,
        triggers=int(spills.triggers.sum()) if spills is not None else None,
        hits=reference.hits.without([]) if reference.hits is not None else {},
    )


def _numbers(spills: SpillFacts) -> str:
    return f"{spills.spill[0]}–{spills.spill[-1]}" if len(spills) else "–"


def _doubts(view: View, choices: Choices) -> list[str]:
    """Return what is not known of the channels."""
    theirs = view.reference.hits if view.reference is not None and choices.against_reference else None
    hits = [each for each in (view.hits, theirs) if each is not None]
    said = [f"Hits by channel cannot be read: {each.problem}." for each in hits if each.problem]
    if left := sum(each.left for each in hits):
        said.append(f"Hits by channel of {several(left, 'spill')} are still to be read.")
    return said


def _lead(found: Changed) -> str:
    counts = ((sum(each.told for each in found.channels), "channel"), (len(found.plots), "plot"))
    moved = [several(count, what) for count, what in counts if count]
    return f"{' and '.join(moved) or 'Nothing'} moved by more than chance."


def _channels(found: Changed) -> list[Any]:
    rows = [_row(*_channel(each)) for each in found.channels[:MOST_CHANNELS]]
    return [*rows, *_more(sum(each.told for each in found.channels[MOST_CHANNELS:]), "channel")]


def _channel(moved: Moved) -> tuple[Any, ...]:
    words = f"{moved.group} {moved.channel}".strip()
    if moved.told > 1:
        words = f"{words}: {moved.told} of {moved.among} channels"
    by = "by the particle triggers" if moved.channel == ALL else f"by the others in {moved.group}"
    factor = f"× {moved.factor:.2g}" if moved.factor < MOST else "new"
    how = (
        f"{factor if moved.hits else 'silent'}: {moved.hits:,.0f} hits, where {moved.expected:,.0f} were expected {by}"
    )
    link = to_page(words, f"/detector/{moved.detector}")
    return True, link, how, moved.size, moved.hits, moved.expected, moved.evidence


def _plots(found: Changed) -> list[Any]:
    rows = [_row(*_plot(each)) for each in found.plots[:MOST_PLOTS]]
    return [*rows, *_more(len(found.plots) - MOST_PLOTS, "plot")]


def _plot(verdict: PlotVerdict) -> tuple[Any, ...]:
    shape = verdict.shape
    assert shape is not None  # noqa: S101 - it has moved
    link = to_page(experiment().plots[verdict.plot].title, f"/plot/{verdict.plot}")
    how = f"Most of all: {where(verdict.plot, shape.worst)}"
    is_large = verdict.state is not State.GOOD
    return is_large, link, how, shape.elsewhere, shape.entries, shape.reference, shape.evidence


def _row(is_large: bool, what: Any, how: str, elsewhere: float, entries: float, others: float, evidence: float) -> Any:
    mark = html.Span("▲" if is_large else "△", className="mark", title="Large" if is_large else "Small")
    numbers = (percent(elsewhere), f"{entries:,.0f} / {others:,.0f}", f"{evidence:.0f}")
    cells = [html.Td(how), *map(html.Td, numbers)]
    return html.Tr([html.Th([mark, what], scope="row"), *cells], className="large" if is_large else "")


def _more(left: int, what: str) -> list[Any]:
    return [_remark(f"{several(left, what)} more", "moved less than these.")] if left > 0 else []


def _rest(found: Changed) -> list[Any]:
    """Return the rows of what did not move, as far as anybody can tell, and of what nobody can tell."""
    steady = [
        several(count, what)
        for count, what in ((found.steady_plots, "plot"), (found.steady_channels, "channel"))
        if count
    ]
    rows = [_remark("Nothing else moved by more than chance", ", ".join(steady))] if steady else []
    unknown = (("Not enough data", found.few), ("Not compared", found.not_compared))
    return rows + [_remark(title, _list(whys)) for title, whys in unknown if whys]


def _list(whys: Mapping[str, str]) -> Any:
    plots = experiment().plots
    lines = [f"{plots[name].title if name in plots else name}: {why}" for name, why in whys.items()]
    return html.Details([html.Summary(f"{len(lines)} of them"), html.Ul([html.Li(line) for line in lines])])


def _remark(title: str, words: Any) -> Any:
    return html.Tr([html.Th(title, scope="row"), html.Td(words, colSpan=len(HEADS) - 1)], className="remark")
