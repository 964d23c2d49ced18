# SPDX-License-Identifier: Apache-2.0
"""Each fault alone: it must do to the simulated world what it says, and end again.

Told on a cluster of three that has come to rest, by what its nodes see and do.
"""

from __future__ import annotations

from dataclasses import replace
from typing import get_args

import pytest

from domains.model import NodeId, ServiceName
from rgmgr.core.messages import PROTOCOL_MAX, PROTOCOL_MIN, Verb
from rgmgr.core.spec import FenceVerb, NoQuorumPolicy, ResourceName
from rgmgr.sim.bunches import PAIRS
from rgmgr.sim.disk import Damage, DiskMood
from rgmgr.sim.edits import ALONE, Edit, edited
from rgmgr.sim.engine import dice
from rgmgr.sim.faults import (
    MOMENTS,
    Ambush,
    Ask,
    AskMaintenance,
    ClockJump,
    ConfigChange,
    CorosyncRestart,
    DaemonCrash,
    DaemonStop,
    DeviceTrouble,
    DeviceUnreachable,
    DiskTrouble,
    NoAnswer,
    NodeShutdown,
    NodeSuspend,
    Partition,
    PowerLoss,
    SlowDaemon,
    SlowSystemd,
    StateDamaged,
    Strike,
    SystemdLost,
    UnitStartedByHand,
    UnitStoppedByHand,
    UnitTrouble,
    Upgrade,
    duration_ms,
)
from rgmgr.sim.moments import Moment
from rgmgr.sim.phases import Mood, Phase
from rgmgr.sim.power import Device
from rgmgr.sim.troubles import MAKERS
from rgmgr.sim.words import in_words
from tests.simulation.fault_lab import ALL, DATA, EXTRA, FIRST_MS, N1, N2, N3, SPEC, WEB, Lab

NEWER = PROTOCOL_MAX + 1

# Nodes and processes.


@pytest.mark.parametrize("does_clock_stop", [True, False])
def test_a_suspended_node_does_nothing_and_goes_on_where_it_was(does_clock_stop: bool) -> None:  # noqa: FBT001 - a parameter of the test
    lab = Lab(
        Ask(at_ms=FIRST_MS, node=N1, verb=Verb.RESTART, service=WEB),
        NodeSuspend(at_ms=FIRST_MS + 2, node=N1, for_ms=1_500, does_clock_stop=does_clock_stop),
    )
    host = lab.world.hosts[N1]
    lab.until(FIRST_MS + 10)
    clock_ms, changes = host.clock_ms, lab.world.watch.unit_changes
    lab.until(FIRST_MS + 1_500)
    slept_changes = lab.world.watch.unit_changes
    lab.until(FIRST_MS + 1_502)
    passed_ms = host.clock_ms - clock_ms
    lab.until(FIRST_MS + 9_000)

    assert slept_changes == changes
    assert passed_ms < 20 if does_clock_stop else passed_ms >= 1_490
    assert lab.phase(N1) is Phase.ACTIVE
    assert lab.violations() == []


def test_a_node_that_is_shut_down_says_goodbye_first_and_boots_later() -> None:
    lab = Lab(NodeShutdown(at_ms=FIRST_MS, node=N1, for_ms=4_000))
    boots = lab.world.hosts[N1].boots
    lab.until(FIRST_MS + 20_000)

    assert "node1 says goodbye" in lab.story()
    assert lab.world.hosts[N1].boots == boots + 1
    assert lab.world.watch.fences == 0


def test_corosync_is_restarted_after_rgmgrd_has_left_and_both_come_back() -> None:
    lab = Lab(CorosyncRestart(at_ms=FIRST_MS, node=N2))
    ring = lab.world.bus.stations[N2].ring
    lab.until(FIRST_MS + 15_000)

    assert "node2 says goodbye" in lab.story()
    assert lab.world.bus.stations[N2].ring is not ring
    assert lab.members(N2) == ALL
    assert lab.world.hosts[N2].daemon is not None


def test_a_slow_daemon_gets_every_event_late_and_in_order() -> None:
    lab = Lab(
        SlowDaemon(at_ms=FIRST_MS, node=N1, delay_ms=1_000, for_ms=6_000),
        Ask(at_ms=FIRST_MS + 100, node=N1, verb=Verb.RESTART, service=WEB),
    )
    lab.until(FIRST_MS + 101)
    is_behind = lab.world.hosts[N1].is_behind
    lab.until(FIRST_MS + 30_000)

    assert is_behind
    assert lab.phase(N1) is Phase.ACTIVE
    assert lab.violations() == []


def test_a_wall_clock_that_jumps_changes_nothing_at_all() -> None:
    jump = ClockJump(at_ms=FIRST_MS, node=N1, by_ms=-288_000)
    lab, calm = Lab(jump), Lab()
    lab.until(FIRST_MS + 20_000)
    calm.until(FIRST_MS + 20_000)

    rest = [line for line in lab.story().splitlines() if "wall clock" not in line]
    assert rest == calm.story().splitlines()


