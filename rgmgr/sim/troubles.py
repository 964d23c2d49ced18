# SPDX-License-Identifier: Apache-2.0
"""Drawing troubles: one function per fault, and the faults that only matter together.

A maker takes the dice, the cluster and a time. The weights at the end say how often it is asked.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from domains.model import NodeId, ServiceName
from rgmgr.core.messages import (
    PROTOCOL_MAX,
    PROTOCOL_MIN,
    FenceOrder,
    MaintenanceOrder,
    Verb,
)
from rgmgr.core.spec import ClusterSpec, ResourceName
from rgmgr.core.tree import start_order
from rgmgr.sim.disk import DiskMood
from rgmgr.sim.edits import DRAWN_APART, Edit
from rgmgr.sim.engine import Dice, chance
from rgmgr.sim.faults import (
    Ambush,
    Ask,
    AskFence,
    AskMaintenance,
    ClockJump,
    ConfigChange,
    CorosyncCrash,
    CorosyncPause,
    CorosyncRestart,
    DaemonCrash,
    DaemonPause,
    DaemonRestart,
    DaemonStop,
    DevicesUnreachable,
    DeviceTrouble,
    DeviceUnreachable,
    DiskTrouble,
    Fault,
    LinksCut,
    NetworkFlaps,
    NetworkHeals,
    NodePause,
    NodeShutdown,
    NodeSuspend,
    Partition,
    PowerLoss,
    SendsHeld,
    SlowDaemon,
    SlowDisk,
    SlowNetwork,
    SlowQuorum,
    SlowSystemd,
    Strike,
    SystemdLost,
    UnitDeath,
    UnitStartedByHand,
    UnitStoppedByHand,
    UnitTrouble,
    Upgrade,
)
from rgmgr.sim.moments import Moment
from rgmgr.sim.phases import Mood
from rgmgr.sim.power import Device

EXTRA = ServiceName("extra")
"""A service that the first configuration does not have."""
VERBS = (Verb.ENABLE, Verb.DISABLE, Verb.STOP, Verb.RESTART, Verb.RELOCATE)
"""What is asked at any time; the other verbs are drawn along with what they are about."""


def draw_node(rolls: Dice, spec: ClusterSpec) -> NodeId:
    """Draw a node."""
    return rolls.choice(sorted(spec.nodes))


def draw_span(rolls: Dice) -> int:
    """Short as a glitch, around the detection time, or long enough to be fenced for."""
    low, high = rolls.choice(((100, 1_500), (1_500, 3_000), (3_000, 9_000), (9_000, 16_000)))
    return rolls.randint(low, high)


def _power_loss(rolls: Dice, spec: ClusterSpec, at_ms: int) -> PowerLoss:
    return PowerLoss(at_ms=at_ms, node=draw_node(rolls, spec), for_ms=draw_span(rolls))


def _daemon_crash(rolls: Dice, spec: ClusterSpec, at_ms: int) -> DaemonCrash:
    amid = rolls.randint(0, 12) if chance(rolls, 0.4) else None
    return DaemonCrash(at_ms=at_ms, node=draw_node(rolls, spec), for_ms=draw_span(rolls), amid=amid)


def _brief_crash(rolls: Dice, spec: ClusterSpec, at_ms: int) -> Fault:
    for_ms = rolls.randint(50, 2_000)
    return DaemonCrash(at_ms=at_ms, node=draw_node(rolls, spec), for_ms=for_ms)


def _restart(rolls: Dice, spec: ClusterSpec, at_ms: int) -> Fault:
    return DaemonRestart(at_ms=at_ms, node=draw_node(rolls, spec))


def _daemon_pause(rolls: Dice, spec: ClusterSpec, at_ms: int) -> DaemonPause:
    return DaemonPause(at_ms=at_ms, node=draw_node(rolls, spec), for_ms=draw_span(rolls))


def _daemon_stop(rolls: Dice, spec: ClusterSpec, at_ms: int) -> Fault:
    return DaemonStop(at_ms=at_ms, node=draw_node(rolls, spec), for_ms=draw_span(rolls))


def _corosync_crash(rolls: Dice, spec: ClusterSpec, at_ms: int) -> CorosyncCrash:
    return CorosyncCrash(at_ms=at_ms, node=draw_node(rolls, spec), for_ms=draw_span(rolls))


def _corosync_pause(rolls: Dice, spec: ClusterSpec, at_ms: int) -> CorosyncPause:
    return CorosyncPause(at_ms=at_ms, node=draw_node(rolls, spec), for_ms=draw_span(rolls))


def _node_pause(rolls: Dice, spec: ClusterSpec, at_ms: int) -> Fault:
    return NodePause(at_ms=at_ms, node=draw_node(rolls, spec), for_ms=draw_span(rolls))


def _partition(rolls: Dice, spec: ClusterSpec, at_ms: int) -> Partition:
    """Halves, one node alone, or everybody alone."""
    nodes = sorted(spec.nodes)
    shuffled = rolls.sample(nodes, len(nodes))
    kind = rolls.choice(("halves", "one", "one", "all"))
    sides: tuple[tuple[NodeId, ...], ...]
    if kind == "all":
        sides = tuple((node,) for node in nodes)
    else:
        size = 1 if kind == "one" else rolls.randint(1, len(nodes) - 1)
        sides = (tuple(sorted(shuffled[:size])), tuple(sorted(shuffled[size:])))
    return Partition(at_ms=at_ms, sides=sides, for_ms=draw_span(rolls))


def _slow_network(rolls: Dice, spec: ClusterSpec, at_ms: int) -> Fault:
    del spec
    return SlowNetwork(at_ms=at_ms, delay_ms=rolls.choice((30, 150, 600)), for_ms=draw_span(rolls))


def _device(rolls: Dice, spec: ClusterSpec, at_ms: int) -> Fault:
    kind = rolls.choice((Device.REFUSES, Device.HANGS, Device.LATE, Device.SAYS_FAILED))
    node = draw_node(rolls, spec)
    return DeviceTrouble(at_ms=at_ms, node=node, device=kind, for_ms=2 * draw_span(rolls))


def _unreachable(rolls: Dice, spec: ClusterSpec, at_ms: int) -> Fault:
    return DevicesUnreachable(at_ms=at_ms, node=draw_node(rolls, spec), for_ms=2 * draw_span(rolls))


def draw_unit(rolls: Dice, spec: ClusterSpec) -> tuple[ServiceName, ResourceName]:
    """Draw a resource of a service."""
    service = rolls.choice(spec.services)
    return service.name, rolls.choice(start_order(service)).name


def _unit_trouble(rolls: Dice, spec: ClusterSpec, at_ms: int) -> Fault:
    service, resource = draw_unit(rolls, spec)
    moods = [mood for mood in Mood if mood is not Mood.GOOD]
    return UnitTrouble(
        at_ms=at_ms,
        node=draw_node(rolls, spec),
        service=service,
        resource=resource,
        mood=rolls.choice(moods),
        for_ms=2 * draw_span(rolls),
    )


def draw_unit_death(rolls: Dice, spec: ClusterSpec, at_ms: int) -> Fault:
    """Draw a unit that dies."""
    service, resource = draw_unit(rolls, spec)
    return UnitDeath(at_ms=at_ms, service=service, resource=resource)


def _slow_disk(rolls: Dice, spec: ClusterSpec, at_ms: int) -> Fault:
    delay_ms = rolls.choice((100, 1_000, 4_000))
    return SlowDisk(
        at_ms=at_ms, node=draw_node(rolls, spec), delay_ms=delay_ms, for_ms=draw_span(rolls)
    )


def _ask_fence(rolls: Dice, spec: ClusterSpec, at_ms: int) -> Fault:
    order = rolls.choice(tuple(FenceOrder))
    node, victim = draw_node(rolls, spec), draw_node(rolls, spec)
    return AskFence(at_ms=at_ms, node=node, order=order, victim=victim)


def draw_ask(rolls: Dice, spec: ClusterSpec, at_ms: int) -> Ask:
    """Draw a request."""
    verb = rolls.choice(VERBS)
    may_aim = verb in (Verb.ENABLE, Verb.RELOCATE)
    return Ask(
        at_ms=at_ms,
        node=draw_node(rolls, spec),
        verb=verb,
        service=rolls.choice(spec.services).name,
        target=draw_node(rolls, spec) if may_aim and chance(rolls, 0.6) else None,
    )


def draw_maintenance(rolls: Dice, spec: ClusterSpec, from_ms: int, to_ms: int) -> list[Fault]:
    """Draw what operators order while all else happens, in every third cluster."""
    if not chance(rolls, 0.35):
        return []
    faults: list[Fault] = []
    for _ in range(rolls.choice((1, 1, 2, 3, 4))):
        order = rolls.choice(_ORDERS)
        is_of_node = order in (MaintenanceOrder.STANDBY, MaintenanceOrder.UNSTANDBY)
        may_last = order in (MaintenanceOrder.STANDBY, MaintenanceOrder.DISARM)
        fault = AskMaintenance(
            at_ms=rolls.randint(from_ms, to_ms + 4_000),
            node=draw_node(rolls, spec),
            order=order,
            victim=draw_node(rolls, spec) if is_of_node else None,
            for_ms=rolls.choice((0, 3_000, 9_000, 20_000, 60_000)) if may_last else 0,
            brings_back=is_of_node and chance(rolls, 0.5),
        )
        faults.append(fault)
    return faults


def _ambush(rolls: Dice, spec: ClusterSpec, at_ms: int) -> Fault:
    """Strike the node that does it, or any other."""
    node = draw_node(rolls, spec)
    strike = rolls.choice(STRIKES)(rolls, spec, at_ms)
    if isinstance(strike, PROCESSES) and chance(rolls, 0.5):
        strike = replace(strike, node=node)
    return Ambush(
        at_ms=max(0, at_ms - 2_000),
        node=node,
        moment=rolls.choice(tuple(Moment)),
        strike=strike,
        for_ms=10_000,
    )


def _links_cut(rolls: Dice, spec: ClusterSpec, at_ms: int) -> LinksCut:
    """One way, one link, a node that is not heard, a bridge, or a ring of majorities."""
    nodes = rolls.sample(sorted(spec.nodes), len(spec.nodes))
    one, others = nodes[0], nodes[1:]
    middle = max(1, len(others) // 2)
    kind = rolls.choice(("way", "link", "mute", "deaf", "bridge", "bridge", "majorities"))
    pairs: list[tuple[NodeId, NodeId]]
    if kind == "way":
        pairs = [(one, others[0])]
    elif kind == "link":
        pairs = [(one, others[0]), (others[0], one)]
    elif kind == "mute":
        pairs = [(one, other) for other in others]
    elif kind == "deaf":
        pairs = [(other, one) for other in others]
    elif kind == "bridge":
        pairs = _both_ways([(a, b) for a in others[:middle] for b in others[middle:]])
    else:
        ring = {(nodes[i - 1], node) for i, node in enumerate(nodes)}
        pairs = _both_ways(
            [(a, b) for a in nodes for b in nodes if a < b and not {(a, b), (b, a)} & ring]
        )
    return LinksCut(at_ms=at_ms, ways=tuple(sorted(pairs)), for_ms=draw_span(rolls))


def _both_ways(pairs: list[tuple[NodeId, NodeId]]) -> list[tuple[NodeId, NodeId]]:
    return [*pairs, *((b, a) for a, b in pairs)]


def _flaps(rolls: Dice, spec: ClusterSpec, at_ms: int) -> Fault:
    """A cable that comes and goes, within the time in which corosync notices or not."""
    out_ms = rolls.choice((200, 900, 2_000, 2_400))
    return NetworkFlaps(
        at_ms=at_ms,
        node=draw_node(rolls, spec),
        every_ms=out_ms + rolls.choice((300, 1_000, 4_000)),
        out_ms=out_ms,
        for_ms=rolls.randint(2_000, 12_000),
    )


def _heals(rolls: Dice, spec: ClusterSpec, at_ms: int) -> NetworkHeals:
    del rolls, spec
    return NetworkHeals(at_ms=at_ms)


def _sends_held(rolls: Dice, spec: ClusterSpec, at_ms: int) -> Fault:
    return SendsHeld(at_ms=at_ms, node=draw_node(rolls, spec), for_ms=draw_span(rolls))


def _slow_quorum(rolls: Dice, spec: ClusterSpec, at_ms: int) -> Fault:
    del spec
    delay_ms = rolls.choice((200, 1_500, 4_000, 10_000))
    return SlowQuorum(at_ms=at_ms, delay_ms=delay_ms, for_ms=2 * draw_span(rolls))


def _suspend(rolls: Dice, spec: ClusterSpec, at_ms: int) -> NodeSuspend:
    return NodeSuspend(
        at_ms=at_ms,
        node=draw_node(rolls, spec),
        for_ms=draw_span(rolls),
        does_clock_stop=chance(rolls, 0.5),
    )


def _shutdown(rolls: Dice, spec: ClusterSpec, at_ms: int) -> Fault:
    return NodeShutdown(at_ms=at_ms, node=draw_node(rolls, spec), for_ms=draw_span(rolls))


def _corosync_restart(rolls: Dice, spec: ClusterSpec, at_ms: int) -> Fault:
    return CorosyncRestart(at_ms=at_ms, node=draw_node(rolls, spec))


def _slow_daemon(rolls: Dice, spec: ClusterSpec, at_ms: int) -> Fault:
    delay_ms = rolls.choice((20, 200, 1_000))
    return SlowDaemon(
        at_ms=at_ms, node=draw_node(rolls, spec), delay_ms=delay_ms, for_ms=draw_span(rolls)
    )


def _clock_jump(rolls: Dice, spec: ClusterSpec, at_ms: int) -> Fault:
    by_ms = rolls.choice((-288_000, -1_000, 1_000, 288_000, 13 * 365 * 86_400_000))
    return ClockJump(at_ms=at_ms, node=draw_node(rolls, spec), by_ms=by_ms)


def _upgrade(rolls: Dice, spec: ClusterSpec, at_ms: int) -> Fault:
    """To the next version, or back to this one."""
    most = PROTOCOL_MAX + rolls.choice((0, 1, 1))
    return Upgrade(
        at_ms=at_ms, node=draw_node(rolls, spec), protocol_min=PROTOCOL_MIN, protocol_max=most
    )


def _device_cut_off(rolls: Dice, spec: ClusterSpec, at_ms: int) -> Fault:
    node, victim = rolls.sample(sorted(spec.nodes), 2)
    return DeviceUnreachable(at_ms=at_ms, node=node, victim=victim, for_ms=4 * draw_span(rolls))


def _hand_stops(rolls: Dice, spec: ClusterSpec, at_ms: int) -> Fault:
    service, resource = draw_unit(rolls, spec)
    node = draw_node(rolls, spec)
    return UnitStoppedByHand(at_ms=at_ms, node=node, service=service, resource=resource)


def _hand_starts(rolls: Dice, spec: ClusterSpec, at_ms: int) -> Fault:
    service, resource = draw_unit(rolls, spec)
    node = draw_node(rolls, spec)
    return UnitStartedByHand(at_ms=at_ms, node=node, service=service, resource=resource)


def _slow_systemd(rolls: Dice, spec: ClusterSpec, at_ms: int) -> Fault:
    delay_ms = rolls.choice((50, 500, 3_000))
    return SlowSystemd(
        at_ms=at_ms, node=draw_node(rolls, spec), delay_ms=delay_ms, for_ms=draw_span(rolls)
    )


def draw_systemd_lost(rolls: Dice, spec: ClusterSpec, at_ms: int) -> SystemdLost:
    """Draw a lost connection to systemd."""
    return SystemdLost(at_ms=at_ms, node=draw_node(rolls, spec), for_ms=draw_span(rolls))


def _disk_trouble(rolls: Dice, spec: ClusterSpec, at_ms: int) -> Fault:
    trouble = rolls.choice((DiskMood.FULL, DiskMood.FULL, DiskMood.FAILS))
    node = draw_node(rolls, spec)
    return DiskTrouble(at_ms=at_ms, node=node, trouble=trouble, for_ms=draw_span(rolls))


def draw_config_change(rolls: Dice, spec: ClusterSpec, at_ms: int) -> ConfigChange:
    """A new text on one, some or all nodes; sometimes one of the same version as another's."""
    others = (Edit.ADD_NODE, Edit.REMOVE_NODE, *DRAWN_APART)
    edits = [edit for edit in Edit if edit not in others]
    nodes = sorted(spec.nodes)
    where = nodes if chance(rolls, 0.6) else rolls.sample(nodes, rolls.randint(1, len(nodes)))
    edit = rolls.choice(edits)
    name = EXTRA if edit is Edit.ADD_SERVICE else rolls.choice(spec.services).name
    return ConfigChange(
        at_ms=at_ms,
        nodes=tuple(sorted(where)),
        version=spec.version + rolls.randint(1, 4),
        edit=edit,
        service=None if edit in (Edit.NOTHING, Edit.REORDER) else name,
        is_loaded=chance(rolls, 0.8),
    )


