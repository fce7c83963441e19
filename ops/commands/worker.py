"""spilldeck worker, dashboard, keeper: the parts that a site starts as often as it needs."""

from typing import Annotated, Any

import typer


def worker(
    session: Annotated[str | None, typer.Option(help="Name under which spills are processed.")] = None,
) -> None:
    """Run one worker until it is stopped; any number of them share the work, on any machines."""
    from ops.topics import ensure_topics, with_partitions_there
    from schemas.known import schemas_of
    from streams.app import run_worker
    from streams.books.connect import check_redis_keeps
    from streams.experiment import experiment
    from streams.kept_schemas import KeptSchemas
    from streams.moving import start_patiently
    from streams.settings import load_settings
    from streams.starting import log_as_set

    overrides: dict[str, Any] = {} if session is None else {"session": session}
    settings = load_settings(**overrides)
    log_as_set(settings)
    tables = experiment().tables  # before anything is begun: it may not be had

    def begin() -> None:
        ensure_topics(settings)
        KeptSchemas(settings).keep(schemas_of(tables).texts)
        check_redis_keeps(settings)

    start_patiently(begin)
    run_worker(with_partitions_there(settings))


def dashboard() -> None:
    """Serve the page until it is stopped."""
    from dashboards.app import serve
    from streams.experiment import experiment
    from streams.settings import load_settings
    from streams.starting import begin_log

    settings = load_settings()
    experiment()
    begin_log("page", settings)
    serve(settings)


def keeper() -> None:
    """Write archive, book and pictures of each run when it has ended, until stopped."""
    import os
    import signal

    from ops.console import needs_export
    from ops.keeper import Keeper
    from ops.replay.part import NICENESS
    from ops.topics import ensure_topics
    from streams.books.connect import check_redis, connect
    from streams.health.server import serve
    from streams.settings import load_settings
    from streams.starting import begin_log, log_as_set

    settings = load_settings()
    log_as_set(settings)
    export = None
    if settings.keeper.products is not None:
        with needs_export():
            from ops.export.write import write_all

            export = write_all
    ensure_topics(settings)
    check_redis(settings)
    begin_log("keeper", settings)
    os.nice(NICENESS)  # pictures take some 20 s of a processor
    with connect(settings) as redis:
        keeper = Keeper(settings, redis, export)
        serve(settings, keeper.health)
        for name in (signal.SIGTERM, signal.SIGINT):
            signal.signal(name, lambda *_: keeper.stopped.set())
        keeper.keep()
