# SPDX-License-Identifier: Apache-2.0
"""The digest of one state, fixed: it must be the same on every member."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

from domains.model import NodeId, ServiceName
from rgmgr.core.digest import digest
from rgmgr.core.model import ClusterState, Node, NodeStatus, Service
from rgmgr.core.spec import ClusterSpec, NodeSpec, ResourceName, ResourceSpec, ServiceSpec

PROGRAM = """
import sys
sys.path[:0] = ["."]
from tests.unit.test_digest import STATE
from rgmgr.core.digest import digest
print(digest(STATE))
"""


def state_of(count: int) -> ClusterState:
    resource = ResourceSpec(name=ResourceName("ip"), type="ip", parameters={"address": "10.0.0.1"})
    specs = [ServiceSpec(name=ServiceName(f"s{n}"), resources=(resource,)) for n in range(count)]
    nodes = {NodeId(n): NodeSpec(name=f"node{n}") for n in (1, 2, 3)}
    spec = ClusterSpec(name="alpha", version=3, digest="d", nodes=nodes, services=tuple(specs))
    return ClusterState(
        spec=spec,
        epoch=4,
        nodes={node: Node(status=NodeStatus.ONLINE, boot_id="é") for node in nodes},
        services={entry.name: Service(spec=entry, owner=NodeId(1)) for entry in specs},
    )


STATE = state_of(3)


def test_a_digest_is_sixteen_hexadecimal_digits() -> None:
    found = digest(STATE)
    assert len(found) == 16
    assert int(found, 16) >= 0


def test_a_digest_does_not_depend_on_the_hash_seed() -> None:
    root = Path(__file__).parents[2]
    found = {
        subprocess.run(
            [sys.executable, "-c", PROGRAM],
            env={"PYTHONHASHSEED": seed},
            cwd=root,
            capture_output=True,
            text=True,
            check=True,
        ).stdout.strip()
        for seed in ("0", "1", "77")
    }
    assert found == {digest(STATE)}


def test_a_changed_specification_of_a_running_service_counts() -> None:
    """The record keeps the specification it was started with, which may differ from the file's."""
    name = ServiceName("s1")
    record = STATE.services[name]
    changed = replace(record, spec=replace(record.spec, autostart=False))
    assert digest(replace(STATE, services=STATE.services | {name: changed})) != digest(STATE)
