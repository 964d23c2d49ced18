# SPDX-License-Identifier: Apache-2.0
"""The corosync adapter against real corosync nodes. Expected events: measured sequences."""

import signal
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.adapters.corosync_nodes import Client, Event, Node, cluster, missing

pytestmark = [
    pytest.mark.lab,
    pytest.mark.skipif(bool(missing()), reason=f"real corosync nodes: {missing()}"),
]

LATENCY_MS_MAX = 50


@pytest.fixture
def cleanup() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


@pytest.fixture
def single(cleanup: ExitStack, tmp_path: Path) -> Node:
    return cleanup.enter_context(cluster(1, tmp_path))[0]


@pytest.fixture
def three(cleanup: ExitStack, tmp_path: Path) -> list[Node]:
    return cleanup.enter_context(cluster(3, tmp_path))


def joined(node: Node) -> Client:
    """Return a client that is in the group of a quorate ring."""
    client = node.client()
    client.wait_for_kind("ViewChanged")
    return client


def together(nodes: list[Node]) -> list[Client]:
    """Return one client of each node, all in one view and quorate for its ring."""
    clients = [node.client() for node in nodes]
    for client in clients:
        view = client.wait_for(
            lambda e: e["event"] == "ViewChanged" and len(e["members"]) == len(nodes)
        )
        if not any(is_quorate_for(e, view["ring"]) for e in client.seen):
            client.wait_for(lambda e, ring=view["ring"]: is_quorate_for(e, ring))
    return clients


def is_quorate_for(event: Event, ring: list[int]) -> bool:
    return event["event"] == "QuorumChanged" and event["ring"] == ring and event["is_quorate"]


def messages(client: Client) -> list[tuple[tuple[int, int], str]]:
    return [(tuple(e["sender"]), e["text"]) for e in client.seen if e["event"] == "MessageReceived"]


def test_a_single_node_joins_talks_to_itself_and_leaves(single: Node) -> None:
    client = joined(single)

    client.tell("send", text="hello")
    message = client.wait_for_kind("MessageReceived")
    client.tell("long", bytes=1 << 20)
    long_message = client.wait_for_kind("MessageReceived")
    client.tell("leave")
    left = client.wait_for_kind("Left")
    client.wait_for_kind("Ended")

    connected = next(e for e in client.seen if e["event"] == "CorosyncConnected")
    me = [1, client.pid]
    assert (connected["local"], connected["cluster_name"]) == (me, "probe")
    assert (connected["node_names"], connected["token_ms"]) == ({"1": "n1"}, 1000)
    assert connected["consensus_ms"] == 1200
    assert (connected["is_two_node"], connected["has_quorum_provider"]) == (False, True)
    assert (message["sender"], message["text"]) == (me, "hello")
    assert long_message["size"] >= 1 << 20
    assert left["clean"] is True
    assert client.seen[-3]["left"] == [[me, "leave"]]


def test_what_strangers_send_is_dropped_and_told(single: Node) -> None:
    client = joined(single)

    client.tell("garbage")
    client.tell("send", text="still here")
    client.wait_for_kind("MessageReceived", text="still here")

    assert len([e for e in client.seen if e["event"] == "Garbage"]) == 5
    assert messages(client) == [((1, client.pid), "still here")]


def test_a_restart_of_corosync_is_a_loss_and_a_new_connection(single: Node) -> None:
    client = joined(single)
    client.tell("flood", count=500)
    client.wait_for_kind("MessageReceived")

    single.kill_corosync()
    lost = client.wait_for_kind("CorosyncLost")
    single.start_corosync()
    client.wait_for_kind("CorosyncConnected")
    client.wait_for_kind("ViewChanged")
    client.tell("send", text="after")
    client.wait_for_kind("MessageReceived", text="after")

    assert "CS_ERR_LIBRARY" in lost["reason"]


def test_a_stopped_corosync_never_blocks_the_loop(single: Node) -> None:
    """Synchronous calls hang without limit then, and an unbounded sender would spin for ever."""
    client = joined(single)
    client.tell("latency")
    client.wait_for_kind("Latency")

    single.signal_corosync(signal.SIGSTOP)
    client.tell("flood", count=1000)
    client.tell("long", bytes=1 << 21)
    late = single.client()  # connects while corosync hangs
    with pytest.raises(AssertionError, match="not seen"):
        late.wait_for_kind("CorosyncConnected", timeout_s=2)
    client.tell("latency")
    while_stopped = client.wait_for_kind("Latency")
    late.tell("latency")
    connecting = late.wait_for_kind("Latency")
    late.tell("leave")
    late.wait_for_kind("Ended", timeout_s=5)
    single.resume_corosync()
    client.wait_for(lambda e: e["event"] == "MessageReceived" and e["size"] > 1 << 20)

    assert while_stopped["worst_ms"] < LATENCY_MS_MAX
    assert while_stopped["backlog"] > 0
    assert connecting["worst_ms"] < LATENCY_MS_MAX
    sent = [text for _sender, text in messages(client) if text]
    assert sent == [f"{client.pid}:{n}" for n in range(1000)]


def test_leaving_a_stopped_corosync_ends_in_time(single: Node) -> None:
    client = joined(single)

    single.signal_corosync(signal.SIGSTOP)
    client.tell("leave")
    left = client.wait_for_kind("Left", timeout_s=5)
    client.wait_for_kind("Ended", timeout_s=5)
    ended = client.wait()

    assert left["clean"] is False
    assert ended == 0


