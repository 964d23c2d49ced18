# SPDX-License-Identifier: Apache-2.0
"""The commands' way to the daemon: `org.rgmgr` on the system bus, one connection per command.

Owns the translation of bus errors into the few things an operator can do something about.
Commands take a `Daemon`, so that tests can give them another one; `connect` makes the real one.
No bus library is loaded: most of a command's time would go there.
"""

from __future__ import annotations

import contextlib
import getpass
import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Protocol

from rgmgr.adapters.bus_line import Line
from rgmgr.adapters.bus_wire import Argument, Option
from rgmgr.cli.address import BUS_NAME, MANAGER, OBJECT_PATH, PROPERTIES, STATUS_TIMEOUT_S
from rgmgr.cli.exits import Exit
from rgmgr.errors import BusError, RgmgrError, WireError
from rgmgr.view import Status, decode_status

if TYPE_CHECKING:
    from rgmgr.history_view import History
    from rgmgr.links import CorosyncView
    from rgmgr.present import Present

WAIT_FOREVER_S = 7 * 86_400.0
"""A stop may take as long as the application needs; nobody waits longer than a week."""

TIMEOUT = "Timeout"
"""Name of the error when our own patience ended."""

_ERROR = "org.rgmgr.Error."
_NOT_RUNNING = ("ServiceUnknown", "NameHasNoOwner", "UnknownObject")
_SAME_VERSION = "do this command and rgmgrd have the same version?"
_ADVICE = "'systemctl status rgmgrd' says why"


class Fault(Enum):
    """Why the daemon could not be asked, or did not do it."""

    UNREACHABLE = "unreachable"
    NO_ANSWER = "no answer"
    DENIED = "denied"
    REFUSED = "refused"
    BROKEN = "broken"

    @property
    def exit_code(self) -> Exit:
        """What `rgmgr` ends with."""
        return _EXITS[self]


_EXITS = {
    Fault.UNREACHABLE: Exit.UNREACHABLE,
    Fault.NO_ANSWER: Exit.NO_ANSWER,
    Fault.DENIED: Exit.REFUSED,
    Fault.REFUSED: Exit.REFUSED,
    Fault.BROKEN: Exit.FAILED,
}


class DaemonError(RgmgrError):
    """The daemon was not reached, or did not take the request.

    `name` is the last part of the D-Bus error name, such as 'UnknownService'.
    """

    def __init__(self, fault: Fault, text: str, name: str = "") -> None:
        self.fault = fault
        self.text = text
        self.name = name
        super().__init__(fault, text, name)

    def __str__(self) -> str:
        """Render the sentence for the operator."""
        return self.text


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a request ended. `code` is rgmanager's result code, 0 or below."""

    code: int
    text: str
    owner: str  # where the service runs now; empty: nowhere


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """How a standing order is meant."""

    for_ms: int = 0  # 0: until an operator ends it
    brings_back: bool = False
    because: str = ""


class Daemon(Protocol):
    """What a command can ask. All methods raise DaemonError."""

    def status(self) -> Status:
        """Return what the local member knows."""
        ...

    def corosync(self) -> CorosyncView:
        """Return what the local member knows of its corosync."""
        ...

    def present(self) -> Present:
        """Return what forecasts start from."""
        ...

    def history(self) -> History:
        """Return what the members decided."""
        ...

    def wait_for_change(self, timeout_s: float) -> None:
        """Return when something that the bus tells of has changed, at the latest in time."""
        ...

    def request(
        self, verb: str, service: str, node: str, timeout_s: float, because: str = ""
    ) -> Outcome:
        """Ask for something and wait until it is done. `node` empty: let the domain choose."""
        ...

    def fence(self, order: str, node: str, timeout_s: float, because: str = "") -> Outcome:
        """Ask about fencing and wait until it is done. `node` empty: all."""
        ...

    def order(self, order: str, node: str, terms: Terms, timeout_s: float) -> Outcome:
        """Give or end a standing order and wait until it is carried out. `node` empty: all."""
        ...


Connector = Callable[[], AbstractContextManager[Daemon]]


