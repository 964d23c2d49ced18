# SPDX-License-Identifier: Apache-2.0
"""`org.rgmgr` on a bus of our own: objects, requests, properties and signals."""

from __future__ import annotations

import asyncio
import os
from dataclasses import replace
from pathlib import Path

import pytest

from rgmgr.adapters.bus import Bus, variant
from rgmgr.adapters.dbus_api import REQUESTS_MAX, Api
from rgmgr.adapters.dbus_objects import escape, node_path, service_path
from rgmgr.core.actions import Answer, Reply
from rgmgr.core.messages import FenceOrder, Verb
from rgmgr.errors import BusError
from rgmgr.links import LinkView, from_properties, properties, seen
from rgmgr.view import decode_status
from tests.adapters.private_bus import private_bus
from tests.adapters.served_core import DONE, MANAGER, PROPERTIES, SERVICE, Core, World, refused, run
from tests.unit.cli_links import sound
from tests.unit.cli_status import NODE1, NODE2, healthy, troubled


def test_status_is_the_snapshot_of_this_moment(tmp_path: Path) -> None:
    async def scenario(there: World) -> None:
        there.core.shown = troubled()

        (text,) = await there.client.call(*MANAGER, "Status")

        assert decode_status(str(text)) == troubled()

    run(tmp_path, scenario)


def test_what_forecasts_start_from_comes_as_bytes_and_text(tmp_path: Path) -> None:
    async def scenario(there: World) -> None:
        name, text = await refused(there.client.call(*MANAGER, "Present"))
        assert name == "NotReady"
        assert text.startswith("no agreed state yet")

        there.core.told = (b"\x00state", "{}")
        assert await there.client.call(*MANAGER, "Present") == [b"\x00state", "{}"]

    run(tmp_path, scenario)


def test_a_request_returns_when_the_core_has_done_it(tmp_path: Path) -> None:
    async def scenario(there: World) -> None:
        there.core.gate.clear()
        asked = asyncio.create_task(there.request("relocate", "service:web", "node2"))
        other = await there.client.call(*MANAGER, "Status")
        assert other
        assert not asked.done()

        there.core.gate.set()

        assert await asked == [0, "web is now running on node2", "node2"]
        assert there.core.asked == [(Verb.RELOCATE, "web", NODE2)]

    run(tmp_path, scenario)


def test_a_refusal_of_the_core_is_an_answer_and_not_an_error(tmp_path: Path) -> None:
    """clusvcadm needs rgmanager's result code, whatever it is."""

    async def scenario(there: World) -> None:
        there.core.reply = Reply(number=1, answer=Answer.FROZEN, text="web is frozen", owner=None)

        assert await there.request("enable", "web") == [-11, "web is frozen", ""]
        assert there.core.asked == [(Verb.ENABLE, "web", None)]

    run(tmp_path, scenario)


@pytest.mark.parametrize(
    ("arguments", "refusal"),
    [
        (("enable", "nope"), ("UnknownService", "cannot enable 'nope': no such service")),
        (
            ("enable", "web", "node7"),
            ("UnknownNode", "no node is named 'node7' (there are node1, node2, node3)"),
        ),
        (
            ("explode", "web"),
            (
                "InvalidVerb",
                f"'explode' is not one of {', '.join(verb.value for verb in Verb)}",
            ),
        ),
    ],
)
def test_nonsense_is_refused_before_the_core_hears_of_it(
    tmp_path: Path, arguments: tuple[str, ...], refusal: tuple[str, str]
) -> None:
    async def scenario(there: World) -> None:
        assert await refused(there.request(*arguments)) == refusal
        assert there.core.asked == []

    run(tmp_path, scenario)


def test_a_request_before_corosync_is_there_is_refused_and_does_not_wait(tmp_path: Path) -> None:
    """Nobody could ever answer it."""

    async def scenario(there: World) -> None:
        there.core.shown = replace(healthy(), node=None, note="waiting for corosync")

        refusal = await refused(there.request("enable", "web"))

        assert refusal == ("NotReady", "cannot enable 'web': waiting for corosync")

    run(tmp_path, scenario)


