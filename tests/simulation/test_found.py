# SPDX-License-Identifier: Apache-2.0
"""What the hunt found: one script for each bug of the core, cut down to what matters.

Each failed before its fix. The list in words: docs/simulation.md.
"""

from __future__ import annotations

from dataclasses import replace

from domains.model import NodeId, ServiceName
from rgmgr.core.actions import Record
from rgmgr.core.messages import Verb
from rgmgr.core.spec import ClusterSpec, NoQuorumPolicy, ResourceName
from rgmgr.sim.disk import DiskMood
from rgmgr.sim.edits import Edit
from rgmgr.sim.faults import (
    Ask,
    ConfigChange,
    DaemonCrash,
    DaemonRestart,
    DaemonStop,
    DeviceTrouble,
    DiskTrouble,
    Fault,
    Partition,
    Script,
    UnitStartedByHand,
)
from rgmgr.sim.power import Device
from rgmgr.sim.run import Outcome, play, simulate
from rgmgr.sim.story import demo_script
from rgmgr.sim.trace import told

N1, N2, N3 = NodeId(1), NodeId(2), NodeId(3)
ALL = (N1, N2, N3)
WEB = ServiceName("web")


def spec(**changes: object) -> ClusterSpec:
    """Three nodes and one service of three resources, which prefers node1."""
    return replace(demo_script().spec, **changes)  # type: ignore[arg-type]  # names are checked at run time


def run(*faults: Fault, cluster: ClusterSpec | None = None) -> Outcome:
    return play(Script(seed=1, spec=cluster or spec(), faults=faults))


def story(outcome: Outcome) -> str:
    return "\n".join(told(outcome.trace, outcome.script.spec))


def journal(outcome: Outcome) -> set[str]:
    """Return the names of all events that were written to the journals."""
    facts = [fact for line in outcome.trace.lines for fact in line.facts]
    return {fact.event for fact in facts if isinstance(fact, Record)}


def test_a_node_that_is_configured_while_its_daemon_runs_becomes_a_member() -> None:
    """It said goodbye, was dropped, came back, and only then was added: nobody made an epoch."""
    outcome = run(
        DaemonStop(at_ms=10_000, node=N3, for_ms=3_000),
        ConfigChange(at_ms=12_000, nodes=(N1, N2), version=2, edit=Edit.REMOVE_NODE, node=N3),
        ConfigChange(at_ms=20_000, nodes=ALL, version=3, edit=Edit.ADD_NODE, node=N3),
    )

    assert outcome.is_good, outcome.violations


def test_what_somebody_started_on_the_wrong_node_is_stopped_there() -> None:
    """It ran there beside the owner's until some change of membership came along."""
    outcome = run(
        UnitStartedByHand(at_ms=10_000, node=N2, service=WEB, resource=ResourceName("data")),
    )

    assert outcome.is_good, outcome.violations
    assert "data is started by hand" in story(outcome)
    assert "node2  web/data is down" in story(outcome)
    assert "node1  web/data stops" not in story(outcome)


def test_what_a_lone_daemon_agreed_to_is_not_told_done_before_a_majority_has_it() -> None:
    """The others, who had said goodbye, began again without it and had never heard of it."""
    outcome = run(
        DaemonStop(at_ms=10_000, node=N1, for_ms=5_000),
        DaemonStop(at_ms=10_500, node=N2, for_ms=5_000),
        Ask(at_ms=12_000, node=N3, verb=Verb.DISABLE, service=WEB),
        DaemonStop(at_ms=13_000, node=N3, for_ms=30_000),
        *(DaemonRestart(at_ms=at_ms, node=N1) for at_ms in (22_000, 24_000, 26_000)),
    )

    assert outcome.is_good, outcome.violations


def test_a_file_that_drops_a_lost_node_does_not_make_it_forgotten_at_the_next_start() -> None:
    """Read at the start of rgmgrd it counted without anybody's consent, and the node's service,
    of which nothing was proven, was started elsewhere.
    """
    others = (N2, N3)
    outcome = run(
        DeviceTrouble(at_ms=9_000, node=N1, device=Device.REFUSES, for_ms=40_000),
        Partition(at_ms=10_000, sides=((N1,), others), for_ms=30_000),
        ConfigChange(
            at_ms=14_000, nodes=others, version=2, edit=Edit.REMOVE_NODE, node=N1, is_loaded=False
        ),
        DaemonRestart(at_ms=15_000, node=N2),
        DaemonRestart(at_ms=15_000, node=N3),
        ConfigChange(at_ms=45_000, nodes=ALL, version=3, edit=Edit.ADD_NODE, node=N1),
        cluster=spec(no_quorum_policy=NoQuorumPolicy.FREEZE),
    )

    assert outcome.is_good, outcome.violations
    assert "config.refused" in journal(outcome)


