# SPDX-License-Identifier: Apache-2.0
"""Every function of the binding on real corosync, and faults: agreed order, memory, reloads."""

import json
import os
import signal
import subprocess
import sys
import sysconfig
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.adapters.corosync_nodes import Client, Event, Node, cluster, corosync_conf, missing

pytestmark = [
    pytest.mark.lab,
    pytest.mark.skipif(bool(missing()), reason=f"real corosync nodes: {missing()}"),
]

ROOT = Path(__file__).resolve().parents[2]
CALLS = Path(__file__).with_name("corosync_calls.py")
CYCLES = int(os.environ.get("RGMGR_CYCLES", "300"))  # 10000 for the whole truth
CYCLES_S = 600
LIBRARIES = ("cpg", "quorum", "votequorum", "cmap", "cfg", "corosync_common")
LATENCY_MS_MAX = 50
LONG_BYTES = 300_000
GCC = "/usr/bin/gcc"
STRICT = ("-X", "dev", "-W", "error")

Found = dict[str, Any]


@pytest.fixture
def cleanup() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


@pytest.fixture
def make(cleanup: ExitStack, tmp_path: Path) -> Callable[[int], list[Node]]:
    return lambda count: cleanup.enter_context(cluster(count, tmp_path))


def together(nodes: list[Node]) -> list[Client]:
    """Return one client of each node, all in one quorate view."""
    clients = [node.client() for node in nodes]
    for client in clients:
        view = client.wait_for(
            lambda e: e["event"] == "ViewChanged" and len(e["members"]) == len(nodes)
        )
        client.find("QuorumChanged", ring=view["ring"], is_quorate=True)
    return clients


