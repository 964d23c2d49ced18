# SPDX-License-Identifier: Apache-2.0
"""What the lab needs from the machine, and the one line that says how to get it."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path

from rgmgr.lab.errors import LabError

PACKAGES_BY_PROGRAM = {
    "systemd-nspawn": "systemd-container",
    "debootstrap": "debootstrap",
    "ipmi_sim": "openipmi",
    "ipmitool": "ipmitool",
    "ip": "iproute2",
    "nft": "nftables",
    "curl": "curl",
    "nsenter": "util-linux",
    "snmpd": "snmpd",
    "snmpget": "snmp",
    "ssh-keygen": "openssh-client",
    "losetup": "mount",
    "mkfs.ext4": "e2fsprogs",
    "journalctl": "systemd",
}


INOTIFY_LIMIT = Path("/proc/sys/fs/inotify/max_user_instances")
INOTIFY_SPARE, INOTIFY_EACH = 16, 7
"""Of the limit, which all nodes share: what the machine itself uses, and a node's systemd.

Without one, units that wait for a path fail, and the node never says that it has booted.
"""


def missing(which: Callable[[str], str | None] = shutil.which) -> list[str]:
    """Return the Debian packages that the lab needs and this machine lacks."""
    lacking = {
        package for program, package in PACKAGES_BY_PROGRAM.items() if which(program) is None
    }
    return sorted(lacking)


def require() -> None:
    """Refuse to go on where the lab cannot work.

    Raises:
        LabError: not root, or packages are missing; says in one line what to do.
    """
    if os.geteuid() != 0:
        raise LabError("the lab makes containers and networks, which needs root: run it with sudo")
    packages = missing()
    if packages:
        raise LabError(f"the lab lacks programs: apt-get install {' '.join(packages)}")


def require_room(nodes: int, limit: Path = INOTIFY_LIMIT) -> None:
    """Refuse more nodes than the kernel has room for.

    Raises:
        LabError: it has not; says what to raise, and to what.
    """
    needed = INOTIFY_SPARE + INOTIFY_EACH * nodes
    found = int(limit.read_text(encoding="ascii"))
    if found < needed:
        raise LabError(
            f"{nodes} nodes need fs.inotify.max_user_instances of {needed}, it is {found}:"
            f" sysctl -w fs.inotify.max_user_instances={needed}"
        )
