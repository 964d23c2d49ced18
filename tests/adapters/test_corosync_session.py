# SPDX-License-Identifier: Apache-2.0
"""The adapter against a corosync that misbehaves on request."""

import asyncio
from collections.abc import Iterator, Sequence
from itertools import pairwise

import pytest

from rgmgr.adapters.corosync import (
    Corosync,
    CorosyncConnected,
    CorosyncEvent,
    CorosyncLost,
    CorosyncUnavailable,
    MessageReceived,
    NodeListChanged,
    QuorumChanged,
    RingId,
    ViewChanged,
)
from rgmgr.adapters.corosync.connection import Library
from rgmgr.adapters.corosync.facts import RELOADING
from rgmgr.adapters.corosync.outbox import IN_FLIGHT_MAX
from rgmgr.adapters.corosync.raw import (
    Change,
    Delivery,
    GroupChange,
    KeyChanged,
    Reason,
    RingChange,
    TooLong,
)
from rgmgr.errors import CorosyncError, InvariantViolation
from tests.adapters.fake_corosync import (
    DEADLINE_S,
    LOST,
    ME,
    RING,
    TWO,
    FakeConnection,
    Scene,
    play,
)


def run_until_it_fails(
    attempt: FakeConnection | CorosyncError,
) -> tuple[list[CorosyncEvent], BaseException]:
    """Run the adapter alone; return what it emitted and what ended it."""

    async def run() -> tuple[list[CorosyncEvent], BaseException]:
        scene = Scene(attempt)
        async with asyncio.timeout(DEADLINE_S):
            with pytest.raises((CorosyncError, InvariantViolation)) as failure:
                await scene.corosync.run()
        return scene.events, failure.value

    return asyncio.run(run())


@pytest.fixture
def connection() -> Iterator[FakeConnection]:
    fake = FakeConnection()
    fake.join()
    yield fake
    fake.close()


def test_what_is_sent_comes_back_in_order_through_a_thousand_refusals(
    connection: FakeConnection, monkeypatch: pytest.MonkeyPatch
) -> None:
    connection.refusals = 1000
    wanted = [str(number).encode() for number in range(150)]
    monkeypatch.setattr("rgmgr.adapters.corosync.outbox._BACKOFF_MS", (0,))

    async def script(scene: Scene) -> None:
        await scene.until_seen(ViewChanged)
        for payload in wanted:
            scene.corosync.send(payload)
        await scene.until_seen(MessageReceived, len(wanted))

    scene = play(script, connection)

    assert connection.refusals == 0
    assert scene.payloads() == wanted


def test_messages_that_do_not_come_back_close_the_window(connection: FakeConnection) -> None:
    """A stopped corosync takes 277 messages and then makes the sender spin for ever."""
    connection.delivers = False

    async def script(scene: Scene) -> None:
        await scene.until_seen(ViewChanged)
        for number in range(500):
            scene.corosync.send(str(number).encode())
        connection.happen(Library.QUORUM, QuorumChanged(RING, is_quorate=True, nodes=(1,)))
        await scene.until_seen(QuorumChanged)
        await scene.until(lambda: len(connection.sent) >= IN_FLIGHT_MAX)
        assert scene.corosync.backlog == 500 - IN_FLIGHT_MAX

    play(script, connection)

    assert len(connection.sent) == IN_FLIGHT_MAX


def test_nothing_is_sent_before_the_own_join() -> None:
    connection = FakeConnection()

    async def script(scene: Scene) -> None:
        await scene.until_seen(CorosyncConnected)
        scene.corosync.send(b"early")
        connection.happen(Library.QUORUM, QuorumChanged(RING, is_quorate=True, nodes=(1,)))
        await scene.until_seen(QuorumChanged)
        assert connection.sent == []
        connection.join()
        await scene.until_seen(MessageReceived)

    assert play(script, connection).payloads() == [b"early"]


def test_quorum_is_served_before_the_group(connection: FakeConnection) -> None:
    connection.happen(Library.QUORUM, QuorumChanged(RING, is_quorate=True, nodes=(1,)))

    async def script(scene: Scene) -> None:
        await scene.until_seen(ViewChanged)

    scene = play(script, connection)

    kinds = [type(event) for event in scene.events]
    assert kinds == [CorosyncConnected, QuorumChanged, ViewChanged]


