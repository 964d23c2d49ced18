# SPDX-License-Identifier: Apache-2.0
"""The lab: makes the nodes, breaks them in every way, and removes all of it again.

Synchronous and blocking; every call ends within a deadline. The state is in the directory and in
the kernel, not in the object: any ``Lab`` of the same directory sees the same nodes, from any
process, and what a crashed one left is found and removed.
"""

import contextlib
import fcntl
import json
import shutil
import subprocess
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rgmgr.lab import (
    applayer,
    bmc,
    cgroups,
    defaultconfig,
    machines,
    network,
    pdu,
    prerequisites,
    render,
    rootfs,
    sshkeys,
)
from rgmgr.lab.bmc import BmcFault
from rgmgr.lab.cgroups import Hierarchies
from rgmgr.lab.errors import LabError
from rgmgr.lab.layout import (
    MANAGEMENT,
    PDU_NAME,
    SERVICE_ADDRESSES,
    Layout,
    NodePlan,
    pair,
    plan,
)
from rgmgr.lab.process import Progress, attempt, await_until, command

BOOT_TIMEOUT = 60.0
BOOT_AT_ONCE = 8
"""More nodes only hold each other up, until one is taken for dead."""
RUN_TIMEOUT = 30.0
OFF_TOLERATED = 4.0  # seconds; a BMC's "cycle" leaves the power off for more than one
STATE_VERSION = 1
UNFIT_FOR_MOUNT = set(":,'\"\\\n")


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeStatus:
    """How a node is, as seen from outside."""

    name: str
    power: str  # "on" or "off"
    is_paused: bool
    is_cut: bool  # unplugged from the bridge
    unreachable: tuple[str, ...]  # the nodes it was cut from one by one
    bmc_fault: BmcFault | None
    address: str
    address6: str
    bmc_address: str


