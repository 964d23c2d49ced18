# SPDX-License-Identifier: Apache-2.0
"""What resources use alone, and what services use together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from domains.model import ServiceName
from rgmgr.config.problems import Problems, below, shown
from rgmgr.core.sharing import exists_once, users
from rgmgr.core.spec import (
    SHAREABLE_FILE_SYSTEMS,
    DependMode,
    ResourceName,
    ResourceSpec,
    ServiceSpec,
)
from rgmgr.core.tree import start_order

_DEVICE_PREFIXES = ("/dev/", "LABEL=", "UUID=", "PARTLABEL=", "PARTUUID=")
_CLAIM_BY_TYPE = {
    "systemd": ("unit", ("unit",)),
    "nfsserver": ("unit", ("unit",)),
    "netfs": ("mountpoint", ("mountpoint",)),
    "bind-mount": ("mountpoint", ("mountpoint",)),
    "script": ("script", ("file",)),
    "lvm": ("volume", ("vg_name", "lv_name")),
    "nfsclient": ("export", ("target", "path")),
    "podman": ("container", ("container",)),
    "vm": ("virtual machine", ("machine",)),
}
"""What a resource uses alone: in words, and the parameters that name it."""


class Placed(NamedTuple):
    """A resource and the key path of its place."""

    path: str
    resource: ResourceSpec


@dataclass(slots=True)
class Claims:
    """What can be used at one place only, and where it is used; shared resources and their uses."""

    place_by_claim: dict[tuple[str, str], Placed] = field(default_factory=dict)
    uses: dict[ResourceName, int] = field(default_factory=dict)

    def take(self, placed: Placed, problems: Problems) -> None:
        """Note a place, and the problems that it makes."""
        for kind, value in _claims_of(placed.resource):
            other = self.place_by_claim.setdefault((kind, value), placed)
            if other.path != placed.path and not _is_same(other.resource, placed.resource):
                text = f"the {kind} {shown(value)} is already used by {other.path}"
                hint = "it can be at one place only, or be a shared [[resource]]"
                problems.add(placed.path, text, hint)
        if placed.resource.is_shared:
            self._count(placed, problems)

    def _count(self, placed: Placed, problems: Problems) -> None:
        name, most = placed.resource.name, placed.resource.max_uses
        self.uses[name] = count = self.uses.get(name, 0) + 1
        if most and count == most + 1:
            text = f"the shared resource {shown(name)} is used more than {most} times"
            problems.add(placed.path, text, "raise its max_uses, or use it less")


def _claims_of(resource: ResourceSpec) -> list[tuple[str, str]]:
    parameters = resource.parameters
    match resource.type:
        case "ip":
            return [("address", parameters["address"].partition("/")[0])]
        case "fs":
            claims = [("mountpoint", parameters["mountpoint"])]
            device = parameters["device"]
            is_shareable = parameters["fstype"] in SHAREABLE_FILE_SYSTEMS
            if device.startswith(_DEVICE_PREFIXES) and not is_shareable:
                claims.append(("device", device))
            return claims
        case kind:
            what, names = _CLAIM_BY_TYPE.get(kind, ("", ()))
            value = ":".join(parameters[name] for name in names if name in parameters)
            return [(what, value)] if value else []


def _is_same(one: ResourceSpec, other: ResourceSpec) -> bool:
    """Tell whether two places use one shared resource."""
    is_shared = one.is_shared and other.is_shared and one.name == other.name
    return is_shared and one.parameters == other.parameters  # some are taken from above


def check_sharing(services: Sequence[ServiceSpec], problems: Problems) -> None:
    """Note services that use together what exists once, and are not tied to one node.

    All but one have to follow another one of them, so that they move, start and stop as one.
    """
    everywhere = {r.name for s in services for r in start_order(s) if not exists_once(r)}
    told: set[ServiceName] = set()
    for name, names in users(services).items():
        together = [s for s in services if s.name in names and name not in everywhere]
        free = [s for s in together if not _follows(s, names)]
        for service in free[1:]:
            if service.name not in told:
                told.add(service.name)
                problems.add(below("service", service.name), *_untied(name, free[0]))


def _follows(service: ServiceSpec, names: Sequence[ServiceName]) -> bool:
    leaders = [tie.service for tie in service.terms.together if tie.hard]
    needs = service.depend if service.depend_mode is DependMode.HARD else ()
    return any(n in leaders and n in needs and n != service.name for n in names)


def _untied(name: ResourceName, leader: ServiceSpec) -> tuple[str, str]:
    text = f"it uses {shown(name)}, which exists once, and so does the service {leader.name}"
    ties = f'with = ["{leader.name}"] and depend = ["{leader.name}"]'
    return text, f"keep them on one node: add {ties} to one of them"
