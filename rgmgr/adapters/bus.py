# SPDX-License-Identifier: Apache-2.0
# The library is only half annotated.
# mypy: disable-error-code="no-untyped-call"
"""One connection to a D-Bus bus: calls that always end, signals as plain values, exports.

Owns everything that is wrong with dbus-next 0.2.3, so that its users need not know: a full
socket kills the connection, calls hang for ever after it, nothing has a time limit, a storm of
signals stops the loop, and tracebacks are sent to callers. Only this module and `dbus_objects`
import dbus-next. It knows neither systemd nor rgmgr's own interface.

A lost connection stays lost: await `wait_lost`, then `connect` anew and add matches, handlers,
names and exports again. Used from one event loop.
"""

import asyncio
import contextlib
import io
import socket
from collections.abc import Callable, Mapping, Sequence
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Protocol, cast

import structlog
from dbus_next._private.unmarshaller import Unmarshaller
from dbus_next.aio.message_bus import MessageBus
from dbus_next.constants import BusType, MessageFlag, MessageType
from dbus_next.errors import DBusError
from dbus_next.message import Message
from dbus_next.service import ServiceInterface
from dbus_next.signature import Variant

from rgmgr.adapters import bus_wire
from rgmgr.adapters.bus_wire import DISCONNECTED, TIMEOUT
from rgmgr.errors import BusError

BUS_DESTINATION = "org.freedesktop.DBus"
BUS_PATH = "/org/freedesktop/DBus"
NO_REPLY = "org.freedesktop.DBus.Error.NoReply"
INVALID_ARGS = "org.freedesktop.DBus.Error.InvalidArgs"
UNKNOWN_OUTCOME = (DISCONNECTED, TIMEOUT, NO_REPLY)
"""Errors after which the call may or may not have been carried out."""

IN_FLIGHT_MAX = 32
"""Calls that wait for a reply at one time; dbus-daemon allows 128 and then refuses."""

_MESSAGES_PER_TURN = 50
_READ_BYTES = 65_536
_PING_PERIOD_S = 10.0
_PING_TIMEOUT_S = 5.0
_FLAG_DO_NOT_QUEUE = 4
_NAME_IS_OURS = (1, 4)  # DBUS_REQUEST_NAME_REPLY_PRIMARY_OWNER, ALREADY_OWNER

log = structlog.get_logger(__name__)

_sender: ContextVar[str] = ContextVar("rgmgr_bus_sender", default="")


@dataclass(frozen=True, slots=True, kw_only=True)
class Signal:
    """A signal as it came in. `sender` is a unique name, also for a well-known one."""

    sender: str
    path: str
    interface: str
    member: str
    body: list[object]


def sender() -> str:
    """Return the bus name of the caller of the exported method now running."""
    return _sender.get()


def variant(signature: str, value: object) -> object:
    """Make a variant, as a{sv} bodies need them."""
    return Variant(signature, _sendable(value))


def plain(options: Mapping[str, object]) -> dict[str, object]:
    """Return the values of an a{sv} as it comes with a call, out of their variants."""
    return {
        name: value.value if isinstance(value, Variant) else value
        for name, value in options.items()
    }


def match_signal(**fields: str) -> str:
    """Write a match rule for signals: `match_signal(sender="org.example", member="Changed")`."""
    return ",".join(["type='signal'", *(f"{key}='{value}'" for key, value in fields.items())])