def test_a_second_process_of_a_node_learns_that_it_is_one(single: Node) -> None:
    first = joined(single)
    second = single.client()

    duplicate = second.wait_for_kind("DuplicateDaemon")
    second.kill()
    gone = first.wait_for(lambda e: e["event"] == "ViewChanged" and e["left"] != [])

    assert duplicate["pid"] == first.pid
    assert not any(e["event"] == "DuplicateDaemon" for e in first.seen)
    assert gone["left"] == [[[1, second.pid], "procdown"]]
    assert gone["members"] == [[1, first.pid]]


def test_all_members_see_one_order_and_leaving_differs_from_dying(three: list[Node]) -> None:
    clients = together(three)
    first, second, third = clients

    for client in clients:
        client.tell("flood", count=300)
        client.tell("long", bytes=200_000)
    for client in clients:
        for _ in range(903):
            client.wait_for_kind("MessageReceived")
    second.tell("leave")
    second.wait_for_kind("Left", clean=True)
    leave = first.wait_for(lambda e: e["event"] == "ViewChanged" and e["left"] != [])
    third.kill()
    death = first.wait_for(lambda e: e["event"] == "ViewChanged" and e["left"] != [])

    assert messages(first) == messages(second) == messages(third)
    assert len(messages(first)) == 903
    assert leave["left"] == [[[2, second.pid], "leave"]]
    assert death["left"] == [[[3, third.pid], "procdown"]]
    assert leave["ring"] == death["ring"]
    assert death["nodes"] == [1, 2, 3]


def test_a_member_that_joins_in_the_middle_of_a_long_message_costs_nobody_the_message(
    three: list[Node],
) -> None:
    """It can have only the tail, so nobody takes that try; the sender sends it anew."""
    clients = together(three)

    fourth = three[2].client()  # a second process of the node: joins while chunks are under way
    for client in clients[:2]:
        for _ in range(3):
            client.tell("long", bytes=4_000_000)
    for client in clients:
        for _ in range(6):
            client.wait_for_kind("MessageReceived")
    fourth.wait_for_kind("DuplicateDaemon")

    first, *others = [agreed(client) for client in clients]
    sizes = {entry[2] for entry in first if entry[0] == "message"}
    assert all(other == first for other in others)
    assert len(sizes) == 1
    assert first.index(("members", 4)) < first.index(next(e for e in first if e[0] == "message"))


def agreed(client: Client) -> list[tuple[object, ...]]:
    """Return messages and sizes of the group from the first full view on, in order."""
    found: list[tuple[object, ...]] = []
    for event in client.seen:
        if event["event"] == "ViewChanged" and len(event["members"]) >= 3:
            found.append(("members", len(event["members"])))
        if event["event"] == "MessageReceived":
            found.append(("message", tuple(event["sender"]), event["size"], event["crc"]))
    return found


def test_corosync_asks_before_it_stops(single: Node) -> None:
    client = joined(single)

    single.start("corosync-cfgtool", "-H")
    asked = client.wait_for_kind("ShutdownRequested")
    client.tell("answer", answer="no")
    client.tell("send", text="still here")
    client.wait_for_kind("MessageReceived", text="still here")
    single.start("corosync-cfgtool", "-H", "--force")
    forced = client.wait_for_kind("ShutdownRequested")
    client.tell("answer", answer="yes")
    client.wait_for_kind("CorosyncLost")

    assert (asked["urgency"], forced["urgency"]) == ("asked", "forced")


def test_a_node_that_is_cut_off_goes_down_and_loses_quorum_and_comes_back(
    three: list[Node],
) -> None:
    first, second, third = together(three)

    three[2].cut()
    left = first.wait_for(lambda e: e["event"] == "ViewChanged" and e["left"] != [])
    kept = first.find("QuorumChanged", ring=left["ring"])
    alone = third.wait_for(lambda e: e["event"] == "ViewChanged" and e["left"] != [])
    lost = third.find("QuorumChanged", ring=alone["ring"])
    three[2].heal()
    back = first.wait_for(lambda e: e["event"] == "ViewChanged" and e["joined"] != [])
    merged = third.wait_for(lambda e: e["event"] == "ViewChanged" and e["joined"] != [])

    assert left["left"] == [[[3, third.pid], "nodedown"]]
    assert left["nodes"] == [1, 2]
    assert kept["is_quorate"] is True
    assert [entry[1] for entry in alone["left"]] == ["nodedown", "nodedown"]
    assert (alone["members"], lost["is_quorate"]) == ([[3, third.pid]], False)
    assert back["joined"] == [[3, third.pid]]
    assert merged["joined"] == [[1, first.pid], [2, second.pid]]
    assert back["ring"] == merged["ring"]


def test_a_node_that_was_paused_sees_all_others_leave_and_return(three: list[Node]) -> None:
    """Often the only sign that it was thrown out: one view, or two a few milliseconds apart."""
    first, second, third = together(three)
    peers = [[1, first.pid], [2, second.pid]]
    known = len(third.seen)

    three[2].signal_corosync(signal.SIGSTOP)
    first.wait_for(lambda e: e["event"] == "ViewChanged" and e["nodes"] == [1, 2])
    three[2].resume_corosync()
    third.wait_for(lambda e: e["event"] == "ViewChanged" and e["joined"] == peers)

    views = [e for e in third.seen[known:] if e["event"] == "ViewChanged"]
    assert [gone for view in views for gone in view["left"]] == [[p, "nodedown"] for p in peers]
    assert [new for view in views for new in view["joined"]] == peers
    assert views[-1]["members"] == [*peers, [3, third.pid]]
    assert views[-1]["nodes"] == [1, 2, 3]
