# SPDX-License-Identifier: Apache-2.0
"""A device that answers each datagram with what a test wants: half a reply, garbage, an echo."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

Answer = Callable[[bytes], bytes]


@contextmanager
def liar(answer: Answer) -> Iterator[int]:
    """Give the port of a device that answers each datagram with what `answer` makes of it."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind(("127.0.0.1", 0))

        def serve() -> None:
            while True:
                data, peer = server.recvfrom(4096)
                if data == b"end":
                    return
                server.sendto(answer(data), peer)

        port: int = server.getsockname()[1]
        thread = threading.Thread(target=serve)
        thread.start()
        yield port
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as last:
            last.sendto(b"end", ("127.0.0.1", port))
        thread.join()


def half_of(port: int) -> Answer:
    """Return what passes a question on to a device and gives back half of what it says."""

    def answer(data: bytes) -> bytes:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
            asking.settimeout(2.0)
            asking.sendto(data, ("127.0.0.1", port))
            said = asking.recv(4096)
        return said[: len(said) // 2]

    return answer
