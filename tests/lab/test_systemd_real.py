# SPDX-License-Identifier: Apache-2.0
"""The systemd adapter against the real PID 1 of node3, which runs no daemon meanwhile.

The node has its own copy of the product; what it lacks are the checks, which are sent to it.
"""

from __future__ import annotations

import io
import subprocess
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from rgmgr.lab.applayer import LIBRARY
from rgmgr.lab.layout import PREFIX_LENGTH, SERVICE_ADDRESSES
from tests.lab.observed import Observed

ROOT = Path(__file__).resolve().parents[2]
CHECKS = tuple(
    f"tests/lab/systemd_{part}.py" for part in ("desk", "kinds", "disks", "reality", "inside")
)
NODE = "node3"
FOLDER = "/run/rgmgr-checks"
ADDRESS = f"{SERVICE_ADDRESSES[-1]}/{PREFIX_LENGTH}"
TIMEOUT_S = 400


@pytest.fixture
def idle(cluster: Observed) -> Iterator[Observed]:
    """Take the daemon of the node away, and bring everything back."""
    failed, before = failed_units(cluster), state_of(cluster)
    cluster.do(NODE, "systemctl", "stop", "rgmgrd.service")
    try:
        send(cluster)
        yield cluster
    finally:
        cluster.lab.run(NODE, inside("restore"), TIMEOUT_S)
        cluster.do(NODE, "rm", "-rf", FOLDER)
        cluster.do(NODE, "systemctl", "start", "rgmgrd.service")
        cluster.await_that(cluster.is_settled, f"{NODE} to return after the checks")
    assert state_of(cluster) == before, "the checks left something behind"
    assert failed_units(cluster) <= failed


def inside(*arguments: str) -> list[str]:
    """Return the command that runs the checks on the node."""
    environment = (
        f"PYTHONPATH=/{LIBRARY}:{FOLDER}",
        f"RGMGR_TEST_ADDRESS={ADDRESS}",
        "PYTHONDONTWRITEBYTECODE=1",
    )
    script = f"{FOLDER}/tests/lab/systemd_inside.py"
    return ["env", *environment, "python3", script, *arguments]


def failed_units(cluster: Observed) -> set[str]:
    told = cluster.do(NODE, "systemctl", "--failed", "--no-legend", "--plain")
    return {line.split()[0] for line in told.splitlines()}


def state_of(cluster: Observed) -> dict[str, str]:
    """Return what the checks touch on the node: units, addresses, mounts."""
    commands = {
        "units": "find /run/systemd/system -name '*.service' -o -name '*rgmgr*' | sort",
        "services": "systemctl is-active nginx.service corosync.service dbus.service || true",
        "addresses": "ip -o addr show dev eth0 scope global | awk '{print $4}' | sort",
        "mounts": "awk '{print $5}' /proc/self/mountinfo | grep rgmgr | sort",
    }
    return {name: cluster.do(NODE, "sh", "-c", text) for name, text in commands.items()}


def send(cluster: Observed) -> None:
    """Unpack the checks on the node."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as archive:
        for name in CHECKS:
            archive.add(ROOT / name, arcname=name)
    unpack = f"mkdir -p {FOLDER} && exec tar --no-same-owner -xf - -C {FOLDER}"
    command = cluster.lab.enter(NODE, ["sh", "-c", unpack])
    done = subprocess.run(
        command, input=packed.getvalue(), capture_output=True, timeout=30, check=False
    )
    assert done.returncode == 0, done.stderr.decode()


def test_the_adapter_keeps_its_promises_on_a_real_systemd(idle: Observed) -> None:
    done = idle.lab.run(NODE, inside(), TIMEOUT_S)

    assert done.returncode == 0, done.stdout + done.stderr
