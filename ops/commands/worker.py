"""spilldeck worker, dashboard, keeper: the parts that a site starts as often as it needs."""

from typing import Annotated, Any

import typer


def worker(
    session: Annotated[str | None, typer.Option(help="Name under which spills are processed.")] = None,
) -> None:
    """Run one worker until it is stopped; any number of them share the work, on any machines."""
    from ops.topics import ensure_topics
    from streams.app import run_worker
    from streams.books.connect import check_redis
    from streams.settings import load_settings

    overrides: dict[str, Any] = {} if session is None else {"session": session}
    settings = load_settings(**overrides)
    ensure_topics(settings)
    check_redis(settings)
    run_worker(settings)


def dashboard() -> None:
    """Serve the page until it is stopped."""
    from dashboards.app import serve
    from streams.settings import load_settings

    serve(load_settings())


def keeper() -> None:
    """Write the archive of each run when it has ended, until stopped."""
    import signal

    from ops.keeper import Keeper
    from ops.topics import ensure_topics
    from streams.books.connect import check_redis, connect
    from streams.log import log_to_stderr
    from streams.settings import load_settings

    settings = load_settings()
    ensure_topics(settings)
    check_redis(settings)
    log_to_stderr()
    with connect(settings) as redis:
        keeper = Keeper(settings, redis)
        for name in (signal.SIGTERM, signal.SIGINT):
            signal.signal(name, lambda *_: keeper.stopped.set())
        keeper.keep()
