# SPDX-License-Identifier: Apache-2.0
"""Epochs: the first INSTALL of a view counts, for those that it leaves out as well."""

from __future__ import annotations

from rgmgr.core.actions import Answer, Exit, Multicast, Record, SaveState
from rgmgr.core.events import (
    Delivered,
    QuorumChanged,
    Requested,
    Shutdown,
    ShutdownRequested,
    TimerFired,
    ViewChanged,
)
from rgmgr.core.messages import Ack, Hello, Install, Request, Verb
from rgmgr.core.model import RingId
from tests.unit.core_cluster import N1, N2, N3, WEB, Cluster, formed, spec

ALL = (N1, N2, N3)


def test_who_was_left_out_takes_no_install_that_was_made_before_it_heard_so() -> None:
    """node3 gave node2 up; its INSTALL and the late HELLO of node2 cross: node1 sends another one.

    Then one ring would have had two epochs of one number, and each side taken the acknowledgements
    of the other for its own.
    """
    cluster = formed()
    ring = RingId(N1, cluster.ring + 4)
    del cluster.actions[:]
    for node in ALL:
        cluster.feed(node, ViewChanged(ring=ring, ring_nodes=ALL, members=ALL))
        cluster.feed(node, QuorumChanged(ring, is_quorate=True))
    late = [m for m in cluster.mail if m[0] == N2 and isinstance(m[1], Hello)]
    for mail in late:
        cluster.mail.remove(mail)
    cluster.settle()

    cluster.mail.extend(late)
    cluster.feed(N3, TimerFired(f"sync:1.{ring.seq}"))
    cluster.settle()

    begun = [
        (int(action.fields["epoch"] or 0), action.fields["members"])
        for _, action in cluster.took(Record)
        if isinstance(action, Record) and action.event == "epoch.installed"
    ]
    first = min(epoch for epoch, _ in begun)
    assert {members for epoch, members in begun if epoch == first} == {"node1, node3"}
    assert {members for epoch, members in begun if epoch != first} == {"node1, node2, node3"}


def test_who_was_taken_in_stays_in_though_a_second_install_leaves_it_out() -> None:
    """The HELLO of node2 came just in time; node3 had given it up already.

    It went back to the epoch before, alone; what it then said counted for the others, who were in
    the first one, and its operator heard nothing of it any more.
    """
    cluster = formed()
    ring = RingId(N1, cluster.ring + 4)
    del cluster.actions[:]
    for node in ALL:
        cluster.feed(node, ViewChanged(ring=ring, ring_nodes=ALL, members=ALL))
        cluster.feed(node, QuorumChanged(ring, is_quorate=True))
    (late,) = [m for m in cluster.mail if m[0] == N2 and isinstance(m[1], Hello)]
    cluster.mail.remove(late)
    cluster.settle()
    cluster.feed(N2, Requested(Request(number=77, verb=Verb.FREEZE, service=WEB)))

    cluster.feed(N1, Delivered(*late))
    cluster.feed(N3, TimerFired(f"sync:1.{ring.seq}"))
    cluster.mail.appendleft(late)
    assert [type(message) for _, message in cluster.mail] == [Hello, Install, Install]
    cluster.settle()

    assert "sync.left_out" not in cluster.records(N2)
    reply = cluster.reply(N2, 77)
    assert reply is not None
    assert reply.answer is Answer.DONE


def test_the_last_one_leaves_when_its_own_disk_has_what_it_said() -> None:
    cluster = Cluster(spec=spec(nodes=1))
    cluster.boot(N1)
    cluster.view(N1)
    cluster.run(5_000)
    del cluster.actions[:]

    cluster.feed(N1, ShutdownRequested(Shutdown.STOP))
    cluster.settle()

    done = [action for _, action in cluster.actions]
    saved = max(i for i, action in enumerate(done) if isinstance(action, SaveState))
    left = next(i for i, action in enumerate(done) if isinstance(action, Exit))
    words = [action.message for action in done[saved:left] if isinstance(action, Multicast)]
    assert any(isinstance(word, Ack) for word in words)
