# SPDX-License-Identifier: Apache-2.0
"""How long each part of a failover takes, on real nodes, in one run: `make bench`.

Times are read from the journals of the nodes, which share one clock on one machine. Beside each
of ours stands what it is compared with, measured in the same run; read the ratios.
"""

from __future__ import annotations

import argparse
import json
import re
import statistics
import subprocess
import sys
from collections import defaultdict
from pathlib import Path

from rgmgr.lab import network
from rgmgr.lab.lab import Lab
from rgmgr.lab.observe import Observer

US_PER_MS = 1_000
Samples = dict[str, list[float]]
ADDRESS_UNIT = r"""[Service]\nType=oneshot\nRemainAfterExit=yes
Environment=RGMGR_PARAM_ADDRESS={address}/24
ExecStart=/usr/lib/rgmgr/rgmgr-ip start\nExecStopPost=/usr/lib/rgmgr/rgmgr-ip stop\n"""
FIRST_PACKET = """
import socket, struct
wanted = socket.inet_aton("{address}")
listener = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(3))
listener.setsockopt(socket.SOL_SOCKET, 35, 1)  # SO_TIMESTAMPNS
print("listening", flush=True)
while True:
    packet, ancillary, flags, origin = listener.recvmsg(2048, 64)
    if packet[9:10] == bytes([17]) and packet[16:20] == wanted and packet[22:24] == bytes([2, 111]):
        break
seconds, nanoseconds = struct.unpack("qq", ancillary[0][2])
print(seconds * 1_000_000 + nanoseconds // 1000)
"""
"""When the first UDP packet to port 623 of one address passed, as the kernel has it."""


