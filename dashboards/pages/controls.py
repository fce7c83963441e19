"""What somebody can choose on a page of plots: run, window, axes, reference. Each is a link, so it can be sent."""

from collections.abc import Sequence
from typing import Any

from dash import html

from dashboards.choices import LAST_MINUTE, NOW, ROTATE_S, Beside, Choices, Mode, book_of
from dashboards.data import RunSummary, View, book_words, window_words
from dashboards.data.automatic import GOOD
from dashboards.make import window_verdicts
from dashboards.pages.links import act, beside, choose, decide, log_button, to_page
from streams.books import shapes
from streams.books.replays import called
from streams.books.shapes import State
from streams.experiment import experiment
from streams.freshness import MARK, span
from streams.settings import LIVE

WINDOWS_NAMED = 12
"""More windows than these have no room for their times."""
PASSED_OVER_NAMED = 5


def controls(view: View, choices: Choices, names: Sequence[str], beside: Beside | None = None) -> list[Any]:
    """Return the row of choices above the plots."""
    if beside is Beside.LATELY:
        return [
            _run(view, choices),
            _window("Whole run" if choices.against_reference else "Last ten minutes", choices),
            *_against(view, choices),
            _freezing(view, choices, log_button(key="e")),
            *_rotation(choices),
            *_scrub_bar(view, choices, ""),
        ]
    if not names:
        return [_run(view, choices), _group("", log_button(key="e"))]
    alone = names[0] if len(names) == 1 else ""
    return [
        _run(view, choices),
        _window("Whole run", choices),
        _group("Log", *_axes(choices, names), key=("l", _log(choices, names, {"y", "z"}))),
        _group(
            "",
            choose("Error bars", f"errors={'' if choices.errors else 1}", said="Draw error bars", on=choices.errors),
            act("Reset ranges", "reset", said="Show the axes from end to end"),
        ),
        _freezing(view, choices, log_button(alone, key="e")),
        _reference(view, choices),
        *_replay(view),
        *_rotation(choices),
        *(_scrub_bar(view, choices, alone) if alone or choices.window is not None else ()),
    ]


def _window(usual: str, choices: Choices) -> Any:
    """Return what chooses a part of the run; what is shown if nobody does is called `usual`."""
    return _group(
        "Window",
        choose(usual, "window=", said=f"Show the {usual.lower()}", on=choices.window is None),
        choose("Last minute", "window=last", said="Show the last minute alone", on=choices.window == LAST_MINUTE),
        key=("w", "window=last" if choices.window is None else "window="),
    )


def _against(view: View, choices: Choices) -> list[Any]:
    """Return what chooses with what it is compared, on the page of what changed."""
    is_reference = choices.against_reference
    found = [
        _group(
            "Against",
            choose("Rest of the run", "against=", said="Compare with the rest of the run", on=not is_reference),
            choose("Reference", "against=reference", said="Compare with the reference", on=is_reference),
        )
    ]
    if is_reference:
        name = _compared_with(view, choices) if view.reference is not None else "Choose a run"
        found.append(_group("Reference", act(name, "runs", said="Choose a run to compare with")))
    return found


def _freezing(view: View, choices: Choices, *more: Any) -> Any:
    return _group(
        "",
        choose("Go on", unfreeze(view), said="Let the plots update again", on=True, key=" ")
        if choices.frozen
        else choose(
            "Freeze",
            f"frozen={NOW}&run={book_of(view.run, view.session)}",
            said="Leave the plots as they are",
            key=" ",
        ),
        act("Link", "link", said="Link to this view"),
        *more,
    )


def _scrub_bar(view: View, choices: Choices, name: str) -> list[Any]:
    """Return the windows of the run side by side, each a link, and a step to either side of the one that is shown.

    Parameters
    ----------
    name
        The plot that is shown alone, of which each window says what is known; empty if several are.
    """
    windows, shown = view.windows, view.window_at(choices.window)
    if len(windows) < 2:
        return []
    at = len(windows) if shown is None else shown

    def step(title: str, to: int) -> Any:
        if not 0 <= to < len(windows):
            return html.Span(title, className="choice off")
        return choose(title, f"window={windows[to].start}", said=f"Window of {window_words(windows[to])}")

    verdicts = window_verdicts(view, name)
    bar = []
    for place, window in enumerate(windows):
        its = verdicts.get(window.start)
        is_off = its is not None and its.state in {State.BAD, State.WARNING}
        mark = f"{MARK[its.level]} " if its is not None and is_off else ""
        told = f": {shapes.words(its)}" if its is not None else ""
        level = its.level.value if its is not None else ""
        bar.append(
            # The steps are for the keyboard.
            html.A(
                f"{mark}{window_words(window)[:5] if len(windows) <= WINDOWS_NAMED else ''}".strip(),
                href=f"?window={window.start}",
                title=f"{window_words(window)}{told}",
                className=f"{level}{' on' if place == shown else ''}".strip(),
                tabIndex="-1",
                **{"data-set": f"window={window.start}", "aria-label": f"Window of {window_words(window)}{told}"},
            )
        )
    said = [window_words(windows[shown])] if shown is not None else []
    row = [
        html.Span("Windows", className="what"),
        step("‹", at - 1),
        html.Div(bar, className="scrub"),
        step("›", at + 1),
    ]
    return [html.Div([*row, *said], className="group whole-row")]


