# SPDX-License-Identifier: Apache-2.0
"""The control groups of the lab: one for each node and each BMC.

A node *is* its group in the unified hierarchy: the power is on while a process lives in it,
``cgroup.kill`` is the power cut (atomic, and nothing survives), ``cgroup.freeze`` is the pause.
So no process id is ever kept, and what a crashed run left behind is found by its place.

Each node needs a group of its own before its systemd starts: nodes in one group would share the
groups of their units. On a machine with the hybrid hierarchy the named systemd hierarchy gets a
group as well.
"""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rgmgr.lab.errors import LabError
from rgmgr.lab.layout import PREFIX
from rgmgr.lab.process import await_until, command

KILL_TIMEOUT = 20.0


@dataclass(frozen=True, slots=True)
class Hierarchies:
    """Where the lab's groups live on this machine."""

    unified: Path  # the directory of the lab in cgroup v2
    named: Path | None  # the same in the version 1 hierarchy of systemd, if there is one

    def group(self, name: str) -> Path:
        """Return the group of a node or BMC in the unified hierarchy."""
        return self.unified / name

    def directories(self, name: str) -> tuple[Path, ...]:
        """Return every group that processes of ``name`` must be in."""
        named = () if self.named is None else (self.named / name,)
        return (self.unified / name, *named)


def parse_mounts(mounts: str) -> Hierarchies | None:
    """Find the hierarchies in the text of ``/proc/self/mounts``; None without cgroup v2."""
    unified: Path | None = None
    named: Path | None = None
    for line in mounts.splitlines():
        _, where, kind, options, *_ = line.split(" ")
        if kind == "cgroup2" and unified is None:
            unified = Path(where) / PREFIX
        elif kind == "cgroup" and "name=systemd" in options.split(","):
            named = Path(where) / PREFIX
    return None if unified is None else Hierarchies(unified, named)


def find_hierarchies() -> Hierarchies:
    """Find where this machine has its control groups.

    Raises:
        LabError: cgroup v2 is not mounted.
    """
    found = parse_mounts(Path("/proc/self/mounts").read_text(encoding="utf-8"))
    if found is None:
        raise LabError(
            "the lab needs control groups version 2 and /proc/self/mounts shows none:"
            " mount -t cgroup2 cgroup2 /sys/fs/cgroup/unified"
        )
    return found


def create(hierarchies: Hierarchies, name: str) -> None:
    """Make the groups of a node or BMC.

    Raises:
        LabError: the kernel is too old for ``cgroup.kill``, or the hierarchy cannot be written.
    """
    for directory in hierarchies.directories(name):
        try:
            directory.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise LabError(
                f"cannot make the control group {directory}: {error.strerror}"
            ) from error
    if not (hierarchies.group(name) / "cgroup.kill").exists():
        raise LabError("the lab needs Linux 5.14 or newer: this kernel has no cgroup.kill")


def start(
    hierarchies: Hierarchies, name: str, argv: Sequence[str], *, log: Path, cwd: Path
) -> None:
    """Start a program in a group of its own, made now; its output goes to the end of ``log``.

    It joins the group before it becomes that program, so that nothing of it ever escapes.
    """
    create(hierarchies, name)
    joins = "".join(
        f'echo 0 >"{directory}/cgroup.procs" && ' for directory in hierarchies.directories(name)
    )
    script = f'log=$1; shift; {{ {joins} exec setsid "$@"; }} >>"$log" 2>&1 </dev/null &'
    command(["sh", "-c", script, "sh", str(log), *argv], cwd=cwd)


def is_populated(group: Path) -> bool:
    """Tell whether a process lives in the group or below it."""
    try:
        return "populated 1" in (group / "cgroup.events").read_text(encoding="ascii")
    except FileNotFoundError:
        return False


def is_frozen(group: Path) -> bool:
    """Tell whether the group was told to freeze."""
    try:
        return (group / "cgroup.freeze").read_text(encoding="ascii").strip() == "1"
    except FileNotFoundError:
        return False


def freeze(group: Path) -> None:
    """Stop every process of the group at once; returns when all have stopped."""
    (group / "cgroup.freeze").write_text("1", encoding="ascii")
    await_until(
        lambda: "frozen 1" in (group / "cgroup.events").read_text(encoding="ascii"),
        timeout=KILL_TIMEOUT,
        what=f"the processes of {group} to freeze",
    )


def thaw(group: Path) -> None:
    """Let every process of the group go on."""
    (group / "cgroup.freeze").write_text("0", encoding="ascii")


def remove(hierarchies: Hierarchies) -> None:
    """Kill everything in the lab's groups and remove them.

    Raises:
        LabError: something could not be killed.
    """
    if hierarchies.unified.exists():
        (hierarchies.unified / "cgroup.kill").write_text("1", encoding="ascii")
        await_until(
            lambda: not is_populated(hierarchies.unified),
            timeout=KILL_TIMEOUT,
            what=f"the processes in {hierarchies.unified} to die",
        )
    for top in (hierarchies.unified, hierarchies.named):
        if top is not None and top.exists():
            await_until(
                lambda top=top: _prune(top),  # type: ignore[misc]  # bound per turn
                timeout=KILL_TIMEOUT,
                what=f"the control group {top} to be empty",
            )


def _prune(top: Path) -> bool:
    """Remove a group and all below it; False if something is still in use."""
    for path, _, _ in os.walk(top, topdown=False):
        try:
            Path(path).rmdir()
        except OSError:
            return False
    return True
