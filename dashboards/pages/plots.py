"""Pages of plots: the overview, a detector's for shifter and expert, one plot with its words."""

import json
from collections.abc import Collection, Sequence
from math import ceil
from typing import Any

from dash import html

from dashboards.addresses import at
from dashboards.choices import Beside
from dashboards.figures.parts import Figure
from dashboards.make import MEASURE, RUNS, SPILLS, WINDOWS, Maker
from dashboards.pages.alarms import Bell, sound
from dashboards.pages.alarms import link as to_alarms
from dashboards.pages.issues import known_button
from dashboards.pages.links import act, acting, to_page
from dashboards.pages.spills import PLACE, is_spill, no_spill, short, spill_on
from dashboards.pages.tables import ALARMS, CHANGED, ISSUES, PAGES, REPLAYS, has_table, table_id
from dashboards.pages.trying import TRY, trying
from streams.books.named import name_of_plot
from streams.books.spill_numbers import is_kept
from streams.experiment import experiment
from streams.plots.model import Plot, Trend

FEW = {1: 1, 2: 2, 3: 3, 4: 2, 5: 3, 6: 3}
"""Few plots on a page → columns on a wide screen; more have four, or three if that fills the rows."""
ROWS_AT_ONCE = 3
"""More rows than these are scrolled to."""
_EXPERT = "expert"
_ACTED_ON = {ALARMS: "alarm", ISSUES: "alarm", REPLAYS: "replay"}
"""Pages where one acts, by what it says became of it."""
_PAGES = {"Overview": "/", "Changes": f"/{CHANGED}"}


def entry(name: str) -> Plot | Trend:
    """Return a plot or trend of the catalogue."""
    return experiment().plots.get(name) or experiment().trends[name]


def on_the_overview() -> list[str]:
    """Return what tells in one look; where no detector says what, the first plot of each."""
    named = [name for detector in experiment().detectors.values() for name in detector.overview]
    return named or [name for detector in experiment().detectors for name in of_detector(detector, expert=False)[:1]]


def of_detector(detector: str, *, expert: bool) -> list[str]:
    """Return the plots and trends of a detector: the expert's, or those that the shifter watches."""
    of = experiment().detectors[detector]
    entries: tuple[Plot | Trend, ...] = (*of.plots, *of.trends)
    return [each.name for each in entries if each.expert == expert]


def names_on(path: str) -> list[str]:
    """Return the plots and trends at an address."""
    match path.strip("/").split("/"):
        case [""]:
            return on_the_overview()
        case ["detector", detector, *tab] if detector in experiment().detectors and tab in ([], [_EXPERT]):
            return of_detector(detector, expert=bool(tab))
        case ["plot", name] if name in experiment().plots or name in experiment().trends:
            return [name]
    return []


def is_page(path: str) -> bool:
    """Return whether there is a page at an address."""
    return bool(names_on(path) or tables_on(path) or spill_on(path) is not None or path.strip("/") == TRY)


def followed_on(path: str) -> str | None:
    """Return the plot at an address whose key number is shown beside it."""
    match path.strip("/").split("/"):
        case ["plot", name] if name in experiment().plots:
            return name
    return None


def beside_on(path: str) -> Beside | None:
    """Return what the page at an address shows of a run beside the whole of it."""
    if tables_on(path) == [CHANGED]:
        return Beside.LATELY
    return Beside.LAST_MINUTE if names_on(path) else None


def figures_on(path: str) -> list[str]:
    """Return all figures at an address: plots and trends, and what is shown beside them."""
    followed = followed_on(path)
    return names_on(path) + ([each for row in followed_of(followed) for each in row] if followed else [])


def followed_of(name: str) -> list[list[str]]:
    """Return a row of what the key number of a plot is followed over, and one for each of its measures."""
    key_number = (SPILLS, WINDOWS, RUNS) if is_kept(experiment().plots[name]) else (WINDOWS, RUNS)
    measures = [f"{name}{MEASURE}{place}" for place in range(len(experiment().plots[name].measures))]
    return [[name + over for over in key_number], *([measure + WINDOWS, measure + RUNS] for measure in measures)]


def tables_on(path: str) -> list[str]:
    """Return the tables at an address."""
    match path.strip("/").split("/"):
        case ["detector", name] if name in experiment().detectors and has_table(name):
            return [name]
        case [name] if name in PAGES:
            return [name]
    return []


def page(path: str, make: Maker) -> Any:
    """Return what stands at an address."""
    match path.strip("/").split("/"):
        case [""]:
            return grid(on_the_overview(), make)
        case ["detector", detector] if detector in experiment().detectors:
            return [tabs(detector, path), *table(detector), grid(of_detector(detector, expert=False), make)]
        case ["detector", detector, "expert"] if detector in experiment().detectors and of_detector(
            detector, expert=True
        ):
            return [tabs(detector, path), grid(of_detector(detector, expert=True), make)]
        case ["plot", name] if name in experiment().plots or name in experiment().trends:
            return plot_page(name, make)
        case [name] if name == CHANGED:
            return [*table(name), html.P(to_page("What would other limits have told?", f"/{TRY}"))]
        case [name] if name in PAGES:
            return [acting(_ACTED_ON[name]), *([sound()] if name == ALARMS else []), *table(name)]
        case [name] if name == TRY:
            return trying()
    if spill_on(path) is not None:
        return PLACE
    why = no_spill(path) if is_spill(path) else f"There is no page {short(path)}. Choose one above."
    return html.Div(why, className="card alone")


