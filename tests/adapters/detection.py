# SPDX-License-Identifier: Apache-2.0
"""Real corosync nodes with the very file that `rgmgr corosync-conf` writes, and a power cut."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from rgmgr.config.corosync_conf import TIMERS, Profile, read_plan, render
from tests.adapters.corosync_nodes import Client, Event, Node, address, cluster

KEY_BYTES = 256
FORM_S_MAX = 60.0


@dataclass(frozen=True, slots=True)
class Talking:
    """Nodes whose clients are all in one view."""

    nodes: list[Node]
    clients: list[Client]


def words(count: int, links: int) -> list[str]:
    """Return nodes as an administrator writes them."""
    return [
        f"n{number}=" + ",".join(address(number, link) for link in range(links))
        for number in range(1, count + 1)
    ]


@contextlib.contextmanager
def formed(
    count: int,
    base: Path,
    profile: Profile,
    *,
    links: int = 1,
    port: int = 5405,
    keys: Sequence[bytes] = (),
) -> Iterator[Talking]:
    """Make nodes with the file for them; yields once those with the first node's key are one."""
    plan = read_plan(words(count, links), profile=profile, port=port)
    given = keys or [os.urandom(KEY_BYTES)] * count
    peers = [number for number, key in enumerate(given, start=1) if key == given[0]]
    with cluster(count, base, config=render(plan), links=links, keys=given) as nodes:
        talking = Talking(nodes, [nodes[number - 1].client() for number in peers])
        for client in talking.clients:
            client.wait_for(lambda e: _is_view_of(e, peers), FORM_S_MAX)
        yield talking


def detection_ms(talking: Talking) -> int:
    """Cut the power of the last node; return when the slowest survivor had a view without it."""
    *_, victim = talking.nodes
    survivors = [node.number for node in talking.nodes[:-1]]
    cut = time.monotonic()
    victim.power_cut()
    seen = [
        client.wait_for(lambda e: _is_view_of(e, survivors), FORM_S_MAX)["at"]
        for client in talking.clients[:-1]
    ]
    return round((max(seen) - cut) * 1000)


def expected_ms(profile: Profile) -> int:
    """Return the time that the file promises."""
    return TIMERS[profile].detection_ms


def _is_view_of(event: Event, numbers: Sequence[int]) -> bool:
    return event["event"] == "ViewChanged" and [m[0] for m in event["members"]] == [*numbers]
