# SPDX-License-Identifier: Apache-2.0
"""What forecasts start from: complete for them, and free of what nobody should read."""

from __future__ import annotations

from dataclasses import replace

import pytest

from domains.model import NodeId
from rgmgr.core.sharing import exists_once
from rgmgr.core.spec import FenceDevice, FenceStep, ResourceName, ResourceSpec
from rgmgr.present import (
    Span,
    Surroundings,
    decode_surroundings,
    encode_surroundings,
    told_to_readers,
)
from rgmgr.wire.codec import decode_state, encode_state
from tests.unit.core_cluster import N1, WEB, formed, spec, web

AROUND = Surroundings(
    me=N1,
    is_installed=True,
    is_quorate=True,
    ring_nodes=(N1, NodeId(2)),
    now_ms=12_000,
    detection_ms=2_200,
    measured={"start web": Span(800, 900, 3)},
)


def test_surroundings_survive_the_way_over_the_bus() -> None:
    assert decode_surroundings(encode_surroundings(AROUND)) == AROUND


@pytest.mark.parametrize("text", ["", "[]", '{"schema": 1}'])
def test_nonsense_is_an_error(text: str) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        decode_surroundings(text)


def test_another_schema_is_said_to_be_one() -> None:
    later = encode_surroundings(replace(AROUND, schema=2))

    with pytest.raises(ValueError, match="schema 2, this version reads 1"):
        decode_surroundings(later)


def test_no_secret_of_a_fence_device_and_no_parameter_of_a_resource_is_told() -> None:
    cluster = formed().states[N1].cluster
    secret = {"password": "tiger", "delay": "5"}
    devices = {"ipmi": FenceDevice(name="ipmi", agent="fence_ipmi", options=secret)}
    step = FenceStep(device="ipmi", options=secret)
    nodes = {n: replace(node, fence=((step,),)) for n, node in cluster.spec.nodes.items()}
    fencing = replace(cluster.spec.fencing, devices=devices)
    cluster = replace(cluster, spec=replace(cluster.spec, nodes=nodes, fencing=fencing))

    told = told_to_readers(cluster)

    assert b"tiger" not in encode_state(told)
    assert told.spec.fencing.devices["ipmi"].options == {"delay": "5"}
    assert told.spec.nodes[N1].fence[0][0].options == {"delay": "5"}
    assert all(not r.parameters for r in told.services[WEB].spec.resources)
    assert all(not r.parameters for s in told.spec.services for r in s.resources)
    assert decode_state(encode_state(told)) == told


def test_a_forecast_is_told_which_file_systems_several_nodes_may_mount() -> None:
    """Services that share one need not be on one node."""
    shared = {"device": "/dev/vg0/data", "mountpoint": "/srv", "fstype": "gfs2"}
    data = ResourceSpec(name=ResourceName("data"), type="fs", parameters=shared, is_shared=True)
    cluster = formed(spec=spec(web(resources=(data,)))).states[N1].cluster

    (told,) = told_to_readers(cluster).spec.services[0].resources

    assert told.parameters == {"fstype": "gfs2"}
    assert not exists_once(told)


def test_everything_else_stays_as_it_is() -> None:
    cluster = formed().states[N1].cluster

    told = told_to_readers(cluster)

    assert told.nodes == cluster.nodes
    record = cluster.services[WEB]
    assert replace(told.services[WEB], spec=record.spec) == record
