# SPDX-License-Identifier: Apache-2.0
"""How long `rgmgr status` takes in a large cluster: the snapshot, its way as text, and the screen.

The cluster is simulated: 16 real cores that have started 1,000 services. Exit code 1 when the whole
takes longer than it may.
"""

from __future__ import annotations

import argparse
import io
import sys
import time
from collections.abc import Callable
from statistics import median

from rich.console import Console

from domains.model import NodeId, ServiceName
from rgmgr.cli.clustat_screens import Choice, text_screen
from rgmgr.cli.screens import print_overview
from rgmgr.core.model import ClusterState
from rgmgr.core.spec import (
    ClusterSpec,
    FenceDevice,
    FenceStep,
    FencingSpec,
    NodeSpec,
    ResourceName,
    ResourceSpec,
    ServiceSpec,
)
from rgmgr.sim.stage import present_of, quiet_start
from rgmgr.view import Standing, decode_status, encode_status, snapshot

NODES, SERVICES = 16, 1_000
TOTAL_MS_MAX = 100
ROUNDS = 15


def spec() -> ClusterSpec:
    """Return the cluster."""
    return ClusterSpec(
        name="large",
        version=1,
        digest="1",
        nodes={
            NodeId(n): NodeSpec(name=f"node{n}", fence=((FenceStep(device="pdu"),),))
            for n in range(1, NODES + 1)
        },
        services=tuple(_service(f"service-{n:04}") for n in range(SERVICES)),
        fencing=FencingSpec(devices={"pdu": FenceDevice(name="pdu", agent="fence_sim")}),
    )


def _service(name: str) -> ServiceSpec:
    unit = {"unit": f"{name}.service"}
    return ServiceSpec(
        name=ServiceName(name),
        resources=(ResourceSpec(name=ResourceName("unit"), type="systemd", parameters=unit),),
    )


def milliseconds(work: Callable[[], object]) -> float:
    """Return the median time of some work."""
    times = []
    for _ in range(ROUNDS):
        begun_s = time.process_time()
        work()
        times.append(time.process_time() - begun_s)
    return median(times) * 1_000


def measured(cluster: ClusterState) -> dict[str, float]:
    """Return how long each part takes."""
    standing = Standing(
        me=NodeId(1),
        is_connected=True,
        is_quorate=True,
        is_installed=True,
        ring_nodes=tuple(cluster.nodes),
        now_ms=cluster.now_ms,
    )
    status = snapshot(cluster, standing, cluster.spec)
    text = encode_status(status)
    choice = Choice()
    return {
        "snapshot": milliseconds(lambda: snapshot(cluster, standing, cluster.spec)),
        "encode": milliseconds(lambda: encode_status(status)),
        "decode": milliseconds(lambda: decode_status(text)),
        "screen of rgmgr status": milliseconds(
            lambda: print_overview(status, Console(file=io.StringIO(), width=120))
        ),
        "screen of clustat": milliseconds(lambda: text_screen(status, 0, choice, 120)),
    }


def main() -> int:
    """Measure, and print a line for each part."""
    argparse.ArgumentParser(description=__doc__).parse_args()
    found = measured(present_of(quiet_start(spec())).cluster)
    for part, took_ms in found.items():
        print(f"{part:24} {took_ms:7.1f} ms")
    total_ms = sum(found.values()) - found["screen of clustat"]
    print(f"{'rgmgr status':24} {total_ms:7.1f} ms ({NODES} nodes, {SERVICES} services)")
    return 0 if total_ms < TOTAL_MS_MAX else 1


if __name__ == "__main__":
    sys.exit(main())