def main() -> int:
    """Run all measurements and print a table; `--json FILE` keeps the samples."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--dir", type=Path, default=Path(".lab"))
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    lab = Lab(options.dir)
    samples: Samples = defaultdict(list)
    try:
        lab.up(3)
        observer = Observer(lab)
        for number in range(options.rounds):
            print(f"round {number + 1} of {options.rounds}", file=sys.stderr)
            _come_home(observer)
            _kill_unit(observer, samples)
            _relocate(observer, samples)
            _by_hand(observer, samples)
            _come_home(observer)
            _cut_power(observer, samples)
    finally:
        lab.down()
    if options.json:
        options.json.write_text(json.dumps(samples, indent=1), encoding="utf-8")
    _print(samples)
    return 0


def _come_home(observer: Observer) -> None:
    """Have every node up and the service on node1."""
    observer.await_that(observer.is_settled, "the cluster to settle")
    if observer.service().owner != "node1":
        observer.lab.run("node2", ["rgmgr", "relocate", "web", "-m", "node1"])
    observer.await_page("node1")


def _kill_unit(observer: Observer, samples: Samples) -> None:
    pid = _inside(observer, "node1", "systemctl show -P MainPID nginx.service")
    since = int(_inside(observer, "node1", f"date +%s%6N; kill -9 {pid}"))
    _await(observer, "node1", "service.started", since)
    failed = _when(observer, "node1", "service.failed", since)
    started = _when(observer, "node1", "service.started", since)
    _add(samples, "unit killed: noticed and agreed", since, failed)
    _add(samples, "unit killed: running again", since, started)


def _relocate(observer: Observer, samples: Samples) -> None:
    since = observer.now_us()
    observer.lab.run("node2", ["rgmgr", "relocate", "web", "-m", "node3"])
    accepted = _when(observer, "node2", "request.accepted", since)
    _await(observer, "node2", "service.started", since)
    _add(samples, "relocation", accepted, _when(observer, "node2", "service.started", since))


def _by_hand(observer: Observer, samples: Samples) -> None:
    """Stop the same two units on one node and start them on another, with systemctl."""
    observer.lab.run("node2", ["rgmgr", "disable", "web"])
    for node in ("node1", "node3"):
        unit = ADDRESS_UNIT.format(address=observer.lab.service_addresses[0])
        where = "/run/systemd/system/bench-address.service"
        _inside(observer, node, f"printf '{unit}' > {where}; systemctl daemon-reload")
    up = "systemctl start bench-address.service; systemctl start nginx.service"
    down = "systemctl stop nginx.service; systemctl stop bench-address.service"
    _inside(observer, "node3", up)
    stop_us = _timed(observer, "node3", down)
    start_us = _timed(observer, "node1", up)
    _inside(observer, "node1", down)
    samples["relocation by hand"].append((stop_us + start_us) / US_PER_MS)
    observer.lab.run("node1", ["rgmgr", "enable", "web", "-m", "node1"])


def _cut_power(observer: Observer, samples: Samples) -> None:
    listener = FirstPacket(observer.lab.bmc_address("node1"))
    since = observer.now_us()
    observer.lab.kill("node1")
    observer.await_page("node2")
    page = observer.now_us()
    _await(observer, "node2", "service.started", since)  # logged a moment after the page is there
    ring = _ring_formed(observer, "node2", since)
    at = {
        event: _when(observer, "node2", event, since)
        for event in ("fence.requested", "fence.succeeded", "service.starting", "service.started")
    }
    _add(samples, "power cut: corosync's new ring", since, ring)
    _add(samples, "power cut: decision to fence", ring, at["fence.requested"])
    first_packet = listener.at_us()
    _add(samples, "power cut: new ring to the agent's first packet", ring, first_packet)
    _add(
        samples,
        "power cut: decision to the agent's first packet",
        at["fence.requested"],
        first_packet,
    )
    _add(samples, "power cut: fencing", at["fence.requested"], at["fence.succeeded"])
    _add(samples, "power cut: decision to start", at["fence.succeeded"], at["service.starting"])
    _add(samples, "power cut: systemd", at["service.starting"], at["service.started"])
    _add(samples, "power cut: page answers", since, page)


class FirstPacket:
    """Listens for the first packet to a BMC, on the bridge to which all of them are plugged."""

    def __init__(self, address: str) -> None:
        script = FIRST_PACKET.format(address=address)
        argv = network.inside([sys.executable, "-c", script])
        self._child = subprocess.Popen(argv, stdout=subprocess.PIPE, text=True)
        assert self._child.stdout is not None  # noqa: S101  # as asked for
        self._child.stdout.readline()  # it listens

    def at_us(self) -> int:
        """Return when it came; wall-clock microseconds."""
        out, _ = self._child.communicate(timeout=60)
        return int(out)


def _ring_formed(observer: Observer, node: str, since_us: int) -> int:
    lines = observer.lines(node, since_us, "corosync.service")
    return next(line.at_us for line in lines if "A new membership" in line.text)


def _when(observer: Observer, node: str, event: str, since_us: int) -> int:
    at_us = observer.when(node, event, since_us)
    if at_us is None:
        raise SystemExit(f"{node} never logged {event}: see its journal")
    return at_us


def _await(observer: Observer, node: str, event: str, since_us: int) -> None:
    observer.await_that(
        lambda: observer.when(node, event, since_us) is not None, f"{event} on {node}"
    )


def _inside(observer: Observer, node: str, script: str) -> str:
    return observer.lab.run(node, ["sh", "-c", script]).stdout.strip()


def _timed(observer: Observer, node: str, script: str) -> int:
    said = _inside(observer, node, f"date +%s%6N; {script}; date +%s%6N")
    begun, ended = re.findall(r"^\d{16}$", said, re.MULTILINE)
    return int(ended) - int(begun)


def _add(samples: Samples, name: str, begun_us: int, ended_us: int) -> None:
    samples[name].append((ended_us - begun_us) / US_PER_MS)


def _print(samples: Samples) -> None:
    print(f"{'milliseconds':38} {'median':>9} {'min':>9} {'max':>9}   runs")
    for name, values in samples.items():
        middle = statistics.median(values)
        print(f"{name:38} {middle:9.1f} {min(values):9.1f} {max(values):9.1f}   {len(values)}")
    ours = [
        a + b
        for a, b in zip(
            samples["power cut: decision to fence"],
            samples["power cut: decision to start"],
            strict=True,
        )
    ]
    relocation, by_hand = (
        statistics.median(samples[name]) for name in ("relocation", "relocation by hand")
    )
    print(f"\nour share of a failover (both decisions): median {statistics.median(ours):.1f} ms")
    print(
        f"relocation against systemctl stop and start by hand: {relocation / by_hand:.2f} times,"
        f" {relocation - by_hand:+.1f} ms"
    )


if __name__ == "__main__":
    sys.exit(main())
