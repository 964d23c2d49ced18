# SPDX-License-Identifier: Apache-2.0
"""What the administrator asked for: the checked configuration as the core sees it.

Built by `rgmgr.config.schema` from cluster.toml, carried inside the agreed state. Times are
milliseconds. A fence option should hold a reference such as `secret:ipmi1`; one in clear text is
warned of and is here too, so a spec is never logged.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import NewType

from domains.model import FailoverDomain, NodeId, ServiceName, Tenant, Terms

ResourceName = NewType("ResourceName", str)

EXISTING_UNIT_TYPES = ("systemd", "nfsserver")
"""Types of which the unit is installed on the nodes, under its own name."""
MIGRATABLE_TYPES = ("vm",)
"""Types that can go to another node while they run."""

LEFT_OVER = "left-over"
"""The type of a resource of which nothing but its name is known: it can only be stopped."""

SHAREABLE_FILE_SYSTEMS = frozenset({"gfs2", "ocfs2"})
"""Those that several nodes may mount at once."""

AGENT_OPTION_PREFIX = "OCF_RESKEY_"
"""Begins the parameters of an OCF agent that are its own. Source: OCF Resource Agent API 1.0."""


class RecoveryPolicy(Enum):
    """What happens when a running service fails. Source: rgmanager `recovery`."""

    RESTART = "restart"
    RELOCATE = "relocate"
    DISABLE = "disable"
    RESTART_DISABLE = "restart-disable"


class Deed(Enum):
    """What a rung of a recovery ladder does about a failure, the mildest first."""

    TOLERATE = "tolerate"  # what is broken is restarted, and no more is made of it
    RESTART = "restart"  # the service is restarted where it is
    RELOCATE = "relocate"
    DISABLE = "disable"


@dataclass(frozen=True, slots=True, kw_only=True)
class Rung:
    """One step of a recovery ladder: it answers up to `limit` failures within `window_ms`."""

    deed: Deed
    limit: int = 0  # 0: any number
    window_ms: int = 0  # 0: they count for ever


class DependMode(Enum):
    """What the loss of a service means to one that depends on it. Source: `depend_mode`."""

    HARD = "hard"  # it stops, and starts again when the other is up
    SOFT = "soft"  # it needs the other to start, and not to go on


class TakeoverMode(Enum):
    """When a service starts elsewhere, once its lost owner is proven down."""

    AUTO = "auto"  # at once
    DELAY = "delay"  # after a time, unless the owner is back before
    CONFIRM = "confirm"  # when an administrator says so
    ALERT = "alert"  # never by itself: it is told, and an administrator enables the service


class ShutdownMode(Enum):
    """What becomes of a service when its node is shut down."""

    FAILOVER = "failover"  # it starts elsewhere at once
    WAIT = "wait"  # its node has a time to come back
    STAY = "stay"  # it stays down until its node is back


class NoQuorumPolicy(Enum):
    """What a node does with its services when it has no quorum."""

    STOP = "stop"
    FREEZE = "freeze"  # leave them running, touch nothing; the others fence this node
    IGNORE = "ignore"  # go on with what runs and is under way, start nothing; likewise
    SUICIDE = "suicide"  # reboot this node at once


class StopFailurePolicy(Enum):
    """What follows when a service cannot be stopped where it runs."""

    HOLD = "hold"  # it is failed until an administrator has looked
    FENCE = "fence"  # its node is fenced, and it goes on elsewhere


class FenceVerb(Enum):
    """How a lost node is treated: powered off, or powered off and on again."""

    OFF = "off"
    REBOOT = "reboot"


WATCHDOG_AGENT = "fence_watchdog"
"""The agent that waits until the watchdog of a lost node has reset it."""

WATCHDOG_OF_SYSTEMD = "systemd"
"""The node's own systemd is the watchdog, where there is no device."""


class CheckKind(Enum):
    """How a resource that is up is asked whether it works."""

    HTTP = "http"
    TCP = "tcp"
    COMMAND = "command"
    MONITOR = "monitor"  # the agent's or script's own action


class Independence(Enum):
    """How a subtree fails apart from the rest. Source: rgmanager `__independent_subtree`."""

    RESTART = "restart"  # it alone is restarted; past its limit the service is recovered
    NON_CRITICAL = "non-critical"  # likewise; past its limit it stays off, the rest goes on


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckSpec:
    """One check of a resource: `target` is a URL, HOST:PORT, a command, or a depth.

    The depth is that of an OCF agent's monitor action, from 0 (quick).
    """

    kind: CheckKind
    target: str
    status: int = 200  # of HTTP, that means well
    interval_ms: int = 10_000
    timeout_ms: int = 5_000
    tolerance: int = 0  # failures in a row that are borne


