"""All that an earlier version left in Redis, session by session."""

from collections.abc import AsyncIterator, Callable

from redis.asyncio import Redis

from ops.upgrade.found import Found, Verdict
from ops.upgrade.partition import Partition
from ops.upgrade.source import Source
from streams.books import v1
from streams.errors import UsageError
from streams.settings import Settings


async def carry_over(
    redis: Redis, settings: Settings, source_of: Callable[[str], Source], *, do: bool
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
        Gives where the spills of a session come from; raises `UsageError` if that cannot be told.

    Raises
    ------
    SpilldeckError
        When Kafka does not answer, or workers write so often that nothing else can be written.
    """
    sources: dict[str, Source] = {}
    for keys in await v1.find(redis, settings.redis.key_prefix):
        runs: list[int | None] = [None]
        try:
            stored = await v1.load_runs(redis, keys)
            runs = list(stored)
            state = await v1.load_state(redis, keys)
            sources[keys.session] = sources.get(keys.session) or source_of(keys.session)
        except (v1.UnreadableError, UsageError) as error:
            for run in runs:
                yield Found(
                    session=keys.session, partition=keys.partition, run=run, verdict=Verdict.LEFT, why=str(error)
                )
            continue
        partition = await Partition.of(redis, settings, keys, state, sources[keys.session])
        verdicts = set()
        for run, totals in stored.items():
            found = await partition.go(run, totals, do=do)
            verdicts.add(found.verdict)
            yield found
        if do and Verdict.LEFT not in verdicts:
            await partition.finish()
