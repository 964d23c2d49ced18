# SPDX-License-Identifier: Apache-2.0
"""A real management board for tests: `ipmi_sim` of OpenIPMI on a loopback port.

Owns the simulator process and the folder with its power state. The board switches nothing but a
file: `power` holds 1 or 0, `commands` one line for each command that the board has carried out,
`stuck` names the state whose command it accepts and ignores, `late` holds the seconds after which
commands take effect, `deaf` says that the operating system hangs.
"""

import os
import shutil
import signal
import socket
import subprocess
import time
from pathlib import Path
from typing import Self

USERNAME = "fence"
PASSWORD = "s3cret-pw"

_LAN_CONF = """\
name "bmc"
set_working_mc 0x20
  startlan 1
    addr 127.0.0.1 {port}
    priv_limit admin
    allowed_auths_callback md5
    allowed_auths_user md5
    allowed_auths_operator md5
    allowed_auths_admin md5
    guid a123456789abcdefa123456789000001
  endlan
  chassis_control "{folder}/chassis {folder}"
  user 1 false "" "" user 10 none
  user 2 true "{username}" "{password}" admin 10 none md2 md5 straight
"""
_BMC_EMU = """\
mc_setbmc 0x20
mc_add 0x20 0 no-device-sdrs 0x23 9 8 0x9f 0x1291 0xf02 persist_sdr
sel_enable 0x20 1000 0x0a
mc_enable 0x20
"""
# The board reads the program's output to its end, so what runs later must not hold it open.
_CHASSIS = """\
#!/bin/sh
cd "$1" || exit 1
verb=$2
shift 2
if [ "$verb" = get ]; then
    for name; do
        case $name in
        power) read -r state <power; echo "power:$state" ;;
        *) echo "$name:default" ;;
        esac
    done
    exit 0
fi
[ "$verb" = set ] || exit 1
echo "$*" >>commands
[ "$1" = shutdown ] && { [ -e deaf ] || echo 0 >power; }
[ "$1" = power ] || exit 0
grep -qsx "$2" stuck && exit 0
if [ -e late ]; then
    (sleep "$(cat late)"; echo "$2" >power) >/dev/null 2>&1 </dev/null &
else
    echo "$2" >power
fi
exit 0
"""


def free_udp_port() -> int:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


class IpmiPeer:
    """One simulated board; `with` stops it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port = free_udp_port()
        program = shutil.which("ipmi_sim")
        assert program, "ipmi_sim is not installed; run 'apt-get install openipmi ipmitool'"
        (folder / "state").mkdir()
        settings = {"port": self.port, "username": USERNAME, "password": PASSWORD}
        (folder / "lan.conf").write_text(_LAN_CONF.format(folder=folder, **settings))
        (folder / "bmc.emu").write_text(_BMC_EMU)
        (folder / "chassis").write_text(_CHASSIS)
        (folder / "chassis").chmod(0o755)
        self.set_power("on")
        argv = [program, "-c", "lan.conf", "-f", "bmc.emu", "-s", "state", "-n"]
        with (folder / "log").open("wb") as log:
            self._process = subprocess.Popen(
                argv, cwd=folder, stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )
        self._await_answer()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.wait()

    @property
    def power(self) -> str:
        return "on" if (self.folder / "power").read_text().strip() == "1" else "off"

    @property
    def commands(self) -> list[str]:
        path = self.folder / "commands"
        return path.read_text().splitlines() if path.exists() else []

    def set_power(self, state: str) -> None:
        (self.folder / "power").write_text("1\n" if state == "on" else "0\n")

    def ignore(self, state: str) -> None:
        """Accept the command for this state, answer well, and do nothing."""
        (self.folder / "stuck").write_text("1\n" if state == "on" else "0\n")

    def obey_late(self, seconds: float) -> None:
        (self.folder / "late").write_text(f"{seconds}\n")

    def ignore_shutdown(self) -> None:
        """Play an operating system that hangs: it never heeds the power button."""
        (self.folder / "deaf").touch()

    def fall_silent(self) -> None:
        os.kill(self._process.pid, signal.SIGSTOP)

    def _await_answer(self) -> None:
        """Send RMCP presence pings until the board answers one."""
        ping = bytes.fromhex("0600ff06000011be80000000")
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
            client.connect(("127.0.0.1", self.port))
            client.settimeout(0.05)
            deadline = time.monotonic() + 10
            while time.monotonic() < deadline:
                try:
                    client.send(ping)
                    client.recv(64)
                except (TimeoutError, ConnectionRefusedError):
                    assert self._process.poll() is None, (self.folder / "log").read_text()
                else:
                    return
        raise AssertionError("ipmi_sim does not answer: " + (self.folder / "log").read_text())