@dataclass(frozen=True, slots=True, kw_only=True)
class ResourceSpec:
    """One place in a service tree. Its name is unique in the service.

    `parameters` are those of the type (`unit`, `address`, `device` ...), already checked. The
    levels order it among its siblings (`tree.py`).
    """

    name: ResourceName
    type: str
    parameters: dict[str, str]
    children: tuple[ResourceSpec, ...] = ()
    start_level: int | None = None  # 1-100; None: after all that have one
    stop_level: int | None = None  # 1-100; None: before all that have one
    start_timeout_ms: int = 60_000
    stop_timeout_ms: int = 60_000
    checks: tuple[CheckSpec, ...] = ()
    independent: Independence | None = None  # None: its failure is its parent's
    max_restarts: int = 0  # of the independent subtree; 0: no limit, or none for a non-critical one
    restart_expire_ms: int = 0  # 0: they never expire
    tolerated: int = 0  # failures within `tolerance_ms` that only restart it and count for nothing
    tolerance_ms: int = 0
    is_shared: bool = False  # defined by [[resource]] and used here by `ref`
    max_uses: int = 0  # of a shared one, in the whole configuration; 0: no limit


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceSpec:
    """A service: what moves between nodes as a whole."""

    name: ServiceName
    resources: tuple[ResourceSpec, ...]
    domain: str | None = None
    autostart: bool = True
    recovery: RecoveryPolicy = RecoveryPolicy.RESTART
    max_restarts: int = 0  # 0: unlimited
    restart_expire_ms: int = 0  # 0: entries never expire
    ladder: tuple[Rung, ...] = ()  # instead of the three above; the last one has no limit
    no_quorum_policy: NoQuorumPolicy | None = None  # None: the cluster's
    on_stop_failure: StopFailurePolicy = StopFailurePolicy.HOLD
    depend: tuple[ServiceName, ...] = ()  # services that must be up before it starts
    depend_mode: DependMode = DependMode.HARD
    takeover: TakeoverMode = TakeoverMode.AUTO
    takeover_delay_ms: int = 0  # of DELAY
    on_shutdown: ShutdownMode = ShutdownMode.FAILOVER
    shutdown_wait_ms: int = 0  # of WAIT
    weight: int = 1  # in a race of two halves: the side that runs more of it fences first
    terms: Terms = field(default_factory=Terms)  # what it asks of its node


@dataclass(frozen=True, slots=True, kw_only=True)
class FenceStep:
    """One configured use of a device for one node."""

    device: str
    options: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class FenceDevice:
    """A fence device: the agent that drives it and the options all its uses share."""

    name: str
    agent: str
    options: dict[str, str] = field(default_factory=dict)
    unfence_at_join: bool = False  # it cuts paths, not power: open them only after a reboot


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeSpec:
    """A configured node; `fence` holds its methods in order, each a tuple of steps."""

    name: str
    fence: tuple[tuple[FenceStep, ...], ...] = ()
    fence_delay_ms: int = 0  # a head start in a race: who fences this node waits so long
    capacity: int | None = None  # for the loads of services; None: no limit


@dataclass(frozen=True, slots=True, kw_only=True)
class FencingSpec:
    """Cluster-wide fencing settings. Source: fenced(8)."""

    devices: dict[str, FenceDevice] = field(default_factory=dict)
    verb: FenceVerb = FenceVerb.REBOOT
    post_fail_delay_ms: int = 0
    post_join_delay_ms: int = 6_000
    timeout_ms: int = 60_000  # of one agent run
    clean_start: bool = False
    unsafe_disabled: bool = False
    delay_random_ms: int = 0  # waited for in a race: up to so much, by chance
    delay_by_weight_ms: int = 0  # waited for in a race by the side that runs less
    max_fences: int = 0  # cases in `max_fences_ms`; past it an operator is asked. 0: no limit
    max_fences_ms: int = 0
    test_interval_ms: int = 60_000  # between two tests of all fence paths; 0: none
    tie_breaker: tuple[str, ...] = ()  # "ping:ADDRESS": without a majority, see one or not fence
    lease: str = ""  # a shared disk: without a majority, have the lease on it or do not fence
    watchdog: str = ""  # what resets a node that is cut off: a device, or SYSTEMD; empty: nothing
    watchdog_ms: int = 15_000


@dataclass(frozen=True, slots=True, kw_only=True)
class PingSpec:
    """What every node should reach: an address that answers, or a link that is there."""

    name: str
    address: str = ""  # one of the two is given
    interface: str = ""
    weight: int = 1  # how much worse a node is that does not reach it
    interval_ms: int = 2_000
    failures: int = 3  # in a row, until it counts as lost
    successes: int = 3  # in a row, until it counts as reached


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterSpec:
    """The whole configuration. `digest` is a hash of its text: equal version, equal digest."""

    name: str
    version: int
    digest: str
    nodes: dict[NodeId, NodeSpec]
    services: tuple[ServiceSpec, ...]  # in document order, which is the order of placement
    domains: dict[str, FailoverDomain] = field(default_factory=dict)
    fencing: FencingSpec = field(default_factory=FencingSpec)
    no_quorum_policy: NoQuorumPolicy = NoQuorumPolicy.STOP
    rejoin_grace_ms: int = 30_000
    sync_timeout_ms: int = 10_000
    pings: tuple[PingSpec, ...] = ()
    warntime_ms: int = 2_000  # a member that is silent for longer is told of; 0: none is

    def node_name(self, node: NodeId) -> str:
        """Return the name of a node, or `node ID` for one that is not configured."""
        spec = self.nodes.get(node)
        return spec.name if spec else f"node {node}"

    def domain_of(self, service: ServiceSpec) -> FailoverDomain | None:
        """Return the failover domain of a service; None when it may run anywhere alike."""
        return self.domains.get(service.domain) if service.domain else None

    def tenant(self, service: ServiceSpec) -> Tenant:
        """Return a service as the rules of placement see it."""
        return Tenant(service.name, self.domain_of(service), service.terms)
