# SPDX-License-Identifier: Apache-2.0
"""What our fence agents cost beyond the exchange with the device, against simulated devices.

Usage: agents.py [--rounds N]. Prints, for `status`, the median time of the agent, of one that was
started before and waited for its options (as rgmgrd keeps ready), of the bare exchange by the tool
that does nothing else (ipmitool, snmpget, ssh), and how much longer than that the two took. Last,
after how long the first packet leaves, of one that is started and of one that waited: they ask a
socket of ours, which is deaf. Run it with `chrt --rr 5`, or other work on the machine is measured.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.adapters.ipmi_peer import PASSWORD, USERNAME, IpmiPeer
from tests.adapters.pdu_peer import AUTH_KEY, PRIVACY_KEY, READ, WRITE, PduPeer
from tests.adapters.sshd_peer import SshdPeer

AGENTS = Path(__file__).parents[1] / "fence_agents"
READY_MAX_S = 3.0
STATE_OID = ".1.3.6.1.4.1.318.1.1.12.3.5.1.1.4.1"
V3 = ["-v3", "-l", "authPriv", "-u", "sha-aes", "-a", "SHA", "-A", AUTH_KEY]
V3 += ["-x", "AES", "-X", PRIVACY_KEY]
Needed = tuple[subprocess.Popen[str], float]  # an agent, and when it was needed
Start = Callable[[Sequence[str], dict[str, str]], contextlib.AbstractContextManager[Needed]]


@dataclass(frozen=True, slots=True)
class Contest:
    """An agent and a tool that ask the same device the same question."""

    name: str
    agent: Path
    options: dict[str, str]
    bare: Sequence[str]


def main(argv: Sequence[str]) -> int:
    """Measure and print; return the exit status."""
    parser = argparse.ArgumentParser(description="time our fence agents")
    parser.add_argument("--rounds", type=int, default=9, metavar="N")
    rounds = parser.parse_args(argv).rounds
    with tempfile.TemporaryDirectory(prefix="agents-") as name:
        folders = [Path(name, kind) for kind in ("ipmi", "pdu", "ssh")]
        for folder in folders:
            folder.mkdir()
        with (
            IpmiPeer(folders[0]) as board,
            PduPeer(folders[1]) as pdu,
            SshdPeer(folders[2]) as node,
        ):
            print(
                f"{'status':<16} {'agent':>8} {'ready':>8} {'bare':>8} {'over':>8} {'ready':>8}"
                f" {'packet':>8} {'ready':>8}   median of {rounds}, ms"
            )
            for contest in (_ipmi(board), *_pdu(pdu), _ssh(node)):
                _measure(contest, rounds)
    return 0


def _ipmi(board: IpmiPeer) -> Contest:
    at = {"ip": "127.0.0.1", "ipport": str(board.port), "username": USERNAME, "cipher": "3"}
    bare = ["ipmitool", "-I", "lanplus", "-H", "127.0.0.1", "-p", str(board.port), "-U", USERNAME]
    bare += ["-E", "-C", "3", "-L", "OPERATOR", "-N", "1", "-R", "1", "chassis", "power", "status"]
    return Contest("fence_ipmi", AGENTS / "fence_ipmi", at | {"password": PASSWORD}, bare)


def _pdu(pdu: PduPeer) -> list[Contest]:
    agent = AGENTS / "fence_pdu"
    at = {"ip": "127.0.0.1", "ipport": str(pdu.port), "plug": "1", "family": "apc-rpdu"}
    v3 = {"snmp_version": "3", "username": "sha-aes", "password": AUTH_KEY}
    v3 |= {"snmp_priv_passwd": PRIVACY_KEY}
    where = [f"127.0.0.1:{pdu.port}", STATE_OID]
    return [
        Contest(
            "fence_pdu v2c", agent, at | {"community": WRITE},
            ["snmpget", "-v2c", "-c", READ, *where],
        ),
        Contest("fence_pdu v3", agent, at | v3, ["snmpget", *V3, *where]),
    ]  # fmt: skip


def _ssh(node: SshdPeer) -> Contest:
    options = node.options
    bare = [
        "ssh",
        "-F",
        "none",
        "-n",
        "-T",
        "-i",
        options["identity_file"],
        "-p",
        options["ipport"],
    ]
    bare += ["-o", f"UserKnownHostsFile={options['known_hosts']}", "-o", "BatchMode=yes"]
    bare += ["-l", options["username"], "127.0.0.1", "cat /proc/sys/kernel/random/boot_id"]
    return Contest("fence_ssh", AGENTS / "fence_ssh", options, bare)


def _measure(contest: Contest, rounds: int) -> None:
    text = "".join(f"{n}={v}\n" for n, v in (contest.options | {"action": "status"}).items())
    flags = ["-I"] if contest.agent.name == "fence_pdu" else ["-IS"]
    argv = [sys.executable, *flags, str(contest.agent)]
    environment = os.environ | {"IPMI_PASSWORD": PASSWORD, "MIBS": ""}
    agent_ms = _median_ms(lambda: _run(argv, text, environment), rounds)
    ready_ms = statistics.median(_ready_ms(argv, text, environment) for _ in range(rounds))
    bare_ms = _median_ms(lambda: _run(contest.bare, "", environment), rounds)
    times = (agent_ms, ready_ms, bare_ms, agent_ms - bare_ms, ready_ms - bare_ms)
    packet = f"{'-':>8} {'-':>8}"
    if contest.agent.name != "fence_ssh":  # it speaks TCP
        sent_ms = (
            statistics.median(
                _packet_ms(argv, contest.options, environment, start) for _ in range(rounds)
            )
            for start in (_starting, _waiting)
        )
        packet = " ".join(f"{each:8.0f}" for each in sent_ms)
    print(f"{contest.name:<16}" + "".join(f" {each:8.0f}" for each in times) + f" {packet}")


def _ready_ms(argv: Sequence[str], text: str, environment: dict[str, str]) -> float:
    """Return how long an agent takes that has started and waits in its read."""
    with _waiting(argv, environment) as (agent, began):
        agent.communicate(text)
        return (time.monotonic() - began) * 1000


def _packet_ms(
    argv: Sequence[str], options: dict[str, str], environment: dict[str, str], start: Start
) -> float:
    """Return how long after it was needed an agent sends its first packet."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as deaf:
        deaf.bind(("127.0.0.1", 0))
        deaf.settimeout(READY_MAX_S)
        told = options | {"action": "status", "ipport": str(deaf.getsockname()[1])}
        with start(argv, environment) as (agent, began):
            assert agent.stdin is not None  # noqa: S101 - a pipe was asked for
            agent.stdin.write("".join(f"{name}={value}\n" for name, value in told.items()))
            agent.stdin.close()
            deaf.recv(1)
            took_s = time.monotonic() - began
            agent.kill()
    return took_s * 1000


