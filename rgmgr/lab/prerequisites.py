# SPDX-License-Identifier: Apache-2.0
"""What the lab needs from the machine, and the one line that says how to get it."""

import os
import shutil
from collections.abc import Callable

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
