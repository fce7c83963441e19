"""What is kept of a run that has ended: book, pictures and summary, in a directory of its own, all of it or nothing."""

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from ops.export.chosen import Chosen
from ops.files import sync, workspace
from schemas.records import RunRecord
from streams.books.kept_run import SUMMARY, Edition, directory_of
from streams.errors import UsageError

Export = Callable[[Chosen, Path], None]
"""Writes plots into a directory."""


def write_end_of_run(
    products: Path, chosen: Chosen, record: RunRecord, edition: Edition, judgement: Mapping[str, Any], export: Export
) -> None:
    """Write the directory of a run, in place of the one that is there.

    Parameters
    ----------
    judgement
        What is known to be wrong with it, as plain values.

    Raises
    ------
    UsageError
        When it cannot be written: then what was there is there still.
    """
    target = directory_of(products, chosen.run)
    try:
        products.mkdir(parents=True, exist_ok=True)
        with workspace(products) as room:
            new, former = room / "new", room / "former"
            new.mkdir()
            export(chosen, new)
            (new / SUMMARY).write_text(json.dumps(_summary(chosen, record, edition, judgement), indent=2) + "\n")
            for path in (*new.rglob("*"), new):
                sync(path)
            if target.exists():
                target.rename(former)
            try:
                new.rename(target)
            except OSError:
                if former.exists():
                    former.rename(target)
                raise
            sync(products)
    except OSError as error:
        raise UsageError(f"nothing was written to {target}: {error.strerror}") from error


def _summary(chosen: Chosen, record: RunRecord, edition: Edition, judgement: Mapping[str, Any]) -> dict[str, Any]:
    totals = chosen.book.totals
    known = asdict(record)
    del known["products"]  # it is one of them
    return known | {
        "events": totals.all_events,
        "detectors": {name: dict(hits) for name, hits in sorted(totals.detectors.items())},
        "lacking": dict(sorted(totals.lacking.items())),
        "book": asdict(edition),
        "judgement": judgement,
        "plots": {name: chosen.book.summary(name) for name in chosen.plots},
    }
