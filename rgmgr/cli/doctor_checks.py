# SPDX-License-Identifier: Apache-2.0
"""The checks of `rgmgr doctor`: facts in, verdicts out. Pure.

A check says what was found and, unless it is ok, what to do. What could not be looked at is
*unknown*, never ok. *fail*: a service may run twice, or not fail over. *warn*: worth mending.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import Enum
from pathlib import PurePath

from rgmgr.adapters.systemd.checkup import UnitFacts
from rgmgr.adapters.systemd.names import slice_of
from rgmgr.config.advice import warnings
from rgmgr.config.corosync_conf import ConfNode
from rgmgr.config.problems import listed
from rgmgr.core.spec import EXISTING_UNIT_TYPES, ClusterSpec, NodeSpec, ResourceSpec
from rgmgr.links import CorosyncView
from rgmgr.view import NodeView, ServiceView, Status

SKEW_MS_MAX = 1_000
SILENCE_MS = 1_000
"""A ring may break just before the next feeding, and is whole again for a tick before it."""
FREE_BYTES_MIN = 100 << 20
"""The state is written beside its predecessor, and none is above 32 MiB."""

DAEMON_UNIT = "rgmgrd.service"
COROSYNC_UNIT = "corosync.service"
OUR_DROP_IN = "50-rgmgr.conf"
ASK_DAEMON = "rgmgrd, which would know, cannot be asked"


class Verdict(Enum):
    """What came of a check; worst last."""

    OK = "ok"
    UNKNOWN = "unknown"
    WARN = "warn"
    FAIL = "fail"


@dataclass(frozen=True, slots=True)
class Check:
    """One check and its verdict."""

    group: str
    name: str
    verdict: Verdict
    found: str
    advice: str = ""  # what to do; empty when it is ok


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What was found on this node. A fault says why the thing beside it is not there."""

    hostname: str
    status: Status | None = None
    corosync: CorosyncView | None = None
    daemon_fault: str = ""
    spec: ClusterSpec | None = None  # of the file on disk
    config_fault: str = ""
    conf_nodes: tuple[ConfNode, ...] | None = None  # of corosync.conf on disk
    conf_fault: str = ""
    units: Mapping[str, UnitFacts] | None = None
    systemd_fault: str = ""
    services_up: Mapping[str, tuple[str, ...]] = field(default_factory=dict)  # here, with units
    fence_faults: Mapping[str, tuple[str, ...]] = field(default_factory=dict)  # by node
    fence_fault: str = ""  # why that is not known
    watchdog_fault: str = ""
    state_fault: str = ""
    state_free_bytes: int | None = None
    policy_fault: str = ""
    missing_groups: tuple[str, ...] = ()
    key_fault: str = ""


def check_all(facts: Facts) -> tuple[Check, ...]:
    """Return every check, in the order in which things depend on each other."""
    return (
        *_installation(facts),
        *_corosync(facts),
        *_cluster(facts),
        *_fencing(facts),
        *_units(facts),
    )


def worst(checks: tuple[Check, ...]) -> Verdict:
    """Return the worst verdict."""
    order = list(Verdict)
    return max((check.verdict for check in checks), key=order.index, default=Verdict.OK)


def resources_of(spec: ClusterSpec) -> Iterator[tuple[str, ResourceSpec]]:
    """Yield every resource of type systemd with the name of its service."""
    for service in spec.services:
        todo = list(service.resources)
        while todo:
            resource = todo.pop(0)
            todo = [*resource.children, *todo]
            if resource.type in EXISTING_UNIT_TYPES:
                yield service.name, resource


def _check(group: str, name: str, faults: list[str], advice: str, good: str) -> Check:
    """Return ok when there are no faults, else fail."""
    if not faults:
        return Check(group, name, Verdict.OK, good)
    return Check(group, name, Verdict.FAIL, "; ".join(faults), advice)