class Bus:
    """A connection. Made by `connect`."""

    def __init__(self, connection: "_Connection") -> None:
        self._connection = connection
        self._in_flight = asyncio.Semaphore(IN_FLIGHT_MAX)
        self._lost = asyncio.Event()
        self._handlers: list[Callable[[Signal], None]] = []
        connection.add_message_handler(self._on_message)
        self._tasks = (
            asyncio.create_task(self._wait_for_end(), name="bus end"),
            asyncio.create_task(self._ping_for_ever(), name="bus ping"),
        )

    @classmethod
    async def connect(cls, address: str | None = None, timeout_s: float = 5) -> "Bus":
        """Connect to the bus at an address; None: the system bus.

        Raises:
            BusError: nothing listens there, or it does not answer in time.
        """
        connection: _Connection | None = None
        try:
            async with asyncio.timeout(timeout_s):
                connection = _Connection(address)
                await connection.connect()
        except Exception as error:
            if connection is not None:
                connection.abandon(error)
            name = TIMEOUT if isinstance(error, TimeoutError) else DISCONNECTED
            text = f"cannot connect to {address or 'the system bus'}: {_told(error)}"
            raise BusError(BUS_DESTINATION, "Hello", name, text) from error
        except asyncio.CancelledError:
            if connection is not None:
                connection.abandon(ConnectionAbortedError())
            raise
        return cls(connection)

    @property
    def is_connected(self) -> bool:
        """Tell whether calls have a chance."""
        return not self._lost.is_set() and bool(self._connection.connected)

    @property
    def unique_name(self) -> str:
        """Our own name on the bus, such as `:1.42`."""
        return str(self._connection.unique_name)

    async def call(
        self,
        destination: str,
        path: str,
        interface: str,
        member: str,
        signature: str = "",
        body: Sequence[object] = (),
        *,
        timeout_s: float = 10.0,
    ) -> list[object]:
        """Call a method and return the body of its reply, variants unwrapped.

        Never hangs: the time limit covers waiting for a free place among the calls in flight.

        Raises:
            BusError: an error reply, no reply in time, or the connection is lost; with a name of
                `UNKNOWN_OUTCOME` the call may nevertheless have been carried out.
        """
        method = f"{interface}.{member}"
        if not self.is_connected:
            raise BusError(destination, method, DISCONNECTED, "the connection is lost")
        try:
            message = Message(
                destination=destination,
                path=path,
                interface=interface,
                member=member,
                signature=signature,
                body=cast("list[object]", _sendable(list(body))),
            )
            async with asyncio.timeout(timeout_s), self._in_flight:
                reply = await self._connection.call(message)
        except TimeoutError as error:
            text = f"no reply within {timeout_s:g} s"
            raise BusError(destination, method, TIMEOUT, text) from error
        except (OSError, EOFError) as error:
            text = f"the connection broke: {_told(error)}"
            raise BusError(destination, method, DISCONNECTED, text) from error
        except Exception as error:
            text = f"cannot send {signature!r}: {_told(error)}"
            raise BusError(destination, method, INVALID_ARGS, text) from error
        if reply is None:  # the connection was closed by us while the call waited
            raise BusError(destination, method, DISCONNECTED, "the connection was closed")
        if reply.message_type is MessageType.ERROR:
            text = " ".join(str(part) for part in reply.body)
            raise BusError(destination, method, str(reply.error_name), text)
        return list(reply.body)

    async def add_match(self, rule: str) -> None:
        """Ask the bus for the signals that a rule describes.

        Raises:
            BusError: the rule is malformed, or there are too many.
        """
        await self._call_bus("AddMatch", "s", [rule])

    def on_signal(self, handler: Callable[[Signal], None]) -> None:
        """Have a handler called for every signal, in their order; it must not block."""
        self._handlers.append(handler)

    async def wait_lost(self) -> None:
        """Return when the connection is lost or closed."""
        await self._lost.wait()

    async def close(self) -> None:
        """Close the connection; calls in flight fail."""
        self._connection.abandon(None)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._lost.set()

    async def request_name(self, name: str) -> None:
        """Take a well-known name.

        Raises:
            BusError: another connection has it, or the bus policy forbids it.
        """
        (code,) = await self._call_bus("RequestName", "su", [name, _FLAG_DO_NOT_QUEUE])
        if code not in _NAME_IS_OURS:
            text = f"{name!r} is taken by another process; is a second daemon running?"
            raise BusError(
                BUS_DESTINATION, "RequestName", "org.freedesktop.DBus.Error.NameTaken", text
            )

    def export(self, path: str, interface: ServiceInterface) -> None:
        """Show an object to others; lost with the connection."""
        self._connection.export(path, interface)

    def unexport(self, path: str, interface: ServiceInterface) -> None:
        """Take an object away; one that is not there is fine."""
        self._connection.unexport(path, interface)

    async def _call_bus(self, member: str, signature: str, body: list[object]) -> list[object]:
        return await self.call(BUS_DESTINATION, BUS_PATH, BUS_DESTINATION, member, signature, body)

    def _on_message(self, message: Message) -> None:
        _sender.set(message.sender or "")  # tasks that the library makes now inherit it
        if message.message_type is not MessageType.SIGNAL or not self._handlers:
            return
        signal = Signal(
            sender=message.sender or "",
            path=message.path,
            interface=message.interface,
            member=message.member,
            body=list(message.body),
        )
        for handler in self._handlers:
            handler(signal)

    async def _wait_for_end(self) -> None:
        # Whatever ended it, the consequence is the same.
        with contextlib.suppress(Exception):
            await self._connection.wait_for_disconnect()
        self._lost.set()
        self._connection.release()

    async def _ping_for_ever(self) -> None:
        """Find out about a bus that is frozen: its connection looks alive for ever."""
        while not self._lost.is_set():
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._lost.wait(), _PING_PERIOD_S)
                return
            try:
                await self.call(
                    BUS_DESTINATION,
                    BUS_PATH,
                    BUS_DESTINATION,
                    "GetId",
                    timeout_s=_PING_TIMEOUT_S,
                )
            except BusError as error:
                log.warning("bus.lost", reason=str(error))
                self._connection.abandon(ConnectionAbortedError("the bus does not answer"))
                return


