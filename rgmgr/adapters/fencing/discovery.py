# SPDX-License-Identifier: Apache-2.0
"""Finds the fence agents of this machine, asks them what they can do, and checks a configuration.

An agent is run with `action=metadata` on its standard input and no argument, which contacts no
device. What else is called fence_... is never run: it may act on no more than being started.

One loop, no threads. Source: Fence Agent API.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from rgmgr.adapters.fencing.agent import AgentRun, find_agent, masked_tail
from rgmgr.adapters.fencing.metadata import (
    AgentMetadata,
    MetadataError,
    missing_options,
    option_problems,
    parse_metadata,
)
from rgmgr.adapters.fencing.options import StepError
from rgmgr.config.advice import steps_of
from rgmgr.config.problems import below
from rgmgr.core.spec import ClusterSpec, FenceDevice
from rgmgr.errors import Problem

METADATA_TIMEOUT_S: Final = 10.0
METADATA_BYTES_MAX: Final = 256 * 1024
AT_ONCE: Final = 4
NO_AGENTS: Final = frozenset(
    {
        "fence_ack_manual",
        "fence_evacuate",
        "fence_kdump_send",
        "fence_node",
        "fence_tool",
        "fence_virtd",
    }
)
"""Commands whose name looks like that of an agent."""


@dataclass(frozen=True, slots=True)
class FoundAgent:
    """An agent of this machine; without metadata, `problem` says why."""

    name: str
    path: Path
    metadata: AgentMetadata | None
    problem: str = ""


@dataclass(slots=True)
class DeviceCheck:
    """What is wrong with the fence devices of a configuration, as their agents see it."""

    problems: list[Problem] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)


async def read_metadata(agent: Path) -> AgentMetadata:
    """Ask an agent what it can do.

    Raises:
        MetadataError: it does not tell, or nothing of use.
    """
    try:
        run = AgentRun(agent, output_bytes_max=METADATA_BYTES_MAX)
        run.tell(b"action=metadata\n")
    except OSError as error:
        raise MetadataError(f"cannot start {str(agent)!r}: {error.strerror}") from error
    status = await run.result(METADATA_TIMEOUT_S)
    if status is None:
        raise MetadataError(f"it did not tell its metadata in {METADATA_TIMEOUT_S:g} s")
    if status != 0:
        said = masked_tail(run.output, ())
        end = f"it ended with {status} when asked for its metadata"
        raise MetadataError(f"{end}: {said}" if said else end)
    return parse_metadata(run.output.tail.decode("utf-8", "replace"))


async def installed_agents(directories: Iterable[Path]) -> tuple[FoundAgent, ...]:
    """Return all agents of this machine, by name."""
    paths: dict[str, Path] = {}
    for directory in directories:
        for path in directory.glob("fence_*"):
            if path.name not in NO_AGENTS and path.is_file() and os.access(path, os.X_OK):
                paths.setdefault(path.name, path)
    gate = asyncio.Semaphore(AT_ONCE)
    asked = (_asked(name, path, gate) for name, path in sorted(paths.items()))
    return tuple(await asyncio.gather(*asked))


async def _asked(name: str, path: Path, gate: asyncio.Semaphore) -> FoundAgent:
    async with gate:
        try:
            return FoundAgent(name, path, await read_metadata(path))
        except MetadataError as error:
            return FoundAgent(name, path, None, str(error))


async def check_devices(spec: ClusterSpec, directories: Iterable[Path]) -> DeviceCheck:
    """Check the options of all fence devices and steps against what their agents take.

    An agent that is not on this machine is a warning only: it may be on those that need it.
    """
    places = tuple(directories)
    names = sorted({device.agent for device in spec.fencing.devices.values()})
    check = DeviceCheck()
    by_agent = {name: await _found(name, places) for name in names}
    for device in spec.fencing.devices.values():
        path = below("fencing.device", device.name)
        found = by_agent[device.agent]
        if found.metadata is None:
            check.warnings.append(f"{below(path, 'agent')}: {found.problem}; options not checked")
        else:
            _check_device(device, path, found.metadata, check)
    _check_steps(spec, by_agent, check)
    return check


async def _found(name: str, places: tuple[Path, ...]) -> FoundAgent:
    try:
        path = find_agent(name, places)
    except StepError as error:
        return FoundAgent(name, Path(name), None, str(error))
    found = await _asked(name, path, asyncio.Semaphore(1))
    return found if found.metadata else FoundAgent(name, path, None, f"{name}: {found.problem}")


def _check_device(device: FenceDevice, path: str, agent: AgentMetadata, check: DeviceCheck) -> None:
    _note(check, path, agent, device.options)
    if "off" not in agent.actions:
        text = f"{agent.name} cannot switch off, it does {', '.join(agent.actions)}"
        check.problems.append(Problem(below(path, "agent"), text, "use an agent that can"))
    on = agent.actions.get("on")
    if on is not None and on.is_automatic and not device.unfence_at_join:
        text = f"{agent.name} cuts paths, which must stay cut until the node has booted again"
        hint = "set unfence_at_join = true"
        check.problems.append(Problem(below(path, "unfence_at_join"), text, hint))


def _check_steps(spec: ClusterSpec, by_agent: Mapping[str, FoundAgent], check: DeviceCheck) -> None:
    for node in spec.nodes.values():
        for path, step in steps_of(node):
            device = spec.fencing.devices[step.device]
            agent = by_agent[device.agent].metadata
            if agent is None:
                continue
            _note(check, path, agent, step.options)
            missing = missing_options(agent, device.options | step.options)
            hint = f"give it here or in fencing.device.{device.name}"
            check.problems += [Problem(path, each.problem, hint) for each in missing]


def _note(check: DeviceCheck, path: str, agent: AgentMetadata, options: Mapping[str, str]) -> None:
    check.problems += [
        Problem(below(path, found.name), found.problem, found.hint)
        for found in option_problems(agent, options)
    ]