def _installation(facts: Facts) -> Iterator[Check]:
    group = "installation"
    yield _daemon(facts)
    yield from _daemon_unit(facts)
    faults = [facts.state_fault] if facts.state_fault else []
    advice = "make it a directory of root, on a disk that can be written to"
    yield _check(group, "state directory", faults, advice, "can be written to")
    free = facts.state_free_bytes
    if free is not None and free < FREE_BYTES_MIN:
        text = f"{free >> 20} MiB are free where the state is kept"
        yield Check(group, "disk space", Verdict.WARN, text, "make room")
    advice = "install systemd/org.rgmgr.conf of rgmgr there, then 'systemctl reload dbus'"
    faults = [facts.policy_fault] if facts.policy_fault else []
    yield _check(group, "bus policy", faults, advice, "installed")
    if facts.missing_groups:
        text = f"no group {listed(facts.missing_groups)}: only root can operate and look"
        advice = "install systemd/rgmgr.sysusers.conf of rgmgr, then 'systemd-sysusers'"
        yield Check(group, "groups", Verdict.WARN, text, advice)
    else:
        yield Check(group, "groups", Verdict.OK, "there")


def _daemon(facts: Facts) -> Check:
    if facts.status is not None:
        note = f": {facts.status.note}" if facts.status.note else ""
        state = "takes part" if facts.status.is_installed else f"does not take part{note}"
        verdict = Verdict.OK if facts.status.is_installed else Verdict.WARN
        advice = "" if facts.status.is_installed else "'journalctl -u rgmgrd' says more"
        return Check("installation", "rgmgrd", verdict, f"answers, {state}", advice)
    advice = "'systemctl start rgmgrd', or 'systemctl status rgmgrd' to see why not"
    return Check("installation", "rgmgrd", Verdict.FAIL, facts.daemon_fault, advice)


def _daemon_unit(facts: Facts) -> Iterator[Check]:
    group = "installation"
    if facts.units is None:
        advice = "'systemctl status dbus' may say why"
        yield Check(group, "systemd", Verdict.UNKNOWN, facts.systemd_fault, advice)
        return
    for name in (COROSYNC_UNIT, DAEMON_UNIT):
        unit = facts.units[name]
        is_enabled = unit.file_state.startswith("enabled")
        text = (
            f"is {unit.file_state or unit.load}, so the node comes back without it after a reboot"
        )
        yield (
            Check(group, name, Verdict.OK, "enabled")
            if is_enabled
            else Check(group, name, Verdict.WARN, text, f"systemctl enable {name}")
        )
    if not facts.units[DAEMON_UNIT].watchdog_us:
        text = "no WatchdogSec: a daemon that hangs is not restarted"
        yield Check(group, "watchdog", Verdict.WARN, text, f"set it in {DAEMON_UNIT}")
    else:
        seconds = facts.units[DAEMON_UNIT].watchdog_us / 1_000_000
        yield Check(group, "watchdog", Verdict.OK, f"{seconds:g} s")


def _corosync(facts: Facts) -> Iterator[Check]:
    group = "corosync"
    view = facts.corosync
    if view is None:
        yield _corosync_unit(facts)
        for name in ("quorum", "links"):
            yield Check(group, name, Verdict.UNKNOWN, ASK_DAEMON, "start rgmgrd")
    elif view.totem is None:
        yield Check(group, "corosync", Verdict.FAIL, view.fault, "systemctl start corosync")
        for name in ("quorum", "links"):
            yield Check(group, name, Verdict.UNKNOWN, "corosync is not there", "start corosync")
    else:
        yield Check(group, "corosync", Verdict.OK, "answers")
        yield _quorum(view)
        yield from _links(view)
    yield _names(facts)
    faults = [facts.key_fault] if facts.key_fault else []
    advice = "then make a new key, for this one may be known"
    yield _check(group, "authkey", faults, advice, "readable by root only, or not used")


def _corosync_unit(facts: Facts) -> Check:
    unit = facts.units[COROSYNC_UNIT] if facts.units else None
    if unit is None:
        return Check("corosync", "corosync", Verdict.UNKNOWN, ASK_DAEMON, "start rgmgrd")
    faults = [] if unit.active == "active" else [f"{COROSYNC_UNIT} is {unit.active}"]
    advice = "'systemctl start corosync', or 'systemctl status corosync' to see why not"
    return _check("corosync", "corosync", faults, advice, f"{COROSYNC_UNIT} is active")


