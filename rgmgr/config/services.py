# SPDX-License-Identifier: Apache-2.0
"""Services, their trees of resources, and the shared resources that trees refer to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TypedDict

from domains.model import ServiceName
from rgmgr.config.checks import read_checks
from rgmgr.config.claims import Claims, Placed, check_sharing
from rgmgr.config.defaults import Defaults, with_defaults
from rgmgr.config.depend import check_depend, read_depend
from rgmgr.config.inherit import inherited, sources
from rgmgr.config.ladder import is_ladder, read_ladder
from rgmgr.config.levels import SERVICE, check_child, read_levels
from rgmgr.config.modes import read_mode
from rgmgr.config.names import UNIT_NAME_LENGTH_MAX, check_word, resource_unit_length
from rgmgr.config.parts import PART_KEYS, read_part
from rgmgr.config.problems import Problems, below, did_you_mean, listed, shown
from rgmgr.config.resources import (
    RESOURCE_TYPES,
    accept,
    find_type,
    known_keys,
    read_parameters,
)
from rgmgr.config.table import Table
from rgmgr.config.terms import TERMS_KEYS, read_terms
from rgmgr.config.values import parse_plain
from rgmgr.core.spec import (
    EXISTING_UNIT_TYPES,
    ClusterSpec,
    DependMode,
    NoQuorumPolicy,
    RecoveryPolicy,
    ResourceName,
    ResourceSpec,
    Rung,
    ServiceSpec,
    ShutdownMode,
    StopFailurePolicy,
    TakeoverMode,
)

TREE_DEPTH_MAX = 16
COMMON_KEYS = ("type", "name", "start_timeout", "stop_timeout", "check")
PLACE_KEYS = ("start_level", "stop_level", *PART_KEYS, "resource")
SHARED_KEYS = ("max_uses",)
REF_KEYS = ("ref", "type", "start_timeout", "stop_timeout", *PLACE_KEYS)
_RESOURCE = ResourceSpec(name=ResourceName(""), type="", parameters={})  # its defaults
_SERVICE = ServiceSpec(name=ServiceName(""), resources=())  # its defaults
SERVICE_KEYS = (
    "name",
    "domain",
    "autostart",
    "recovery",
    "max_restarts",
    "restart_expire_time",
    "no_quorum_policy",
    "on_stop_failure",
    "depend",
    "depend_mode",
    "takeover",
    "on_shutdown",
    "weight",
    *TERMS_KEYS,
    "resource",
)
Entries = list[tuple[str, Mapping[str, object]]]  # tables with their key paths
Shared = dict[str, ResourceSpec | None]  # None: defined, but wrong


def read_shared(root: Table, defaults: Defaults) -> Shared:
    """Return the resources of [[resource]] by name."""
    shared: Shared = {}
    path_by_name: dict[str, str] = {}
    for path, raw in root.tables("resource", "resource"):
        whole = with_defaults(raw, defaults)
        name, resource = _define(whole, path, root.problems, structure=SHARED_KEYS)
        if name is None:
            continue
        if name in shared:
            text = f"the shared resource {shown(name)} is already defined by {path_by_name[name]}"
            root.problems.add(path, text)
            continue
        shared[name] = resource
        path_by_name[name] = path
    return shared


def _define(
    raw: Mapping[str, object], path: str, problems: Problems, *, structure: tuple[str, ...]
) -> tuple[str | None, ResourceSpec | None]:
    """Read a resource with its type; returns its name even when the rest is wrong."""
    before = len(problems.found)
    kind = find_type(Table(raw, path, problems, known=None))
    if kind is None:
        name = raw.get("name")
        return (name if isinstance(name, str) else None), None
    table = Table(raw, path, problems, known=(*COMMON_KEYS, *structure, *known_keys(kind)))
    parameters = read_parameters(kind, table)
    name = table.text("name") or parameters.get(kind.title)
    if name is None and kind.title == "name":
        problems.add(table.at("name"), f"missing: a name for this {kind.name}")
    if name is not None:
        name = accept(parse_plain(name), table, "name" if table.has("name") else kind.title)
    resource = ResourceSpec(
        name=ResourceName(name or ""),
        type=kind.name,
        parameters=parameters,
        start_timeout_ms=table.timeout("start_timeout", _RESOURCE.start_timeout_ms),
        stop_timeout_ms=table.timeout("stop_timeout", _RESOURCE.stop_timeout_ms),
        checks=read_checks(table, kind),
        max_uses=table.integer("max_uses", minimum=0, default=_RESOURCE.max_uses),
    )
    return name, resource if len(problems.found) == before else None


@dataclass(slots=True)
class _Tree:
    """Reads one service's tree; remembers every place, parents first."""

    shared: Shared
    defaults: Defaults
    problems: Problems
    placed: list[Placed] = field(default_factory=list)

    def read(
        self, entries: Entries, above: tuple[ResourceSpec, ...] = ()
    ) -> tuple[ResourceSpec, ...]:
        found = [self._read_place(path, raw, above) for path, raw in entries]
        return tuple(resource for resource in found if resource is not None)

    def _read_place(
        self, path: str, raw: Mapping[str, object], above: tuple[ResourceSpec, ...]
    ) -> ResourceSpec | None:
        place = Table(raw, path, self.problems, known=None)
        parent = above[-1].type if above else SERVICE
        found = self._refer(raw, path) if "ref" in raw else self._own(raw, path)
        resource = _with_inherited(found, above, place) if found else None
        if resource is not None:
            self.placed.append(Placed(path, resource))
            check_child(place, parent, resource.type)
        below_it = (*above, resource or _RESOURCE)
        children = self._read_children(raw, path, below_it)
        levels, part = read_levels(place, parent, below_it[-1].type), read_part(place)
        if resource is None:
            return None
        return replace(
            resource,
            children=children,
            start_level=levels.start,
            stop_level=levels.stop,
            **part._asdict(),
        )

    def _read_children(
        self, raw: Mapping[str, object], path: str, above: tuple[ResourceSpec, ...]
    ) -> tuple[ResourceSpec, ...]:
        depth = len(above)
        if depth == TREE_DEPTH_MAX and raw.get("resource"):
            text = f"resources are nested more than {TREE_DEPTH_MAX} levels deep"
            self.problems.add(below(path, "resource"), text)
            return ()
        table = Table(raw, path, self.problems, known=None)
        entries = table.tables("resource", "service" + ".resource" * (depth + 1))
        return self.read(entries, above)

    def _own(self, raw: Mapping[str, object], path: str) -> ResourceSpec | None:
        if "type" not in raw:
            text = "neither type nor ref is given"
            self.problems.add(path, text, "a type makes a resource, a ref uses a shared one")
            return None
        whole = with_defaults(raw, self.defaults)
        return _define(whole, path, self.problems, structure=PLACE_KEYS)[1]

    def _refer(self, raw: Mapping[str, object], path: str) -> ResourceSpec | None:
        table = Table(
            {key: value for key, value in raw.items() if key in REF_KEYS},
            path,
            self.problems,
            known=REF_KEYS,
        )
        for key in raw:
            if key not in REF_KEYS:
                text = "cannot be set where a shared resource is used"
                self.problems.add(table.at(key), text, "set it in the shared [[resource]]")
        name = table.text("ref")
        if name is None:
            return None
        if name not in self.shared:
            hint = did_you_mean(name, self.shared) or f"defined: {listed(self.shared)}"
            self.problems.add(table.at("ref"), f"unknown shared resource {shown(name)}", hint)
        resource = self.shared.get(name)
        return None if resource is None else self._with_settings_of_place(resource, table)

    def _with_settings_of_place(self, resource: ResourceSpec, table: Table) -> ResourceSpec:
        if table.has("type") and table.raw["type"] != resource.type:
            table.wrong("type", f"{resource.type!r} as in the shared resource", "leave it out")
        return replace(
            resource,
            is_shared=True,
            start_timeout_ms=table.timeout("start_timeout", resource.start_timeout_ms),
            stop_timeout_ms=table.timeout("stop_timeout", resource.stop_timeout_ms),
        )