def _same_config(rolls: Dice, spec: ClusterSpec, at_ms: int) -> Fault:
    """The same configuration under another version: nothing may happen to any service."""
    return ConfigChange(
        at_ms=at_ms,
        nodes=tuple(sorted(spec.nodes)),
        version=spec.version + rolls.randint(1, 9),
        edit=Edit.NOTHING,
    )


_ORDERS = (*MaintenanceOrder, MaintenanceOrder.STANDBY, MaintenanceOrder.DISARM)

Maker = Callable[[Dice, ClusterSpec, int], Fault]

PROCESSES = (PowerLoss, DaemonCrash, DaemonPause, CorosyncCrash, CorosyncPause)
STRIKES: tuple[Callable[[Dice, ClusterSpec, int], Strike], ...] = (
    _power_loss,
    _daemon_crash,
    _daemon_pause,
    _corosync_crash,
    _corosync_pause,
    _partition,
    _partition,
    _links_cut,
    _heals,
    _heals,
    _suspend,
    draw_systemd_lost,
)
CALM_MAKERS: tuple[tuple[int, Maker], ...] = (
    (3, _brief_crash),
    (3, _restart),
    (1, _same_config),
    (1, _clock_jump),
    (1, _upgrade),
)
MAKERS: tuple[tuple[int, Maker], ...] = (
    (6, _power_loss),
    (5, _daemon_crash),
    (3, _daemon_pause),
    (2, _daemon_stop),
    (2, _restart),
    (3, _corosync_crash),
    (3, _corosync_pause),
    (2, _node_pause),
    (7, _partition),
    (3, _slow_network),
    (4, _device),
    (2, _unreachable),
    (4, _unit_trouble),
    (3, draw_unit_death),
    (2, _slow_disk),
    (3, _links_cut),
    (2, _flaps),
    (1, _sends_held),
    (2, _slow_quorum),
    (3, _suspend),
    (2, _shutdown),
    (1, _corosync_restart),
    (2, _slow_daemon),
    (1, _clock_jump),
    (1, _upgrade),
    (2, _device_cut_off),
    (2, _hand_stops),
    (2, _hand_starts),
    (2, _slow_systemd),
    (2, draw_systemd_lost),
    (2, _disk_trouble),
    (4, draw_config_change),
    (10, draw_ask),
    (4, _ask_fence),
    (10, _ambush),
)
