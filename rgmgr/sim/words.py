# SPDX-License-Identifier: Apache-2.0
"""What each fault is, in the words of an administrator."""

from __future__ import annotations

from domains.model import NodeId
from rgmgr.core.spec import ClusterSpec
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
    StateDamaged,
    SystemdLost,
    UnitDeath,
    UnitStartedByHand,
    UnitStoppedByHand,
    UnitTrouble,
    Upgrade,
)


def in_words(fault: Fault, spec: ClusterSpec) -> str:
    """Say what happens."""
    name = spec.node_name
    match fault:
        case Partition(sides=sides):
            words = "the network falls apart: " + " | ".join(_names(s, spec) for s in sides)
        case LinksCut(ways=ways):
            lost = ", ".join(f"{name(one)} to {name(other)}" for one, other in ways)
            words = f"nothing gets through from {lost}"
        case Ask(verb=verb, service=service, target=target):
            to = f" to {name(target)}" if target else ""
            words = f"an operator asks {name(fault.node)}: {verb.value} {service}{to}"
        case AskFence(order=order, victim=victim_id):
            asked = f"an operator asks {name(fault.node)}: fence {order.value}"
            words = f"{asked} {name(victim_id)}"
        case AskMaintenance(order=order, victim=subject):
            of = f" {name(subject)}" if subject else ""
            term = f" for {fault.for_ms} ms" if fault.for_ms else ""
            back = ", bringing services back" if fault.brings_back else ""
            words = f"an operator asks {name(fault.node)}: {order.value}{of}{term}{back}"
        case ConfigChange():
            words = _edit_in_words(fault, spec)
        case Ambush(moment=moment, strike=strike):
            words = f"when {name(fault.node)} next {moment.value}: {in_words(strike, spec)}"
        case DaemonCrash(amid=int(amid)):
            words = f"{name(fault.node)} loses its rgmgrd after {amid} actions more"
        case NetworkHeals() | SlowNetwork() | SlowQuorum() | UnitDeath():
            words = _WORDS[type(fault)].format(fault) + _to_whom(fault, spec)
        case _:
            victim = name(fault.victim) if isinstance(fault, DeviceUnreachable) else ""
            words = f"{name(fault.node)} {_WORDS[type(fault)].format(fault, victim)}"
    return words


def _to_whom(fault: Fault, spec: ClusterSpec) -> str:
    if isinstance(fault, SlowNetwork) and fault.node is not None:
        return f" to {spec.node_name(fault.node)}"
    return ""


def _names(nodes: tuple[NodeId, ...], spec: ClusterSpec) -> str:
    return ",".join(map(spec.node_name, nodes))


def _edit_in_words(fault: ConfigChange, spec: ClusterSpec) -> str:
    of = fault.service or (spec.node_name(fault.node) if fault.node else "")
    how = "" if fault.is_loaded else ", to be read at the next start"
    where = _names(fault.nodes, spec)
    words = f"{fault.edit.value} {of}".strip()
    return f"cluster.toml of version {fault.version} is put on {where}: {words}{how}"


_WORDS: dict[type, str] = {
    NetworkHeals: "the network heals",
    SlowNetwork: "the network is slow: up to {0.delay_ms} ms",
    SlowQuorum: "verdicts of quorum are late by up to {0.delay_ms} ms",
    UnitDeath: "{0.service}/{0.resource} dies",
    PowerLoss: "loses power",
    DaemonCrash: "loses its rgmgrd",
    DaemonPause: "has its rgmgrd stand still",
    DaemonStop: "is told to stop rgmgrd",
    DaemonRestart: "is told to restart rgmgrd",
    SlowDaemon: "has a rgmgrd that is slow by up to {0.delay_ms} ms",
    Upgrade: "gets a rgmgrd of protocols {0.protocol_min} to {0.protocol_max}",
    CorosyncCrash: "loses its corosync",
    CorosyncPause: "has its corosync stand still",
    CorosyncRestart: "is told to restart corosync",
    NodePause: "has corosync and rgmgrd stand still",
    NodeSuspend: "is suspended (its clock stops: {0.does_clock_stop})",
    NodeShutdown: "is told to shut down",
    ClockJump: "has its wall clock jump by {0.by_ms} ms",
    NetworkFlaps: "has a network that fails for {0.out_ms} ms every {0.every_ms} ms",
    SendsHeld: "cannot send",
    DeviceTrouble: "has a fence device that {0.device.value}",
    DeviceUnreachable: "does not reach the fence device of {1}",
    DevicesUnreachable: "reaches no fence device",
    UnitTrouble: "has {0.service}/{0.resource}, which {0.mood.value}",
    UnitStoppedByHand: "has {0.service}/{0.resource} stopped by hand",
    UnitStartedByHand: "has {0.service}/{0.resource} started by hand",
    SlowSystemd: "has a systemd that answers late by up to {0.delay_ms} ms",
    SystemdLost: "has no connection to systemd",
    SlowDisk: "has a disk that is slow by {0.delay_ms} ms",
    DiskTrouble: "has a disk that {0.trouble.value}",
    StateDamaged: "has a state file that {0.damage.value}",
}
"""What each fault is; that of one node comes after its name."""
