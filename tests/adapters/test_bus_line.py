# SPDX-License-Identifier: Apache-2.0
"""The commands' line to the bus: it answers or says why not, and never hangs."""

from __future__ import annotations

import asyncio
import socket
from pathlib import Path

import pytest

from rgmgr.adapters.bus_line import BUS, Line
from rgmgr.errors import BusError
from tests.adapters.private_bus import private_bus


def test_a_call_is_answered_and_an_error_keeps_its_name(tmp_path: Path) -> None:
    async def play() -> None:
        async with private_bus(tmp_path) as bus:
            await asyncio.to_thread(ask, bus.address)

    def ask(address: str) -> None:
        line = Line.connect(address)
        (owner,) = line.call(BUS, "/", BUS, "GetNameOwner", (BUS,), timeout_s=5)
        assert owner == BUS
        with pytest.raises(BusError) as raised:
            line.call("org.example.Nobody", "/", "org.example.X", "Do", ("ä", ""), timeout_s=5)
        assert raised.value.name == f"{BUS}.Error.ServiceUnknown"
        line.close()

    asyncio.run(play())


def test_no_bus_is_told(tmp_path: Path) -> None:
    with pytest.raises(BusError, match="cannot connect to unix:path="):
        Line.connect(f"unix:path={tmp_path / 'none'}")


def test_an_address_that_is_none_is_told() -> None:
    with pytest.raises(BusError, match="no usable address in 'tcp:host=x'"):
        Line.connect("tcp:host=x")


@pytest.mark.parametrize("words", [b"REJECTED EXTERNAL\r\n", b""])
def test_a_bus_that_refuses_or_hangs_up_is_told(tmp_path: Path, words: bytes) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readline()
        writer.write(words)
        writer.close()

    async def play() -> None:
        async with await asyncio.start_unix_server(serve, tmp_path / "bus"):
            with pytest.raises(BusError, match=r"refused us|closed the connection"):
                await asyncio.to_thread(Line.connect, f"unix:path={tmp_path / 'bus'}")

    asyncio.run(play())


def test_a_bus_that_says_nothing_is_not_waited_for() -> None:
    ours, theirs = socket.socketpair()
    line = Line(ours)
    with pytest.raises(BusError, match=r"no reply within 0\.05 s"):
        line.call(BUS, "/", BUS, "Hello", timeout_s=0.05)
    theirs.close()
    line.close()
