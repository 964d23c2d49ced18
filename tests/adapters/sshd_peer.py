# SPDX-License-Identifier: Apache-2.0
"""A node that can be reset through a real `sshd` on a loopback port.

What the agent runs there is answered by a script instead of a kernel: `boot_id` is the life of the
node, `resets` has a line for each command to reset; `hung` makes it ignore them, `slow` holds the
seconds until it is back.
"""

import getpass
import os
import shutil
import signal
import socket
import subprocess
import time
import uuid
from pathlib import Path
from typing import Self

_CONF = """\
ListenAddress 127.0.0.1:{port}
HostKey {folder}/host_key
PidFile none
AuthorizedKeysFile {folder}/authorized_keys
StrictModes no
UsePAM no
PasswordAuthentication no
KbdInteractiveAuthentication no
PermitRootLogin prohibit-password
ForceCommand {folder}/node
"""
_NODE = """\
#!/bin/sh
cd {folder} || exit 1
case $SSH_ORIGINAL_COMMAND in
"cat /proc/sys/kernel/random/boot_id")
    [ -e slow ] && [ -e resets ] && sleep "$(cat slow)" && rm slow
    cat boot_id ;;
*sysrq-trigger*reboot*)
    echo reset >>resets
    [ -e hung ] || cat /proc/sys/kernel/random/uuid >boot_id ;;
*)
    exit 1 ;;
esac
"""


def _free_tcp_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port: int = probe.getsockname()[1]
    return port


class SshdPeer:
    """One node with sshd; `with` stops it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port = _free_tcp_port()
        program = shutil.which("sshd", path="/usr/sbin:/usr/bin")
        assert program, "sshd is not installed; run 'apt-get install openssh-server'"
        if os.geteuid() == 0:
            Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)  # its service would make it
        for name in ("host_key", "key", "other_key"):
            make = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(folder / name)]
            subprocess.run(make, check=True, stdin=subprocess.DEVNULL)
        shutil.copy(folder / "key.pub", folder / "authorized_keys")
        self.know("host_key")
        (folder / "boot_id").write_text(f"{uuid.uuid4()}\n")
        (folder / "node").write_text(_NODE.format(folder=folder))
        (folder / "node").chmod(0o755)
        (folder / "sshd_config").write_text(_CONF.format(port=self.port, folder=folder))
        argv = [program, "-D", "-e", "-f", str(folder / "sshd_config")]
        with (folder / "log").open("wb") as log:
            self._process = subprocess.Popen(
                argv, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
            )
        self._await_answer()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()

    @property
    def options(self) -> dict[str, str]:
        """What an agent needs to reach this node."""
        return {
            "ip": "127.0.0.1", "ipport": str(self.port), "username": getpass.getuser(),
            "identity_file": str(self.folder / "key"),
            "known_hosts": str(self.folder / "known_hosts"), "test_cluster": "1",
        }  # fmt: skip

    @property
    def resets(self) -> int:
        path = self.folder / "resets"
        return len(path.read_text().splitlines()) if path.exists() else 0

    def know(self, key: str) -> None:
        """Let the client know this host key."""
        public = (self.folder / f"{key}.pub").read_text()
        (self.folder / "known_hosts").write_text(f"[127.0.0.1]:{self.port} {public}")

    def hang(self) -> None:
        """Accept the command to reset and do nothing."""
        (self.folder / "hung").touch()

    def boot_slowly(self, seconds: float) -> None:
        (self.folder / "slow").write_text(f"{seconds}\n")

    def fall_silent(self) -> None:
        self._process.send_signal(signal.SIGSTOP)

    def _await_answer(self) -> None:
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline:
            assert self._process.poll() is None, (self.folder / "log").read_text()
            try:
                with socket.create_connection(("127.0.0.1", self.port), timeout=1) as client:
                    client.recv(4)
            except OSError:
                time.sleep(0.01)
            else:
                return
        raise AssertionError("sshd does not answer: " + (self.folder / "log").read_text())
