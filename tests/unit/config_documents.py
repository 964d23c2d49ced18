# SPDX-License-Identifier: Apache-2.0
"""Small documents for the tests of the configuration: one that is right, to be made wrong."""

from __future__ import annotations

import tomllib

from domains.model import NodeId
from rgmgr.config.schema import parse
from rgmgr.core.spec import ClusterSpec
from rgmgr.errors import ConfigError, Problem

HEAD = """
[cluster]
name = "alpha"
version = 1
[[node]]
name = "node1"
fence = [[{ device = "pdu", plug = 1 }]]
[[node]]
name = "node2"
fence = [[{ device = "pdu", plug = 2, delay = "5" }]]
[fencing.device.pdu]
agent = "fence_pdu"
"""
SERVICE = """
[[service]]
name = "web"
[[service.resource]]
type = "systemd"
unit = "nginx.service"
"""
VALID = HEAD + SERVICE


def read(text: str, node_ids: dict[str, NodeId] | None = None) -> ClusterSpec:
    return parse(tomllib.loads(text), source="cluster.toml", node_ids=node_ids, digest="d")


def problems_of(text: str, node_ids: dict[str, NodeId] | None = None) -> tuple[Problem, ...]:
    """Return what is wrong with a document; nothing when it is right."""
    try:
        read(text, node_ids)
    except ConfigError as error:
        return error.problems
    return ()


def lines_of(text: str, node_ids: dict[str, NodeId] | None = None) -> list[str]:
    """Return the problems of a document, each as `path: problem`."""
    return [f"{found.path}: {found.problem}" for found in problems_of(text, node_ids)]
