# SPDX-License-Identifier: Apache-2.0
"""What each fault does to a world, and how it ends again. One function per kind of fault.

Only lets things happen; who is told of it, and what is checked, is the world's.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from domains.model import NodeId, ServiceName
from rgmgr.core.events import Shutdown
from rgmgr.core.spec import ResourceName
from rgmgr.core.tree import start_order
from rgmgr.sim.engine import Call
from rgmgr.sim.faults import (
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
    DeviceFault,
    DevicesUnreachable,
    DeviceTrouble,
    DeviceUnreachable,
    DiskTrouble,
    LinksCut,
    NetworkFault,
    NetworkFlaps,
    NetworkHeals,
    NoAnswer,
    NodeFault,
    NodePause,
    NodeShutdown,
    NodeSuspend,
    Partition,
    PowerLoss,
    ProcessFault,
    SendsHeld,
    SlowDaemon,
    SlowDisk,
    SlowNetwork,
    SlowQuorum,
    SlowSystemd,
    StateDamaged,
    Strike,
    SystemdLost,
    UnitDeath,
    UnitFault,
    UnitStartedByHand,
    UnitStoppedByHand,
    UnitTrouble,
    Upgrade,
)
from rgmgr.sim.host import Host

if TYPE_CHECKING:
    from rgmgr.sim.world import World

SHUTDOWN_LOOK_MS = 250
SHUTDOWN_MAX_MS = 40_000
"""After that systemd kills what has not ended."""
START_DELAY_MS = 3_000
WHOLE = "the network is whole again"


def happen(world: World, fault: Strike) -> None:
    """Let a fault happen now."""
    if isinstance(fault, ProcessFault):
        _to_process(world, world.hosts[fault.node], fault)
    elif isinstance(fault, NodeFault):
        _to_node(world, fault)
    elif isinstance(fault, NetworkFault):
        _to_network(world, fault)
    elif isinstance(fault, DeviceFault):
        _to_device(world, fault)
    else:
        _to_unit(world, fault)


def _to_process(world: World, host: Host, fault: ProcessFault) -> None:  # noqa: C901 - one arm per kind
    match fault:
        case DaemonCrash(amid=None, for_ms=for_ms):
            host.crash_daemon()
            world.later(for_ms, host.start_daemon)
        case DaemonCrash(amid=amid, for_ms=for_ms):
            if host.daemon is not None:
                host.daemon.dies_within = amid
            world.later(for_ms + 500, host.start_daemon)
        case DaemonPause(for_ms=for_ms):
            host.pause_daemon()
            world.later(for_ms, host.resume_daemon)
        case DaemonStop(for_ms=for_ms):
            host.shut_down(Shutdown.STOP)
            world.later(for_ms + START_DELAY_MS, partial(world.start_again, host))
        case DaemonRestart():
            host.shut_down(Shutdown.RESTART)
        case SlowDaemon(delay_ms=delay_ms, for_ms=for_ms):
            host.make_slow(delay_ms)
            world.later(for_ms, host.make_fast)
        case Upgrade(protocol_min=least, protocol_max=most):
            host.protocols = (least, most)
            host.shut_down(Shutdown.RESTART)
        case CorosyncCrash(for_ms=for_ms):
            world.bus.crash(host.node, "corosync is gone")
            world.later(for_ms, partial(host.start_corosync, host.boots))
        case CorosyncPause(for_ms=for_ms):
            world.bus.pause(host.node)
            world.later(for_ms, partial(world.bus.resume, host.node))
        case CorosyncRestart():
            host.shut_down(Shutdown.STOP)
            _when_ended(world, host, partial(_restart_corosync, world, host))


def _to_node(world: World, fault: NodeFault) -> None:
    host = world.hosts.get(fault.node) if fault.node is not None else None
    match fault:
        case ConfigChange():
            world.change_config(fault)
        case Ask() | AskFence() | AskMaintenance():
            world.pass_on(fault)
        case _ if host is None:
            pass
        case PowerLoss(for_ms=for_ms):
            host.switch_off()
            world.later(for_ms, partial(world.switch_on, host.node))
        case NodePause(for_ms=for_ms):
            world.bus.pause(host.node)
            host.pause_daemon()
            world.later(for_ms, partial(_wake, world, host))
        case NodeSuspend(for_ms=for_ms, does_clock_stop=does_clock_stop):
            host.suspend()
            world.later(for_ms, partial(host.wake, does_clock_stop=does_clock_stop))
        case NodeShutdown(for_ms=for_ms):
            host.shut_down(Shutdown.STOP)
            _when_ended(world, host, partial(_power_off, world, host, for_ms))
        case ClockJump(by_ms=by_ms):
            host.outside.jump(by_ms)


def _to_network(world: World, fault: NetworkFault) -> None:
    bus = world.bus
    match fault:
        case Partition(sides=sides, for_ms=for_ms):
            bus.divide(sides)
            world.later(for_ms, bus.heal, WHOLE)
        case LinksCut(ways=ways, for_ms=for_ms):
            bus.cut(ways)
            world.later(for_ms, partial(bus.mend, ways), "all gets through again")
        case NetworkFlaps():
            _flap(world, fault, world.engine.now_ms + fault.for_ms)
        case NetworkHeals():
            bus.heal()
        case SlowNetwork(node=int(node), delay_ms=delay_ms, for_ms=for_ms):
            bus.be_late(NodeId(node), delay_ms)
            world.later(for_ms, partial(bus.be_late, NodeId(node), 0))
        case SlowNetwork(delay_ms=delay_ms, for_ms=for_ms):
            bus.delay_max_ms = delay_ms
            world.later(for_ms, bus.speed_up, "the network is fast again")
        case SendsHeld(node=node, for_ms=for_ms):
            bus.hold_sends(node)
            world.later(for_ms, partial(bus.release_sends, node))
        case SlowQuorum(delay_ms=delay_ms, for_ms=for_ms):
            bus.slow_quorum(delay_ms)
            world.later(for_ms, partial(bus.slow_quorum, 0))


def _to_device(world: World, fault: DeviceFault) -> None:
    node, power = fault.node, world.power
    disk = world.hosts[node].disk
    match fault:
        case DeviceTrouble(device=device, for_ms=for_ms):
            power.devices[node] = device
            world.later(for_ms, partial(power.mend, node))
        case NoAnswer(for_ms=for_ms):
            world.hosts[node].outside.cut()
            world.later(for_ms, world.hosts[node].outside.mend)
        case DevicesUnreachable(for_ms=for_ms):
            power.cut_off[node] = None
            world.later(for_ms, partial(power.cut_off.pop, node, None))
        case DeviceUnreachable(victim=victim, for_ms=for_ms):
            power.cut_ways[node, victim] = None
            world.later(for_ms, partial(power.cut_ways.pop, (node, victim), None))
        case SlowDisk(delay_ms=delay_ms, for_ms=for_ms):
            disk.slow_ms = delay_ms
            world.later(for_ms, disk.mend)
        case DiskTrouble(trouble=trouble, for_ms=for_ms):
            disk.mood = trouble
            world.later(for_ms, disk.mend)
        case StateDamaged(damage=damage):
            disk.damage(damage)
            world.watch.state_damaged()


def _to_unit(world: World, fault: UnitFault) -> None:
    match fault:
        case UnitTrouble(service=service, resource=resource):
            unit = world.hosts[fault.node].systemd.unit(service, resource)
            unit.mood = fault.mood
            world.later(fault.for_ms, unit.behave)
        case UnitDeath(service=service, resource=resource):
            for host in world.hosts.values():
                host.systemd.die(service, resource)
        case UnitStoppedByHand(node=node, service=service, resource=resource):
            world.hosts[node].systemd.stop_by_hand(service, resource)
        case UnitStartedByHand(node=node, service=service, resource=resource):
            if _is_made_of(world.hosts[node], service, resource):
                world.hosts[node].start_by_hand(service, resource)
        case SlowSystemd(node=node, delay_ms=delay_ms, for_ms=for_ms):
            line = world.hosts[node].line
            line.make_slow(delay_ms)
            world.later(for_ms, line.make_fast)
        case SystemdLost(node=node, for_ms=for_ms):
            host = world.hosts[node]
            host.line.lose()
            world.later(for_ms, host.regain_systemd)


def _wake(world: World, host: Host) -> None:
    world.bus.resume(host.node)
    host.resume_daemon()


def _flap(world: World, fault: NetworkFlaps, until_ms: int) -> None:
    """Pull the cable, put it back, and again."""
    world.bus.unplug(fault.node)
    world.later(fault.out_ms, partial(world.bus.plug, fault.node))
    if world.engine.now_ms + fault.every_ms < until_ms:
        world.later(fault.every_ms, partial(_flap, world, fault, until_ms))


def _when_ended(world: World, host: Host, then: Call, waited_ms: int = 0) -> None:
    """Go on when the daemon has ended, or has been waited for long enough."""
    if host.daemon is None or waited_ms >= SHUTDOWN_MAX_MS:
        then()
        return
    waited_ms += SHUTDOWN_LOOK_MS
    world.later(SHUTDOWN_LOOK_MS, partial(_when_ended, world, host, then, waited_ms))


def _power_off(world: World, host: Host, for_ms: int) -> None:
    host.wants_daemon = True  # it is enabled, and so starts at the boot
    host.switch_off()
    world.later(for_ms, partial(world.switch_on, host.node))


def _restart_corosync(world: World, host: Host) -> None:
    host.crash_daemon("killed, for it did not end in time")
    world.bus.crash(host.node, None)
    host.wants_daemon = True
    host.start_corosync(host.boots)


def _is_made_of(host: Host, service: ServiceName, resource: ResourceName) -> bool:
    """Tell whether a service has this resource; a unit that is none is nobody's business.

    What is agreed counts, and the file only where nothing is.
    """
    agreed = host.daemon.state.cluster if host.daemon else host.disk.saved
    record = agreed.services.get(service) if agreed else None
    specs = [record.spec] if record else [s for s in host.spec.services if s.name == service]
    return any(resource == each.name for spec in specs for each in start_order(spec))
