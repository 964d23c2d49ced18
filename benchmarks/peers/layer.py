# SPDX-License-Identifier: Apache-2.0
"""The layer that only the comparison has: Pacemaker, and the unit that both managers start."""

from __future__ import annotations

from pathlib import Path

from rgmgr.lab import packagelayer
from rgmgr.lab.process import Progress

PACKAGES = ("pacemaker", "pacemaker-cli-utils")
TEMPLATE = "load@.service"
UNIT = """\
[Unit]
Description=Sleeps as number %i

[Service]
Type=exec
ExecStart=/bin/sleep infinity
"""


def ensure(directory: Path, root: Path, progress: Progress) -> Path:
    """Return the layer, made now unless it is there for this very tree.

    Raises:
        LabError: a package could not be had; says what apt said last.
    """
    files = {f"etc/systemd/system/{TEMPLATE}": UNIT}
    return packagelayer.ensure(directory / "peer", root, PACKAGES, files, progress)