def _quorum(view: CorosyncView) -> Check:
    quorum = view.quorum
    if quorum is None:
        return Check("corosync", "quorum", Verdict.FAIL, "no quorum provider", "see links")
    text = f"{quorum.total} of {quorum.expected} votes, {quorum.needed} needed"
    faults = [] if quorum.is_quorate else [f"no quorum: {text}"]
    advice = "start the other nodes, or mend the network; nothing starts until then"
    return _check("corosync", "quorum", faults, advice, text)


def _links(view: CorosyncView) -> Iterator[Check]:
    for warning in view.warnings:
        found, _, advice = warning.text.partition("; ")
        verdict = Verdict.FAIL if warning.code == "no-quorum-provider" else Verdict.WARN
        yield Check("corosync", warning.code, verdict, found, advice)
    if not view.warnings:
        detection = f"{view.totem.detection_ms / 1000:.1f} s" if view.totem else ""
        links = f"{sum(link.is_connected for link in view.links)} of {len(view.links)} up"
        yield Check("corosync", "links", Verdict.OK, f"{links}, dead nodes noticed in {detection}")


def _names(facts: Facts) -> Check:
    """Compare the names of corosync.conf, of cluster.toml and of this machine."""
    group, name = "corosync", "node names"
    if facts.conf_nodes is None:
        return Check(group, name, Verdict.FAIL, facts.conf_fault, "'rgmgr corosync-conf' makes one")
    in_conf = {node.name for node in facts.conf_nodes}
    if facts.spec is None:
        text = "cluster.toml cannot be read, so its names are not known"
        return Check(group, name, Verdict.UNKNOWN, text, "correct cluster.toml")
    in_toml = {node.name for node in facts.spec.nodes.values()}
    faults = [
        f"only {file} has {listed(sorted(names))}"
        for file, names in (
            ("corosync.conf", in_conf - in_toml),
            ("cluster.toml", in_toml - in_conf),
        )
        if names
    ]
    if faults:
        return _check(group, name, faults, "use the same names in both files", "")
    if not {facts.hostname, facts.hostname.partition(".")[0]} & in_conf:
        text = f"the host name {facts.hostname!r} is none of {listed(sorted(in_conf))}"
        advice = "let host name and node name be the same, so that nobody mends the wrong machine"
        return Check(group, name, Verdict.WARN, text, advice)
    return Check(group, name, Verdict.OK, f"{listed(sorted(in_conf))} in both files")


def _cluster(facts: Facts) -> Iterator[Check]:
    group = "cluster"
    if facts.spec is None:
        advice = "correct it, then 'rgmgr config check'"
        yield Check(group, "cluster.toml", Verdict.FAIL, facts.config_fault, advice)
    else:
        found = f"version {facts.spec.version}, no problems"
        yield Check(group, "cluster.toml", Verdict.OK, found)
        for text in warnings(facts.spec):
            path, _, what = text.partition(": ")
            yield Check(group, path, Verdict.WARN, what, "'rgmgr config check' says the same")
    if facts.status is None:
        for name in ("same cluster.toml", "clocks"):
            yield Check(group, name, Verdict.UNKNOWN, ASK_DAEMON, "start rgmgrd")
        return
    yield _same_file(facts.status, facts.spec)
    yield _clocks(facts.status)


def _same_file(status: Status, on_disk: ClusterSpec | None) -> Check:
    group, name = "cluster", "same cluster.toml"
    told = [(node.name, node.file) for node in status.nodes if node.is_member and node.file]
    own = next((node.file for node in status.nodes if node.is_local), None)
    others = [(node, file) for node, file in told if own and file.digest != own.digest]
    if own and others:
        faults = [f"{node} has read another one, version {file.version}" for node, file in others]
        text = f"this node has read version {own.version}, but {'; '.join(faults)}"
        advice = (
            "put the file with the higher version on every node, then 'systemctl reload rgmgrd'"
        )
        return Check(group, name, Verdict.FAIL, text, advice)
    if own and on_disk and on_disk.digest != own.digest:
        text = f"the file on disk, version {on_disk.version}, is not the one that rgmgrd has read"
        advice = "raise 'version' if that is still to be done, then 'systemctl reload rgmgrd'"
        return Check(group, name, Verdict.WARN, text, advice)
    if own is None or not told:
        return Check(
            group, name, Verdict.UNKNOWN, "this node has not joined yet", "wait, ask again"
        )
    return Check(group, name, Verdict.OK, f"version {own.version} on {listed(n for n, _ in told)}")


