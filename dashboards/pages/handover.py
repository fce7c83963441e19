"""The hand-over as a page of its own, which prints on two sheets: no script of the plots' pages is loaded for it."""

from html import escape

from streams.books.handover import Report, Section, Table
from streams.printable import printable

WHOLE = 12
"""Characters of a cell that is not broken."""


def sections(report: Report) -> str:
    """Return the parts of a hand-over as HTML."""
    return "\n".join(_section(each) for each in report.sections)


def _section(its: Section) -> str:
    table = _table(its.table) if its.table is not None else ""
    return f"<section><h2>{escape(its.title)}</h2>{_lines(its.lines)}{table}{_lines(its.after)}</section>"


def _lines(lines: tuple[str, ...]) -> str:
    return "".join(f"<p>{_text(line)}</p>" for line in lines)


def _table(its: Table) -> str:
    heads = "".join(f'<th scope="col">{escape(head)}</th>' for head in its.heads)
    rows = "".join(f"<tr>{''.join(map(_cell, row))}</tr>" for row in its.rows)
    # What is wider than the screen is scrolled, by the keyboard too.
    return f'<div class="wide" tabindex="0"><table><thead><tr>{heads}</tr></thead><tbody>{rows}</tbody></table></div>'


def _cell(text: str) -> str:
    # Texts give way to numbers and single words, which stay whole.
    return f"<td{' class=whole' if len(text) <= WHOLE else ''}>{_text(text)}</td>"


def _text(text: str) -> str:
    # A mark that has letters run the other way, or none be seen, would have a sheet say something else.
    return escape(printable(text))