def call(node: Node, *arguments: str, timeout_s: float = 60, **environment: str) -> Found:
    """Run the calls inside a node; nothing may be said on its standard error."""
    done = subprocess.run(
        [*node.enter(), sys.executable, *STRICT, str(CALLS), *arguments],
        env={**os.environ, "PYTHONPATH": str(ROOT), **environment},
        capture_output=True,
        text=True,
        timeout=timeout_s,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    found: Found = json.loads(done.stdout)
    return found


@pytest.mark.parametrize("count", [1, 3, 5])
def test_every_function_answers(make: Callable[[int], list[Node]], count: int) -> None:
    nodes = make(count)
    together(nodes)

    found = call(nodes[0], "calls")

    numbers = list(range(1, count + 1))
    check_cpg(found["cpg"], numbers)
    check_quorum(found["quorum"], found["votequorum"], numbers)
    check_cmap(found["cmap"])
    check_cfg(found["cfg"], numbers)
    check_report(found["report"], numbers)
    assert found["glance"] == [True, True]


def check_cpg(found: Found, numbers: list[int]) -> None:
    me = found["members"][0]
    assert (found["node"], me[0], found["bytes_max"]) == (1, 1, 1_047_552)
    assert found["too_long"].startswith("ValueError: group name 'xx")
    assert found["joined"][0] == ["GroupChange", [[me], [], [[me, "join"]]]]
    assert found["joined"][1][0] == "RingChange"
    assert found["joined"][1][1][1] == numbers
    assert (found["members"], found["groups"], found["no_members"]) == ([me], [me], [])
    assert found["taken"] == 3
    assert found["delivered"] == [["Delivery", [me, text]] for text in ("one", "", "three")]
    assert found["left"] == [["GroupChange", [[], [[me, "leave"]], []]]]
    again = [found[key] for key in ("joined_twice", "same_process", "joined_again")]
    assert again == ["CS_ERR_EXIST"] * 3
    assert (found["never_joined"], found["closed"]) == ("CS_ERR_NOT_EXIST", "CS_ERR_BAD_HANDLE")


def check_quorum(found: Found, votes: Found, numbers: list[int]) -> None:
    (nodes, verdict), count = found["events"], len(numbers)
    assert (found["provider"], found["is_quorate"]) == (True, True)
    assert (nodes[0], nodes[1][1:]) == ("RingNodesChanged", [numbers, [], []])
    assert (verdict[0], verdict[1][1:]) == ("QuorumChanged", [True, numbers])
    assert nodes[1][0] == verdict[1][0]
    assert found["tracked_twice"] == "CS_ERR_EXIST"
    states = [[node, "member"] for node in numbers]
    assert votes["events"][0] == ["VotersChanged", [True, states]]
    assert votes["mine"][:7] == [1, "member", 1, count, count, count, count // 2 + 1]
    assert (votes["flags"], votes["votes"]) == (["quorate"], [1] * count)
    assert (votes["unknown"], votes["too_many"]) == ("CS_ERR_NOT_EXIST", "CS_ERR_INVALID_PARAM")


def check_cmap(found: Found) -> None:
    values = {"test.double": 0.5, "test.int8": -8, "test.text": "hällo", "test.uint64": 2**64 - 1}
    assert found["items"] == values
    assert found["keys"] == list(values)
    assert sorted(found["changed"][:4]) == [["KeyChanged", [k, v]] for k, v in values.items()]
    assert found["changed"][4:] == [["KeyChanged", ["test.text", None]]]
    assert (found["absent"], found["read_only"]) == (None, "CS_ERR_ACCESS")
    assert (found["not_there"], found["connected"]) == ("CS_ERR_NOT_EXIST", 1)
    assert found["too_large"].startswith("ValueError: test.x: 256 is no uint8")
    assert (found["tracked_statistics"], found["long"]) == (True, True)


def check_cfg(found: Found, numbers: list[int]) -> None:
    assert found["node"] == 1
    assert found["ring"] == {"0 10.231.77.1": "n" + "3" * (len(numbers) - 1)}
    assert found["addresses"] == [[f"10.231.77.{number}"] for number in numbers]
    for number, (node, is_reachable, links) in zip(numbers, found["status"], strict=True):
        assert (node, is_reachable) == (number, True)
        assert [link[:5] for link in links] == [
            [0, "10.231.77.1", f"10.231.77.{number}", True, True]
        ]
    assert found["unknown"] == "CS_ERR_FAILED_OPERATION"


def check_report(report: list[Any], numbers: list[int]) -> None:
    me, cluster_name, names, links, quorum, totem, glance = report
    assert (me, cluster_name) == (1, "probe")
    assert names == {str(number): f"n{number}" for number in numbers}
    assert [link[0] for link in links] == numbers[1:]
    assert [voter[:3] for voter in quorum[-1]] == [[n, f"n{n}", "member"] for n in numbers]
    assert [[n, is_reachable] for n, is_reachable, _ in glance] == [[n, True] for n in numbers]
    assert totem[:3] == ["knet", 1000, 1200]
    assert totem[-6:] == ["passive", "none", "none", 1, {"0": 200}, {"0": 2000}]


def test_memory_and_descriptors_stay_flat_over_many_connections(
    make: Callable[[int], list[Node]],
) -> None:
    """Each cycle opens and closes a handle of all five libraries."""
    nodes = make(1)
    together(nodes)

    found = call(nodes[0], "cycles", str(CYCLES), timeout_s=CYCLES_S)

    assert found["fds"] == 0
    assert found["files"] <= len(LIBRARIES)  # corosync removes those of the last cycle a bit later
    assert found["grown_kib"] < 512


def test_a_sanitizer_finds_nothing(make: Callable[[int], list[Node]], tmp_path: Path) -> None:
    extension = tmp_path / "_corosync.abi3.so"
    subprocess.run(
        [
            *(GCC, "-g", "-O1", "-shared", "-fPIC", "-fsanitize=address,undefined"),
            *("-DPy_LIMITED_API=0x030b0000", f"-I{sysconfig.get_paths()['include']}"),
            *(str(ROOT / "cffi_build/_corosync.c"), "-o", str(extension)),
            *(f"-l{name}" for name in LIBRARIES),
        ],
        check=True,
    )
    sanitizer = subprocess.run(
        [GCC, "-print-file-name=libasan.so"], check=True, capture_output=True, text=True
    ).stdout.strip()
    sanitized = {
        "RGMGR_EXTENSION": str(extension),
        "LD_PRELOAD": sanitizer,
        "ASAN_OPTIONS": "detect_leaks=0",  # the interpreter never frees all
        "PYTHONMALLOC": "malloc",
    }
    nodes = make(1)
    together(nodes)

    calls = call(nodes[0], "calls", **sanitized)
    flooded = call(nodes[0], "flood", "20", **sanitized)
    cycled = call(nodes[0], "cycles", "20", **sanitized)

    assert calls["report"][0] == 1
    assert flooded == {"whole": 100}
    assert cycled["fds"] == 0


def test_order_is_agreed_across_partitions_and_merges(make: Callable[[int], list[Node]]) -> None:
    """Members that go together from one ring to the next saw the same messages in between.

    Long messages are under way all the time, so every change tears some of them.
    """
    nodes = make(5)
    clients = together(nodes)
    begin_chatter(clients)

    for far in ([3, 4], [0], [1, 2]):
        for number in far:
            nodes[number].part()
        for number, client in enumerate(clients):
            side = far if number in far else [n for n in range(5) if n not in far]
            wait_for_members(client, len(side))
        for number in far:
            nodes[number].merge()
        for client in clients:
            wait_for_members(client, 5)
    for client in clients:
        client.tell("hush")
        client.tell("digests")
    digests = [client.wait_for_kind("Digests") for client in clients]

    rings: dict[tuple[Any, ...], set[tuple[str, int]]] = {}
    for digest in digests:
        for closed in digest["closed"][1:]:
            step = (tuple(closed["ring"]), tuple(closed["next"]))
            rings.setdefault(step, set()).add((closed["digest"], closed["count"]))
    differing = {step: seen for step, seen in rings.items() if len(seen) > 1}
    delivered = [sum(closed["count"] for closed in d["closed"]) for d in digests]
    assert differing == {}
    assert len(rings) >= 9  # three partitions in two halves, and three merges
    assert min(delivered) > 500
    assert [digest["twice"] for digest in digests] == [0] * 5


def begin_chatter(clients: list[Client]) -> None:
    """Have all count before the first one speaks, or some would miss what others say first."""
    for client in clients:
        client.tell("count")
    for client in clients:
        client.wait_for_kind("Counting")
    for client in clients:
        client.tell("chatter", bytes=LONG_BYTES)


def wait_for_members(client: Client, count: int) -> None:
    client.wait_for(
        lambda e: e["event"] == "ViewChanged" and len(e["members"]) == len(e["nodes"]) == count
    )


def test_a_reload_that_adds_a_node_is_told(make: Callable[[int], list[Node]]) -> None:
    node = make(1)[0]
    client = together([node])[0]

    node.configure(corosync_conf(2))
    node.output("corosync-cfgtool", "-R")
    added = client.wait_for_kind("NodeListChanged")
    node.configure(corosync_conf(2).replace("name: n1", "name: first"))
    node.output("corosync-cfgtool", "-R")
    renamed = client.wait_for_kind("NodeListChanged")

    assert added["node_names"] == {"1": "n1", "2": "n2"}
    assert renamed["node_names"] == {"1": "first", "2": "n2"}


def test_a_lost_link_and_a_dead_node_are_reported(make: Callable[[int], list[Node]]) -> None:
    nodes = make(3)
    first = together(nodes)[0]

    first.tell("report")
    before = first.wait_for_kind("Report")
    nodes[2].cut()
    first.wait_for(lambda e: e["event"] == "ViewChanged" and e["nodes"] == [1, 2])
    after = report_until(first, lambda e: not e["links"][1][1])

    assert before["links"] == [[2, True, 1], [3, True, 1]]
    assert set(before["voters"].values()) == {"member"}
    assert after["links"][0] == [2, True, 1]
    assert after["voters"] == {"n1": "member", "n2": "member", "n3": "dead"}


def report_until(client: Client, wanted: Callable[[Event], bool]) -> Event:
    """Ask again and again: a link's state is told late."""
    for _ in range(100):
        client.tell("report")
        if wanted(report := client.wait_for_kind("Report")):
            return report
    raise AssertionError(f"the last report was {report}")


def test_a_report_of_a_stopped_corosync_ends_in_time_and_costs_one_thread(
    make: Callable[[int], list[Node]],
) -> None:
    node = make(1)[0]
    client = together([node])[0]
    client.tell("latency")
    client.wait_for_kind("Latency")

    node.signal_corosync(signal.SIGSTOP)
    for _ in range(3):
        client.tell("report")
    waits = [client.wait_for_kind("ReportTimeout") for _ in range(3)]
    client.tell("latency")
    while_stopped = client.wait_for_kind("Latency")
    node.resume_corosync()
    client.tell("report")
    client.wait_for_kind("Report")

    assert waits[0]["threads"] == waits[2]["threads"]
    assert while_stopped["worst_ms"] < LATENCY_MS_MAX


def test_the_example_of_the_manual_runs(make: Callable[[int], list[Node]], tmp_path: Path) -> None:
    manual = (ROOT / "docs/corosync.md").read_text()
    example = tmp_path / "example.py"
    example.write_text(manual.split("```python\n")[1].split("```")[0])
    node = make(1)[0]
    together([node])

    done = subprocess.run(
        [*node.enter(), sys.executable, *STRICT, str(example)],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )

    kinds = [line.split("(", 1)[0] for line in done.stdout.splitlines()]
    assert (done.returncode, done.stderr) == (0, "")
    assert kinds[0] == "CorosyncConnected"
    assert {"ViewChanged", "QuorumChanged", "MessageReceived"} <= set(kinds)
