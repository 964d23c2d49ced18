# SPDX-License-Identifier: Apache-2.0
"""The ssh keys of one run: each node its host key, and one with which nodes reach each other."""

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from rgmgr.lab.layout import NodePlan
from rgmgr.lab.process import command


@dataclass(frozen=True, slots=True)
class KeyPair:
    """A key as files have it."""

    private: str
    public: str


@dataclass(frozen=True, slots=True)
class SshKeys:
    """All keys of a run."""

    root: KeyPair
    host: Mapping[str, KeyPair]  # by node

    def files(self, node: NodePlan, nodes: Sequence[NodePlan]) -> dict[str, tuple[str, int]]:
        """Return what lies where in a node: text and mode by path."""
        own = self.host[node.name]
        known = "".join(f"{n.name},{n.address} {self.host[n.name].public}" for n in nodes)
        return {
            "etc/ssh/ssh_host_ed25519_key": (own.private, 0o600),
            "etc/ssh/ssh_host_ed25519_key.pub": (own.public, 0o644),
            "etc/ssh/ssh_known_hosts": (known, 0o644),
            "root/.ssh/id_ed25519": (self.root.private, 0o600),
            "root/.ssh/authorized_keys": (self.root.public, 0o600),
        }


def make(nodes: Sequence[NodePlan]) -> SshKeys:
    """Make new keys."""
    with tempfile.TemporaryDirectory(prefix="rglab-keys-") as name:
        folder = Path(name)
        return SshKeys(
            _pair(folder, "root"), {node.name: _pair(folder, node.name) for node in nodes}
        )


def _pair(folder: Path, name: str) -> KeyPair:
    path = folder / name
    command(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", name, "-f", str(path)])
    return KeyPair(path.read_text(encoding="ascii"), path.with_suffix(".pub").read_text("ascii"))
