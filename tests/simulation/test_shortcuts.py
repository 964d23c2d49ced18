# SPDX-License-Identifier: Apache-2.0
"""What saves time changes nothing: each short way is taken only where the long one ends alike."""

from __future__ import annotations

from random import Random

import pytest

from rgmgr.core import clockwork, digest, machine, placement
from rgmgr.core.actions import SetTimer
from rgmgr.core.evolve import replace
from rgmgr.core.lease import TICK_MS
from rgmgr.core.ledger import Ledger
from rgmgr.core.local import State, Turn
from rgmgr.core.model import ClusterState
from rgmgr.core.seating import online
from rgmgr.sim import watch
from rgmgr.sim.bounds import check_local, may_differ
from rgmgr.sim.engine import dice
from rgmgr.sim.run import simulate

SEEDS = (3, 16, 67, 108, 138)


def test_from_what_stays_quiet_nothing_would_have_followed(monkeypatch: pytest.MonkeyPatch) -> None:
    may_skip, skipped = machine._stays_quiet, 0

    def checked(turn: Turn) -> bool:
        nonlocal skipped
        is_skipped = may_skip(turn)
        if is_skipped:
            skipped += 1
            other = Turn(turn.before, turn.now_ms)
            other.cluster, other.local, other.fired_key = turn.cluster, turn.local, turn.fired_key
            machine._follow_up(other)
            assert (other.cluster, other.local) == (turn.cluster, turn.local)
            again = [] if turn.fired_key is None else [SetTimer(clockwork.TICK, TICK_MS)]
            assert other.actions == again
        return is_skipped

    monkeypatch.setattr(machine, "_stays_quiet", checked)

    assert all(simulate(seed=seed).is_good for seed in SEEDS)
    assert skipped > 1_000


def test_timers_that_are_not_looked_at_anew_are_those_wanted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    may_skip, skipped = clockwork.is_as_before, 0

    def checked(turn: Turn) -> bool:
        nonlocal skipped
        is_skipped = may_skip(turn)
        if is_skipped and not turn.local.is_over:
            skipped += 1
            able = online(turn.cluster)
            wanted = {**clockwork._own(turn, able), **clockwork._agreed(turn, able)}
            assert turn.local.timers.keys() == wanted.keys()
        return is_skipped

    monkeypatch.setattr(clockwork, "is_as_before", checked)

    assert all(simulate(seed=seed).is_good for seed in SEEDS)
    assert skipped > 100


def test_services_that_are_not_asked_would_have_stayed_as_they_are(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    short, skipped = placement.settle, 0

    def checked(ledger: Ledger) -> None:
        nonlocal skipped
        skipped += len(ledger.state.services) - len(placement._concerned(ledger))
        other = Ledger(ledger.state)
        other.before = replace(ledger.state, services={})  # so all are asked
        short(other)
        told = len(ledger.records)
        short(ledger)
        assert ledger.state == other.state
        assert ledger.records[told:] == other.records

    monkeypatch.setattr(placement, "settle", checked)

    assert all(simulate(seed=seed).is_good for seed in SEEDS)
    assert skipped > 1_000


def test_a_member_that_is_not_measured_anew_remembers_as_much_as_before(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    skipped = 0

    def checked(before: State, after: State) -> bool:
        nonlocal skipped
        is_needed = may_differ(before, after)
        if not is_needed:
            skipped += 1
            found = [list(check_local(s)) for s in (before, after)]
            assert found[0] == found[1]
        return is_needed

    monkeypatch.setattr(watch, "may_differ", checked)

    assert all(simulate(seed=seed).is_good for seed in SEEDS)
    assert skipped > 1_000


def test_a_digest_that_is_remembered_is_that_of_the_state(monkeypatch: pytest.MonkeyPatch) -> None:
    story = simulate(seed=SEEDS[0]).trace.digest()
    make = digest.digest

    def anew(state: ClusterState) -> str:
        remembered = make(state)
        for memory in (digest._states, digest._specs, digest._records):
            memory.clear()
        assert make(state) == remembered
        return remembered

    monkeypatch.setattr("rgmgr.core.sync.digest", anew)

    assert simulate(seed=SEEDS[0]).trace.digest() == story


@pytest.mark.parametrize("low", [0, -3, 17])
def test_dice_fall_as_those_of_python(low: int) -> None:
    ours, theirs = dice(7, "test"), Random("7/test")  # noqa: S311  # to compare with

    for high in (low, low + 1, low + 2, low + 6, low + 1_023, low + 1_024, low + 10**12):
        assert ours.randint(low, high) == theirs.randint(low, high)
    assert ours.random() == theirs.random()


def test_dice_without_sides_are_an_error() -> None:
    with pytest.raises(ValueError, match="between 2 and 1"):
        dice(1, "test").randint(2, 1)
