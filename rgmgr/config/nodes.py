# SPDX-License-Identifier: Apache-2.0
"""Nodes, checked against corosync's nodelist, and failover domains, which are made of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from domains.model import PRIORITY_BEST, PRIORITY_WORST, FailoverDomain, NodeId
from rgmgr.config.failback import FAILBACK_KEYS, read_failback
from rgmgr.config.fencing import device_names, read_methods
from rgmgr.config.names import check_node_name, check_word
from rgmgr.config.problems import Problems, below, described, did_you_mean, item, listed, shown
from rgmgr.config.table import Table, is_integer
from rgmgr.core.spec import FencingSpec, NodeSpec

NODE_KEYS = ("name", "fence", "fence_delay", "capacity")
DOMAIN_KEYS = ("ordered", "restricted", *FAILBACK_KEYS, "members")
_DOMAIN = FailoverDomain(name="", priorities={})  # its defaults
_UNKNOWN = NodeId(0)  # never seen outside: it comes with a problem
_MEMBERS = 'members = { node1 = 1 } or members = ["node1"]'


@dataclass(slots=True)
class Nodes:
    """The nodes of the file, with the ids that corosync gives them."""

    id_by_name: dict[str, NodeId] = field(default_factory=dict)
    specs: dict[NodeId, NodeSpec] = field(default_factory=dict)


def read_nodes(root: Table, fencing: FencingSpec, node_ids: Mapping[str, NodeId] | None) -> Nodes:
    """Return the nodes; without corosync's `node_ids` they are numbered by position."""
    nodes = Nodes()
    if not root.raw.get("node"):
        root.problems.add("node", "a cluster needs at least one node", "add a [[node]]")
    path_by_name: dict[str, str] = {}
    for path, raw in root.tables("node", "node"):
        name = _read_name(raw, path, root.problems)
        if name is not None and name in path_by_name:
            text = f"the node {shown(name)} is already defined by {path_by_name[name]}"
            root.problems.add(below(path, "name"), text)
        elif name is not None:
            path_by_name[name] = path
            nodes.id_by_name[name] = _id_of(name, path, len(path_by_name), root, node_ids)
        known_path = path if name is None else below("node", name)
        table = Table(raw, known_path, root.problems, known=NODE_KEYS)
        spec = _read_node(name or "", table, fencing, device_names(root.table("fencing")))
        nodes.specs[nodes.id_by_name.get(spec.name, _UNKNOWN)] = spec
    _note_missing(path_by_name, root.problems, node_ids)
    return nodes


def _read_name(raw: Mapping[str, object], path: str, problems: Problems) -> str | None:
    table = Table(raw, path, problems, known=None)
    name = table.required_text("name", "the name of the node in corosync's nodelist")
    return check_node_name(name, table.at("name"), problems)


def _id_of(
    name: str, path: str, position: int, root: Table, node_ids: Mapping[str, NodeId] | None
) -> NodeId:
    if node_ids is None:
        return NodeId(position)
    if name not in node_ids:
        text = f"{shown(name)} is not in corosync's nodelist ({listed(node_ids)})"
        root.problems.add(below(path, "name"), text, did_you_mean(name, node_ids))
    return node_ids.get(name, _UNKNOWN)


def _read_node(name: str, table: Table, fencing: FencingSpec, devices: frozenset[str]) -> NodeSpec:
    if not fencing.unsafe_disabled and table.raw.get("fence", []) == []:
        table.problems.add(
            table.at("fence"),
            "a node needs a fence method: without it nothing can be recovered when it is lost",
            "add one, or set fencing.unsafe_disabled = true",
        )
    return NodeSpec(
        name=name,
        fence=read_methods(table, fencing, devices),
        fence_delay_ms=table.duration("fence_delay", 0),
        capacity=table.integer("capacity", minimum=0, default=0) if table.has("capacity") else None,
    )


