# SPDX-License-Identifier: Apache-2.0
# The signatures in quotes are D-Bus types, which a Python type checker cannot read.
# mypy: disable-error-code="misc, name-defined, untyped-decorator, valid-type"
"""`org.rgmgr` on the system bus: what operators may read and ask for.

Owns the exported objects, the check of who asks, and the change signals. Must not decide: a
request goes to `ask`, and everything shown comes from a `view.Status` and a `links.CorosyncView`.
Handlers never block, and a caller that goes away before the answer loses only the answer. After a
lost connection, make a new `Api` on the new bus.

Failure modes: `start` raises BusError when the name is taken or the bus policy forbids it.
"""

import re
from collections.abc import Awaitable, Callable
from enum import Enum
from typing import Protocol, TypeVar

import structlog
from dbus_next.constants import PropertyAccess
from dbus_next.errors import DBusError
from dbus_next.service import ServiceInterface, dbus_property, method, signal

import rgmgr
from domains.model import NodeId, ServiceName
from rgmgr.adapters.bus import Bus, sender, variant
from rgmgr.adapters.callers import NotAllowedError, operator_uid
from rgmgr.core.actions import Answer, Reply
from rgmgr.core.messages import FenceOrder, Verb
from rgmgr.links import CorosyncView, properties
from rgmgr.view import NodeView, ServiceView, Status, encode_status

BUS_NAME = "org.rgmgr"
ROOT_PATH = "/org/rgmgr"
OPERATOR_GROUP = "rgmgr-operator"
REQUESTS_MAX = 64
"""Requests that may wait at one time; more are refused, so that nobody can fill our memory."""

USER_CHARS_MAX = 64

Word = TypeVar("Word", bound=Enum)

_ERROR = "org.rgmgr.Error."
_SIGNATURES = {bool: "b", int: "x", str: "s", list: "as"}
_SUCCESS = (Answer.DONE, Answer.ALREADY_RUNNING)

log = structlog.get_logger(__name__)


class Ask(Protocol):
    """Carries an operator's request to the core and returns when it is done."""

    def __call__(self, verb: Verb, service: ServiceName, target: NodeId | None) -> Awaitable[Reply]:
        """Return how it ended. `target` None: let the failover domain choose."""
        ...


class AskFence(Protocol):
    """Carries an operator's request about fencing to the core and returns when it is done."""

    def __call__(
        self, order: FenceOrder, node: NodeId | None, name: str, by: str
    ) -> Awaitable[Reply]:
        """Return how it ended. `node` None and `name` empty: all nodes. `by`: who asks."""
        ...


def service_path(name: str) -> str:
    """Return the object path of a service."""
    return f"{ROOT_PATH}/service/{escape(name)}"


def node_path(name: str) -> str:
    """Return the object path of a node."""
    return f"{ROOT_PATH}/node/{escape(name)}"


def escape(name: str) -> str:
    """Write a name as one element of an object path, as systemd does: `_2d` for a dash."""
    return re.sub(rb"[^A-Za-z0-9]", lambda m: b"_%02x" % m[0][0], name.encode()).decode() or "_"


