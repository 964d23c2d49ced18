# SPDX-License-Identifier: Apache-2.0
"""fence_meatware as its callers see it: a process that waits, and a human's command."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.conftest import Golden

AGENT = Path(__file__).parents[2] / "fence_agents" / "fence_meatware"
ALIVE, SILENT = "127.0.0.1", "240.0.0.1"
Ended = subprocess.CompletedProcess[str]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "questions"


def text(folder: Path, **options: str) -> str:
    given = {"folder": str(folder), "nodename": "node1"} | options
    return "".join(f"{name}={value}\n" for name, value in given.items())


def ask(folder: Path, action: str, **options: str) -> Ended:
    return subprocess.run(
        [str(AGENT)],
        input=text(folder, action=action, **options),
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )


def answer(folder: Path, node: str = "node1", typed: str = "", **options: str) -> Ended:
    more = [f"--{name}={value}" for name, value in options.items()]
    return subprocess.run(
        [str(AGENT), "-o", "ack", "-n", node, f"--folder={folder}", *more],
        input=typed,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )


@contextmanager
def waiting(folder: Path, action: str, **options: str) -> Iterator[subprocess.Popen[str]]:
    """Run the agent until its question is open."""
    pipe = subprocess.PIPE
    with subprocess.Popen([AGENT], stdin=pipe, stdout=pipe, stderr=pipe, text=True) as agent:
        assert agent.stdin
        assert agent.stderr
        agent.stdin.write(text(folder, action=action, **options))
        agent.stdin.close()
        asked = agent.stderr.readline()
        assert "on this machine" in asked, asked
        try:
            yield agent
        finally:
            agent.kill()


def ended(agent: subprocess.Popen[str]) -> tuple[int, str, str]:
    code = agent.wait(timeout=10)
    assert agent.stdout
    assert agent.stderr
    return code, agent.stdout.read(), agent.stderr.read()


@pytest.mark.parametrize("action", ["off", "on", "reboot"])
def test_a_human_who_confirms_ends_the_question_and_is_named(folder: Path, action: str) -> None:
    with waiting(folder, action) as agent:
        said = answer(folder, typed="node1\n")
        code, out, err = ended(agent)

    assert (said.returncode, said.stdout.splitlines()[-1].endswith("accepted")) == (0, True)
    assert code == 0
    assert out.startswith("Success: confirmed by ")
    assert f"(uid {os.geteuid()}" in out
    assert "has confirmed" in err
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize("typed", ["", "yes\n", "node2\n"])
def test_anything_but_the_nodes_name_is_no_confirmation(folder: Path, typed: str) -> None:
    with waiting(folder, "off") as agent:
        said = answer(folder, typed=typed)
        still = agent.poll()

    assert (said.returncode, still) == (1, None)
    assert "nothing was answered" in said.stderr


def test_whoever_calls_it_off_lets_it_fail(folder: Path) -> None:
    with waiting(folder, "off") as agent:
        said = answer(folder, answer="cancel")
        code, out, err = ended(agent)

    assert (said.returncode, code, out) == (0, 1, "")
    assert "called off by " in err


def test_a_node_that_visibly_lives_is_not_off_whatever_a_human_says(folder: Path) -> None:
    with waiting(folder, "off", alive_check=ALIVE) as agent:
        said = answer(folder, answer="done")
        still = agent.poll()

    assert (said.returncode, still) == (1, None)
    assert "the node is alive: it answers at 127.0.0.1" in said.stderr


def test_a_node_that_does_not_answer_may_be_confirmed(folder: Path) -> None:
    with waiting(folder, "off", alive_check=SILENT) as agent:
        said = answer(folder, answer="done")
        code, _, _ = ended(agent)

    assert (said.returncode, code) == (0, 0)


@pytest.mark.parametrize("line", [b"done node2\n", b"absolutely\n", b"\xff" * 200, b"done"])
def test_an_answer_to_something_else_is_refused(folder: Path, line: bytes) -> None:
    with waiting(folder, "off") as agent:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as client:
            client.connect(str(folder / "node1"))
            client.sendall(line)
            said = client.recv(256)
        still = agent.poll()

    assert said.startswith(b"the answer must be 'done node1'")
    assert still is None


def test_a_client_that_says_nothing_holds_nobody_up(folder: Path) -> None:
    with waiting(folder, "off") as agent, socket.socket(socket.AF_UNIX) as client:
        client.connect(str(folder / "node1"))
        said = answer(folder, answer="done")
        code, _, _ = ended(agent)

    assert (said.returncode, code) == (0, 0)


def test_there_is_no_answer_without_a_question(folder: Path) -> None:
    early = answer(folder, answer="done")
    with waiting(folder, "off"):
        other = answer(folder, node="node2", answer="done")

    assert [early.returncode, other.returncode] == [1, 1]
    assert "no question is open for this node here" in early.stderr


def test_nobody_in_time_is_a_failure(folder: Path) -> None:
    said = ask(folder, "off", ack_timeout="0.3")

    assert said.returncode == 1
    assert "nobody answered for 0.3 s" in said.stderr
    assert list(folder.iterdir()) == []


def test_one_question_for_a_node_at_a_time(folder: Path) -> None:
    with waiting(folder, "off"):
        said = ask(folder, "off")

    assert said.returncode == 1
    assert "is being asked already" in said.stderr


def test_what_a_killed_agent_left_is_in_nobodys_way(folder: Path) -> None:
    with waiting(folder, "off") as agent:
        agent.send_signal(signal.SIGKILL)
        agent.wait()
    left = [path.name for path in folder.iterdir()]
    dead = answer(folder, answer="done")

    with waiting(folder, "off") as agent:
        said = answer(folder, answer="done")
        code, _, _ = ended(agent)

    assert (left, dead.returncode) == (["node1"], 1)
    assert (said.returncode, code) == (0, 0)


def test_a_terminated_agent_takes_its_question_away(folder: Path) -> None:
    with waiting(folder, "off") as agent:
        agent.send_signal(signal.SIGTERM)
        code, _, err = ended(agent)

    assert code == 1
    assert "ended by signal 15" in err
    assert list(folder.iterdir()) == []


def test_a_folder_that_others_may_write_to_is_refused(folder: Path) -> None:
    folder.mkdir(mode=0o777)
    folder.chmod(0o777)

    said = ask(folder, "off", ack_timeout="1")

    assert said.returncode == 1
    assert "is open to others" in said.stderr


def test_status_is_known_only_while_the_node_answers(folder: Path) -> None:
    ends = [ask(folder, "status", alive_check=address) for address in (ALIVE, SILENT, "")]

    assert [end.returncode for end in ends] == [0, 1, 1]
    assert ends[0].stdout == "Status: ON\n"


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"nodename": "../../etc/x"}, "is no name of a node"),
        ({"nodename": ""}, "is no name of a node"),
        ({"alive_check": "-f"}, "is no address"),
        ({"folder": "relative"}, "is no absolute path"),
        ({"ack_timeout": "0"}, "ack_timeout '0' is not"),
    ],
)
def test_a_refusal_says_why(folder: Path, options: dict[str, str], reason: str) -> None:
    where = Path(options.pop("folder", str(folder)))

    said = ask(where, "off", **options)

    assert said.returncode == 1
    assert reason in said.stderr


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to give the agent a journal of its own")
def test_the_question_reaches_the_journal(folder: Path, tmp_path: Path) -> None:
    """A caller may throw the agent's own output away."""
    devices = tmp_path / "dev"
    devices.mkdir()
    command = 'mount --bind "$1" /dev && exec "$2"'
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as journal:
        journal.bind(str(devices / "log"))
        journal.settimeout(5)
        subprocess.run(
            ["/usr/bin/unshare", "--mount", "sh", "-c", command, "sh", str(devices), str(AGENT)],
            input=text(folder, action="off", ack_timeout="0.2"),
            capture_output=True,
            text=True,
            check=False,
        )
        said = journal.recv(4096)

    assert said.startswith(b"<26>")  # daemon.crit
    assert b"node node1: cut its power and keep it off, then run" in said


def test_metadata_is_the_golden_one(folder: Path, golden: Golden) -> None:
    golden("fence_meatware.metadata.xml", ask(folder, "metadata").stdout)
