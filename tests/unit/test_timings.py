# SPDX-License-Identifier: Apache-2.0
"""Times of the past: what counts, what does not, and that a broken file does no harm."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest

from domains.model import NodeId, ServiceName
from rgmgr.core.actions import StartResource, StopResource
from rgmgr.core.events import ResourceStarted, ResourceStartFailed, ResourceStopped
from rgmgr.core.model import After, ClusterState, NodeStatus, Proof, ProofKind, ServiceState
from rgmgr.core.spec import ResourceName, ResourceSpec
from rgmgr.present import Span, fence_of, start_of, stop_of
from rgmgr.runtime import timings
from rgmgr.runtime.timings import Timings
from tests.unit.core_cluster import N1, N2, WEB, formed

VIP = ResourceSpec(name=ResourceName("vip"), type="ip", parameters={})


class Bench:
    """Timings over a set of resources that are up."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "timings.json"
        self.up: set[ResourceName] = set()
        self.timings = Timings(self.path, lambda _service, resource: resource in self.up)

    def start(self, began_ms: int, ended_ms: int, op: int = 1) -> None:
        self.timings.ordered(StartResource(service=WEB, resource=VIP, op=op), began_ms)
        self.timings.ended(ResourceStarted(service=WEB, resource=VIP.name, op=op), ended_ms)

    def stop(self, began_ms: int, ended_ms: int) -> None:
        self.timings.ordered(StopResource(service=WEB, resource=VIP, op=1), began_ms)
        self.timings.ended(ResourceStopped(service=WEB, resource=VIP.name, op=1), ended_ms)


def _in_a_loop(play: object, folder: Path) -> Bench:
    async def run() -> Bench:
        bench = Bench(folder)
        play(bench)  # type: ignore[operator]
        bench.timings.close()
        return bench

    return asyncio.run(run())


def test_a_start_and_a_stop_are_timed_from_order_to_answer(tmp_path: Path) -> None:
    def play(bench: Bench) -> None:
        for took in (100, 300, 200):
            bench.start(1_000, 1_000 + took)
        bench.up = {VIP.name}
        bench.stop(5_000, 5_070)

    spans = _in_a_loop(play, tmp_path).timings.spans()

    assert spans == {
        start_of(WEB, VIP.name): Span(200, 300, 3),
        stop_of(WEB, VIP.name): Span(70, 70, 1),
    }


def test_what_was_up_already_or_was_not_there_does_not_count(tmp_path: Path) -> None:
    def play(bench: Bench) -> None:
        bench.stop(1_000, 1_001)
        bench.up = {VIP.name}
        bench.start(1_000, 1_001)

    assert _in_a_loop(play, tmp_path).timings.spans() == {}


def test_failures_and_answers_to_other_orders_do_not_count(tmp_path: Path) -> None:
    def play(bench: Bench) -> None:
        order = StartResource(service=WEB, resource=VIP, op=7)
        bench.timings.ordered(order, 0)
        bench.timings.ended(ResourceStarted(service=WEB, resource=VIP.name, op=8), 50)
        failed = ResourceStartFailed(service=WEB, resource=VIP.name, op=7, reason="no")
        bench.timings.ended(failed, 60)
        bench.timings.ended(ResourceStarted(service=WEB, resource=VIP.name, op=7), 70)

    assert _in_a_loop(play, tmp_path).timings.spans() == {}


def test_only_the_latest_times_are_kept(tmp_path: Path) -> None:
    def play(bench: Bench) -> None:
        for number in range(2 * timings.SAMPLES_MAX):
            bench.start(0, number)

    (span,) = _in_a_loop(play, tmp_path).timings.spans().values()

    assert (span.count, span.worst_ms) == (timings.SAMPLES_MAX, 2 * timings.SAMPLES_MAX - 1)


def _with(cluster: ClusterState, **changes: object) -> ClusterState:
    return replace(cluster, services={WEB: replace(cluster.services[WEB], **changes)})


