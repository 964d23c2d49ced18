# SPDX-License-Identifier: Apache-2.0
"""Gathers what `rgmgr doctor` judges: from rgmgrd and systemd over the bus, and from files.

Changes nothing, starts no agent, and never fails: what cannot be had leaves a fault in its place.
"""

from __future__ import annotations

import asyncio
import grp
import os
import shutil
import socket
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rgmgr.adapters.fencing.devices import AGENT_PATHS
from rgmgr.adapters.fencing.options import StepError, options_of
from rgmgr.adapters.systemd.checkup import UnitFacts, look_for_services, look_up
from rgmgr.adapters.watchdog import WatchdogError, check_device
from rgmgr.cli.client import Connector, DaemonError
from rgmgr.cli.doctor_checks import COROSYNC_UNIT, DAEMON_UNIT, Facts, resources_of
from rgmgr.config.corosync_conf import ConfNode, read_nodes
from rgmgr.config.load import load
from rgmgr.core.spec import WATCHDOG_OF_SYSTEMD, ClusterSpec, FenceStep, NodeSpec
from rgmgr.errors import BusError, ConfigError
from rgmgr.links import CorosyncView
from rgmgr.view import Status

GROUPS = ("rgmgr-operator", "rgmgr-reader")
_OTHERS = 0o077


@dataclass(frozen=True, slots=True)
class Places:
    """Where the files of an installation are."""

    root: Path = Path("/")
    agents: tuple[Path, ...] = AGENT_PATHS  # folders

    @property
    def config(self) -> Path:
        """The cluster's configuration."""
        return self.root / "etc/rgmgr/cluster.toml"

    @property
    def secrets(self) -> Path:
        """The secrets of fence devices."""
        return self.root / "etc/rgmgr/secrets.d"

    @property
    def state(self) -> Path:
        """What the cluster agreed on."""
        return self.root / "var/lib/rgmgr"

    @property
    def corosync_conf(self) -> Path:
        """The configuration of corosync."""
        return self.root / "etc/corosync/corosync.conf"

    @property
    def authkey(self) -> Path:
        """The key of corosync's traffic."""
        return self.root / "etc/corosync/authkey"

    @property
    def guard(self) -> Path:
        """Where the guard of the watchdog listens while it is armed."""
        return self.root / "run/rgmgr-guard/socket"

    @property
    def policies(self) -> tuple[Path, Path]:
        """Where the bus looks for our policy."""
        return (
            self.root / "etc/dbus-1/system.d/org.rgmgr.conf",
            self.root / "usr/share/dbus-1/system.d/org.rgmgr.conf",
        )


def gather(places: Places, connect: Connector) -> Facts:
    """Return all that can be found."""
    status, corosync, daemon_fault = _ask_daemon(connect)
    spec, config_fault = _read_config(places.config)
    conf_nodes, conf_fault = _read_corosync_conf(places.corosync_conf)
    units, services_up, systemd_fault = _ask_systemd(spec)
    is_root = os.geteuid() == 0
    return Facts(
        hostname=socket.gethostname(),
        status=status,
        corosync=corosync,
        daemon_fault=daemon_fault,
        spec=spec,
        config_fault=config_fault,
        conf_nodes=conf_nodes,
        conf_fault=conf_fault,
        units=units,
        systemd_fault=systemd_fault,
        services_up=services_up,
        fence_faults=_fence_faults(spec, places) if spec and is_root else {},
        fence_fault="" if is_root else "secrets can be read by root only",
        watchdog_fault=_watchdog_fault(spec, places.guard),
        state_fault=_state_fault(places.state),
        state_free_bytes=shutil.disk_usage(places.state).free if places.state.is_dir() else None,
        policy_fault=_policy_fault(places.policies),
        missing_groups=_missing_groups(),
        key_fault=_key_fault(places.authkey),
    )


def _ask_daemon(connect: Connector) -> tuple[Status | None, CorosyncView | None, str]:
    try:
        with connect() as daemon:
            return daemon.status(), daemon.corosync(), ""
    except DaemonError as error:
        return None, None, str(error)


def _read_config(path: Path) -> tuple[ClusterSpec | None, str]:
    try:
        return load(path, None), ""
    except ConfigError as error:
        first, *rest = error.problems
        more = f", and {len(rest)} more" if rest else ""
        return None, f"{path}: {first.path}: {first.problem}{more}"


def _read_corosync_conf(path: Path) -> tuple[tuple[ConfNode, ...] | None, str]:
    try:
        return read_nodes(path.read_text(encoding="utf-8", errors="replace")), ""
    except OSError as error:
        return None, f"{path} cannot be read: {error.strerror}"


def _ask_systemd(
    spec: ClusterSpec | None,
) -> tuple[dict[str, UnitFacts] | None, dict[str, tuple[str, ...]], str]:
    named = [resource.parameters["unit"] for _, resource in resources_of(spec)] if spec else []
    try:
        units = asyncio.run(look_up([COROSYNC_UNIT, DAEMON_UNIT, *named]))
        return units, asyncio.run(look_for_services()), ""
    except BusError as error:
        return None, {}, f"systemd cannot be asked: {error.text or error}"


def _fence_faults(spec: ClusterSpec, places: Places) -> dict[str, tuple[str, ...]]:
    return {node.name: tuple(_faults_of(node, spec, places)) for node in spec.nodes.values()}


def _faults_of(node: NodeSpec, spec: ClusterSpec, places: Places) -> Sequence[str]:
    faults = []
    for step in (step for method in node.fence for step in method):
        fault = _fault_of(step, spec, places)
        if fault and fault not in faults:
            faults.append(fault)
    return faults


def _fault_of(step: FenceStep, spec: ClusterSpec, places: Places) -> str:
    """Return why a step could not be tried; empty when it could."""
    device = spec.fencing.devices[step.device]
    if not any(os.access(folder / device.agent, os.X_OK) for folder in places.agents):
        folders = " or ".join(map(str, places.agents))
        return f"{device.name}: no agent {device.agent!r} in {folders}"
    try:
        options_of(device, step, places.secrets)
    except StepError as error:
        return f"{device.name}: {error}"
    return ""


def _watchdog_fault(spec: ClusterSpec | None, guard: Path) -> str:
    """Say why the watchdog cannot be used; a guard that runs has it."""
    device = spec.fencing.watchdog if spec else ""
    if not device or device == WATCHDOG_OF_SYSTEMD or guard.exists():
        return ""
    try:
        check_device(Path(device))
    except WatchdogError as error:
        return str(error)
    return ""


def _state_fault(path: Path) -> str:
    if not path.is_dir():
        return f"{path} is no directory"
    if os.geteuid() == 0 and not os.access(path, os.W_OK):
        return f"{path} cannot be written to"
    return ""


def _policy_fault(paths: Sequence[Path]) -> str:
    return "" if any(path.is_file() for path in paths) else f"there is no {paths[-1]}"


def _missing_groups() -> tuple[str, ...]:
    known = {entry.gr_name for entry in grp.getgrall()}
    return tuple(name for name in GROUPS if name not in known)


def _key_fault(path: Path) -> str:
    """Return what is wrong with corosync's key; one that is not there is corosync's to miss."""
    try:
        mode = path.stat().st_mode
    except OSError:
        return ""
    return f"{path} can be read by others: chmod it to 0400" if mode & _OTHERS else ""
