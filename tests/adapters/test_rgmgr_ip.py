# SPDX-License-Identifier: Apache-2.0
"""The helper of `ip` resources on real interfaces, with a neighbour that listens."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator

import pytest

from tests.adapters.address_nodes import IP, Machines, machines

V4, V6 = "10.9.0.100/24", "fd09::100/64"
LISTENER = """
import socket, sys, time
link = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(0x0806))
link.bind(("eth0", 0x0806))
print("ready", flush=True)
wanted = socket.inet_aton("10.9.0.100")
while True:
    frame = link.recv(2048)
    if frame[28:32] == wanted:
        print(time.monotonic(), flush=True)
"""

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="network namespaces need root")


@pytest.fixture(name="both")
def fixture_both() -> Iterator[Machines]:
    with machines() as made:
        yield made


@pytest.mark.parametrize("address", [V4, V6])
def test_an_address_comes_and_goes_however_often_it_is_told(both: Machines, address: str) -> None:
    for _ in range(2):
        done = both.command("start", address)
        assert (done.returncode, done.stdout) == (0, f"{address} is on eth0\n")
        assert both.has(both.a, address)
    assert both.command("status", address).returncode == 0
    for _ in range(2):
        assert both.command("stop", address).returncode == 0
        assert not both.has(both.a, address)
    assert both.command("status", address).returncode == 7


@pytest.mark.parametrize("address", [V4, V6])
def test_an_address_that_another_machine_has_is_not_taken(both: Machines, address: str) -> None:
    both.ip(both.b, "addr", "add", address, "dev", "eth0", *(["nodad"] if ":" in address else []))
    mac = both.ip(both.b, "-br", "link", "show", "eth0").split()[2]

    done = both.command("start", address)

    assert done.returncode == 6
    assert f"{address} on eth0 is in use by another machine, {mac}" in done.stderr
    assert not both.has(both.a, address)
    assert both.command("start", address, duplicate_check="no").returncode == 0


def test_an_interface_without_link_is_no_place_for_an_address(both: Machines) -> None:
    both.ip(both.b, "link", "set", "eth0", "down")

    done = both.command("start", V4)

    assert done.returncode == 5
    assert "eth0 has no link" in done.stderr
    assert both.command("start", V4, monitor_link="no").returncode == 0


def test_neighbours_are_told_again_and_no_more_once_it_is_gone(both: Machines) -> None:
    with subprocess.Popen(
        [IP, "netns", "exec", both.b, sys.executable, "-c", LISTENER],
        stdout=subprocess.PIPE,
        text=True,
    ) as listener:
        assert listener.stdout is not None
        assert listener.stdout.readline() == "ready\n"
        began = time.monotonic()
        assert both.command("start", V4).returncode == 0
        heard: list[float] = []
        while not heard or heard[-1] - began < 1.0:
            heard.append(float(listener.stdout.readline()))
        assert both.command("stop", V4).returncode == 0
        listener.kill()

    assert heard[0] - began < 1.0
    assert heard[-1] - began < 2.9
