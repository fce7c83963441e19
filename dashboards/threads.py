"""Threads that make what browsers ask for, so that nothing of it stands in the way of the event loop."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from dataclasses import dataclass, field
from typing import TypeVar

from fastapi import Request

THREADS, PEER_THREADS = 8, 4
"""At once, and of them for one peer: the others never wait for it."""
PEER_WAITS = 128
"""What a peer may have asked for that is not made yet: a browser asks for one thing a tab, a proxy's peers for more."""

T = TypeVar("T")


class TooManyError(Exception):
    """A peer has asked for more than its share."""


@dataclass(slots=True)
class _Share:
    asked: int = 0
    threads: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(PEER_THREADS))


class Threads:
    """Shares threads among peers."""

    def __init__(self) -> None:
        self._executor = ThreadPoolExecutor(THREADS, thread_name_prefix="answers")
        self._shares: dict[str, _Share] = {}

    async def run(self, peer: str, make: Callable[[], T]) -> T:
        """Return what is made for a peer, in the context of who asks.

        Raises
        ------
        TooManyError
            When too much is being made for it already.
        """
        share = self._shares.setdefault(peer, _Share())
        if share.asked >= PEER_WAITS:
            raise TooManyError
        share.asked += 1
        try:
            async with share.threads:
                return await asyncio.get_running_loop().run_in_executor(self._executor, copy_context().run, make)
        finally:
            share.asked -= 1
            if not share.asked:
                del self._shares[peer]


def peer_of(request: Request) -> str:
    """Return who asks."""
    return request.client.host if request.client is not None else ""
