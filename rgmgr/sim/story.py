# SPDX-License-Identifier: Apache-2.0
"""The story that shows in half a minute what rgmgr is for. Needs no root and no second machine."""

from __future__ import annotations

from collections.abc import Callable

from domains.model import FailoverDomain, NodeId, ServiceName
from rgmgr.core.messages import Verb
from rgmgr.core.spec import (
    ClusterSpec,
    FenceDevice,
    FenceStep,
    FenceVerb,
    FencingSpec,
    NodeSpec,
    RecoveryPolicy,
    ResourceName,
    ResourceSpec,
    ServiceSpec,
)
from rgmgr.sim.faults import Ask, PowerLoss, Script
from rgmgr.sim.run import play
from rgmgr.sim.trace import told

WEB = ServiceName("web")
FIRST = NodeId(1)
NODES = (FIRST, NodeId(2), NodeId(3))


def demo_script() -> Script:
    """Three nodes run `web`; its owner loses power, comes back, and gets it back by request."""
    return Script(
        seed=1,
        spec=_demo_spec(),
        faults=(
            PowerLoss(at_ms=10_000, node=FIRST, for_ms=15_000),
            Ask(at_ms=35_000, node=NodeId(2), verb=Verb.RELOCATE, service=WEB, target=FIRST),
        ),
    )


def tell_demo_story(write: Callable[[str], None]) -> bool:
    """Run the story and write it, a line at a time; False when a promise was broken."""
    outcome = play(demo_script())
    write("Three simulated nodes, the real decision core. Times are seconds.")
    write("")
    for line in told(outcome.trace, outcome.script.spec):
        write(line)
    write("")
    for violation in outcome.violations:
        write(f"BROKEN: {violation}")
    seconds = outcome.stats.simulated_ms / 1000
    verdict = "every promise was kept" if outcome.is_good else "a promise was broken"
    write(f"{seconds:.0f} seconds simulated, {outcome.stats.fences} node fenced: {verdict}.")
    return outcome.is_good


def _demo_spec() -> ClusterSpec:
    domain = FailoverDomain(
        name="prefer-node1",
        priorities={node: number for number, node in enumerate(NODES, start=1)},
        ordered=True,
        nofailback=True,
    )
    return ClusterSpec(
        name="demo",
        version=1,
        digest="demo",
        nodes={n: NodeSpec(name=f"node{n}", fence=((FenceStep(device="pdu"),),)) for n in NODES},
        services=(_demo_service(domain.name),),
        domains={domain.name: domain},
        fencing=FencingSpec(
            devices={"pdu": FenceDevice(name="pdu", agent="fence_sim")}, verb=FenceVerb.OFF
        ),
    )


def _demo_service(domain: str) -> ServiceSpec:
    def resource(name: str, *children: ResourceSpec) -> ResourceSpec:
        return ResourceSpec(
            name=ResourceName(name),
            type="systemd",
            parameters={"unit": f"{name}.service"},
            children=children,
        )

    return ServiceSpec(
        name=WEB,
        resources=(resource("address"), resource("data", resource("nginx"))),
        domain=domain,
        recovery=RecoveryPolicy.RELOCATE,
    )
