# SPDX-License-Identifier: Apache-2.0
"""The section [fencing] with its devices, and the methods of a node.

Options are kept as the texts that agents read from their standard input. A false boolean is never
among them: many agents only look whether an option is there. Source: Fence Agent API.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from rgmgr.config.names import check_word
from rgmgr.config.problems import (
    Problems,
    described,
    did_you_mean,
    item,
    listed,
    shown,
    unprintable,
)
from rgmgr.config.races import read_budget, read_lease, read_tie_breaker
from rgmgr.config.table import Table, is_integer
from rgmgr.config.watchdog import read_watchdog
from rgmgr.core.spec import FenceDevice, FenceStep, FenceVerb, FencingSpec

Method = tuple[FenceStep, ...]

SECRET_PREFIX = "secret:"  # noqa: S105 - how a secret is referred to, not a secret
FENCING_KEYS = (
    "post_fail_delay",
    "post_join_delay",
    "timeout",
    "action",
    "clean_start",
    "unsafe_disabled",
    "delay_random",
    "delay_by_weight",
    "max_fences",
    "test_interval",
    "tie_breaker",
    "lease",
    "watchdog",
    "watchdog_timeout",
    "device",
)
_AGENT = re.compile(r"fence_[A-Za-z0-9_.-]+")
_OPTION = re.compile(r"[A-Za-z0-9_.-]+")
_SECRET_NAME = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9_.-]*")
CUTS_PATHS = frozenset(
    {
        "fence_brocade",
        "fence_cisco_mds",
        "fence_compute",
        "fence_ifmib",
        "fence_mpath",
        "fence_sanbox2",
        "fence_scsi",
    }
)
"""Agents that cut a node off its storage or network instead of its power. Source: their metadata,
`automatic="1"` of the action `on`."""
PLUG_KEYS = ("plug", "port")
_SENT_BY_RGMGR = ("action", "option", "nodename")
_DEFAULTS = FencingSpec()
_METHODS_HINT = 'methods are lists of steps: fence = [[{ device = "..." }]]'


def read_fencing(table: Mapping[str, object], problems: Problems) -> FencingSpec:
    """Return the section [fencing]; wrong devices are left out."""
    section = Table(table, "fencing", problems, known=FENCING_KEYS)
    max_fences, max_fences_ms = read_budget(section)
    return FencingSpec(
        verb=section.word("action", FenceVerb, _DEFAULTS.verb),
        post_fail_delay_ms=section.duration("post_fail_delay", _DEFAULTS.post_fail_delay_ms),
        post_join_delay_ms=section.duration("post_join_delay", _DEFAULTS.post_join_delay_ms),
        timeout_ms=section.timeout("timeout", _DEFAULTS.timeout_ms),
        clean_start=section.boolean("clean_start", _DEFAULTS.clean_start),
        unsafe_disabled=section.boolean("unsafe_disabled", _DEFAULTS.unsafe_disabled),
        delay_random_ms=section.duration("delay_random", _DEFAULTS.delay_random_ms),
        delay_by_weight_ms=section.duration("delay_by_weight", _DEFAULTS.delay_by_weight_ms),
        max_fences=max_fences,
        max_fences_ms=max_fences_ms,
        test_interval_ms=section.duration("test_interval", _DEFAULTS.test_interval_ms),
        tie_breaker=read_tie_breaker(section),
        lease=read_lease(section),
        watchdog=read_watchdog(section),
        watchdog_ms=section.timeout("watchdog_timeout", _DEFAULTS.watchdog_ms),
        devices=_read_devices(section),
    )


def _read_devices(section: Table) -> dict[str, FenceDevice]:
    devices = Table(section.table("device"), "fencing.device", section.problems, known=None)
    found = [_read_device(name, devices) for name in devices.raw]
    return {device.name: device for device in found if device is not None}


def device_names(fencing: Mapping[str, object]) -> frozenset[str]:
    """Return the names of all devices that are defined, right or wrong."""
    devices = fencing.get("device")
    return frozenset(devices) if isinstance(devices, dict) else frozenset()


def _read_device(name: str, devices: Table) -> FenceDevice | None:
    path = devices.at(name)
    raw = devices.raw[name]
    if not isinstance(raw, dict):
        devices.wrong(name, f"a table, written [{path}]")
        return None
    check_word(name, path, devices.problems)
    table = Table(raw, path, devices.problems, known=None)
    agent = table.required_text("agent", "the fence agent, such as fence_ipmilan")
    if agent is not None and not _AGENT.fullmatch(agent):
        hint = "its name only; it is searched in PATH and /usr/sbin"
        table.wrong("agent", "the name of a fence agent, fence_...", hint)
    return FenceDevice(
        name=name,
        agent=agent or "",
        options=read_options(table, reserved=("agent", "unfence_at_join")),
        unfence_at_join=table.boolean("unfence_at_join", agent in CUTS_PATHS),
    )


def read_options(table: Table, *, reserved: tuple[str, ...]) -> dict[str, str]:
    """Return all keys but `reserved` as options of an agent; false booleans are left out."""
    options = {}
    for key in table.raw:
        value = None if key in reserved else _read_option(table, key)
        if value is not None:
            options[key] = value
    return options


def _read_option(table: Table, key: str) -> str | None:
    if not _OPTION.fullmatch(key):
        text = f"{shown(key)} cannot be an option of an agent"
        table.problems.add(table.at(key), text, "letters, digits and _ . - are allowed")
        return None
    if key in _SENT_BY_RGMGR:
        text = "is sent to the agent by rgmgr itself"
        table.problems.add(table.at(key), text, "leave it out; off or reboot is fencing.action")
        return None
    return _option_text(table, key)


def _option_text(table: Table, key: str) -> str | None:
    value = table.raw[key]
    if isinstance(value, bool):
        return "true" if value else None
    if is_integer(value):
        return str(value)
    if not isinstance(value, str):
        table.wrong(key, "a text, an integer, or true or false")
        return None
    bad = unprintable(value)
    if bad is not None:  # never the value itself: it may be a secret
        text = f"contains {bad!r}, which would end the option for the agent"
        table.problems.add(table.at(key), text)
        return None
    if value.startswith(SECRET_PREFIX) and not _SECRET_NAME.fullmatch(value[len(SECRET_PREFIX) :]):
        table.wrong(key, "the name of a file in secrets.d after secret:")
        return None
    if key in PLUG_KEYS and "," in value:
        _refuse_outlets(table, key, value)
    return value


def _refuse_outlets(table: Table, key: str, value: str) -> None:
    text = f"{shown(value)} names several outlets, which some agents switch only in part"
    plugs = (word.strip() for word in value.split(","))
    steps = ", ".join(f'{{ device = "...", {key} = "{plug}" }}' for plug in plugs)
    table.problems.add(table.at(key), text, f"a step for each, in one method: [{steps}]")


def read_methods(node: Table, fencing: FencingSpec, names: frozenset[str]) -> tuple[Method, ...]:
    """Return the fence methods of a node in order. `names`: all devices, right or wrong."""
    methods = []
    path = node.at("fence")
    for index, raw in enumerate(node.sequence("fence", "a list of methods", _METHODS_HINT)):
        steps_path = item(path, index)
        if not isinstance(raw, list):
            text = f"expected a list of steps, got {described(raw)}"
            node.problems.add(steps_path, text, _METHODS_HINT)
            continue
        if not raw:
            node.problems.add(steps_path, "a method needs at least one step", _METHODS_HINT)
        methods.append(_read_method(raw, steps_path, node.problems, fencing, names))
    return tuple(methods)


def _read_method(
    raw: list[object],
    path: str,
    problems: Problems,
    fencing: FencingSpec,
    names: frozenset[str],
) -> Method:
    steps = []
    for index, step in enumerate(raw):
        step_path = item(path, index)
        if not isinstance(step, dict):
            text = f'expected a step such as {{ device = "..." }}, got {described(step)}'
            problems.add(step_path, text)
            continue
        steps.append(_read_step(Table(step, step_path, problems, known=None), fencing, names))
    return tuple(steps)


def _read_step(table: Table, fencing: FencingSpec, names: frozenset[str]) -> FenceStep:
    device = table.required_text("device", "the name of a fence device")
    if device is not None and device not in names:
        hint = did_you_mean(device, names) or f"defined: {listed(sorted(names))}"
        table.problems.add(table.at("device"), f"unknown fence device {shown(device)}", hint)
    options = read_options(table, reserved=("device",))
    shared = fencing.devices.get(device or "")
    for key, value in table.raw.items():
        if value is False and shared is not None and key in shared.options:
            text = f"cannot be switched off here, for fencing.device.{shared.name} sets it"
            table.problems.add(table.at(key), text, "set it in those steps only that need it")
    return FenceStep(device=device or "", options=options)
