# SPDX-License-Identifier: Apache-2.0
"""What each fault of a scenario is in the lab: which verbs begin it and end it.

The lab is real, so it cannot do all: no device that lies, no full disk, no clock of one node alone,
no exact moment. Which faults those are is said before anything is done.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import combinations

from domains.model import NodeId
from rgmgr.core.spec import ClusterSpec
from rgmgr.lab.bmc import BmcFault
from rgmgr.lab.lab import Lab
from rgmgr.lab.scene import unit_of
from rgmgr.sim.faults import (
    Ask,
    AskMaintenance,
    CorosyncCrash,
    CorosyncPause,
    CorosyncRestart,
    DaemonCrash,
    DaemonPause,
    DaemonRestart,
    DaemonStop,
    DeviceTrouble,
    Fault,
    NetworkHeals,
    NodePause,
    NodeShutdown,
    NodeSuspend,
    Partition,
    PowerLoss,
    UnitDeath,
    UnitStartedByHand,
    UnitStoppedByHand,
    UnitTrouble,
)
from rgmgr.sim.phases import Mood
from rgmgr.sim.power import Device
from rgmgr.sim.words import in_words

START_DELAY_MS = 3_000
"""How much later an administrator starts a stopped daemon, as in the simulator."""
BMC_FAULTS = {Device.REFUSES: BmcFault.STUCK, Device.HANGS: BmcFault.DEAD}
DROP_INS = {
    Mood.START_FAILS: "ExecStartPre=/bin/false",
    Mood.START_HANGS: "ExecStartPre=/bin/sleep infinity",
    Mood.DIES_SOON: "ExecStart=\nExecStart=/bin/sh -c 'sleep 0.4; exit 1'",
}
DAEMON, COROSYNC = "rgmgrd.service", "corosync.service"

Act = Callable[[], object]


@dataclass(frozen=True, slots=True)
class Deed:
    """Something to be done at a time of the script."""

    at_ms: int
    words: str
    act: Act


class Deeds:
    """Translates the faults of a script for one lab."""

    def __init__(self, lab: Lab, spec: ClusterSpec) -> None:
        self._lab = lab
        self._spec = spec

    def of(self, fault: Fault) -> list[Deed]:
        """Return what begins this fault and what ends it; nothing when the lab cannot do it."""
        words = in_words(fault, self._spec)
        found = [(0, act) for act in self._network(fault)] or [*self._parts(fault)]
        return [
            Deed(fault.at_ms + after_ms, words if after_ms == 0 else f"the end of: {words}", act)
            for after_ms, act in found
        ] + self._heal(fault)

    def _name(self, node: NodeId) -> str:
        return self._spec.node_name(node)

    def _run(self, node: NodeId, *argv: str) -> Act:
        return lambda: self._lab.run(self._name(node), argv)

    def _systemctl(self, node: NodeId, *argv: str) -> Act:
        return self._run(node, "systemctl", *argv)

    def _network(self, fault: Fault) -> Iterator[Act]:
        match fault:
            case Partition(sides=sides):
                for one, other in combinations(sides, 2):
                    for a in one:
                        for b in other:
                            yield self._cut(a, b)
            case NetworkHeals():
                yield self._lab.heal
            case _:
                pass

    def _cut(self, one: NodeId, other: NodeId) -> Act:
        return lambda: self._lab.cut(self._name(one), self._name(other))

    def _heal(self, fault: Fault) -> list[Deed]:
        if not isinstance(fault, Partition):
            return []
        return [Deed(fault.at_ms + fault.for_ms, "the network is whole again", self._lab.heal)]

    def _parts(self, fault: Fault) -> Iterator[tuple[int, Act]]:
        """Yield each act with the milliseconds after the beginning of the fault."""
        lab = self._lab
        match fault:
            case PowerLoss(node=node, for_ms=for_ms):
                yield 0, lambda: lab.kill(self._name(node))
                yield for_ms, lambda: lab.power_on(self._name(node))
            case NodeShutdown(node=node, for_ms=for_ms):
                yield 0, self._systemctl(node, "--no-block", "poweroff")
                yield for_ms, lambda: lab.power_on(self._name(node))
            case NodeSuspend(node=node, for_ms=for_ms, does_clock_stop=False):
                yield 0, lambda: lab.pause(self._name(node))
                yield for_ms, lambda: lab.resume(self._name(node))
            case NodePause(node=node, for_ms=for_ms):
                for unit in (COROSYNC, DAEMON):
                    yield 0, self._systemctl(node, "kill", "--kill-who=main", "-s", "STOP", unit)
                    yield (
                        for_ms,
                        self._systemctl(node, "kill", "--kill-who=main", "-s", "CONT", unit),
                    )
            case DeviceTrouble(node=node, device=device) if device in BMC_FAULTS:
                yield 0, lambda: lab.bmc_fault(self._name(node), BMC_FAULTS[device])
                yield fault.for_ms, lambda: lab.bmc_fault(self._name(node), None)
            case Ask(node=node, verb=verb, service=service, target=target):
                member = ["-m", self._name(target)] if target else []
                yield 0, self._run(node, "rgmgr", verb.value, service, *member, "--no-wait")
            case AskMaintenance():
                yield 0, self._run(fault.node, "rgmgr", *self._order(fault), "--no-wait")
            case UnitTrouble() | UnitDeath() | UnitStoppedByHand() | UnitStartedByHand():
                yield from self._units(fault)
            case _:
                yield from self._processes(fault)

    def _order(self, fault: AskMaintenance) -> list[str]:
        """Return the words of a standing order."""
        node = ["node"] if fault.victim is not None else []
        name = [self._name(fault.victim)] if fault.victim is not None else []
        term = ["--for", f"{fault.for_ms}ms"] if fault.for_ms else []
        back = ["--return"] if fault.brings_back else []
        return [*node, fault.order.value, *name, *term, *back]

    def _processes(self, fault: Fault) -> Iterator[tuple[int, Act]]:
        match fault:
            case DaemonCrash(node=node, for_ms=for_ms, amid=None):
                yield 0, self._systemctl(node, "kill", "-s", "KILL", DAEMON)
                yield 0, self._systemctl(node, "stop", DAEMON)  # or systemd starts it at once
                yield for_ms, self._systemctl(node, "--no-block", "start", DAEMON)
            case DaemonStop(node=node, for_ms=for_ms):
                yield 0, self._systemctl(node, "--no-block", "stop", DAEMON)
                start_ms = for_ms + START_DELAY_MS
                yield start_ms, self._systemctl(node, "--no-block", "start", DAEMON)
            case DaemonRestart(node=node):
                yield 0, self._systemctl(node, "--no-block", "restart", DAEMON)
            case CorosyncRestart(node=node):
                yield 0, self._systemctl(node, "--no-block", "restart", COROSYNC)
            case CorosyncCrash(node=node, for_ms=for_ms):
                yield 0, self._systemctl(node, "kill", "-s", "KILL", COROSYNC)
                yield for_ms, self._systemctl(node, "--no-block", "start", COROSYNC)
            case DaemonPause(node=node) | CorosyncPause(node=node):
                unit = DAEMON if isinstance(fault, DaemonPause) else COROSYNC
                for after_ms, signal in ((0, "STOP"), (fault.for_ms, "CONT")):
                    argv = ("kill", "--kill-who=main", "-s", signal, unit)
                    yield after_ms, self._systemctl(node, *argv)
            case _:
                pass

    def _units(
        self, fault: UnitTrouble | UnitDeath | UnitStoppedByHand | UnitStartedByHand
    ) -> Iterator[tuple[int, Act]]:
        unit = unit_of(fault.service, fault.resource)
        match fault:
            case UnitDeath():
                for node in self._spec.nodes:
                    yield 0, self._systemctl(node, "kill", "-s", "KILL", unit)
            case UnitStoppedByHand(node=node):
                yield 0, self._systemctl(node, "--no-block", "stop", unit)
            case UnitStartedByHand(node=node):
                yield 0, self._systemctl(node, "--no-block", "start", unit)
            case UnitTrouble(node=node, mood=mood) if mood in DROP_INS:
                place = f"/run/systemd/system/{unit}.d"
                text = f"mkdir -p {place}; cat >{place}/mood.conf"
                drop_in = f"[Service]\n{DROP_INS[mood]}\n"
                yield 0, self._shell(node, f"{text} <<'END'\n{drop_in}END\nsystemctl daemon-reload")
                yield fault.for_ms, self._shell(node, f"rm -r {place}; systemctl daemon-reload")
            case UnitTrouble(node=node, mood=Mood.MASKED):
                yield 0, self._systemctl(node, "mask", "--runtime", unit)
                yield fault.for_ms, self._systemctl(node, "unmask", "--runtime", unit)
            case _:
                pass

    def _shell(self, node: NodeId, script: str) -> Act:
        return self._run(node, "sh", "-c", script)


def impossible(deeds: Deeds, faults: tuple[Fault, ...], spec: ClusterSpec) -> list[str]:
    """Return the faults that the lab cannot do, in words."""
    return [in_words(fault, spec) for fault in faults if not deeds.of(fault)]