def test_a_bug_shows_nothing_of_our_insides_and_ends_nothing(tmp_path: Path) -> None:
    async def scenario(there: World) -> None:
        there.core.reply = RuntimeError("secret detail")

        _, text = await refused(there.request("enable", "web"))
        there.core.reply = DONE
        again = await there.request("enable", "web")

        assert "secret" not in text
        assert "Traceback" not in text
        assert again[0] == 0

    run(tmp_path, scenario)


def test_a_caller_that_goes_away_harms_nothing(tmp_path: Path) -> None:
    async def scenario(there: World) -> None:
        there.core.gate.clear()
        hasty = await Bus.connect(there.address)
        call = asyncio.create_task(
            hasty.call(*MANAGER, "Request", "sssa{sv}", ["stop", "web", "", {}])
        )
        await there.core.begun.wait()

        await hasty.close()
        with pytest.raises(BusError):
            await call
        there.core.gate.set()
        await there.core.finished.wait()

        assert await there.request("enable", "web") == [0, DONE.text, "node2"]

    run(tmp_path, scenario)


def test_requests_that_wait_are_bounded(tmp_path: Path) -> None:
    async def scenario(there: World) -> None:
        there.core.gate.clear()
        clients = [await Bus.connect(there.address) for _ in range(1 + REQUESTS_MAX // 32)]
        calls = [
            asyncio.create_task(
                clients[number // 32].call(*MANAGER, "Request", "sssa{sv}", ["stop", "web", "", {}])
            )
            for number in range(REQUESTS_MAX)
        ]
        while len(there.core.asked) < REQUESTS_MAX:
            there.core.begun.clear()
            await there.core.begun.wait()

        name, _ = await refused(there.request("stop", "web"))
        there.core.gate.set()
        answers = await asyncio.gather(*calls)

        assert name == "Busy"
        assert len(answers) == REQUESTS_MAX
        for client in clients:
            await client.close()

    run(tmp_path, scenario)


def test_the_manager_and_the_objects_have_properties(tmp_path: Path) -> None:
    async def scenario(there: World) -> None:
        client = there.client
        (manager,) = await client.call(
            "org.rgmgr", "/org/rgmgr", PROPERTIES, "GetAll", "s", ["org.rgmgr.Manager1"]
        )
        (service,) = await client.call(
            "org.rgmgr", service_path("web"), PROPERTIES, "GetAll", "s", [SERVICE]
        )
        (node,) = await client.call(
            "org.rgmgr", node_path("node3"), PROPERTIES, "GetAll", "s", ["org.rgmgr.Node1"]
        )

        assert isinstance(manager, dict)
        assert manager.pop("Version")
        assert from_properties(manager) == sound()
        assert {name: manager[name] for name in manager if name not in properties(sound())} == {
            "ClusterName": "alpha",
            "Quorate": True,
            "Members": ["node1", "node2"],
            "ConfigVersion": 3,
            "Locked": False,
            "Disarmed": False,
            "Notices": [],
        }
        assert service == {
            "Name": "web",
            "State": "started",
            "Owner": "node1",
            "LastOwner": "",
            "Domain": "prefer-node1",
            "Flags": [],
            "Restarts": 0,
            "Because": "",
            "Fault": "",
        }
        assert node == {
            "Name": "node3",
            "Id": 3,
            "Status": "offline",
            "Member": False,
            "InStandby": False,
            "Services": 0,
        }

    run(tmp_path, scenario)


@pytest.mark.parametrize(
    ("method", "arguments", "asked"),
    [
        ("Enable", ["node2"], (Verb.ENABLE, "web", NODE2)),
        ("Enable", [""], (Verb.ENABLE, "web", None)),
        ("Disable", [], (Verb.DISABLE, "web", None)),
        ("Stop", [], (Verb.STOP, "web", None)),
        ("Restart", [], (Verb.RESTART, "web", None)),
        ("Relocate", ["node1"], (Verb.RELOCATE, "web", NODE1)),
        ("Migrate", ["node1"], (Verb.MIGRATE, "web", NODE1)),
        ("Convalesce", [], (Verb.CONVALESCE, "web", None)),
    ],
)
def test_a_service_object_carries_requests(
    tmp_path: Path, method: str, arguments: list[str], asked: object
) -> None:
    async def scenario(there: World) -> None:
        signature = "s" * len(arguments) + "a{sv}"
        answer = await there.client.call(
            "org.rgmgr", service_path("web"), SERVICE, method, signature, [*arguments, {}]
        )

        assert there.core.asked == [asked]
        assert answer == (["node2"] if arguments or method == "Restart" else [])

    run(tmp_path, scenario)


@pytest.mark.parametrize(
    ("answer", "name"),
    [
        (Answer.NO_QUORUM, "NoQuorum"),
        (Answer.NODE_OFFLINE, "NodeOffline"),
        (Answer.FAILED, "Failed"),
        (Answer.TRY_AGAIN, "TryAgain"),
    ],
)
def test_a_service_object_answers_a_refusal_as_an_error(
    tmp_path: Path, answer: Answer, name: str
) -> None:
    async def scenario(there: World) -> None:
        there.core.reply = Reply(number=1, answer=answer, text="because", owner=None)

        call = there.client.call(
            "org.rgmgr", service_path("web"), SERVICE, "Enable", "sa{sv}", ["", {}]
        )

        assert await refused(call) == (name, "because")

    run(tmp_path, scenario)


async def _until_quiet(there: World) -> list[tuple[str, str, list[object]]]:
    """Return the signals so far: the reply to a later call comes after them."""
    await there.client.call(*MANAGER, "Status")
    found = [there.signals.get_nowait() for _ in range(there.signals.qsize())]
    return [(signal.path, signal.member, signal.body) for signal in found]


def test_a_change_is_signalled_once_and_only_what_has_changed(tmp_path: Path) -> None:
    async def scenario(there: World) -> None:
        moved = replace(healthy().services[2], owner="node2", age_ms=0)
        status = replace(healthy(), services=(*healthy().services[:2], moved))

        there.api.publish(status)
        there.api.publish(replace(status, epoch=13))
        signals = await _until_quiet(there)

        assert signals == [
            (service_path("web"), "PropertiesChanged", [SERVICE, {"Owner": "node2"}, []]),
            ("/org/rgmgr", "ServiceChanged", ["web", "started", "node2"]),
        ]

    run(tmp_path, scenario)


def test_nothing_is_signalled_when_only_time_has_passed(tmp_path: Path) -> None:
    async def scenario(there: World) -> None:
        older = tuple(replace(view, age_ms=view.age_ms + 60_000) for view in healthy().services)

        there.api.publish(replace(healthy(), services=older))

        assert await _until_quiet(there) == []

    run(tmp_path, scenario)


def test_losing_quorum_is_signalled_by_the_manager(tmp_path: Path) -> None:
    async def scenario(there: World) -> None:
        there.api.publish(replace(healthy(), is_quorate=False))

        assert await _until_quiet(there) == [
            ("/org/rgmgr", "PropertiesChanged", ["org.rgmgr.Manager1", {"Quorate": False}, []])
        ]

    run(tmp_path, scenario)


def test_a_broken_link_is_signalled_and_a_new_latency_is_not(tmp_path: Path) -> None:
    """Latencies change at every look; who wants them asks."""

    async def scenario(there: World) -> None:
        links = tuple(replace(link, latency_us=999) for link in sound().links)
        there.core.corosync = replace(sound(), links=links)
        there.api.publish_corosync()
        quiet = await _until_quiet(there)
        (asked,) = await there.client.call(
            "org.rgmgr", "/org/rgmgr", PROPERTIES, "Get", "ss", ["org.rgmgr.Manager1", "Links"]
        )

        there.core.corosync = seen(replace(sound(), links=(*links[:3], _down(links[3]))))
        there.api.publish_corosync()
        signals = await _until_quiet(there)

        assert quiet == []
        assert asked == properties(replace(sound(), links=links))["Links"]
        ((path, member, (interface, changed, _)),) = signals
        assert (path, member, interface) == (
            "/org/rgmgr",
            "PropertiesChanged",
            "org.rgmgr.Manager1",
        )
        assert isinstance(changed, dict)
        assert sorted(changed) == ["CorosyncWarnings", "Links"]
        assert [link["is_connected"] for link in changed["Links"]] == [True, True, True, False]

    run(tmp_path, scenario)


def _down(link: LinkView) -> LinkView:
    return replace(link, is_connected=False)


def test_services_come_and_go_with_the_configuration(tmp_path: Path) -> None:
    async def scenario(there: World) -> None:
        new = replace(healthy().services[0], name="a-new.one")
        there.api.publish(replace(healthy(), services=(new,)))

        (state,) = await there.client.call(
            "org.rgmgr", service_path("a-new.one"), PROPERTIES, "Get", "ss", [SERVICE, "State"]
        )
        gone = there.client.call(
            "org.rgmgr", service_path("web"), PROPERTIES, "Get", "ss", [SERVICE, "State"]
        )

        assert state == "started"
        await refused(gone)

    run(tmp_path, scenario)


def test_publishing_on_a_lost_bus_does_nothing(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with asyncio.timeout(20), private_bus(tmp_path) as bus:
            server = await Bus.connect(bus.address)
            core = Core()
            api = Api(server, core.ask, core.current, core.present, core.history)
            await api.start()

            await bus.kill()
            await server.wait_lost()
            api.publish(troubled())
            await server.close()

    asyncio.run(scenario())


def test_a_second_daemon_does_not_get_the_name(tmp_path: Path) -> None:
    async def scenario(there: World) -> None:
        second = await Bus.connect(there.address)
        core = there.core
        with pytest.raises(BusError, match="taken"):
            await Api(second, core.ask, core.current, core.present, core.history).start()
        await second.close()

    run(tmp_path, scenario)


def test_stopping_takes_the_objects_away(tmp_path: Path) -> None:
    async def scenario(there: World) -> None:
        there.api.stop()

        await refused(there.client.call(*MANAGER, "Status"))

    run(tmp_path, scenario)


def test_paths_are_escaped_as_systemd_does() -> None:
    assert escape("web-1.x") == "web_2d1_2ex"
    assert escape("a_b") == "a_5fb"
    assert escape("é") == "_c3_a9"
    assert escape("") == "_"


def test_a_request_about_fencing_says_who_asked(tmp_path: Path) -> None:
    async def scenario(there: World) -> None:
        there.core.reply = Reply(number=1, answer=Answer.DONE, text="fenced", owner=None)
        asked = ["off", "node2", {"user": variant("s", "ali\x1bce")}]
        answer = await there.client.call(*MANAGER, "Fence", "ssa{sv}", asked)
        everywhere = await there.client.call(*MANAGER, "Fence", "ssa{sv}", ["test", "", {}])

        by = f"alice (uid {os.geteuid()}) on node1"
        nobody = f"somebody (uid {os.geteuid()}) on node1"
        assert answer == everywhere == [0, "fenced"]
        assert there.core.asked_fence == [
            (FenceOrder.OFF, NODE2, by),
            (FenceOrder.TEST, None, nobody),
        ]

    run(tmp_path, scenario)


@pytest.mark.parametrize(
    ("order", "node", "name"),
    [("shoot", "node2", "InvalidVerb"), ("fence", "node9", "UnknownNode")],
)
def test_a_wrong_request_about_fencing_is_refused(
    tmp_path: Path, order: str, node: str, name: str
) -> None:
    async def scenario(there: World) -> None:
        call = there.client.call(*MANAGER, "Fence", "ssa{sv}", [order, node, {}])
        found, _ = await refused(call)

        assert found == name
        assert there.core.asked_fence == []

    run(tmp_path, scenario)
