# SPDX-License-Identifier: Apache-2.0
"""Audits: what each failure costs is found, and nothing is called lost that is not."""

from __future__ import annotations

from dataclasses import replace

import pytest

from domains.model import NodeId
from rgmgr.core.spec import ClusterSpec, FenceDevice, FenceStep, TakeoverMode
from rgmgr.sim.audit import Audit, Case, Sharing, audit, count_of, summary
from tests.simulation.forecast_cluster import DB, WEB, cluster, service


def _audited(spec: ClusterSpec) -> Audit:
    return summary(spec, list(audit(spec)))


def _case(found: Audit, *failures: str) -> Case:
    return next(case for case in found.cases if case.failures == failures)


def _with_bmcs(spec: ClusterSpec, *, also: str = "") -> ClusterSpec:
    """Give every node its own BMC as the first method, and a common device as the second."""
    devices = {
        f"ipmi{n}": FenceDevice(name=f"ipmi{n}", agent="fence_ipmi") for n in sorted(spec.nodes)
    }
    nodes = {
        n: replace(
            node,
            fence=(
                (FenceStep(device=f"ipmi{n}"),),
                *(((FenceStep(device=also),),) if also else ()),
            ),
        )
        for n, node in spec.nodes.items()
    }
    if also:
        devices[also] = FenceDevice(name=also, agent="fence_apc_snmp")
    return replace(spec, nodes=nodes, fencing=replace(spec.fencing, devices=devices))


def test_a_cluster_with_two_ways_to_fence_everybody_is_clean() -> None:
    found = _audited(_with_bmcs(cluster(), also="pdu"))

    assert found.is_clean
    assert not [case for case in found.cases if case.is_single and not case.is_harmless]


def test_a_single_device_for_all_is_no_clean_configuration() -> None:
    found = _audited(cluster())

    case = _case(found, "fence device pdu dies")
    assert not found.is_clean
    assert (case.lost, case.unfenceable) == ((), ("node1", "node2", "node3"))
    assert found.shared == (Sharing(device="pdu", nodes=("node1", "node2", "node3"), same_node=()),)


def test_a_node_that_dies_with_its_device_takes_its_services_with_it() -> None:
    found = _audited(cluster())

    case = _case(found, "node1 dies", "fence device pdu dies")
    assert [name for name, _ in case.lost] == [WEB, DB]
    assert all("waiting for proof that node1 is down" in why for _, why in case.lost)
    assert case.is_new, "neither of them alone loses a service"


def test_a_bmc_dies_with_the_mains_of_its_node() -> None:
    found = _audited(_with_bmcs(cluster()))

    dark = _case(found, "node1 loses its mains, and with it ipmi1")
    assert [name for name, _ in dark.lost] == [WEB, DB]
    assert dark.unfenceable == ("node1",)
    assert _case(found, "node1 dies").is_harmless, "its BMC still has power then"


def test_a_service_of_one_node_alone_is_lost_with_it() -> None:
    found = _audited(cluster(service(WEB, "pinned"), devices=("pdu", "ipmi")))

    assert _case(found, "node2 dies").lost == ((WEB, "no node of domain 'pinned' is online"),)
    assert not found.is_clean


def test_a_service_that_asks_a_human_stays_down_with_its_node() -> None:
    asks = replace(service(WEB), takeover=TakeoverMode.CONFIRM)
    ((name, why),) = _case(_audited(cluster(asks)), "node1 dies").lost

    assert (name, "administrator to confirm" in why) == (WEB, True), why


def test_two_of_three_nodes_are_too_many() -> None:
    case = _case(_audited(cluster()), "node1 dies", "node2 dies")

    assert case.is_quorum_lost
    assert [name for name, _ in case.lost] == [WEB, DB]


def test_two_of_five_nodes_are_not() -> None:
    case = _case(_audited(cluster(nodes=5)), "node1 dies", "node2 dies")

    assert case.is_harmless


def test_a_device_needed_by_every_method_of_a_node_is_named() -> None:
    spec = cluster(devices=("pdu", "ipmi"))
    both = ((FenceStep(device="pdu"),), (FenceStep(device="pdu"), FenceStep(device="ipmi")))
    nodes = {**spec.nodes, NodeId(1): replace(spec.nodes[NodeId(1)], fence=both)}

    found = _audited(replace(spec, nodes=nodes))

    assert Sharing(device="pdu", nodes=("node1", "node2", "node3"), same_node=("node1",)) in (
        found.shared
    )
    assert _case(found, "fence device pdu dies").unfenceable == ("node1",)


def test_without_fencing_no_device_matters() -> None:
    spec = cluster()
    spec = replace(spec, fencing=replace(spec.fencing, unsafe_disabled=True))

    assert _case(_audited(spec), "fence device pdu dies").is_harmless


def test_the_worst_single_failure_comes_first() -> None:
    found = _audited(cluster(service(WEB, "pinned"), service(DB, "pinned"), nodes=4))

    costs = [len(case.lost) for case in found.cases if case.is_single]
    assert costs == sorted(costs, reverse=True)
    first_double = next(i for i, case in enumerate(found.cases) if not case.is_single)
    assert all(case.is_single for case in found.cases[:first_double])


@pytest.mark.parametrize("nodes", [1, 2, 3, 5])
def test_every_case_is_tried_once(nodes: int) -> None:
    spec = cluster(nodes=nodes)
    names = [case.failures for case in audit(spec)]

    assert len(names) == len(set(names)) == count_of(spec)