def test_quorum_is_served_before_a_change_of_the_ring(connection: FakeConnection) -> None:
    """The same when both come to a session that has begun."""

    async def script(scene: Scene) -> None:
        await scene.until_seen(ViewChanged)
        ring = RingId(1, 14)
        connection.happen(
            Library.CPG,
            Delivery(TWO, b"Wlast of the old ring"),
            GroupChange(members=(ME,), left=(Change(TWO, Reason.NODEDOWN),), joined=()),
            RingChange(ring, (1,)),
        )
        connection.happen(Library.QUORUM, QuorumChanged(ring, is_quorate=True, nodes=(1,)))
        await scene.until_seen(ViewChanged, 2)

    scene = play(script, connection)

    kinds = [type(event) for event in scene.events]
    assert kinds[2:] == [QuorumChanged, MessageReceived, ViewChanged]


def test_a_message_makes_one_library_be_asked(connection: FakeConnection) -> None:
    """Ticks are nearly all that an idle cluster hears: to ask four libraries cost most of it."""

    async def script(scene: Scene) -> None:
        await scene.until_seen(ViewChanged)
        connection.asked.clear()
        connection.happen(Library.CPG, Delivery(TWO, b"Wtick"))
        await scene.until_seen(MessageReceived)

    play(script, connection)

    assert connection.asked == [Library.CPG]


def test_what_a_turn_is_answered_with_goes_out_in_the_same_turn(
    connection: FakeConnection,
) -> None:
    """Without another turn of the loop, in one call, and after all that came with it."""
    heard: list[bytes] = []
    calls: list[list[bytes]] = []
    ended = asyncio.Event()

    def emit(event: CorosyncEvent) -> None:
        if isinstance(event, MessageReceived) and event.sender == TWO:
            heard.append(event.payload)
        elif isinstance(event, MessageReceived):
            ended.set()

    def told() -> None:
        for payload in heard:
            corosync.send(b"to " + payload)
        heard.clear()

    def multicast(frames: Sequence[bytes]) -> int:
        calls.append([*frames])
        return FakeConnection.multicast(connection, frames)

    connection.multicast = multicast  # type: ignore[method-assign]  # as seen by corosync
    corosync = Corosync("test/1", emit, told=told, connect=lambda _group: connection)
    connection.happen(Library.CPG, Delivery(TWO, b"Wone"), Delivery(TWO, b"Wtwo"))

    async def run() -> None:
        running = asyncio.create_task(corosync.run())
        async with asyncio.timeout(DEADLINE_S):
            await ended.wait()
        running.cancel()
        await asyncio.wait({running})

    asyncio.run(run())

    assert calls == [[b"Wto one", b"Wto two"]]


@pytest.mark.parametrize("where", ["dispatch", "send"])
def test_a_lost_corosync_is_told_and_connected_to_again(
    connection: FakeConnection, where: str
) -> None:
    second = FakeConnection()
    second.join()
    connection.delivers = False

    async def script(scene: Scene) -> None:
        await scene.until_seen(ViewChanged)
        for number in range(100):
            scene.corosync.send(str(number).encode())
        if where == "send":
            connection.send_error = CorosyncError("cpg_mcast_joined", "CS_ERR_LIBRARY")
        else:
            connection.happen(Library.CPG, LOST)
        await scene.until_seen(CorosyncLost)
        scene.corosync.send(b"while away")
        await scene.until_seen(ViewChanged, 2)
        scene.corosync.send(b"new")
        await scene.until_seen(MessageReceived)

    scene = play(script, connection, CorosyncError("cpg_join", "CS_ERR_TRY_AGAIN"), second)

    assert [type(event) for event in scene.events] == [
        CorosyncConnected,
        ViewChanged,
        CorosyncLost,
        CorosyncUnavailable,
        CorosyncConnected,
        ViewChanged,
        MessageReceived,
    ]
    assert scene.payloads() == [b"new"]
    assert (connection.is_closed, second.is_closed) == (True, True)


def test_what_came_before_the_loss_still_counts(connection: FakeConnection) -> None:
    connection.happen(Library.CPG, Delivery(TWO, b"Wlast"), LOST)

    async def script(scene: Scene) -> None:
        await scene.until_seen(CorosyncLost)

    scene = play(script, connection, CorosyncError("x", "CS_ERR_LIBRARY"), FakeConnection())

    assert scene.payloads() == [b"last"]


def test_an_absent_corosync_is_told_once_for_each_reason(connection: FakeConnection) -> None:
    absent = CorosyncError("cmap_initialize_map", "CS_ERR_LIBRARY")
    starting = CorosyncError("cmap_initialize_map", "CS_ERR_TRY_AGAIN")

    async def script(scene: Scene) -> None:
        await scene.until_seen(CorosyncConnected)

    scene = play(script, absent, absent, starting, connection)

    told = [event.reason for event in scene.events if isinstance(event, CorosyncUnavailable)]
    assert told == [str(absent), str(starting)]