class Lab:
    """The nodes of one directory."""

    def __init__(self, directory: Path) -> None:
        """Look at ``directory``, which need not exist yet; nothing is started."""
        self.layout = Layout(directory.resolve())
        self.progress = Progress()

    # Making and removing

    def up(
        self,
        nodes: int = 3,
        config: str | Path | None = None,
        layers: Sequence[Path] = (),
        *,
        corosync: str = "",
    ) -> None:
        """Boot some nodes and wait until corosync is quorate on all of them.

        What an earlier run of the same directory left is removed first.

        Args:
            nodes: how many.
            config: ``cluster.toml`` as text or the name of a file; None for a web server on an
                address, fenced by IPMI.
            layers: directories laid over the root tree and under rgmgr, uppermost first.
            corosync: text of ``corosync.conf``; empty: that of any lab.

        Raises:
            LabError: something is missing, or did not come up; says what.
        """
        prerequisites.require()
        if unfit := UNFIT_FOR_MOUNT & set(str(self.layout.directory)):
            raise LabError(
                f"the lab cannot be in {self.layout.directory}: mount options do not bear"
                f" {' '.join(sorted(map(repr, unfit)))}, choose another directory"
            )
        try:
            planned = plan(nodes)
        except ValueError as error:
            raise LabError(str(error)) from error
        prerequisites.require_room(nodes)
        text = defaultconfig.render(planned) if config is None else _config_text(config)
        self.layout.directory.mkdir(parents=True, exist_ok=True)
        with self._locked():
            self._remove()
            rootfs.ensure(self.layout.root, self.progress)
            below = (*layers, self.layout.root)
            applayer.build(self.layout.app, below, self.progress)
            texts = machines.Texts(text, corosync or render.corosync_conf(planned))
            self._prepare(planned, texts, (self.layout.app, *below))
        for first in range(0, len(planned), BOOT_AT_ONCE):
            names = [node.name for node in planned[first : first + BOOT_AT_ONCE]]
            for name in names:
                self._power(name, "on")
            self.progress(f"power on: {', '.join(names)}")
            for name in names:
                self.await_booted(name)
        self.await_quorate()

    def _prepare(
        self, planned: tuple[NodePlan, ...], texts: machines.Texts, lower: Sequence[Path]
    ) -> None:
        """Make all but the running nodes: layers, network, control groups, fence devices."""
        devices = (*(node.bmc_name for node in planned), PDU_NAME)
        passwords = {name: machines.new_password() for name in devices}
        machines.install_programs(self.layout)
        disk = machines.attach_disk(self.layout.disk)
        if disk is None:
            self.progress("warning: no loop device to be had: the nodes have no shared disk")
        keys = sshkeys.make(planned)
        common = machines.Common(planned, texts, machines.new_authkey(), passwords, disk, keys)
        has_daemon = applayer.has_daemon(self.layout.app)
        if not has_daemon:
            self.progress("warning: this installation has no rgmgrd to run in the nodes")
        self.layout.state.touch(mode=0o600)
        state = {"version": STATE_VERSION, "nodes": len(planned), "passwords": passwords}
        self.layout.state.write_text(json.dumps(state), encoding="utf-8")
        network.create(planned, self.layout.directory)
        hierarchies = cgroups.find_hierarchies()
        for node in planned:
            machines.write_layer(self.layout, node, common, has_daemon=has_daemon)
            machines.write_params(self.layout, hierarchies, node, disk, lower)
            bmc.start(self.layout, hierarchies, node, passwords[node.bmc_name])
        pdu.start(self.layout, hierarchies, planned, passwords[PDU_NAME])
        for node in planned:
            bmc.await_answer(node, passwords[node.bmc_name])
        pdu.await_answer(passwords[PDU_NAME])
        self.progress("network, BMCs and PDU ready")

    def down(self) -> None:
        """Remove everything but the root tree; fine if there is nothing."""
        prerequisites.require()
        if self.layout.directory.is_dir():
            with self._locked():
                self._remove()

    def _remove(self) -> None:
        """Remove what is left of any run of this directory.

        Raises:
            LabError: the nodes that run are another directory's.
        """
        owner = network.owner()
        if owner not in (None, self.layout.directory) and Layout(owner).run.exists():
            raise LabError(
                f"a lab of {owner} is running and there is room for one on a machine:"
                f" stop it with `rgmgr lab --dir {owner} down`"
            )
        cgroups.remove(cgroups.find_hierarchies())
        network.remove()
        machines.detach_disk(self.layout.disk)
        if self.layout.run.exists():
            shutil.rmtree(self.layout.run)

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        """Keep others from making or removing this lab meanwhile."""
        with self.layout.lock.open("w", encoding="utf-8") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise LabError(
                    f"another process is making or removing the lab in {self.layout.directory}:"
                    " wait until it is done"
                ) from error
            yield

    # Looking

    @property
    def is_up(self) -> bool:
        """Whether there are nodes, be they on or off."""
        return self.layout.state.is_file() and (network.NAMESPACES / MANAGEMENT).exists()

    @property
    def nodes(self) -> tuple[NodePlan, ...]:
        """The nodes of the running lab.

        Raises:
            LabError: it does not run.
        """
        return plan(int(str(self._state()["nodes"])))

    @property
    def service_addresses(self) -> tuple[str, ...]:
        """Addresses that services may use; the first is that of the default configuration."""
        return SERVICE_ADDRESSES

    def address(self, node: str) -> str:
        """Return the address of a node's eth0."""
        return self._node(node).address

    def bmc_address(self, node: str) -> str:
        """Return the address of a node's BMC."""
        return self._node(node).bmc_address

    def bmc_password(self, node: str) -> str:
        """Return the password of user ``fence`` at a node's BMC."""
        passwords = self._state()["passwords"]
        assert isinstance(passwords, dict)  # noqa: S101  # written by `_prepare`
        return str(passwords[self._node(node).bmc_name])

    def is_on(self, node: str) -> bool:
        """Tell whether a node has power."""
        return cgroups.is_populated(cgroups.find_hierarchies().group(self._node(node).name))

    def status(self) -> tuple[NodeStatus, ...]:
        """Return how the nodes are; empty when the lab is down."""
        if not self.is_up:
            return ()
        hierarchies = cgroups.find_hierarchies()
        cuts = self._cuts()
        return tuple(self._status(node, hierarchies, cuts) for node in self.nodes)

    def _status(
        self, node: NodePlan, hierarchies: Hierarchies, cuts: set[tuple[str, str]]
    ) -> NodeStatus:
        group = hierarchies.group(node.name)
        others = (name for both in cuts if node.name in both for name in both)
        return NodeStatus(
            name=node.name,
            power="on" if cgroups.is_populated(group) else "off",
            is_paused=cgroups.is_frozen(group),
            is_cut=(self.layout.node(node.name) / "cut").exists(),
            unreachable=tuple(sorted(name for name in others if name != node.name)),
            bmc_fault=bmc.fault_of(self.layout, hierarchies, node),
            address=node.address,
            address6=node.address6,
            bmc_address=node.bmc_address,
        )

    def journal(self, node: str, unit: str | None = None) -> str:
        """Return a node's journal; works on a node without power too."""
        units = [] if unit is None else [f"--unit={unit}"]
        return self._read_journal(node, ["--output=short-precise", *units])

    def journal_entries(self, node: str, *matches: str) -> list[dict[str, Any]]:
        """Return what a node logged that matches, with all fields, oldest first.

        ``matches`` are arguments of journalctl. Works on a node without power too, so that
        nobody who asks has to know whether the node is just being switched off.
        """
        said = self._read_journal(node, ["--output=json", *matches])
        return [json.loads(line) for line in said.splitlines()]

    def _read_journal(self, node: str, arguments: Sequence[str]) -> str:
        where = self.layout.upper(self._node(node).name) / "var/log/journal"
        return command(["journalctl", "--no-pager", f"--directory={where}", *arguments])

    # Doing

    def run(
        self, node: str, argv: Sequence[str], timeout: float = RUN_TIMEOUT
    ) -> subprocess.CompletedProcess[str]:
        """Run a program inside a node, as root, and return what became of it.

        Raises:
            LabError: the node is off, or the program was not done after ``timeout`` seconds.
        """
        return attempt(self.enter(node, argv), timeout=timeout)

    def enter(self, node: str, argv: Sequence[str]) -> list[str]:
        """Return the command, for this machine, that runs ``argv`` inside a node.

        Raises:
            LabError: the node is off.
        """
        name = self._node(node).name
        return machines.enter(self.layout, cgroups.find_hierarchies(), name, argv)

    def client(
        self, argv: Sequence[str], timeout: float = RUN_TIMEOUT
    ) -> subprocess.CompletedProcess[str]:
        """Run a program of this machine beside the bridge, as a client of the services."""
        return network.run(argv, timeout)

    def kill(self, node: str) -> None:
        """Cut a node's power: link down, then all of it dead at once."""
        self._power(node, "kill")

    def power_on(self, node: str) -> None:
        """Press a node's power button; returns at once."""
        self._power(node, "on")

    def boot(self, node: str) -> None:
        """Switch a node on and wait until systemd has booted it."""
        self.power_on(node)
        self.await_booted(node)

    def pause(self, node: str) -> None:
        """Stop every process of a node at once, as when a virtual machine is suspended."""
        if not self.is_on(node):
            raise LabError(f"cannot pause {node}: it is switched off")
        cgroups.freeze(cgroups.find_hierarchies().group(node))

    def resume(self, node: str) -> None:
        """Let a paused node go on."""
        cgroups.thaw(cgroups.find_hierarchies().group(self._node(node).name))

    def cut(self, first: str, second: str | None = None) -> None:
        """Unplug a node from the network, or let two nodes not reach each other."""
        one = self._node(first)
        if second is None:
            (self.layout.node(one.name) / "cut").touch()
            if self.is_on(one.name):
                network.set_port(one, "down")
            return
        other = self._node(second)
        if one == other:
            raise LabError(f"cannot cut {first} from itself: name two nodes, or one to unplug it")
        self._set_cuts(self._cuts() | {pair(one.name, other.name)})

    def heal(self) -> None:
        """Mend every cable."""
        self._set_cuts(set())
        for node in self.nodes:
            (self.layout.node(node.name) / "cut").unlink(missing_ok=True)
            if self.is_on(node.name):
                network.set_port(node, "up")

    def bmc_fault(self, node: str, fault: BmcFault | str | None) -> None:
        """Break a BMC: ``"stuck"`` accepts "off" and does nothing, ``"dead"`` answers nothing.

        None mends it.
        """
        try:
            wanted = None if fault is None else BmcFault(fault)
        except ValueError as error:
            known = ", ".join(repr(known.value) for known in BmcFault)
            raise LabError(f"unknown BMC fault {fault!r}: known are {known}") from error
        bmc.set_fault(self.layout, cgroups.find_hierarchies(), self._node(node), wanted)

    # Waiting

    def await_booted(self, node: str, timeout: float = BOOT_TIMEOUT) -> None:
        """Wait until systemd says that a node has booted; warn of units that failed.

        Raises:
            LabError: it does not within ``timeout`` seconds.
        """
        said = ""
        last_on = time.monotonic()

        def booted() -> bool:
            nonlocal said, last_on
            if self.is_on(node):
                last_on = time.monotonic()
            elif time.monotonic() - last_on > OFF_TOLERATED:
                log = self.layout.node(node) / "console.log"
                raise LabError(f"{node} has no power, it cannot boot: the end of {log} says why")
            with contextlib.suppress(LabError):  # not up far enough to be entered
                argv = ["systemctl", "is-system-running", "--wait"]
                said = self.run(node, argv, timeout).stdout.strip()
            return said in ("running", "degraded")

        await_until(
            booted, timeout=timeout, what=f"{node} to boot (see `rgmgr lab journal {node}`)"
        )
        if said == "degraded":
            argv = ["systemctl", "list-units", "--failed", "--plain", "--no-legend"]
            failed = [line.split()[0] for line in self.run(node, argv).stdout.splitlines()]
            self.progress(f"warning: {node}: failed units: {', '.join(failed)}")
        self.progress(f"{node} booted")

    def await_quorate(self, timeout: float = BOOT_TIMEOUT) -> None:
        """Wait until corosync is quorate with every node, on every node.

        Raises:
            LabError: it is not within ``timeout`` seconds.
        """
        for node in self.nodes:
            await_until(
                lambda node=node: len(self.members(node.name)) == len(self.nodes),  # type: ignore[misc]
                timeout=timeout,
                what=f"corosync on {node.name} to see all nodes",
            )
        self.progress(f"corosync quorate with {len(self.nodes)} nodes")

    def members(self, node: str) -> tuple[str, ...]:
        """Return who is in a node's quorate partition; empty if it has none."""
        try:
            said = self.run(node, ["corosync-quorumtool", "-s"]).stdout
        except LabError:
            return ()
        return parse_members(said, self.nodes)

    # Inside

    def _state(self) -> dict[str, object]:
        try:
            state = json.loads(self.layout.state.read_text(encoding="utf-8"))
        except FileNotFoundError as error:
            raise LabError(
                f"no lab runs in {self.layout.directory}: start one with `rgmgr lab up`"
            ) from error
        assert isinstance(state, dict)  # noqa: S101  # written by `_prepare`
        return state

    def _node(self, name: str) -> NodePlan:
        known = self.nodes
        for node in known:
            if node.name == name:
                return node
        names = ", ".join(node.name for node in known)
        raise LabError(f"no node {name!r} in this lab: it has {names}")

    def _power(self, node: str, verb: str) -> None:
        command([str(self.layout.power), self._node(node).name, verb])

    def _cuts(self) -> set[tuple[str, str]]:
        if not self.layout.cuts.exists():
            return set()
        lines = self.layout.cuts.read_text(encoding="ascii").splitlines()
        return {pair(*line.split()) for line in lines}

    def _set_cuts(self, cuts: set[tuple[str, str]]) -> None:
        network.set_cuts([(self._node(a), self._node(b)) for a, b in sorted(cuts)])
        text = "".join(f"{a} {b}\n" for a, b in sorted(cuts))
        self.layout.cuts.write_text(text, encoding="ascii")


def parse_members(text: str, known: Sequence[NodePlan]) -> tuple[str, ...]:
    """Read ``corosync-quorumtool -s``: the members, or nobody without quorum."""
    head, found, table = text.partition("Membership information")
    if not found or not any(line.split() == ["Quorate:", "Yes"] for line in head.splitlines()):
        return ()
    ids = {
        int(words[0])
        for line in table.splitlines()
        if (words := line.split()) and words[0].isdigit()
    }
    return tuple(node.name for node in known if node.number in ids)


def _config_text(config: str | Path) -> str:
    """Return a configuration given as text or as the name of a file."""
    if isinstance(config, str) and "\n" in config:
        return config
    try:
        return Path(config).read_text(encoding="utf-8")
    except OSError as error:
        raise LabError(f"cannot read the configuration {config}: {error.strerror}") from error
