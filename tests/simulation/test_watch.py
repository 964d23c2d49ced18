# SPDX-License-Identifier: Apache-2.0
"""The auditor must cry: each test breaks one promise on purpose and expects to be told.

A check that never fails protects nobody.
"""

from __future__ import annotations

from dataclasses import replace

import pytest

from domains.model import NodeId
from rgmgr.core.actions import Answer, FenceNode, Reply, StartResource, StopResource
from rgmgr.core.events import Delivered, Shutdown
from rgmgr.core.invariants import check_cluster, check_fence
from rgmgr.core.messages import Request, Verb
from rgmgr.core.model import ClusterState, NodeStatus, Proof, ProofKind, ServiceState
from rgmgr.core.spec import FenceVerb
from rgmgr.core.tree import start_order
from rgmgr.sim.daemon import Daemon
from rgmgr.sim.edits import Edit
from rgmgr.sim.faults import Ask, ConfigChange, DaemonCrash, Partition, PowerLoss, Script
from rgmgr.sim.host import Host
from rgmgr.sim.run import play, settle, simulate, unrest
from rgmgr.sim.story import WEB, demo_script, tell_demo_story
from rgmgr.sim.trace import told
from rgmgr.sim.votes import TieBreaker
from rgmgr.sim.world import World

N1, N2, N3 = NodeId(1), NodeId(2), NodeId(3)
QUIET = replace(demo_script(), faults=())
TREE = start_order(QUIET.spec.services[0])


def running_world() -> World:
    """Three nodes that have come to rest, `web` on the first."""
    world = World(QUIET)
    world.engine.run_until(20_000)
    assert unrest(world) == []
    assert world.watch.violations == []
    return world


def daemon_of(world: World, node: NodeId) -> tuple[Host, Daemon]:
    host = world.hosts[node]
    assert host.daemon is not None
    return host, host.daemon


def start(world: World, node: NodeId, number: int = 0) -> None:
    """Start a unit behind everybody's back."""
    action = StartResource(service=WEB, resource=TREE[number], op=1)
    world.hosts[node].systemd.start(action, lambda _event: None)


def test_a_service_on_two_nodes_breaks_the_first_promise() -> None:
    world = running_world()

    start(world, N2)

    assert any(violation.startswith("I1 ") for violation in world.watch.violations)


def test_a_start_elsewhere_is_fine_once_the_owner_has_lost_power() -> None:
    world = running_world()
    world.hosts[N1].switch_off()

    start(world, N2)

    assert world.watch.violations == []


def test_a_start_long_after_quorum_was_lost_is_told() -> None:
    world = running_world()
    world.bus.divide(((N1,), (N2, N3)))
    host, _ = daemon_of(world, N1)

    world.watch.acts(host, StartResource(service=WEB, resource=TREE[0], op=1))
    at_once = list(world.watch.violations)
    world.engine.run_until(world.engine.now_ms + 3_000)
    world.watch.acts(host, StartResource(service=WEB, resource=TREE[0], op=1))

    assert at_once == []
    assert world.watch.violations[0].startswith("I4 ")


def test_a_child_started_before_its_parent_is_told() -> None:
    world = running_world()
    host, _ = daemon_of(world, N2)

    world.watch.acts(host, StartResource(service=WEB, resource=TREE[2], op=1))

    assert world.watch.violations[0].startswith("I3 ")


def test_a_parent_stopped_before_its_child_is_told() -> None:
    world = running_world()
    host, _ = daemon_of(world, N1)

    world.watch.acts(host, StopResource(service=WEB, resource=TREE[0], op=1))

    assert world.watch.violations[0].startswith("I3 ")


def test_what_goes_below_another_parent_is_stopped_where_it_was() -> None:
    """What it will hang on stays up all the while: it did not hang on that."""
    edits = (Edit.ADD_CHILD, Edit.REMOVE_FIRST, Edit.ADD_CHILD)
    faults = tuple(
        ConfigChange(
            at_ms=10_000 + version * 1_000,
            nodes=(N1, N2, N3),
            version=version,
            edit=edit,
            service=WEB,
            is_loaded=edit is Edit.ADD_CHILD,
        )
        for version, edit in enumerate(edits, start=2)
    )

    outcome = play(replace(QUIET, faults=faults))

    assert outcome.is_good, outcome.violations
    story = told(outcome.trace, outcome.script.spec)
    assert sum("web/below stops" in line for line in story) == 1


@pytest.mark.parametrize("victim", [N1, N2])
def test_fencing_a_good_member_or_oneself_is_told(victim: NodeId) -> None:
    world = running_world()
    host, _ = daemon_of(world, N1)
    action = FenceNode(
        node=victim, node_name="it", victim=1, attempt=1, methods=(),
        timeout_ms=1_000,
    )  # fmt: skip

    world.watch.acts(host, action)

    assert world.watch.violations[0].startswith("I5 ")


