# SPDX-License-Identifier: Apache-2.0
"""Who may read and who may operate: the real bus policy, and other users if we are root."""

from __future__ import annotations

import asyncio
import os
import tempfile
from pathlib import Path

import pytest

from rgmgr.adapters.bus import Bus
from rgmgr.adapters.callers import Callers
from rgmgr.adapters.dbus_api import Api
from tests.adapters.private_bus import PrivateBus
from tests.adapters.served_core import MANAGER, POLICY, Core

is_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs other users")


SYSTEM_BUS = """<busconfig>
  <type>system</type>
  <listen>unix:path={folder}/bus</listen>
  <auth>EXTERNAL</auth>
  <policy context="default">
    <allow user="*"/>
    <deny own="*"/>
    <deny send_type="method_call"/>
    <allow send_type="signal"/>
    <allow send_requested_reply="true" send_type="method_return"/>
    <allow send_requested_reply="true" send_type="error"/>
    <allow receive_type="method_call"/>
    <allow receive_type="method_return"/>
    <allow receive_type="error"/>
    <allow receive_type="signal"/>
    <allow send_destination="org.freedesktop.DBus"/>
  </policy>
  <include>{folder}/org.rgmgr.conf</include>
</busconfig>
"""
NOBODY = 65534
OPERATORS, READERS = "operator", "games"  # groups that every Debian has, in place of ours


async def _serve(server: Bus, core: Core) -> None:
    callers = Callers(server, OPERATORS, READERS)
    api = Api(server, core.ask, core.current, core.present, core.history, callers=callers)
    await api.start()


async def _busctl(bus: PrivateBus, uid: int, groups: list[int], *arguments: str) -> tuple[int, str]:
    process = await asyncio.create_subprocess_exec(
        "busctl",
        f"--address={bus.address}",
        "call",
        *MANAGER,
        *arguments,
        user=uid,
        group=uid,
        extra_groups=groups,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    output, _ = await process.communicate()
    return process.returncode or 0, output.decode()


@is_root
@pytest.mark.parametrize(
    ("groups", "may_read", "may_operate"),
    [((), False, False), ((READERS,), True, False), ((OPERATORS,), True, True)],
)
def test_the_policy_lets_readers_read_and_operators_operate(
    groups: tuple[str, ...], *, may_read: bool, may_operate: bool
) -> None:
    import grp  # noqa: PLC0415 - only where this test runs

    gids = [grp.getgrnam(name).gr_gid for name in groups]

    async def scenario(folder: Path) -> None:
        policy = POLICY.read_text(encoding="utf-8")
        policy = policy.replace("rgmgr-operator", OPERATORS).replace("rgmgr-reader", READERS)
        (folder / "org.rgmgr.conf").write_text(policy, encoding="utf-8")
        bus = PrivateBus(folder)
        (folder / "bus.conf").write_text(SYSTEM_BUS.format(folder=folder), encoding="utf-8")
        await bus.start()
        server = await Bus.connect(bus.address)
        core = Core(told=(b"state", "around"))
        await _serve(server, core)
        try:
            read, _ = await _busctl(bus, NOBODY, gids, "Status")
            read_present, _ = await _busctl(bus, NOBODY, gids, "Present")
            operated, output = await _busctl(
                bus, NOBODY, gids, "Request", "sssa{sv}", "enable", "web", "", "0"
            )
        finally:
            await server.close()
            await bus.kill()
        assert (read == 0, operated == 0) == (may_read, may_operate), output
        assert read_present == read
        assert bool(core.asked) is may_operate

    with tempfile.TemporaryDirectory(prefix="rgmgr-test-") as name:
        Path(name).chmod(0o755)
        asyncio.run(scenario(Path(name)))


@is_root
def test_the_daemon_refuses_by_itself_when_the_bus_lets_everybody_in() -> None:
    """A lax local policy must not be enough to stop services."""

    async def scenario(folder: Path) -> None:
        bus = PrivateBus(folder)
        lax = SYSTEM_BUS.replace("""<deny send_type="method_call"/>""", "").replace(
            "<include>{folder}/org.rgmgr.conf</include>",
            """<policy context="default"><allow own="*"/><allow send_destination="*"/></policy>""",
        )
        (folder / "bus.conf").write_text(lax.format(folder=folder), encoding="utf-8")
        await bus.start()
        server = await Bus.connect(bus.address)
        core = Core()
        await _serve(server, core)
        try:
            arguments = ("Request", "sssa{sv}", "stop", "web", "", "0")
            code, output = await _busctl(bus, NOBODY, [], *arguments)
            looked, _ = await _busctl(bus, NOBODY, [], "Status")
        finally:
            await server.close()
            await bus.kill()
        assert code != 0
        assert looked != 0
        assert "neither root nor in group 'operator'" in output
        assert core.asked == []

    with tempfile.TemporaryDirectory(prefix="rgmgr-test-") as name:
        Path(name).chmod(0o755)
        asyncio.run(scenario(Path(name)))
