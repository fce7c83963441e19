"""A release that is tried: it makes a run again as far as it is asked to, in a session of its own, and answers in JSON.

It begins with a `greeting`. Then a line in is a question, and a line out its answer. A question is an object with the
`format` of all this, and says all that it needs to know, so nothing is remembered between two:

* ``{"ask": "bring", "session", "run", "spans"}``: have the books of the session be those of the run, up to where each
  partition's span ends, which begins where the run does. The answer is ``{}``.
* ``{"ask": "alone", "run", "partition", "first", "stop"}``: say what each spill of the run there makes by itself. The
  answer is ``{"spills": [[number, {what: digest}], ...]}``.
* ``{"ask": "judge", "session", "run"}``: judge these books. The answer is ``{"judgement": ...}``.

What cannot be done is answered by ``{"error": words}``.
"""

import hashlib
import json
import multiprocessing
import os
from collections.abc import Iterator
from contextlib import closing
from typing import Any, TextIO

from redis import Redis
from redis.exceptions import RedisError

from ops.releases.formats import FOLLOWING, formats
from ops.replay.part import Shared, begin, replay_partition
from ops.replay.verify import digests
from schemas.records import ReconstructedSpill
from streams import __version__
from streams.books.book import Ranges, fill
from streams.books.connect import COMMAND_S, connect, no_redis
from streams.books.judgement import judged
from streams.books.plan import Origin, Plan
from streams.books.reader import BookReader
from streams.books.topic_spills import of_topic
from streams.conditions.store import ConditionsStore
from streams.errors import SpilldeckError
from streams.process import ranges_of
from streams.settings import Settings
from streams.topics import Topics
from streams.transform import Message, transform

Alone = dict[int, dict[str, str]]
"""Spill → what it makes by itself: ``detector NAME``, ``plot NAME`` → digest; ``rejected`` → why."""


def greeting() -> dict[str, Any]:
    """Return what a release says first."""
    return {"format": FOLLOWING, "version": __version__, "books": formats().books}


def follow(settings: Settings, questions: TextIO, answers: TextIO) -> None:
    """Answer until nobody asks any more; live goes before, and the end of whoever asks is ours."""
    print(json.dumps(greeting()), file=answers, flush=True)
    with connect(settings, COMMAND_S) as redis:
        for question in questions:
            try:
                found = _answer(settings, redis, json.loads(question))
            except RedisError as error:
                found = {"error": str(no_redis(settings, error))}
            except SpilldeckError as error:
                found = {"error": str(error)}
            print(json.dumps(found), file=answers, flush=True)


def _answer(settings: Settings, redis: Redis, question: dict[str, Any]) -> dict[str, Any]:
    if question["format"] != FOLLOWING:
        raise SpilldeckError(f"{__version__} is asked in format {question['format']}, and understands {FOLLOWING}")
    run = int(question["run"])
    if question["ask"] == "alone":
        where = (int(question[key]) for key in ("partition", "first", "stop"))
        return {"spills": [*alone(settings, run, *where).items()]}
    session = str(question["session"])
    if question["ask"] == "judge":
        return {"judgement": judgement(settings, redis, session, run)}
    spans = tuple((int(first), int(stop)) for first, stop in question["spans"])
    bring(Plan(session=session, runs=(run,), origin=Origin.RAW, spans=spans, began_s=0.0))
    return {}


def bring(plan: Plan) -> None:
    """Have the books of a session be what its plan asks for."""
    for partition, (first, stop) in enumerate(plan.spans):
        if first < stop:
            replay_partition(plan, partition)


def judgement(settings: Settings, redis: Redis, session: str, run: int) -> dict[str, Any]:
    """Return what is wrong with a run, by the books of a session."""
    ranges = ranges_of(ConditionsStore.from_settings(settings).for_run(run))
    return judged(BookReader.of(redis, settings, session).run(run, ranges)).to_json()


def alone(settings: Settings, run: int, partition: int, first: int, stop: int) -> Alone:
    """Return what each spill of a run makes by itself, of those in a part of a partition.

    Raises
    ------
    ServerError
        When Kafka does not answer, or no longer has them.
    """
    conditions_of = ConditionsStore.from_settings(settings).for_run
    ranges = ranges_of(conditions_of(run))
    found: Alone = {}
    with closing(of_topic(settings, Topics.of(settings).raw, partition, first, stop, (run,))) as messages:
        for one in messages:
            place = Message(
                partition=partition,
                offset=one.offset,
                start=one.offset,
                produced_ms=one.produced_ms,
                value=one.value,
            )
            record = transform(place, conditions_of).record
            if isinstance(record, ReconstructedSpill):
                found.setdefault(record.spill, dict(_made_of(record, ranges)))
    return found


def _made_of(spill: ReconstructedSpill, ranges: Ranges) -> Iterator[tuple[str, str]]:
    if spill.rejection is not None:
        yield "rejected", f"{spill.rejection.step}: {spill.rejection.reason}"
        return
    for name, digest in digests(spill).items():
        yield f"detector {name}", digest.hex()
    filled = fill([spill], ranges)
    for name, cells in filled.book.cells.items():
        yield f"plot {name}", hashlib.blake2b(cells.pack(), digest_size=8).hexdigest()
    for what, why in filled.failures.items():
        yield what, str(why)


def be_behind_live(partitions: int) -> None:
    """Have this process be one of a replay's, which waits for live, for as long as whoever asks is there."""
    context = multiprocessing.get_context("spawn")
    begin(
        Shared(
            parent=os.getppid(),
            read=context.Array("q", partitions),
            taken=context.Array("q", partitions),
            behind=context.Array("q", partitions),
            stop=context.Event(),
        )
    )
