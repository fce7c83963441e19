"""Elements as the browser writes them: Dash has no forms."""

from typing import Any


def element(kind: str, children: Any = (), **attributes: str | bool) -> dict[str, Any]:
    """Return an element."""
    return {"type": kind, "props": {"children": list(children), **attributes}}


def label(parts: list[Any]) -> dict[str, Any]:
    """Return what a field is called, with the field."""
    return element("label", parts)
