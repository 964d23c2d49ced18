# SPDX-License-Identifier: Apache-2.0
"""Four real nodes fall into halves: exactly the half with the tie breaker goes on."""

from __future__ import annotations

from rgmgr.lab import defaultconfig, render
from rgmgr.lab.lab import Lab
from rgmgr.lab.layout import MANAGEMENT_ADDRESS, plan
from rgmgr.lab.observe import Observer
from tests.lab import arbiter
from tests.lab.overlap import overlaps

NODES = plan(4)
LOW, HIGH = ("node1", "node2"), ("node3", "node4")


def part(lab: Lab) -> None:
    """Cut every cable between the halves; devices and arbiter are seen by all."""
    for one in LOW:
        for other in HIGH:
            lab.cut(one, other)


def boots(observer: Observer) -> dict[str, str]:
    return {node: observer.boot_id(node) for node in observer.nodes}


def test_the_half_with_the_lowest_node_goes_on(own_lab: Lab) -> None:
    own_lab.up(
        4, defaultconfig.render(NODES), corosync=render.corosync_conf(NODES, breaks_ties=True)
    )
    observer = Observer(own_lab)
    observer.await_that(observer.is_settled, "all nodes online")
    own_lab.run("node1", ["rgmgr", "relocate", "web", "-m", "node3"], 60)
    observer.await_page("node3")
    before, since = boots(observer), observer.now_us()

    part(own_lab)
    observer.await_page("node1")
    own_lab.heal()
    observer.await_that(observer.is_settled, "all nodes back")

    after = boots(observer)
    assert [node for node in before if before[node] == after[node]] == list(LOW)
    assert overlaps(observer, since) == []


def test_an_arbiter_lets_one_half_go_on_and_either_when_the_other_is_gone(own_lab: Lab) -> None:
    qnetd = arbiter.prepare(own_lab)
    conf = render.corosync_conf(NODES, qnetd=MANAGEMENT_ADDRESS)
    own_lab.up(4, defaultconfig.render(NODES), qnetd.layers, corosync=conf)
    qnetd.start()
    observer = Observer(own_lab)
    observer.await_that(observer.is_settled, "all nodes online")
    observer.await_that(lambda: has_vote(own_lab), "the arbiter to vote")
    observer.await_page("node1")
    before, since = boots(observer), observer.now_us()

    part(own_lab)
    observer.await_that(lambda: len(fenced(observer, since)) == len(LOW), "two proofs", 90)
    own_lab.heal()
    observer.await_that(observer.is_settled, "all nodes back", 90)
    after = boots(observer)
    survivors = tuple(node for node in before if before[node] == after[node])
    assert survivors in (LOW, HIGH)

    for node in LOW:
        own_lab.kill(node)
    observer.await_that(lambda: observer.answering() in HIGH, "the page on the other half", 90)
    observer.await_that(observer.is_settled, "all nodes back", 90)
    assert overlaps(observer, since) == []


def has_vote(lab: Lab) -> bool:
    """Tell whether a node's status shows that the arbiter votes."""
    shown = lab.run("node1", ["rgmgr", "status", "--links"])
    return "device Qdevice (1) votes" in " ".join(shown.stdout.split())


def fenced(observer: Observer, since_us: int) -> set[str]:
    """Return which nodes were proven off since then, as any of them has logged it."""
    return {
        word
        for node in observer.nodes
        for line in observer.lines(node, since_us)
        if line.text.startswith("fence.succeeded ")
        for word in line.text.split()
        if word.startswith("node=")
    }
