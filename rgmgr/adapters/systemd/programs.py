# SPDX-License-Identifier: Apache-2.0
"""Resources that are programs: a helper of ours, a command, an init script, an OCF agent.

Source: systemd.service(5), Linux Standard Base for init scripts, OCF Resource Agent API 1.0.
"""

from __future__ import annotations

import shlex

from rgmgr.core.spec import AGENT_OPTION_PREFIX, ResourceSpec

Property = tuple[str, str, object]

SCRIPT_ENVIRONMENT = {"SYSTEMCTL_SKIP_REDIRECT": "1"}
"""Without it Debian's init functions hand a script's actions over to a unit of the same name."""


PODMAN = "/usr/bin/podman"
OCF_ROOT = "/usr/lib/ocf"
OCF_DEGRADED = [190, 191]
"""Statuses of a monitor action: it works, but not for long."""


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


def agent(spec: ResourceSpec) -> list[Property]:
    """Return an OCF agent as a unit; daemons that it starts live in the unit's control group.

    So only the first stop finds them alive; the second proves it, also after a failed start.
    """
    file = agent_file(spec)
    return [
        ("Type", "s", "oneshot"),
        ("RemainAfterExit", "b", True),
        ("ExecStart", "a(sasb)", [_command([file, "start"])]),
        ("ExecStop", "a(sasb)", [_command([file, "stop"], is_failure_ignored=True)]),
        ("ExecStopPost", "a(sasb)", [_command([file, "stop"])]),
        *_timeouts(spec),
    ]


def agent_file(spec: ResourceSpec) -> str:
    """Return the path of an OCF agent, which is named PROVIDER:TYPE."""
    return f"{OCF_ROOT}/resource.d/{spec.parameters['agent'].replace(':', '/')}"


def environment(spec: ResourceSpec) -> dict[str, str]:
    """Return what programs that are not ours expect in their environment."""
    if spec.type == "script":
        return SCRIPT_ENVIRONMENT
    if spec.type != "ocf":
        return {}
    provider, _, kind = spec.parameters["agent"].partition(":")
    return {
        "OCF_ROOT": OCF_ROOT,
        "OCF_RA_VERSION_MAJOR": "1",
        "OCF_RA_VERSION_MINOR": "0",
        "OCF_RESOURCE_INSTANCE": spec.name,
        "OCF_RESOURCE_PROVIDER": provider,
        "OCF_RESOURCE_TYPE": kind,
        **{n: value for n, value in spec.parameters.items() if n.startswith(AGENT_OPTION_PREFIX)},
    }


def monitor(spec: ResourceSpec, depth: str) -> tuple[list[str], dict[str, str], list[int]]:
    """Return the command of the own check, its environment, and statuses that mean well too."""
    if spec.type == "script":
        return [spec.parameters["file"], "status"], environment(spec), []
    own = {**environment(spec), "OCF_CHECK_LEVEL": depth}
    return [agent_file(spec), "monitor"], own, OCF_DEGRADED


def container(spec: ResourceSpec) -> list[Property]:
    """Return a container as a unit, as podman's own generator would write it.

    Source: podman-systemd.unit(5). The second removal follows a failed start as well.
    """
    parameters = spec.parameters
    name = parameters["container"]
    run = [PODMAN, "run", f"--name={name}", "--replace", "--rm", "--detach"]
    own = ["--cgroups=split", "--sdnotify=conmon"]
    options = shlex.split(parameters.get("options", ""))
    inside = shlex.split(parameters.get("command", ""))
    patience = f"--time={max(1, spec.stop_timeout_ms // 2_000)}"
    stop = [PODMAN, "stop", "--ignore", patience, name]
    remove = [PODMAN, "rm", "--force", "--ignore", name]
    return [
        ("Type", "s", "notify"),
        ("NotifyAccess", "s", "all"),
        ("Delegate", "b", True),
        ("KillMode", "s", "mixed"),
        (
            "ExecStart",
            "a(sasb)",
            [_command([*run, *own, *options, parameters["image"], *inside])],
        ),
        ("ExecStop", "a(sasb)", [_command(stop, is_failure_ignored=True)]),
        ("ExecStopPost", "a(sasb)", [_command(remove)]),
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
