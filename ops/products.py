"""What is written of a run, and read to compare another with: its book, as UHI in JSON."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from ops.files import write_whole
from streams.books.cells import MAX_BYTES
from streams.books.kept_book import KeptBook, book_text
from streams.books.shapes import Against
from streams.errors import UsageError
from streams.files import read_whole
from streams.process import RunResult


def write_book(path: Path, result: RunResult) -> None:
    """Write a run's book: one JSON object of counts, and every plot as UHI, which `uhi.io.json` reads back.

    Raises
    ------
    UsageError
        When the file cannot be written.
    """
    try:
        write_whole(path, book_text(result.run, result.run_book(), result.to_json()))
    except OSError as error:
        raise UsageError(f"the book cannot be written to {path}: {error.strerror}") from error


def book_bytes(path: Path) -> bytes:
    """Return the text of a book that `write_book` wrote; raises UsageError when it cannot be read."""
    return read_whole(path, MAX_BYTES, "The book")


def read_books(paths: Sequence[Path]) -> list[KeptBook]:
    """Return books that `write_book` wrote.

    Raises
    ------
    UsageError
        When one cannot be read, or is none.
    """
    return [KeptBook.from_text(book_bytes(path), str(path)) for path in paths]


def against_books(books: Sequence[KeptBook]) -> Against:
    """Return books, the newest first, as something that plots are judged against."""
    newest, *earlier = (each.against for each in books)
    return replace(newest, earlier=earlier)
