# SPDX-License-Identifier: Apache-2.0
"""Layers over the nodes' root tree with more Debian packages in them, each made once and kept.

The tree's own apt installs them; a stamp says over which tree, and what is in the layer.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

from rgmgr.lab import rootfs
from rgmgr.lab.process import Progress, command

INSTALL_TIMEOUT = 600.0
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


def ensure(
    layer: Path,
    root: Path,
    packages: Sequence[str],
    files: Mapping[str, str],
    progress: Progress,
) -> Path:
    """Return the layer, made now unless it is there for this very tree.

    Args:
        layer: where it is kept.
        root: the tree below it, made unless it is there.
        packages: what is installed.
        files: texts by their path in the layer.
        progress: told when it is made.

    Raises:
        LabError: a package could not be had; says what apt said last.
    """
    rootfs.ensure(root, progress)
    stamp = f"etc/rgmgr-{layer.name}-layer"
    wanted = f"{rootfs.stamp()}{tuple(packages)}\n{dict(files)}\n"
    made = layer / stamp
    if made.is_file() and made.read_text(encoding="utf-8") == wanted:
        return layer
    progress(f"installing {', '.join(packages)} into a layer of its own (once)")
    building = layer.with_name(f"{layer.name}.building")
    shutil.rmtree(building, ignore_errors=True)
    parts = [building / name for name in ("upper", "work", "merged")]
    for part in parts:
        part.mkdir(parents=True)
    argv = ["unshare", "--mount", "--propagation", "private", "sh", "-c", INSTALL, "sh"]
    command([*argv, str(root), *map(str, parts), *packages], timeout=INSTALL_TIMEOUT)
    shutil.rmtree(parts[0] / "var/lib/apt/lists", ignore_errors=True)
    for name, text in {**files, stamp: wanted}.items():
        path = parts[0] / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    shutil.rmtree(layer, ignore_errors=True)
    parts[0].rename(layer)
    shutil.rmtree(building)
    return layer