def navigation(path: str, absent: Collection[str] = (), bell: Bell = Bell()) -> list[Any]:  # noqa: B008 - frozen
    """Return the links to the pages, that of the open one marked, and those of detectors that are `absent` greyed.

    Parameters
    ----------
    bell
        Which alarms wait for somebody, and whether anybody watches.
    """
    match path.strip("/").split("/"):
        case ["detector", detector, *_]:
            here = f"/detector/{detector}"
        case ["plot", name] if name in experiment().plots or name in experiment().trends:
            here = f"/detector/{entry(name).detector}"
        case [name] if name == ISSUES:
            here = f"/{ALARMS}"
        case _:
            here = path
    links = [_link(title, href, marked=here == href) for title, href in _PAGES.items()]
    for name, of in experiment().detectors.items():
        href = f"/detector/{name}"
        links.append(_link(of.title, href, marked=here == href, absent=name in absent))
    replays = to_page("Replays", "/replays", className="apart here" if here == "/replays" else "apart")
    return [*links, to_alarms(here, bell), replays]


def tabs(detector: str, path: str) -> Any:
    """Return the links to a detector's pages: an address each, so that both can be sent to somebody."""
    watched, others = (len(of_detector(detector, expert=expert)) for expert in (False, True))
    if not others:
        return None
    shifter, expert = f"/detector/{detector}", f"/detector/{detector}/{_EXPERT}"
    on_expert = path.rstrip("/").endswith(_EXPERT)
    return html.Nav(
        [
            _link(f"For the shifter ({watched})", shifter, marked=not on_expert),
            _link(f"For the expert ({others})", expert, marked=on_expert),
        ],
        className="tabs",
    )


def table(name: str) -> list[Any]:
    """Return the place of a detector's table, if it has one; each update fills it."""
    return [html.Div(id=table_id(name), className="card table")] if has_table(name) else []


def plot_page(name: str, make: Maker) -> Any:
    """Return one plot, large, with its words."""
    plot = entry(name)
    words = [
        ("What it shows", plot.words.shows),
        ("What is normal", plot.words.normal),
        ("What to do", plot.words.action),
        ("Whom to call", plot.words.call),
    ]
    texts = [html.Div([html.H3(title), html.P(text)]) for title, text in words]
    keywords = html.P(" · ".join(plot.keywords), className="keywords")
    beside = []
    if name in experiment().plots:
        rows = [[html.Div(_graph(each, make), className="card") for each in row] for row in followed_of(name)]
        histories = [html.Div(row, className="histories") for row in rows]
        beside = [html.Div(histories, className="all-histories")] if len(histories) > 1 else histories
    back = to_page(f"← {experiment().detectors[plot.detector].title}", f"/detector/{plot.detector}")
    return html.Div(
        [
            html.Div(_graph(name, make), className="card"),
            *beside,
            html.Div(
                [html.Div([back, *_neighbours(name)], className="around"), *texts, _files(name), keywords],
                className="card texts",
            ),
        ],
        className="one-plot followed" if beside else "one-plot",
    )


def grid(names: Sequence[str], make: Maker) -> Any:
    """Return plots side by side; each leads to its own page."""
    columns = FEW.get(len(names)) or (4 if len(names) % 4 == 0 or len(names) % 3 else 3)
    rows = ceil(len(names) / columns)
    wide = columns * rows - len(names)  # the first ones take the room that the last row would leave
    cards = [
        html.Div(
            [_graph(name, make), to_page("More ›", f"/plot/{name}", className="more")],
            className="card wide" if number < wide else "card",
        )
        for number, name in enumerate(names)
    ]
    return html.Div(cards, className="grid", style={"--columns": columns, "--rows": min(rows, ROWS_AT_ONCE)})


def _link(title: str, href: str, *, marked: bool, absent: bool = False) -> Any:
    classes = [name for name, has in (("here", marked), ("absent", absent)) if has]
    return to_page(
        title, href, className=" ".join(classes), **({"title": "Not read out in this run"} if absent else {})
    )


def _neighbours(name: str) -> list[Any]:
    """Return links to the plots before and after this one, in the catalogue's order."""
    order = [*experiment().plots, *experiment().trends]
    order.sort(key=lambda each: list(experiment().detectors).index(entry(each).detector))
    at = order.index(name)
    before, after = order[at - 1], order[(at + 1) % len(order)]
    return [
        to_page("‹ Previous", f"/plot/{before}", key="p", title=entry(before).title),
        to_page("Next ›", f"/plot/{after}", key="n", title=entry(after).title),
    ]


def _files(name: str) -> Any:
    """Return what saves the picture and the numbers; the browser adds what is chosen now."""
    kinds = ["csv", "json"] if name in experiment().plots else ["csv"]
    known = [known_button(name_of_plot(name))] if name in experiment().plots else []
    return html.Div(
        [
            html.H3("Save"),
            act("PNG", "png", said="Save the picture as PNG"),
            act("SVG", "svg", said="Save the picture as SVG"),
            *(
                html.A(kind.upper(), href=at(f"/export/{name}.{kind}"), className="choice", **{"data-file": ""})
                for kind in kinds
            ),
            *known,
        ],
        className="save",
    )


def _graph(name: str, make: Maker) -> Any:
    made = make(name)
    figure = json.dumps(made, separators=(",", ":"), allow_nan=False)
    classes = "figure known" if _is_known(made) else "figure"
    return html.Div(
        id={"type": "figure", "name": name}, className=classes, tabIndex=0, role="group", **{"data-figure": figure}
    )


def _is_known(figure: Figure) -> bool:
    return bool(figure.get("layout", {}).get("meta", {}).get("known"))
