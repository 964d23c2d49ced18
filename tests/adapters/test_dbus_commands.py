# SPDX-License-Identifier: Apache-2.0
"""The commands as processes of their own, over a real bus, against a served core."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from pathlib import Path

import pytest

from rgmgr.core.messages import Verb
from rgmgr.links import encode_corosync
from rgmgr.view import decode_status
from tests.adapters.private_bus import private_bus
from tests.adapters.served_core import POLICY, World, run
from tests.unit.cli_links import sound
from tests.unit.cli_status import NODE2, healthy


async def _spawn(
    address: str, module: str, *arguments: str, **environment: str
) -> asyncio.subprocess.Process:
    """Start a command as its own process, with our bus as the system bus."""
    return await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        # a shell's background job ignores SIGINT, and so would its children
        "import signal; signal.signal(signal.SIGINT, signal.default_int_handler); "
        f"from rgmgr.cli.{module} import main; main()",
        *arguments,
        env={**os.environ, "DBUS_SYSTEM_BUS_ADDRESS": address, **environment},
        cwd=POLICY.parents[1],
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )


async def _command(address: str, module: str, *arguments: str) -> tuple[int, str, str]:
    process = await _spawn(address, module, *arguments)
    out, err = await process.communicate()
    return process.returncode or 0, out.decode(), err.decode()


def test_commands_reach_the_daemon_over_the_bus(tmp_path: Path) -> None:
    async def scenario(there: World) -> None:
        shown = await _command(there.address, "main", "status", "--json")
        moved = await _command(there.address, "main", "relocate", "web", "-m", "node2")
        classic = await _command(there.address, "clustat", "-s", "web")
        links = await _command(there.address, "main", "status", "--links", "--json")

        assert shown[0] == 0
        assert decode_status(shown[1]) == healthy()
        assert moved == (0, "web is now running on node2\n", "")
        assert there.core.asked == [(Verb.RELOCATE, "web", NODE2)]
        assert (classic[0], classic[2]) == (0, "")
        assert (links[0], links[1], links[2]) == (0, f"{encode_corosync(sound())}\n", "")

    run(tmp_path, scenario)


def test_a_command_that_does_not_wait_leaves_the_request_running(tmp_path: Path) -> None:
    async def scenario(there: World) -> None:
        there.core.gate.clear()

        left = await _command(there.address, "main", "stop", "web", "--no-wait")
        there.core.gate.set()
        await there.core.finished.wait()

        assert left == (0, "asked to stop web; not waiting (see 'rgmgr status web')\n", "")

    run(tmp_path, scenario)


def test_an_interrupted_command_says_that_the_request_goes_on(tmp_path: Path) -> None:
    async def scenario(there: World) -> None:
        there.core.gate.clear()
        process = await _spawn(there.address, "main", "stop", "web")
        await there.core.begun.wait()

        process.send_signal(signal.SIGINT)
        _, err = await process.communicate()
        there.core.gate.set()
        await there.core.finished.wait()

        assert process.returncode == 130
        assert err == b"rgmgr: stopped waiting; the request to stop web goes on\n"

    run(tmp_path, scenario)


@pytest.mark.parametrize(
    ("words", "completed"),
    [
        ("rgmgr enable w", ["plain,web"]),
        ("rgmgr relocate web -m node", ["plain,node1", "plain,node2", "plain,node3"]),
        ("rgmgr status no", ["plain,node1", "plain,node2", "plain,node3"]),
        ("rgmgr sto", ["plain,stop"]),
    ],
)
def test_shells_complete_verbs_services_and_nodes(
    tmp_path: Path, words: str, completed: list[str]
) -> None:
    async def scenario(there: World) -> None:
        process = await _spawn(
            there.address,
            "main",
            _RGMGR_COMPLETE="bash_complete",
            COMP_WORDS=words,
            COMP_CWORD=str(len(words.split()) - 1),
        )
        out, _ = await process.communicate()

        assert out.decode().split() == completed

    run(tmp_path, scenario)


def test_a_command_says_that_the_daemon_does_not_run(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with asyncio.timeout(20), private_bus(tmp_path) as bus:
            code, out, err = await _command(bus.address, "main", "status")

        assert (code, out) == (5, "")
        assert err == (
            "rgmgr: rgmgrd does not run on this node; 'systemctl status rgmgrd' says why\n"
        )

    asyncio.run(scenario())


def test_a_command_without_any_bus_says_so(tmp_path: Path) -> None:
    code, out, err = asyncio.run(_command(f"unix:path={tmp_path}/none", "main", "status"))

    assert (code, out) == (5, "")
    assert "cannot connect to the system bus" in err
    assert err.count("\n") == 1