def test_members_that_disagree_are_told() -> None:
    world = running_world()
    _, daemon = daemon_of(world, N1)
    cluster = daemon.state.cluster
    services = {WEB: replace(cluster.services[WEB], restarts=5)}
    wrong = replace(cluster, services=services)
    daemon.state = replace(daemon.state, cluster=wrong)

    world.ask(Ask(at_ms=0, node=N2, verb=Verb.DISABLE, service=WEB))
    world.engine.run_until(world.engine.now_ms + 3_000)

    assert any(v.startswith(("I6 ", "state ")) for v in world.watch.violations)


def test_two_beginnings_of_one_epoch_are_told() -> None:
    world = running_world()
    host, daemon = daemon_of(world, N2)
    again = replace(world.watch.installs[N2], at_ms=1)
    before = replace(daemon.state, cluster=replace(daemon.state.cluster, applied=0))

    world.watch.stepped(host, Delivered(N1, again), before)

    assert "began otherwise" in world.watch.violations[0]


def test_a_request_answered_twice_or_never_asked_is_told() -> None:
    world = running_world()
    host, _ = daemon_of(world, N1)

    world.watch.acts(host, Reply(number=999, answer=Answer.DONE, text="done", owner=None))

    assert world.watch.violations[0].startswith("answers ")


def test_an_unanswered_request_keeps_the_world_from_rest() -> None:
    world = running_world()
    host, _ = daemon_of(world, N1)

    world.watch.asked(host, Request(number=5, verb=Verb.STOP, service=WEB))

    assert unrest(world) == ["request 5 (stop web) is open"]


@pytest.mark.parametrize(
    ("verb", "is_late", "is_broken"),
    [
        (Verb.DISABLE, False, True),
        (Verb.DISABLE, True, True),
        (Verb.STOP, False, True),
        (Verb.STOP, True, False),  # a change of membership may have started it again
    ],
)
def test_told_done_although_it_still_runs_is_told(
    verb: Verb, *, is_late: bool, is_broken: bool
) -> None:
    world = running_world()
    host, daemon = daemon_of(world, N1)
    world.watch.asked(host, Request(number=5, verb=verb, service=WEB))
    daemon.due_ms = world.engine.now_ms + 500 if is_late else 0

    world.watch.acts(host, Reply(number=5, answer=Answer.DONE, text="", owner=None))

    assert [words[:3] for words in world.watch.violations] == (["I7 "] if is_broken else [])


def test_what_one_of_two_was_told_is_lost_where_the_other_one_is_new() -> None:
    """ADR 25: without any state, and with an arbiter's vote, it begins without the other one."""
    nodes = {n: QUIET.spec.nodes[n] for n in (N1, N2)}
    faults = (
        PowerLoss(at_ms=0, node=N2, for_ms=40_000),
        Partition(at_ms=0, sides=((N1,), (N2,)), for_ms=45_000),
        Ask(at_ms=9_000, node=N1, verb=Verb.DISABLE, service=WEB),
        PowerLoss(at_ms=12_000, node=N1, for_ms=60_000),
    )
    spec = replace(QUIET.spec, nodes=nodes)

    outcome = play(Script(seed=5, spec=spec, faults=faults, tie_breaker=TieBreaker.ARBITER))

    story = "\n".join(told(outcome.trace, spec))
    assert "DONE: web is disabled" in story
    assert "web runs on node2" in story
    assert outcome.is_good, outcome.violations


def test_a_record_that_does_not_agree_with_systemd_is_unrest() -> None:
    world = running_world()
    world.hosts[N1].pause_daemon()  # so that nobody hears of it

    world.hosts[N1].systemd.die(WEB, TREE[2].name)

    assert unrest(world) == ["web/nginx is not up on node1"]


def test_a_unit_change_in_a_quiet_time_is_told() -> None:
    world = running_world()
    world.watch.quiet_from_ms = world.engine.now_ms

    world.hosts[N1].systemd.die(WEB, TREE[2].name)

    assert world.watch.violations[0].startswith("I8 ")


def test_a_device_that_lies_makes_the_service_run_twice_and_that_is_told() -> None:
    """Nobody can promise anything on a lying device; the simulator must see what it does."""
    cut = Partition(at_ms=10_000, sides=((N1,), (N2, N3)), for_ms=30_000)
    spec = QUIET.spec
    freezing = replace(
        spec,
        no_quorum_policy=type(spec.no_quorum_policy).FREEZE,
        fencing=replace(spec.fencing, verb=FenceVerb.OFF),
    )
    world = World(Script(seed=1, spec=freezing, faults=(cut,)))
    world.power.switch_off = lambda _node, _why: None
    world.plan(cut)

    world.engine.run_until(30_000)

    assert any(violation.startswith("I1 ") for violation in world.watch.violations)