def _note_missing(
    path_by_name: Mapping[str, str], problems: Problems, node_ids: Mapping[str, NodeId] | None
) -> None:
    for name in node_ids or ():
        if name not in path_by_name:
            text = f"corosync's nodelist has {shown(name)}, which is missing here"
            problems.add("node", text, "add a [[node]] for it, or remove it from corosync.conf")


def read_domains(root: Table, nodes: Nodes) -> dict[str, FailoverDomain]:
    """Return the failover domains by name; one that is no table is left out."""
    section = Table(root.table("domain"), "domain", root.problems, known=None)
    domains = {}
    for name, raw in section.raw.items():
        if not isinstance(raw, dict):
            section.wrong(name, f"a table, written [{section.at(name)}]")
            continue
        check_word(name, section.at(name), root.problems)
        table = Table(raw, section.at(name), root.problems, known=DOMAIN_KEYS)
        domains[name] = _read_domain(name, table, nodes)
    return domains


def domain_names(root: Table) -> frozenset[str]:
    """Return the names of all domains that are defined, right or wrong."""
    domains = root.raw.get("domain")
    return frozenset(domains) if isinstance(domains, dict) else frozenset()


def _read_domain(name: str, table: Table, nodes: Nodes) -> FailoverDomain:
    ordered = table.boolean("ordered", _DOMAIN.ordered)
    members = table.raw.get("members")
    if isinstance(members, dict):
        priorities = _read_priorities(members, table, nodes)
    elif isinstance(members, list):
        priorities = _read_names(members, table, nodes)
        if not ordered:
            priorities = dict.fromkeys(priorities, PRIORITY_BEST)
    else:
        priorities = {}
        if table.has("members"):
            table.wrong("members", "a table or a list of nodes", _MEMBERS)
    if members in (None, [], {}):
        table.problems.add(table.at("members"), "a domain needs at least one member", _MEMBERS)
    failback = read_failback(table)
    return FailoverDomain(
        name=name,
        priorities=priorities,
        ordered=ordered,
        restricted=table.boolean("restricted", _DOMAIN.restricted),
        nofailback=failback.is_never,
        failback_delay_ms=failback.delay_ms,
        failback_window=failback.window,
    )


def _read_priorities(
    members: Mapping[str, object], table: Table, nodes: Nodes
) -> dict[NodeId, int]:
    priorities = {}
    for name, raw in members.items():
        path = below(table.at("members"), name)
        node = _member(name, path, table.problems, nodes)
        if is_integer(raw) and PRIORITY_BEST <= raw <= PRIORITY_WORST:
            priorities[node] = raw
        else:
            expected = f"expected an integer from {PRIORITY_BEST} to {PRIORITY_WORST}"
            table.problems.add(path, f"{expected}, got {described(raw)}", "1 is preferred most")
    return priorities


def _read_names(members: list[object], table: Table, nodes: Nodes) -> dict[NodeId, int]:
    priorities: dict[NodeId, int] = {}
    path_by_name: dict[str, str] = {}
    for index, name in enumerate(members):
        path = item(table.at("members"), index)
        if not isinstance(name, str):
            text = f"expected the name of a node, got {described(name)}"
            table.problems.add(path, text)
        elif name in path_by_name:
            text = f"the node {shown(name)} is already named by {path_by_name[name]}"
            table.problems.add(path, text)
        else:
            path_by_name[name] = path
            node = _member(name, path, table.problems, nodes)
            priorities[node] = min(PRIORITY_BEST + index, PRIORITY_WORST)
    return priorities


def _member(name: str, path: str, problems: Problems, nodes: Nodes) -> NodeId:
    if name not in nodes.id_by_name:
        hint = did_you_mean(name, nodes.id_by_name) or f"nodes: {listed(nodes.id_by_name)}"
        problems.add(path, f"unknown node {shown(name)}", hint)
    return nodes.id_by_name.get(name, _UNKNOWN)
