# SPDX-License-Identifier: Apache-2.0
"""Half of an even cluster, by the word of corosync's tie breaker."""

from __future__ import annotations

from domains.model import NodeId
from rgmgr.core.messages import Verb
from rgmgr.core.model import NodeStatus
from tests.unit.core_cluster import N1, N2, N3, Cluster, formed, spec

N4 = NodeId(4)


def halved() -> Cluster:
    """Return four nodes of which two were just lost together; the others have quorum."""
    cluster = formed(spec=spec(nodes=4))
    cluster.kill(N3)
    cluster.kill(N4)
    cluster.view(N1, N2, quorate=True)
    return cluster


def test_half_that_took_part_until_now_goes_on_and_fences_the_other() -> None:
    cluster = halved()

    assert cluster.states[N1].cluster.members() == (N1, N2)
    assert [cluster.node(n).status for n in (N3, N4)] == [NodeStatus.FENCED] * 2


def test_half_with_a_rebooted_node_waits_for_one_more() -> None:
    """An arbiter may have let it take part in the other half meanwhile."""
    cluster = formed(spec=spec(nodes=4))
    cluster.kill(N2)
    cluster.kill(N3)
    cluster.kill(N4)
    cluster.boot(N2)
    cluster.view(N1, N2, quorate=True)

    assert not cluster.states[N1].local.is_installed


def test_each_new_epoch_of_a_half_takes_nobody_for_down_by_an_old_proof() -> None:
    cluster = halved()
    cluster.view(N1, N2, quorate=True)

    assert [cluster.node(n).status for n in (N3, N4)] == [NodeStatus.UNSEEN] * 2
    cluster.run(60_000)
    assert [cluster.node(n).status for n in (N3, N4)] == [NodeStatus.FENCED] * 2


def test_an_administrator_is_told_done_in_a_half_once_the_other_is_proven_down() -> None:
    cluster = halved()

    reply = cluster.ask(N1, Verb.DISABLE)
    assert reply is not None
    assert reply.answer.name == "DONE"
