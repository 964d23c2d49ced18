# SPDX-License-Identifier: Apache-2.0
"""`rgmgr explain`: reasons, what is waited for, and commands that really change it."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from click.testing import CliRunner, Result

from domains.model import NodeId, ServiceName
from rgmgr.cli.explanation import explain_node, explain_service
from rgmgr.cli.main import cli
from rgmgr.cli.remedies import Remedy
from rgmgr.core.awaiting import OPEN, TIMED
from rgmgr.core.messages import MaintenanceOrder, Verb
from rgmgr.core.model import (
    Await,
    AwaitKind,
    ClusterState,
    NodeStatus,
    Part,
    Proof,
    ProofKind,
    ServiceState,
    StandingOrder,
)
from rgmgr.present import Present
from rgmgr.sim.faults import Ask, AskMaintenance
from rgmgr.sim.rest import come_to_rest
from rgmgr.sim.stage import agreed, set_up
from tests.conftest import Golden
from tests.simulation.forecast_cluster import DB, ONE, THREE, TWO, WEB
from tests.unit.cli_status import FakeDaemon, healthy
from tests.unit.test_cli_whatif import UNREACHABLE, present


def _cluster(service: dict[str, object] | None = None, **nodes: object) -> ClusterState:
    """The cluster of `present` with changed records; nodes by `node1` to `node3`."""
    cluster = present().cluster
    records = {**cluster.nodes}
    for name, changes in nodes.items():
        node = NodeId(int(name.removeprefix("node")))
        records[node] = replace(records[node], **changes)  # type: ignore[arg-type]
    services = {**cluster.services, WEB: replace(cluster.services[WEB], **(service or {}))}  # type: ignore[arg-type]
    return replace(cluster, nodes=records, services=services)


def ask(*arguments: str, cluster: ClusterState | None = None, daemon: object = None) -> Result:
    runner = CliRunner(env={"COLUMNS": "100", "TERM": "dumb"})
    told = present() if cluster is None else Present(cluster, present().around)
    live = FakeDaemon(healthy(), told=told)
    return runner.invoke(cli, ["explain", *arguments], obj=daemon or live)


STOPPED = {"state": ServiceState.STOPPED, "owner": None}
UNCLEAN = {"status": NodeStatus.UNCLEAN, "victim": 7, "fencer": TWO, "attempt": 3}


@pytest.mark.parametrize(
    ("screen", "name", "cluster"),
    [
        ("service", "web", None),
        ("node", "node1", None),
        (
            "failed",
            "web",
            _cluster(
                {**STOPPED, "state": ServiceState.FAILED, "last_owner": ONE, "fault": "app: hangs"}
            ),
        ),
        ("unclean", "node1", _cluster(node1={**UNCLEAN, "last_fault": "pdu: no answer"})),
    ],
)
def test_what_people_read(
    golden: Golden, screen: str, name: str, cluster: ClusterState | None
) -> None:
    result = ask(name, cluster=cluster)

    assert result.exit_code == 0, result.output
    text = "\n".join(line.rstrip() for line in result.output.splitlines()) + "\n"
    golden(f"cli/explain-{screen}.txt", text)


def test_json_has_the_same() -> None:
    fields = json.loads(ask("service:web", "--json").output)

    assert fields["schema"] == 1
    (web,) = fields["explained"]
    assert (web["name"], web["owner"], web["waits_for"]) == ("web", "node1", None)
    assert web["against"] == [
        ["node2", "priority 2 in domain 'prefer', node1 has 1"],
        ["node3", "priority 3 in domain 'prefer', node1 has 1"],
    ]


def test_an_unknown_name_is_refused_with_the_nearest() -> None:
    result = ask("wbe")

    assert result.exit_code == 3
    assert "is named 'wbe' (did you mean 'web'?)" in result.stderr


def test_without_a_daemon_the_hint_is_a_file() -> None:
    result = ask("web", daemon=UNREACHABLE)

    assert (result.exit_code, "--config" in result.stderr) == (5, True)


@pytest.mark.parametrize(
    ("service", "nodes", "waits_for"),
    [
        ({"state": ServiceState.STARTING}, {}, "its start on node1"),
        ({"state": ServiceState.STOPPING}, {}, "its stop on node1"),
        ({"state": ServiceState.DISABLED, "owner": None}, {}, None),
        ({}, {}, None),
        ({}, {"node1": UNCLEAN}, "waiting for proof that node1 is down"),
        (
            {**STOPPED, "is_held": True},
            {},
            "stopped by an administrator until the membership changes",
        ),
        (STOPPED, {"node2": UNCLEAN}, "waiting for proof that node2 runs none of it"),
    ],
)
def test_what_a_service_waits_for(
    service: dict[str, object], nodes: dict[str, object], waits_for: str | None
) -> None:
    found = explain_service(_cluster(service, **nodes), WEB)

    assert found.waits_for == waits_for


def _run(cluster: ClusterState, command: str) -> ClusterState:
    """Carry a command out in a simulated cluster like this one."""
    world = set_up(Present(cluster, present().around))
    world.ask(_asked(cluster, command, world.engine.now_ms))
    come_to_rest(world)
    return agreed(world)


def _asked(cluster: ClusterState, command: str, at_ms: int) -> Ask | AskMaintenance:
    """Read a command as rgmgr does."""
    ids = {node.name: n for n, node in cluster.spec.nodes.items()}
    match command.split():
        case ["rgmgr", "node", order, node]:
            meant = MaintenanceOrder(order)
            return AskMaintenance(at_ms=at_ms, node=THREE, order=meant, victim=ids[node])
        case ["rgmgr", ("arm" | "unlock") as order]:
            return AskMaintenance(at_ms=at_ms, node=THREE, order=MaintenanceOrder(order))
        case ["rgmgr", "takeover", verb, service]:
            target = None
        case ["rgmgr", verb, service, *rest]:
            target = ids[rest[1]] if rest else None
        case _:
            pytest.fail(f"no command of rgmgr: {command}")
    name = ServiceName(service)
    return Ask(at_ms=at_ms, node=THREE, verb=Verb(verb), service=name, target=target)


@pytest.mark.parametrize(
    ("service", "owner"),
    [
        ({}, TWO),
        ({"state": ServiceState.DISABLED, "owner": None}, ONE),
        ({**STOPPED, "is_held": True}, ONE),
        ({**STOPPED, "failed_on": (ONE, TWO, THREE), "fault": "vip: failed"}, ONE),
        ({**STOPPED, "failed_on": (ONE, TWO, THREE), "fault": "vip: failed", "rounds": 1}, ONE),
        ({**STOPPED, "frozen": True}, ONE),
        ({"state": ServiceState.FAILED, "owner": None, "last_owner": ONE}, ONE),
    ],
)
def test_the_commands_that_are_named_do_change_it(
    service: dict[str, object], owner: NodeId
) -> None:
    cluster = _cluster({**service, "is_new": False})
    commands = [r.command for r in explain_service(cluster, WEB).remedies]

    assert commands
    for command in commands:
        cluster = _run(cluster, command)
    assert (cluster.services[WEB].state, cluster.services[WEB].owner) == (
        ServiceState.STARTED,
        owner,
    )


def test_a_service_nobody_can_run_names_the_nodes_that_could() -> None:
    away = {"status": NodeStatus.LEFT}
    found = explain_service(_cluster(STOPPED, node1=away, node2=away, node3=away), WEB)

    assert [remedy.node for remedy in found.remedies] == ["node1", "node2", "node3"]
    assert {remedy.command for remedy in found.remedies} == {"systemctl start rgmgrd"}


ORDER = StandingOrder(by="bob")
UNTIL = StandingOrder(by="bob", until_ms=10**9)
WAITS = {**STOPPED, "is_new": False, "last_owner": ONE}
AWAY = {"status": NodeStatus.LEFT}


def first_command(cluster: ClusterState) -> str:
    return explain_service(cluster, WEB).remedies[0].command


@pytest.mark.parametrize(
    ("cluster", "command", "state", "owner"),
    [
        (_cluster({"frozen": True}), "rgmgr unfreeze web", "started", ONE),
        (replace(_cluster(WAITS), disarmed=UNTIL), "rgmgr arm", "started", ONE),
        (replace(_cluster(WAITS), locked=ORDER), "rgmgr unlock", "started", ONE),
        (
            replace(_cluster(WAITS), standby={ONE: ORDER, TWO: ORDER, THREE: ORDER}),
            "rgmgr node unstandby node1",
            "started",
            ONE,
        ),
    ],
)
def test_an_order_that_holds_it_up_is_ended_first(
    cluster: ClusterState, command: str, state: str, owner: NodeId
) -> None:
    assert first_command(cluster) == command

    after = _run(cluster, command).services[WEB]

    assert (after.state.value, after.owner, after.frozen) == (state, owner, False)


@pytest.mark.parametrize("kind", AwaitKind)
def test_a_service_that_waits_for_its_node_names_what_ends_that(kind: AwaitKind) -> None:
    wait = Await(node=ONE, kind=kind, until_ms=10**9 if kind in TIMED else 0)
    waiting = _cluster({**WAITS, "awaits": wait}, node1=AWAY)
    commands = [remedy.command for remedy in explain_service(waiting, WEB).remedies]

    asks = ["rgmgr takeover confirm web", "rgmgr takeover refuse web"]
    expected = asks if kind in OPEN else ["rgmgr enable web"]

    assert commands == [*expected, "systemctl start rgmgrd"]
    after = _run(waiting, commands[0]).services[WEB]
    assert (after.state, after.owner) == (ServiceState.STARTED, TWO)


def test_a_service_that_needs_another_one_names_what_starts_that() -> None:
    cluster = _cluster(WAITS)
    web = replace(cluster.services[WEB], spec=replace(cluster.services[WEB].spec, depend=(DB,)))
    db = replace(cluster.services[DB], state=ServiceState.DISABLED, owner=None)
    waiting = replace(cluster, services={**cluster.services, WEB: web, DB: db})

    assert first_command(waiting) == "rgmgr enable db"


def test_a_lost_node_names_what_brings_proof() -> None:
    withheld = explain_node(_cluster(node1={**UNCLEAN, "withheld": "called off"}), ONE)
    disarmed = explain_node(replace(_cluster(node1=UNCLEAN), disarmed=UNTIL), ONE)

    assert [r.command for r in withheld.remedies] == ["rgmgr fence node1", "rgmgr fence ack node1"]
    assert [r.command for r in disarmed.remedies] == ["rgmgr arm", "rgmgr fence ack node1"]


@pytest.mark.parametrize(
    ("changes", "waits_for"),
    [
        ({"status": NodeStatus.UNSEEN}, "to be seen within 6 s of the cluster's start"),
        ({"status": NodeStatus.DETACHED}, "its rgmgrd to come back within 30 s"),
        (UNCLEAN, "the device's word that it is off; node2 makes attempt 3"),
        ({**UNCLEAN, "fencer": None}, "the next attempt to fence it; 3 made so far"),
        ({"status": NodeStatus.LEAVING}, "its services to stop: web, db"),
    ],
)
def test_what_a_node_waits_for(changes: dict[str, object], waits_for: str) -> None:
    found = explain_node(_cluster(node1=changes), ONE)

    assert found.waits_for is not None
    assert found.waits_for.startswith(waits_for)


def test_a_lost_node_names_the_services_that_wait_for_its_proof() -> None:
    assert explain_node(_cluster(node1=UNCLEAN), ONE).waiting == (WEB, DB)
    assert explain_node(_cluster(STOPPED, node2=UNCLEAN), TWO).waiting == (WEB,)


def test_a_node_that_is_down_says_by_what_proof_and_what_would_come_back() -> None:
    proof = Proof(kind=ProofKind.FENCED, at_ms=1, by=TWO, detail="pdu")
    moved = _cluster({"owner": TWO}, node1={"status": NodeStatus.FENCED, "proof": proof})

    found = explain_node(moved, ONE)

    assert found.proof == "proven, by node2: pdu"
    assert found.would_come == (WEB,)
    assert found.remedies == (
        Remedy("systemctl start rgmgrd", "brings node1 back, once it is booted", "node1"),
    )


def test_a_partial_service_is_said_to_be_made_whole_by_convalescing_it() -> None:
    first = present().cluster.services[WEB].spec.resources[0].name
    cluster = _cluster({"parts": {first: Part(is_off=True)}})

    remedies = explain_service(cluster, WEB).remedies

    assert remedies[0] == Remedy("rgmgr convalesce web", f"starts {first}, without which it runs")
