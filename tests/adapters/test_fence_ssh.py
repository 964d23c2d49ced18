# SPDX-License-Identifier: Apache-2.0
"""fence_ssh as its callers see it: a process, against a real sshd."""

from __future__ import annotations

import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.adapters.sshd_peer import SshdPeer
from tests.conftest import Golden

AGENT = Path(__file__).parents[2] / "fence_agents" / "fence_ssh"
Ended = subprocess.CompletedProcess[str]


@pytest.fixture
def node(tmp_path: Path) -> Iterator[SshdPeer]:
    with SshdPeer(tmp_path) as peer:
        yield peer


def ask(options: dict[str, str], action: str, **more: str) -> Ended:
    given = options | {"action": action} | more
    ended = subprocess.run(
        [str(AGENT)],
        input="".join(f"{name}={value}\n" for name, value in given.items()),
        capture_output=True,
        text=True,
        timeout=40,
        check=False,
    )
    assert "Traceback" not in ended.stderr
    return ended


@pytest.mark.parametrize("action", ["off", "reboot"])
def test_a_reset_is_proven_by_another_boot_id(node: SshdPeer, action: str) -> None:
    ended = ask(node.options, action)

    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "Success: Rebooted\n", "")
    assert node.resets == 1


def test_the_node_may_take_its_time_to_boot(node: SshdPeer) -> None:
    node.boot_slowly(1)

    ended = ask(node.options, "reboot", power_timeout="30", shell_timeout="10")

    assert (ended.returncode, node.resets) == (0, 1)


def test_a_node_that_ignores_the_command_is_not_fenced(node: SshdPeer) -> None:
    node.hang()

    ended = ask(node.options, "off", power_timeout="4")

    assert (ended.returncode, node.resets) == (1, 1)
    assert "reset was sent, after 4 s the power still reads on" in ended.stderr


def test_a_node_that_falls_silent_is_never_taken_for_off(node: SshdPeer) -> None:
    node.fall_silent()

    ends = [
        ask(node.options, action, login_timeout="1", shell_timeout="1")
        for action in ("off", "status", "monitor")
    ]

    assert [end.returncode for end in ends] == [1, 1, 1]
    assert "no boot id over ssh" in ends[0].stderr


def test_status_is_on_while_it_answers_and_on_waits_for_that(node: SshdPeer) -> None:
    ends = [ask(node.options, action) for action in ("status", "monitor", "on")]

    assert [(end.returncode, end.stdout) for end in ends] == [
        (0, "Status: ON\n"), (0, ""), (0, "Success: Already ON\n"),
    ]  # fmt: skip
    assert node.resets == 0


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"test_cluster": "0"}, "fence_ssh is for tests only"),
        ({"ip": ""}, "ip is not set"),
        ({"ip": "-oProxyCommand=true"}, "begins with '-'"),
        ({"ip": "node.invalid"}, "does not resolve"),
        ({"username": "-x"}, "no name of a user"),
        ({"identity_file": "/nonexistent"}, "identity_file '/nonexistent' is not a file"),
        ({"ssh_path": "/nonexistent/ssh"}, "is not an executable file"),
    ],
)
def test_a_refusal_says_why_in_one_line(
    node: SshdPeer, options: dict[str, str], reason: str
) -> None:
    ended = ask(node.options, "off", **options)

    assert (ended.returncode, node.resets) == (1, 0)
    assert reason in ended.stderr
    assert ended.stderr.count("\n") == 1


def test_the_name_that_every_caller_sends_will_do_for_an_address(node: SshdPeer) -> None:
    ended = ask(node.options, "status", ip="", nodename="127.0.0.1")

    assert ended.returncode == 0


def test_a_key_that_is_not_accepted_is_named(node: SshdPeer) -> None:
    ended = ask(node.options, "off", identity_file=str(node.folder / "other_key"))

    assert (ended.returncode, node.resets) == (1, 0)
    assert "does not accept user" in ended.stderr


def test_another_host_key_is_refused(node: SshdPeer) -> None:
    """Else whoever has the address could confirm the fence."""
    node.know("other_key")
    changed = ask(node.options, "off")
    (node.folder / "known_hosts").write_text("")
    unknown = ask(node.options, "off")

    assert (changed.returncode, unknown.returncode, node.resets) == (1, 1, 0)
    assert "host key" in changed.stderr
    assert "host key is not known" in unknown.stderr
    assert (node.folder / "known_hosts").read_text() == ""


@pytest.mark.parametrize("said", [b"", b"SSH-2.", b"HTTP/1.1 200 OK\r\n\r\n"])
def test_half_a_reply_is_no_answer(node: SshdPeer, said: bytes) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        stop = threading.Event()

        def serve() -> None:
            server.settimeout(0.1)
            while not stop.is_set():
                try:
                    client, _ = server.accept()
                except TimeoutError:
                    continue
                with client:
                    client.sendall(said)

        thread = threading.Thread(target=serve)
        thread.start()
        port = str(server.getsockname()[1])
        started = time.monotonic()
        ended = ask(node.options, "off", ipport=port, login_timeout="1", shell_timeout="1")
        stop.set()
        thread.join()

    assert ended.returncode == 1
    assert "no boot id over ssh" in ended.stderr
    assert time.monotonic() - started < 10


def test_metadata_is_the_golden_one_and_says_that_it_is_for_tests(golden: Golden) -> None:
    ended = ask({}, "metadata")

    golden("fence_ssh.metadata.xml", ended.stdout)
    assert "FOR TESTS ONLY" in ended.stdout
