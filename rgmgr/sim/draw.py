# SPDX-License-Identifier: Apache-2.0
"""Drawing a cluster and its troubles from a seed: the whole script, before anything runs.

What is drawn up front can be shortened later without changing the rest, which shrinking needs.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from domains.model import FailoverDomain, NodeId, ServiceName
from rgmgr.core.messages import FenceOrder, Verb
from rgmgr.core.spec import (
    ClusterSpec,
    FenceDevice,
    FenceStep,
    FenceVerb,
    FencingSpec,
    NodeSpec,
    NoQuorumPolicy,
    RecoveryPolicy,
    ResourceName,
    ResourceSpec,
    ServiceSpec,
)
from rgmgr.core.tree import start_order
from rgmgr.sim.engine import Dice, chance, dice
from rgmgr.sim.faults import (
    Ambush,
    Ask,
    AskFence,
    CorosyncCrash,
    CorosyncPause,
    DaemonCrash,
    DaemonPause,
    DaemonRestart,
    DaemonStop,
    DevicesUnreachable,
    DeviceTrouble,
    Fault,
    Moment,
    NodePause,
    Partition,
    PowerLoss,
    Script,
    SlowDisk,
    SlowNetwork,
    Strike,
    UnitDeath,
    UnitTrouble,
)
from rgmgr.sim.power import Device
from rgmgr.sim.systemd import Mood

QUIET_START_MS = 12_000
CALM_SEED_EVERY = 10
NAMES = ("web", "db", "mail", "files", "dns", "proxy")
PDU = "pdu"


def draw_script(
    seed: int,
    *,
    nodes: int | None = None,
    spec: ClusterSpec | None = None,
    steps: int | None = None,
) -> Script:
    """Draw cluster and faults; what is given is not drawn.

    A step is one trouble: a fault, or two or three that belong together.
    One seed in ten is calm: there, only daemons die or are restarted, which must move nothing.
    """
    rolls = dice(seed, "script")
    drawn = draw_spec(rolls, nodes or rolls.choice((2, 3, 3, 3, 4, 5)))
    spec = spec or drawn
    makers = MAKERS
    count = rolls.choice((1, 2, 3, 4, 6, 8, 12)) if steps is None else steps
    start_ms = rolls.choice((0, QUIET_START_MS, QUIET_START_MS))
    if is_calm(seed):
        start_ms, makers = QUIET_START_MS + 8_000, CALM_MAKERS
    faults: list[Fault] = []
    at_ms = start_ms
    for _ in range(count):
        # troubles come in bunches, since most bugs need two of them at once
        at_ms += rolls.choice((0, 20, 300, 1_000, 2_200, 5_000))
        at_ms += rolls.randint(0, 1_500)
        if makers is MAKERS and chance(rolls, 0.3):
            faults += rolls.choice(PAIRS)(rolls, spec, at_ms)
            continue
        weights = [weight for weight, _ in makers]
        (_, maker) = rolls.choices(makers, weights)[0]
        faults.append(maker(rolls, spec, at_ms))
    return Script(seed=seed, spec=spec, faults=tuple(sorted(faults, key=lambda f: f.at_ms)))


def is_calm(seed: int) -> bool:
    """Whether this seed only has daemons that come back in time."""
    return seed % CALM_SEED_EVERY == CALM_SEED_EVERY - 1


# Clusters.


def draw_spec(rolls: Dice, nodes: int) -> ClusterSpec:
    """Draw a cluster of this many nodes, with one to six services."""
    ids = [NodeId(n) for n in range(1, nodes + 1)]
    domains = {name: _draw_domain(rolls, name, ids) for name in ("prefer", "only")}
    names = NAMES[: rolls.choice((1, 1, 2, 2, 3, 4, 6))]
    return ClusterSpec(
        name="simulated",
        version=1,
        digest="1",
        nodes={n: NodeSpec(name=f"node{n}", fence=((FenceStep(device=PDU),),)) for n in ids},
        services=tuple(_draw_service(rolls, ServiceName(name), tuple(domains)) for name in names),
        domains=domains,
        fencing=FencingSpec(
            devices={
                PDU: FenceDevice(name=PDU, agent="fence_sim", unfence_at_join=chance(rolls, 0.15))
            },
            verb=rolls.choice((FenceVerb.REBOOT, FenceVerb.REBOOT, FenceVerb.OFF)),
            post_fail_delay_ms=rolls.choice((0, 0, 1_000, 4_000)),
            post_join_delay_ms=rolls.choice((1_000, 4_000, 6_000)),
            timeout_ms=rolls.choice((3_000, 8_000)),
            delay_random_ms=rolls.choice((0, 0, 2_000)),
            delay_by_weight_ms=rolls.choice((0, 0, 3_000)),
            max_fences=rolls.choice((0, 0, 0, 2)),
            max_fences_ms=30_000,
            test_interval_ms=rolls.choice((0, 0, 7_000)),
        ),
        no_quorum_policy=rolls.choice(
            (NoQuorumPolicy.STOP, NoQuorumPolicy.STOP, NoQuorumPolicy.FREEZE)
        ),
        rejoin_grace_ms=rolls.choice((5_000, 10_000)),
        sync_timeout_ms=rolls.choice((3_000, 6_000)),
    )


def _draw_domain(rolls: Dice, name: str, nodes: list[NodeId]) -> FailoverDomain:
    members = rolls.sample(nodes, rolls.randint(1, len(nodes)))
    return FailoverDomain(
        name=name,
        priorities={node: rolls.randint(1, 3) for node in sorted(members)},
        ordered=chance(rolls, 0.5),
        restricted=name == "only",
        nofailback=chance(rolls, 0.4),
    )


def _draw_service(rolls: Dice, name: ServiceName, domains: tuple[str, ...]) -> ServiceSpec:
    return ServiceSpec(
        name=name,
        resources=_draw_tree(rolls, name),
        domain=rolls.choice((None, *domains)),
        autostart=chance(rolls, 0.9),
        recovery=rolls.choice(tuple(RecoveryPolicy)),
        max_restarts=rolls.choice((0, 1, 3)),
        restart_expire_ms=rolls.choice((0, 10_000)),
    )


def _draw_tree(rolls: Dice, service: ServiceName) -> tuple[ResourceSpec, ...]:
    """One to three resources, alone or as a parent with children."""
    count = rolls.choice((1, 1, 2, 3))
    leaves = tuple(
        ResourceSpec(
            name=ResourceName(f"r{number}"),
            type="systemd",
            parameters={"unit": f"{service}-r{number}.service"},
            start_timeout_ms=3_500,
            stop_timeout_ms=3_500,
        )
        for number in range(1, count)
    )
    root = ResourceSpec(
        name=ResourceName("r0"),
        type="systemd",
        parameters={"unit": f"{service}-r0.service"},
        children=leaves if chance(rolls, 0.5) else (),
        start_timeout_ms=3_500,
        stop_timeout_ms=3_500,
    )
    return (root,) if root.children else (root, *leaves)


# Faults.


def _node(rolls: Dice, spec: ClusterSpec) -> NodeId:
    return rolls.choice(sorted(spec.nodes))


def _span(rolls: Dice) -> int:
    """Short as a glitch, around the detection time, or long enough to be fenced for."""
    low, high = rolls.choice(((100, 1_500), (1_500, 3_000), (3_000, 9_000), (9_000, 16_000)))
    return rolls.randint(low, high)


def _power_loss(rolls: Dice, spec: ClusterSpec, at_ms: int) -> PowerLoss:
    return PowerLoss(at_ms=at_ms, node=_node(rolls, spec), for_ms=_span(rolls))


def _daemon_crash(rolls: Dice, spec: ClusterSpec, at_ms: int) -> DaemonCrash:
    amid = rolls.randint(0, 12) if chance(rolls, 0.4) else None
    return DaemonCrash(at_ms=at_ms, node=_node(rolls, spec), for_ms=_span(rolls), amid=amid)


def _brief_crash(rolls: Dice, spec: ClusterSpec, at_ms: int) -> Fault:
    for_ms = rolls.randint(50, 2_000)
    return DaemonCrash(at_ms=at_ms, node=_node(rolls, spec), for_ms=for_ms)


def _restart(rolls: Dice, spec: ClusterSpec, at_ms: int) -> Fault:
    return DaemonRestart(at_ms=at_ms, node=_node(rolls, spec))


def _daemon_pause(rolls: Dice, spec: ClusterSpec, at_ms: int) -> DaemonPause:
    return DaemonPause(at_ms=at_ms, node=_node(rolls, spec), for_ms=_span(rolls))


def _daemon_stop(rolls: Dice, spec: ClusterSpec, at_ms: int) -> Fault:
    return DaemonStop(at_ms=at_ms, node=_node(rolls, spec), for_ms=_span(rolls))


def _corosync_crash(rolls: Dice, spec: ClusterSpec, at_ms: int) -> CorosyncCrash:
    return CorosyncCrash(at_ms=at_ms, node=_node(rolls, spec), for_ms=_span(rolls))


def _corosync_pause(rolls: Dice, spec: ClusterSpec, at_ms: int) -> CorosyncPause:
    return CorosyncPause(at_ms=at_ms, node=_node(rolls, spec), for_ms=_span(rolls))


def _node_pause(rolls: Dice, spec: ClusterSpec, at_ms: int) -> Fault:
    return NodePause(at_ms=at_ms, node=_node(rolls, spec), for_ms=_span(rolls))


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
    return Partition(at_ms=at_ms, sides=sides, for_ms=_span(rolls))


def _slow_network(rolls: Dice, spec: ClusterSpec, at_ms: int) -> Fault:
    del spec
    return SlowNetwork(at_ms=at_ms, delay_ms=rolls.choice((30, 150, 600)), for_ms=_span(rolls))


def _device(rolls: Dice, spec: ClusterSpec, at_ms: int) -> Fault:
    kind = rolls.choice((Device.REFUSES, Device.HANGS, Device.LATE, Device.DENIES))
    node = _node(rolls, spec)
    return DeviceTrouble(at_ms=at_ms, node=node, device=kind, for_ms=2 * _span(rolls))


def _unreachable(rolls: Dice, spec: ClusterSpec, at_ms: int) -> Fault:
    return DevicesUnreachable(at_ms=at_ms, node=_node(rolls, spec), for_ms=2 * _span(rolls))


def _unit(rolls: Dice, spec: ClusterSpec) -> tuple[ServiceName, ResourceName]:
    service = rolls.choice(spec.services)
    return service.name, rolls.choice(start_order(service)).name


def _unit_trouble(rolls: Dice, spec: ClusterSpec, at_ms: int) -> Fault:
    service, resource = _unit(rolls, spec)
    moods = [mood for mood in Mood if mood is not Mood.GOOD]
    return UnitTrouble(
        at_ms=at_ms,
        node=_node(rolls, spec),
        service=service,
        resource=resource,
        mood=rolls.choice(moods),
        for_ms=2 * _span(rolls),
    )


def _unit_death(rolls: Dice, spec: ClusterSpec, at_ms: int) -> Fault:
    service, resource = _unit(rolls, spec)
    return UnitDeath(at_ms=at_ms, service=service, resource=resource)


def _slow_disk(rolls: Dice, spec: ClusterSpec, at_ms: int) -> Fault:
    delay_ms = rolls.choice((100, 1_000, 4_000))
    return SlowDisk(at_ms=at_ms, node=_node(rolls, spec), delay_ms=delay_ms, for_ms=_span(rolls))


def _ask(rolls: Dice, spec: ClusterSpec, at_ms: int) -> Fault:
    verb = rolls.choice(tuple(Verb))
    may_aim = verb in (Verb.ENABLE, Verb.RELOCATE)
    return Ask(
        at_ms=at_ms,
        node=_node(rolls, spec),
        verb=verb,
        service=rolls.choice(spec.services).name,
        target=_node(rolls, spec) if may_aim and chance(rolls, 0.6) else None,
    )


def _ask_fence(rolls: Dice, spec: ClusterSpec, at_ms: int) -> Fault:
    order = rolls.choice(tuple(FenceOrder))
    return AskFence(at_ms=at_ms, node=_node(rolls, spec), order=order, victim=_node(rolls, spec))


def _ambush(rolls: Dice, spec: ClusterSpec, at_ms: int) -> Fault:
    """Strike the node that does it, or any other."""
    node = _node(rolls, spec)
    strike = rolls.choice(STRIKES)(rolls, spec, at_ms)
    if not isinstance(strike, Partition) and chance(rolls, 0.5):
        strike = replace(strike, node=node)
    return Ambush(
        at_ms=max(0, at_ms - 2_000),
        node=node,
        moment=rolls.choice(tuple(Moment)),
        strike=strike,
        for_ms=10_000,
    )


# Troubles that only matter together.


def _trouble_at_stop(rolls: Dice, spec: ClusterSpec, at_ms: int) -> tuple[Fault, ...]:
    """A unit that does not stop, and somebody who wants it stopped."""
    service, resource = _unit(rolls, spec)
    moods = (Mood.STOP_FAILS, Mood.STOP_FAILS, Mood.STOP_HANGS)
    verb = rolls.choice((Verb.DISABLE, Verb.STOP, Verb.RESTART, Verb.RELOCATE))
    ask = Ask(at_ms=at_ms + 100, node=_node(rolls, spec), verb=verb, service=service)
    return (*_everywhere(rolls, spec, at_ms, service, resource, rolls.choice(moods)), ask)


def _trouble_at_start(rolls: Dice, spec: ClusterSpec, at_ms: int) -> tuple[Fault, ...]:
    """A unit that does not start, on one node or on all, when it has to."""
    service, resource = _unit(rolls, spec)
    mood = rolls.choice((Mood.START_FAILS, Mood.START_HANGS, Mood.DIES_SOON))
    troubles = _everywhere(rolls, spec, at_ms, service, resource, mood)
    if chance(rolls, 0.5):
        troubles = troubles[:1]
    verb = rolls.choice((Verb.RESTART, Verb.RELOCATE))
    ask = Ask(at_ms=at_ms + 100, node=_node(rolls, spec), verb=verb, service=service)
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
    for_ms = 2 * _span(rolls)
    nodes = rolls.sample(sorted(spec.nodes), len(spec.nodes))
    return tuple(
        UnitTrouble(
            at_ms=at_ms, node=n, service=service, resource=resource, mood=mood, for_ms=for_ms
        )
        for n in nodes
    )


def _trouble_at_fencing(rolls: Dice, spec: ClusterSpec, at_ms: int) -> tuple[Fault, ...]:
    """A node is lost while its fence device does not obey."""
    node = _node(rolls, spec)
    kind = rolls.choice((Device.REFUSES, Device.HANGS, Device.LATE))
    others = tuple(n for n in sorted(spec.nodes) if n != node)
    alone = Partition(at_ms=at_ms + 200, sides=((node,), others), for_ms=_span(rolls))
    dark = PowerLoss(at_ms=at_ms + 200, node=node, for_ms=_span(rolls))
    frozen = NodePause(at_ms=at_ms + 200, node=node, for_ms=_span(rolls))
    device = DeviceTrouble(at_ms=at_ms, node=node, device=kind, for_ms=2 * _span(rolls))
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
        PowerLoss(at_ms=at_ms + rolls.randint(0, 400), node=node, for_ms=_span(rolls))
        for node in nodes
    )
    return (_ask(rolls, spec, max(0, at_ms - rolls.randint(0, 60))), *losses)


Maker = Callable[[Dice, ClusterSpec, int], Fault]

STRIKES: tuple[Callable[[Dice, ClusterSpec, int], Strike], ...] = (
    _power_loss,
    _daemon_crash,
    _daemon_pause,
    _corosync_crash,
    _corosync_pause,
    _partition,
    _partition,
)
PAIRS = (
    _trouble_at_stop,
    _trouble_at_start,
    _trouble_at_fencing,
    _trouble_at_fencing,
    _outage,
    _bridge,
)
CALM_MAKERS: tuple[tuple[int, Maker], ...] = ((1, _brief_crash), (1, _restart))
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
    (3, _unit_death),
    (2, _slow_disk),
    (10, _ask),
    (4, _ask_fence),
    (10, _ambush),
)
