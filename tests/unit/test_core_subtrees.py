# SPDX-License-Identifier: Apache-2.0
"""Parts of a tree that fail apart: what is touched, what is counted, what is given up."""

from __future__ import annotations

from dataclasses import replace

import pytest

from rgmgr.core.actions import Answer, StartResource, StopResource
from rgmgr.core.events import ResourceFailed
from rgmgr.core.messages import Verb
from rgmgr.core.model import Part, Service, ServiceState
from rgmgr.core.spec import Independence, ResourceName, ResourceSpec
from rgmgr.core.subtrees import as_found, bear, is_partial, non_critical_tops, tops_off
from tests.unit.core_cluster import N1, N2, N3, WEB, Cluster, formed, spec, web

RESTART, NON_CRITICAL = Independence.RESTART, Independence.NON_CRITICAL
APP, CACHE, WARMER, VIP = map(ResourceName, ("app", "cache", "warmer", "vip"))


def resource(name: str, *children: ResourceSpec, **changes: object) -> ResourceSpec:
    made = ResourceSpec(
        name=ResourceName(name),
        type="systemd",
        parameters={"unit": f"{name}.service"},
        children=children,
    )
    return replace(made, **changes)  # type: ignore[arg-type]


def tree(kind: Independence | None, **changes: object) -> tuple[ResourceSpec, ...]:
    """An address, a cache with something that fills it, and an application beside them."""
    cache = resource("cache", resource("warmer"), independent=kind, **changes)
    return (resource("vip", cache, resource("app")),)


def cluster_with(kind: Independence | None, **changes: object) -> Cluster:
    cluster = formed(spec=spec(web(resources=tree(kind, **changes))))
    del cluster.actions[:]
    return cluster


def fail(cluster: Cluster, name: ResourceName, node: int = N1) -> None:
    cluster.units[node].discard(name)  # type: ignore[index]
    cluster.feed(N1, ResourceFailed(service=WEB, resource=name, reason="died"))
    cluster.settle()


def touched(cluster: Cluster) -> str:
    """Say what was done, with - for a stop and + for a start."""
    signs = {StopResource: "-", StartResource: "+"}
    taken = [(signs.get(type(a)), a) for _, a in cluster.actions]
    return " ".join(f"{s}{a.resource.name}" for s, a in taken if s)  # type: ignore[union-attr]


def test_a_failure_in_an_independent_subtree_restarts_it_alone() -> None:
    cluster = cluster_with(RESTART)

    fail(cluster, WARMER)

    assert touched(cluster) == "-warmer -cache +cache +warmer"
    assert cluster.service().state is ServiceState.STARTED
    assert cluster.service().mending == ()
    assert "service.part_failed" in cluster.records()
    assert "service.mended" in cluster.records()


def test_past_its_limit_an_independent_subtree_fails_the_service() -> None:
    cluster = cluster_with(RESTART, max_restarts=1)
    fail(cluster, CACHE)
    del cluster.actions[:]

    fail(cluster, CACHE)

    assert "service.failed" in cluster.records()
    assert touched(cluster).startswith("-app -warmer -cache +vip")


def test_restarts_expire() -> None:
    cluster = cluster_with(RESTART, max_restarts=1, restart_expire_ms=60_000)
    fail(cluster, CACHE)
    cluster.run(61_000)
    del cluster.actions[:]

    fail(cluster, CACHE)

    assert touched(cluster) == "-warmer -cache +cache +warmer"


def test_a_non_critical_subtree_is_given_up_and_the_service_is_partial() -> None:
    cluster = cluster_with(NON_CRITICAL)

    fail(cluster, CACHE)

    assert touched(cluster) == "-warmer -cache"
    assert is_partial(cluster.service())
    assert tops_off(cluster.service(N3)) == (CACHE,)
    assert cluster.units[N1] == {"vip", "app"}


def test_a_non_critical_subtree_with_a_limit_is_restarted_first() -> None:
    cluster = cluster_with(NON_CRITICAL, max_restarts=1)

    fail(cluster, CACHE)
    assert not is_partial(cluster.service())
    fail(cluster, CACHE)

    assert is_partial(cluster.service())


def test_what_is_off_is_not_watched_and_the_rest_is() -> None:
    cluster = cluster_with(NON_CRITICAL)
    fail(cluster, CACHE)

    fail(cluster, APP)

    assert cluster.records().count("service.failed") == 1
    assert cluster.service().state is ServiceState.STARTED


def test_a_start_that_fails_in_a_non_critical_subtree_does_not_fail_the_service() -> None:
    config = spec(web(resources=tree(NON_CRITICAL)))
    cluster = formed(spec=config, broken_starts={(N1, "warmer"), (N2, "warmer"), (N3, "warmer")})

    assert cluster.service().state is ServiceState.STARTED
    assert cluster.service().owner == N1
    assert tops_off(cluster.service()) == (CACHE,)
    assert cluster.units[N1] == {"vip", "app"}


def test_a_start_that_fails_in_an_unlimited_independent_subtree_is_not_repeated_for_ever() -> None:
    cluster = cluster_with(RESTART)
    cluster.broken_starts.add((N1, "cache"))

    fail(cluster, CACHE)

    assert cluster.service().state is ServiceState.STARTED
    assert cluster.service().owner == N2


def test_a_stop_that_fails_in_a_non_critical_subtree_leaves_it_off() -> None:
    cluster = cluster_with(NON_CRITICAL)
    cluster.broken_stops.add((N1, "warmer"))

    fail(cluster, CACHE)

    assert is_partial(cluster.service())
    assert cluster.service().mending == ()


