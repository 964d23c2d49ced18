# SPDX-License-Identifier: Apache-2.0
"""Agents of Debian's fence-agents, run as rgmgr runs them, against the same simulated devices."""

from __future__ import annotations

from pathlib import Path

import pytest

from rgmgr.core.actions import FenceNode
from tests.adapters.fencing_bench import Lab, run, single
from tests.adapters.ipmi_peer import PASSWORD, USERNAME, IpmiPeer
from tests.adapters.pdu_peer import AUTH_KEY, PRIVACY_KEY, WRITE, PduPeer

DEBIAN = Path("/usr/sbin")
TIMEOUT_MS = 60_000
V1 = {"community": "secret:key", "snmp_version": "1"}
V2 = {"community": "secret:key", "snmp_version": "2c"}
V3 = {
    "snmp_version": "3", "username": "sha-aes", "snmp_sec_level": "authPriv",
    "snmp_auth_prot": "SHA", "password": AUTH_KEY, "snmp_priv_prot": "AES",
    "snmp_priv_passwd": PRIVACY_KEY,
}  # fmt: skip


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    (tmp_path / "lab").mkdir()
    (tmp_path / "device").mkdir()
    made = Lab(tmp_path / "lab")
    for name in ("fence_ipmilan", "fence_apc_snmp"):
        (made.path / name).symlink_to(DEBIAN / name)
    return made


def fence(lab: Lab, agent: str, **options: str) -> tuple[bool, str]:
    wanted: FenceNode = single(agent, timeout_ms=TIMEOUT_MS, ip="127.0.0.1", **options)
    (ended,) = run(lab, wanted)
    return ended.is_confirmed, ended.detail


@pytest.mark.parametrize("given", [PASSWORD, "wrong-one"])
def test_fence_ipmilan_switches_a_board_and_says_when_it_cannot(
    lab: Lab, tmp_path: Path, given: str
) -> None:
    lab.secret("key", given)
    with IpmiPeer(tmp_path / "device") as board:
        options = {"ipport": str(board.port), "username": USERNAME, "password": "secret:key"}
        options |= {"lanplus": "true", "cipher": "3", "power_wait": "0"}
        is_confirmed, detail = fence(lab, "fence_ipmilan", **options)

        assert is_confirmed == (given == PASSWORD)
        assert board.power == ("off" if is_confirmed else "on")
        assert given not in detail


@pytest.mark.parametrize("options", [V1, V2, V3], ids=["v1", "v2c", "v3"])
def test_fence_apc_snmp_switches_an_outlet(
    lab: Lab, tmp_path: Path, options: dict[str, str]
) -> None:
    lab.secret("key", WRITE)
    with PduPeer(tmp_path / "device") as pdu:
        is_confirmed, detail = fence(
            lab, "fence_apc_snmp", ipport=str(pdu.port), plug="2", **options
        )

        assert is_confirmed, detail
        assert pdu.states[:3] == ["on", "off", "on"]
        assert WRITE not in detail


def test_an_outlet_that_ignores_fence_apc_snmp_is_no_confirmation(lab: Lab, tmp_path: Path) -> None:
    lab.secret("key", WRITE)
    with PduPeer(tmp_path / "device") as pdu:
        pdu.ignore_commands()
        is_confirmed, _ = fence(
            lab, "fence_apc_snmp", ipport=str(pdu.port), plug="2", power_timeout="2", **V1
        )

        assert not is_confirmed
        assert pdu.commands == ["2 off"]
