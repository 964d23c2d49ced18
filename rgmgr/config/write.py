# SPDX-License-Identifier: Apache-2.0
"""Writing cluster.toml: the opposite of `schema`. The only module that knows the package toml.

What has its default is left out. Whoever adds a key to a reader adds a line to the function of the
same section here: `_fencing`, `_node`, `_domain`, `_service` and so on.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from enum import Enum
from typing import Any

import toml

from domains.model import FailoverDomain, Terms, Tie
from rgmgr.config.checks import usual_checks
from rgmgr.config.durations import written_duration
from rgmgr.config.fencing import CUTS_PATHS
from rgmgr.config.ladder import written_ladder
from rgmgr.config.levels import LEVELS, SERVICE, Levels
from rgmgr.config.modes import written_mode
from rgmgr.config.rates import written_rate
from rgmgr.config.resources import RESOURCE_TYPES, ResourceType, flag_word
from rgmgr.core.spec import (
    AGENT_OPTION_PREFIX,
    CheckKind,
    CheckSpec,
    ClusterSpec,
    FenceDevice,
    FencingSpec,
    NodeSpec,
    PingSpec,
    ResourceName,
    ResourceSpec,
    ServiceSpec,
    ShutdownMode,
    TakeoverMode,
)
from rgmgr.core.tree import start_order

Entries = dict[str, Any]
Shared = dict[ResourceName, ResourceSpec]

_CLUSTER = ClusterSpec(name="", version=0, digest="", nodes={}, services=())
_FENCING = FencingSpec()
_DOMAIN = FailoverDomain(name="", priorities={})
_TERMS = Terms()
_PING = PingSpec(name="")
_RESOURCE = ResourceSpec(name=ResourceName(""), type="", parameters={})
_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")


def written(spec: ClusterSpec) -> str:
    """Return a cluster.toml that says this; comments and defaults of another one are lost.

    Nodes are numbered again by whoever reads it: by corosync, or from 1 in their order.
    """
    tops = (start_order(service) for service in spec.services)
    shared: Shared = {r.name: r for order in tops for r in order[::-1] if r.is_shared}
    sections: Entries = {
        "cluster": _cluster(spec),
        "node": [_node(node) for node in spec.nodes.values()],
        "fencing": _fencing(spec.fencing),
        "ping": [_ping(ping) for ping in spec.pings],
        "domain": {name: _domain(domain, spec) for name, domain in spec.domains.items()},
        "resource": [_shared(resource) for resource in shared.values()],
        "service": [_service(service, shared) for service in spec.services],
    }
    texts = [toml.dumps({key: part}, _encoder()) for key, part in sections.items() if part]
    return "\n".join(text.strip("\n") + "\n" for text in texts)


def _cluster(spec: ClusterSpec) -> Entries:
    return {
        "name": spec.name,
        "version": spec.version,
        **_word("no_quorum_policy", spec.no_quorum_policy, _CLUSTER.no_quorum_policy),
        **_span("rejoin_grace", spec.rejoin_grace_ms, _CLUSTER.rejoin_grace_ms),
        **_span("sync_timeout", spec.sync_timeout_ms, _CLUSTER.sync_timeout_ms),
        **_span("warntime", spec.warntime_ms, _CLUSTER.warntime_ms),
    }


def _node(node: NodeSpec) -> Entries:
    methods = [
        [_Inline({"device": step.device, **step.options}) for step in method]
        for method in node.fence
    ]
    return {
        "name": node.name,
        **_plain("fence", methods, []),
        **_span("fence_delay", node.fence_delay_ms, 0),
        **_plain("capacity", node.capacity, None),
    }


def _fencing(fencing: FencingSpec) -> Entries:
    return {
        **_span("post_fail_delay", fencing.post_fail_delay_ms, _FENCING.post_fail_delay_ms),
        **_span("post_join_delay", fencing.post_join_delay_ms, _FENCING.post_join_delay_ms),
        **_span("timeout", fencing.timeout_ms, _FENCING.timeout_ms),
        **_word("action", fencing.verb, _FENCING.verb),
        **_plain("clean_start", fencing.clean_start, _FENCING.clean_start),
        **_plain("unsafe_disabled", fencing.unsafe_disabled, _FENCING.unsafe_disabled),
        **_span("delay_random", fencing.delay_random_ms, _FENCING.delay_random_ms),
        **_span("delay_by_weight", fencing.delay_by_weight_ms, _FENCING.delay_by_weight_ms),
        **_plain("max_fences", written_rate(fencing.max_fences, fencing.max_fences_ms), None),
        **_span("test_interval", fencing.test_interval_ms, _FENCING.test_interval_ms),
        **_plain("tie_breaker", list(fencing.tie_breaker), []),
        **_plain("lease", fencing.lease, ""),
        **_plain("watchdog", fencing.watchdog, ""),
        **_span("watchdog_timeout", fencing.watchdog_ms, _FENCING.watchdog_ms),
        **_plain("device", {n: _device(d) for n, d in fencing.devices.items()}, {}),
    }


def _ping(ping: PingSpec) -> Entries:
    return {
        "name": ping.name,
        **_plain("address", ping.address, ""),
        **_plain("interface", ping.interface, ""),
        **_plain("weight", ping.weight, _PING.weight),
        **_span("interval", ping.interval_ms, _PING.interval_ms),
        **_plain("failures", ping.failures, _PING.failures),
        **_plain("successes", ping.successes, _PING.successes),
    }


def _device(device: FenceDevice) -> Entries:
    return {
        "agent": device.agent,
        **_plain("unfence_at_join", device.unfence_at_join, device.agent in CUTS_PATHS),
        **device.options,
    }


def _domain(domain: FailoverDomain, spec: ClusterSpec) -> Entries:
    members = {spec.node_name(node): priority for node, priority in domain.priorities.items()}
    return {
        **_plain("ordered", domain.ordered, _DOMAIN.ordered),
        **_plain("restricted", domain.restricted, _DOMAIN.restricted),
        **_plain("nofailback", domain.nofailback, _DOMAIN.nofailback),
        **_plain("failback", str(domain.failback_window), str(None)),
        **_span("failback_delay", domain.failback_delay_ms, _DOMAIN.failback_delay_ms),
        "members": _Inline(members),
    }


def _service(service: ServiceSpec, shared: Shared) -> Entries:
    default = ServiceSpec(name=service.name, resources=())
    return {
        "name": service.name,
        **_plain("domain", service.domain, default.domain),
        **_plain("autostart", service.autostart, default.autostart),
        **_plain("recovery", _recovery(service), default.recovery.value),
        **_plain("max_restarts", service.max_restarts, default.max_restarts),
        **_span("restart_expire_time", service.restart_expire_ms, default.restart_expire_ms),
        **_word("no_quorum_policy", service.no_quorum_policy, None),
        **_word("on_stop_failure", service.on_stop_failure, default.on_stop_failure),
        **_plain("depend", list(service.depend), []),
        **_word("depend_mode", service.depend_mode, default.depend_mode),
        **_plain("takeover", _takeover(service), default.takeover.value),
        **_plain("on_shutdown", _on_shutdown(service), default.on_shutdown.value),
        **_plain("weight", service.weight, default.weight),
        **_terms(service.terms),
        "resource": [_place(resource, SERVICE, shared) for resource in service.resources],
    }


def _recovery(service: ServiceSpec) -> str | list[str]:
    return written_ladder(service.ladder) if service.ladder else service.recovery.value


def _takeover(service: ServiceSpec) -> str:
    return written_mode(service.takeover, TakeoverMode.DELAY, service.takeover_delay_ms)


def _on_shutdown(service: ServiceSpec) -> str:
    return written_mode(service.on_shutdown, ShutdownMode.WAIT, service.shutdown_wait_ms)


def _terms(terms: Terms) -> Entries:
    return {
        **_plain("exclusive", terms.exclusive, _TERMS.exclusive),
        **_plain("load", terms.load, _TERMS.load),
        **_plain("priority", terms.priority, _TERMS.priority),
        **_plain("with", _ties(terms.together), []),
        **_plain("apart_from", _ties(terms.apart), []),
    }


def _ties(ties: tuple[Tie, ...]) -> list[str | _Inline]:
    return [
        tie.service if tie.hard else _Inline({"service": tie.service, "hard": False})
        for tie in ties
    ]


def _place(resource: ResourceSpec, parent: str, shared: Shared) -> Entries:
    usual = LEVELS.get((parent, resource.type), Levels())
    below = [_place(child, resource.type, shared) for child in resource.children]
    return {
        **(_use(resource, shared[resource.name]) if resource.is_shared else _definition(resource)),
        **_plain("start_level", resource.start_level or 0, usual.start or 0),
        **_plain("stop_level", resource.stop_level or 0, usual.stop or 0),
        **_part(resource),
        **_plain("resource", below, []),
    }


def _use(resource: ResourceSpec, shared: ResourceSpec) -> Entries:
    return {
        "ref": resource.name,
        **_span("start_timeout", resource.start_timeout_ms, shared.start_timeout_ms),
        **_span("stop_timeout", resource.stop_timeout_ms, shared.stop_timeout_ms),
    }


def _definition(resource: ResourceSpec) -> Entries:
    kind = RESOURCE_TYPES[resource.type]
    return {
        "type": resource.type,
        **_plain("name", resource.name, resource.parameters.get(kind.title)),
        **_parameters(resource, kind),
        **_span("start_timeout", resource.start_timeout_ms, _RESOURCE.start_timeout_ms),
        **_span("stop_timeout", resource.stop_timeout_ms, _RESOURCE.stop_timeout_ms),
        **_plain("check", _checks(resource.checks), _checks(usual_checks(kind))),
    }


def _shared(resource: ResourceSpec) -> Entries:
    return {
        **_definition(resource),
        **_plain("max_uses", resource.max_uses, _RESOURCE.max_uses),
    }


def _part(resource: ResourceSpec) -> Entries:
    return {
        **_word("independent", resource.independent, None),
        **_plain("max_restarts", resource.max_restarts, _RESOURCE.max_restarts),
        **_span("restart_expire_time", resource.restart_expire_ms, _RESOURCE.restart_expire_ms),
        **_plain("tolerance", written_rate(resource.tolerated, resource.tolerance_ms), None),
    }


def _parameters(resource: ResourceSpec, kind: ResourceType) -> Entries:
    flags = [parameter.name for parameter in kind.parameters if parameter.is_flag]
    options = {
        name.removeprefix(AGENT_OPTION_PREFIX): value
        for name, value in resource.parameters.items()
        if kind.takes_options and name.startswith(AGENT_OPTION_PREFIX)
    }
    own = {
        name: value == flag_word(is_on=True) if name in flags else value
        for name, value in resource.parameters.items()
        if name.removeprefix(AGENT_OPTION_PREFIX) not in options
    }
    return {**own, **({"options": _Inline(options)} if options else {})}


def _checks(checks: tuple[CheckSpec, ...]) -> list[_Inline]:
    return [_check(check) for check in checks]


def _check(check: CheckSpec) -> _Inline:
    default = CheckSpec(kind=check.kind, target="")
    target = int(check.target) if check.kind is CheckKind.MONITOR else check.target
    return _Inline(
        {
            check.kind.value: target,
            **_plain("status", check.status, default.status),
            **_span("interval", check.interval_ms, default.interval_ms),
            **_span("timeout", check.timeout_ms, default.timeout_ms),
            **_plain("tolerance", check.tolerance, default.tolerance),
        }
    )


def _plain(key: str, value: object, default: object) -> Entries:
    return {} if value == default else {key: value}


def _word(key: str, value: Enum | None, default: Enum | None) -> Entries:
    return {} if value is default or value is None else {key: value.value}


def _span(key: str, span_ms: int, default_ms: int) -> Entries:
    return {} if span_ms == default_ms else {key: written_duration(span_ms)}


@dataclass(frozen=True, slots=True)
class _Inline:
    """A table that is written on one line."""

    entries: Entries


def _encoder() -> toml.TomlEncoder[Entries]:
    """Return toml's own, but for texts, which it spoils where they have backslashes."""
    encoder: toml.TomlEncoder[Entries] = toml.TomlEncoder()

    def inline(table: _Inline) -> str:
        pairs = (f"{_key(key)} = {encoder.dump_value(v)}" for key, v in table.entries.items())
        return f"{{ {', '.join(pairs)} }}"

    def items(values: list[Any]) -> str:
        return f"[{', '.join(str(encoder.dump_value(value)) for value in values)}]"

    encoder.dump_funcs[str] = _text
    encoder.dump_funcs[list] = items
    encoder.dump_funcs[_Inline] = inline
    return encoder


def _key(key: str) -> str:
    return key if _BARE_KEY.fullmatch(key) else _text(key)


def _text(text: str) -> str:
    """Return a basic string of TOML: that of JSON, which also lets the character DEL pass."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")
