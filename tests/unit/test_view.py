# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import json
from dataclasses import replace

import pytest
from hypothesis import given

from domains.model import NodeId, ServiceName
from rgmgr.core.model import ClusterState, Node, NodeStatus, Part, ProofKind, ServiceState
from rgmgr.core.placement import because
from rgmgr.core.spec import ResourceName
from rgmgr.view import (
    ConfigFile,
    FencingView,
    NodeView,
    Notice,
    ProofView,
    ServiceView,
    Standing,
    Status,
    decode_status,
    encode_status,
    snapshot,
)
from tests.property.strategies import cluster_states
from tests.unit.cli_status import (
    CLUSTER,
    JOINING,
    NO_QUORUM,
    NODE1,
    NODE3,
    NOW_MS,
    SPEC,
    STANDING,
    UNFENCED_SPEC,
    WEB,
    troubled,
)


def _codes(status: Status) -> list[str]:
    return [notice.code for notice in status.notices]


def test_a_running_service_is_shown_with_names_and_ages() -> None:
    status = troubled()

    assert status.service_named("web") == ServiceView(
        name="web",
        state="started",
        code=112,
        owner="node1",
        last_owner="node2",
        since_ms=800_000,
        age_ms=200_000,
        restarts=2,
        flags=("frozen",),
        domain="prefer-node1",
        because="frozen by an administrator until it is unfrozen",
        fault="",
    )


def test_an_unclean_node_shows_how_far_its_fencing_is_and_its_last_proof() -> None:
    status = troubled()

    assert status.node_named("node3") == NodeView(
        name="node3",
        id=3,
        status="unclean",
        is_local=False,
        is_configured=True,
        is_in_ring=False,
        is_member=False,
        services=1,
        fencing=FencingView(by="node1", attempt=2, last_fault="ipmi1: timed out"),
        proof=ProofView(
            kind="proven", by="node2", age_ms=600_000, detail="ipmi1", guarantee="proven"
        ),
    )


def test_nodes_are_sorted_by_id_and_services_by_name() -> None:
    status = troubled()

    assert [node.id for node in status.nodes] == [1, 2, 3]
    assert [service.name for service in status.services] == ["db", "mail", "web"]


def test_what_needs_an_operator_is_noticed() -> None:
    """An unclean node and a failed service wait for a human or a device; nothing hides them."""
    assert _codes(troubled()) == ["unclean", "failed"]
    assert troubled().notices[0] == Notice(
        "unclean",
        "node3 is unclean: being fenced by node1, attempt 2, last fault: ipmi1: timed out;"
        " services that wait for proof: 1",
    )


def test_without_quorum_every_service_says_so_except_a_disabled_one() -> None:
    """What a node without quorum last knew may be long out of date."""
    services = dict(CLUSTER.services)
    services[WEB] = replace(services[WEB], state=ServiceState.DISABLED, owner=None, fault="")
    cluster = replace(CLUSTER, services=services)

    status = snapshot(cluster, NO_QUORUM, SPEC)

    assert _codes(status)[0] == "no-quorum"
    assert {view.name: view.because for view in status.services} == {
        "db": "this node has no quorum",
        "mail": "this node has no quorum",
        "web": because(cluster, WEB),
    }


def test_without_an_agreed_state_the_configuration_is_shown_and_nothing_is_claimed() -> None:
    status = snapshot(None, JOINING, SPEC)

    assert _codes(status) == ["not-joined"]
    assert [(node.name, node.status, node.is_in_ring) for node in status.nodes] == [
        ("node1", "unknown", True),
        ("node2", "unknown", True),
        ("node3", "unknown", False),
    ]
    assert {view.state for view in status.services} == {"uninitialized"}
    assert {view.because for view in status.services} == {
        "this node has not joined the others yet (waiting for HELLO of node2)"
    }


def test_without_corosync_nobody_knows_anything() -> None:
    alone = Standing(me=None, is_connected=False, is_quorate=False, is_installed=False)

    status = snapshot(None, alone, SPEC)

    assert status.node is None
    assert _codes(status) == ["no-corosync"]
    assert status.services[0].because == "this node has no connection to corosync"


def test_what_runs_here_and_nobody_knows_is_noticed() -> None:
    old = ServiceName("old")
    standing = replace(STANDING, orphans={old: (ResourceName("db"),)})

    status = snapshot(None, standing, SPEC)

    assert status.notices[-1].code == "orphan"
    assert status.notices[-1].text == (
        "db of a service 'old' run on this node, and no configuration knows it:"
        " 'rgmgr doctor' says how to stop it"
    )


