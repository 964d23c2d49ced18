# SPDX-License-Identifier: Apache-2.0
"""Faults that only matter together: two or three that belong to one trouble."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from domains.model import ServiceName
from rgmgr.core.messages import Verb
from rgmgr.core.spec import ClusterSpec, RecoveryPolicy, ResourceName
from rgmgr.core.tree import start_order
from rgmgr.sim.disk import Damage
from rgmgr.sim.edits import Edit
from rgmgr.sim.engine import Dice, chance
from rgmgr.sim.faults import (
    Ask,
    ConfigChange,
    CorosyncRestart,
    DaemonCrash,
    DaemonPause,
    DaemonStop,
    DeviceTrouble,
    Fault,
    NodePause,
    NodeShutdown,
    Partition,
    PowerLoss,
    SlowNetwork,
    StateDamaged,
    UnitDeath,
    UnitTrouble,
)
from rgmgr.sim.phases import Mood
from rgmgr.sim.power import Device
from rgmgr.sim.troubles import (
    EXTRA,
    STRIKES,
    draw_ask,
    draw_config_change,
    draw_node,
    draw_span,
    draw_systemd_lost,
    draw_unit,
    draw_unit_death,
)


def _trouble_at_stop(rolls: Dice, spec: ClusterSpec, at_ms: int) -> tuple[Fault, ...]:
    """A unit that does not stop, and somebody who wants it stopped."""
    service, resource = draw_unit(rolls, spec)
    moods = (Mood.STOP_FAILS, Mood.STOP_FAILS, Mood.STOP_HANGS)
    verb = rolls.choice((Verb.DISABLE, Verb.STOP, Verb.RESTART, Verb.RELOCATE))
    ask = Ask(at_ms=at_ms + 100, node=draw_node(rolls, spec), verb=verb, service=service)
    return (*_everywhere(rolls, spec, at_ms, service, resource, rolls.choice(moods)), ask)


def _trouble_at_start(rolls: Dice, spec: ClusterSpec, at_ms: int) -> tuple[Fault, ...]:
    """A unit that does not start, on one node or on all, when it has to."""
    service, resource = draw_unit(rolls, spec)
    mood = rolls.choice((Mood.START_FAILS, Mood.START_HANGS, Mood.DIES_SOON))
    troubles = _everywhere(rolls, spec, at_ms, service, resource, mood)
    if chance(rolls, 0.5):
        troubles = troubles[:1]
    verb = rolls.choice((Verb.RESTART, Verb.RELOCATE))
    ask = Ask(at_ms=at_ms + 100, node=draw_node(rolls, spec), verb=verb, service=service)
    death = UnitDeath(at_ms=at_ms + 100, service=service, resource=resource)
    return (*troubles, rolls.choice((ask, death)))


def _everywhere(
    rolls: Dice,
    spec: ClusterSpec,
    at_ms: int,
    service: ServiceName,
    resource: ResourceName,
    mood: Mood,
) -> tuple[Fault, ...]:
    for_ms = 2 * draw_span(rolls)
    nodes = rolls.sample(sorted(spec.nodes), len(spec.nodes))
    return tuple(
        UnitTrouble(
            at_ms=at_ms, node=n, service=service, resource=resource, mood=mood, for_ms=for_ms
        )
        for n in nodes
    )


def _trouble_at_fencing(rolls: Dice, spec: ClusterSpec, at_ms: int) -> tuple[Fault, ...]:
    """A node is lost while its fence device does not obey."""
    node = draw_node(rolls, spec)
    kind = rolls.choice((Device.REFUSES, Device.HANGS, Device.LATE))
    others = tuple(n for n in sorted(spec.nodes) if n != node)
    alone = Partition(at_ms=at_ms + 200, sides=((node,), others), for_ms=draw_span(rolls))
    dark = PowerLoss(at_ms=at_ms + 200, node=node, for_ms=draw_span(rolls))
    frozen = NodePause(at_ms=at_ms + 200, node=node, for_ms=draw_span(rolls))
    device = DeviceTrouble(at_ms=at_ms, node=node, device=kind, for_ms=2 * draw_span(rolls))
    return (device, rolls.choice((alone, alone, dark, frozen)))


def _bridge(rolls: Dice, spec: ClusterSpec, at_ms: int) -> tuple[Fault, ...]:
    """Two parts do not hear each other, and one node hears both: it goes with now this, now that.

    Such memberships come and go about as fast as the loss of a token is noticed.
    """
    nodes = rolls.sample(sorted(spec.nodes), len(spec.nodes))
    hub, others = nodes[0], nodes[1:]
    middle = max(1, len(others) // 2)
    parts = (others[:middle], others[middle:])
    faults = []
    for number in range(rolls.randint(2, 5)):
        for_ms = rolls.randint(300, 4_000)
        own, other = parts[number % 2], parts[(number + 1) % 2]
        sides = (tuple(sorted((hub, *own))), tuple(sorted(other)))
        faults.append(Partition(at_ms=at_ms, sides=sides, for_ms=for_ms))
        at_ms += for_ms + 1
    return tuple(faults)


def _outage(rolls: Dice, spec: ClusterSpec, at_ms: int) -> tuple[Fault, ...]:
    """All nodes lose power, and come back one by one, with other news on the way."""
    nodes = sorted(spec.nodes)
    losses = tuple(
        PowerLoss(at_ms=at_ms + rolls.randint(0, 400), node=node, for_ms=draw_span(rolls))
        for node in nodes
    )
    return (draw_ask(rolls, spec, max(0, at_ms - rolls.randint(0, 60))), *losses)


def _rolling_config(rolls: Dice, spec: ClusterSpec, at_ms: int) -> tuple[Fault, ...]:
    """One new text, put on one node after the other."""
    first = draw_config_change(rolls, spec, at_ms)
    step_ms = rolls.choice((20, 400, 3_000))
    nodes = rolls.sample(sorted(spec.nodes), len(spec.nodes))
    return tuple(
        replace(first, at_ms=at_ms + i * step_ms, nodes=(node,)) for i, node in enumerate(nodes)
    )


def _node_removed(rolls: Dice, spec: ClusterSpec, at_ms: int) -> tuple[Fault, ...]:
    """A node is stopped or dead, dropped from the configuration, and later added again."""
    node = draw_node(rolls, spec)
    for_ms = rolls.randint(6_000, 16_000)
    end = rolls.choice((DaemonStop, PowerLoss))(at_ms=at_ms, node=node, for_ms=for_ms)
    others = tuple(n for n in sorted(spec.nodes) if n != node)
    dropped = ConfigChange(
        at_ms=at_ms + rolls.randint(0, for_ms),
        nodes=others,
        version=spec.version + 5,
        edit=Edit.REMOVE_NODE,
        node=node,
    )
    added = ConfigChange(
        at_ms=dropped.at_ms + rolls.randint(500, for_ms),
        nodes=tuple(sorted(spec.nodes)),
        version=spec.version + 6,
        edit=Edit.ADD_NODE,
        node=node,
    )
    return (end, dropped, added)


def _spoilt_state(rolls: Dice, spec: ClusterSpec, at_ms: int) -> tuple[Fault, ...]:
    """A state file is spoilt while its node is off, or rgmgrd is restarted right after."""
    node = draw_node(rolls, spec)
    damaged = StateDamaged(at_ms=at_ms + 50, node=node, damage=rolls.choice(tuple(Damage)))
    loss = PowerLoss(at_ms=at_ms, node=node, for_ms=draw_span(rolls))
    restart = DaemonCrash(at_ms=at_ms, node=node, for_ms=draw_span(rolls))
    return (rolls.choice((loss, restart)), damaged)


def _asked_twice(rolls: Dice, spec: ClusterSpec, at_ms: int) -> tuple[Fault, ...]:
    """The same request twice, contradictory ones at once, one to a dying node, an unknown one."""
    first = draw_ask(rolls, spec, at_ms)
    delay_ms = rolls.choice((0, 0, 1, 30, 500))
    node = draw_node(rolls, spec)
    second = rolls.choice(
        (
            replace(first, at_ms=at_ms + delay_ms),
            replace(first, at_ms=at_ms + delay_ms, node=node),
            replace(draw_ask(rolls, spec, at_ms + delay_ms), service=first.service),
            replace(first, at_ms=at_ms + delay_ms, service=EXTRA, target=None),
            PowerLoss(at_ms=at_ms + delay_ms, node=first.node, for_ms=draw_span(rolls)),
            DaemonStop(at_ms=at_ms + delay_ms, node=first.node, for_ms=draw_span(rolls)),
            DaemonCrash(at_ms=at_ms + delay_ms, node=first.node, for_ms=draw_span(rolls)),
        )
    )
    return (first, second)


def _asked_amid_repair(rolls: Dice, spec: ClusterSpec, at_ms: int) -> tuple[Fault, ...]:
    """A unit dies, and somebody asks for its service while the news of that is slow.

    The owner then tells a result of a number that is, by then, not the present one any more.
    """
    restarts = (RecoveryPolicy.RESTART, RecoveryPolicy.RESTART_DISABLE)
    apt = [s for s in spec.services if len(start_order(s)) > 1 and s.recovery in restarts]
    service = rolls.choice(apt or spec.services)
    verb = rolls.choice((Verb.DISABLE, Verb.DISABLE, Verb.STOP))
    ask_ms = at_ms + rolls.randint(10, 500)
    return (
        SlowNetwork(at_ms=at_ms, delay_ms=rolls.choice((150, 600, 600)), for_ms=3_000),
        UnitDeath(at_ms=at_ms, service=service.name, resource=start_order(service)[-1].name),
        Ask(at_ms=ask_ms, node=draw_node(rolls, spec), verb=verb, service=service.name),
    )


def _systemd_away(rolls: Dice, spec: ClusterSpec, at_ms: int) -> tuple[Fault, ...]:
    """systemd cannot be reached when there is work for it."""
    lost = draw_systemd_lost(rolls, spec, at_ms)
    work: tuple[Fault, ...] = (
        draw_ask(rolls, spec, at_ms + 100),
        draw_unit_death(rolls, spec, at_ms + 100),
        Partition(
            at_ms=at_ms + 100,
            sides=((lost.node,), tuple(n for n in sorted(spec.nodes) if n != lost.node)),
            for_ms=draw_span(rolls),
        ),
        DaemonCrash(at_ms=at_ms + 100, node=lost.node, for_ms=draw_span(rolls)),
    )
    return (lost, rolls.choice(work))


def _stuck_member(rolls: Dice, spec: ClusterSpec, at_ms: int) -> tuple[Fault, ...]:
    """A daemon that stands still keeps a new epoch waiting until its time is up."""
    node = draw_node(rolls, spec)
    for_ms = spec.sync_timeout_ms + rolls.randint(-1_500, 6_000)
    stuck = DaemonPause(at_ms=at_ms, node=node, for_ms=for_ms)
    return (stuck, rolls.choice(STRIKES)(rolls, spec, at_ms + rolls.randint(0, 2_000)))


def _fence_and_ask(rolls: Dice, spec: ClusterSpec, at_ms: int) -> tuple[Fault, ...]:
    """An operator moves what is just waiting for a fence."""
    troubles = _trouble_at_fencing(rolls, spec, at_ms)
    return (*troubles, draw_ask(rolls, spec, at_ms + rolls.randint(2_000, 8_000)))


def _all_stop(rolls: Dice, spec: ClusterSpec, at_ms: int) -> tuple[Fault, ...]:
    """The whole cluster is shut down or restarted, at once or one by one."""
    step_ms = rolls.choice((0, 300, 4_000))
    kind = rolls.choice((NodeShutdown, DaemonStop, CorosyncRestart))
    nodes = rolls.sample(sorted(spec.nodes), len(spec.nodes))
    faults: list[Fault] = []
    for number, node in enumerate(nodes):
        when_ms = at_ms + number * step_ms
        if kind is CorosyncRestart:
            faults.append(CorosyncRestart(at_ms=when_ms, node=node))
        elif kind is DaemonStop:
            faults.append(DaemonStop(at_ms=when_ms, node=node, for_ms=draw_span(rolls)))
        else:
            faults.append(NodeShutdown(at_ms=when_ms, node=node, for_ms=draw_span(rolls)))
    return tuple(faults)


def _lie(rolls: Dice, spec: ClusterSpec, at_ms: int) -> tuple[Fault, ...]:
    """A device says off of a node that is only cut off, or stands still."""
    troubles = _trouble_at_fencing(rolls, spec, at_ms)
    kind = rolls.choice((Device.LIES, Device.SAYS_FAILED))
    return tuple(
        replace(fault, device=kind) if isinstance(fault, DeviceTrouble) else fault
        for fault in troubles
    )


PAIRS: tuple[Callable[[Dice, ClusterSpec, int], tuple[Fault, ...]], ...] = (
    _trouble_at_stop,
    _trouble_at_start,
    _trouble_at_fencing,
    _trouble_at_fencing,
    _outage,
    _bridge,
    _rolling_config,
    _node_removed,
    _spoilt_state,
    _asked_twice,
    _asked_amid_repair,
    _systemd_away,
    _stuck_member,
    _fence_and_ask,
    _all_stop,
    _lie,
)