def test_an_upgrade_restarts_rgmgrd_with_other_protocols_and_moves_nothing() -> None:
    lab = Lab(Upgrade(at_ms=FIRST_MS, node=N1, protocol_min=PROTOCOL_MIN, protocol_max=NEWER))
    changes = lab.world.watch.unit_changes
    lab.until(FIRST_MS + 10_000)

    assert lab.world.hosts[N1].protocols == (PROTOCOL_MIN, NEWER)
    assert "rgmgrd starts" in lab.story()
    assert lab.world.watch.unit_changes == changes


def test_members_speak_the_newest_protocol_that_all_of_them_speak() -> None:
    lab = Lab(
        *(
            Upgrade(
                at_ms=FIRST_MS + i * 3_000, node=node, protocol_min=PROTOCOL_MIN, protocol_max=NEWER
            )
            for i, node in enumerate(ALL)
        ),
    )

    def spoken() -> set[int]:
        daemons = [host.daemon for host in lab.world.hosts.values()]
        return {daemon.state.local.protocol for daemon in daemons if daemon is not None}

    lab.until(FIRST_MS + 5_900)
    mixed = spoken()
    lab.until(FIRST_MS + 15_000)

    assert (mixed, spoken()) == ({PROTOCOL_MAX}, {NEWER})
    assert lab.violations() == []


def test_a_version_that_is_too_new_for_the_others_ends_and_moves_nothing_by_itself() -> None:
    lab = Lab(Upgrade(at_ms=FIRST_MS, node=N1, protocol_min=NEWER, protocol_max=NEWER))
    lab.until(FIRST_MS + 10_000)

    assert "sync.refused" in lab.journal()
    assert lab.world.hosts[N1].daemon is None
    assert lab.phase(N1) is Phase.ACTIVE
    assert lab.violations() == []


# Fence devices and disks.


def dark(node: NodeId) -> PowerLoss:
    return PowerLoss(at_ms=FIRST_MS, node=node, for_ms=120_000)


def test_a_device_that_one_node_does_not_reach_is_asked_by_the_next() -> None:
    lab = Lab(
        DeviceUnreachable(at_ms=FIRST_MS, node=N1, victim=N3, for_ms=60_000),
        dark(N3),
    )
    lab.until(FIRST_MS + 15_000)

    assert "fencing node3 brought no proof: device not reachable" in lab.story()
    assert "proof that node3 is down" in lab.story()
    assert "node2 is to fence node3, attempt 2" in lab.story()


def test_a_device_that_says_failed_has_switched_off_all_the_same() -> None:
    frozen = Partition(at_ms=FIRST_MS, sides=((N1,), (N2, N3)), for_ms=60_000)
    lab = Lab(
        DeviceTrouble(at_ms=FIRST_MS, node=N1, device=Device.SAYS_FAILED, for_ms=60_000), frozen
    )
    lab.until(FIRST_MS + 6_000)

    assert "fencing node1 brought no proof" in lab.story()
    assert "node1  is switched off" in lab.story()
    assert "web is given" not in lab.story()


def test_what_a_lying_device_makes_run_twice_is_the_devices_and_is_told() -> None:
    """A freeze policy keeps the cut-off owner running; the device says that it is off."""
    cluster = replace(
        SPEC,
        no_quorum_policy=NoQuorumPolicy.FREEZE,
        fencing=replace(SPEC.fencing, verb=FenceVerb.OFF),
    )
    lab = Lab(
        DeviceTrouble(at_ms=FIRST_MS, node=N1, device=Device.LIES, for_ms=60_000),
        Partition(at_ms=FIRST_MS, sides=((N1,), (N2, N3)), for_ms=15_000),
        cluster=cluster,
    )
    lab.until(FIRST_MS + 12_000)

    assert lab.phase(N1) is Phase.ACTIVE
    assert lab.phase(N2) is Phase.ACTIVE
    assert "node1  is said to be off and is not" in lab.story()
    assert lab.violations() == []


def test_a_full_disk_takes_nothing_and_everything_once_there_is_room() -> None:
    lab = Lab(
        DiskTrouble(at_ms=FIRST_MS, node=N1, trouble=DiskMood.FULL, for_ms=6_000),
        Ask(at_ms=FIRST_MS + 100, node=N2, verb=Verb.DISABLE, service=WEB),
    )
    lab.until(FIRST_MS + 5_900)
    full = lab.world.hosts[N1].disk.saved
    lab.until(FIRST_MS + 20_000)
    saved = lab.world.hosts[N1].disk.saved

    assert full is not None
    assert saved is not None
    assert full.services[WEB].state.value != "disabled"
    assert saved.services[WEB].state.value == "disabled"


