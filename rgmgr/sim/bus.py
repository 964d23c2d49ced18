# SPDX-License-Identifier: Apache-2.0
"""A simulated corosync: closed process group, rings and quorum, as badly behaved as the real one.

Theory of operation. Every ring has one log. A message is put into it by `_order` and comes to
each station by its own delay, in the order of the log. When a station of a ring is lost, the ring
is broken at once: nothing is ordered or delivered in it any more, one's own messages included,
and what is sent waits. After the detection time the stations that still hear each other form
the next ring. Those that come from the same ring first deliver the same prefix of its log (so
that separated ones have seen prefixes of one another), then hear the view, relative to where they
come from; then what waited is ordered in the new ring. The verdict of quorum comes on another
connection, earlier or later, and sometimes never for a ring that was replaced meanwhile.

Who hears whom is in `network.py`. A node that hears somebody of a ring that it cannot join learns
late that it is alone, and forms its ring anew every 1.2 s.

Must not know the daemons: it speaks to `Client`. Source: corosync.md parts 4, 5 and 8.7.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from domains.model import NodeId
from rgmgr.core.clockwork import QUORUM_WAIT_MS
from rgmgr.core.events import CorosyncLost, Delivered, QuorumChanged, ViewChanged
from rgmgr.core.messages import Message
from rgmgr.core.model import RingId
from rgmgr.sim import rings
from rgmgr.sim.engine import Alarm, Dice, Engine, chance
from rgmgr.sim.network import Component, Network, Way
from rgmgr.sim.rings import BusEvent, Came, Client, Entry, Ring, Said, Station, Went
from rgmgr.sim.votes import TieBreaker, Votes

DETECTION_MS = 2_100
DETECTION_SPREAD_MS = 150
GLITCH_MS = (300, 1_200)
MERGE_MS = (500, 2_000)
SHORT_OUTAGE_MS = 1_000
VIEW_SKEW_MS = 8
QUORUM_SKEW_MS = 50
PATH_MS = 3
RESTLESS_MS = 1_200
"""How often a restless ring forms anew, and how much later it notices its loss."""


class Bus:
    """All stations, their rings, and the network between them."""

    def __init__(
        self, engine: Engine, dice: Dice, nodes: Sequence[NodeId], *, is_two_node: bool = False
    ) -> None:
        self._engine = engine
        self._dice = dice
        self.stations = {node: Station(node) for node in sorted(nodes)}
        self.network = Network(nodes)
        self.votes = Votes(engine, dice, nodes, is_two_node=is_two_node)
        self.delay_max_ms = PATH_MS
        self.detection_ms = DETECTION_MS
        self.quorum_late_ms = 0  # on top of what is usual
        self.slack_ms = 0  # how much later than usual a node may learn of its lack, at worst,
        self.quorum_slack_ms = 0  # and for want of a verdict; both may come to pass
        self.inquorate_since_ms: dict[NodeId, int | None] = dict.fromkeys(self.stations, 0)
        self._ring_seq = 0
        self._connections = 0
        self._reforms: dict[Component, Alarm] = {}
        self._restless: dict[Component, Alarm] = {}

    # What happens to a station.

    def start(self, node: NodeId) -> None:
        """Start corosync: at first it is alone in a ring of its own."""
        station = self.stations[node]
        station.is_up, station.is_paused, station.is_clogged = True, False, False
        station.members, station.ring, station.has_met_all = {}, None, False
        self._install((node,))
        self._changed()

    def crash(self, node: NodeId, reason: str | None) -> None:
        """End corosync at once; its client hears `reason`, or nothing when that is None."""
        station = self.stations[node]
        if not station.is_up:
            return
        client = station.client
        station.is_up, station.is_paused, station.ring = False, False, None
        station.members = {}
        self._forget_client(station)
        self._changed()
        if client is not None and reason is not None:
            client.hear(CorosyncLost(reason))

    def pause(self, node: NodeId) -> None:
        """SIGSTOP: the token is lost; the client hears nothing."""
        self.stations[node].is_paused = True
        self._changed()

    def resume(self, node: NodeId) -> None:
        """SIGCONT: what corosync had already passed on arrives first."""
        station = self.stations[node]
        if not (station.is_up and station.is_paused):
            return
        station.is_paused = False
        held, station.held = station.held, []
        for connection, event in held:
            self._post(station, connection, event)
        ring = station.ring
        if chance(self._dice, 0.3) and ring and ring.broken_ms is not None:
            self._wake_alone(station)
        self._changed()

    def _wake_alone(self, station: Station) -> None:
        """Form a ring of one's own, which another replaces while its sync still goes on."""
        self._install((station.node,))
        component = self.reach(station.node)
        if component != (station.node,):
            soon_ms = self._dice.randint(2, 60)
            if alarm := self._reforms.pop(component, None):
                alarm.cancel()
            alarm = self._engine.after(soon_ms, lambda: self._reform(component))
            self._reforms[component] = alarm

    def divide(self, sides: Iterable[Iterable[NodeId]]) -> None:
        """Cut the network: only stations of one side hear each other."""
        self._rewire(lambda: self.network.divide(sides))

    def cut(self, ways: Iterable[Way]) -> None:
        """Lose single ways of the network."""
        self.slack_ms = max(self.slack_ms, 2 * RESTLESS_MS)
        self._rewire(lambda: self.network.cut(ways))

    def mend(self, ways: Iterable[Way]) -> None:
        """Mend single ways of the network."""
        self._rewire(lambda: self.network.mend(ways))

    def unplug(self, node: NodeId) -> None:
        """Pull the network cable of a node."""
        self._rewire(lambda: self.network.unplug(node))

    def plug(self, node: NodeId) -> None:
        """Put the cable back."""
        self._rewire(lambda: self.network.plug(node))

    def heal(self) -> None:
        """Let everybody hear everybody again."""
        self._rewire(self.network.heal)

    def _rewire(self, change: Callable[[], None]) -> None:
        change()
        self._changed()

    def speed_up(self) -> None:
        """Let messages be fast again."""
        self.delay_max_ms = PATH_MS
        for station in self.stations.values():
            station.late_ms = 0

    def be_late(self, node: NodeId, delay_ms: int) -> None:
        """Deliver to this node so much later than to the others."""
        self.stations[node].late_ms = delay_ms

    def slow_quorum(self, delay_ms: int) -> None:
        """Tell verdicts up to so much later than usual; one for a ring that has ended may not come.

        Then a node acts only once it has waited for long enough.
        """
        self.quorum_late_ms = delay_ms
        self.quorum_slack_ms = max(self.quorum_slack_ms, QUORUM_WAIT_MS if delay_ms else 0)

    def hold_sends(self, node: NodeId) -> None:
        """Take no message from a daemon (TRY_AGAIN): they wait."""
        self.stations[node].is_clogged = True

    def release_sends(self, node: NodeId) -> None:
        """Take all that waited, in one burst."""
        station = self.stations[node]
        if station.is_clogged:
            station.is_clogged = False
            self._plan_outbox(station)

    # What a daemon does.

    def connect(self, node: NodeId, client: Client) -> None:
        """Connect a daemon and join it to the group."""
        station = self.stations[node]
        self._connections += 1
        station.client, station.connection = client, self._connections
        station.has_joined = False
        self._send(station, Came(node, station.connection))

    def disconnect(self, node: NodeId) -> None:
        """The daemon left or died; what it had sent is still sent first."""
        station = self.stations[node]
        if station.client is None:
            return
        connection = station.connection
        self._forget_client(station, keep_outbox=True)
        self._send(station, Went(node, connection))

    def multicast(self, node: NodeId, message: Message) -> None:
        """Send to the group; without a connection the message is lost, as in the real one."""
        station = self.stations[node]
        if station.client is not None:
            self._send(station, Said(station.connection, Delivered(node, message)))

    def break_ties(self, tie_breaker: TieBreaker) -> None:
        """Let this decide between two halves from now on."""
        self.votes.break_ties(tie_breaker, self._components, self._revote)

    # What is true, for the checks.

    def reach(self, node: NodeId) -> Component:
        """Return the stations that this one can now form a ring with; empty when it is down."""
        return next((c for c in self._components() if node in c), ())

    # Rings.

    def _components(self) -> list[Component]:
        """Return the sets of stations that will form a ring."""
        return self.network.components([s.node for s in self.stations.values() if s.is_live])

    def _changed(self) -> None:
        """Break the rings that lost a station and plan the ones to come."""
        components = self._components()
        side_of = {node: component for component in components for node in component}
        for station in self.stations.values():
            ring = station.ring
            if ring and ring.broken_ms is None and self._has_lost(ring, side_of.get(station.node)):
                ring.broken_ms = self._engine.now_ms
            self._note_quorum(station.node, side_of.get(station.node, ()))
        for component in sorted(self._reforms):
            if component not in components:
                self._reforms.pop(component).cancel()
        self._note_restless(components)
        for component in components:
            if component not in self._reforms and rings.is_stale(self.stations, component):
                self._plan(component)

    def _note_restless(self, components: list[Component]) -> None:
        restless = self.network.restless(components)
        for component in sorted(self._restless):
            if component not in restless:
                self._restless.pop(component).cancel()
        for component in restless:
            if component not in self._restless:
                self._fidget(component)

    def _fidget(self, component: Component) -> None:
        self._restless[component] = self._engine.after(
            RESTLESS_MS, lambda: self._form_anew(component)
        )

    def _form_anew(self, component: Component) -> None:
        """Let a restless ring end; now and then the bridge goes with the other part."""
        ring = self.stations[component[0]].ring
        self._fidget(component)
        if chance(self._dice, 0.1):
            self.network.prefer_others()
            self._changed()
        elif ring is not None and ring.nodes == component and component not in self._reforms:
            ring.broken_ms = self._engine.now_ms
            self._install(component)
            self._changed()

    def _has_lost(self, ring: Ring, component: Component | None) -> bool:
        """Whether some node of this ring is not, or not with us, any more."""
        present = component or ()
        return any(
            node not in present or self.stations[node].ring is not ring for node in ring.nodes
        )

    def _note_quorum(self, node: NodeId, component: Component, late_ms: int = 0) -> None:
        """Remember since when this node has, in truth, no majority around it."""
        if self._has_quorum(node, component):
            self.inquorate_since_ms[node] = None
        elif self.inquorate_since_ms[node] is None:
            self.inquorate_since_ms[node] = self._engine.now_ms + late_ms

    def _has_quorum(self, node: NodeId, component: Component) -> bool:
        return self.votes.is_quorate(component, has_met_all=self.stations[node].has_met_all)

    def _revote(self) -> None:
        """Tell everybody anew: the arbiter has changed its mind.

        While the ring turns nothing but this word can tell a daemon, so it counts once it came.
        """
        for station in self.stations.values():
            self._note_quorum(station.node, self.reach(station.node), self.quorum_late_ms)
            if station.client is not None and station.ring is not None:
                self._tell_quorum(station, station.ring)

    def _plan(self, component: Component) -> None:
        """Form a ring of this component when its stations will have noticed."""
        former = [ring for node in component if (ring := self.stations[node].ring)]
        broken = [r.broken_ms for r in former if r.broken_ms is not None]
        if not broken:
            delay_ms = self._dice.randint(*MERGE_MS)
        elif all(ring.nodes == component for ring in former):
            delay_ms = self._dice.randint(*GLITCH_MS)
        else:
            noticed_ms = (
                min(broken) + self.detection_ms + self._dice.randint(0, DETECTION_SPREAD_MS)
            )
            noticed_ms += RESTLESS_MS if component in self._restless else 0
            delay_ms = max(noticed_ms - self._engine.now_ms, self._dice.randint(*GLITCH_MS) // 3)
        alarm = self._engine.after(delay_ms, lambda: self._reform(component))
        self._reforms[component] = alarm

    def _reform(self, component: Component) -> None:
        self._reforms.pop(component, None)
        ring = self.stations[component[0]].ring
        is_same = all(self.stations[node].ring is ring for node in component)
        if is_same and ring and ring.nodes == component and ring.broken_ms is not None:
            outage_ms = self._engine.now_ms - ring.broken_ms
            if outage_ms < SHORT_OUTAGE_MS and chance(self._dice, 0.5):
                self._go_on(ring)
                return
        self._install(component)
        self._changed()

    def _go_on(self, ring: Ring) -> None:
        """The token came back in time: nobody hears of it."""
        ring.broken_ms = None
        for node in ring.nodes:
            station = self.stations[node]
            for _ in range(len(ring.log) - station.cursor):
                self._plan_delivery(station, ring)
            self._plan_outbox(station)

    def _install(self, component: Component) -> None:
        """Form one ring: the rest of the old ones first, then the view, then the new log."""
        self._ring_seq += 4
        ring = Ring(RingId(component[0], self._ring_seq), component)
        members = {n: s.connection for n in component if (s := self.stations[n]).client is not None}
        for together in rings.comrades(self.stations, component):
            self._finish(self.stations[together[0]].ring, together)
            for node in together:
                self._tell_view(self.stations[node], ring, members, together)
        for node in component:
            self._plan_outbox(self.stations[node])

    def _finish(self, ring: Ring | None, together: Component) -> None:
        """Deliver the same prefix of the old log to all who leave that ring together.

        It holds at least what any of them has seen or has itself said, and maybe more.
        """
        if ring is None:
            return
        least = max(self.stations[node].cursor for node in together)
        for index, entry in enumerate(ring.log):
            if isinstance(entry, Said) and entry.event.sender in together:
                least = max(least, index + 1)
        cut = self._dice.randint(least, len(ring.log))
        if ring.broken_ms is None and ring.nodes == together:
            cut = len(ring.log)  # a merge loses nothing that all still have
        for node in together:
            station = self.stations[node]
            for entry in ring.log[station.cursor : cut]:
                self._receive(station, entry, is_late=True)

    def _tell_view(
        self, station: Station, ring: Ring, members: dict[NodeId, int], together: Component
    ) -> None:
        """Move a station into a ring and tell its daemon, relative to what it knew."""
        kept = {
            node
            for node, connection in station.members.items()
            if node in together and members.get(node) == connection
        }
        left = tuple(node for node in sorted(station.members) if node not in kept)
        joined = tuple(node for node in sorted(members) if node not in kept)
        station.ring, station.cursor, station.members = ring, 0, dict(members)
        station.has_met_all |= len(ring.nodes) == len(self.stations)
        station.outbox = type(station.outbox)(
            entry
            for entry in station.outbox
            if isinstance(entry, Said) and entry.connection == station.connection
        )
        if station.client is None:
            return
        station.has_joined = True
        view = ViewChanged(
            ring=ring.id,
            ring_nodes=ring.nodes,
            members=tuple(sorted(members)),
            left=left,
            joined=joined,
        )
        self._post_later(station, view, self._dice.randint(0, VIEW_SKEW_MS))
        self._tell_quorum(station, ring)

    def _tell_quorum(self, station: Station, ring: Ring) -> None:
        """Tell the verdict for this ring, on its own connection."""
        connection = station.connection
        event = QuorumChanged(ring.id, is_quorate=self._has_quorum(station.node, ring.nodes))
        # half of the verdicts come as fast as the view, so that either may be first
        skew_ms = self._dice.choice((VIEW_SKEW_MS, QUORUM_SKEW_MS))
        due_ms = self._engine.now_ms + self._dice.randint(0, skew_ms + self.quorum_late_ms)
        station.quorum_due_ms = max(station.quorum_due_ms, due_ms)

        def tell() -> None:
            if station.ring is not ring and chance(self._dice, 0.5):
                return  # its sync was cut off: no verdict ever comes
            self._post(station, connection, event)

        self._engine.after(station.quorum_due_ms - self._engine.now_ms, tell)

    # Messages.

    def _send(self, station: Station, entry: Entry) -> None:
        station.outbox.append(entry)
        self._engine.after(self._dice.randint(0, 2), lambda: self._order(station))

    def _plan_outbox(self, station: Station) -> None:
        for _ in station.outbox:
            self._engine.after(self._dice.randint(1, 10), lambda: self._order(station))

    def _order(self, station: Station) -> None:
        """Give the oldest waiting entry its place in the total order, if the ring turns."""
        ring = station.ring
        is_idle = not station.is_live or station.is_clogged or not station.outbox
        if is_idle or ring is None or ring.broken_ms is not None:
            return
        ring.log.append(station.outbox.popleft())
        for node in ring.nodes:
            self._plan_delivery(self.stations[node], ring)

    def _plan_delivery(self, station: Station, ring: Ring) -> None:
        late_ms = station.late_ms + self._dice.randint(0, self.delay_max_ms)
        due_ms = self._engine.now_ms + late_ms
        station.group_due_ms = max(station.group_due_ms, due_ms)
        self._engine.after(
            station.group_due_ms - self._engine.now_ms, lambda: self._deliver(station, ring)
        )

    def _deliver(self, station: Station, ring: Ring) -> None:
        """Deliver the next entry, unless the ring has stopped turning meanwhile."""
        if station.ring is not ring or ring.broken_ms is not None or not station.is_live:
            return
        if station.cursor < len(ring.log):
            station.cursor += 1
            self._receive(station, ring.log[station.cursor - 1], is_late=False)

    def _receive(self, station: Station, entry: Entry, *, is_late: bool) -> None:
        """Follow the group's membership and pass on what the daemon may see."""
        event: BusEvent | None = None
        if isinstance(entry, Said):
            if station.members.get(entry.event.sender) == entry.connection:
                event = entry.event
        else:
            event = self._membership(station, entry)
        if event is None or station.client is None or not station.has_joined:
            return
        if is_late:
            self._post_later(station, event, 0)
        else:
            self._post(station, station.connection, event)

    def _membership(self, station: Station, entry: Came | Went) -> ViewChanged | None:
        """Apply a process that came or went: a view in the same ring."""
        ring = station.ring
        if isinstance(entry, Came):
            station.members[entry.node] = entry.connection
        elif station.members.get(entry.node) == entry.connection:
            del station.members[entry.node]
        else:
            return None
        if ring is None:
            return None
        is_mine = entry.node == station.node and entry.connection == station.connection
        if isinstance(entry, Came) and is_mine and station.client is not None:
            station.has_joined = True
            self._tell_quorum(station, ring)
        return ViewChanged(
            ring=ring.id,
            ring_nodes=ring.nodes,
            members=tuple(sorted(station.members)),
            left=(entry.node,) if isinstance(entry, Went) else (),
            joined=(entry.node,) if isinstance(entry, Came) else (),
        )

    def _post_later(self, station: Station, event: BusEvent, delay_ms: int) -> None:
        """Tell the daemon after all that is already under way on this connection."""
        connection = station.connection
        station.group_due_ms = max(station.group_due_ms, self._engine.now_ms + delay_ms)
        self._engine.after(
            station.group_due_ms - self._engine.now_ms,
            lambda: self._post(station, connection, event),
        )

    def _post(self, station: Station, connection: int, event: BusEvent) -> None:
        """Tell the daemon now, if it is still the same connection."""
        if station.is_paused:
            station.held.append((connection, event))
        elif station.client is not None and station.connection == connection:
            station.client.hear(event)

    def _forget_client(self, station: Station, *, keep_outbox: bool = False) -> None:
        station.client, station.has_joined, station.connection = None, False, 0
        station.held.clear()
        if not keep_outbox:
            station.outbox.clear()
