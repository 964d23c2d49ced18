# SPDX-License-Identifier: Apache-2.0
"""A bench for fencing: agents as small shell scripts, and a runner that uses them."""

from __future__ import annotations

import asyncio
import os
import select
from pathlib import Path

from domains.model import NodeId
from rgmgr.adapters.fencing import FenceRunner
from rgmgr.core.actions import FenceNode, PathTarget, Severity, SwitchOn, TestPaths
from rgmgr.core.events import FenceEnded, SwitchOnEnded, TestEnded
from rgmgr.core.spec import FenceDevice, FenceStep

LONG_MS = 20_000

RECORDING = """
input=$(cat)
action=$(echo "$input" | sed -n 's/^action=//p')
plug=$(echo "$input" | sed -n 's/^plug=//p')
echo "$0 $action $plug" | sed 's|.*/||' >> "$HERE/calls"
echo "$input" > "$HERE/input-$action"
"""


class Lab:
    """A directory of agents, and a runner that uses them."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.secrets = path / "secrets"
        self.secrets.mkdir(mode=0o700)
        self.ended: list[FenceEnded] = []
        self.restored: list[SwitchOnEnded] = []
        self.tested: list[TestEnded] = []
        self.reachable: set[str] = set()
        self.notes: list[tuple[str, dict[str, str | int]]] = []
        self.severities: dict[str, Severity] = {}
        self.runner = FenceRunner(
            self.emit,
            self.note,
            reaches=self.reaches,
            secrets_dir=self.secrets,
            agent_paths=(path,),
            power_on_pause_ms=1,
        )

    def emit(self, event: FenceEnded | SwitchOnEnded | TestEnded) -> None:
        match event:
            case FenceEnded():
                self.ended.append(event)
            case SwitchOnEnded():
                self.restored.append(event)
            case TestEnded():
                self.tested.append(event)

    async def reaches(self, address: str) -> bool:
        return address in self.reachable

    def note(self, event: str, severity: Severity = Severity.INFO, /, **fields: str | int) -> None:
        self.notes.append((event, fields))
        self.severities[event] = severity

    def agent(self, name: str, body: str) -> None:
        script = self.path / name
        script.write_text(f"#!/bin/sh\nHERE={self.path}\n{body}\n", encoding="utf-8")
        script.chmod(0o755)

    def recorder(self, name: str, body: str = "exit 0") -> None:
        self.agent(name, RECORDING + body)

    def secret(self, name: str, text: str, mode: int = 0o600) -> None:
        path = self.secrets / name
        path.write_text(text, encoding="utf-8")
        path.chmod(mode)

    def calls(self) -> list[str]:
        path = self.path / "calls"
        return path.read_text(encoding="utf-8").splitlines() if path.exists() else []

    def input(self, action: str = "off") -> list[str]:
        return (self.path / f"input-{action}").read_text(encoding="utf-8").splitlines()

    def events(self) -> list[str]:
        return [event for event, _ in self.notes if event != "fence.agent_ended"]


def device(name: str, agent: str, **options: str) -> FenceDevice:
    return FenceDevice(name=name, agent=agent, options=options)


def step(name: str, **options: str) -> FenceStep:
    return FenceStep(device=name, options=options)


def action(
    *methods: tuple[FenceStep, ...],
    devices: tuple[FenceDevice, ...],
    node: int = 2,
    timeout_ms: int = LONG_MS,
) -> FenceNode:
    return FenceNode(
        node=NodeId(node),
        node_name=f"node{node}",
        victim=7,
        attempt=3,
        methods=methods,
        devices={entry.name: entry for entry in devices},
        timeout_ms=timeout_ms,
    )


def single(agent: str = "fence_x", *, timeout_ms: int = LONG_MS, **options: str) -> FenceNode:
    devices = (device("d", agent, **options),)
    return action((step("d"),), devices=devices, timeout_ms=timeout_ms)


def run(lab: Lab, *actions: FenceNode) -> list[FenceEnded]:
    async def fence() -> None:
        await asyncio.gather(*(lab.runner.start(each) for each in actions))

    asyncio.run(fence())
    return lab.ended


def on_again(fenced: FenceNode, steps: tuple[FenceStep, ...]) -> SwitchOn:
    return SwitchOn(
        node=fenced.node,
        node_name=fenced.node_name,
        victim=fenced.victim,
        steps=steps,
        devices=fenced.devices,
        timeout_ms=fenced.timeout_ms,
    )


def probe(*fenced: FenceNode, is_member: bool = True, timeout_ms: int = LONG_MS) -> TestPaths:
    targets = tuple(
        PathTarget(
            node=each.node, node_name=each.node_name, is_member=is_member, methods=each.methods
        )
        for each in fenced
    )
    devices = {name: entry for each in fenced for name, entry in each.devices.items()}
    return TestPaths(targets=targets, devices=devices, timeout_ms=timeout_ms)


def line_of(path: Path) -> str:
    return path.read_text(encoding="utf-8").strip() if path.exists() else ""


async def appearing(path: Path) -> str:
    """Wait until another process has written a line into this file."""
    while not line_of(path):  # noqa: ASYNC110 - another process, not a task
        await asyncio.sleep(0.005)
    return line_of(path)


def is_gone(pid: int) -> bool:
    """Wait for a process that was killed to be gone; the kernel takes a moment."""
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    try:
        return bool(select.select([descriptor], [], [], 1)[0])
    finally:
        os.close(descriptor)
