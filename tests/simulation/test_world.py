# SPDX-License-Identifier: Apache-2.0
"""The simulated world alone: it must be as bad as the real one, and no worse.

A simulator that is too kind finds nothing; one that does what corosync never does finds ghosts.
"""

from __future__ import annotations

import pytest

from domains.model import NodeId
from rgmgr.core.events import (
    CorosyncLost,
    Delivered,
    QuorumChanged,
    ViewChanged,
)
from rgmgr.core.messages import Tick
from rgmgr.sim.bus import DETECTION_MS, DETECTION_SPREAD_MS, Bus
from rgmgr.sim.engine import Engine, dice
from rgmgr.sim.rings import BusEvent

N1, N2, N3 = NodeId(1), NodeId(2), NodeId(3)
ALL = (N1, N2, N3)
SEEDS = range(25)


class Listener:
    """A daemon that only writes down what it hears."""

    def __init__(self) -> None:
        self.heard: list[BusEvent] = []

    def hear(self, event: BusEvent) -> None:
        self.heard.append(event)

    def counts(self) -> list[int]:
        """The messages, by the number they carry."""
        return [
            event.message.count
            for event in self.heard
            if isinstance(event, Delivered) and isinstance(event.message, Tick)
        ]

    def views(self) -> list[ViewChanged]:
        return [event for event in self.heard if isinstance(event, ViewChanged)]

    def verdicts(self) -> list[QuorumChanged]:
        return [event for event in self.heard if isinstance(event, QuorumChanged)]