def test_disabled_fencing_is_always_noticed() -> None:
    status = snapshot(None, STANDING, UNFENCED_SPEC)

    assert not status.is_fencing_enabled
    assert _codes(status) == ["fencing-disabled"]


def test_a_member_of_an_epoch_we_are_not_in_does_not_count_as_member() -> None:
    joined = snapshot(CLUSTER, STANDING, SPEC)
    joining = snapshot(CLUSTER, JOINING, SPEC)

    assert [node.name for node in joined.nodes if node.is_member] == ["node1", "node2"]
    assert [node.name for node in joining.nodes if node.is_member] == []


def test_a_node_in_the_ring_that_is_not_configured_is_shown() -> None:
    stranger = replace(STANDING, ring_nodes=(NODE1, NodeId(9)))

    node = snapshot(CLUSTER, stranger, SPEC).node_named("node 9")

    assert node is not None
    assert (node.is_configured, node.is_in_ring, node.status) == (False, True, "unknown")


def test_ages_follow_the_clock_of_the_node_that_answers() -> None:
    """The agreed state only knows the time of the last message; an hour may have passed since."""
    later = replace(STANDING, now_ms=NOW_MS + 3_600_000)

    service = snapshot(CLUSTER, later, SPEC).service_named("web")

    assert service is not None
    assert service.age_ms == 3_800_000


def test_an_age_is_never_negative() -> None:
    behind = replace(STANDING, now_ms=0)
    cluster = replace(CLUSTER, now_ms=0)

    ages = [service.age_ms for service in snapshot(cluster, behind, SPEC).services]

    assert ages == [0, 0, 0]


def test_a_fenced_node_has_no_fencing_but_a_proof() -> None:
    proof = CLUSTER.nodes[NODE3].proof
    nodes = {**CLUSTER.nodes, NODE3: Node(status=NodeStatus.FENCED, proof=proof)}

    node = snapshot(replace(CLUSTER, nodes=nodes), STANDING, SPEC).node_named("node3")

    assert node is not None
    assert node.fencing is None
    assert node.proof is not None
    assert node.proof.kind == ProofKind.FENCED.value


def test_services_are_found_with_and_without_rgmanagers_prefix() -> None:
    status = troubled()

    assert status.service_named("service:web") == status.service_named("web")
    assert status.service_named("nope") is None


def test_a_field_of_a_newer_version_is_skipped() -> None:
    fields = json.loads(encode_status(troubled()))
    fields["mood"] = "good"

    assert decode_status(json.dumps(fields)) == troubled()


@pytest.mark.parametrize("text", ["", "{}", "[1]", encode_status(replace(troubled(), schema=2))])
def test_what_is_no_status_of_our_schema_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        decode_status(text)


@given(cluster=cluster_states)
def test_any_state_can_be_shown_and_survives_json(cluster: ClusterState) -> None:
    status = snapshot(cluster, STANDING, SPEC)

    assert decode_status(encode_status(status)) == status


@given(cluster=cluster_states)
def test_a_service_that_waits_always_says_for_what(cluster: ClusterState) -> None:
    """Invariant I11."""
    status = snapshot(cluster, STANDING, SPEC)

    on_its_way = ("started", "starting", "stopping")
    waiting = [v for v in status.services if v.state not in on_its_way or "frozen" in v.flags]
    silent = [v.name for v in waiting if not v.because]

    assert silent == []


def test_a_node_shows_which_file_it_has_and_how_its_clock_differs() -> None:
    """Of a node that is no member the last word may be old."""
    files = {NODE1: ConfigFile(3, "d"), NODE3: ConfigFile(2, "c")}
    standing = replace(STANDING, files=files, skews_ms={NODE1: 0, NODE3: 90})

    nodes = snapshot(CLUSTER, standing, SPEC).nodes

    assert [node.file for node in nodes] == [files[NODE1], None, None]
    assert [node.skew_ms for node in nodes] == [0, None, None]
    assert decode_status(encode_status(snapshot(CLUSTER, standing, SPEC))).nodes == nodes


def test_a_partial_service_says_what_it_runs_without() -> None:
    web = CLUSTER.services[ServiceName("web")]
    top = web.spec.resources[0].name if web.spec.resources else ResourceName("cache")
    partial = replace(web, parts={top: Part(is_off=True)})
    cluster = replace(CLUSTER, services={**CLUSTER.services, ServiceName("web"): partial})

    status = snapshot(cluster, STANDING, SPEC)

    found = status.service_named("web")
    assert found is not None
    assert found.flags == ("frozen", "partial")
    assert found.off == (top,)
    assert "partial" in _codes(status)
    assert decode_status(encode_status(status)) == status