def test_a_core_that_raises_is_a_finding_and_not_a_crash_of_the_simulator() -> None:
    broken = replace(QUIET.spec, services=(None,))  # type: ignore[arg-type]

    outcome = play(replace(QUIET, spec=broken))

    assert not outcome.is_good
    assert outcome.violations[0].startswith("core ")


def test_daemons_that_die_for_a_moment_move_nothing() -> None:
    faults = tuple(DaemonCrash(at_ms=20_000 + n, node=n, for_ms=800) for n in (N1, N2, N3))

    outcome = play(replace(QUIET, faults=faults), is_calm_from_first_fault=True)

    assert outcome.violations == ()
    assert outcome.settled


def test_what_must_move_nothing_waits_until_nothing_moves() -> None:
    faults = (DaemonCrash(at_ms=100, node=N1, for_ms=800),)

    outcome = play(replace(QUIET, faults=faults), is_calm_from_first_fault=True)

    assert outcome.violations == ()
    assert outcome.stats.unit_changes > 0


def test_the_demo_story_tells_of_the_loss_the_proof_and_the_return() -> None:
    lines: list[str] = []

    is_good = tell_demo_story(lines.append)

    story = "\n".join(lines)
    assert is_good
    positions = [
        story.index(words)
        for words in (
            "web runs on node1",
            "node1 loses power",
            "proof that node1 is down",
            "web runs on node2",
            "node1  boots",
            "web is now running on node1",
        )
    ]
    assert positions == sorted(positions)


def test_a_daemon_that_is_stopped_gives_its_services_away_and_goes() -> None:
    world = running_world()

    world.hosts[N1].shut_down(Shutdown.STOP)
    world.engine.run_until(world.engine.now_ms + 10_000)

    _, daemon = daemon_of(world, N2)
    cluster = daemon.state.cluster
    assert world.hosts[N1].daemon is None
    assert cluster.nodes[N1].status is NodeStatus.LEFT
    assert cluster.services[WEB].owner == N2
    assert world.watch.fences == 0


def test_what_all_members_say_is_told_once() -> None:
    outcome = simulate(seed=2, nodes=3, steps=0)

    lines = list(told(outcome.trace, outcome.script.spec))

    assert sum("the members agree: epoch 1" in line for line in lines) == 1


def test_a_world_that_was_made_whole_comes_to_rest() -> None:
    world = running_world()
    world.hosts[N3].switch_off()

    assert settle(world)


# The predicates themselves, where no world gets to.


def test_agreed_state_is_checked_for_sense() -> None:
    cluster = daemon_of(running_world(), N1)[1].state.cluster
    web = cluster.services[WEB]
    node = cluster.nodes[N2]
    proof = Proof(kind=ProofKind.HUMAN, at_ms=0, by=N1)

    def problems(now: ClusterState) -> tuple[str, ...]:
        found = check_cluster(now)
        assert check_cluster(now, cluster) == found  # what is as it was need not be looked at
        return found

    def with_web(**changes: object) -> tuple[str, ...]:
        return problems(replace(cluster, services={WEB: replace(web, **changes)}))  # type: ignore[arg-type]

    def with_owner_gone() -> tuple[str, ...]:
        owner = web.owner
        assert owner is not None
        gone = replace(cluster.nodes[owner], status=NodeStatus.LEFT)
        return problems(replace(cluster, nodes={**cluster.nodes, owner: gone}))

    def with_node(**changes: object) -> tuple[str, ...]:
        nodes = {**cluster.nodes, N2: replace(node, **changes)}  # type: ignore[arg-type]
        return problems(replace(cluster, nodes=nodes))

    assert check_cluster(cluster) == ()
    assert with_web(owner=None) == ("web is started and has no owner",)
    assert with_web(state=ServiceState.STOPPED) == ("web is stopped and has an owner",)
    assert "never given out" in with_web(op=cluster.next_op)[0]
    assert "not configured" in with_web(owner=NodeId(9))[0]
    assert with_node(fencer=N1) == ("node2 is being fenced although it is online",)
    assert "itself" in with_node(status=NodeStatus.UNCLEAN, victim=3, fencer=N2)[0]
    assert "without a fencing case" in with_node(status=NodeStatus.UNCLEAN)[0]
    assert "without proof" in with_node(status=NodeStatus.FENCED)[0]
    assert with_node(status=NodeStatus.FENCED, proof=proof) == ()
    assert "which is offline" in with_owner_gone()[0]
    assert "nobody has heard of" in with_node(incarnation=0)[0]
    assert check_fence(cluster, N1, NodeId(9)) != ()