def _rotation(choices: Choices) -> list[Any]:
    if choices.rotate_s is None:
        return []
    times = [
        choose(span(each), f"rotate={each}", said=f"Go on after {span(each)}", on=each == choices.rotate_s)
        for each in ROTATE_S
    ]
    rotation = _group("Next page every", *times, choose("✕", "rotate=", said="Stay on this page"))
    rotation.className += " rotation"
    return [rotation]


def unfreeze(view: View) -> str:
    """Return what is chosen when frozen plots go on: the current run is followed again."""
    return "frozen=&run=" if view.run == view.current and view.session is None else "frozen="


def _replay(view: View) -> list[Any]:
    """Return the ways to the newest replay of the run that is shown; from a replay, to the book that is the run's."""
    others: list[str | None] = [None]
    if view.session is None:
        found = view.replays_of(view.run)
        others = [LIVE] if any(view.run in each.promoted for each in found) else []
        others += [each.plan.session for each in found if view.run not in each.promoted]
    if not others or view.run is None:
        return []
    name = called(others[0]) if others[0] is not None else "the run’s own"
    its = book_of(view.run, others[0])
    more = [to_page(f"{len(others) - 1} more ›", "/replays", className="choice")] if len(others) > 1 else []
    return [
        _group(
            "Other book",
            choose(name, f"run={its}", said=f"Show this view of {book_words(view.run, others[0])}"),
            beside("Beside ↗", f"run={its}", said=f"Open this view of {name} in a window of its own"),
            choose("Over", f"reference={its}", said=f"Compare with {name}"),
            *more,
        )
    ]


def _run(view: View, choices: Choices) -> Any:
    earlier, later = next(view.runs.before(view.run), None), view.runs.after(view.run)
    return _group(
        "Run",
        _step("‹", earlier, "Earlier run", "["),
        act(book_of(view.run) or "–", "runs", said="Choose a run"),
        _step("›", later, "Later run", "]"),
        choose("Live", "run=&frozen=", said="Follow the current run", on=choices.run is None),
    )


def _step(title: str, to: RunSummary | None, said: str, key: str) -> Any:
    if to is None:
        return html.Span(title, className="choice off")
    return choose(title, f"run={to.run}&frozen=", said=f"{said}: {to.run}", key=key)


def _axes(choices: Choices, names: Sequence[str]) -> list[Any]:
    now, counts = _log_now(choices, names), set(map(_counts, names))
    return [
        choose(axis, _log(choices, names, {axis}), said=words, on=axis in now)
        for axis, words in _LOG.items()
        if axis == "x" or axis in counts
    ]


_LOG = {"x": "Logarithmic x axis", "y": "Logarithmic y axis", "z": "Logarithmic colours"}


def _counts(name: str) -> str:
    """Return the axis of a plot that has its counts, or of a trend its values; that of shares is never logarithmic."""
    if name in experiment().plots and experiment().plots[name].is_share:
        return ""
    return "z" if name in experiment().plots and len(experiment().plots[name].axes) == 2 else "y"


def _log(choices: Choices, names: Sequence[str], axes: set[str]) -> str:
    """Return what is chosen when these axes are switched together."""
    now = _log_now(choices, names)
    wanted = now - axes if axes & now else now | axes
    return f"log={''.join(sorted(wanted)) or 'linear'}"


def _log_now(choices: Choices, names: Sequence[str]) -> set[str]:
    if choices.log is not None:
        return set(choices.log)
    return (
        {*map(_counts, names)}
        if names and all(name in experiment().plots and experiment().plots[name].log for name in names)
        else set()
    )