def _with_inherited(
    resource: ResourceSpec, above: tuple[ResourceSpec, ...], place: Table
) -> ResourceSpec | None:
    """Return the resource with what it takes from above; None when something is still missing."""
    kind = RESOURCE_TYPES[resource.type]
    parameters = {**inherited(kind.name, above), **resource.parameters}
    missing = [p for p in kind.parameters if p.required and p.name not in parameters]
    for parameter in missing:
        types = listed(of_kind for of_kind, _ in sources(kind.name, parameter.name))
        hint = f"or put it below one of {types}, which has it"
        place.problems.add(place.at(parameter.name), f"missing: {parameter.help}", hint)
    name = resource.name or ResourceName(parameters.get(kind.title, ""))
    return None if missing else replace(resource, name=name, parameters=parameters)


def read_services(
    root: Table, shared: Shared, defaults: Defaults, domain_names: frozenset[str]
) -> tuple[ServiceSpec, ...]:
    """Return the services in document order; whatever is wrong with them is noted."""
    claims = Claims()
    services: list[ServiceSpec] = []
    path_by_name: dict[str, str] = {}
    for number_path, raw in root.tables("service", "service"):
        name = _read_name(raw, number_path, root.problems)
        if name is None:
            path = number_path
        elif name in path_by_name:
            path = number_path
            text = f"the service {shown(name)} is already defined by {path_by_name[name]}"
            root.problems.add(below(path, "name"), text)
        else:
            path = below("service", name)
            path_by_name[name] = number_path
        table = Table(raw, path, root.problems, known=SERVICE_KEYS)
        service = _read_service(name or "", table, domain_names)
        tree = _Tree(shared, defaults, root.problems)
        resources = _read_tree(service.name, table, tree, claims)
        services.append(replace(service, resources=resources))
    check_depend(services, root.problems)
    check_sharing(services, root.problems)
    return tuple(services)


