# SPDX-License-Identifier: Apache-2.0
"""Which unit a resource is, how it is defined, and whether it is really there.

One `Plan` per resource, made from its specification alone. Existing units get a drop-in, all
others a transient definition. Everything that is no plain word goes into the environment: systemd
corrupts `$`, `;` and line breaks of transient command lines at the next daemon-reload.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from domains.model import ServiceName
from rgmgr.adapters.systemd import mounts, names, programs
from rgmgr.adapters.systemd.node import NodeFacts
from rgmgr.core.spec import EXISTING_UNIT_TYPES, ResourceName, ResourceSpec

DAEMON_UNIT = "rgmgrd.service"
HELPERS = Path("/usr/lib/rgmgr")
HELPER_BY_TYPE = {
    "ip": "rgmgr-ip",
    **dict.fromkeys(("lvm", "nfsexport", "nfsclient", "vm"), "rgmgr-resource"),
}
PROGRAMS = ("exec", "script", "ocf", "podman")
TYPES = (*EXISTING_UNIT_TYPES, *PROGRAMS, *HELPER_BY_TYPE, *mounts.TYPES)
MARK = "RGMGR_"

_TEXT_BY_TYPE = {
    "exec": "{command}",
    "script": "{file}",
    "nfsexport": "{path}, to be exported",
    "nfsclient": "export of {path} to {target}",
    "podman": "container {container}",
    "vm": "virtual machine {machine}",
}
_TYPES_WITH_SLICE = {"service": "Service", "socket": "Socket", "mount": "Mount", "swap": "Swap"}


@dataclass(frozen=True, slots=True)
class Key:
    """One resource of one service on this node."""

    service: ServiceName
    resource: ResourceName

    def __str__(self) -> str:
        """Render as `service/resource`."""
        return f"{self.service}/{self.resource}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """A resource as a unit."""

    key: Key
    spec: ResourceSpec
    unit: str
    description: str
    helper: Path | None = None  # the program that does the work of our own units

    @property
    def is_existing_unit(self) -> bool:
        """The unit is installed on the node and not ours to define."""
        return self.spec.type in EXISTING_UNIT_TYPES

    @property
    def is_mount(self) -> bool:
        """The unit is a mount, which the mount table tells the truth about."""
        return self.spec.type in mounts.TYPES

    @property
    def is_unmounted_by_force(self) -> bool:
        """Whoever keeps the mount busy is ended, too."""
        return self.is_mount and self.spec.parameters.get("force_unmount") == "yes"

    @property
    def is_told_by_commands(self) -> bool:
        """The unit has no main process and nothing we can look at, so its commands tell."""
        return self.spec.type in ("script", "ocf") or (
            self.helper is not None and self.spec.type != "ip"
        )

    @property
    def slice(self) -> str:
        """The slice that its unit belongs to."""
        return names.SLICE_OF_SHARED if self.spec.is_shared else names.slice_of(self.key.service)

    @property
    def generation(self) -> str:
        """Return a short hash of the definition: equal means that nothing has to be restarted."""
        text = json.dumps([self.spec.type, sorted(self.spec.parameters.items())])
        return hashlib.sha256(text.encode()).hexdigest()[:16]


def plan(service: str, spec: ResourceSpec, helpers: Path = HELPERS) -> Plan:
    """Return a resource as a unit.

    Raises:
        ValueError: the type is unknown, or a value would be corrupted on its way through systemd.
    """
    key = Key(ServiceName(service), spec.name)
    user = "shared" if spec.is_shared else service
    _refuse_control_characters(spec.parameters)
    match spec.type:
        case kind if kind in EXISTING_UNIT_TYPES:
            unit = spec.parameters["unit"]
            return Plan(key=key, spec=spec, unit=unit, description=f"{user}: {unit}")
        case kind if kind in mounts.TYPES:
            unit = names.mount_unit(spec.parameters["mountpoint"])
        case kind if kind in TYPES:
            is_shared, name = spec.is_shared, spec.name
            unit = names.shared_unit(name) if is_shared else names.resource_unit(service, name)
        case other:
            raise ValueError(f"{key} has the unknown type {other!r}; known are {', '.join(TYPES)}")
    return Plan(
        key=key,
        spec=spec,
        unit=unit,
        description=f"{user}: {_described(spec)}",
        helper=helpers / helper if (helper := HELPER_BY_TYPE.get(spec.type)) else None,
    )


def _described(spec: ResourceSpec) -> str:
    parameters = spec.parameters
    if text := _TEXT_BY_TYPE.get(spec.type):
        return text.format_map(parameters)
    match spec.type:
        case "ip":
            device = parameters.get("device")
            return f"address {parameters['address']}" + (f" on {device}" if device else "")
        case "ocf":
            return f"ocf:{parameters['agent']} {spec.name}"
        case "lvm":
            return f"volumes {'/'.join(filter(None, map(parameters.get, ('vg_name', 'lv_name'))))}"
        case _:
            return f"{mounts.source(spec)} on {parameters['mountpoint']}"


def resolved(plan_: Plan, node: NodeFacts) -> Plan:
    """Return the plan with the real path of its mount point, for systemd refuses links.

    A path that is a mount point now has no link in it, and is not touched: it may hang.
    """
    if not plan_.is_mount:
        return plan_
    path = plan_.spec.parameters["mountpoint"]
    if any(mount.mountpoint == path for mount in node.mounts()):
        return plan_
    real = os.path.realpath(path)
    if real == path:
        return plan_
    spec = replace(plan_.spec, parameters={**plan_.spec.parameters, "mountpoint": real})
    return replace(plan_, spec=spec, unit=names.mount_unit(real))


def flatten(resources: Sequence[ResourceSpec]) -> Iterator[ResourceSpec]:
    """Yield the resources of a tree, parents before children, in document order."""
    for resource in resources:
        yield resource
        yield from flatten(resource.children)


def is_present(plan_: Plan, node: NodeFacts) -> bool | None:
    """Tell whether the real thing behind the unit is there; None: only the unit can say."""
    if plan_.is_mount:
        return mounts.is_mounted(plan_.spec, node)
    if plan_.spec.type != "ip":
        return None
    parameters = plan_.spec.parameters
    ip = parameters["address"].partition("/")[0]
    device = parameters.get("device")
    return any(
        address.ip == ip and device in (None, address.interface) for address in node.addresses()
    )


def why_cut_off(plan_: Plan, node: NodeFacts) -> str | None:
    """Say why nobody can reach an address that is there; None when somebody can."""
    parameters = plan_.spec.parameters
    if plan_.spec.type != "ip" or parameters.get("monitor_link") == "no":
        return None
    ip = parameters["address"].partition("/")[0]
    places = {address.interface for address in node.addresses() if address.ip == ip}
    if not places or places & node.linked():
        return None
    return f"{', '.join(sorted(places))} has lost its link, and {plan_.description} with it"


def definition(plan_: Plan, after: Sequence[str]) -> list[programs.Property]:
    """Return the properties of the transient unit. `after`: units that must stop later."""
    common: list[programs.Property] = [
        ("Description", "s", plan_.description),
        ("Slice", "s", plan_.slice),
        ("After", "as", list(after)),
        ("StartLimitIntervalUSec", "t", 0),
        ("Environment", "as", _environment(plan_)),
    ]
    if plan_.is_mount:
        return common + mounts.properties(plan_.spec, DAEMON_UNIT)
    return [*common, ("Before", "as", [DAEMON_UNIT]), *_program(plan_)]


def _program(plan_: Plan) -> list[programs.Property]:
    match plan_.spec.type:
        case "exec":
            return programs.command(plan_.spec)
        case "script":
            return programs.script(plan_.spec)
        case "ocf":
            return programs.agent(plan_.spec)
        case "podman":
            return programs.container(plan_.spec)
        case _:
            return programs.helper(plan_.spec, str(plan_.helper))


def cleanup_definition(plan_: Plan) -> list[programs.Property]:
    """Return the throw-away unit that runs the stop command once more, at shutdown too."""
    helper = str(plan_.helper)
    return [
        ("Description", "s", f"{plan_.description}, clean-up"),
        ("DefaultDependencies", "b", False),
        ("CollectMode", "s", "inactive-or-failed"),
        ("Type", "s", "oneshot"),
        ("ExecStart", "a(sasb)", [[helper, [helper, "stop"], False]]),
        ("TimeoutStartUSec", "t", plan_.spec.stop_timeout_ms * 1000),
        ("Environment", "as", _environment(plan_)),
    ]


def drop_in(plan_: Plan, after: Sequence[str]) -> str:
    """Return the text of the drop-in that ties an existing unit to its service."""
    user = "" if plan_.spec.is_shared else plan_.key.service  # the same text for all its users
    mark = f"# rgmgr: {json.dumps([user, plan_.key.resource, plan_.generation])}"
    lines = [mark, "[Unit]", f"Before={DAEMON_UNIT}"]
    if after and not plan_.spec.is_shared:
        lines.append(f"After={' '.join(after)}")
    section = _TYPES_WITH_SLICE.get(plan_.unit.rpartition(".")[2])
    if section:
        lines += [f"[{section}]", f"Slice={plan_.slice}"]
    if section == "Service":
        lines.append("Restart=no")
    return "\n".join(lines) + "\n"


def helper_environment(plan_: Plan) -> dict[str, str]:
    """Return the marks and parameters that our own units carry for their helper, and for us."""
    marks = {
        "SERVICE": plan_.key.service,
        "RESOURCE": plan_.key.resource,
        "GEN": plan_.generation,
        "TYPE": plan_.spec.type,
        "STOP_TIMEOUT_S": str(plan_.spec.stop_timeout_ms // 1000),
        **{f"PARAM_{name.upper()}": value for name, value in plan_.spec.parameters.items()},
    }
    return {f"{MARK}{name}": value for name, value in marks.items()}


def _environment(plan_: Plan) -> list[str]:
    found = {**helper_environment(plan_), **programs.environment(plan_.spec)}
    return [f"{name}={value}" for name, value in found.items()]


def _refuse_control_characters(parameters: Mapping[str, str]) -> None:
    for name, value in parameters.items():
        if not value.isprintable():
            raise ValueError(f"{name} is {value!r}: it has characters that cannot be printed")
