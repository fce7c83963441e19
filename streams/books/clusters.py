"""Clients of a Redis Cluster that are as others: they connect when first used, and raise the same when none answers."""

import threading
from typing import Any

from redis.asyncio.cluster import RedisCluster as AsyncRedisCluster
from redis.cluster import RedisCluster
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisClusterException


class LateCluster(RedisCluster):
    """What the library connects when it is made, connected when something is first wanted of it.

    Parameters
    ----------
    options
        As for `RedisCluster`.
    """

    def __init__(self, **options: Any) -> None:
        self._options = options
        self._beginning = threading.RLock()
        self._is_begun = False

    def __getattr__(self, name: str) -> Any:
        """Return what is there only when it is connected."""
        with self._beginning:
            if not self._is_begun and not name.startswith("__"):
                self._begin()
        return object.__getattribute__(self, name)

    def _begin(self) -> None:
        self._is_begun = True
        try:
            super().__init__(**self._options)
        except BaseException as error:
            self._is_begun = False
            if isinstance(error, RedisClusterException):
                raise RedisConnectionError(str(error)) from error
            raise
        initialize = self.nodes_manager.initialize

        def again(*args: Any, **kwargs: Any) -> None:
            """Ask which node has what; if none answers, that is an error as of any other Redis."""
            try:
                initialize(*args, **kwargs)
            except RedisClusterException as error:
                raise RedisConnectionError(str(error)) from error

        self.nodes_manager.initialize = again  # type: ignore[method-assign]

    def close(self) -> None:
        """End all connections, if there are any."""
        if self._is_begun:
            super().close()


class AsyncCluster(AsyncRedisCluster):
    """The library's, which connects late by itself."""

    async def initialize(self, *args: Any, **kwargs: Any) -> Any:
        """Ask which node has what."""
        try:
            return await super().initialize(*args, **kwargs)
        except RedisClusterException as error:
            raise RedisConnectionError(str(error)) from error
