# SPDX-License-Identifier: Apache-2.0
"""Every verb that changes something asks why, and the history keeps the answer."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import click
import pytest
from click.testing import CliRunner

from rgmgr.cli.main import cli
from rgmgr.cli.orders import classic_standby, classic_takeover
from rgmgr.core.events import Requested
from rgmgr.core.messages import (
    FenceOrder,
    MaintenanceOrder,
    MaintenanceRequest,
    Request,
    Verb,
)
from rgmgr.core.model import Decision
from tests.unit.cli_status import FakeDaemon, healthy
from tests.unit.core_cluster import N1, N2, N3, WEB, Cluster, formed

READS_ONLY = {
    *("audit", "completion", "corosync-conf", "doctor", "explain", "history", "incident", "is"),
    *("lab", "sim", "status", "tree", "wait", "what-if"),  # nothing of the cluster that runs
    *("config check", "fence agents", "fence describe", "fence history", "fence test"),
    *("resource describe", "resource list"),
}
CHANGES = {
    **{verb.value: (verb.value, "web") for verb in Verb},
    Verb.MIGRATE.value: ("migrate", "web", "node2"),
    Verb.CONFIRM.value: ("takeover", "confirm", "web"),
    Verb.REFUSE.value: ("takeover", "refuse", "web"),
    **{order.value: (order.value,) for order in MaintenanceOrder},
    MaintenanceOrder.DISARM.value: ("disarm", "--for", "5min"),
    MaintenanceOrder.STANDBY.value: ("node", "standby", "node2"),
    MaintenanceOrder.UNSTANDBY.value: ("node", "unstandby", "node2"),
    "fence fence": ("fence", "node3", "--yes"),
    "fence off": ("fence", "node3", "--off", "--yes"),
    "fence ack": ("fence", "ack", "node3", "--yes"),
    "fence cancel": ("fence", "cancel", "node3"),
}
"""How everything that an operator can ask of the members is typed."""


def verbs(command: click.Command = cli, words: str = "") -> Iterator[tuple[str, click.Command]]:
    """Yield every verb with its words; a group of which we know nothing counts as one."""
    if not isinstance(command, click.Group) or words in READS_ONLY:
        yield words, command
        return
    context = click.Context(command)
    for name in command.list_commands(context):
        below = command.get_command(context, name)
        assert below is not None
        yield from verbs(below, f"{words} {name}".strip())


VERBS = list(verbs())


@pytest.mark.parametrize(("words", "command"), VERBS, ids=[words for words, _ in VERBS])
def test_a_verb_reads_only_or_asks_why(words: str, command: click.Command) -> None:
    asks_why = any("--because" in parameter.opts for parameter in command.params)

    assert asks_why is (words not in READS_ONLY)


def test_the_table_has_all_that_can_be_asked() -> None:
    fence = {f"fence {order.value}" for order in FenceOrder if order is not FenceOrder.TEST}

    assert set(CHANGES) == {*(v.value for v in Verb), *(o.value for o in MaintenanceOrder), *fence}


@pytest.mark.parametrize("asked", CHANGES)
def test_the_reason_reaches_the_daemon(asked: str) -> None:
    daemon = FakeDaemon(healthy())

    result = CliRunner().invoke(cli, [*CHANGES[asked], "--because", "CHG-123"], obj=daemon)

    assert result.exit_code == 0, result.output
    assert [said[0] for said in daemon.asked] == [asked]
    assert "CHG-123" in (*daemon.reasons, *(terms.because for terms in daemon.ordered))


@pytest.mark.parametrize("command", [classic_standby, classic_takeover])
def test_the_names_of_heartbeat_ask_why_as_well(command: click.Command) -> None:
    assert any("--because" in parameter.opts for parameter in command.params)


BEGUN_BY = {
    MaintenanceOrder.UNSTANDBY: MaintenanceOrder.STANDBY,
    MaintenanceOrder.ARM: MaintenanceOrder.DISARM,
    MaintenanceOrder.UNLOCK: MaintenanceOrder.LOCK,
}
LONG_MS = 3_600_000


def history(cluster: Cluster) -> tuple[Decision, ...]:
    return cluster.states[N2].cluster.history


def test_the_history_keeps_why_a_node_was_fenced() -> None:
    cluster = formed()

    cluster.ask_fence(N1, FenceOrder.OFF, N3, because="smoke")

    (entry,) = (e.facts for e in history(cluster) if e.facts.get("request") == "fence off")
    assert (entry["user"], entry["because"], entry["node"]) == ("alice", "smoke", "node3")
    case = cluster.states[N1].cluster.cases[-1]
    assert case.cause == "asked for by alice: smoke"


def test_the_history_keeps_why_a_service_was_asked_for() -> None:
    cluster = formed()

    for number, verb in enumerate(Verb, start=1):
        request = Request(number=number, verb=verb, service=WEB, by="alice", because=f"as {number}")
        cluster.feed(N1, Requested(request))
        cluster.settle()

    kept_by_verb = {entry.facts.get("request"): entry.facts for entry in history(cluster)}
    for number, verb in enumerate(Verb, start=1):
        assert kept_by_verb[verb.value]["because"] == f"as {number}"


@pytest.mark.parametrize("order", MaintenanceOrder)
def test_the_history_keeps_why_an_order_was_given_or_ended(order: MaintenanceOrder) -> None:
    cluster = formed()
    is_of_node = order in (MaintenanceOrder.STANDBY, MaintenanceOrder.UNSTANDBY)
    asked = MaintenanceRequest(
        number=1, order=order, by="alice", node=N3 if is_of_node else None, because="CHG-9"
    )
    if begun := BEGUN_BY.get(order):
        before = replace(asked, order=begun, because="", for_ms=LONG_MS)
        cluster.feed(N1, Requested(before))
        cluster.settle()

    cluster.feed(N1, Requested(replace(asked, number=2, for_ms=0 if begun else LONG_MS)))
    cluster.settle()

    assert any("CHG-9" in " ".join(entry.facts.values()) for entry in history(cluster))