class Api:
    """Serves one bus connection.

    Args:
        bus: connected; stays the caller's.
        ask: answers an operator's request; may take as long as the work takes.
        ask_fence: likewise, about fencing.
        current: the snapshot of this moment, made anew at each call.
        present: the agreed state and what is around it, both encoded; None: there is none yet.
        corosync: what this node knows of its corosync; without it nothing.
        operator_group: whose members may operate, besides root.
    """

    def __init__(
        self,
        bus: Bus,
        ask: Ask,
        ask_fence: AskFence,
        current: Callable[[], Status],
        present: Callable[[], tuple[bytes, str] | None],
        *,
        corosync: Callable[[], CorosyncView] = CorosyncView,
        operator_group: str = OPERATOR_GROUP,
    ) -> None:
        self._bus = bus
        self._ask = ask
        self._ask_fence = ask_fence
        self._current = current
        self._present = present
        self._corosync = corosync
        self._operator_group = operator_group
        self._waiting = 0
        self._manager = _Manager(self)
        self._objects: dict[str, _Service | _Node] = {}

    async def start(self) -> None:
        """Export everything, then take the name: who sees the name finds the objects.

        Raises:
            BusError: the name is taken, or the bus policy does not let us own it.
        """
        status = self._current()
        self._manager.show(status, self._corosync())
        self._bus.export(ROOT_PATH, self._manager)
        self._publish_objects(status)
        await self._bus.request_name(BUS_NAME)

    def publish(self, status: Status) -> None:
        """Tell the bus what has changed since the last snapshot; nothing changed, nothing sent."""
        if not self._bus.is_connected:
            return
        self._manager.show(status, self._corosync())
        self._publish_objects(status)

    def stop(self) -> None:
        """Take all objects off the bus. Requests that still wait are answered nevertheless."""
        for path, exported in self._objects.items():
            self._bus.unexport(path, exported)
        self._objects.clear()
        self._bus.unexport(ROOT_PATH, self._manager)

    def status(self) -> Status:
        """Return the snapshot of this moment."""
        return self._current()

    def present(self) -> tuple[bytes, str]:
        """Return what forecasts start from.

        Raises:
            DBusError: there is no agreed state yet.
        """
        found = self._present()
        if found is None:
            raise _error("NotReady", f"no agreed state yet: {self._current().note or 'joining'}")
        return found

    async def request(self, verb: Verb, service: str, node: str) -> Reply:
        """Check who asks for what, then ask. `node` is empty to let the domain choose.

        Raises:
            DBusError: refused before the core was asked.
        """
        caller = sender()
        await self._authorize(caller)
        status = self._ready_status(f"{verb.value} {service!r}")
        known = status.service_named(service)
        if known is None:
            raise _error("UnknownService", f"cannot {verb.value} {service!r}: no such service")
        target = self._node_id(status, node)
        log.info("request.accepted", verb=verb.value, service=known.name, sender=caller)
        name = ServiceName(known.name)
        return await self._wait_for(
            lambda: self._ask(verb, name, target), f"{verb.value} {service!r}"
        )

    async def request_fence(self, order: FenceOrder, node: str, user: str) -> Reply:
        """Check who asks, then ask. `user` is the name that the command gives; we add the uid.

        Raises:
            DBusError: refused before the core was asked.
        """
        caller = sender()
        uid = await self._authorize(caller)
        what = f"fence {order.value} {node!r}"
        status = self._ready_status(what)
        target = self._node_id(status, node)
        by = f"{_plain(user)} (uid {uid}) on {status.node}"
        log.info("request.accepted", verb=f"fence {order.value}", node=node, sender=caller)
        return await self._wait_for(lambda: self._ask_fence(order, target, node, by), what)

    def _ready_status(self, what: str) -> Status:
        status = self._current()
        if status.node is None:  # there is no core yet that could ever answer
            raise _error("NotReady", f"cannot {what}: {status.note or 'waiting for corosync'}")
        return status

    async def _wait_for(self, ask: Callable[[], Awaitable[Reply]], what: str) -> Reply:
        if self._waiting >= REQUESTS_MAX:
            raise _error("Busy", f"cannot {what}: {self._waiting} requests wait; try again")
        self._waiting += 1
        try:
            return await ask()
        finally:
            self._waiting -= 1

    def node_name(self, node: NodeId | None) -> str:
        """Return the name of a node as shown on the bus; empty for none."""
        return next((view.name for view in self._current().nodes if view.id == node), "")

    @staticmethod
    def _node_id(status: Status, name: str) -> NodeId | None:
        if not name:
            return None
        node = status.node_named(name)
        if node is None or not node.is_configured:
            names = ", ".join(view.name for view in status.nodes if view.is_configured)
            raise _error("UnknownNode", f"no node is named {name!r} (there are {names})")
        return NodeId(node.id)

    async def _authorize(self, caller: str) -> int | None:
        """Let root and operators pass; the bus policy is the first gate, this the second."""
        try:
            return await operator_uid(self._bus, caller, self._operator_group)
        except NotAllowedError as error:
            raise _error("AccessDenied", str(error)) from error

    def _publish_objects(self, status: Status) -> None:
        shown: dict[str, NodeView | ServiceView] = {
            service_path(service.name): service for service in status.services
        }
        shown.update({node_path(node.name): node for node in status.nodes})
        for path in [path for path in self._objects if path not in shown]:
            self._bus.unexport(path, self._objects.pop(path))
        for path, view in shown.items():
            exported = self._objects.get(path) or self._export(path, view)
            changed = exported.update(_facts(view))
            if isinstance(view, ServiceView) and changed & {"State", "Owner"}:
                self._manager.ServiceChanged(view.name, view.state, view.owner or "")

    def _export(self, path: str, view: NodeView | ServiceView) -> "_Service | _Node":
        made = _Service(self, view) if isinstance(view, ServiceView) else _Node(view)
        self._bus.export(path, made)
        self._objects[path] = made
        return made


