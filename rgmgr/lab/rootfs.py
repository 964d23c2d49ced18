# SPDX-License-Identifier: Apache-2.0
"""The Debian tree under all nodes: made once by debootstrap, then kept.

A stamp inside the tree names what it was made from; a tree with another stamp is made again. It
is built under a temporary name, so that an interrupted build is never used.
"""

import hashlib
import shutil
import subprocess
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TextIO

from rgmgr.lab import aptsource
from rgmgr.lab.errors import LabError
from rgmgr.lab.process import Progress, command

SUITE = "bookworm"
PYTHON = (3, 11)  # what the suite has; compiled modules must be for this one
BUILD_TIMEOUT = 1200.0
RECIPE = 1  # raise when `_finish` changes what it does

PACKAGES = (
    "systemd",
    "systemd-sysv",
    "dbus",
    "corosync",
    "iproute2",
    "iputils-ping",
    "iputils-arping",
    "procps",
    "psmisc",
    "python3",
    "ipmitool",
    "openssh-client",
    "openssh-server",
    "nginx-light",
    "resource-agents",
    "curl",
    "nftables",
    "kmod",
    "e2fsprogs",
    "less",
)

# What only costs time in a container, or would meddle with the links that the lab makes.
MASKED = (
    "apt-daily-upgrade.timer",
    "apt-daily.timer",
    "console-getty.service",
    "dpkg-db-backup.timer",
    "e2scrub_all.timer",
    "e2scrub_reap.service",
    "fstrim.timer",
    "getty-static.service",
    "getty.target",
    "hwclock.service",
    "ldconfig.service",
    "nftables.service",
    "systemd-firstboot.service",
    "systemd-hwdb-update.service",
    "systemd-journal-catalog-update.service",
    "systemd-networkd-wait-online.service",
    "systemd-networkd.service",
    "systemd-networkd.socket",
    "systemd-resolved.service",
    "systemd-timesyncd.service",
    "systemd-update-utmp-runlevel.service",
    "systemd-update-utmp.service",
)

JOURNAL = """\
[Journal]
Storage=persistent
SystemMaxUse=64M
RateLimitIntervalSec=0
ForwardToSyslog=no
"""

# Nothing starts because a package was installed or a machine id is new.
PRESET = """\
enable corosync.service
enable systemd-logind.service
enable rgmgrd.service
disable *
"""


def stamp() -> str:
    """Return what the stamp of an up-to-date tree says."""
    made_from = repr((SUITE, PACKAGES, MASKED, JOURNAL, PRESET, RECIPE))
    return f"{SUITE} {hashlib.sha256(made_from.encode()).hexdigest()[:16]}\n"


def is_current(root: Path) -> bool:
    """Tell whether a tree is there and made as this version makes it."""
    path = root / "etc" / "rgmgr-lab-root"
    return path.is_file() and path.read_text(encoding="utf-8") == stamp()


def ensure(root: Path, progress: Progress) -> None:
    """Make the tree unless it is there.

    Raises:
        LabError: no apt source has the suite, or debootstrap failed.
    """
    if is_current(root):
        return
    building = root.with_name("root.building")
    shutil.rmtree(building, ignore_errors=True)
    building.parent.mkdir(parents=True, exist_ok=True)
    _debootstrap(building, progress)
    _finish(building)
    shutil.rmtree(root, ignore_errors=True)
    building.rename(root)
    progress(f"root tree ready in {root}")


def _debootstrap(target: Path, progress: Progress) -> None:
    """Let debootstrap fill ``target``, telling how far it is.

    In a mount namespace of its own: what it mounts inside the tree goes with it, also when it is
    killed, and is not there when the tree is removed.
    """
    source = aptsource.find(SUITE)
    progress(f"building the nodes' root tree ({SUITE}; once, it takes a minute or two)")
    keyring = [f"--keyring={source.keyring}"] if source.keyring else []
    argv = ["timeout", "--kill-after=5", f"{BUILD_TIMEOUT:g}"]
    argv += ["unshare", "--mount", "--propagation", "private"]
    argv += ["debootstrap", "--variant=minbase", *keyring, f"--include={','.join(PACKAGES)}"]
    argv += [SUITE, str(target), source.uri]
    log = target.with_name("root.log")
    with (
        log.open("w", encoding="utf-8") as output,
        subprocess.Popen(
            argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=output, text=True
        ) as child,
    ):
        assert child.stdout is not None  # noqa: S101  # a pipe was asked for
        for line in _new_phases(_tee(child.stdout, output)):
            progress(f"  debootstrap: {line}")
        status = child.wait()
    if status != 0:
        raise LabError(f"debootstrap failed with status {status}: see the end of {log}")
    log.unlink()


def _tee(lines: Iterable[str], copy: TextIO) -> Iterator[str]:
    for line in lines:
        copy.write(line)
        yield line


def _new_phases(lines: Iterable[str]) -> Iterator[str]:
    """Yield each phase of debootstrap when its first line is seen."""
    left = ["Retrieving", "Extracting", "Unpacking", "Configuring"]
    for line in lines:
        words = line.split()
        if len(words) > 1 and words[0] == "I:" and words[1] in left:
            left.remove(words[1])
            yield words[1].lower()


def _finish(root: Path) -> None:
    """Make the tree fit for nodes: quick to boot, nothing running that was not asked for."""
    shutil.rmtree(root / "var/cache/apt/archives", ignore_errors=True)
    shutil.rmtree(root / "var/lib/apt/lists", ignore_errors=True)
    for name in ("etc/machine-id", "var/lib/dbus/machine-id", "etc/hostname"):
        (root / name).unlink(missing_ok=True)
    _write(root / "etc/systemd/system-preset/00-rgmgr-lab.preset", PRESET)
    command(["systemctl", f"--root={root}", "preset-all", "--preset-mode=full"])
    command(["systemctl", f"--root={root}", "mask", *MASKED])
    command(["systemctl", f"--root={root}", "set-default", "multi-user.target"])
    _write(root / "etc/systemd/journald.conf.d/rgmgr-lab.conf", JOURNAL)
    (root / "var/log/journal").mkdir(exist_ok=True)
    (root / "etc/.updated").touch()
    (root / "var/.updated").touch()
    _write(root / "etc/rgmgr-lab-root", stamp())


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