def test_a_service_whose_owner_was_away_when_a_better_node_joined_moves_there_later() -> None:
    """Joiners were offered to owners of that moment only, and never again."""
    demo = spec()
    (domain,) = demo.domains.values()
    outcome = run(
        DaemonStop(at_ms=10_000, node=N1, for_ms=10_000),
        Partition(at_ms=19_500, sides=((N2,), (N1, N3)), for_ms=6_500),
        cluster=spec(
            no_quorum_policy=NoQuorumPolicy.FREEZE,
            fencing=replace(demo.fencing, post_fail_delay_ms=15_000),
            domains={domain.name: replace(domain, nofailback=False)},
        ),
    )

    assert outcome.is_good, outcome.violations
    assert "web runs on node2" in story(outcome)
    assert story(outcome).rindex("web runs on node1") > story(outcome).index(
        "node2 is back in time"
    )


def test_a_node_whose_return_no_majority_has_on_disk_starts_nothing_alone() -> None:
    """Its goodbye was all that the others' disks knew of it; one was full when it came back. They
    began without it, took it for gone, and started what it ran.
    """
    outcome = run(
        DaemonStop(at_ms=10_000, node=N3, for_ms=7_000),
        DaemonStop(at_ms=14_000, node=N2, for_ms=16_000),
        DiskTrouble(at_ms=17_000, node=N1, trouble=DiskMood.FULL, for_ms=14_000),
        DaemonStop(at_ms=22_000, node=N1, for_ms=8_000),
        Partition(at_ms=29_500, sides=((N3,), (N1, N2)), for_ms=15_000),
        cluster=spec(no_quorum_policy=NoQuorumPolicy.FREEZE),
    )

    assert outcome.is_good, outcome.violations
    assert "web is given to node3" in story(outcome)


def test_a_service_found_running_is_stopped_with_the_tree_it_was_started_with() -> None:
    """All daemons died after a resource had been removed: what it had started was forgotten."""
    outcome = run(
        ConfigChange(at_ms=10_000, nodes=ALL, version=2, edit=Edit.REMOVE_RESOURCE, service=WEB),
        *(DaemonCrash(at_ms=12_000, node=node, for_ms=1_000) for node in ALL),
        Ask(at_ms=20_000, node=N1, verb=Verb.RELOCATE, service=WEB),
    )

    assert outcome.is_good, outcome.violations
    assert "node1  web/data is down" in story(outcome)
    assert "node2  web/data starts" not in story(outcome)


def test_nodes_that_wait_to_be_fenced_lend_their_disks_to_the_one_that_has_to_do_it() -> None:
    """One that had begun alone decided to fence them, and then waited for ever for members."""
    outcome = run(
        *(DaemonCrash(at_ms=3_000, node=node, for_ms=14_000) for node in (N2, N3)),
        cluster=spec(rejoin_grace_ms=3_000),
    )

    assert outcome.is_good, outcome.violations


def test_a_narrower_domain_does_not_make_a_lost_node_forgotten_that_may_run_the_service() -> None:
    """All others had begun anew; the new domain did not have it, so it blocked nothing."""
    demo = spec()
    (domain,) = demo.domains.values()
    others = replace(domain, name="without-node1", priorities={N2: 1, N3: 2}, restricted=True)
    outcome = run(
        DeviceTrouble(at_ms=9_000, node=N1, device=Device.REFUSES, for_ms=40_000),
        Partition(at_ms=10_000, sides=((N1,), (N2, N3)), for_ms=30_000),
        DaemonCrash(at_ms=13_000, node=N2, for_ms=500),
        DaemonCrash(at_ms=13_000, node=N3, for_ms=500),
        ConfigChange(at_ms=16_000, nodes=(N2, N3), version=2, edit=Edit.CHANGE_DOMAIN, service=WEB),
        cluster=spec(
            no_quorum_policy=NoQuorumPolicy.FREEZE,
            domains={domain.name: domain, others.name: others},
        ),
    )

    assert outcome.is_good, outcome.violations


def test_a_node_claims_what_runs_there_even_if_neither_file_nor_state_names_it() -> None:
    """Its state was spoilt and its file had dropped the service: its HELLO said nothing of it, and
    those whose records had the service started it elsewhere.
    """
    outcome = simulate(seed=970_302, steps=20)

    assert not [words for words in outcome.violations if words.startswith("I1")]


def test_one_daemon_of_three_does_not_go_on_without_those_that_may_have() -> None:
    """Its node was in a quorate ring with one whose daemon was away, and its history won over what
    the two others had agreed: a service was freed by who had forgotten to whom it was given.
    """
    outcome = simulate(seed=981_035)

    assert not [words for words in outcome.violations if words.startswith("I1")]
