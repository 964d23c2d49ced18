# SPDX-License-Identifier: Apache-2.0
"""The recovery ladder: which rung answers which failure."""

from __future__ import annotations

from dataclasses import replace

import pytest

from rgmgr.core import ladder
from rgmgr.core.actions import StopResource
from rgmgr.core.events import ResourceFailed
from rgmgr.core.model import Service, ServiceState
from rgmgr.core.spec import Deed, RecoveryPolicy, ResourceName, Rung
from tests.unit.core_cluster import N1, N2, N3, WEB, Cluster, formed, spec, web

TOLERATE, RESTART, RELOCATE, DISABLE = Deed
WHOLE = (
    Rung(deed=TOLERATE, limit=2, window_ms=60_000),
    Rung(deed=RESTART, limit=1, window_ms=60_000),
    Rung(deed=RELOCATE, limit=1, window_ms=600_000),
    Rung(deed=DISABLE),
)


def climbed(service: Service, *at_ms: int) -> list[str]:
    """Return what is done about failures at these times."""
    found = []
    for now_ms in at_ms:
        rung = ladder.next_rung(service, now_ms)
        service = ladder.counted(service, rung, now_ms)
        found.append(rung.deed.value)
    return found


def with_ladder(*rungs: Rung) -> Service:
    return Service(spec=web(ladder=rungs))


def fail(cluster: Cluster, times: int = 1) -> None:
    """Let the server die where the service runs."""
    for _ in range(times):
        owner = cluster.service().owner
        assert owner is not None
        cluster.units[owner].discard("nginx")
        failure = ResourceFailed(service=WEB, resource=ResourceName("nginx"), reason="killed")
        cluster.feed(owner, failure)
        cluster.settle()


def stops(cluster: Cluster) -> list[str]:
    """Return what was stopped, in order."""
    return [a.resource.name for _, a in cluster.actions if isinstance(a, StopResource)]


def test_each_failure_takes_the_first_rung_that_has_room() -> None:
    service = with_ladder(*WHOLE)

    found = climbed(service, 1_000, 2_000, 3_000, 4_000, 5_000, 6_000, 7_000, 8_000)

    assert found == [
        *("tolerate", "tolerate", "restart", "relocate"),
        *("tolerate", "tolerate", "restart", "disable"),
    ]


def test_the_window_slides_a_failure_counts_for_its_own_time() -> None:
    service = with_ladder(Rung(deed=RESTART, limit=2, window_ms=10_000), Rung(deed=RELOCATE))

    assert climbed(service, 0, 9_000, 9_999) == ["restart", "restart", "relocate"]
    assert climbed(service, 0, 9_000, 10_000, 18_999) == [
        "restart",
        "restart",
        "restart",
        "relocate",
    ]


def test_a_count_without_a_time_never_expires() -> None:
    service = with_ladder(Rung(deed=RESTART, limit=1), Rung(deed=RELOCATE))

    assert climbed(service, 0, 10**12) == ["restart", "relocate"]


@pytest.mark.parametrize(
    ("policy", "limit", "found"),
    [
        (RecoveryPolicy.RESTART, 0, ["restart"] * 4),
        (RecoveryPolicy.RESTART, 2, ["restart", "restart", "relocate", "restart"]),
        (RecoveryPolicy.RESTART_DISABLE, 0, ["restart"] * 4),
        (RecoveryPolicy.RESTART_DISABLE, 1, ["restart", "disable", "restart", "disable"]),
        (RecoveryPolicy.RELOCATE, 0, ["relocate"] * 4),
        (RecoveryPolicy.RELOCATE, 3, ["relocate"] * 4),
        (RecoveryPolicy.DISABLE, 0, ["disable"] * 4),
    ],
)
def test_the_words_of_rgmanager_are_ladders(
    policy: RecoveryPolicy, limit: int, found: list[str]
) -> None:
    """N restarts are allowed, the next failure escalates and clears the count."""
    service = Service(spec=web(recovery=policy, max_restarts=limit))

    assert climbed(service, 1, 2, 3, 4) == found


def test_what_need_not_be_counted_is_not_remembered() -> None:
    service = Service(spec=web())

    for now_ms in range(50):
        service = ladder.counted(service, ladder.next_rung(service, now_ms), now_ms)

    assert service.recoveries == ()


def test_another_owner_inherits_the_count() -> None:
    """Else a service that fails everywhere would be restarted for ever."""
    rungs = (Rung(deed=RESTART, limit=1, window_ms=600_000), Rung(deed=DISABLE))
    cluster = formed(spec=spec(web(ladder=rungs)))
    fail(cluster)
    cluster.kill(N1)
    cluster.view(N2, N3)
    assert cluster.service().owner == N2

    fail(cluster)

    assert cluster.service().state is ServiceState.DISABLED


def test_a_tolerated_failure_restarts_only_what_is_broken_and_counts_as_no_failure() -> None:
    cluster = formed(spec=spec(web(ladder=WHOLE)))
    del cluster.actions[:]

    fail(cluster)

    assert cluster.records() == ["service.failure_tolerated", "service.started"]
    assert stops(cluster) == ["nginx"]


def test_a_restart_after_that_is_one_of_the_whole_service() -> None:
    cluster = formed(spec=spec(web(ladder=WHOLE)))
    fail(cluster, times=2)
    del cluster.actions[:]

    fail(cluster)

    assert stops(cluster) == ["nginx", "vip"]
    assert (cluster.service().owner, cluster.service().state) == (N1, ServiceState.STARTED)


def test_the_rungs_lead_away_and_then_to_the_end() -> None:
    cluster = formed(spec=spec(web(ladder=WHOLE)))

    fail(cluster, times=4)
    assert cluster.service().owner == N2
    fail(cluster, times=4)

    assert cluster.service().state is ServiceState.DISABLED
    assert cluster.service().fault == "nginx: killed"


def test_a_new_ladder_forgets_what_the_old_one_counted() -> None:
    service = with_ladder(Rung(deed=RESTART, limit=1), Rung(deed=DISABLE))
    service = ladder.counted(service, ladder.next_rung(service, 0), 0)
    changed = replace(service, spec=web(recovery=RecoveryPolicy.RELOCATE))

    assert ladder.counted(changed, ladder.next_rung(changed, 1), 1).recoveries == ()
