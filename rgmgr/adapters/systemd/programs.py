# SPDX-License-Identifier: Apache-2.0
"""Resources that are programs: a helper of ours, a command, an init script.

Source: systemd.service(5), and Linux Standard Base for the actions and codes of init scripts.
"""

from __future__ import annotations

import shlex

from rgmgr.core.spec import ResourceSpec

Property = tuple[str, str, object]

SCRIPT_ENVIRONMENT = {"SYSTEMCTL_SKIP_REDIRECT": "1"}
"""Without it Debian's init functions hand a script's actions over to a unit of the same name."""


def helper(spec: ResourceSpec, program: str) -> list[Property]:
    """Return a oneshot whose stop command runs after a failed start as well."""
    return [
        ("Type", "s", "oneshot"),
        ("RemainAfterExit", "b", True),
        ("ExecStart", "a(sasb)", [_command([program, "start"])]),
        ("ExecStopPost", "a(sasb)", [_command([program, "stop"])]),
        *_timeouts(spec),
    ]


def script(spec: ResourceSpec) -> list[Property]:
    """Return an init script as a unit.

    Its daemons may not be told from its helpers, so no process is the main one. The second stop
    proves the first, and is the only one after a failed start.
    """
    file = spec.parameters["file"]
    return [
        ("Type", "s", "forking"),
        ("RemainAfterExit", "b", True),
        ("GuessMainPID", "b", False),
        ("ExecStart", "a(sasb)", [_command([file, "start"])]),
        ("ExecStop", "a(sasb)", [_command([file, "stop"], is_failure_ignored=True)]),
        ("ExecStopPost", "a(sasb)", [_command([file, "stop"])]),
        *_timeouts(spec),
    ]


def command(spec: ResourceSpec) -> list[Property]:
    """Return a command that runs as long as the resource is up."""
    parameters = spec.parameters
    found: list[Property] = [
        ("Type", "s", parameters.get("ready", "exec")),
        ("ExecStart", "a(sasb)", [_command(shlex.split(parameters["command"]))]),
        *_timeouts(spec),
    ]
    if "stop_command" in parameters:
        found.append(("ExecStop", "a(sasb)", [_command(shlex.split(parameters["stop_command"]))]))
    if "user" in parameters:
        found.append(("User", "s", parameters["user"]))
    if "directory" in parameters:
        found.append(("WorkingDirectory", "s", parameters["directory"]))
    return found


def _command(words: list[str], *, is_failure_ignored: bool = False) -> list[object]:
    return [words[0], words, is_failure_ignored]


def _timeouts(spec: ResourceSpec) -> list[Property]:
    return [
        ("TimeoutStartUSec", "t", spec.start_timeout_ms * 1000),
        ("TimeoutStopUSec", "t", spec.stop_timeout_ms * 1000),
    ]
