"""All that an earlier version left in Redis, session by session."""

from collections.abc import AsyncIterator, Callable, Mapping, Sequence

from redis.asyncio import Redis

from ops.upgrade.found import Found, Verdict
from ops.upgrade.partition import Partition
from ops.upgrade.source import Source
from streams.books import v1
from streams.books.made import Books, Made
from streams.books.plan import Plan
from streams.errors import UsageError
from streams.settings import Settings


async def carry_over(
    redis: Redis, settings: Settings, source_of: Callable[[str], Source | None], *, do: bool
) -> AsyncIterator[Found]:
    """Carry over, and yield what becomes of each partition's part of a run; without `do` nothing is written.

    It may be killed at any moment, and done again.

    Parameters
    ----------
    redis
        Client that returns bytes; its errors are passed on.
    settings
        Say how keys begin and how windows are kept.
    source_of
        Gives where the spills of a session come from, None of one that is nobody's any more; raises `UsageError` if
        that cannot be told.

    Raises
    ------
    SpilldeckError
        When Kafka does not answer, or workers write so often that nothing else can be written.
    """
    sources: dict[str, Source | None] = {}
    for keys in await v1.find(redis, settings.redis.key_prefix):
        runs: list[int | None] = [None]
        try:
            stored = await v1.load_runs(redis, keys)
            runs = list(stored)
            state = await v1.load_state(redis, keys)
            if keys.session not in sources:
                sources[keys.session] = source_of(keys.session)
            source = sources[keys.session]
        except (v1.UnreadableError, UsageError) as error:
            for run in runs:
                yield Found(
                    session=keys.session, partition=keys.partition, run=run, verdict=Verdict.LEFT, why=str(error)
                )
            continue
        if source is None:
            continue
        partition = await Partition.of(redis, settings, keys, state, source)
        verdicts = set()
        for run, totals in stored.items():
            found = await partition.go(run, totals, do=do)
            verdicts.add(found.verdict)
            yield found
        if do and Verdict.LEFT not in verdicts:
            await partition.finish()


def note_replays(made: Made, plans: Mapping[str, Plan], found: Sequence[Found]) -> None:
    """Note of replays that were done that all of their books is there; of others, that they can be gone on with.

    Parameters
    ----------
    plans
        As the earlier version left them, by session.
    found
        What became of each part of theirs.
    """
    parts: dict[str, list[Found]] = {}
    for one in found:
        parts.setdefault(one.session, []).append(one)
    for session, its in parts.items():
        plan = plans.get(session)
        if plan is None or any(one.verdict is Verdict.LEFT for one in its):
            continue
        if plan.done and made.of([plan])[session] is not Books.WHOLE:
            made.finish(plan, sorted({one.partition for one in its}))
        else:
            made.adopt(plan)