class _Shown(ServiceInterface):
    """An exported object whose properties are a plain dict, so that changes are its difference."""

    def __init__(self, interface: str, facts: dict[str, object]) -> None:
        super().__init__(interface)
        self.facts = facts

    def update(self, facts: dict[str, object]) -> set[str]:
        """Take the new facts, signal those that differ, and return their names."""
        changed = {
            name: value
            for name, value in facts.items()
            if name not in self.facts or self._told(self.facts[name]) != self._told(value)
        }
        self.facts = facts
        if changed:
            self.emit_properties_changed(changed)
        return set(changed)

    def _told(self, value: object) -> object:
        """Return the part of a value whose change is worth a signal."""
        return value


class _Manager(_Shown):
    """org.rgmgr.Manager1 at /org/rgmgr."""

    def __init__(self, api: Api) -> None:
        super().__init__("org.rgmgr.Manager1", {})
        self._api = api

    def show(self, status: Status, corosync: CorosyncView) -> None:
        self.update(
            {
                "ClusterName": status.cluster,
                "Quorate": status.is_quorate,
                "Members": [node.name for node in status.nodes if node.is_member],
                "Version": rgmgr.__version__,
                **{name: _carried(value) for name, value in properties(corosync).items()},
            }
        )

    def _told(self, value: object) -> object:
        """Leave latencies out: they change all the time, and say nothing until a link is down."""
        if not isinstance(value, list):
            return value
        return [
            {key: fact for key, fact in entry.items() if key != "latency_us"}
            if isinstance(entry, dict)
            else entry
            for entry in value
        ]

    @method()
    async def Status(self) -> "s":
        return encode_status(self._api.status())

    @method()
    async def Present(self) -> "ays":
        return list(self._api.present())

    @method()
    async def Request(self, verb: "s", service: "s", node: "s") -> "iss":
        reply = await self._api.request(_word(Verb, verb), service, node)
        return [reply.answer.value, reply.text, self._api.node_name(reply.owner)]

    @method()
    async def Fence(self, order: "s", node: "s", user: "s") -> "is":
        reply = await self._api.request_fence(_word(FenceOrder, order), node, user)
        return [reply.answer.value, reply.text]

    @signal()
    def ServiceChanged(self, service: "s", state: "s", owner: "s") -> "sss":
        return [service, state, owner]

    @dbus_property(access=PropertyAccess.READ)
    def ClusterName(self) -> "s":
        return self.facts["ClusterName"]

    @dbus_property(access=PropertyAccess.READ)
    def Quorate(self) -> "b":
        return self.facts["Quorate"]

    @dbus_property(access=PropertyAccess.READ)
    def Members(self) -> "as":
        return self.facts["Members"]

    @dbus_property(access=PropertyAccess.READ)
    def Version(self) -> "s":
        return self.facts["Version"]

    @dbus_property(access=PropertyAccess.READ)
    def LocalNode(self) -> "s":
        return self.facts["LocalNode"]

    @dbus_property(access=PropertyAccess.READ)
    def CorosyncFault(self) -> "s":
        return self.facts["CorosyncFault"]

    @dbus_property(access=PropertyAccess.READ)
    def Totem(self) -> "a{sv}":
        return self.facts["Totem"]

    @dbus_property(access=PropertyAccess.READ)
    def Quorum(self) -> "a{sv}":
        return self.facts["Quorum"]

    @dbus_property(access=PropertyAccess.READ)
    def Voters(self) -> "aa{sv}":
        return self.facts["Voters"]

    @dbus_property(access=PropertyAccess.READ)
    def Links(self) -> "aa{sv}":
        return self.facts["Links"]

    @dbus_property(access=PropertyAccess.READ)
    def CorosyncWarnings(self) -> "aa{sv}":
        return self.facts["CorosyncWarnings"]


