# SPDX-License-Identifier: Apache-2.0
"""The layer that only the comparison has: Pacemaker, and the unit that both managers start.

Made once, over the root tree of the lab, with the tree's own apt; a stamp says over which tree.
"""

from __future__ import annotations

import shutil
from pathlib import Path

from rgmgr.lab import rootfs
from rgmgr.lab.process import Progress, command

PACKAGES = ("pacemaker", "pacemaker-cli-utils")
INSTALL_TIMEOUT = 600.0
TEMPLATE = "load@.service"
UNIT = """\
[Unit]
Description=Sleeps as number %i

[Service]
Type=exec
ExecStart=/bin/sleep infinity
"""
# Arguments: lower, upper and work directory, where to mount them, the packages.
INSTALL = """
set -eu
mount -t overlay overlay -o "lowerdir=$1,upperdir=$2,workdir=$3" "$4"
mount --bind /dev "$4/dev"
mount -t proc proc "$4/proc"
mount --bind /etc/resolv.conf "$4/etc/resolv.conf"
export DEBIAN_FRONTEND=noninteractive LC_ALL=C.UTF-8
merged=$4
shift 4
chroot "$merged" apt-get -q update
chroot "$merged" apt-get -qy --no-install-recommends install "$@"
chroot "$merged" apt-get clean
"""


def ensure(directory: Path, root: Path, progress: Progress) -> Path:
    """Return the layer, made now unless it is there for this very tree.

    Raises:
        LabError: a package could not be had; says what apt said last.
    """
    rootfs.ensure(root, progress)
    layer = directory / "peer"
    stamp = layer / "etc/rgmgr-peer-layer"
    wanted = f"{rootfs.stamp()}{PACKAGES}\n{UNIT}"
    if stamp.is_file() and stamp.read_text(encoding="utf-8") == wanted:
        return layer
    progress("installing Pacemaker into a layer of its own (once)")
    building = directory / "peer.building"
    shutil.rmtree(building, ignore_errors=True)
    parts = [building / name for name in ("upper", "work", "merged")]
    for part in parts:
        part.mkdir(parents=True)
    argv = ["unshare", "--mount", "--propagation", "private", "sh", "-c", INSTALL, "sh"]
    command([*argv, str(root), *map(str, parts), *PACKAGES], timeout=INSTALL_TIMEOUT)
    unit = parts[0] / "etc/systemd/system" / TEMPLATE
    unit.parent.mkdir(parents=True, exist_ok=True)
    unit.write_text(UNIT, encoding="utf-8")
    shutil.rmtree(parts[0] / "var/lib/apt/lists", ignore_errors=True)
    (parts[0] / stamp.relative_to(layer)).write_text(wanted, encoding="utf-8")
    shutil.rmtree(layer, ignore_errors=True)
    parts[0].rename(layer)
    shutil.rmtree(building)
    return layer
