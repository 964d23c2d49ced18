# SPDX-License-Identifier: Apache-2.0
"""What is asked of corosync again and again, and what of it gets into the journal."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Iterable
from dataclasses import replace

import pytest
from structlog.testing import capture_logs

from rgmgr.adapters.corosync import (
    Link,
    LinkReport,
    NodeVotes,
    Qdevice,
    Quorum,
    Reporter,
    Totem,
    VoteFlag,
    VoterState,
)
from rgmgr.core.events import LinksLooked
from rgmgr.errors import CorosyncError
from rgmgr.links import CorosyncView, LinkView
from rgmgr.runtime.links import LOOKS_PER_REPORT, LinkWatch, view_of

LINK = Link(
    node=2,
    link=0,
    local_address="10.0.0.1",
    address="10.0.0.2",
    is_enabled=True,
    is_connected=True,
    mtu_bytes=1397,
    latency_us=250,
    latency_us_max=900,
    down_count=1,
)
REPORT = LinkReport(
    local_node=1,
    cluster_name="alpha",
    node_names={1: "node1", 2: "node2"},
    links=(LINK, replace(LINK, link=1, address="10.1.0.2", local_address="10.1.0.1")),
    quorum=Quorum(
        is_quorate=True,
        expected=2,
        highest_expected=2,
        total=2,
        needed=1,
        flags=frozenset({VoteFlag.WAIT_FOR_ALL, VoteFlag.TWO_NODE, VoteFlag.QUORATE}),
        qdevice=None,
        voters=tuple(
            NodeVotes(
                node=n, name=f"node{n}", state=VoterState.MEMBER, votes=1, expected=2,
                is_reachable=True,
            )
            for n in (1, 2)
        ),
    ),
    totem=Totem(
        transport="knet", token_ms=1_000, consensus_ms=1_200, retransmits_before_loss=4, hold_ms=1,
        join_ms=50, merge_ms=200, link_mode="active", crypto_cipher="aes256",
        crypto_hash="sha256", link_count=2, ping_interval_ms={0: 200, 1: 200},
        ping_timeout_ms={0: 2_000, 1: 5_000},
    ),
)  # fmt: skip
DOWN = replace(REPORT, links=(replace(LINK, is_connected=False, down_count=2), REPORT.links[1]))
UNSAFE = replace(REPORT, totem=replace(REPORT.totem, crypto_cipher="none"))
AWAY = CorosyncError("cmap_initialize_map", "CS_ERR_LIBRARY", "corosync does not run")

Answer = LinkReport | CorosyncError | TimeoutError


class Answers(Reporter):
    """Gives one answer after the other."""

    def __init__(self, answers: Iterable[Answer]) -> None:
        super().__init__()
        self.left = list(answers)
        self.glances = 0
        self.is_restless = True

    async def report(self, timeout_ms: int = 0) -> LinkReport:  # noqa: ARG002 - as the real one
        answer = self.left.pop(0)
        if isinstance(answer, LinkReport):
            return answer
        raise answer

    async def has_changed(self, report: LinkReport, timeout_ms: int = 0) -> bool:  # noqa: ARG002 - likewise
        self.glances += 1
        return self.is_restless


def watch(
    *answers: Answer, found: list[LinksLooked] | None = None
) -> tuple[CorosyncView, list[tuple[str, object]]]:
    """Look once for each answer; return the last view, and what was written.

    The clock goes on by a second with each look; `found` gets what the looks found.
    """
    heard = [] if found is None else found
    clock = itertools.count(1_000, 1_000)

    async def look() -> CorosyncView:
        reporter = Answers(answers)
        watching = LinkWatch(reporter, heard.append, clock.__next__, period_ms=0)
        is_done = asyncio.Event()

        def looked() -> None:
            if not reporter.left:
                is_done.set()

        task = asyncio.create_task(watching.run(looked))
        await is_done.wait()
        task.cancel()
        return watching.view()

    with capture_logs() as written:
        view = asyncio.run(look())
    return view, [(line["event"], line.get("link", line.get("reason"))) for line in written]


def test_what_has_not_changed_is_asked_for_seldom() -> None:
    async def look() -> int:
        reporter = Answers([REPORT] * 3)
        reporter.is_restless = False
        is_done = asyncio.Event()
        watching = LinkWatch(reporter, lambda _: None, lambda: 1_000, period_ms=0)
        task = asyncio.create_task(watching.run(lambda: reporter.left or is_done.set()))
        await is_done.wait()
        task.cancel()
        return reporter.glances

    assert asyncio.run(look()) == 2 * LOOKS_PER_REPORT


def test_a_report_is_shown_with_names() -> None:
    view = view_of(REPORT)

    assert (view.node, view.fault, view.warnings) == ("node1", "", ())
    assert view.links[0] == LinkView(
        node="node2",
        link=0,
        local_address="10.0.0.1",
        address="10.0.0.2",
        is_connected=True,
        latency_us=250,
        down_count=0,  # the first time it was not up yet
    )
    assert view.totem is not None
    assert (view.totem.detection_ms, view.totem.ping_timeout_ms) == (2_200, 2_000)
    assert view.quorum is not None
    assert view.quorum.flags == ("quorate", "two_node", "wait_for_all")
    assert [(v.node, v.state) for v in view.quorum.voters] == [
        ("node1", "member"),
        ("node2", "member"),
    ]


@pytest.mark.parametrize(("casts_vote", "is_counted"), [(True, True), (False, False)])
def test_a_quorum_device_counts_when_it_votes(*, casts_vote: bool, is_counted: bool) -> None:
    assert REPORT.quorum is not None
    device = Qdevice(name="net", votes=1, is_alive=True, casts_vote=casts_vote)

    shown = view_of(replace(REPORT, quorum=replace(REPORT.quorum, qdevice=device))).quorum

    assert shown is not None
    assert (shown.qdevice, shown.qdevice_votes, shown.is_qdevice_alive) == ("net", 1, is_counted)


def test_without_a_quorum_provider_that_is_the_warning() -> None:
    view = view_of(replace(REPORT, quorum=None))

    assert [warning.code for warning in view.warnings] == ["no-quorum-provider"]


def test_a_lost_link_is_written_once_and_so_is_its_return() -> None:
    _, written = watch(REPORT, DOWN, DOWN, REPORT)

    assert written == [("link.lost", 0), ("link.restored", 0)]


def test_a_link_that_was_never_up_is_no_loss() -> None:
    _, written = watch(DOWN)

    assert written == []


def test_what_is_unwise_is_written_once() -> None:
    _, written = watch(UNSAFE, UNSAFE)

    assert [event for event, _ in written] == ["corosync.warned"]


def test_a_corosync_that_is_away_is_shown_and_comes_back() -> None:
    away, written = watch(REPORT, AWAY)
    hung, _ = watch(TimeoutError())
    back, _ = watch(AWAY, TimeoutError(), REPORT)

    assert (away.links, away.totem) == ((), None)
    assert "corosync does not run; 'systemctl status corosync' says more" in away.fault
    assert "does not answer" in hung.fault
    assert back == view_of(REPORT)
    assert written == []


def test_a_link_that_was_lost_between_two_looks_is_written_too() -> None:
    link = REPORT.links[0]
    again = replace(REPORT, links=(replace(link, down_count=(link.down_count or 0) + 1),))

    _, written = watch(replace(REPORT, links=(link,)), again, again)

    assert written == [("link.lost", 0), ("link.restored", 0)]


def test_it_is_known_between_which_looks_a_link_has_changed() -> None:
    found: list[LinksLooked] = []
    flapped = replace(REPORT, links=(replace(LINK, down_count=3), REPORT.links[1]))

    watch(REPORT, REPORT, DOWN, DOWN, flapped, found=found)

    states = [look.links[0] for look in found]
    spans = [(s.is_up, s.first_ms, s.before_ms, s.losses) for s in states]
    assert spans == [
        (True, 0, 0, 0),
        (True, 0, 0, 0),
        (False, 3_000, 2_000, 1),
        (False, 3_000, 2_000, 1),
        (True, 5_000, 4_000, 2),
    ]