def _clocks(status: Status) -> Check:
    group, name = "cluster", "clocks"
    skews = {
        node.name: node.skew_ms
        for node in status.nodes
        if node.skew_ms is not None and not node.is_local
    }
    far = [
        f"{node} is {abs(skew) / 1000:.1f} s {'ahead' if skew > 0 else 'behind'}"
        for node, skew in skews.items()
        if abs(skew) > SKEW_MS_MAX
    ]
    if far:
        advice = "run a time service (chrony, systemd-timesyncd); journals cannot be compared"
        return Check(group, name, Verdict.WARN, listed(far), advice)
    if not skews:
        return Check(group, name, Verdict.UNKNOWN, "no other member tells its time", "ask again")
    most = max(abs(skew) for skew in skews.values())
    return Check(group, name, Verdict.OK, f"at most {most} ms from {listed(skews)}")


def _fencing(facts: Facts) -> Iterator[Check]:
    group = "fencing"
    if facts.spec is None:
        text = "cluster.toml cannot be read"
        yield Check(group, "fencing", Verdict.UNKNOWN, text, "correct cluster.toml")
        return
    if facts.spec.fencing.unsafe_disabled:
        text = "disabled by fencing.unsafe_disabled: a service may run twice and destroy its data"
        yield Check(group, "fencing", Verdict.FAIL, text, "configure a fence method for every node")
        return
    views = {node.name: node for node in facts.status.nodes} if facts.status else {}
    for node in facts.spec.nodes.values():
        if facts.fence_fault:
            yield Check(group, node.name, Verdict.UNKNOWN, facts.fence_fault, "run it as root")
            continue
        good = f"{_methods(node)}, agents and secrets are here; {_proof(views.get(node.name))}"
        faults = list(facts.fence_faults.get(node.name, ()))
        advice = "until it is mended this node cannot fence that one"
        yield _check(group, node.name, faults, advice, good)
    if facts.spec.fencing.watchdog:
        yield _watchdog(facts, facts.spec)


def _watchdog(facts: Facts, spec: ClusterSpec) -> Check:
    """Look whether this node can promise to reset itself, and in a time that it can keep."""
    faults = [facts.watchdog_fault] if facts.watchdog_fault else []
    timeout_ms = spec.fencing.watchdog_ms
    advice = "until it is mended, time does not prove this node down"
    quorum = facts.corosync.quorum if facts.corosync else None
    totem = facts.corosync.totem if facts.corosync else None
    if quorum is not None and "two_node" in quorum.flags:
        faults.append("with corosync's two_node both halves go on, and neither would be reset")
    if totem is not None:
        needed_ms = spec.sync_timeout_ms + totem.detection_ms + SILENCE_MS
        if timeout_ms < needed_ms:
            faults.append(
                f"watchdog_timeout of {timeout_ms / 1000:g} s is less than corosync's detection, "
                f"sync_timeout and 1 s, which are {needed_ms / 1000:g} s"
            )
    good = f"{spec.fencing.watchdog}, {timeout_ms / 1000:g} s; not tried"
    return _check("fencing", "self-fencing", faults, advice, good)


def _methods(node: NodeSpec) -> str:
    devices = " then ".join("+".join(step.device for step in method) for method in node.fence)
    return f"by {devices}"


def _proof(node: NodeView | None) -> str:
    if node is None or node.proof is None:
        return "never needed yet, so never proven: cut its power once to see it work"
    return f"last {node.proof.kind} by {node.proof.by}, {node.proof.age_ms // 1000} s ago"