def test_a_lost_event_ends_the_adapter(connection: FakeConnection) -> None:
    """An event was missed, so nothing that follows may be delivered."""
    lost = InvariantViolation("cpg_dispatch: an event is longer than its batch")
    connection.happen(Library.CPG, Delivery(TWO, b"Wfirst"), lost, Delivery(TWO, b"Wnext"))

    seen, error = run_until_it_fails(connection)

    assert error is lost
    kinds = [type(event) for event in seen]
    assert kinds == [CorosyncConnected, ViewChanged, MessageReceived, CorosyncLost]
    assert connection.is_closed


def test_nodes_of_a_reload_are_told_when_it_is_over(connection: FakeConnection) -> None:
    connection.happen(
        Library.CMAP,
        KeyChanged(RELOADING, 1),
        KeyChanged("nodelist.node.2.nodeid", 3),
        KeyChanged("nodelist.node.2.name", "n3"),
        KeyChanged("nodelist.node.0.name", None),
        KeyChanged("nodelist.node.0.nodeid", None),
        KeyChanged(RELOADING, 0),
    )

    async def script(scene: Scene) -> None:
        await scene.until_seen(NodeListChanged)

    scene = play(script, connection)

    told = [event for event in scene.events if isinstance(event, NodeListChanged)]
    assert told == [NodeListChanged({2: "n2", 3: "n3"})]


def test_an_extension_that_is_not_built_is_an_error_at_once() -> None:
    missing = CorosyncError("import rgmgr._corosync", "NOT_BUILT")

    assert run_until_it_fails(missing) == ([], missing)


def test_garbage_is_told_and_dropped(connection: FakeConnection) -> None:
    connection.happen(Library.CPG, Delivery(TWO, b"\xff\xfe"), Delivery(TWO, b""))
    connection.happen(Library.CPG, TooLong(TWO, 2_000_000), Delivery(TWO, b"Wgood"))

    async def script(scene: Scene) -> None:
        await scene.until_seen(MessageReceived)

    scene = play(script, connection)

    assert len(scene.garbage) == 3
    assert "2000000 bytes" in scene.garbage[2]
    assert scene.payloads() == [b"good"]


def test_leaving_sends_what_is_queued_and_ends_the_run(connection: FakeConnection) -> None:
    async def script(scene: Scene) -> None:
        await scene.until_seen(ViewChanged)
        for number in range(100):
            scene.corosync.send(str(number).encode())
        assert await scene.corosync.leave()

    scene = play(script, connection)

    assert scene.payloads() == [str(number).encode() for number in range(100)]
    last = scene.events[-1]
    assert isinstance(last, ViewChanged)
    assert last.members == ()
    assert connection.is_closed


def test_leaving_does_not_wait_for_ever(connection: FakeConnection) -> None:
    connection.delivers = False

    async def script(scene: Scene) -> None:
        await scene.until_seen(ViewChanged)
        scene.corosync.send(b"never comes back")
        assert not await scene.corosync.leave(timeout_ms=50)

    play(script, connection)

    assert connection.is_closed


def test_leaving_while_corosync_is_away_ends_the_run() -> None:
    away = CorosyncError("cmap_initialize_map", "CS_ERR_LIBRARY")

    async def script(scene: Scene) -> None:
        await scene.until_seen(CorosyncUnavailable)
        assert not await scene.corosync.leave()

    play(script, *[away] * 50)


def test_a_flood_leaves_the_loop_to_others(connection: FakeConnection) -> None:
    count = 2000
    connection.happen(Library.CPG, *[Delivery(TWO, b"Wflood")] * count)
    turns: list[int] = []

    async def script(scene: Scene) -> None:
        while len(scene.payloads()) < count:
            turns.append(len(scene.payloads()))
            await asyncio.sleep(0)

    play(script, connection)

    steps = [after - before for before, after in pairwise(turns)]
    assert max(steps) <= 64


def test_an_exception_of_the_receiver_ends_the_adapter(connection: FakeConnection) -> None:
    def fail(event: CorosyncEvent) -> None:
        match event:
            case ViewChanged():
                raise RuntimeError("bug in the pump")
            case _:
                pass

    async def run() -> None:
        async with asyncio.timeout(DEADLINE_S):
            await Corosync("test/1", fail, connect=lambda _group: connection).run()

    with pytest.raises(RuntimeError, match="bug in the pump"):
        asyncio.run(run())

    assert connection.is_closed