class BusDaemon:
    """The daemon of this machine, over an open connection."""

    def __init__(self, line: Line) -> None:
        self._line = line
        self._is_watching = False

    def status(self) -> Status:
        """See `Daemon.status`."""
        (text,) = self._call("Status", timeout_s=STATUS_TIMEOUT_S)
        try:
            return decode_status(str(text))
        except ValueError as error:
            raise _unreadable("status", error) from error

    def corosync(self) -> CorosyncView:
        """See `Daemon.corosync`."""
        from rgmgr.links import from_properties  # noqa: PLC0415 - for few commands

        (facts,) = self._ask(PROPERTIES, "GetAll", (MANAGER,), STATUS_TIMEOUT_S)
        try:
            return from_properties(facts if isinstance(facts, dict) else {})
        except ValueError as error:
            raise _unreadable("view of corosync", error) from error

    def present(self) -> Present:
        """See `Daemon.present`."""
        from rgmgr.present import Present, decode_surroundings  # noqa: PLC0415 - for few commands
        from rgmgr.wire.codec import decode_state  # noqa: PLC0415 - likewise

        match self._call("Present", timeout_s=STATUS_TIMEOUT_S):
            case [bytes(state), str(around)]:
                try:
                    return Present(decode_state(state), decode_surroundings(around))
                except (WireError, ValueError) as error:
                    text = f"rgmgrd's state is unreadable: {error}; {_SAME_VERSION}"
                    raise DaemonError(Fault.BROKEN, text) from error
            case answer:
                raise DaemonError(Fault.BROKEN, f"rgmgrd's answer is unreadable: {answer!r:.200}")

    def history(self) -> History:
        """See `Daemon.history`."""
        from rgmgr.history_view import decode_history  # noqa: PLC0415 - for few commands

        (text,) = self._call("History", timeout_s=STATUS_TIMEOUT_S)
        try:
            return decode_history(str(text))
        except ValueError as error:
            raise _unreadable("history", error) from error

    def wait_for_change(self, timeout_s: float) -> None:
        """See `Daemon.wait_for_change`."""
        try:
            if not self._is_watching:
                self._line.watch(BUS_NAME)
                self._is_watching = True
            self._line.wait_for_signal(timeout_s)
        except BusError as error:
            raise explain(error) from error

    def request(
        self, verb: str, service: str, node: str, timeout_s: float, because: str = ""
    ) -> Outcome:
        """See `Daemon.request`."""
        body = (verb, service, node, _options(because=because))
        answer = self._call("Request", body, timeout_s=timeout_s)
        match answer:
            case [int(code), str(text), str(owner)]:
                return Outcome(code, text, owner)
            case _:
                raise DaemonError(Fault.BROKEN, f"rgmgrd's answer is unreadable: {answer!r}")

    def fence(self, order: str, node: str, timeout_s: float, because: str = "") -> Outcome:
        """See `Daemon.fence`."""
        return self._ordered("Fence", (order, node, _options(because=because)), timeout_s)

    def order(self, order: str, node: str, terms: Terms, timeout_s: float) -> Outcome:
        """See `Daemon.order`."""
        options = _options(
            because=terms.because, for_ms=terms.for_ms, brings_back=terms.brings_back
        )
        return self._ordered("Order", (order, node, options), timeout_s)

    def _ordered(self, method: str, body: tuple[Argument, ...], timeout_s: float) -> Outcome:
        answer = self._call(method, body, timeout_s=timeout_s)
        match answer:
            case [int(code), str(text)]:
                return Outcome(code, text, "")
            case _:
                raise DaemonError(Fault.BROKEN, f"rgmgrd's answer is unreadable: {answer!r}")

    def _call(
        self, method: str, body: tuple[Argument, ...] = (), *, timeout_s: float
    ) -> list[object]:
        return self._ask(MANAGER, method, body, timeout_s)

    def _ask(
        self, interface: str, method: str, body: tuple[Argument, ...], timeout_s: float
    ) -> list[object]:
        try:
            return self._line.call(
                BUS_NAME, OBJECT_PATH, interface, method, body, timeout_s=timeout_s
            )
        except BusError as error:
            raise explain(error) from error


@contextlib.contextmanager
def connect(address: str | None = None) -> Iterator[BusDaemon]:
    """Connect to the daemon of this machine for one command.

    Args:
        address: of the bus; None for the system bus.

    Raises:
        DaemonError: there is no bus.
    """
    try:
        line = Line.connect(address)
    except BusError as error:
        text = f"{error.text}; 'systemctl status dbus' says why"
        raise DaemonError(Fault.UNREACHABLE, text) from error
    with contextlib.closing(line):
        yield BusDaemon(line)


def user_name() -> str:
    """Return who sits at this terminal, as far as the environment tells."""
    try:
        return os.environ.get("SUDO_USER") or getpass.getuser()
    except (KeyError, OSError):  # no such user
        return ""


def _options(**options: Option) -> dict[str, Option]:
    """Return options without what says nothing; who asks is always said."""
    return {name: value for name, value in {"user": user_name(), **options}.items() if value}


def connector(given: object) -> Connector:
    """Return what a caller put in the click context to reach its own daemon, else `connect`."""
    return given if callable(given) else connect


def _unreadable(what: str, error: ValueError) -> DaemonError:
    advice = "do this command and rgmgrd have the same version?"
    return DaemonError(Fault.BROKEN, f"rgmgrd's {what} is unreadable: {error}; {advice}")


def explain(error: BusError) -> DaemonError:
    """Turn a bus error into what it means for an operator."""
    name = error.name.rpartition(".")[2]
    if error.name.startswith(_ERROR):
        fault = Fault.DENIED if name == "AccessDenied" else Fault.REFUSED
        return DaemonError(Fault.BROKEN if name == "Internal" else fault, error.text, name)
    if name in _NOT_RUNNING:
        text = f"rgmgrd does not run on this node; {_ADVICE}"
        return DaemonError(Fault.UNREACHABLE, text, name)
    if name == TIMEOUT:
        text = "rgmgrd did not answer in time; the request may still be carried out"
        return DaemonError(Fault.NO_ANSWER, text, name)
    if name == "NoReply":
        text = f"rgmgrd ended before it answered; the request may still be carried out; {_ADVICE}"
        return DaemonError(Fault.NO_ANSWER, text, name)
    if name == "AccessDenied":
        text = "permission denied: be root, or in group rgmgr-operator or rgmgr-reader"
        return DaemonError(Fault.DENIED, text, name)
    return DaemonError(Fault.UNREACHABLE, f"cannot reach rgmgrd: {error}; {_ADVICE}", name)