@contextlib.contextmanager
def _starting(argv: Sequence[str], environment: dict[str, str]) -> Iterator[Needed]:
    """Give an agent that is started now, and the time before that."""
    began = time.monotonic()
    pipe, null = subprocess.PIPE, subprocess.DEVNULL
    with subprocess.Popen(
        argv, env=environment, text=True, stdin=pipe, stdout=null, stderr=null
    ) as agent:
        yield agent, began


@contextlib.contextmanager
def _waiting(argv: Sequence[str], environment: dict[str, str]) -> Iterator[Needed]:
    """Give an agent that has started and waits in its read, and the time now."""
    with _starting(argv, environment) as (agent, _):
        syscall = Path(f"/proc/{agent.pid}/wchan")
        deadline = time.monotonic() + READY_MAX_S
        while syscall.read_text() != "pipe_read" and time.monotonic() < deadline:
            time.sleep(0.005)
        yield agent, time.monotonic()


def _run(argv: Sequence[str], text: str, environment: dict[str, str]) -> None:
    null = subprocess.DEVNULL
    subprocess.run(
        argv, input=text, env=environment, check=True, text=True, stdout=null, stderr=null
    )


def _median_ms(deed: Callable[[], None], rounds: int) -> float:
    deed()  # what is read for the first time is not measured
    times = []
    for _ in range(rounds):
        began = time.perf_counter()
        deed()
        times.append((time.perf_counter() - began) * 1000)
    return statistics.median(times)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
