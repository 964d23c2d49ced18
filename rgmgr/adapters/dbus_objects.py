# SPDX-License-Identifier: Apache-2.0
# The signatures in quotes are D-Bus types, which a Python type checker cannot read.
# mypy: disable-error-code="misc, name-defined, untyped-decorator, valid-type"
"""The interfaces of `org.rgmgr` as dbus-next describes them: Manager1, Service1 and Node1.

Holds the properties that are shown and passes calls on to a `Served`; decides nothing. Options of
a method are a{sv}: `user` and `because` (s) for every request.
"""

import re
from typing import Protocol

from dbus_next.constants import PropertyAccess
from dbus_next.errors import DBusError
from dbus_next.service import ServiceInterface, dbus_property, method, signal

import rgmgr
from domains.model import NodeId
from rgmgr.adapters.bus import variant
from rgmgr.core.actions import Answer, Reply
from rgmgr.links import CorosyncView, properties
from rgmgr.view import NodeView, ServiceView, Status

ROOT_PATH = "/org/rgmgr"

_ERROR = "org.rgmgr.Error."
_SIGNATURES = {bool: "b", int: "x", str: "s", list: "as"}
_SUCCESS = (Answer.DONE, Answer.ALREADY_RUNNING)

Options = dict[str, object]


class Served(Protocol):
    """What the objects pass calls on to. All raise DBusError with a name of org.rgmgr.Error."""

    async def read_status(self) -> str:
        """Return the snapshot as JSON."""
        ...

    async def read_present(self) -> tuple[bytes, str]:
        """Return what forecasts start from."""
        ...

    async def read_history(self) -> str:
        """Return what was decided as JSON."""
        ...

    async def request(self, verb: str, service: str, node: str, options: Options) -> Reply:
        """Carry a request about a service; return when it is done."""
        ...

    async def request_fence(self, order: str, node: str, options: Options) -> Reply:
        """Carry a request about fencing; return when it is done."""
        ...

    async def request_order(self, order: str, node: str, options: Options) -> Reply:
        """Carry a standing order, or the end of one; return when it is done."""
        ...

    def node_name(self, node: NodeId | None) -> str:
        """Return the name of a node as shown on the bus; empty for none."""
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


def refusal(name: str, text: str) -> DBusError:
    """Return an error of ours. `name` is its last part, such as 'UnknownService'."""
    return DBusError(_ERROR + name, text)  # type: ignore[no-untyped-call]


def _checked(reply: Reply) -> Reply:
    """Return a reply that says done; any other is an error with the name of its answer."""
    if reply.answer in _SUCCESS:
        return reply
    camel_case = "".join(word.capitalize() for word in reply.answer.name.split("_"))
    raise refusal(camel_case, reply.text)


class _Shown(ServiceInterface):
    """An exported object whose properties are a plain dict, so that changes are its difference."""

    def __init__(self, interface: str, facts: dict[str, object]) -> None:
        super().__init__(interface)
        self.facts = facts

    def update(self, facts: dict[str, object]) -> set[str]:
        """Take these facts, signal those that differ, and return their names."""
        changed = {
            name: value
            for name, value in facts.items()
            if name not in self.facts or self._told(self.facts[name]) != self._told(value)
        }
        self.facts = {**self.facts, **facts}
        if changed:
            self.emit_properties_changed(changed)
        return set(changed)

    def _told(self, value: object) -> object:
        """Return the part of a value whose change is worth a signal."""
        return value


class Manager(_Shown):
    """org.rgmgr.Manager1 at /org/rgmgr."""

    def __init__(self, served: Served) -> None:
        super().__init__("org.rgmgr.Manager1", {})
        self._served = served

    def show(self, status: Status) -> None:
        """Show what has become of the cluster."""
        self.update(
            {
                "ClusterName": status.cluster,
                "Quorate": status.is_quorate,
                "Members": [node.name for node in status.nodes if node.is_member],
                "Version": rgmgr.__version__,
                "ConfigVersion": status.config_version,
                "Locked": status.locked is not None,
                "Disarmed": status.disarmed is not None,
                "Notices": [notice.code for notice in status.notices],
            }
        )

    def show_corosync(self, view: CorosyncView) -> None:
        """Show what this node knows of its corosync."""
        self.update({name: _carried(value) for name, value in properties(view).items()})

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
        return await self._served.read_status()

    @method()
    async def Present(self) -> "ays":
        return list(await self._served.read_present())

    @method()
    async def History(self) -> "s":
        return await self._served.read_history()

    @method()
    async def Request(self, verb: "s", service: "s", node: "s", options: "a{sv}") -> "iss":
        reply = await self._served.request(verb, service, node, options)
        return [reply.answer.value, reply.text, self._served.node_name(reply.owner)]

    @method()
    async def Fence(self, order: "s", node: "s", options: "a{sv}") -> "is":
        reply = await self._served.request_fence(order, node, options)
        return [reply.answer.value, reply.text]

    @method()
    async def Order(self, order: "s", node: "s", options: "a{sv}") -> "is":
        reply = await self._served.request_order(order, node, options)
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
    def ConfigVersion(self) -> "x":
        return self.facts["ConfigVersion"]

    @dbus_property(access=PropertyAccess.READ)
    def Locked(self) -> "b":
        return self.facts["Locked"]

    @dbus_property(access=PropertyAccess.READ)
    def Disarmed(self) -> "b":
        return self.facts["Disarmed"]

    @dbus_property(access=PropertyAccess.READ)
    def Notices(self) -> "as":
        return self.facts["Notices"]

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


