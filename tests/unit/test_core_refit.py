# SPDX-License-Identifier: Apache-2.0
"""A changed configuration reaches running services at once and touches only what changed."""

from __future__ import annotations

from dataclasses import replace

from rgmgr.core.actions import Action, StartResource, StopResource
from rgmgr.core.delta import both
from rgmgr.core.events import ConfigLoaded, Delivered
from rgmgr.core.messages import Verb
from rgmgr.core.model import ServiceState
from rgmgr.core.placement import because
from rgmgr.core.spec import ClusterSpec, RecoveryPolicy, ResourceName, ResourceSpec
from rgmgr.core.tree import stop_order
from tests.unit.core_cluster import N1, N2, N3, WEB, Cluster, formed, spec, web
from tests.unit.test_core_subtrees import NON_CRITICAL, fail, resource, touched, tree

CACHE = ResourceName("cache")


def with_tree(*resources: ResourceSpec, version: int = 2, **changes: object) -> ClusterSpec:
    made = spec(web(resources=resources, **changes))
    return replace(made, version=version, digest=f"d{version}")


def load(cluster: Cluster, config: ClusterSpec) -> None:
    """Let every node read a new file."""
    del cluster.actions[:]
    cluster.spec = config
    for node in (N1, N2, N3):
        if node in cluster.states:
            cluster.feed(node, ConfigLoaded(config))
    cluster.settle()


def load_half_way(cluster: Cluster, config: ClusterSpec, kind: type[Action]) -> None:
    """Let node2 read a new file, and all go on until the first action of this kind is taken."""
    cluster.spec = config
    del cluster.actions[:]
    cluster.feed(N2, ConfigLoaded(config))
    while not cluster.took(kind):
        sender, message = cluster.mail.popleft()
        for node in (N1, N2, N3):
            cluster.feed(node, Delivered(sender, message))


def started(*resources: ResourceSpec) -> Cluster:
    return formed(spec=spec(web(resources=resources)))


VIP, DATA, APP, LOG = resource("vip"), resource("data"), resource("app"), resource("log")
OTHER_DATA = replace(DATA, parameters={"unit": "other.service"})


def test_an_added_resource_is_started_and_nothing_else() -> None:
    cluster = started(VIP, APP)

    load(cluster, with_tree(VIP, DATA, APP))

    assert touched(cluster) == "+data"
    assert cluster.service().state is ServiceState.STARTED
    assert cluster.service().former == ()
    assert "service.refitted" in cluster.records()


def test_a_removed_resource_is_stopped_as_it_was() -> None:
    cluster = started(VIP, DATA, APP)

    load(cluster, with_tree(VIP, APP))

    ((node, stop),) = cluster.took(StopResource)
    assert (node, stop.resource) == (N1, DATA)
    assert cluster.units[N1] == {"vip", "app"}


def test_a_changed_resource_goes_down_and_up_with_what_is_below_it() -> None:
    cluster = started(VIP, replace(DATA, children=(APP,)), LOG)

    load(cluster, with_tree(VIP, replace(OTHER_DATA, children=(APP,)), LOG))

    assert touched(cluster) == "-app -data +data +app"
    assert [a.resource.parameters["unit"] for _, a in cluster.took(StopResource)] == [
        "app.service",
        "data.service",
    ]
    assert cluster.took(StartResource)[0][1].resource.parameters["unit"] == "other.service"


def test_changed_time_limits_are_told_and_stop_nothing() -> None:
    cluster = started(VIP, APP)

    load(cluster, with_tree(VIP, replace(APP, stop_timeout_ms=5)))

    assert touched(cluster) == "+app"


def test_policies_count_at_once_and_touch_nothing() -> None:
    cluster = started(VIP, APP)
    op = cluster.service().op

    load(cluster, with_tree(APP, VIP, recovery=RecoveryPolicy.DISABLE, max_restarts=7))

    assert touched(cluster) == ""
    assert cluster.service().op == op
    assert cluster.service().spec.max_restarts == 7


def test_another_version_of_the_same_touches_nothing() -> None:
    cluster = started(VIP, APP)

    load(cluster, with_tree(VIP, APP))

    assert touched(cluster) == ""
    assert "service.refitted" not in cluster.records()


def test_a_removed_service_is_stopped_before_it_is_forgotten() -> None:
    cluster = started(VIP, APP)
    mail = replace(web(resources=(LOG,), autostart=False), name="mail")

    load(cluster, replace(spec(mail), version=2, digest="d2"))

    assert touched(cluster) == "-app -vip"
    assert WEB not in cluster.states[N2].cluster.services


def test_a_new_resource_that_does_not_start_fails_the_service_and_leaves_nothing() -> None:
    cluster = started(VIP, DATA, APP)
    cluster.broken_starts.add((N1, "log"))

    load(cluster, with_tree(VIP, APP, LOG))

    assert cluster.service().owner == N2
    assert cluster.service().former == ()
    assert cluster.units[N1] == set()
    assert cluster.units[N2] == {"vip", "app", "log"}


def test_nothing_is_added_to_a_service_that_has_failed_meanwhile() -> None:
    """What is added may rely on what starts before it, which is gone; so nothing more is begun."""
    cluster = started(VIP)

    load_half_way(cluster, with_tree(VIP, DATA, APP), StartResource)
    fail(cluster, VIP.name)

    assert touched(cluster).startswith("+data -")
    assert "service.failed" in cluster.records()


