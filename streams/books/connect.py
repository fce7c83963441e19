"""The connection to Redis."""

from redis import Redis
from redis.exceptions import RedisError, ResponseError

from streams.errors import ServerError
from streams.settings import Settings

CONNECT_S = 5.0


def connect(settings: Settings) -> Redis:
    """Return a client that returns bytes; it connects when it is first used."""
    return Redis.from_url(
        settings.redis.url.get_secret_value(), socket_connect_timeout=CONNECT_S, socket_timeout=CONNECT_S
    )


def is_other_type(error: BaseException) -> bool:
    """Say whether Redis refused a command since its key has another type than what was written there."""
    return isinstance(error, ResponseError) and "WRONGTYPE" in str(error)


def check_redis(settings: Settings) -> None:
    """See whether Redis answers.

    Raises
    ------
    ServerError
        When it does not.
    """
    try:
        with connect(settings) as redis:
            redis.ping()
    except RedisError as error:
        raise ServerError(
            f"no Redis answers at {place(settings)} ({error}): start one (spilldeck up) or correct redis.url"
        ) from error


def place(settings: Settings) -> str:
    """Return host, port and database, without the password."""
    return settings.redis.url.get_secret_value().rpartition("@")[2].removeprefix("redis://")
