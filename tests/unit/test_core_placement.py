# SPDX-License-Identifier: Apache-2.0
"""Where services start, and what is said of those that do not."""

from dataclasses import replace

from domains.model import FailoverDomain, ServiceName, Terms, Tie
from rgmgr.core.actions import StopResource
from rgmgr.core.messages import Verb
from rgmgr.core.model import Service, ServiceState
from rgmgr.core.placement import because
from rgmgr.core.seating import in_turn, occupancy
from rgmgr.core.spec import DependMode
from rgmgr.core.unproven import blockers
from tests.unit.core_cluster import N1, N2, N3, WEB, Cluster, formed, spec, web
from tests.unit.test_core_subtrees import resource


def test_a_running_service_needs_no_reason() -> None:
    cluster = formed()

    assert because(cluster.states[N2].cluster, WEB) is None
    assert occupancy(cluster.states[N2].cluster).count(N1) == 1


def test_a_service_on_a_lost_node_waits_for_proof_by_name() -> None:
    cluster = formed(auto_fence=False)
    cluster.view(N2, N3)

    assert because(cluster.states[N2].cluster, WEB) == "waiting for proof that node1 is down"


def test_a_service_of_a_detached_node_is_said_to_run_unmanaged() -> None:
    cluster = formed()
    cluster.kill(N1)
    cluster.view(N2, N3, ring_nodes=(N1, N2, N3))

    reason = because(cluster.states[N2].cluster, WEB)
    assert reason == "runs unmanaged: the daemon on node1 is gone"


def test_unproven_nodes_block_a_start_and_are_named() -> None:
    cluster = formed(auto_fence=False)
    for node in (N1, N2, N3):
        cluster.kill(node)
    cluster.units.clear()
    cluster.boot(N1, N2)
    cluster.view(N1, N2)

    state = cluster.states[N1].cluster
    assert blockers(state, state.services[WEB]) == (N3,)
    assert because(state, WEB) == "waiting for proof that node3 runs none of it"


def test_an_operators_stop_is_named_as_the_reason() -> None:
    cluster = formed()
    cluster.ask(N2, Verb.STOP)

    reason = because(cluster.states[N2].cluster, WEB)
    assert reason == "stopped by an administrator until the membership changes"


def test_a_service_that_is_not_started_by_itself_is_disabled_and_says_so() -> None:
    cluster = formed(spec=spec(web(autostart=False)))

    assert cluster.service().state is ServiceState.DISABLED
    reason = because(cluster.states[N2].cluster, WEB)
    assert reason == "disabled until an administrator enables it"


def test_left_overs_on_another_node_are_cleaned_before_anything_starts() -> None:
    cluster = formed()
    cluster.kill(N3)
    cluster.units[N3] = {"nginx"}
    cluster.boot(N3)

    cluster.view(N1, N2, N3)

    assert cluster.units[N3] == set()
    assert cluster.service().owner == N1
    assert cluster.service().cleanup == ()


def test_what_is_in_no_agreed_tree_is_cleaned_up_too() -> None:
    """A file with another tree had it: it was told stopped, and stayed."""
    cluster = formed()
    cluster.kill(N3)
    cluster.units[N3] = {"nginx", "older", "old"}
    cluster.boot(N3)
    del cluster.actions[:]

    cluster.view(N1, N2, N3)

    assert cluster.units[N3] == set()
    stops = [a.resource.name for n, a in cluster.actions if isinstance(a, StopResource)]
    assert stops == ["older", "old", "nginx", "vip"]
    assert "service.left_overs" in cluster.records(N3)
    assert cluster.service().owner == N1


def test_an_owner_stops_what_is_in_no_agreed_tree_too() -> None:
    """The state that won a merge knew no new tree of it: a part ran on beside the next owner."""
    cluster = formed()
    cluster.kill(N1)
    cluster.units[N1] = {"nginx", "vip", "newer"}
    cluster.boot(N1)
    cluster.view(N1, N2, N3)
    assert cluster.service().owner == N1
    assert cluster.service().state is ServiceState.STARTED
    assert cluster.units[N1] == {"nginx", "vip"}, "it counts as a failure, and goes with all else"

    cluster.ask(N2, Verb.DISABLE)

    assert cluster.units[N1] == set()


def test_a_failed_service_says_where_and_what_to_do() -> None:
    cluster = formed(broken_stops={(N1, "vip")})
    cluster.ask(N2, Verb.STOP)

    reason = because(cluster.states[N2].cluster, WEB)
    assert reason == "stop failed on node1: vip: busy; clear it there, then disable it"


