"""What systemd hears of a process, by the protocol of sd_notify: a datagram to the socket that it names."""

import os
import socket
from contextlib import suppress

SOCKET = "NOTIFY_SOCKET"


def notify(words: str) -> None:
    """Tell systemd something, as ``READY=1``; nothing where no systemd asks for it, or does not listen."""
    address = os.environ.get(SOCKET, "")
    if not address:
        return
    with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
        # A name that begins with @ lies in no directory. A line feed would begin another variable.
        to = f"\0{address[1:]}" if address.startswith("@") else address
        sender.sendto(" ".join(words.split()).encode(), socket.MSG_DONTWAIT, to)