def _reference(view: View, choices: Choices) -> Any:
    shown = view.reference
    if choices.reference is None and choices.reference_file is None and shown is None:
        good = view.automatic.run
        if view.automatic.book is not None:
            said = f"Compare with what was pinned: {view.automatic.compared}"
            return _group("Reference", choose("Pinned book", "reference=", said=said, key="b"))
        if view.automatic.lost:
            lost = html.Span("what was pinned is not here", className="why", title=_why(view))
            return _group("Reference", lost, _unpin(view))
        earlier = previous_of_type(view) if good is None else good
        if earlier is None:
            return _group("", html.Span("No earlier run", className="choice off"))
        what = earlier if good is None else ""
        said = f"Compare with an earlier run: {earlier}"
        none_good = [html.Span("no good run of its type", className="why", title=_why(view))] if good is None else []
        return _group("Reference", choose(f"Run {earlier}", f"reference={what}", said=said, key="b"), *none_good)
    chosen = shown is None or shown.chosen
    why = "Somebody chose it." if chosen else _why(view)
    modes = [
        choose(mode.value.capitalize(), f"mode={mode.value}", said=_MODES[mode], on=choices.mode is mode)
        for mode in Mode
    ]
    return _group(
        "Reference",
        act(_compared_with(view, choices), "runs", said=f"{why} Choose a run to compare with."),
        html.Span("chosen" if chosen else _chosen_by(view), className="why", title=why),
        *([] if chosen or not view.automatic.is_pinned else [_unpin(view)]),
        *modes,
        choose("✕", "reference=none&mode=", said="Do not compare", key="b"),
    )


def _unpin(view: View) -> Any:
    ours = view.runs.get(view.run)
    run_type = ours.run_type if ours is not None else ""
    asks = f"Have the runs of type {run_type or 'none'} be compared with the newest good one again. Why?"
    return decide("Unpin", "/act/unpin-reference", {"run_type": run_type}, asks=asks)


def _compared_with(view: View, choices: Choices) -> str:
    """Return what is compared with: a run and how old it is, or a file and when it was imported."""
    shown = view.reference
    if choices.reference_file is not None:
        return shown.in_full if shown is not None else f"{choices.reference_file}, not here"
    if shown is not None:
        return shown.in_full + (_age(view, shown.run) if shown.run is not None else "")
    return book_words(choices.reference, choices.reference_session, "Run") + _age(view, choices.reference)


def _chosen_by(view: View) -> str:
    return "pinned for its type" if view.automatic.is_pinned else "newest good one of its type"


def _why(view: View) -> str:
    """Say how the reference is chosen if nobody does, and which newer runs were passed over for it."""
    if view.automatic.lost:
        return f"{view.automatic.lost[0].upper()}{view.automatic.lost[1:]}."
    if view.automatic.is_pinned:
        return "Somebody pinned it for the runs of this type: spilldeck references pinned."
    passed = [f"run {run} ({why})" for run, why in view.automatic.passed_over.items()]
    listed = ", ".join(passed[:PASSED_OVER_NAMED]) + (", …" if len(passed) > PASSED_OVER_NAMED else "")
    over = f" Passed over: {listed}." if passed else ""
    return f"The newest run before this one, of the same type, that is good ({GOOD}).{over}"


_MODES = {
    Mode.SHAPE: "Scale the reference to as many entries",
    Mode.SPILLS: "Scale the reference to as many spills",
    Mode.ABSOLUTE: "Compare entries as they are",
    Mode.RATIO: "Divide by the reference, scaled to as many entries",
    Mode.PULL: "Take away the reference, scaled to as many entries, and divide by the error",
}


def previous_of_type(view: View) -> int | None:
    """Return the run before the one that is shown: of its type, if there is one."""
    ours = view.runs.get(view.run)
    if ours is None:
        return None
    same = (each for each in view.runs.before(view.run) if each.run_type == ours.run_type)
    found = next(same, None) or next(view.runs.before(view.run), None)
    return found.run if found is not None else None


def _age(view: View, run: int | None) -> str:
    ours, theirs = view.runs.get(view.run), view.runs.get(run)
    if theirs is None:
        return ", not stored here"
    seconds = ((ours.begin_us if ours is not None else 0) - theirs.begin_us) / 1e6
    return f", {span(seconds)} earlier" if seconds > 0 and theirs.begin_us else ""


def _group(title: str, *parts: Any, key: tuple[str, str] | None = None) -> Any:
    """Return choices that belong together; a key may change them in turn."""
    hidden = [html.A(hidden=True, **{"data-key": key[0], "data-set": key[1]})] if key else []
    name = [html.Span(title, className="what")] if title else []
    return html.Div([*name, *parts, *hidden], className="group")