class Service(_Shown):
    """org.rgmgr.Service1, one object per service."""

    def __init__(self, served: Served, view: ServiceView) -> None:
        super().__init__("org.rgmgr.Service1", service_facts(view))
        self._served = served

    async def _do(self, verb: str, node: str, options: Options) -> str:
        reply = await self._served.request(verb, str(self.facts["Name"]), node, options)
        return self._served.node_name(_checked(reply).owner)

    @method()
    async def Enable(self, node: "s", options: "a{sv}") -> "s":
        return await self._do("enable", node, options)

    @method()
    async def Disable(self, options: "a{sv}") -> None:
        await self._do("disable", "", options)

    @method()
    async def Stop(self, options: "a{sv}") -> None:
        await self._do("stop", "", options)

    @method()
    async def Restart(self, options: "a{sv}") -> "s":
        return await self._do("restart", "", options)

    @method()
    async def Relocate(self, node: "s", options: "a{sv}") -> "s":
        return await self._do("relocate", node, options)

    @method()
    async def Migrate(self, node: "s", options: "a{sv}") -> "s":
        return await self._do("migrate", node, options)

    @method()
    async def Freeze(self, options: "a{sv}") -> None:
        await self._do("freeze", "", options)

    @method()
    async def Unfreeze(self, options: "a{sv}") -> None:
        await self._do("unfreeze", "", options)

    @method()
    async def Convalesce(self, options: "a{sv}") -> None:
        await self._do("convalesce", "", options)

    @method()
    async def Retry(self, options: "a{sv}") -> "s":
        return await self._do("retry", "", options)

    @method()
    async def ConfirmTakeover(self, options: "a{sv}") -> "s":
        return await self._do("confirm", "", options)

    @method()
    async def RefuseTakeover(self, options: "a{sv}") -> None:
        await self._do("refuse", "", options)

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
    def LastOwner(self) -> "s":
        return self.facts["LastOwner"]

    @dbus_property(access=PropertyAccess.READ)
    def Domain(self) -> "s":
        return self.facts["Domain"]

    @dbus_property(access=PropertyAccess.READ)
    def Flags(self) -> "as":
        return self.facts["Flags"]

    @dbus_property(access=PropertyAccess.READ)
    def Restarts(self) -> "x":
        return self.facts["Restarts"]

    @dbus_property(access=PropertyAccess.READ)
    def Because(self) -> "s":
        return self.facts["Because"]

    @dbus_property(access=PropertyAccess.READ)
    def Fault(self) -> "s":
        return self.facts["Fault"]


class Node(_Shown):
    """org.rgmgr.Node1, one object per node."""

    def __init__(self, served: Served, view: NodeView) -> None:
        super().__init__("org.rgmgr.Node1", node_facts(view))
        self._served = served

    async def _do(self, order: str, options: Options) -> None:
        _checked(await self._served.request_order(order, str(self.facts["Name"]), options))

    @method()
    async def Standby(self, options: "a{sv}") -> None:
        await self._do("standby", options)

    @method()
    async def Unstandby(self, options: "a{sv}") -> None:
        await self._do("unstandby", options)

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

    @dbus_property(access=PropertyAccess.READ)
    def InStandby(self) -> "b":
        return self.facts["InStandby"]

    @dbus_property(access=PropertyAccess.READ)
    def Services(self) -> "x":
        return self.facts["Services"]


def node_facts(view: NodeView) -> dict[str, object]:
    """Return the properties of a node by name."""
    return {
        "Name": view.name,
        "Id": view.id,
        "Status": view.status,
        "Member": view.is_member,
        "InStandby": view.standby is not None,
        "Services": view.services,
    }


def service_facts(view: ServiceView) -> dict[str, object]:
    """Return the properties of a service by name."""
    return {
        "Name": view.name,
        "State": view.state,
        "Owner": view.owner or "",
        "LastOwner": view.last_owner or "",
        "Domain": view.domain or "",
        "Flags": list(view.flags),
        "Restarts": view.restarts,
        "Because": view.because or "",
        "Fault": view.fault,
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
