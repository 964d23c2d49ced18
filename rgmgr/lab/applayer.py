# SPDX-License-Identifier: Apache-2.0
"""The layer with rgmgr itself: laid over the root tree, made anew by each ``up``.

It holds a copy of the running installation with bytecode, so that the daemon starts fast: the
library in ``/usr/lib/rgmgr/python``, the commands, the fence agents and the systemd files.
"""

import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

from rgmgr.lab import installation
from rgmgr.lab.errors import LabError
from rgmgr.lab.process import Progress, attempt, command
from rgmgr.lab.rootfs import PYTHON

LIBRARY = Path("usr/lib/rgmgr/python")
UNITS = Path("usr/lib/systemd/system")
HELPERS = Path("usr/lib/rgmgr")
COMMANDS = {
    "usr/sbin/rgmgrd": "rgmgr.runtime.daemon:main",
    "usr/bin/rgmgr": "rgmgr.cli.quick:main",
    "usr/bin/clustat": "rgmgr.cli.clustat:main",
    "usr/sbin/clusvcadm": "rgmgr.cli.clusvcadm:main",
    "usr/sbin/fence_node": "rgmgr.cli.fence_classic:main_node",
    "usr/sbin/fence_ack_manual": "rgmgr.cli.fence_classic:main_ack",
    "usr/bin/hb_standby": "rgmgr.cli.orders:main_standby",
    "usr/bin/hb_takeover": "rgmgr.cli.orders:main_takeover",
}
UNIT_SUFFIXES = {".service", ".slice", ".socket", ".target", ".timer", ".path", ".mount"}
# Arguments: lower, upper and work directory, and where to mount them.
MAKE_USERS = """
mount -t overlay overlay -o "lowerdir=$1,upperdir=$2,workdir=$3" "$4" &&
exec chroot "$4" systemd-sysusers
"""
COMPILE_TIMEOUT = 120.0


def wrapper(entry: str) -> str:
    """Return the command that runs a function of the library, written ``module:function``.

    All that it needs is in the library: to look for installed packages as well (`site`) takes as
    long as Python's own start.
    """
    module, _, function = entry.partition(":")
    return f"""\
#!/usr/bin/python3 -S
import sys

sys.path.insert(0, "/{LIBRARY}")
from {module} import {function}

sys.exit({function}())
"""


def destination(name: str, text: str) -> Path | None:
    """Tell where a file of the project's ``systemd/`` directory goes; None if nowhere.

    Args:
        name: the file's name; for one in a drop-in directory with that directory.
        text: its content, which tells a D-Bus activation file from a unit.
    """
    path = Path(name)
    if text.startswith("#!"):
        where = HELPERS
    elif path.parent.suffix == ".d":
        where = UNITS
    elif "[D-BUS Service]" in text:
        where = Path("usr/share/dbus-1/system-services")
    elif path.suffix in UNIT_SUFFIXES:
        where = UNITS
    elif path.suffix == ".preset":
        where = Path("usr/lib/systemd/system-preset")
    elif path.suffix != ".conf":
        return None
    elif "<busconfig>" in text:
        where = Path("usr/share/dbus-1/system.d")
    else:
        kind = "sysusers" if "sysusers" in name else "tmpfiles"
        return Path(f"usr/lib/{kind}.d/rgmgr.conf")
    return where / path


def build(app: Path, below: Sequence[Path], progress: Progress) -> None:
    """Fill the layer ``app``, which is to lie over those ``below``, uppermost first.

    Raises:
        LabError: the running Python is not that of the nodes, or something needed is missing.
    """
    if sys.version_info[:2] != PYTHON:
        raise LabError(
            f"the nodes have Python {PYTHON[0]}.{PYTHON[1]} and rgmgr runs here under"
            f" {sys.version_info[0]}.{sys.version_info[1]}, whose compiled modules do not fit:"
            f" run the lab with Python {PYTHON[0]}.{PYTHON[1]}"
        )
    shutil.rmtree(app, ignore_errors=True)
    _copy_library(app / LIBRARY, progress)
    _write_commands(app)
    _copy_systemd(app)
    _make_users(app, below)


def has_daemon(app: Path) -> bool:
    """Tell whether the layer has a daemon that can be started."""
    return (app / UNITS / "rgmgrd.service").is_file() and (app / "usr/sbin/rgmgrd").is_file()


def _copy_library(library: Path, progress: Progress) -> None:
    package = installation.package_directory()
    if not any(package.glob("_corosync*.so")):
        progress("warning: rgmgr._corosync is not built: rgmgrd will not run in the nodes")
    for name in installation.OWN_PACKAGES:
        shutil.copytree(package.parent / name, library / name, dirs_exist_ok=True)
    agents = installation.fence_library()
    shutil.copytree(agents, library / agents.name, dirs_exist_ok=True)
    names = installation.closure(installation.own_requirements(), installation.requires_installed)
    for name in names:
        for source, below in installation.modules(name):
            target = library / below
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source, target)
    _compile(library, progress)


def _compile(library: Path, progress: Progress) -> None:
    """Make bytecode; what came along with its source and is newer is not made again.

    A module that does not compile is the affair of whoever imports it.
    """
    argv = [sys.executable, "-m", "compileall", "-q", "-s", str(library), "-p", f"/{LIBRARY}"]
    done = attempt([*argv, str(library)], timeout=COMPILE_TIMEOUT)
    for line in done.stdout.splitlines():
        if line.startswith("***"):
            progress(f"warning: {line.strip('* .')}")


def _write_commands(app: Path) -> None:
    for name, entry in COMMANDS.items():
        module = entry.partition(":")[0].replace(".", "/")
        if (app / LIBRARY / f"{module}.py").is_file():
            _install(app / name, wrapper(entry))
    for agent in installation.fence_agents():
        text = agent.read_text(encoding="utf-8")
        first, _, rest = text.partition("\n")
        if "python" in first and not first.startswith("#!/usr/bin/python3"):  # of a virtual env
            text = f"#!/usr/bin/python3\n{rest}"
        _install(app / "usr/sbin" / agent.name, text)


def _install(path: Path, text: str) -> None:
    """Write an executable."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    path.chmod(0o755)


def _copy_systemd(app: Path) -> None:
    source = installation.systemd_directory()
    if source is None:
        return
    for path in sorted(source.rglob("*")):
        if not path.is_file():
            continue
        where = destination(
            str(path.relative_to(source)), path.read_text(encoding="utf-8", errors="replace")
        )
        if where is not None:
            (app / where).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(path, app / where)


def _make_users(app: Path, below: Sequence[Path]) -> None:
    """Let the tree's own systemd-sysusers make our users and groups, into the layer.

    Before the boot, because the bus daemon looks the groups of its policy up when it starts.
    """
    if not (app / "usr/lib/sysusers.d").is_dir():
        return
    scratch = app.with_name("app.scratch")
    shutil.rmtree(scratch, ignore_errors=True)
    work, merged = scratch / "work", scratch / "merged"
    work.mkdir(parents=True)
    merged.mkdir()
    argv = ["unshare", "--mount", "--propagation", "private", "sh", "-c", MAKE_USERS, "sh"]
    command([*argv, ":".join(map(str, below)), str(app), str(work), str(merged)])
    shutil.rmtree(scratch, ignore_errors=True)
