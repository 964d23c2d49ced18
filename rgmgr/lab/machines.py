# SPDX-License-Identifier: Apache-2.0
"""What a node's own layer contains, and how to run a program inside a node."""

import secrets
import shutil
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from rgmgr.lab import cgroups, render, scene
from rgmgr.lab.cgroups import Hierarchies
from rgmgr.lab.errors import LabError
from rgmgr.lab.layout import BRIDGE, DISK_DEVICE, DISK_FOR_UNITS, Layout, NodePlan
from rgmgr.lab.process import attempt, command
from rgmgr.lab.sshkeys import SshKeys

DISK_BYTES = 64 << 20
DATA = Path(__file__).resolve().parent / "data"

ENVIRONMENT = (
    "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    "HOME=/root",
    "LANG=C.UTF-8",
    "container=systemd-nspawn",
)

# The first argument lists control groups; the process enters them before it goes on.
JOIN = 'for group in $1; do echo 0 >"$group/cgroup.procs" || exit 125; done; shift; exec "$@"'


@dataclass(frozen=True, slots=True)
class Texts:
    """The files that are the same on every node."""

    cluster_toml: str
    corosync_conf: str


@dataclass(frozen=True, slots=True)
class Common:
    """What all nodes of a run share."""

    nodes: tuple[NodePlan, ...]
    texts: Texts
    authkey: bytes
    passwords: Mapping[str, str]  # by name of the fence device
    disk: str | None  # the block device behind the shared disk
    ssh: SshKeys


def install_programs(layout: Layout) -> None:
    """Put the power programs where BMCs and we ourselves call them."""
    target = layout.power.parent
    target.mkdir(parents=True, exist_ok=True)
    for name in ("power", "chassis", "pdu"):
        shutil.copyfile(DATA / name, target / name)
        (target / name).chmod(0o755)


def write_layer(layout: Layout, node: NodePlan, common: Common, *, has_daemon: bool) -> None:
    """Write what makes a node this node into its upper layer, before it is first booted."""
    for name in ("upper", "work", "merged"):
        (layout.node(node.name) / name).mkdir(parents=True, exist_ok=True)
    top = layout.upper(node.name)
    texts = {
        "etc/hostname": f"{node.name}\n",
        "etc/hosts": render.hosts(common.nodes),
        "etc/machine-id": f"{uuid.uuid4().hex}\n",
        "etc/corosync/corosync.conf": common.texts.corosync_conf,
        "etc/rgmgr/cluster.toml": common.texts.cluster_toml,
        "var/www/html/index.html": render.page(node),
        f"etc/systemd/system/{scene.TEMPLATE}": scene.template(),
    }
    for name, text in texts.items():
        _write(top / name, text.encode(), mode=0o644)
    (top / "etc/machine-id").chmod(0o444)
    _write(top / "etc/corosync/authkey", common.authkey, mode=0o400)
    for name, password in common.passwords.items():
        _write(top / "etc/rgmgr/secrets.d" / name, f"{password}\n".encode(), mode=0o600)
    (top / "etc/rgmgr/secrets.d").chmod(0o700)
    for name, (text, mode) in common.ssh.files(node, common.nodes).items():
        _write(top / name, text.encode(), mode=mode)
    (top / "root").chmod(0o700)
    (top / "root/.ssh").chmod(0o700)
    wants = top / "etc/systemd/system/multi-user.target.wants"
    wants.mkdir(parents=True, exist_ok=True)
    for unit in ("ssh.service", *(["rgmgrd.service"] if has_daemon else [])):
        (wants / unit).symlink_to(f"/usr/lib/systemd/system/{unit}")


def write_params(
    layout: Layout,
    hierarchies: Hierarchies,
    node: NodePlan,
    disk: str | None,
    lower: Sequence[Path],
) -> None:
    """Tell the power program about a node, and give the node its control groups."""
    cgroups.create(hierarchies, node.name)
    names = () if disk is None else (DISK_DEVICE, DISK_FOR_UNITS)
    binds = [f"--bind={disk}:{name}" for name in names]
    text = render.power_params(
        node,
        bridge=BRIDGE,
        groups=hierarchies.directories(node.name),
        lower=lower,
        binds=binds,
    )
    (layout.node(node.name) / "params").write_text(text, encoding="utf-8")


def _write(path: Path, content: bytes, *, mode: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    path.chmod(mode)


def new_authkey() -> bytes:
    """Return a key for corosync's encryption."""
    return secrets.token_bytes(256)


def new_password() -> str:
    """Return a password for a BMC; IPMI allows no more than 16 characters everywhere."""
    return secrets.token_hex(8)


def attach_disk(image: Path) -> str | None:
    """Make the shared disk, with an ext4 file system; None where there are no loop devices."""
    image.parent.mkdir(parents=True, exist_ok=True)
    with image.open("wb") as file:
        file.truncate(DISK_BYTES)
    command(["mkfs.ext4", "-q", "-F", str(image)])
    attached = attempt(["losetup", "--find", "--show", str(image)])
    return attached.stdout.strip() if attached.returncode == 0 else None


def detach_disk(image: Path) -> None:
    """Detach every loop device of the image."""
    if not image.exists():
        return
    for line in command(["losetup", "--associated", str(image)]).splitlines():
        command(["losetup", "--detach", line.partition(":")[0]])


def init_pid(layout: Layout, node: str) -> int:
    """Return the process id, as seen from here, of a node's PID 1.

    Raises:
        LabError: the node is switched off.
    """
    said = attempt([str(layout.power), node, "pid"]).stdout.strip()
    if not said:
        raise LabError(f"{node} does not run: switch it on with `rgmgr lab boot {node}`")
    return int(said)


def enter(layout: Layout, hierarchies: Hierarchies, node: str, argv: Sequence[str]) -> list[str]:
    """Return the command that runs ``argv`` inside a node, in all its namespaces.

    It dies and pauses with the node, and dies when the caller gives up on it.

    In two steps. The outer nsenter stays outside as the parent: it may be in the node's group, but
    not in that of a unit, where systemd would see a process with the number 0 and fail. The child,
    already one of the node's processes, joins ``init.scope`` while it still sees the groups from
    here, because from inside it might not be allowed to.

    Raises:
        LabError: the node is switched off or paused.
    """
    group = hierarchies.group(node)
    if cgroups.is_frozen(group):
        raise LabError(f"{node} is paused: let it go on with `rgmgr lab resume {node}`")
    pid = init_pid(layout, node)
    outer = hierarchies.directories(node)
    inner = [_deepest(top / "payload", "init.scope") for top in outer]
    return [
        *("sh", "-c", JOIN, "sh", " ".join(map(str, outer))),
        *("nsenter", f"--target={pid}", "--pid", "--"),
        *("sh", "-c", JOIN, "sh", " ".join(map(str, inner))),
        *("nsenter", f"--target={pid}", "-m", "-u", "-i", "-n", "-C", "--root", "--wd", "--"),
        *("env", "-i", *ENVIRONMENT, "setpriv", "--pdeathsig", "KILL", "--"),
        *argv,
    ]


def _deepest(payload: Path, scope: str) -> Path:
    """Return the group for guests: systemd's own scope, once it has made one."""
    if (payload / scope).is_dir():
        return payload / scope
    return payload if payload.is_dir() else payload.parent
