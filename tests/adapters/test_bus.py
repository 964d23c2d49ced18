# SPDX-License-Identifier: Apache-2.0
# ruff: noqa: N802, UP037, F821 - D-Bus names, and D-Bus signatures as annotations
# mypy: disable-error-code="misc, name-defined, no-untyped-call, untyped-decorator"
"""The typed facade over dbus-next: every defect of the library that it guards against."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from dbus_next.errors import DBusError
from dbus_next.service import ServiceInterface, method

from rgmgr.adapters import bus as facade
from rgmgr.adapters.bus import Bus, Signal, match_signal, sender, variant
from rgmgr.errors import BusError
from tests.adapters.private_bus import PrivateBus, private_bus

BUS = ("org.freedesktop.DBus", "/org/freedesktop/DBus", "org.freedesktop.DBus")
NAME = "org.example.Test"
PATH = "/org/example"


class Example(ServiceInterface):
    """Exported methods that go wrong in every way."""

    def __init__(self) -> None:
        super().__init__(NAME)
        self.never = asyncio.Event()
        self.began = asyncio.Event()
        self.running = 0
        self.most = 0

    @method()
    async def WhoAsks(self) -> "s":
        await asyncio.sleep(0)
        return sender()

    @method()
    async def Hang(self) -> "s":
        self.began.set()
        self.running += 1
        self.most = max(self.most, self.running)
        await self.never.wait()
        self.running -= 1
        return "done"

    @method()
    async def Refuse(self) -> "s":
        raise DBusError("org.example.Error.No", "because")

    @method()
    async def Break(self) -> "s":
        raise ZeroDivisionError("secret insides")

    @method()
    def Echo(self, text: "s") -> "s":
        return text


def on_bus(folder: Path, play: Callable[[PrivateBus, Bus, Bus, Example], Awaitable[None]]) -> None:
    """Play with a client, and a server that exports the example."""

    async def perform() -> None:
        async with private_bus(folder) as daemon:
            server, client = await Bus.connect(daemon.address), await Bus.connect(daemon.address)
            example = Example()
            server.export(PATH, example)
            await server.request_name(NAME)
            try:
                await play(daemon, client, server, example)
            finally:
                await client.close()
                await server.close()

    asyncio.run(perform())


def ask(client: Bus, member: str, *args: object, **limits: float) -> Awaitable[list[object]]:
    return client.call(NAME, PATH, NAME, member, "s" * len(args), args, **limits)


def test_values_come_without_variants(tmp_path: Path) -> None:
    async def play(_d: PrivateBus, client: Bus, _s: Bus, _e: Example) -> None:
        own = client.unique_name
        (found,) = await client.call(*BUS, "GetConnectionCredentials", "s", [own])
        assert isinstance(found, dict)
        assert isinstance(found["UnixUserID"], int)

    on_bus(tmp_path, play)


def test_an_error_reply_names_everything(tmp_path: Path) -> None:
    async def play(_d: PrivateBus, client: Bus, _s: Bus, _e: Example) -> None:
        with pytest.raises(BusError) as caught:
            await ask(client, "Refuse")
        assert caught.value.destination == NAME
        assert caught.value.name == "org.example.Error.No"
        assert caught.value.text == "because"

    on_bus(tmp_path, play)


def test_a_bug_in_a_method_does_not_show_our_insides(tmp_path: Path) -> None:
    async def play(_d: PrivateBus, client: Bus, _s: Bus, _e: Example) -> None:
        with pytest.raises(BusError) as caught:
            await ask(client, "Break")
        assert "secret" not in str(caught.value)
        assert "Traceback" not in str(caught.value)

    on_bus(tmp_path, play)


def test_a_method_knows_who_called_it(tmp_path: Path) -> None:
    async def play(_d: PrivateBus, client: Bus, server: Bus, _e: Example) -> None:
        answers = await asyncio.gather(ask(client, "WhoAsks"), ask(server, "WhoAsks"))
        assert answers == [[client.unique_name], [server.unique_name]]

    on_bus(tmp_path, play)


def test_a_call_without_answer_ends_in_time(tmp_path: Path) -> None:
    async def play(_d: PrivateBus, client: Bus, _s: Bus, _e: Example) -> None:
        with pytest.raises(BusError) as caught:
            await ask(client, "Hang", timeout_s=0.05)
        assert caught.value.name == facade.TIMEOUT

    on_bus(tmp_path, play)


def test_calls_in_flight_are_bounded_and_waiting_counts_as_time(tmp_path: Path) -> None:
    async def play(_d: PrivateBus, client: Bus, _s: Bus, example: Example) -> None:
        calls = [asyncio.ensure_future(ask(client, "Hang", timeout_s=0.5)) for _ in range(100)]
        await asyncio.wait(calls, timeout=0.25)
        assert example.most == facade.IN_FLIGHT_MAX
        results = await asyncio.gather(*calls, return_exceptions=True)
        assert all(isinstance(result, BusError) for result in results)

    on_bus(tmp_path, play)


def test_more_than_a_socket_can_take_is_sent_nevertheless(tmp_path: Path) -> None:
    """The library takes a full socket for a broken connection."""

    async def play(_d: PrivateBus, client: Bus, _s: Bus, _e: Example) -> None:
        text = "x" * 200_000
        answers = await asyncio.gather(*(ask(client, "Echo", text) for _ in range(40)))
        assert answers == [[text]] * 40

    on_bus(tmp_path, play)


def test_a_lost_connection_is_noticed_and_fails_all_calls(tmp_path: Path) -> None:
    async def play(daemon: PrivateBus, client: Bus, _s: Bus, example: Example) -> None:
        waiting = asyncio.ensure_future(ask(client, "Hang"))
        await asyncio.wait_for(example.began.wait(), 5)
        await daemon.kill()
        await asyncio.wait_for(client.wait_lost(), 5)
        assert not client.is_connected
        for call in (waiting, ask(client, "Echo", "x")):
            with pytest.raises(BusError) as caught:
                await asyncio.wait_for(call, 5)
            assert caught.value.name == facade.DISCONNECTED

    on_bus(tmp_path, play)


def test_a_frozen_bus_hangs_neither_connecting_nor_calling(tmp_path: Path) -> None:
    async def play(daemon: PrivateBus, client: Bus, _s: Bus, _e: Example) -> None:
        daemon.freeze()
        try:
            with pytest.raises(BusError):
                await Bus.connect(daemon.address, timeout_s=0.1)
            with pytest.raises(BusError):
                await client.call(*BUS, "GetId", timeout_s=0.1)
        finally:
            daemon.thaw()
        assert await client.call(*BUS, "GetId")

    on_bus(tmp_path, play)


def test_a_frozen_bus_is_given_up_after_a_while(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(facade, "_PING_PERIOD_S", 0.05)
    monkeypatch.setattr(facade, "_PING_TIMEOUT_S", 0.05)

    async def play(daemon: PrivateBus, client: Bus, _s: Bus, _e: Example) -> None:
        daemon.freeze()
        await asyncio.wait_for(client.wait_lost(), 5)
        assert not client.is_connected
        daemon.thaw()

    on_bus(tmp_path, play)


def test_nobody_listens(tmp_path: Path) -> None:
    with pytest.raises(BusError, match="cannot connect to unix:path="):
        asyncio.run(Bus.connect(f"unix:path={tmp_path / 'absent'}"))


def test_a_bus_that_hangs_up_during_authentication_does_not_stop_the_loop(tmp_path: Path) -> None:
    """The library reads for ever at end of file, without yielding."""

    async def perform() -> None:
        async def hang_up(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.close()

        async with await asyncio.start_unix_server(hang_up, tmp_path / "bus"):
            with pytest.raises(BusError, match="cannot connect"):
                await Bus.connect(f"unix:path={tmp_path / 'bus'}", timeout_s=2)

    asyncio.run(perform())


def test_a_storm_of_signals_leaves_time_for_others(tmp_path: Path) -> None:
    async def play(_d: PrivateBus, client: Bus, server: Bus, example: Example) -> None:
        seen: list[Signal] = []
        client.on_signal(seen.append)
        await client.add_match(match_signal(interface="org.freedesktop.DBus.Properties"))
        longest = 0.0

        async def beat() -> None:
            nonlocal longest
            while len(seen) < 3000:
                begin = time.thread_time()  # our own work, not that of a busy machine
                await asyncio.sleep(0)
                longest = max(longest, time.thread_time() - begin)

        for _ in range(3000):
            example.emit_properties_changed({})
            if server.is_connected and len(seen) % 50 == 0:
                await asyncio.sleep(0)
        assert len(seen) < 3000, "else there is no storm left to measure"
        await asyncio.wait_for(beat(), 20)
        assert longest < 0.2
        assert {signal.member for signal in seen} == {"PropertiesChanged"}

    on_bus(tmp_path, play)


def test_a_name_is_taken_once(tmp_path: Path) -> None:
    async def play(_d: PrivateBus, client: Bus, server: Bus, _e: Example) -> None:
        await server.request_name(NAME)
        with pytest.raises(BusError, match="is taken by another process"):
            await client.request_name(NAME)

    on_bus(tmp_path, play)


def test_what_would_end_the_connection_is_refused(tmp_path: Path) -> None:
    async def play(_d: PrivateBus, client: Bus, _s: Bus, _e: Example) -> None:
        for text in ("a\0b", 5):
            with pytest.raises(BusError) as caught:
                await ask(client, "Echo", text)
            assert caught.value.name == facade.INVALID_ARGS
        assert await ask(client, "Echo", "still there") == ["still there"]

    on_bus(tmp_path, play)


def test_tuples_and_bytearrays_are_sent_as_the_library_wants_them() -> None:
    made = variant("a(sv)", (("a", variant("ay", bytearray(b"x"))),))
    assert made == variant("a(sv)", [["a", variant("ay", b"x")]])