def test_a_stop_that_fails_in_a_critical_subtree_fails_the_service() -> None:
    cluster = cluster_with(RESTART)
    cluster.broken_stops.add((N1, "warmer"))

    fail(cluster, CACHE)

    assert cluster.service().state is ServiceState.FAILED


def test_convalescing_brings_back_what_is_off_and_touches_nothing_else() -> None:
    cluster = cluster_with(NON_CRITICAL)
    fail(cluster, CACHE)
    del cluster.actions[:]

    reply = cluster.ask(N3, Verb.CONVALESCE)

    assert reply is not None
    assert (reply.answer, reply.text) == (Answer.DONE, "web is whole again")
    assert touched(cluster).split() == ["-warmer", "-cache", "+cache", "+warmer"]
    assert not is_partial(cluster.service())


def test_convalescing_in_vain_says_what_is_still_off() -> None:
    cluster = cluster_with(NON_CRITICAL)
    fail(cluster, CACHE)
    cluster.broken_starts.add((N1, "cache"))

    reply = cluster.ask(N3, Verb.CONVALESCE)

    assert reply is not None
    assert reply.answer is Answer.FAILED
    assert reply.text == "web runs on without cache: cache: exit status 1"
    assert is_partial(cluster.service())


def test_only_a_partial_service_is_convalesced() -> None:
    cluster = cluster_with(NON_CRITICAL)

    whole = cluster.ask(N2, Verb.CONVALESCE)
    cluster.ask(N2, Verb.DISABLE)
    disabled = cluster.ask(N2, Verb.CONVALESCE)

    assert whole is not None
    assert whole.answer is Answer.ALREADY_RUNNING
    assert disabled is not None
    assert disabled.answer is Answer.INVALID


def test_a_partial_service_is_left_alone_when_its_daemon_is_restarted() -> None:
    cluster = cluster_with(NON_CRITICAL)
    fail(cluster, CACHE)
    del cluster.actions[:]

    cluster.restart_daemon(N1)
    cluster.view(N1, N2, N3)

    assert touched(cluster) == ""
    assert is_partial(cluster.service(N1))


def test_a_part_that_died_while_the_daemon_was_away_is_mended_alone() -> None:
    cluster = cluster_with(RESTART)
    cluster.units[N1].discard("warmer")

    cluster.restart_daemon(N1)
    cluster.view(N1, N2, N3)

    assert touched(cluster) == "-warmer -cache +cache +warmer"


def test_another_owner_tries_everything_again_and_the_counts_are_kept() -> None:
    cluster = cluster_with(NON_CRITICAL, max_restarts=1)
    fail(cluster, CACHE)
    fail(cluster, CACHE)
    assert is_partial(cluster.service())
    cluster.ask(N2, Verb.RELOCATE, N2)
    assert not is_partial(cluster.service())

    moved = cluster_with(RESTART, max_restarts=2)
    fail(moved, CACHE)
    moved.ask(N2, Verb.RELOCATE, N2)

    assert len(moved.service().parts[CACHE].restart_stamps) == 1


def test_tolerance_restarts_the_resource_alone_and_counts_for_nothing_else() -> None:
    plain = tree(None)[0]
    cache = replace(plain.children[0], tolerated=1, tolerance_ms=60_000)
    cluster = formed(
        spec=spec(web(resources=(replace(plain, children=(cache, plain.children[1])),)))
    )
    del cluster.actions[:]

    fail(cluster, CACHE)

    assert touched(cluster) == "-warmer -cache +cache +warmer"
    assert cluster.service().recoveries == ()
    fail(cluster, CACHE)
    assert "service.failed" in cluster.records()


def record(**changes: object) -> Service:
    made = Service(spec=web(resources=tree(NON_CRITICAL)), state=ServiceState.STARTED)
    return replace(made, **changes)  # type: ignore[arg-type]


def test_an_inner_subtree_past_its_limit_is_borne_by_the_one_around_it() -> None:
    inner = resource("inner", independent=RESTART, max_restarts=1)
    outer = resource("outer", inner, independent=NON_CRITICAL)
    service = record(spec=web(resources=(outer,)))

    once = bear(service, (inner.name,), (), 1_000)
    assert once is not None
    assert once.mending == (inner.name,)
    twice = bear(once, (inner.name,), (), 2_000)

    assert twice is not None
    assert twice.mending == (outer.name,)
    assert tops_off(twice) == (outer.name,)
    assert inner.name not in twice.parts


def test_one_critical_failure_among_others_is_a_failure_of_the_service() -> None:
    assert bear(record(), (CACHE, APP), (), 1_000) is None
    assert bear(record(), (), (), 1_000) is None
    assert bear(record(), (ResourceName("unheard-of"),), (), 1_000) is None


@pytest.mark.parametrize(
    ("missing", "off"),
    [((), ()), ((WARMER,), (CACHE,)), ((CACHE, WARMER), (CACHE,)), ((APP,), None)],
)
def test_what_is_found_says_which_parts_are_off(
    missing: tuple[ResourceName, ...], off: tuple[ResourceName, ...] | None
) -> None:
    service = record(parts={CACHE: Part(restart_stamps=(5,))})

    found = as_found(service, missing, non_critical_tops(service.spec))

    assert (tops_off(found) if found else None) == off
    assert found is None or found.parts[CACHE].restart_stamps == (5,)
