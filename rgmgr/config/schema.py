# SPDX-License-Identifier: Apache-2.0
"""The meaning of cluster.toml: a parsed document becomes a `ClusterSpec`, or all its problems.

Pure: reads no file (that is `load`) and knows no cluster but the node ids it is given. Start
reading at `parse`; every section has its module. Reference of all keys: docs/configuration.md.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import replace

from domains.model import NodeId
from rgmgr.config.defaults import SECTION, read_defaults
from rgmgr.config.durations import written_duration
from rgmgr.config.fencing import read_fencing
from rgmgr.config.names import check_node_name
from rgmgr.config.nodes import domain_names, read_domains, read_nodes
from rgmgr.config.pings import read_pings
from rgmgr.config.problems import Problems
from rgmgr.config.services import read_services, read_shared, refuse_vain_fences
from rgmgr.config.table import Table
from rgmgr.config.terms import check_terms
from rgmgr.config.watchdog import check_watchdog
from rgmgr.core.spec import ClusterSpec, NoQuorumPolicy
from rgmgr.errors import ConfigError

SECTIONS = ("cluster", "node", "fencing", "ping", "domain", "resource", SECTION, "service")
CLUSTER_KEYS = ("name", "version", "no_quorum_policy", "rejoin_grace", "sync_timeout", "warntime")
_DEFAULTS = ClusterSpec(name="", version=1, digest="", nodes={}, services=())
_DIGEST_CHARACTERS = 16
WARNTIME_LEAST_MS = 1_500
"""Members speak once a second: `TICK_MS` of the core."""


def parse(
    document: Mapping[str, object],
    *,
    source: str,
    node_ids: Mapping[str, NodeId] | None,
    digest: str,
) -> ClusterSpec:
    """Return what a document says.

    Args:
        document: the tables as TOML has them.
        source: what the document is called in errors, such as its path.
        node_ids: names and ids of corosync's nodelist; None where there is no corosync: the nodes
            are then numbered from 1 by position, and nothing is compared.
        digest: of the same document, from `digest_of`.

    Raises:
        ConfigError: with every problem of the document.
    """
    problems = Problems()
    root = Table(document, "", problems, known=SECTIONS)
    settings = _read_cluster(root)
    fencing = read_fencing(root.table("fencing"), problems)
    nodes = read_nodes(root, fencing, node_ids)
    defaults = read_defaults(root)
    spec = replace(
        settings,
        digest=digest,
        nodes=nodes.specs,
        domains=read_domains(root, nodes),
        fencing=fencing,
        pings=read_pings(root),
        services=read_services(root, read_shared(root, defaults), defaults, domain_names(root)),
    )
    check_terms(spec, problems)
    refuse_vain_fences(spec, problems)
    check_watchdog(spec, problems)
    if problems.found:
        raise ConfigError(problems.found, source)
    return spec


def _read_cluster(root: Table) -> ClusterSpec:
    table = Table(root.table("cluster"), "cluster", root.problems, known=CLUSTER_KEYS)
    name = table.required_text("name", "a name for the cluster")
    if not table.has("version"):
        text = "missing: a number that every change raises"
        root.problems.add("cluster.version", text, "begin at 1")
    return replace(
        _DEFAULTS,
        name=check_node_name(name, "cluster.name", root.problems) or "",
        version=table.integer("version", minimum=1, default=1),
        no_quorum_policy=table.word("no_quorum_policy", NoQuorumPolicy, _DEFAULTS.no_quorum_policy),
        rejoin_grace_ms=table.duration("rejoin_grace", _DEFAULTS.rejoin_grace_ms),
        sync_timeout_ms=table.timeout("sync_timeout", _DEFAULTS.sync_timeout_ms),
        warntime_ms=_read_warntime(table),
    )


def _read_warntime(table: Table) -> int:
    found_ms = table.duration("warntime", _DEFAULTS.warntime_ms)
    if 0 < found_ms < WARNTIME_LEAST_MS:
        text = "is too short: members speak once a second, so each would be late all the time"
        hint = f"at least {written_duration(WARNTIME_LEAST_MS)}, or 0 for never"
        table.problems.add(table.at("warntime"), text, hint)
    return found_ms


def digest_of(document: Mapping[str, object]) -> str:
    """Return a short hash of what a document says; comments, order of keys and layout do not count.

    Raises:
        RecursionError, ValueError: the document is too deep, or holds an integer too long to print.
    """
    canonical = json.dumps(document, sort_keys=True, separators=(",", ":"), default=repr)
    return hashlib.sha256(canonical.encode()).hexdigest()[:_DIGEST_CHARACTERS]
