# SPDX-License-Identifier: Apache-2.0
"""What the properties of a unit that is not up mean, in words for an administrator.

Pure. A job's result never decides; the unit's own properties do. Source: systemd.exec(5)
(process exit codes), org.freedesktop.systemd1(5).
"""

from __future__ import annotations

from collections.abc import Mapping

from rgmgr.adapters.systemd.manager import ProcessLeft
from rgmgr.adapters.systemd.statuses import UnitStatus

OF_END = ("Result", "ExecMainCode", "ExecMainStatus")
OF_COMMANDS = ("Type", "RemainAfterExit", "ExecStart", "ExecStop", "ExecStopPost")
OF_CONDITION = ("ConditionResult", "ConditionTimestamp")
"""What has to be known of a unit for a verdict."""

_CLD_EXITED = 1
_EXEC_FAILED = 203
_NEVER_BEGAN = (5, _EXEC_FAILED)  # not installed: nothing was started that could be left
_EXEC_FIELDS = 10  # of a(sasbttttuii)

_RESULTS = {
    "timeout": "it ran into its time limit",
    "watchdog": "its watchdog was not served in time",
    "protocol": "it ended before it reported that it is ready",
    "resources": "systemd could not even begin (no memory, or the path is a symbolic link)",
    "start-limit-hit": "it was started too often",
    "oom-kill": "the kernel ran out of memory and killed it",
}
_ADDRESS_STATUSES = {
    2: "its parameters are wrong",
    5: "no interface of this node is in the network of the address; set device, or add one",
}
_HELPER_STATUSES = {
    1: "it cannot be brought up",
    2: "its parameters are wrong",
    5: "a program that it needs is not installed",
    6: "this node is not configured for it",
}
_AGENT_STATUSES = {
    2: "its options are wrong",
    3: "its agent does not know the action",
    4: "its agent may not do that",
    5: "something that its agent needs is not installed",
    6: "it is not configured as its agent needs it",
}
_UNUSABLE = {
    "not-found": "does not exist on this node: install it, or keep the service away from here",
    "masked": "is masked on this node: run 'systemctl unmask {unit}'",
    "bad-setting": "has a unit file that systemd refuses: see 'systemctl status {unit}'",
    "error": "cannot be loaded: see 'systemctl status {unit}'",
}


def unusable(status: UnitStatus) -> str | None:
    """Return why a unit can never be started on this node; None when it can."""
    text = _UNUSABLE.get(status.load)
    return f"{status.name} " + text.format(unit=status.name) if text else None


def why_down(status: UnitStatus, properties: Mapping[str, object]) -> str:
    """Say why a unit is not up. `properties` are those of its type; empty when it is gone."""
    unit = status.name
    result = str(properties.get("Result", ""))
    if status.sub == "auto-restart":
        return f"{unit} failed, and systemd restarts it by itself: {_main(properties, result)}"
    if status.active == "failed" or (status.active == "deactivating" and result != "success"):
        return f"{unit} failed: {_main(properties, result)}"
    if status.is_up:
        return f"{unit} is {status.sub}, but its process has ended: {_main(properties, result)}"
    return f"{unit} is {status.active}: it ended by itself, without an error"


def address_verdict(properties: Mapping[str, object]) -> str | None:
    """Return what the exit status of the helper of addresses means; None: nothing special."""
    return _meaning(properties, _ADDRESS_STATUSES)


def helper_verdict(properties: Mapping[str, object]) -> str | None:
    """Return what the exit status of our other helper means; None: nothing special."""
    return _meaning(properties, _HELPER_STATUSES)


def agent_verdict(properties: Mapping[str, object]) -> str | None:
    """Return what the exit status of an OCF agent means; None: nothing special."""
    return _meaning(properties, _AGENT_STATUSES)


def _meaning(properties: Mapping[str, object], words: Mapping[int, str]) -> str | None:
    status = properties.get("ExecMainStatus")
    return words.get(status) if isinstance(status, int) else None


def failed_stop_command(properties: Mapping[str, object]) -> str | None:
    """Return the stop command that failed, when nothing else tells whether it is stopped.

    A unit with a main process is judged by the processes that are left, for a stop command may
    well fail on a daemon that is dead. A oneshot and an init script of ours have only commands.
    """
    is_script = properties.get("Type") == "forking" and properties.get("RemainAfterExit")
    if properties.get("Type") != "oneshot" and not is_script:
        return None
    if any(command[9] in _NEVER_BEGAN for command in _commands(properties, "ExecStart")):
        return None
    for kind in ("ExecStop", "ExecStopPost"):
        for command in _commands(properties, kind):
            if _has_failed(command):
                return f"{kind} {command[0]} ended with status {command[9]}"
    return None


def _commands(properties: Mapping[str, object], kind: str) -> list[list[object]]:
    found = properties.get(kind)
    return [c for c in found if len(c) == _EXEC_FIELDS] if isinstance(found, list) else []


def processes_text(processes: list[ProcessLeft]) -> str:
    """Name the processes that are left, not too many of them."""
    shown = ", ".join(f"{p.pid} ({p.command[:60]})" for p in processes[:5])
    more = len(processes) - 5
    return shown + (f" and {more} more" if more > 0 else "")


def _has_failed(command: list[object]) -> bool:
    is_failure_ignored, pid, code, status = command[2], command[7], command[8], command[9]
    return bool(pid) and not is_failure_ignored and (code != _CLD_EXITED or status != 0)


def _main(properties: Mapping[str, object], result: str) -> str:
    code, status = properties.get("ExecMainCode", 0), properties.get("ExecMainStatus", 0)
    if result in _RESULTS:
        return f"{_RESULTS[result]} (Result {result})"
    if result == "exit-code" and status == _EXEC_FAILED:
        return "its program cannot be executed (exit status 203)"
    if result == "exit-code" and code == _CLD_EXITED and status:
        return f"exit status {status} (Result {result})"
    if result in ("signal", "core-dump"):
        return f"killed by signal {status} (Result {result})"
    return f"Result {result or 'unknown'}; see the journal of the unit"
