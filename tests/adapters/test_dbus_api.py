# SPDX-License-Identifier: Apache-2.0
"""`org.rgmgr` on a bus of our own: real protocol, real bus policy, other users if we are root."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from domains.model import NodeId, ServiceName
from rgmgr.adapters.bus import Bus, Signal, match_signal
from rgmgr.adapters.dbus_api import REQUESTS_MAX, Api, escape, node_path, service_path
from rgmgr.core.actions import Answer, Reply
from rgmgr.core.messages import Verb
from rgmgr.errors import BusError
from rgmgr.view import Status, decode_status
from tests.adapters.private_bus import PrivateBus, private_bus
from tests.unit.cli_status import NODE1, NODE2, healthy, troubled

MANAGER = ("org.rgmgr", "/org/rgmgr", "org.rgmgr.Manager1")
SERVICE = "org.rgmgr.Service1"
PROPERTIES = "org.freedesktop.DBus.Properties"
POLICY = Path(__file__).parents[2] / "systemd" / "org.rgmgr.conf"

DONE = Reply(number=1, answer=Answer.DONE, text="web is now running on node2", owner=NODE2)

is_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs other users")


@dataclass
class Core:
    """Answers requests and shows a status, as the runtime would."""

    shown: Status = field(default_factory=healthy)
    reply: Reply | Exception = DONE
    asked: list[tuple[Verb, ServiceName, NodeId | None]] = field(default_factory=list)
    gate: asyncio.Event = field(default_factory=asyncio.Event)
    finished: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        self.gate.set()

    async def ask(self, verb: Verb, service: ServiceName, target: NodeId | None) -> Reply:
        self.asked.append((verb, service, target))
        await self.gate.wait()
        self.finished.set()
        if isinstance(self.reply, Exception):
            raise self.reply
        return self.reply

    def current(self) -> Status:
        return self.shown


@dataclass
class World:
    """A served core, and a client on the same bus."""

    address: str
    core: Core
    api: Api
    client: Bus
    signals: asyncio.Queue[Signal]

    async def request(self, verb: str, service: str, node: str = "") -> list[object]:
        return await self.client.call(*MANAGER, "Request", "sss", [verb, service, node])


@contextlib.asynccontextmanager
async def world(folder: Path) -> AsyncIterator[World]:
    async with private_bus(folder) as bus:
        server, client = await Bus.connect(bus.address), await Bus.connect(bus.address)
        signals: asyncio.Queue[Signal] = asyncio.Queue()
        core = Core()
        api = Api(server, core.ask, core.current)
        await api.start()
        client.on_signal(signals.put_nowait)
        await client.add_match(match_signal(sender="org.rgmgr"))
        try:
            yield World(bus.address, core, api, client, signals)
        finally:
            await client.close()
            await server.close()


def run(folder: Path, scenario: Callable[[World], Awaitable[None]]) -> None:
    async def play() -> None:
        async with asyncio.timeout(20), world(folder) as there:
            await scenario(there)

    asyncio.run(play())


async def refused(asked: Awaitable[object]) -> tuple[str, str]:
    with pytest.raises(BusError) as caught:
        await asked
    return caught.value.name.removeprefix("org.rgmgr.Error."), caught.value.text


def test_status_is_the_snapshot_of_this_moment(tmp_path: Path) -> None:
    async def scenario(there: World) -> None:
        there.core.shown = troubled()

        (text,) = await there.client.call(*MANAGER, "Status")

        assert decode_status(str(text)) == troubled()

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
                "'explode' is not one of enable, disable, stop, restart, relocate",
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
        call = asyncio.create_task(hasty.call(*MANAGER, "Request", "sss", ["stop", "web", ""]))
        while not there.core.asked:
            await there.client.call(*MANAGER, "Status")

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
                clients[number // 32].call(*MANAGER, "Request", "sss", ["stop", "web", ""])
            )
            for number in range(REQUESTS_MAX)
        ]
        while len(there.core.asked) < REQUESTS_MAX:
            await there.client.call(*MANAGER, "Status")

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
        assert manager == {
            "ClusterName": "alpha",
            "Quorate": True,
            "Members": ["node1", "node2"],
        }
        assert service == {"Name": "web", "State": "started", "Owner": "node1", "Because": ""}
        assert node == {"Name": "node3", "Id": 3, "Status": "offline", "Member": False}

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
    ],
)
def test_a_service_object_carries_requests(
    tmp_path: Path, method: str, arguments: list[str], asked: object
) -> None:
    async def scenario(there: World) -> None:
        signature = "s" * len(arguments)
        answer = await there.client.call(
            "org.rgmgr", service_path("web"), SERVICE, method, signature, arguments
        )

        assert there.core.asked == [asked]
        assert answer == (["node2"] if arguments else [])

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

        call = there.client.call("org.rgmgr", service_path("web"), SERVICE, "Enable", "s", [""])

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
            api = Api(server, core.ask, core.current)
            await api.start()

            await bus.kill()
            await server.wait_lost()
            api.publish(troubled())
            await server.close()

    asyncio.run(scenario())


def test_a_second_daemon_does_not_get_the_name(tmp_path: Path) -> None:
    async def scenario(there: World) -> None:
        second = await Bus.connect(there.address)
        with pytest.raises(BusError, match="taken"):
            await Api(second, there.core.ask, there.core.current).start()
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
        core = Core()
        await Api(server, core.ask, core.current, operator_group=OPERATORS).start()
        try:
            read, _ = await _busctl(bus, NOBODY, gids, "Status")
            operated, output = await _busctl(
                bus, NOBODY, gids, "Request", "sss", "enable", "web", ""
            )
        finally:
            await server.close()
            await bus.kill()
        assert (read == 0, operated == 0) == (may_read, may_operate), output
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
        await Api(server, core.ask, core.current, operator_group=OPERATORS).start()
        try:
            code, output = await _busctl(bus, NOBODY, [], "Request", "sss", "stop", "web", "")
        finally:
            await server.close()
            await bus.kill()
        assert code != 0
        assert "neither root nor in group 'operator'" in output
        assert core.asked == []

    with tempfile.TemporaryDirectory(prefix="rgmgr-test-") as name:
        Path(name).chmod(0o755)
        asyncio.run(scenario(Path(name)))


async def _spawn(
    address: str, module: str, *arguments: str, **environment: str
) -> asyncio.subprocess.Process:
    """Start a command as its own process, with our bus as the system bus."""
    return await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
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

        assert shown[0] == 0
        assert decode_status(shown[1]) == healthy()
        assert moved == (0, "web is now running on node2\n", "")
        assert there.core.asked == [(Verb.RELOCATE, "web", NODE2)]
        assert (classic[0], classic[2]) == (0, "")

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
        while not there.core.asked:
            await there.client.call(*MANAGER, "Status")

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