def test_what_is_added_does_not_wait_for_a_part_that_fails_apart() -> None:
    log = replace(LOG, independent=NON_CRITICAL, max_restarts=1)
    cluster = started(log, VIP)

    load_half_way(cluster, with_tree(log, VIP, DATA, APP), StartResource)
    fail(cluster, LOG.name)

    assert touched(cluster).startswith("+data +app -log +log")
    assert "service.failed" not in cluster.records()


def test_disabling_half_way_stops_both_trees() -> None:
    """What is up may be of the old or the new tree."""
    cluster = started(VIP, DATA)
    load_half_way(cluster, with_tree(VIP, OTHER_DATA), StopResource)
    cluster.ask(N3, Verb.DISABLE)

    assert cluster.service().state is ServiceState.DISABLED
    assert cluster.units[N1] == set()
    units = {a.resource.parameters["unit"] for _, a in cluster.took(StopResource)}
    assert {"data.service", "other.service", "vip.service"} <= units


def test_a_daemon_that_comes_back_half_way_finishes_it() -> None:
    cluster = started(VIP, DATA, APP)
    cluster.kill(N1)
    cluster.view(N2, N3, ring_nodes=(N1, N2, N3))
    load(cluster, with_tree(VIP, APP, LOG))
    assert touched(cluster) == ""

    cluster.boot(N1)
    cluster.states[N1] = replace(
        cluster.states[N1],
        local=replace(
            cluster.states[N1].local, boot_id=cluster.states[N2].cluster.nodes[N1].boot_id
        ),
    )
    cluster.view(N1, N2, N3)

    assert touched(cluster) == "-data +log"
    assert cluster.service().state is ServiceState.STARTED


def test_a_part_that_is_off_gets_another_chance_when_it_is_changed() -> None:
    cluster = formed(spec=spec(web(resources=tree(NON_CRITICAL))))
    fail(cluster, CACHE)
    (vip,) = tree(NON_CRITICAL)
    cache, app = vip.children
    mended = replace(cache, parameters={"unit": "better.service"})

    load(cluster, with_tree(replace(vip, children=(cache, app, LOG))))
    assert touched(cluster) == "+log"
    assert cluster.service().parts[CACHE].is_off
    load(cluster, with_tree(replace(vip, children=(mended, app, LOG)), version=3))

    assert touched(cluster).endswith("+cache +warmer")
    assert cluster.service().parts == {}


def test_a_move_to_another_parent_is_a_stop_and_a_start() -> None:
    cluster = started(VIP, DATA, APP)

    load(cluster, with_tree(VIP, replace(DATA, children=(APP,))))

    assert touched(cluster) == "-app +app"


def test_half_way_what_goes_is_stopped_at_its_old_place() -> None:
    """What started after it may rely on it, be it kept or not."""
    old, new = web(resources=(VIP, DATA, APP)), web(resources=(VIP, OTHER_DATA, APP))
    gone = web(resources=(VIP, APP))

    assert [r.name for r in stop_order(both(old, new))] == ["app", "data", "data", "vip"]
    assert [r.name for r in stop_order(both(old, gone))] == ["app", "data", "vip"]


def found_running(config: ClusterSpec, *units: str) -> Cluster:
    """Return a cluster that begins anew without node3, and finds these units up on node1."""
    cluster = Cluster(spec=config, auto_fence=False)
    cluster.units[N1] = set(units)
    cluster.boot(N1, N2)
    cluster.view(N1, N2)
    assert cluster.service().owner == N1
    return cluster


def prove_down(cluster: Cluster) -> str:
    """Let node3 be fenced, and return what is done then."""
    del cluster.actions[:]
    cluster.auto_fence = True
    cluster.run(60_000)
    return touched(cluster)


def why(cluster: Cluster) -> str | None:
    return because(cluster.states[N2].cluster, WEB)


def test_what_was_found_running_gets_no_new_tree_before_others_are_known_not_to_run_it() -> None:
    """Somebody started it by hand, and a state that was lost had given it to node3."""
    cluster = found_running(with_tree(VIP, APP, version=1), "vip", "app")
    assert why(cluster) is None

    load(cluster, with_tree(VIP, DATA, APP))

    assert touched(cluster) == ""
    assert why(cluster) == "waiting for proof that node3 runs none of it"
    assert prove_down(cluster) == "+data"
    assert why(cluster) is None


def test_what_was_found_running_and_fails_comes_up_once_others_are_known_not_to_run_it() -> None:
    cluster = found_running(with_tree(VIP, APP, version=1), "vip", "app")
    del cluster.actions[:]

    fail(cluster, ResourceName("app"))

    assert touched(cluster) == "-app"
    assert why(cluster) == "waiting for proof that node3 runs none of it"
    assert prove_down(cluster) == "+vip +app"


def test_a_part_of_what_was_found_running_is_mended_once_others_are_known_not_to_run_it() -> None:
    config = spec(web(resources=tree(NON_CRITICAL, max_restarts=1)))
    cluster = found_running(config, "vip", "cache", "warmer", "app")
    del cluster.actions[:]

    fail(cluster, CACHE)

    assert touched(cluster) == "-warmer -cache"
    assert prove_down(cluster) == "+cache +warmer"
