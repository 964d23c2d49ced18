# SPDX-License-Identifier: Apache-2.0
"""`org.rgmgr` on the system bus: what operators may read and ask for.

Owns the exported objects, the check of who asks for what, and the change signals. Must not decide:
a request goes to `ask`, and everything shown comes from a `view.Status` and a `links.CorosyncView`.
Handlers never block, and a caller that goes away before the answer loses only the answer. After a
lost connection, make a new `Api` on the new bus.

Failure modes: `start` raises BusError when the name is taken or the bus policy forbids it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from enum import Enum
from typing import TypeVar

import structlog

from domains.model import NodeId, ServiceName
from rgmgr.adapters.bus import Bus, plain, sender
from rgmgr.adapters.callers import Callers, NotAllowedError
from rgmgr.adapters.dbus_objects import (
    ROOT_PATH,
    Manager,
    Node,
    Options,
    Service,
    node_facts,
    node_path,
    refusal,
    service_facts,
    service_path,
)
from rgmgr.core.actions import Reply
from rgmgr.core.messages import (
    AnyRequest,
    FenceOrder,
    FenceRequest,
    MaintenanceOrder,
    MaintenanceRequest,
    Request,
    Verb,
)
from rgmgr.links import CorosyncView
from rgmgr.view import NodeView, ServiceView, Status, encode_status

BUS_NAME = "org.rgmgr"
REQUESTS_MAX = 64
"""Requests that may wait at one time; more are refused, so that nobody can fill our memory."""

USER_CHARS_MAX = 64
BECAUSE_CHARS_MAX = 200
FOR_MS_MAX = 1 << 40

Word = TypeVar("Word", bound=Enum)
Ask = Callable[[AnyRequest], Awaitable[Reply]]
"""Carries a request, whose number it gives, to the core and returns how it ended."""

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class _Said:
    """What the options of a request say."""

    by: str
    because: str
    for_ms: int
    brings_back: bool


class Api:
    """Serves one bus connection.

    Args:
        bus: connected; stays the caller's.
        ask: answers an operator's request; may take as long as the work takes.
        current: the snapshot of this moment, made anew at each call.
        present: the agreed state and what is around it, both encoded; None: there is none yet.
        history: what was decided, as JSON.
        corosync: what this node knows of its corosync; without it nothing.
        callers: who may do what; None: the groups that the packages make.
    """

    def __init__(
        self,
        bus: Bus,
        ask: Ask,
        current: Callable[[], Status],
        present: Callable[[], tuple[bytes, str] | None],
        history: Callable[[], str],
        *,
        corosync: Callable[[], CorosyncView] = CorosyncView,
        callers: Callers | None = None,
    ) -> None:
        self._bus = bus
        self._ask = ask
        self._current = current
        self._present = present
        self._history = history
        self._corosync = corosync
        self._callers = callers or Callers(bus)
        self._waiting = 0
        self._manager = Manager(self)
        self._objects: dict[str, Service | Node] = {}

    async def start(self) -> None:
        """Export everything, then take the name: who sees the name finds the objects.

        Raises:
            BusError: the name is taken, or the bus policy does not let us own it.
        """
        status = self._current()
        self._manager.show(status)
        self._manager.show_corosync(self._corosync())
        self._bus.export(ROOT_PATH, self._manager)
        self._publish_objects(status)
        await self._bus.request_name(BUS_NAME)

    def publish(self, status: Status) -> None:
        """Tell the bus what has changed since the last snapshot; nothing changed, nothing sent."""
        if not self._bus.is_connected:
            return
        self._manager.show(status)
        self._publish_objects(status)

    def publish_corosync(self) -> None:
        """Tell the bus what has changed of corosync, as `publish` does of the cluster."""
        if self._bus.is_connected:
            self._manager.show_corosync(self._corosync())

    def stop(self) -> None:
        """Take all objects off the bus. Requests that still wait are answered nevertheless."""
        for path, exported in self._objects.items():
            self._bus.unexport(path, exported)
        self._objects.clear()
        self._bus.unexport(ROOT_PATH, self._manager)

    # What the objects pass on: see `dbus_objects.Served`.

    async def read_status(self) -> str:
        """Return the snapshot of this moment."""
        await self._admit_reader()
        return encode_status(self._current())

    async def read_present(self) -> tuple[bytes, str]:
        """Return what forecasts start from; an error when there is no agreed state yet."""
        await self._admit_reader()
        found = self._present()
        if found is None:
            raise refusal("NotReady", f"no agreed state yet: {self._current().note or 'joining'}")
        return found

    async def read_history(self) -> str:
        """Return what was decided."""
        await self._admit_reader()
        return self._history()

    async def request(self, verb: str, service: str, node: str, options: Options) -> Reply:
        """Check who asks for what, then ask. `node` is empty to let the domain choose."""
        what = f"{verb} {service!r}"
        said, status = await self._admit_operator(what, options)
        meant = _word(Verb, verb)
        known = status.service_named(service)
        if known is None:
            raise refusal("UnknownService", f"cannot {what}: no such service")
        request = Request(
            number=0,
            verb=meant,
            service=ServiceName(known.name),
            target=_node_id(status, node),
            by=said.by,
            because=said.because,
        )
        return await self._wait_for(request, what)

    async def request_fence(self, order: str, node: str, options: Options) -> Reply:
        """Check who asks, then ask. `node` is empty for all nodes."""
        what = f"fence {order} {node!r}"
        said, status = await self._admit_operator(what, options)
        meant = _word(FenceOrder, order)
        request = FenceRequest(
            number=0, order=meant, node=_node_id(status, node), by=said.by, because=said.because
        )
        return await self._wait_for(request, what)

    async def request_order(self, order: str, node: str, options: Options) -> Reply:
        """Check who asks, then ask. `node` is empty for an order about the whole cluster."""
        what = f"{order} {node}".strip()
        said, status = await self._admit_operator(what, options)
        meant = _word(MaintenanceOrder, order)
        is_of_node = meant in (MaintenanceOrder.STANDBY, MaintenanceOrder.UNSTANDBY)
        if is_of_node != bool(node):
            text = "a node must be named" if is_of_node else "it is about the whole cluster"
            raise refusal("InvalidArgument", f"cannot {what}: {text}")
        request = MaintenanceRequest(
            number=0,
            order=meant,
            node=_node_id(status, node),
            by=said.by,
            because=said.because,
            for_ms=said.for_ms,
            brings_back=said.brings_back,
        )
        return await self._wait_for(request, what)

    def node_name(self, node: NodeId | None) -> str:
        """Return the name of a node as shown on the bus; empty for none."""
        return next((view.name for view in self._current().nodes if view.id == node), "")

    async def _admit_reader(self) -> None:
        """Let those pass who may look; the bus policy is the first gate, this the second."""
        caller = sender()
        self._check_rate(caller)
        try:
            await self._callers.reader_uid(caller)
        except NotAllowedError as error:
            raise refusal("AccessDenied", str(error)) from error

    async def _admit_operator(self, what: str, options: Options) -> tuple[_Said, Status]:
        """Let root and operators pass, and read what they say."""
        caller = sender()
        self._check_rate(caller)
        try:
            uid = await self._callers.operator_uid(caller)
        except NotAllowedError as error:
            raise refusal("AccessDenied", str(error)) from error
        status = self._current()
        if status.node is None:  # there is no core yet that could ever answer
            raise refusal("NotReady", f"cannot {what}: {status.note or 'waiting for corosync'}")
        return _read_options(options, f"(uid {uid}) on {status.node}"), status

    def _check_rate(self, caller: str) -> None:
        if self._callers.is_too_much(caller):
            raise refusal("Busy", "too many calls in one second; try again later")

    async def _wait_for(self, request: AnyRequest, what: str) -> Reply:
        if self._waiting >= REQUESTS_MAX:
            raise refusal("Busy", f"cannot {what}: {self._waiting} requests wait; try again")
        log.info("request.accepted", what=what, user=getattr(request, "by", ""), sender=sender())
        self._waiting += 1
        try:
            return await self._ask(request)
        finally:
            self._waiting -= 1

    def _publish_objects(self, status: Status) -> None:
        shown: dict[str, NodeView | ServiceView] = {
            service_path(service.name): service for service in status.services
        }
        shown.update({node_path(node.name): node for node in status.nodes})
        for path in [path for path in self._objects if path not in shown]:
            self._bus.unexport(path, self._objects.pop(path))
        for path, view in shown.items():
            exported = self._objects.get(path) or self._export(path, view)
            if isinstance(view, NodeView):
                exported.update(node_facts(view))
            elif exported.update(service_facts(view)) & {"State", "Owner"}:
                self._manager.ServiceChanged(view.name, view.state, view.owner or "")

    def _export(self, path: str, view: NodeView | ServiceView) -> Service | Node:
        made = Service(self, view) if isinstance(view, ServiceView) else Node(self, view)
        self._bus.export(path, made)
        self._objects[path] = made
        return made


def _node_id(status: Status, name: str) -> NodeId | None:
    if not name:
        return None
    node = status.node_named(name)
    if node is None or not node.is_configured:
        names = ", ".join(view.name for view in status.nodes if view.is_configured)
        raise refusal("UnknownNode", f"no node is named {name!r} (there are {names})")
    return NodeId(node.id)


def _word(kind: type[Word], word: str) -> Word:
    """Return the member of an enumeration that a caller names."""
    try:
        return kind(word)
    except ValueError:
        words = ", ".join(str(known.value) for known in kind)
        raise refusal("InvalidVerb", f"{word!r} is not one of {words}") from None


def _read_options(options: Options, where: str) -> _Said:
    """Read an a{sv}; `user` is the name that somebody gives himself, `where` what we know."""
    kinds: dict[str, type] = {"user": str, "because": str, "for_ms": int, "brings_back": bool}
    values = plain(options)
    for name, value in values.items():
        if name not in kinds or type(value) is not kinds[name]:
            known = ", ".join(f"{key} ({kind.__name__})" for key, kind in kinds.items())
            raise refusal("InvalidArgument", f"option {name!r} is none of {known}")
    for_ms = int(str(values.get("for_ms", 0)))
    if not 0 <= for_ms <= FOR_MS_MAX:
        raise refusal("InvalidArgument", f"option 'for_ms' is out of range: {for_ms}")
    user = _printable(values.get("user", ""), USER_CHARS_MAX) or "somebody"
    because = _printable(values.get("because", ""), BECAUSE_CHARS_MAX)
    return _Said(f"{user} {where}", because, for_ms, bool(values.get("brings_back", False)))


def _printable(text: object, length_max: int) -> str:
    """Return a text fit for one line of a journal."""
    return "".join(char for char in str(text) if char.isprintable())[:length_max]
