# SPDX-License-Identifier: Apache-2.0
"""Two machines on one cable: network namespaces joined by a veth pair. Needs root."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

IP = "/usr/sbin/ip"
HELPER = Path(__file__).parents[2] / "systemd" / "rgmgr-ip"


class Machines:
    """`a` runs the helper; `b` watches, or has the address itself."""

    def __init__(self) -> None:
        tag = f"rgip{os.getpid()}"
        self.a, self.b = f"{tag}a", f"{tag}b"

    def make(self) -> None:
        _ip("netns", "add", self.a)
        _ip("netns", "add", self.b)
        _ip("link", "add", "eth0", "netns", self.a, "type", "veth", "peer", "eth0", "netns", self.b)
        for name, last in ((self.a, 1), (self.b, 2)):
            self.ip(name, "addr", "add", f"10.9.0.{last}/24", "dev", "eth0")
            self.ip(name, "addr", "add", f"fd09::{last}/64", "dev", "eth0", "nodad")
            self.ip(name, "link", "set", "eth0", "up")

    def remove(self) -> None:
        for name in (self.a, self.b):
            subprocess.run([IP, "netns", "del", name], check=False, capture_output=True)

    def ip(self, machine: str, *words: str) -> str:
        """Run `ip` on a machine."""
        return _ip("-n", machine, *words)

    def command(
        self, verb: str, address: str, **parameters: str
    ) -> subprocess.CompletedProcess[str]:
        """Run the helper on `a`."""
        named = {f"RGMGR_PARAM_{key.upper()}": value for key, value in parameters.items()}
        return subprocess.run(
            [IP, "netns", "exec", self.a, str(HELPER), verb],
            env={"PATH": os.environ["PATH"], "RGMGR_PARAM_ADDRESS": address, **named},
            capture_output=True,
            text=True,
            timeout=20,
            check=False,
        )

    def has(self, machine: str, address: str) -> bool:
        return f" {address} " in self.ip(machine, "-o", "addr")


@contextmanager
def machines() -> Iterator[Machines]:
    made = Machines()
    try:
        made.make()
        yield made
    finally:
        made.remove()


def _ip(*words: str) -> str:
    done = subprocess.run([IP, *words], capture_output=True, text=True, check=False)
    assert done.returncode == 0, (words, done.stderr)
    return done.stdout