class Network:
    """A bus with a listener on each node, all in one ring."""

    def __init__(self, seed: int, nodes: tuple[NodeId, ...] = ALL) -> None:
        self.engine = Engine()
        self.bus = Bus(self.engine, dice(seed, "test"), nodes)
        self.daemons = {node: Listener() for node in nodes}
        self.said = 0
        for node, daemon in self.daemons.items():
            self.bus.start(node)
            self.bus.connect(node, daemon)
        self.run(5_000)

    def run(self, for_ms: int) -> None:
        self.engine.run_until(self.engine.now_ms + for_ms)

    def say(self, node: NodeId, times: int = 1) -> None:
        for _ in range(times):
            self.said += 1
            self.bus.multicast(node, Tick(incarnation=node, count=self.said, epoch=0, applied=0))

    def chatter(self, for_ms: int) -> None:
        """Everybody talks all the time."""
        for _ in range(for_ms // 2):
            for node in self.daemons:
                self.say(node)
            self.run(2)


@pytest.mark.parametrize("seed", SEEDS)
def test_all_members_of_a_ring_hear_the_same_messages_in_the_same_order(seed: int) -> None:
    network = Network(seed)

    network.chatter(200)
    network.run(500)

    heard = [daemon.counts() for daemon in network.daemons.values()]
    assert heard[0] == heard[1] == heard[2]
    assert sorted(heard[0]) == list(range(1, network.said + 1))


@pytest.mark.parametrize("seed", SEEDS)
def test_members_that_go_together_see_the_same_and_separated_ones_prefixes(seed: int) -> None:
    network = Network(seed)
    network.bus.delay_max_ms = 30
    network.chatter(100)
    before = {node: len(daemon.views()) for node, daemon in network.daemons.items()}

    network.bus.divide(((N1, N2), (N3,)))
    network.run(DETECTION_MS + 500)

    until_view = {
        node: _messages_before_view(daemon, before[node])
        for node, daemon in network.daemons.items()
    }
    assert until_view[N1] == until_view[N2]
    short, long = sorted((until_view[N1], until_view[N3]), key=len)
    assert long[: len(short)] == short


def test_the_verdict_comes_before_the_view_as_often_as_a_core_must_expect() -> None:
    """Two connections: whichever is read first. Each order must come in many seeds."""
    verdict_first = 0
    for seed in range(200):
        network = Network(seed)
        before = len(network.daemons[N3].heard)
        network.bus.divide(((N1, N2), (N3,)))
        network.run(DETECTION_MS + 500)
        kinds = [
            type(event)
            for event in network.daemons[N3].heard[before:]
            if isinstance(event, ViewChanged | QuorumChanged)
        ]
        assert sorted(kinds, key=str) == [QuorumChanged, ViewChanged]
        verdict_first += kinds[0] is QuorumChanged

    assert 20 <= verdict_first <= 180


def _messages_before_view(daemon: Listener, views: int) -> list[int]:
    found: list[int] = []
    for event in daemon.heard:
        if isinstance(event, ViewChanged):
            views -= 1
            if views < 0:
                return found
        elif isinstance(event, Delivered) and isinstance(event.message, Tick):
            found.append(event.message.count)
    return found


def test_one_side_of_a_partition_may_have_seen_more() -> None:
    """Else nothing would test that a message one has seen may have died with its hearers."""
    differences = 0
    for seed in SEEDS:
        network = Network(seed)
        network.bus.delay_max_ms = 30
        views = {node: len(daemon.views()) for node, daemon in network.daemons.items()}
        network.say(N1, times=20)
        network.run(10)
        network.bus.divide(((N1,), (N2, N3)))
        network.run(DETECTION_MS + 500)
        mine, theirs = (
            _messages_before_view(network.daemons[node], views[node]) for node in (N1, N2)
        )
        differences += len(mine) > len(theirs)

    assert differences > 0


def test_nothing_is_delivered_in_a_broken_ring_and_what_was_sent_comes_in_the_next() -> None:
    network = Network(1)
    network.bus.crash(N3, None)
    heard = len(network.daemons[N1].counts())

    network.say(N1, times=5)
    network.run(DETECTION_MS - 100)
    silent = len(network.daemons[N1].counts())
    network.run(1_000)

    assert silent == heard
    assert network.daemons[N1].counts()[-5:] == [1, 2, 3, 4, 5]
    assert network.daemons[N2].counts()[-5:] == [1, 2, 3, 4, 5]
    in_group = [e for e in network.daemons[N1].heard if not isinstance(e, QuorumChanged)]
    assert isinstance(in_group[-1], Delivered)
    assert network.daemons[N1].views()[-1].left == (N3,)


@pytest.mark.parametrize("seed", SEEDS)
def test_a_lost_node_is_noticed_after_the_detection_time(seed: int) -> None:
    network = Network(seed)
    views = len(network.daemons[N1].views())

    network.bus.crash(N3, None)
    network.run(DETECTION_MS - 1)
    too_early = len(network.daemons[N1].views())
    network.run(DETECTION_SPREAD_MS + 50)

    assert too_early == views
    assert network.daemons[N1].views()[-1].members == (N1, N2)
    assert network.daemons[N1].verdicts()[-1].is_quorate


def test_a_daemon_that_dies_is_missed_at_once_and_the_ring_stays() -> None:
    network = Network(2)
    ring = network.daemons[N1].views()[-1].ring

    network.bus.disconnect(N3)
    network.run(30)

    view = network.daemons[N1].views()[-1]
    assert (view.members, view.left, view.ring) == ((N1, N2), (N3,), ring)
    assert view.ring_nodes == ALL


def test_a_daemon_that_comes_back_joins_the_same_ring_and_hears_the_verdict() -> None:
    network = Network(3)
    network.bus.disconnect(N3)
    network.run(30)
    again = Listener()

    network.bus.connect(N3, again)
    network.run(100)

    assert again.views()[0].members == ALL
    assert N3 in again.views()[0].joined
    assert again.verdicts()[-1] == QuorumChanged(again.views()[0].ring, is_quorate=True)
    assert network.daemons[N1].views()[-1].joined == (N3,)


@pytest.mark.parametrize("seed", SEEDS)
def test_a_paused_corosync_sees_everybody_leave_and_come_back(seed: int) -> None:
    """It never hears that it had lost quorum in between (corosync.md 4.5)."""
    network = Network(seed)
    views = len(network.daemons[N3].views())

    network.bus.pause(N3)
    network.run(4_000)
    during = len(network.daemons[N3].views())
    network.bus.resume(N3)
    network.run(4_000)

    new = network.daemons[N3].views()[views:]
    assert during == views
    assert {node for view in new for node in view.left} == {N1, N2}
    assert {node for view in new for node in view.joined} == {N1, N2}
    assert new[-1].members == ALL


def test_each_side_of_a_merge_sees_the_other_join() -> None:
    network = Network(4)
    network.bus.divide(((N1, N2), (N3,)))
    network.run(4_000)

    network.bus.heal()
    network.run(4_000)

    assert network.daemons[N1].views()[-1].joined == (N3,)
    assert network.daemons[N3].views()[-1].joined == (N1, N2)
    assert network.daemons[N1].views()[-1].ring == network.daemons[N3].views()[-1].ring


def test_a_short_cut_loses_no_message_and_nobody_leaves() -> None:
    for seed in SEEDS:
        network = Network(seed)
        network.chatter(20)
        network.bus.divide(((N1,), (N2, N3)))
        network.say(N1, times=3)
        network.run(400)
        network.bus.heal()
        network.run(3_000)

        assert sorted(network.daemons[N2].counts()) == list(range(1, network.said + 1))
        assert network.daemons[N2].views()[-1].left == ()


def test_quorum_is_a_majority_of_the_configured_nodes() -> None:
    network = Network(5)
    network.bus.divide(((N1,), (N2, N3)))
    network.run(4_000)

    assert not network.daemons[N1].verdicts()[-1].is_quorate
    assert network.daemons[N2].verdicts()[-1].is_quorate
    assert network.bus.inquorate_since_ms[N1] == 5_000
    assert network.bus.inquorate_since_ms[N2] is None


def test_the_verdict_comes_before_the_view_or_after_it() -> None:
    orders = set()
    for seed in SEEDS:
        network = Network(seed)
        seen = len(network.daemons[N1].heard)
        network.bus.crash(N3, None)
        network.run(3_000)
        orders.add(isinstance(network.daemons[N1].heard[seen], QuorumChanged))

    assert orders == {True, False}


def test_a_verdict_for_a_superseded_ring_sometimes_never_comes() -> None:
    missing = 0
    for seed in range(80):
        network = Network(seed)
        network.bus.pause(N1)
        network.run(3_000)
        network.bus.resume(N1)
        network.run(5_000)
        rings = {view.ring for view in network.daemons[N1].views()}
        missing += len(rings - {verdict.ring for verdict in network.daemons[N1].verdicts()})

    assert missing > 0


def test_the_client_of_a_crashed_corosync_hears_only_that() -> None:
    network = Network(6)

    network.bus.crash(N1, "killed")
    network.run(5_000)

    assert network.daemons[N1].heard[-1] == CorosyncLost("killed")


def test_what_is_sent_without_a_connection_is_lost() -> None:
    network = Network(7)
    network.bus.disconnect(N1)

    network.say(N1)
    network.run(1_000)

    assert network.daemons[N2].counts() == []
