# SPDX-License-Identifier: Apache-2.0
"""What is allowed in a configuration, but should be known: warnings, never problems."""

from __future__ import annotations

from collections.abc import Iterator

from rgmgr.config.durations import parse_duration
from rgmgr.config.fencing import SECRET_PREFIX
from rgmgr.config.problems import below, item, listed
from rgmgr.core.spec import ClusterSpec, FenceStep, NodeSpec, StopFailurePolicy

_SECRET_WORDS = ("passw", "community", "secret", "token", "hexadecimal_kg")
_TWO_NODES = 2
_ONBOARD = frozenset(
    {
        "fence_ipmi",
        "fence_ipmilan",
        "fence_ipmilanplus",
        "fence_idrac",
        "fence_ilo",
        "fence_ilo2",
        "fence_ilo3",
        "fence_ilo4",
        "fence_ilo5",
        "fence_imm",
        "fence_redfish",
        "fence_drac5",
    }
)
"""Agents of controllers that share the power supply of their node."""


def warnings(spec: ClusterSpec) -> tuple[str, ...]:
    """Return a sentence for each thing that deserves a second look, key path first."""
    return (
        *_unsafe(spec),
        *_clear_text(spec),
        *_unverified(spec),
        *_two_nodes(spec),
        *_onboard(spec),
        *_untested(spec),
        *_boundless(spec),
        *_domains(spec),
        *_unused(spec),
    )


def _unsafe(spec: ClusterSpec) -> Iterator[str]:
    if spec.fencing.unsafe_disabled:
        yield (
            "fencing.unsafe_disabled: lost nodes are not fenced; "
            "a service may run twice and destroy its data"
        )


def _options(spec: ClusterSpec) -> Iterator[tuple[str, str, str]]:
    """Yield every option in use: key path, name, value."""
    for name, device in spec.fencing.devices.items():
        for key, value in device.options.items():
            yield below(below("fencing.device", name), key), key, value
    for node in spec.nodes.values():
        for path, step in steps_of(node):
            for key, value in step.options.items():
                yield below(path, key), key, value


def steps_of(node: NodeSpec) -> Iterator[tuple[str, FenceStep]]:
    """Yield every fence step of a node with its key path."""
    fence = below(below("node", node.name), "fence")
    for method_index, method in enumerate(node.fence):
        for step_index, step in enumerate(method):
            yield item(item(fence, method_index), step_index), step


def _clear_text(spec: ClusterSpec) -> Iterator[str]:
    for path, key, value in _options(spec):
        is_secret = any(word in key for word in _SECRET_WORDS) and not key.endswith("_script")
        if is_secret and not value.startswith(SECRET_PREFIX):
            yield (
                f"{path}: a secret in clear text; put it into a file in secrets.d "
                f'(mode 0600) and write "{SECRET_PREFIX}FILE"'
            )


def _unverified(spec: ClusterSpec) -> Iterator[str]:
    for path, key, value in _options(spec):
        if key == "method" and value == "cycle":
            yield f'{path}: the agent does not verify "cycle"; without it, it verifies'
        if key == "missing_as_off":
            yield f"{path}: a plug that does not exist, or a typo, counts as fenced"


def _two_nodes(spec: ClusterSpec) -> Iterator[str]:
    if len(spec.nodes) != _TWO_NODES or spec.fencing.unsafe_disabled:
        return
    fencing = spec.fencing
    if (
        fencing.delay_by_weight_ms
        or fencing.delay_random_ms
        or fencing.tie_breaker
        or fencing.lease
    ):
        return
    first, second = (_delay_ms(spec, node) for node in spec.nodes.values())
    if first == second:
        yield (
            "node: two nodes that lose sight of each other fence each other at the same time; "
            'set fencing.delay_by_weight = "5s", so that the one that runs more survives, '
            'or fence_delay = "5s" for one of them'
        )


def _onboard(spec: ClusterSpec) -> Iterator[str]:
    """Name nodes that only a controller inside of them can switch off."""
    for node in spec.nodes.values():
        agents = {spec.fencing.devices[step.device].agent for _, step in steps_of(node)}
        if len(node.fence) == 1 and agents and agents <= _ONBOARD:
            yield (
                f"{below(below('node', node.name), 'fence')}: its only method is a controller that "
                "loses power together with the node, and then nothing can be recovered; "
                "add a second method, such as a PDU"
            )


def _untested(spec: ClusterSpec) -> Iterator[str]:
    if not spec.fencing.test_interval_ms and not spec.fencing.unsafe_disabled:
        yield "fencing.test_interval: fence devices are never tested; a dead one is found too late"


def _boundless(spec: ClusterSpec) -> Iterator[str]:
    """Name services that may have one node after another fenced."""
    for service in spec.services:
        if service.on_stop_failure is StopFailurePolicy.FENCE and not spec.fencing.max_fences:
            yield (
                f"{below(below('service', service.name), 'on_stop_failure')}: a unit that stops "
                "nowhere has one node after another fenced; "
                'set fencing.max_fences, such as "3 in 1h"'
            )


def _delay_ms(spec: ClusterSpec, node: NodeSpec) -> int:
    """Return the longest delay in the first method of a node; what is no time counts as 0."""
    delays = [node.fence_delay_ms]
    for step in node.fence[0] if node.fence else ():
        options = spec.fencing.devices[step.device].options | step.options
        parsed = parse_duration(options.get("delay", 0))
        delays.append(parsed if isinstance(parsed, int) else 0)
    return max(delays)


def _domains(spec: ClusterSpec) -> Iterator[str]:
    for name, domain in spec.domains.items():
        if domain.restricted and len(domain.priorities) == 1:
            member = listed(spec.node_name(node) for node in domain.priorities)
            yield (
                f"{below('domain', name)}: restricted to {member} alone, "
                "so its services cannot be recovered elsewhere"
            )


def _unused(spec: ClusterSpec) -> Iterator[str]:
    used = {step.device for node in spec.nodes.values() for _, step in steps_of(node)}
    for name in spec.fencing.devices:
        if name not in used:
            yield f"{below('fencing.device', name)}: no node uses this fence device"
    named = {service.domain for service in spec.services}
    for name in spec.domains:
        if name not in named:
            yield f"{below('domain', name)}: no service uses this failover domain"
