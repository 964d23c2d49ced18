# SPDX-License-Identifier: Apache-2.0
"""A line to a D-Bus bus for one command: calls, one at a time, with nothing to load for it.

The daemon's connection (`bus`) takes a third of a second of a processor to load with all that it
needs; a command that shows the status has to be done by then. Blocking; every call ends. Hears
that there was a signal, not what it said; exports nothing, keeps no descriptors. Source: D-Bus
Specification, "Authentication Protocol" and "Message Protocol".
"""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Iterable, Sequence

from rgmgr.adapters import bus_wire
from rgmgr.adapters.bus_wire import DISCONNECTED, TIMEOUT, Argument
from rgmgr.errors import BusError

SYSTEM_BUS = "unix:path=/run/dbus/system_bus_socket"
BUS = "org.freedesktop.DBus"
BUS_PATH = "/org/freedesktop/DBus"
CONNECT_TIMEOUT_S = 5.0
_READ_BYTES = 65_536


class Line:
    """A connection. Made by `connect`; to be closed."""

    def __init__(self, connection: socket.socket) -> None:
        self._socket = connection
        self._incoming = bytearray()
        self._serial = 0
        self._has_heard = False  # a signal, since `wait_for_signal` was asked last

    @classmethod
    def connect(cls, address: str | None = None) -> Line:
        """Connect to the bus at an address; None: the system bus.

        Raises:
            BusError: nothing listens there, or it does not answer in time.
        """
        where = address or os.environ.get("DBUS_SYSTEM_BUS_ADDRESS") or SYSTEM_BUS
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            connection.settimeout(CONNECT_TIMEOUT_S)
            connection.connect(_target(where))
            made = cls(connection)
            made._authenticate()
        except (OSError, ValueError, EOFError) as error:
            connection.close()
            name = TIMEOUT if isinstance(error, TimeoutError) else DISCONNECTED
            text = f"cannot connect to {address or 'the system bus'}: {_told(error)}"
            raise BusError(BUS, "Hello", name, text) from error
        made.call(BUS, BUS_PATH, BUS, "Hello", timeout_s=CONNECT_TIMEOUT_S)
        return made

    def close(self) -> None:
        """End it."""
        self._socket.close()

    def call(
        self,
        destination: str,
        path: str,
        interface: str,
        member: str,
        body: Sequence[Argument] = (),
        *,
        timeout_s: float,
    ) -> list[object]:
        """Call a method that takes texts and options, and return the body of its reply.

        Raises:
            BusError: an error reply, no reply in time, or the connection is lost.
        """
        method = f"{interface}.{member}"
        self._serial += 1
        data = bus_wire.call(self._serial, destination, path, interface, member, body)
        try:
            self._socket.settimeout(timeout_s)
            self._socket.sendall(data)
            reply = self._reply(self._serial, time.monotonic() + timeout_s)
            answer = reply.body()
        except TimeoutError as error:
            text = f"no reply within {timeout_s:g} s"
            raise BusError(destination, method, TIMEOUT, text) from error
        except (OSError, EOFError, ValueError, IndexError) as error:
            text = f"the connection broke: {_told(error)}"
            raise BusError(destination, method, DISCONNECTED, text) from error
        if reply.kind == bus_wire.ERROR:
            name = reply.text(bus_wire.ERROR_NAME) or DISCONNECTED
            raise BusError(destination, method, name, " ".join(map(str, answer)))
        return answer

    def watch(self, sender: str) -> None:
        """Ask for all signals of a name on the bus.

        Raises:
            BusError: the bus refuses.
        """
        rule = f"type='signal',sender='{sender}'"
        self.call(BUS, BUS_PATH, BUS, "AddMatch", (rule,), timeout_s=CONNECT_TIMEOUT_S)

    def wait_for_signal(self, timeout_s: float) -> None:
        """Return when a signal came since this was asked last, at the latest in time.

        Raises:
            BusError: the connection is lost.
        """
        deadline_s = time.monotonic() + timeout_s
        try:
            while not self._has_heard:
                message = bus_wire.read_message(self._next(deadline_s))
                self._has_heard |= message.kind == bus_wire.SIGNAL
        except TimeoutError:
            pass
        except (OSError, EOFError, ValueError, IndexError) as error:
            text = f"the connection broke: {_told(error)}"
            raise BusError(BUS, "wait", DISCONNECTED, text) from error
        self._has_heard = False

    def _authenticate(self) -> None:
        """Say who we are; the kernel confirms it."""
        uid = str(os.geteuid()).encode("ascii").hex()
        self._socket.sendall(f"\0AUTH EXTERNAL {uid}\r\n".encode("ascii"))
        line = b""
        while not line.endswith(b"\r\n"):
            part = self._socket.recv(1)
            if not part:
                raise EOFError("the bus closed the connection during authentication")
            line += part
        if not line.startswith(b"OK "):
            raise ValueError(f"the bus refused us: {line.decode('ascii', 'replace').strip()}")
        self._socket.sendall(b"BEGIN\r\n")

    def _reply(self, serial: int, deadline_s: float) -> bus_wire.RawMessage:
        """Return the reply to a call; what else comes in is not for us."""
        while True:
            message = bus_wire.read_message(self._next(deadline_s))
            self._has_heard |= message.kind == bus_wire.SIGNAL
            is_reply = message.kind in (bus_wire.RETURN, bus_wire.ERROR)
            if is_reply and message.number(bus_wire.REPLY_SERIAL) == serial:
                return message

    def _next(self, deadline_s: float) -> bytes:
        wanted = bus_wire.HEADER_BYTES
        while True:
            if len(self._incoming) >= bus_wire.HEADER_BYTES:
                wanted = bus_wire.length(self._incoming)
            if len(self._incoming) >= wanted:
                break
            left_s = deadline_s - time.monotonic()
            if left_s <= 0:
                raise TimeoutError
            self._socket.settimeout(left_s)
            part = self._socket.recv(_READ_BYTES)
            if not part:
                raise EOFError("the bus closed the connection")
            self._incoming += part
        data = bytes(self._incoming[:wanted])
        del self._incoming[:wanted]
        return data


def _target(addresses: str) -> str:
    """Return what to connect to: the first UNIX socket of a list of addresses."""
    for address in addresses.split(";"):
        transport, _, rest = address.partition(":")
        options = _options(rest.split(","))
        if transport == "unix" and "path" in options:
            return options["path"]
        if transport == "unix" and "abstract" in options:
            return "\0" + options["abstract"]
    raise ValueError(f"no usable address in {addresses!r}")


def _options(parts: Iterable[str]) -> dict[str, str]:
    pairs = (part.partition("=") for part in parts)
    return {key: _unescaped(value) for key, _, value in pairs}


def _unescaped(value: str) -> str:
    """Return an address's value as it is meant; hardly any has a character to escape."""
    if "%" not in value:
        return value
    from urllib.parse import unquote  # noqa: PLC0415 - takes long to load

    return unquote(value)


def _told(error: BaseException) -> str:
    return str(error) or type(error).__name__
