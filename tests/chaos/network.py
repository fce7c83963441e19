"""Hosts on one machine: network namespaces, and between them a switch that loses, holds back or stops packets.

Nothing of the machine's own network is touched, and nothing has to be cleaned up: a namespace has no name, and the
kernel removes it when nobody is in it or holds it, however whoever made it has ended. The switch is a program of our
own, as not every kernel has a bridge, or netem to make a link slow.
"""

import ctypes
import fcntl
import json
import os
import shutil
import struct
import subprocess
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import asdict, dataclass
from itertools import product
from pathlib import Path
from typing import Any, Self

from ops.stack.processes import die_with_parent
from tests.chaos import switch

_LIBC = ctypes.CDLL(None, use_errno=True)
_CLONE_NEWNET = 0x40000000
_TUNSETIFF, _IFF_TUN, _IFF_NO_PI = 0x400454CA, 0x0001, 0x1000
_DEVICE = Path("/dev/net/tun")
_OUR_NAMESPACE = Path("/proc/thread-self/ns/net")
STOP_S = 5.0


class NoNamespacesError(Exception):
    """This machine, or who asks, makes no network namespaces."""


@dataclass(frozen=True, slots=True)
class Host:
    """A host."""

    name: str
    address: str
    namespace: int | None = None
    """File descriptor; None is where we are."""

    @contextmanager
    def entered(self) -> Iterator[None]:
        """Be on it, with this thread and all that it starts."""
        if self.namespace is None:
            yield
            return
        before = os.open(_OUR_NAMESPACE, os.O_RDONLY | os.O_CLOEXEC)
        try:
            _checked(_LIBC.setns(self.namespace, _CLONE_NEWNET))
            yield
        finally:
            _checked(_LIBC.setns(before, _CLONE_NEWNET))
            os.close(before)


HERE = Host("this machine", "127.0.0.1")


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    """How packets from one host get to another."""

    is_cut: bool = False
    """None gets there, and nobody is told."""
    delay_s: float = 0.0
    loss: float = 0.0
    """Share of packets."""


WHOLE, CUT = Link(), Link(is_cut=True)


class Network:
    """Hosts that reach each other; in a ``with`` block, in which we are on the first of them.

    Parameters
    ----------
    names
        Of the hosts.

    Raises
    ------
    NoNamespacesError
        On entering, with the reason.
    """

    def __init__(self, names: Sequence[str]) -> None:
        self._names = names
        self.hosts: dict[str, Host] = {}
        self._links: dict[tuple[str, str], Link] = {}

    def __enter__(self) -> Self:
        if not _DEVICE.exists() or shutil.which("ip") is None:
            raise NoNamespacesError(f"it takes {_DEVICE} and the command ip (Debian's package iproute2)")
        with ExitStack() as stack, ExitStack() as until_the_switch_has_them:
            ports = []
            for number, name in enumerate(self._names, 1):
                # A thread that has left our namespace is of no more use.
                with ThreadPoolExecutor(1) as thread:
                    namespace, port = thread.submit(_make, address := f"10.0.0.{number}").result()
                stack.callback(os.close, namespace)
                until_the_switch_has_them.callback(os.close, port)
                ports.append((address, port))
                self.hosts[name] = Host(name, address, namespace)
            # When it ends, the links are gone.
            words = [sys.executable, "-P", switch.__file__, json.dumps(ports)]
            self._switch: Any = subprocess.Popen(
                words,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
                pass_fds=[port for _, port in ports],
                preexec_fn=die_with_parent,  # noqa: PLW1509 - a system call, nothing that locks
            )
            stack.callback(self._end_switch)
            stack.enter_context(self.hosts[self._names[0]].entered())
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def _end_switch(self) -> None:
        try:
            self._switch.communicate(timeout=STOP_S)
        except subprocess.TimeoutExpired:
            self._switch.kill()
            self._switch.wait()

    @contextmanager
    def linked(self, some: Sequence[Host], others: Sequence[Host], link: Link) -> Iterator[None]:
        """Have packets between some hosts and others go as this says, both ways, until the block ends."""
        there = [(a.name, b.name) for a, b in product(some, others) if a != b]
        ways = [*there, *((b, a) for a, b in there)]
        self._set(dict.fromkeys(ways, link))
        try:
            yield
        finally:
            self._set(dict.fromkeys(ways, WHOLE))

    def without(self, host: Host) -> AbstractContextManager[None]:
        """Have a host's link be down until the block ends."""
        return self.linked([host], [*self.hosts.values()], CUT)

    def _set(self, links: dict[tuple[str, str], Link]) -> None:
        self._links |= links
        said = [
            [self.hosts[a].address, self.hosts[b].address, asdict(link)]
            for (a, b), link in self._links.items()
            if link != WHOLE
        ]
        self._switch.stdin.write(json.dumps(said) + "\n")
        self._switch.stdin.flush()
        assert self._switch.stdout.readline(), "the switch has ended"


def _make(address: str) -> tuple[int, int]:
    """Make a namespace, with a link of this address; return both as file descriptors. In a thread of its own."""
    try:
        _checked(_LIBC.unshare(_CLONE_NEWNET))
        port = os.open(_DEVICE, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
        fcntl.ioctl(port, _TUNSETIFF, struct.pack("16sH22x", b"net0", _IFF_TUN | _IFF_NO_PI))
    except PermissionError as error:
        raise NoNamespacesError(f"it takes root to make a host of one's own: {error}") from None
    for words in (
        ("link", "set", "lo", "up"),
        ("address", "add", f"{address}/24", "dev", "net0"),
        ("link", "set", "net0", "up", "mtu", str(switch.LINK_BYTES)),
    ):
        subprocess.run(["ip", *words], check=True)
    return os.open(_OUR_NAMESPACE, os.O_RDONLY | os.O_CLOEXEC), port


def _checked(done: int) -> None:
    if done:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