class _PatientSocket:
    """What the library writes to: a full socket is no error, its buffer just has to wait."""

    def __init__(self, inner: socket.socket) -> None:
        self._inner = inner

    def send(self, data: memoryview) -> int:
        try:
            return self._inner.send(data)
        except BlockingIOError:
            return 0


class _Connection(MessageBus):
    """dbus-next's connection with its defects mended; the library is at its last release."""

    def __init__(self, address: str | None) -> None:
        super().__init__(bus_address=address, bus_type=BusType.SYSTEM)  # type: ignore[arg-type] # None is its default
        self._writer.sock = _PatientSocket(self._sock)
        self._is_reading_on = False
        self._incoming = bytearray()

    def abandon(self, error: Exception | None) -> None:
        """End the connection now, without waiting for the other side."""
        self._user_disconnect = True  # or the library keeps an exception that nobody asks for
        self._finalize(error)
        self.release()

    def release(self) -> None:
        """Close the socket; the library leaves that to the garbage collector."""
        for part in (self._stream, self._sock):
            with contextlib.suppress(OSError):
                part.close()

    def _setup_socket(self) -> None:
        """Connect without ever blocking: a frozen bus has a full backlog."""
        failure: Exception = ConnectionError("no usable address")
        for transport, options in self._bus_address:
            target = options.get("path") or "\0" + options.get("abstract", "")
            if transport != "unix" or target == "\0":
                failure = ConnectionError(f"cannot use the address {transport}:{options}")
                continue
            self._sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
            try:
                self._sock.connect(target)
            except OSError as error:
                self._sock.close()
                failure = error
                continue
            self._stream = self._sock.makefile("rwb")
            self._fd = self._sock.fileno()
            return
        raise failure

    async def _auth_readline(self) -> str:
        """Read one line; the library's own never ends, and never yields, at end of file."""
        line = b""
        while not line.endswith(b"\r\n"):
            part = await self._loop.sock_recv(self._sock, 2)
            if not part:
                raise ConnectionError("the bus closed the connection during authentication")
            line += part
        return line[:-2].decode()

    def _message_reader(self) -> None:
        """Read at most some messages per turn of the loop, so that a storm stops nobody."""
        if not self._is_reading_on:
            self._read_some()

    def _read_some(self) -> None:
        self._is_reading_on = False
        try:
            for _ in range(_MESSAGES_PER_TURN):
                message = None if self._disconnected else self._next_message()
                if message is None:
                    return
                self._on_message(message)
        except Exception as error:  # noqa: BLE001 - whatever is wrong, the connection is useless
            self._finalize(error)
            return
        # More may be in our own buffer, where the selector cannot see it.
        self._is_reading_on = True
        self._loop.call_soon(self._read_some)

    def _next_message(self) -> Message | None:
        """Return the next message when all of it is here."""
        wanted = bus_wire.HEADER_BYTES
        if len(self._incoming) >= wanted:
            wanted = bus_wire.length(self._incoming)
        while len(self._incoming) < wanted:
            try:
                part = self._sock.recv(_READ_BYTES)
            except BlockingIOError:
                return None
            if not part:
                raise EOFError
            self._incoming += part
            if len(self._incoming) >= bus_wire.HEADER_BYTES:
                wanted = bus_wire.length(self._incoming)
        data = bytes(self._incoming[:wanted])
        del self._incoming[:wanted]
        return _message(data)

    def _make_method_handler(self, interface: ServiceInterface, method: "_Method") -> "_Handler":
        """Answer failures as D-Bus errors, with neither tracebacks in replies nor noise in logs."""

        async def answer(message: Message, send_reply: Callable[[Message], None]) -> None:
            try:
                result = method.fn(interface, *ServiceInterface._msg_body_to_args(message))  # noqa: SLF001
                if asyncio.iscoroutine(result):
                    result = await result
                body, _ = ServiceInterface._fn_result_to_body(result, method.out_signature_tree)  # noqa: SLF001
                reply = Message.new_method_return(message, method.out_signature, body)
            except DBusError as error:
                reply = Message.new_error(message, error.type, error.text)
            except Exception:
                log.exception("bus.method_failed", method=method.name)
                text = f"{method.name} failed; the journal of the service says why"
                reply = Message.new_error(message, "org.freedesktop.DBus.Error.Failed", text)
            except asyncio.CancelledError:
                text = f"{method.name} was given up, for the service ends"
                reply = Message.new_error(message, "org.freedesktop.DBus.Error.NoReply", text)
                self._reply(send_reply, reply)
                raise
            self._reply(send_reply, reply)

        running: set[asyncio.Task[None]] = set()

        def handler(message: Message, send_reply: Callable[[Message], None]) -> None:
            task = asyncio.ensure_future(answer(message, send_reply))
            running.add(task)
            task.add_done_callback(running.discard)

        return handler

    def _reply(self, send_reply: Callable[[Message], None], reply: Message) -> None:
        if self.connected:  # a caller that is gone, or a lost bus, loses only the answer
            send_reply(reply)


