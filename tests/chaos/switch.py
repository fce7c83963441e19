"""Passes packets between hosts: python switch.py '[["10.0.0.1", FILE], ...]', told of links line by line.

A line of standard input says of all links that are not whole what becomes of their packets, and is answered when that
is so. It ends with its input.
"""

import heapq
import json
import os
import random
import selectors
import socket
import sys
import time
from contextlib import suppress
from itertools import count
from typing import Any

LINK_BYTES = 9000
"""The largest packet, as in a network of computers that measure: fewer of them cost less."""
AT_ONCE = 64
_IPV4 = 4


class Switch:
    """Has a port for each host, the file of its link."""

    def __init__(self, ports: dict[bytes, int]) -> None:
        self._ports = ports
        self._links: dict[tuple[int, int], dict[str, Any]] = {}
        self._held: list[tuple[float, int, int, bytes]] = []
        """What is on its way: when it gets there, in which order, to which port."""
        self._order = count()
        self._unfinished = b""
        self._rng = random.Random(1)

    def run(self) -> None:
        """Pass packets until nobody says anything any more."""
        for port in self._ports.values():
            os.set_blocking(port, False)
        with selectors.DefaultSelector() as ready:
            for each in (sys.stdin.fileno(), *self._ports.values()):
                ready.register(each, selectors.EVENT_READ)
            while True:
                for key, _ in ready.select(self._deliver()):
                    if key.fd != sys.stdin.fileno():
                        self._take(key.fd)
                    elif not self._hear():
                        return

    def _hear(self) -> bool:
        """Take what is said of the links, the last of it if much is; say whether anybody speaks still."""
        said = os.read(sys.stdin.fileno(), 1 << 20)
        *lines, self._unfinished = (self._unfinished + said).split(b"\n")
        if lines:
            self._links = {
                (self._ports[socket.inet_aton(a)], self._ports[socket.inet_aton(b)]): link
                for a, b, link in json.loads(lines[-1])
            }
            print("so it is", flush=True)
        return bool(said)

    def _take(self, port: int) -> None:
        for _ in range(AT_ONCE):
            try:
                packet = os.read(port, LINK_BYTES)
            except BlockingIOError:
                return
            to = self._ports.get(packet[16:20])
            if packet[0] >> 4 != _IPV4 or to is None:
                continue
            link = self._links.get((port, to))
            if link is None:
                _pass(to, packet)
            elif not link["is_cut"] and self._rng.random() >= link["loss"]:
                heapq.heappush(self._held, (time.monotonic() + link["delay_s"], next(self._order), to, packet))

    def _deliver(self) -> float | None:
        """Pass what has been held back for long enough; return for how long there is nothing."""
        while self._held:
            wait_s = self._held[0][0] - time.monotonic()
            if wait_s > 0:
                return wait_s
            *_, to, packet = heapq.heappop(self._held)
            _pass(to, packet)
        return None


def _pass(port: int, packet: bytes) -> None:
    with suppress(OSError):  # a link that takes no more loses what comes
        os.write(port, packet)


if __name__ == "__main__":
    Switch({socket.inet_aton(address): port for address, port in json.loads(sys.argv[1])}).run()