def _read_name(raw: Mapping[str, object], path: str, problems: Problems) -> str | None:
    table = Table(raw, path, problems, known=None)
    name = table.required_text("name", "a name for the service")
    return check_word(name, table.at("name"), problems)


def _read_service(name: str, table: Table, domain_names: frozenset[str]) -> ServiceSpec:
    domain = table.text("domain")
    if domain is not None and domain not in domain_names:
        hint = did_you_mean(domain, domain_names) or f"defined: {listed(sorted(domain_names))}"
        text = f"unknown failover domain {shown(domain)}"
        table.problems.add(table.at("domain"), text, hint)
    takeover, delay_ms = read_mode(table, "takeover", TakeoverMode.DELAY, _SERVICE.takeover)
    on_shutdown, wait_ms = read_mode(table, "on_shutdown", ShutdownMode.WAIT, _SERVICE.on_shutdown)
    return ServiceSpec(
        name=ServiceName(name),
        domain=domain,
        autostart=table.boolean("autostart", _SERVICE.autostart),
        **_read_recovery(table),
        no_quorum_policy=table.optional_word("no_quorum_policy", NoQuorumPolicy),
        on_stop_failure=table.word("on_stop_failure", StopFailurePolicy, _SERVICE.on_stop_failure),
        depend=read_depend(table),
        depend_mode=table.word("depend_mode", DependMode, _SERVICE.depend_mode),
        takeover=takeover,
        takeover_delay_ms=delay_ms,
        on_shutdown=on_shutdown,
        shutdown_wait_ms=wait_ms,
        weight=table.integer("weight", minimum=0, default=_SERVICE.weight),
        terms=read_terms(table),
        resources=(),
    )


class _Recovery(TypedDict, total=False):
    recovery: RecoveryPolicy
    max_restarts: int
    restart_expire_ms: int
    ladder: tuple[Rung, ...]


def _read_recovery(table: Table) -> _Recovery:
    """Return rgmanager's words, or the ladder that stands for them."""
    if is_ladder(table):
        return _Recovery(ladder=read_ladder(table))
    return _Recovery(
        recovery=table.word("recovery", RecoveryPolicy, _SERVICE.recovery),
        max_restarts=table.integer("max_restarts", minimum=0, default=0),
        restart_expire_ms=table.duration("restart_expire_time", 0),
    )


def _read_tree(service: str, table: Table, tree: _Tree, claims: Claims) -> tuple[ResourceSpec, ...]:
    if table.raw.get("resource", []) == []:
        text = "a service needs at least one resource"
        table.problems.add(table.at("resource"), text, "add a [[service.resource]]")
    resources = tree.read(table.tables("resource", "service.resource"))
    path_by_name: dict[str, str] = {}
    for placed in tree.placed:
        _check_name(service, placed, path_by_name, table.problems)
        claims.take(placed, table.problems)
    return resources


def _check_name(
    service: str, placed: Placed, path_by_name: dict[str, str], problems: Problems
) -> None:
    name = placed.resource.name
    other = path_by_name.setdefault(name, placed.path)
    if other != placed.path:
        text = f"the resource name {shown(name)} is already used by {other}"
        problems.add(placed.path, text, "give one of them another name")
    is_own_unit = placed.resource.type not in EXISTING_UNIT_TYPES
    length = resource_unit_length(service, name)
    if is_own_unit and length > UNIT_NAME_LENGTH_MAX:
        problems.add(
            placed.path,
            f"the resource name {shown(name)} makes a unit name of {length} characters,"
            f" systemd allows {UNIT_NAME_LENGTH_MAX}",
            "give it a shorter name",
        )


def refuse_vain_fences(spec: ClusterSpec, problems: Problems) -> None:
    """Note each service that counts on fencing where nothing is fenced."""
    if not spec.fencing.unsafe_disabled:
        return
    for service in spec.services:
        if service.on_stop_failure is StopFailurePolicy.FENCE:
            path = below(below("service", service.name), "on_stop_failure")
            text = "'fence' needs fencing, and fencing.unsafe_disabled switches it off"
            problems.add(path, text, "leave one of the two out")