class _Service(_Shown):
    """org.rgmgr.Service1, one object per service."""

    def __init__(self, api: Api, view: ServiceView) -> None:
        super().__init__("org.rgmgr.Service1", _facts(view))
        self._api = api

    async def _do(self, verb: Verb, node: str = "") -> str:
        reply = await self._api.request(verb, str(self.facts["Name"]), node)
        if reply.answer not in _SUCCESS:
            raise _error(_camel_case(reply.answer.name), reply.text)
        return self._api.node_name(reply.owner)

    @method()
    async def Enable(self, node: "s") -> "s":
        return await self._do(Verb.ENABLE, node)

    @method()
    async def Disable(self) -> None:
        await self._do(Verb.DISABLE)

    @method()
    async def Stop(self) -> None:
        await self._do(Verb.STOP)

    @method()
    async def Restart(self) -> None:
        await self._do(Verb.RESTART)

    @method()
    async def Relocate(self, node: "s") -> "s":
        return await self._do(Verb.RELOCATE, node)

    @method()
    async def Convalesce(self) -> None:
        await self._do(Verb.CONVALESCE)

    @dbus_property(access=PropertyAccess.READ)
    def Name(self) -> "s":
        return self.facts["Name"]

    @dbus_property(access=PropertyAccess.READ)
    def State(self) -> "s":
        return self.facts["State"]

    @dbus_property(access=PropertyAccess.READ)
    def Owner(self) -> "s":
        return self.facts["Owner"]

    @dbus_property(access=PropertyAccess.READ)
    def Because(self) -> "s":
        return self.facts["Because"]


class _Node(_Shown):
    """org.rgmgr.Node1, one object per node."""

    def __init__(self, view: NodeView) -> None:
        super().__init__("org.rgmgr.Node1", _facts(view))

    @dbus_property(access=PropertyAccess.READ)
    def Name(self) -> "s":
        return self.facts["Name"]

    @dbus_property(access=PropertyAccess.READ)
    def Id(self) -> "u":
        return self.facts["Id"]

    @dbus_property(access=PropertyAccess.READ)
    def Status(self) -> "s":
        return self.facts["Status"]

    @dbus_property(access=PropertyAccess.READ)
    def Member(self) -> "b":
        return self.facts["Member"]


def _facts(view: NodeView | ServiceView) -> dict[str, object]:
    """Return the properties of an object by name."""
    if isinstance(view, NodeView):
        return {
            "Name": view.name,
            "Id": view.id,
            "Status": view.status,
            "Member": view.is_member,
        }
    return {
        "Name": view.name,
        "State": view.state,
        "Owner": view.owner or "",
        "Because": view.because or "",
    }


def _carried(value: object) -> object:
    """Return plain values as the bus carries them: what is in a dictionary becomes a variant."""
    match value:
        case dict():
            return {key: variant(_SIGNATURES[type(fact)], fact) for key, fact in value.items()}
        case list():
            return [_carried(entry) for entry in value]
        case _:
            return value


def _word(kind: type[Word], word: str) -> Word:
    """Return the member of an enumeration that a caller names."""
    try:
        return kind(word)
    except ValueError:
        words = ", ".join(str(known.value) for known in kind)
        raise _error("InvalidVerb", f"{word!r} is not one of {words}") from None


def _plain(user: str) -> str:
    """Return the name that somebody gives himself, fit for a line of a journal."""
    return "".join(char for char in user if char.isprintable())[:USER_CHARS_MAX] or "somebody"


def _camel_case(name: str) -> str:
    return "".join(word.capitalize() for word in name.split("_"))


def _error(name: str, text: str) -> DBusError:
    return DBusError(_ERROR + name, text)  # type: ignore[no-untyped-call]