def test_a_disk_that_gives_errors_lets_no_daemon_start() -> None:
    lab = Lab(
        DiskTrouble(at_ms=FIRST_MS, node=N2, trouble=DiskMood.FAILS, for_ms=8_000),
        DaemonCrash(at_ms=FIRST_MS, node=N2, for_ms=1_000),
    )
    lab.until(FIRST_MS + 7_900)
    early = lab.world.hosts[N2].daemon
    lab.until(FIRST_MS + 12_000)

    assert early is None
    assert lab.world.hosts[N2].daemon is not None


@pytest.mark.parametrize("damage", list(Damage))
def test_a_spoilt_state_file_is_as_good_as_none_and_the_node_asks_the_others(
    damage: Damage,
) -> None:
    lab = Lab(
        Ask(at_ms=FIRST_MS, node=N1, verb=Verb.DISABLE, service=WEB),
        PowerLoss(at_ms=FIRST_MS + 3_000, node=N1, for_ms=3_000),
        StateDamaged(at_ms=FIRST_MS + 4_000, node=N1, damage=damage),
    )
    lab.until(FIRST_MS + 4_001)
    spoilt = lab.world.hosts[N1].disk.saved
    lab.until(FIRST_MS + 20_000)
    daemon = lab.world.hosts[N1].daemon

    assert (spoilt is None) is (damage is not Damage.OLD)
    assert daemon is not None
    assert daemon.state.cluster.services[WEB].state.value == "disabled"


# Units and systemd.


def test_a_unit_stopped_by_hand_is_a_failure_of_its_service() -> None:
    lab = Lab(UnitStoppedByHand(at_ms=FIRST_MS, node=N1, service=WEB, resource=DATA))
    lab.until(FIRST_MS + 9_000)

    assert "was stopped by somebody else" in lab.story()


def test_a_unit_started_by_hand_on_another_node_is_not_held_against_rgmgr() -> None:
    lab = Lab(
        UnitStartedByHand(at_ms=FIRST_MS, node=N2, service=WEB, resource=DATA),
        DaemonCrash(at_ms=FIRST_MS - 500, node=N2, for_ms=3_000),
    )
    lab.until(FIRST_MS + 1_000)

    assert (lab.phase(N1), lab.phase(N2)) == (Phase.ACTIVE, Phase.ACTIVE)
    assert lab.violations() == []


def test_a_masked_unit_fails_to_start_at_once_and_never_runs() -> None:
    masked = [
        UnitTrouble(
            at_ms=FIRST_MS, node=n, service=WEB, resource=DATA, mood=Mood.MASKED, for_ms=60_000
        )
        for n in ALL
    ]
    lab = Lab(*masked, Ask(at_ms=FIRST_MS + 100, node=N1, verb=Verb.RESTART, service=WEB))
    lab.until(FIRST_MS + 9_000)

    assert "data does not start: masked" in lab.story()
    assert "data starts" not in lab.story()


def test_without_systemd_a_start_waits_and_a_stop_goes_round_the_bus() -> None:
    lab = Lab(
        SystemdLost(at_ms=FIRST_MS, node=N1, for_ms=6_000),
        Ask(at_ms=FIRST_MS + 100, node=N1, verb=Verb.RESTART, service=WEB),
    )
    lab.until(FIRST_MS + 5_900)
    early = lab.story()
    lab.until(FIRST_MS + 40_000)

    assert "nginx stops" in early
    assert "address starts" not in early
    assert lab.phase(N1) is Phase.ACTIVE


def test_without_systemd_failures_are_heard_of_when_it_is_back() -> None:
    lab = Lab(
        SystemdLost(at_ms=FIRST_MS, node=N1, for_ms=5_000),
        UnitStoppedByHand(at_ms=FIRST_MS + 500, node=N1, service=WEB, resource=DATA),
    )
    lab.until(FIRST_MS + 4_900)
    early = lab.journal()
    lab.until(FIRST_MS + 5_100)

    assert "service.failed" not in early
    assert "service.failed" in lab.journal()


def test_a_slow_systemd_answers_late() -> None:
    ask = Ask(at_ms=FIRST_MS + 100, node=N1, verb=Verb.RESTART, service=WEB)
    slow = Lab(SlowSystemd(at_ms=FIRST_MS, node=N1, delay_ms=3_000, for_ms=30_000), ask)
    quick = Lab(ask)
    slow.until(FIRST_MS + 40_000)
    quick.until(FIRST_MS + 40_000)

    def answered_s(lab: Lab) -> float:
        (line,) = [line for line in lab.story().splitlines() if "answers request" in line]
        return float(line.split()[0])

    assert answered_s(slow) > answered_s(quick) + 1


# Configuration.


