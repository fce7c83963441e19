"""Links that keep what somebody chose: to another page, or to the same page with one thing chosen otherwise."""

import json
from collections.abc import Mapping
from typing import Any

from dash import html

from dashboards.access.roles import Role
from dashboards.addresses import at

_KEYS_SAID = {" ": "space"}


def to_page(words: Any, path: str, *, key: str = "", **properties: Any) -> Any:
    """Return a link to another page; the browser adds what is chosen now."""
    return html.A(words, href=at(path), **{"data-page": ""}, **_key(key, properties))


def to_page_with(words: Any, path: str, what: str, *, said: str) -> Any:
    """Return a link to another page that changes a part of what is chosen, too; see `choose`."""
    return html.A(
        words, href=f"{at(path)}?{what}", className="choice", title=said, **{"data-page": "", "data-set": what}
    )


def beside(words: Any, what: str, *, said: str) -> Any:
    """Return a link that opens this page once more, with a part of the address changed."""
    return html.A(words, href=f"?{what}", className="choice", title=said, target="_blank", **{"data-set": what})


def choose(words: Any, what: str, *, said: str, on: bool = False, key: str = "") -> Any:
    """Return a link that changes a part of the address.

    Parameters
    ----------
    what
        As it would stand in the address: ``window=last``. Without a value, the choice is taken back.
    said
        What it does, in full words.
    on
        Whether it is chosen.
    """
    properties = {"className": "choice on" if on else "choice", "title": said}
    return html.A(
        words, href=f"?{what}", **{"data-set": what, "aria-current": str(on).lower()}, **_key(key, properties)
    )


def act(words: Any, what: str, *, said: str, key: str = "") -> Any:
    """Return a button for what the browser does by itself; see ``around.js`` for what there is."""
    properties = {"className": "choice", "title": said}
    return html.Button(words, **{"data-do": what}, **_key(key, properties))


def decide(words: Any, path: str, said: Mapping[str, Any], *, asks: str, role: Role = Role.EXPERT) -> Any:
    """Return a button for what somebody with a role decides; see ``acting.js``, which asks for a reason first.

    Parameters
    ----------
    path
        Where it is asked of the server: ``/act/pin-reference``.
    said
        What is, besides the reason.
    asks
        The question, which says what it does.
    """
    what = {"data-act": at(path), "data-said": json.dumps(said), "data-asks": asks}
    return html.Button(words, type="button", className=f"choice may-{role}", title=asks, **what)


def log_button(plot: str = "", words: str = "", *, key: str = "") -> Any:
    """Return what opens the form in which one logs what one looks at.

    Parameters
    ----------
    plot
        Of which; empty if of none.
    words
        What it begins with; the browser takes what the tiles say where nobody says it.
    """
    said = f"Log it, for whoever comes next: {words}" if words else "Log what you see, for whoever comes next"
    properties = {"className": "choice may-shifter", "title": said, "type": "button"}
    its = {"data-do": "note", "data-plot": plot, "data-words": words}
    return html.Button("Log it", **its, **_key(key, properties))


def acting(name: str) -> Any:
    """Return where the browser says what may be done here, and what became of it."""
    return html.Div([html.P(className="acting why"), html.P(id=f"{name}-status", role="status")])


def _key(key: str, properties: dict[str, Any]) -> dict[str, Any]:
    if not key:
        return properties
    hint = f"({_KEYS_SAID.get(key, key)})"
    return properties | {"data-key": key, "title": f"{properties['title']} {hint}" if "title" in properties else hint}