def _units(facts: Facts) -> Iterator[Check]:
    if facts.spec is None or facts.units is None:
        reason = facts.systemd_fault or "cluster.toml cannot be read"
        yield Check("units", "units", Verdict.UNKNOWN, reason, "mend that first")
        return
    services = {service.name: service for service in facts.status.services} if facts.status else {}
    here = facts.status.node if facts.status and facts.status.is_installed else None
    seen = set()
    for service, resource in resources_of(facts.spec):
        unit = facts.units[resource.parameters["unit"]]
        if unit.name in seen:
            continue
        seen.add(unit.name)
        stray = _stray(unit, services.get(service), here)
        yield stray or _unit(unit)
    yield from _orphans(facts, {*services, *(service.name for service in facts.spec.services)})


def _orphans(facts: Facts, known: set[str]) -> Iterator[Check]:
    """Yield a failure for each service that runs here and that nobody has heard of."""
    for service, units in facts.services_up.items():
        if service not in known:
            text = f"{listed(units)} run here, and neither cluster.toml nor the cluster knows it"
            advice = f"systemctl stop '{slice_of(service)}'"
            yield Check("units", f"service {service}", Verdict.FAIL, text, advice)


def _stray(unit: UnitFacts, service: ServiceView | None, here: str | None) -> Check | None:
    """Return a failure for a unit that runs here although its service does so elsewhere."""
    if unit.active != "active" or service is None or here is None:
        return None
    if service.state not in ("started", "disabled", "stopped") or service.owner == here:
        return None
    where = f"runs on {service.owner}" if service.owner else f"is {service.state}"
    text = f"is active here, but service {service.name} {where}"
    return Check("units", unit.name, Verdict.FAIL, text, f"systemctl stop {unit.name}")


def _unit(unit: UnitFacts) -> Check:
    """Return the worst that can be said of a unit."""
    for verdict, text, advice in _remarks(unit):
        return Check("units", unit.name, verdict, text, advice)
    notes = [f"{unit.file_state or unit.load}, {unit.active}"]
    if unit.restart != "no":
        notes.append(f"Restart={unit.restart} is overridden while rgmgr runs it")
    return Check("units", unit.name, Verdict.OK, "; ".join(notes))


def _remarks(unit: UnitFacts) -> Iterator[tuple[Verdict, str, str]]:
    """Yield what is wrong with a unit, worst first."""
    name = unit.name
    if unit.load == "masked":
        yield Verdict.FAIL, "is masked: the service cannot start here", f"systemctl unmask {name}"
    elif unit.load == "not-found":
        text = "does not exist on this node: the service cannot start here"
        yield Verdict.FAIL, text, "install it, or keep the service away by its failover domain"
    elif unit.load != "loaded":
        yield Verdict.FAIL, f"cannot be loaded ({unit.load})", f"systemctl status {name}"
    elif unit.file_state.startswith("enabled"):
        text = f"is {unit.file_state}: it starts at boot by itself, also while it runs elsewhere"
        yield Verdict.FAIL, text, f"systemctl disable {name}"
    elif unit.triggered_by:
        text = f"can be started by {listed(unit.triggered_by)}, also while it runs elsewhere"
        yield Verdict.FAIL, text, f"systemctl disable --now {' '.join(unit.triggered_by)}"
    elif unit.wanted_by:
        text = f"is started together with {listed(unit.wanted_by)}"
        yield Verdict.WARN, text, "remove that dependency"
    elif unit.needs_reload:
        text = "its file has changed since systemd read it"
        yield Verdict.WARN, text, "systemctl daemon-reload"
    elif late := [path for path in unit.drop_ins if PurePath(path).name > OUR_DROP_IN]:
        text = f"{listed(late)} wins over what rgmgr sets (Slice=, Restart=no)"
        yield Verdict.WARN, text, f"give it a name before {OUR_DROP_IN}"
    elif unit.restart != "no" and any(PurePath(path).name == OUR_DROP_IN for path in unit.drop_ins):
        text = f"Restart={unit.restart} is in force although rgmgr runs it"
        yield Verdict.WARN, text, f"'systemctl cat {name}' shows where it is set"
