# SPDX-License-Identifier: Apache-2.0
"""Stops a resource when the bus does not answer: systemctl, run by root, reaches PID 1 without it.

The last resort of a node that must let go of a service. Like the normal way it believes only what
it sees afterwards. Source: systemctl(1).
"""

from __future__ import annotations

import contextlib
import os
import signal
from pathlib import Path

from rgmgr.adapters.systemd.children import run
from rgmgr.adapters.systemd.node import NodeFacts
from rgmgr.adapters.systemd.resources import Plan, helper_environment, is_present
from rgmgr.adapters.systemd.users import end_user, users_of

SYSTEMCTL = "systemctl"

_CGROUPS = Path("/sys/fs/cgroup")
_SHOW_TIMEOUT_S = 5.0
_KILL_TIMEOUT_S = 5.0


async def emergency_stop(plan: Plan, node: NodeFacts, systemctl: str = SYSTEMCTL) -> str | None:
    """Stop a resource without D-Bus.

    Returns:
        None when nothing is left of it, otherwise what is.
    """
    # An address needs its helper's stop command, which the unit runs only when it was up.
    await run([systemctl, "stop", plan.unit], plan.spec.stop_timeout_ms / 1000)
    facts = await _show(systemctl, plan.unit)
    if _is_alive(facts):
        await run([systemctl, "kill", "--signal=SIGKILL", plan.unit], _KILL_TIMEOUT_S)
        await run([systemctl, "stop", plan.unit], _KILL_TIMEOUT_S)
        facts = await _show(systemctl, plan.unit)
    if plan.is_unmounted_by_force and is_present(plan, node):
        where = plan.spec.parameters["mountpoint"]
        for user in await users_of(where):
            end_user(user, where, signal.SIGKILL)
        await run([systemctl, "stop", plan.unit], _KILL_TIMEOUT_S)
    if plan.helper is not None and is_present(plan, node) is not False:
        environment = {**os.environ, **helper_environment(plan)}
        done = await run([str(plan.helper), "stop"], _KILL_TIMEOUT_S, environment)
        if done is None and plan.is_told_by_commands:
            return f"the bus does not answer, and '{plan.helper} stop' failed"
    return _what_is_left(plan, facts, node)


def _what_is_left(plan: Plan, facts: dict[str, str] | None, node: NodeFacts) -> str | None:
    if facts is None:
        return f"the bus does not answer, nor does '{SYSTEMCTL} show {plan.unit}'"
    if _is_alive(facts):
        state = f"{facts.get('ActiveState')} ({facts.get('SubState')})"
        return f"the bus does not answer, and after '{SYSTEMCTL} stop' {plan.unit} is {state}"
    if is_present(plan, node):
        return f"the bus does not answer, and {plan.description} is still there"
    return None


def _is_alive(facts: dict[str, str] | None) -> bool:
    if facts is None:
        return True
    if facts.get("ActiveState") not in ("inactive", "failed"):
        return True
    group = facts.get("ControlGroup", "").lstrip("/")
    with contextlib.suppress(OSError):
        return bool(group and (_CGROUPS / group / "cgroup.procs").read_text().strip())
    return False


async def _show(systemctl: str, unit: str) -> dict[str, str] | None:
    properties = "ActiveState,SubState,ControlGroup"
    output = await run([systemctl, "show", f"--property={properties}", unit], _SHOW_TIMEOUT_S)
    if output is None:
        return None
    pairs = (line.partition("=") for line in output.splitlines())
    return {name: value for name, _, value in pairs}