def test_nobody_displaces_what_it_depends_on() -> None:
    """It would wait for it, start, displace it again, and so on for ever."""
    db = web(name=ServiceName("db"), terms=Terms(priority=90))
    server = web(depend=(ServiceName("db"),), terms=Terms(priority=10))
    plain = spec(db, server)
    nodes = {n: replace(node, capacity=1 if n == N1 else 0) for n, node in plain.nodes.items()}

    cluster = formed(spec=replace(plain, nodes=nodes))

    assert cluster.states[N1].cluster.services[ServiceName("db")].state is ServiceState.STARTED
    assert cluster.service().state is ServiceState.STOPPED
    reason = because(cluster.states[N1].cluster, WEB)
    assert reason is not None
    assert "node1: no room: it needs 1, and 0 is left" in reason


def test_who_must_be_with_another_does_not_hasten_that_one() -> None:
    """The one would be placed, make room again for those between the two, and so on for ever."""
    mail, dns = ServiceName("mail"), ServiceName("dns")
    leader = web(name=mail, terms=Terms(load=2, priority=90))
    follower = web(name=dns, terms=Terms(load=3, priority=10, together=(Tie(mail),)))
    between = web(terms=Terms(exclusive=True, load=1, priority=50))
    plain = spec(leader, follower, between)
    nodes = {n: replace(node, capacity=4 if n == N1 else 0) for n, node in plain.nodes.items()}

    assert in_turn([Service(spec=each) for each in plain.services]) == [WEB, mail, dns]
    cluster = formed(spec=replace(plain, nodes=nodes))

    assert cluster.service().state is ServiceState.STARTED
    stopped = [name for name, s in cluster.states[N1].cluster.services.items() if s.owner is None]
    assert stopped == [mail, dns]


def test_nothing_starts_on_the_strength_of_what_has_just_made_room() -> None:
    """Mail is up: proxy takes the node of files; web, whose turn is next, needs both."""
    mail, files, proxy = ServiceName("mail"), ServiceName("files"), ServiceName("proxy")
    late, soft = Terms(priority=90), DependMode.SOFT
    services = (
        web(name=mail, resources=(resource("exim"),)),
        web(name=files, domain="second", terms=late),
        web(name=proxy, domain="second", depend=(mail,), terms=Terms(exclusive=True)),
        web(depend=(files, mail), depend_mode=soft, terms=late),
    )
    second = FailoverDomain(name="second", restricted=True, priorities={N2: 1})
    plain = spec(*services)
    cluster = Cluster(spec=replace(plain, domains={**plain.domains, "second": second}))
    cluster.slow.add("exim")
    cluster.boot(N1, N2, N3)
    cluster.view(N1, N2, N3)
    assert cluster.states[N2].cluster.services[files].state is ServiceState.STARTED

    cluster.hurry()

    assert cluster.states[N2].cluster.services[proxy].owner == N2
    assert cluster.service().op == 0, "web was given to nobody"
    assert because(cluster.states[N2].cluster, WEB) == "waiting for files, which is stopped"


def test_who_fits_beside_those_that_make_room_goes_where_its_domain_says() -> None:
    """Counted together with the one that they make room for, they left it none."""
    old, late = ServiceName("old"), ServiceName("late")
    services = (
        web(resources=(resource("nginx"),), depend=(late,), terms=Terms(load=2)),
        web(name=old, terms=Terms(load=3, priority=90)),
        web(name=late, domain="third", resources=(resource("exim"),)),
        web(name=ServiceName("small"), depend=(late,), terms=Terms(load=1)),
    )
    third = FailoverDomain(name="third", restricted=True, priorities={N3: 1})
    plain = spec(*services)
    nodes = {n: replace(node, capacity=4 if n == N1 else 1) for n, node in plain.nodes.items()}
    cluster = Cluster(
        spec=replace(plain, nodes=nodes, domains={**plain.domains, "third": third}),
    )
    cluster.slow.add("exim")
    cluster.boot(N1, N2, N3)
    cluster.view(N1, N2, N3)
    assert cluster.states[N2].cluster.services[old].owner == N1

    cluster.hurry()

    owners = {name: s.owner for name, s in cluster.states[N2].cluster.services.items()}
    assert owners == {WEB: N1, old: None, late: N3, "small": N1}
