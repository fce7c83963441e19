"""Texts of anybody's messages as a terminal and a log may show them."""


def printable(text: str) -> str:
    """Return a text of somebody's message for a terminal or a log: what is not printed stands as an escape.

    Line feeds stay.
    """
    if text.isprintable():
        return text
    return "".join(
        c if c.isprintable() or c == "\n" else c.encode("unicode_escape", "surrogatepass").decode() for c in text
    )
