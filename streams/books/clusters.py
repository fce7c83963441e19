"""Clients of a Redis Cluster that are as others: they connect when first used, and raise the same when none answers."""

import threading
from collections.abc import Callable
from typing import Any

from redis.asyncio.cluster import RedisCluster as AsyncRedisCluster
from redis.cluster import RedisCluster
from redis.exceptions import AuthenticationError, NoPermissionError, RedisClusterException, RedisError
from redis.exceptions import ConnectionError as RedisConnectionError

from streams.books.ended import saying_so


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
                raise _as_of_one(error) from error
            raise
        # Pipelines share it, and ask it alone.
        nodes = self.nodes_manager
        nodes.initialize = _as_others(nodes.initialize)  # type: ignore[method-assign]
        nodes.get_node = _known(nodes.get_node)  # type: ignore[method-assign]

    def close(self) -> None:
        """End all connections, if there are any."""
        if self._is_begun:
            super().close()


def _as_of_one(error: RedisClusterException) -> RedisError:
    """Return what a client of one server would raise: that none answers, or that one does not let its user ask."""
    why: BaseException | None = error
    while why is not None:
        if isinstance(why, AuthenticationError | NoPermissionError):
            return why
        why = why.__cause__ or why.__context__
    return RedisConnectionError(str(error))


def _as_others(initialize: Callable[..., None]) -> Callable[..., None]:
    """Have it raise what any client does when no node answers."""

    def ask(*args: Any, **kwargs: Any) -> None:
        try:
            initialize(*args, **kwargs)
        except RedisClusterException as error:
            raise _as_of_one(error) from error

    return ask


def _known(get_node: Callable[..., Any]) -> Callable[..., Any]:
    """Have it raise what says "ask again soon" of a node to which the first slot moves: the library falls over that."""

    def find(host: str | None = None, port: int | None = None, node_name: str | None = None) -> Any:
        found = get_node(host, port, node_name)
        if found is None and node_name is not None:
            raise RedisConnectionError(f"a slot moves to {node_name}, which has none yet")
        return found

    return find


class AsyncCluster(AsyncRedisCluster):
    """The library's, which connects late by itself."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        kind = saying_so(self.connection_kwargs["connection_class"])
        self.connection_kwargs["connection_class"] = kind
        for node in self.startup_nodes:
            node.connection_class = kind

    async def initialize(self, *args: Any, **kwargs: Any) -> Any:
        """Ask which node has what."""
        try:
            return await super().initialize(*args, **kwargs)
        except RedisClusterException as error:
            raise _as_of_one(error) from error

    def get_node(self, *args: Any, **kwargs: Any) -> Any:
        """Return a node."""
        return _known(super().get_node)(*args, **kwargs)

    async def aclose(self) -> None:
        """End all connections, those too that the library keeps for another try after an error."""
        await super().aclose()
        for nodes in ("nodes_cache", "startup_nodes"):
            await self.nodes_manager.aclose(nodes)
