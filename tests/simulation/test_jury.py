# SPDX-License-Identifier: Apache-2.0
"""I8 to I13: each test breaks the core or the world on purpose and expects to be told.

A check that never fails protects nobody.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import pytest

from domains.model import FailoverDomain, NodeId, ServiceName, Terms, Tie
from rgmgr.core import executor, ladder, lease, membership, recovery
from rgmgr.core.actions import Multicast, StartResource
from rgmgr.core.events import ProbeFinished
from rgmgr.core.local import Sent
from rgmgr.core.messages import (
    ConfigProposed,
    Goodbye,
    Operation,
    Request,
    ServiceStopped,
    Tick,
    Verb,
)
from rgmgr.core.model import (
    After,
    Await,
    AwaitKind,
    ClusterState,
    NodeStatus,
    Proof,
    ProofKind,
    Recovery,
    Service,
    ServiceState,
)
from rgmgr.core.spec import Deed, PingSpec, RecoveryPolicy
from rgmgr.core.tree import start_order
from rgmgr.sim.bounds import WORDS_MAX, check_agreed, check_local
from rgmgr.sim.faults import Ask, PowerLoss, Script, UnitDeath
from rgmgr.sim.moves import Moves, is_preferred, silent
from rgmgr.sim.run import play, unrest
from rgmgr.sim.story import WEB, demo_script
from rgmgr.sim.waits import untimely
from rgmgr.sim.windows import Windows
from rgmgr.sim.world import World

N1, N2, N3 = NodeId(1), NodeId(2), NodeId(3)
MAIL = ServiceName("mail")
QUIET = replace(demo_script(), faults=())
TREE = start_order(QUIET.spec.services[0])
DOMAIN = next(iter(QUIET.spec.domains.values()))


def running_world() -> World:
    """Three nodes that have come to rest, `web` on the first."""
    world = World(QUIET)
    world.engine.run_until(20_000)
    assert unrest(world) == []
    assert world.watch.violations == []
    return world


def cluster_of(world: World, node: NodeId = N1) -> ClusterState:
    daemon = world.hosts[node].daemon
    assert daemon is not None
    return daemon.state.cluster


def say(body: ServiceStopped | Goodbye | Request | ConfigProposed) -> Operation:
    return Operation(epoch=1, incarnation=1, sequence=1, first_epoch=1, at_ms=0, body=body)


def with_web(cluster: ClusterState, **changes: object) -> ClusterState:
    web = replace(cluster.services[WEB], **changes)  # type: ignore[arg-type]
    return replace(cluster, services={**cluster.services, WEB: web})


# I9: restart windows.


def dies_three_times(**policy: object) -> Script:
    web = replace(QUIET.spec.services[0], **policy)  # type: ignore[arg-type]
    deaths = tuple(
        UnitDeath(at_ms=at_ms, service=WEB, resource=TREE[2].name)
        for at_ms in (20_000, 25_000, 30_000)
    )
    return replace(QUIET, spec=replace(QUIET.spec, services=(web,)), faults=deaths)


def test_a_count_that_forgets_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    script = dies_three_times(recovery=RecoveryPolicy.RESTART, max_restarts=1)
    assert play(script).violations == ()
    monkeypatch.setattr(ladder, "recent", lambda _service, _rung, _now_ms: ())

    outcome = play(script)

    assert outcome.violations[0].startswith("I9 ")
    assert "its ladder says relocate (1 of 1 restart)" in outcome.violations[0]


def test_a_count_that_never_expires_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    script = dies_three_times(
        recovery=RecoveryPolicy.RESTART, max_restarts=1, restart_expire_ms=3_000
    )
    assert play(script).violations == ()
    monkeypatch.setattr(ladder, "recent", lambda service, _rung, _now_ms: service.recoveries)

    outcome = play(script)

    assert outcome.violations[0].startswith("I9 ")
    assert "failed: relocate, and its ladder says restart (0 of 1 restart)" in outcome.violations[0]


def test_a_count_that_another_owner_forgets_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """One restart on node1, one on node2: the third failure must not be restarted there."""
    script = dies_three_times(recovery=RecoveryPolicy.RESTART, max_restarts=2)
    move = Ask(at_ms=22_000, node=N1, verb=Verb.RELOCATE, service=WEB, target=N2)
    script = replace(script, faults=tuple(sorted((*script.faults, move), key=lambda f: f.at_ms)))
    assert play(script).violations == ()
    finish_stop = recovery.finish_stop

    def forget(ledger: recovery.Ledger, service: Service) -> None:
        is_move = service.after is After.RELOCATE
        finish_stop(ledger, replace(service, recoveries=()) if is_move else service)

    monkeypatch.setattr(recovery, "finish_stop", forget)

    assert play(script).violations[0].startswith("I9 ")


def judged(*states: ClusterState) -> list[str]:
    found: list[str] = []
    windows = Windows(lambda _invariant, words: found.append(words))
    for before, after in pairwise(states):
        windows.changed(N1, None, before, after)
    return found


@pytest.mark.parametrize("is_proof", [False, True], ids=["booted", "proven down"])
def test_only_proof_that_its_owner_was_down_forgives_a_failure(*, is_proof: bool) -> None:
    """The owner boots while it stops what has failed; nobody had begun to fence it, or they had."""
    agreed = cluster_of(running_world())
    spec = replace(agreed.services[WEB].spec, recovery=RecoveryPolicy.RESTART, max_restarts=1)
    failed = with_web(
        agreed, spec=spec, owner=N1, state=ServiceState.RECOVERABLE, after=After.RECOVER
    )
    up = with_web(failed, state=ServiceState.STARTED)
    node = replace(
        agreed.nodes[N1],
        boot_id="another",
        proof=Proof(kind=ProofKind.REBOOTED, at_ms=1, by=N1) if is_proof else None,
    )
    booted = replace(
        with_web(failed, state=ServiceState.RECOVERING), nodes={**agreed.nodes, N1: node}
    )

    told = judged(up, failed, booted, up, failed, with_web(failed, state=ServiceState.RECOVERING))

    again = "web failed: tolerate or restart, and its ladder says relocate (1 of 1 restart)"
    assert told == ([] if is_proof else [again])


# I12: nothing is left behind.


@pytest.mark.parametrize("body", [ServiceStopped(WEB, 1), Goodbye()], ids=["stopped", "goodbye"])
def test_saying_that_nothing_is_held_while_it_is_is_told(body: ServiceStopped | Goodbye) -> None:
    world = running_world()
    if isinstance(body, ServiceStopped):
        body = ServiceStopped(WEB, cluster_of(world).services[WEB].op)

    world.watch.acts(world.hosts[N1], Multicast(say(body)))

    assert world.watch.violations[0].startswith("I12 ")


def test_the_same_words_are_fine_where_nothing_is_active() -> None:
    world = running_world()

    world.watch.acts(world.hosts[N2], Multicast(say(Goodbye())))

    assert world.watch.violations == []


def test_what_stays_active_and_no_record_explains_is_told() -> None:
    world = running_world()
    world.ask(Ask(at_ms=0, node=N1, verb=Verb.DISABLE, service=WEB))
    world.engine.run_until(world.engine.now_ms + 3_000)
    action = StartResource(service=WEB, resource=TREE[0], op=1)

    world.hosts[N2].systemd.start(action, lambda _event: None)  # and nobody hears of it
    world.engine.run_until(world.engine.now_ms + 20_000)

    assert [v for v in world.watch.violations if v.startswith("I12 ")] != []
    assert "web is active there, and no record says why" in world.watch.violations[0]


def test_a_failure_that_nobody_notices_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(executor, "_watch", lambda _turn, _name, _service: None)
    world = running_world()

    world.hosts[N1].systemd.die(WEB, TREE[2].name)
    world.engine.run_until(world.engine.now_ms + 20_000)

    assert world.watch.violations[0].startswith("I10 ")
    assert "web is down on node1, and its owner does not notice" in world.watch.violations[0]


@pytest.mark.parametrize(("is_restricted", "told"), [(False, 1), (True, 0)])
def test_who_waits_for_a_node_that_may_have_it_no_more_may_start_elsewhere(
    *, is_restricted: bool, told: int
) -> None:
    """The cluster may have been disarmed when its domain changed: it starts only later."""
    cluster = cluster_of(running_world())
    domain = replace(DOMAIN, restricted=is_restricted, priorities={N2: 1, N3: 2})
    cluster = replace(cluster, spec=replace(cluster.spec, domains={DOMAIN.name: domain}))
    wait = Await(node=N1, kind=AwaitKind.ALERT)
    before = with_web(cluster, state=ServiceState.STOPPED, owner=None, awaits=wait)
    after = with_web(cluster, state=ServiceState.STARTING, owner=N2)
    cause = say(ServiceStopped(WEB, 1))

    assert len(list(untimely(cause, before, after))) == told


# I13: bounds.


def test_a_member_that_remembers_too_much_is_told() -> None:
    world = running_world()
    daemon = world.hosts[N1].daemon
    assert daemon is not None
    before = daemon.state
    words = tuple(f"word {number}" for number in range(WORDS_MAX + 1))

    daemon.state = replace(before, local=replace(before.local, said=words))
    world.watch.stepped(world.hosts[N1], ProbeFinished(), before)

    assert list(check_local(before)) == []
    assert world.watch.violations[0].startswith("I13 ")
    assert "node1 remembers 65 words, more than 64" in world.watch.violations[0]


@pytest.mark.parametrize(("over_ms", "most"), [(100, 28), (5_000, 48), (60_000, 88)])
def test_what_is_kept_to_be_sent_again_grows_only_as_long_as_a_member_may_stand_still(
    over_ms: int, most: int
) -> None:
    daemon = running_world().hosts[N1].daemon
    assert daemon is not None
    state = daemon.state
    first = Sent(say(ServiceStopped(WEB, 1)), applied_at=1)
    last = replace(first, operation=replace(first.operation, at_ms=over_ms))

    def told(count: int) -> list[str]:
        sent = (last, *[first] * (count - 1))  # cluster time may have been corrected backwards
        return list(check_local(replace(state, local=replace(state.local, sent=sent))))

    assert told(most) == []
    assert told(most + 1) == [f"remembers {most + 1} operations, more than {most}"]


def test_an_agreed_state_that_grows_is_told() -> None:
    cluster = cluster_of(running_world())

    spec = replace(cluster.services[WEB].spec, recovery=RecoveryPolicy.RESTART, max_restarts=1)
    twice = (Recovery(deed=Deed.RESTART, at_ms=1), Recovery(deed=Deed.RESTART, at_ms=2))

    assert list(check_agreed(cluster)) == []
    for changes in (
        {"spec": spec, "recoveries": twice},
        {"failed_on": (N1, N1)},
        {"cleanup": (N1, N2, N3, NodeId(4))},
        {"fault": "x" * 10_000},
    ):
        assert len(list(check_agreed(with_web(cluster, **changes)))) == 1


def test_members_that_keep_each_other_busy_without_end_are_told(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def echo(turn: lease.Turn, sender: NodeId, tick: Tick) -> None:
        if sender == turn.local.me:  # all of them would be more than any machine can hold
            turn.do(Multicast(tick))

    monkeypatch.setattr(lease, "heard_tick", echo)

    outcome = play(replace(QUIET, faults=(PowerLoss(at_ms=30_000, node=N1, for_ms=1_000),)))

    assert "a storm of" in outcome.violations[0]


# I8, I10, I11: moves.


def test_a_move_to_a_joiner_that_is_not_preferred_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """`web` prefers node1 but does not go back to it."""
    script = replace(QUIET, faults=(PowerLoss(at_ms=20_000, node=N1, for_ms=9_000),))
    assert play(script).violations == ()
    for rule in ("should_move", "may_take_over"):
        monkeypatch.setattr(f"rgmgr.core.failback.{rule}", lambda *_given: True)

    outcome = play(script)

    assert outcome.violations[0].startswith("I8 ")
    assert "web is moved from node2 to node1" in outcome.violations[0]


def test_what_is_found_elsewhere_leaves_the_node_where_it_was_found() -> None:
    """The record that an INSTALL found had it where it was before it was lost."""
    told: list[str] = []
    world = running_world()
    domains = {DOMAIN.name: replace(DOMAIN, nofailback=False)}
    cluster = cluster_of(world)
    before = replace(cluster, spec=replace(cluster.spec, domains=domains))
    moving = {"state": ServiceState.STOPPING, "after": After.RELOCATE, "target": N1}
    moves = Moves(lambda invariant, words: told.append(f"{invariant} {words}"))

    moves.changed(world.watch.installs[N1], before, with_web(before, owner=N2, **moving))
    assert told == []
    moves.changed(world.watch.installs[N1], before, with_web(before, owner=N1, **moving))

    assert told == ["I8 web is moved from node1 to node1, which its domain does not prefer"]


def test_an_install_may_move_a_service_to_where_more_is_reached() -> None:
    """It had failed there, which a change of the membership forgives."""
    told: list[str] = []
    world = running_world()
    cluster = cluster_of(world)
    gateway = PingSpec(name="gateway", address="10.0.0.1")
    ill = {n: replace(node, ills=("gateway",)) for n, node in cluster.nodes.items() if n != N3}
    spec = replace(cluster.spec, pings=(gateway,))
    before = replace(cluster, spec=spec, nodes={**cluster.nodes, **ill})
    moving = {"state": ServiceState.STOPPING, "after": After.RELOCATE}
    moves = Moves(lambda invariant, words: told.append(f"{invariant} {words}"))

    moves.changed(world.watch.installs[N1], before, with_web(before, target=N3, **moving))
    assert [words for words in told if words.startswith("I8")] == []
    moves.changed(world.watch.installs[N1], before, with_web(before, target=N2, **moving))

    assert "I8 web is moved from node1 to node2, which its domain does not prefer" in told


def test_a_joiner_that_is_preferred_and_does_not_get_its_service_is_told(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    domains = {DOMAIN.name: replace(DOMAIN, nofailback=False)}
    spec = replace(QUIET.spec, domains=domains)
    faults = (PowerLoss(at_ms=20_000, node=N1, for_ms=9_000),)
    script = replace(QUIET, spec=spec, faults=faults)
    assert play(script).violations == ()
    monkeypatch.setattr(membership, "offer_to_joiners", lambda _ledger, _joined: None)

    outcome = play(script)

    assert not outcome.settled
    assert "I10 " in outcome.violations[0]
    assert "web is on node2, and its domain prefers node1" in outcome.violations[0]


def test_a_configuration_that_says_nothing_new_and_moves_a_service_is_told() -> None:
    told: list[str] = []
    cluster = cluster_of(running_world())
    proposed = say(ConfigProposed(replace(cluster.spec, version=2)))
    after = replace(cluster, spec=replace(cluster.spec, version=2))
    moves = Moves(lambda invariant, words: told.append(f"{invariant} {words}"))

    moves.changed(proposed, cluster, after)
    assert told == []
    moves.changed(proposed, cluster, with_web(after, state=ServiceState.STOPPING))

    assert told == ["I8 web is stopping by a configuration that says no news of it"]


def test_what_needs_a_service_that_a_configuration_stops_may_stop_with_it() -> None:
    """The text says nothing new of it, and yet it must not run on without what it needs."""
    told: list[str] = []
    cluster = cluster_of(running_world())
    web = replace(cluster.services[WEB].spec, depend=(MAIL,))
    spec = replace(cluster.spec, version=2, services=(web, *cluster.spec.services[1:]))
    before = with_web(replace(cluster, spec=spec), spec=web)
    proposed = say(ConfigProposed(replace(spec, version=3)))
    after = with_web(before, state=ServiceState.RECOVERABLE, after=After.SETTLE)
    moves = Moves(lambda invariant, words: told.append(f"{invariant} {words}"))

    moves.changed(proposed, before, after)

    assert told == []


def test_a_service_that_waits_for_nothing_is_told() -> None:
    """Every agreed change starts what can be started, so nothing is ever about to start."""
    cluster = cluster_of(running_world())
    idle = with_web(cluster, state=ServiceState.STOPPED, owner=None)

    assert list(silent(cluster)) == []
    assert list(silent(idle)) == ["web says that it is about to start, and nobody starts it"]


@pytest.mark.parametrize(
    ("changes", "owner", "is_better"),
    [
        ({}, N2, True),
        ({}, N1, False),
        ({"ordered": False}, N2, False),
        ({"nofailback": True}, N2, False),
        ({"nofailback": True}, NodeId(9), True),
        ({}, NodeId(9), True),
    ],
)
def test_who_is_preferred_is_said_by_the_domain(
    changes: dict[str, bool], owner: NodeId, *, is_better: bool
) -> None:
    domain = FailoverDomain(name="d", priorities={N1: 1, N2: 2}, ordered=True)

    assert is_preferred(replace(domain, **changes), owner, N1) is is_better  # type: ignore[arg-type]
    assert not is_preferred(None, owner, N1)
    assert not is_preferred(domain, owner, NodeId(8))


def test_what_its_history_explains_may_be_elsewhere() -> None:
    world = running_world()
    moves = Moves(lambda *_given: None)
    cluster = cluster_of(world)
    domains = {DOMAIN.name: replace(DOMAIN, nofailback=False)}
    away = with_web(replace(cluster, spec=replace(cluster.spec, domains=domains)), owner=N2)
    asked = say(Request(number=1, verb=Verb.RELOCATE, service=WEB, target=N2))

    before = list(moves.misplaced(away))
    moves.changed(asked, away, away)

    assert before == ["web is on node2, and its domain prefers node1"]
    assert list(moves.misplaced(away)) == []
    assert away.nodes[N1].status is NodeStatus.ONLINE


@pytest.mark.parametrize("leader", [ServiceState.STOPPED, ServiceState.DISABLED])
def test_who_must_be_with_one_that_waits_may_stay_where_it_is(leader: ServiceState) -> None:
    """Elsewhere it could not start."""
    moves = Moves(lambda *_given: None)
    cluster = cluster_of(running_world())
    led = replace(cluster.services[WEB].spec, terms=Terms(together=(Tie(service=MAIL),)))
    spec = replace(
        cluster.spec,
        domains={DOMAIN.name: replace(DOMAIN, nofailback=False)},
        services=(led, replace(led, name=MAIL, terms=Terms())),
    )
    web = replace(cluster.services[WEB], spec=led, owner=N2)
    mail = replace(web, spec=spec.services[1], state=leader, owner=None)
    away = replace(cluster, spec=spec, services={WEB: web, MAIL: mail})

    moves.changed(None, away, away)

    assert bool(list(moves.misplaced(away))) == (leader is ServiceState.DISABLED)
