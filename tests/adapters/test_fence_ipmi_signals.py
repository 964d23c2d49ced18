# SPDX-License-Identifier: Apache-2.0
"""fence_ipmi is ended amid its work: it leaves nothing behind, and does nothing more."""

import os
import signal
import subprocess
from pathlib import Path

import pytest

from tests.adapters.test_fence_ipmi import AGENT, has_ended, lines, script


def test_an_agent_that_is_ended_amid_an_orderly_shutdown_does_not_cut_the_power(
    tmp_path: Path,
) -> None:
    fifo, asked = tmp_path / "fifo", tmp_path / "asked"
    os.mkfifo(fifo)
    hangs = f"*soft) echo $$ >{fifo}; exec sleep 300;;"
    path = script(
        tmp_path, f"echo $* >>{asked}; case $* in {hangs} *) echo Chassis Power is on; esac"
    )
    text = lines(9, action="off", graceful="30", ipmitool_path=path, shell_timeout="20")
    with subprocess.Popen([AGENT], stdin=subprocess.PIPE, stderr=subprocess.PIPE) as agent:
        assert agent.stdin
        agent.stdin.write(text.encode())
        agent.stdin.close()
        fifo.read_text()
        agent.send_signal(signal.SIGTERM)
        assert agent.stderr
        said = agent.stderr.read().decode()

    assert agent.returncode == 1
    assert "ended by signal 15" in said
    assert [line.split()[-1] for line in asked.read_text().splitlines()] == ["status", "soft"]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_an_agent_that_is_killed_leaves_no_command_behind(
    tmp_path: Path, number: signal.Signals
) -> None:
    """It would switch the power later, when nobody expects it any more."""
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    path = script(tmp_path, f"echo $$ >{fifo}; exec sleep 300")
    text = lines(9, action="off", ipmitool_path=path, login_timeout="20", shell_timeout="20")
    with subprocess.Popen([AGENT], stdin=subprocess.PIPE, stderr=subprocess.PIPE) as agent:
        assert agent.stdin
        agent.stdin.write(text.encode())
        agent.stdin.close()
        pid = int(fifo.read_text())
        agent.send_signal(number)
        code = agent.wait(timeout=5)

    assert has_ended(pid)
    assert code == (1 if number == signal.SIGTERM else -signal.SIGKILL)