def test_services_are_timed_by_the_agreed_stamps_of_any_node(tmp_path: Path) -> None:
    cluster = formed().states[N1].cluster
    starting = _with(cluster, state=ServiceState.STARTING, owner=N2, since_ms=1_000, op=5)
    started = _with(starting, state=ServiceState.STARTED, since_ms=1_800)
    stopping = _with(started, state=ServiceState.STOPPING, since_ms=9_000, op=6)
    stopped = _with(stopping, state=ServiceState.DISABLED, owner=None, since_ms=9_300)

    def play(bench: Bench) -> None:
        for state in (starting, started, stopping, stopped):
            bench.timings.agreed(state)

    spans = _in_a_loop(play, tmp_path).timings.spans()

    assert spans == {start_of(WEB): Span(800, 800, 1), stop_of(WEB): Span(300, 300, 1)}


@pytest.mark.parametrize(
    "after",
    [
        {"state": ServiceState.RECOVERABLE, "since_ms": 1_500},
        {"state": ServiceState.STARTED, "since_ms": 1_500, "op": 9},
    ],
)
def test_a_start_that_failed_or_was_another_one_does_not_count(
    tmp_path: Path, after: dict[str, object]
) -> None:
    cluster = formed().states[N1].cluster
    starting = _with(cluster, state=ServiceState.STARTING, since_ms=1_000, op=5)

    def play(bench: Bench) -> None:
        bench.timings.agreed(starting)
        bench.timings.agreed(_with(starting, **after))

    assert _in_a_loop(play, tmp_path).timings.spans() == {}


def test_a_repair_is_neither_a_whole_stop_nor_a_whole_start(tmp_path: Path) -> None:
    cluster = formed().states[N1].cluster
    repairing = _with(cluster, state=ServiceState.RECOVERABLE, after=After.REPAIR, since_ms=1_000)
    starting = _with(repairing, state=ServiceState.STARTING, since_ms=1_100)

    def play(bench: Bench) -> None:
        for state in (repairing, starting, _with(starting, state=ServiceState.STARTED)):
            bench.timings.agreed(state)

    assert _in_a_loop(play, tmp_path).timings.spans() == {}


def _node(cluster: ClusterState, node: NodeId, now_ms: int, **changes: object) -> ClusterState:
    nodes = {**cluster.nodes, node: replace(cluster.nodes[node], **changes)}
    return replace(cluster, nodes=nodes, now_ms=now_ms)


def test_a_fence_is_timed_from_the_first_attempt_to_the_proof(tmp_path: Path) -> None:
    cluster = formed().states[N1].cluster
    lost = _node(cluster, N2, 1_000, status=NodeStatus.UNCLEAN, victim=3)
    tried = _node(lost, N2, 2_000, fencer=N1, attempt=1)
    failed = _node(tried, N2, 4_000, fencer=None)
    again = _node(failed, N2, 5_000, fencer=N1, attempt=2)
    proof = Proof(kind=ProofKind.FENCED, at_ms=6_500, by=N1)
    fenced = _node(again, N2, 6_600, status=NodeStatus.FENCED, fencer=None, proof=proof)

    def play(bench: Bench) -> None:
        for state in (cluster, lost, tried, failed, again, fenced):
            bench.timings.agreed(state)

    assert _in_a_loop(play, tmp_path).timings.spans() == {fence_of("node2"): Span(4_500, 4_500, 1)}


def test_times_outlive_the_daemon(tmp_path: Path) -> None:
    async def play() -> None:
        bench = Bench(tmp_path)
        bench.start(0, 250)
        await bench.timings.save()
        bench.timings.close()

    asyncio.run(play())

    assert Bench(tmp_path).timings.spans() == {start_of(WEB, VIP.name): Span(250, 250, 1)}


@pytest.mark.parametrize("content", [b"", b"{", b'{"a": 1}', b'{"a": [-1]}', b"\xff\x00", b"[]"])
def test_a_file_that_makes_no_sense_is_no_file(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "timings.json").write_bytes(content)

    assert Bench(tmp_path).timings.spans() == {}


def test_a_disk_that_takes_nothing_ends_nothing(tmp_path: Path) -> None:
    (tmp_path / "blocked").write_text("a file where a directory should be")

    async def play() -> None:
        bench = Timings(tmp_path / "blocked" / "timings.json", lambda _s, _r: False)
        order = StartResource(service=ServiceName("web"), resource=VIP, op=1)
        bench.ordered(order, 0)
        bench.ended(ResourceStarted(service=WEB, resource=VIP.name, op=1), 5)
        await bench.save()
        bench.close()
        assert bench.spans()[start_of(WEB, VIP.name)].count == 1

    asyncio.run(play())
