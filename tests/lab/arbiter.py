# SPDX-License-Identifier: Apache-2.0
"""A real arbiter for the lab: corosync-qnetd in the management namespace, with certificates.

It runs on the tree that the nodes have, with two packages more, which make its authority. The nodes
get one certificate database, as corosync-qdevice-net-certutil(8) hands it out, and start
corosync-qdevice at boot.
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

from rgmgr.lab import cgroups, network, packagelayer
from rgmgr.lab.lab import Lab
from rgmgr.lab.layout import CLUSTER
from rgmgr.lab.process import command

NAME = "arbiter"
PACKAGES = ("corosync-qdevice", "corosync-qnetd")
WANTED = "etc/systemd/system/multi-user.target.wants/corosync-qdevice.service"
UNIT = "/usr/lib/systemd/system/corosync-qdevice.service"
NODES_SIDE = "etc/corosync/qdevice/net/nssdb"
CERTIFY_TIMEOUT = 120.0

# Arguments: lower, upper and work directory, where to mount them, and what to run in there.
INSIDE = """
set -eu
mount -t overlay overlay -o "lowerdir=$1,upperdir=$2,workdir=$3" "$4"
mount --bind /dev "$4/dev"
mount -t proc proc "$4/proc"
mount -t tmpfs tmpfs "$4/run"
mkdir -p "$4/run/corosync-qnetd"
exec chroot "$4" sh -euc "$5"
"""
CERTIFY = f"""
corosync-qdevice-net-certutil -i -c /etc/corosync/qnetd/nssdb/qnetd-cacert.crt
corosync-qdevice-net-certutil -r -n {CLUSTER}
corosync-qnetd-certutil -s -c /{NODES_SIDE}/qdevice-net-node.crq -n {CLUSTER}
corosync-qdevice-net-certutil -M -c /etc/corosync/qnetd/nssdb/cluster-{CLUSTER}.crt
"""


@dataclass(frozen=True, slots=True)
class Arbiter:
    """What is ready to be started."""

    lab: Lab
    lower: tuple[Path, ...]  # of its own tree
    layers: tuple[Path, ...]  # for the nodes

    def start(self) -> None:
        """Start it; it ends with the lab, which must be up."""
        log = self.lab.layout.run / "arbiter.log"
        argv = network.inside(_inside(self.lab.layout.directory, self.lower, "corosync-qnetd -f"))
        hierarchies = cgroups.find_hierarchies()
        cgroups.start(hierarchies, NAME, argv, log=log, cwd=self.lab.layout.run)


def prepare(lab: Lab) -> Arbiter:
    """Install the packages, once, and make new certificates.

    Raises:
        LabError: a package could not be had, or a certificate not be made.
    """
    directory, root = lab.layout.directory, lab.layout.root
    packages = packagelayer.ensure(directory / "qnetd", root, PACKAGES, {}, lab.progress)
    lower = (packages, root)
    home = directory / NAME
    shutil.rmtree(home, ignore_errors=True)
    for name in ("upper", "work", "merged"):
        (home / name).mkdir(parents=True)
    command(_inside(directory, lower, CERTIFY), timeout=CERTIFY_TIMEOUT)
    nodes = home / "nodes"
    shutil.copytree(home / "upper" / NODES_SIDE, nodes / NODES_SIDE)
    (nodes / WANTED).parent.mkdir(parents=True)
    (nodes / WANTED).symlink_to(UNIT)
    return Arbiter(lab, lower, (nodes, packages))


def _inside(directory: Path, lower: tuple[Path, ...], script: str) -> list[str]:
    home = directory / NAME
    parts = [str(home / name) for name in ("upper", "work", "merged")]
    argv = ["unshare", "--mount", "--propagation", "private", "sh", "-c", INSIDE, "sh"]
    return [*argv, ":".join(map(str, lower)), *parts, script]