def test_a_changed_file_is_read_at_once_or_at_the_next_start() -> None:
    change = ConfigChange(
        at_ms=FIRST_MS, nodes=(N2,), version=2, edit=Edit.ADD_SERVICE, service=EXTRA
    )
    lab = Lab(change)
    late = Lab(
        replace(change, is_loaded=False), DaemonCrash(at_ms=FIRST_MS + 5_000, node=N2, for_ms=500)
    )
    lab.until(FIRST_MS + 3_000)
    late.until(FIRST_MS + 4_900)
    early = late.journal()
    late.until(FIRST_MS + 9_000)

    assert "extra runs on" in lab.story()
    assert "config.adopted" not in early
    assert "extra runs on" in late.story()


def test_each_edit_makes_another_text_of_the_version_it_is_told() -> None:
    (web,) = SPEC.services
    vip = replace(web.resources[0], name=ResourceName("own"), parameters={"address": ALONE[0]})
    other = replace(web, name=ServiceName("other"))
    with_address = (replace(web, resources=(*web.resources, replace(vip, children=()))), other)
    bases = {
        Edit.ADD_NODE: edited(SPEC, Edit.REMOVE_NODE, version=2, node=N3),
        Edit.MOVE_ADDRESS: replace(SPEC, services=with_address),
    }
    for edit in Edit:
        name = EXTRA if edit is Edit.ADD_SERVICE else WEB
        base = bases.get(edit, SPEC)
        text = edited(base, edit, version=7, service=name, node=N3, first=SPEC)

        assert text.version == 7
        assert text.digest != base.digest
        is_other = replace(text, version=base.version, digest=base.digest) != base
        assert is_other is (edit not in (Edit.NOTHING, Edit.REORDER))


def test_a_node_that_is_removed_leaves_its_domains_and_comes_back_to_them() -> None:
    """No text names an unknown node in a domain, nor leaves a domain empty: none would load it."""
    (domain,) = SPEC.domains
    alone = replace(SPEC.domains[domain], priorities={N3: 1})
    bound = replace(SPEC, domains={**SPEC.domains, "only": alone})

    without = edited(SPEC, Edit.REMOVE_NODE, version=2, node=N3, first=SPEC)
    again = edited(without, Edit.ADD_NODE, version=3, node=N3, first=SPEC)
    refused = edited(bound, Edit.REMOVE_NODE, version=2, node=N3, first=bound)

    assert set(without.domains[domain].priorities) == {N1, N2}
    assert again.domains == SPEC.domains
    assert refused.nodes == bound.nodes
    assert refused.domains == bound.domains


def test_two_texts_of_one_version_are_told_apart() -> None:
    lab = Lab(
        ConfigChange(at_ms=FIRST_MS, nodes=(N1,), version=2, edit=Edit.NOTHING),
        ConfigChange(at_ms=FIRST_MS, nodes=(N2,), version=2, edit=Edit.REORDER),
    )
    lab.until(FIRST_MS + 3_000)

    assert "config.mismatched" in lab.journal()


# Ambushes and words.


@pytest.mark.parametrize("moment", list(Moment))
def test_an_ambush_strikes_at_each_moment(moment: Moment) -> None:
    """All of them come when the owner of a service is lost and another one leaves."""
    lab = Lab(
        *(
            Ambush(
                at_ms=FIRST_MS,
                node=node,
                moment=moment,
                strike=ClockJump(at_ms=0, node=node, by_ms=1),
                for_ms=60_000,
            )
            for node in ALL
        ),
        dark(N1),
        DaemonStop(at_ms=FIRST_MS + 15_000, node=N2, for_ms=20_000),
    )
    lab.until(FIRST_MS + 40_000)

    struck = [
        line
        for line in lab.story().splitlines()
        if "wall clock jump" in line and "when" not in line
    ]
    assert struck


def test_every_fault_has_words_and_a_length() -> None:
    """What a new fault lacks is seen here and not in the middle of a story."""
    known = set(get_args(Strike))
    lengthless = {kind for kind in known if "for_ms" not in kind.__dataclass_fields__}

    assert set(MOMENTS) == lengthless | {AskMaintenance}, "its `for_ms` is the order's, not its own"
    rolls = dice(1, "words")
    drawn = [maker(rolls, SPEC, 0) for _, maker in MAKERS for _ in range(20)]
    bunches = [fault for bunch in PAIRS for _ in range(20) for fault in bunch(rolls, SPEC, 0)]
    for fault in (*drawn, *bunches):
        words = in_words(fault, SPEC)
        assert words
        assert "{" not in words
        assert duration_ms(fault) >= 0
    own_dice = {
        AskMaintenance,
        NoAnswer,
    }  # drawn from streams of their own
    assert {type(fault) for fault in (*drawn, *bunches)} == (known | {Ambush}) - own_dice
