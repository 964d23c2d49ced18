# SPDX-License-Identifier: Apache-2.0
"""Addresses that answer and links that are there; each question has one answer."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from rgmgr.adapters.reach import Reach
from rgmgr.core.actions import SendPing
from rgmgr.core.events import PingEnded
from rgmgr.core.spec import PingSpec


def ask(ping: PingSpec, net: Path, *answering: str) -> list[PingEnded]:
    """Ask once; these addresses answer."""
    heard: list[PingEnded] = []

    async def reaches(address: str) -> bool:
        return address in answering

    asyncio.run(Reach(heard.append, reaches=reaches, net=net).ask(SendPing(ping)))
    return heard


@pytest.mark.parametrize(("answering", "expected"), [(("10.0.0.1",), True), ((), False)])
def test_an_address_is_asked(tmp_path: Path, answering: tuple[str, ...], *, expected: bool) -> None:
    ping = PingSpec(name="gw", address="10.0.0.1")

    assert ask(ping, tmp_path, *answering) == [PingEnded("gw", expected)]


@pytest.mark.parametrize(
    ("carrier", "expected"), [("1\n", True), ("0\n", False), (None, False), ("\xff", False)]
)
def test_a_link_is_looked_at(tmp_path: Path, carrier: str | None, *, expected: bool) -> None:
    folder = tmp_path / "eth1"
    folder.mkdir()
    if carrier is not None:
        (folder / "carrier").write_text(carrier, encoding="latin-1")

    assert ask(PingSpec(name="up", interface="eth1"), tmp_path) == [PingEnded("up", expected)]


def test_this_machines_own_loopback_answers_and_has_a_link(tmp_path: Path) -> None:
    """The real thing: no fakes."""
    heard: list[PingEnded] = []

    async def both() -> None:
        reach = Reach(heard.append)
        await reach.ask(SendPing(PingSpec(name="gw", address="127.0.0.1")))
        await reach.ask(SendPing(PingSpec(name="lo", interface="lo")))

    asyncio.run(both())
    assert heard == [PingEnded("gw", True), PingEnded("lo", True)]  # noqa: FBT003
    assert not ask(PingSpec(name="none", interface="nothing0"), tmp_path)[0].is_answered
