# SPDX-License-Identifier: Apache-2.0
"""Resources that are mounts: local file systems, network file systems, and bind mounts.

The mount table alone tells whether one is there: asking a file system itself may hang. Source:
systemd.mount(5), proc_pid_mountinfo(5).
"""

from __future__ import annotations

from rgmgr.adapters.systemd.node import Mount, NodeFacts, same_device
from rgmgr.core.spec import SHAREABLE_FILE_SYSTEMS as SHAREABLE
from rgmgr.core.spec import ResourceSpec

TYPES = ("fs", "netfs", "bind-mount")

Property = tuple[str, str, object]


def source(spec: ResourceSpec) -> str:
    """Return what is mounted: a device, an export of a server, or a directory."""
    return spec.parameters["source" if spec.type == "bind-mount" else "device"]


def properties(spec: ResourceSpec, daemon_unit: str) -> list[Property]:
    """Return a mount without default dependencies: with them, shutdown finds a cycle."""
    parameters = spec.parameters
    timeout_ms = max(spec.start_timeout_ms, spec.stop_timeout_ms)
    options = [parameters.get("options", "")]
    if spec.type == "bind-mount":
        options.insert(0, "bind")
    found: list[Property] = [
        ("DefaultDependencies", "b", False),
        ("Conflicts", "as", ["umount.target"]),
        ("Before", "as", ["umount.target", daemon_unit]),
        ("What", "s", source(spec)),
        ("Where", "s", parameters["mountpoint"]),
        ("Type", "s", parameters.get("fstype", "none")),
        ("TimeoutUSec", "t", timeout_ms * 1000),
    ]
    if any(options):
        found.append(("Options", "s", ",".join(filter(None, options))))
    return found


def is_mounted(spec: ResourceSpec, node: NodeFacts) -> bool:
    """Tell whether ours is among what is mounted on the mount point."""
    mounts = node.mounts()
    there = [m for m in mounts if m.mountpoint == spec.parameters["mountpoint"]]
    if spec.type != "bind-mount":
        return any(same_device(mount, source(spec)) for mount in there)
    origin = _origin(source(spec), [m for m in mounts if m not in there])
    return any((mount.device_number, mount.root) == origin for mount in there)


def elsewhere(spec: ResourceSpec, node: NodeFacts) -> list[str]:
    """Return where else on this node the file system is mounted, so that it stays in use.

    Not asked of one that several nodes may use at once, nor of a bind mount or a network one.
    """
    device = source(spec)
    is_device = device.startswith("/") or "=" in device  # a tmpfs has none
    if spec.type != "fs" or not is_device or spec.parameters["fstype"] in SHAREABLE:
        return []
    ours = spec.parameters["mountpoint"]
    others = [m for m in node.mounts() if m.mountpoint != ours and same_device(m, device)]
    return sorted({mount.mountpoint for mount in others})


def is_read_only(spec: ResourceSpec, node: NodeFacts) -> bool:
    """Tell whether nobody can write there, as the kernel has it after an error of the device."""
    upper = layers(spec, node)[-1:]
    return any(mount.is_read_only for mount in upper)


def layers(spec: ResourceSpec, node: NodeFacts) -> list[Mount]:
    """Return what is mounted on the mount point, the lowest layer first."""
    return [m for m in node.mounts() if m.mountpoint == spec.parameters["mountpoint"]]


def _origin(directory: str, mounts: list[Mount]) -> tuple[str, str] | None:
    """Return device number and path in its file system of a directory without symbolic links."""
    above = [m for m in mounts if _contains(m.mountpoint, directory)]
    if not above:
        return None
    longest = max(len(mount.mountpoint) for mount in above)
    mount = [m for m in above if len(m.mountpoint) == longest][-1]  # the upper layer counts
    below = directory[len(mount.mountpoint.rstrip("/")) :]
    return mount.device_number, (mount.root.rstrip("/") + below).rstrip("/") or "/"


def _contains(mountpoint: str, path: str) -> bool:
    folder = mountpoint.rstrip("/")
    return path == folder or path.startswith(folder + "/")
