# SPDX-License-Identifier: Apache-2.0
"""A real SNMP agent for tests: net-snmp's `snmpd` on a loopback port, with the lab's outlets.

It plays an APC rack PDU with the outlets node1, node2 and so on; what it switches is a file, and
its faults are files, as the lab's `pdu` program describes.
"""

import shutil
import signal
import socket
import subprocess
import time
from pathlib import Path
from typing import Self

from tests.adapters.ipmi_peer import free_udp_port

PROGRAM = Path(__file__).parents[2] / "rgmgr" / "lab" / "data" / "pdu"
READ, WRITE = "reading-c0mmunity", "wr1ting-community"
AUTH_KEY, PRIVACY_KEY = "auth-pa55phrase", "priv-pa55phrase"
OUTLETS = ("node1", "node2", "twice", "twice", "node5", "node6")
_CONF = """\
agentAddress udp:127.0.0.1:{port}
sysObjectID .1.3.6.1.4.1.318.1.3.4.5
rocommunity {read} default
rwcommunity {write} default
createUser sha-aes SHA "{auth}" AES "{privacy}"
createUser md5-des MD5 "{auth}" DES "{privacy}"
createUser sha256-aes256 SHA-256 "{auth}" AES-256 "{privacy}"
createUser plain SHA "{auth}"
createUser reader SHA "{auth}" AES "{privacy}"
rwuser sha-aes priv
rwuser md5-des priv
rwuser sha256-aes256 priv
rwuser plain auth
rouser reader priv
pass_persist .1.3.6.1.4.1.318.1.1.12 {program} {folder}
"""


class PduPeer:
    """One simulated PDU; `with` stops it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port = free_udp_port()
        program = shutil.which("snmpd")
        assert program, "snmpd is not installed; run 'apt-get install snmpd'"
        (folder / "outlets").write_text("".join(f"{name}\n" for name in OUTLETS))
        self.set_states(*["on"] * len(OUTLETS))
        words = {"read": READ, "write": WRITE, "auth": AUTH_KEY, "privacy": PRIVACY_KEY}
        text = _CONF.format(port=self.port, program=PROGRAM, folder=folder, **words)
        (folder / "snmpd.conf").write_text(text)
        argv = [
            program,
            "-f",
            "-C",
            "-c",
            "snmpd.conf",
            "-Lf",
            "log",
            "-I",
            "-smux,snmpNotifyTable",
        ]
        environment = {"MIBS": "", "SNMP_PERSISTENT_DIR": str(folder / "kept"), "PATH": "/usr/bin"}
        self._process = subprocess.Popen(
            argv, cwd=folder, env=environment, stdin=subprocess.DEVNULL, start_new_session=True
        )
        self._await_answer()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.send_signal(signal.SIGCONT)
        self._process.kill()
        self._process.wait()

    @property
    def states(self) -> list[str]:
        return (self.folder / "state").read_text().split()

    @property
    def commands(self) -> list[str]:
        path = self.folder / "commands"
        return path.read_text().splitlines() if path.exists() else []

    def set_states(self, *states: str) -> None:
        (self.folder / "state").write_text("\n".join(states) + "\n")

    def ignore_commands(self) -> None:
        """Accept commands, answer well, and do nothing."""
        (self.folder / "stuck").touch()

    def obey_late(self, seconds: float) -> None:
        (self.folder / "late").write_text(f"{seconds}\n")

    def answer_late(self, seconds: float) -> None:
        (self.folder / "slow").write_text(f"{seconds}\n")

    def fall_silent(self) -> None:
        self._process.send_signal(signal.SIGSTOP)

    def _await_answer(self) -> None:
        """Ask for the system's object identifier until the agent answers."""
        name = READ.encode()
        ask = bytes.fromhex("a019020111020100020100300e300c06082b060102010102000500")
        body = b"\x02\x01\x01\x04" + bytes([len(name)]) + name + ask
        question = b"\x30" + bytes([len(body)]) + body
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
            client.connect(("127.0.0.1", self.port))
            client.settimeout(0.05)
            deadline = time.monotonic() + 10
            while time.monotonic() < deadline:
                try:
                    client.send(question)
                    client.recv(256)
                except (TimeoutError, ConnectionRefusedError):
                    assert self._process.poll() is None, (self.folder / "log").read_text()
                else:
                    return
        raise AssertionError("snmpd does not answer: " + (self.folder / "log").read_text())