class _Method(Protocol):
    """An exported method, as the library describes it."""

    name: str
    fn: Callable[..., object]
    out_signature: str
    out_signature_tree: object


_Handler = Callable[[Message, Callable[[Message], None]], None]


def _sendable(value: object) -> object:
    """Return the value in the only types that the library accepts.

    Raises:
        ValueError: a text holds NUL, for which the bus would close the connection.
    """
    match value:
        case str():
            if "\0" in value:
                raise ValueError(f"NUL in {value!r}")
            return value
        case bytes() | bytearray():
            return bytes(value)
        case list() | tuple():
            return [_sendable(item) for item in value]
        case dict():
            return {key: _sendable(item) for key, item in value.items()}
        case _:
            return value


def _message(data: bytes) -> Message:
    """Read a message. What is called here keeps its variants: the library checks them."""
    raw = bus_wire.read_message(data)
    if raw.kind == MessageType.METHOD_CALL.value:
        unmarshaller = Unmarshaller(io.BytesIO(data))
        unmarshaller.unmarshall()
        return cast("Message", unmarshaller.message)
    return Message(
        message_type=MessageType(raw.kind),
        flags=MessageFlag(raw.flags),
        serial=raw.serial,
        reply_serial=raw.number(bus_wire.REPLY_SERIAL),
        path=raw.text(bus_wire.PATH),  # type: ignore[arg-type] # None, here and below, is its default
        interface=raw.text(bus_wire.INTERFACE),  # type: ignore[arg-type]
        member=raw.text(bus_wire.MEMBER),  # type: ignore[arg-type]
        error_name=raw.text(bus_wire.ERROR_NAME),  # type: ignore[arg-type]
        destination=raw.text(bus_wire.DESTINATION),  # type: ignore[arg-type]
        sender=raw.text(bus_wire.SENDER),  # type: ignore[arg-type]
        signature=raw.text(bus_wire.SIGNATURE) or "",
        body=raw.body(),
    )


def _told(error: BaseException) -> str:
    return str(error) or type(error).__name__
