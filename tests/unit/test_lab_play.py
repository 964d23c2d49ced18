# SPDX-License-Identifier: Apache-2.0
"""What the lab makes of a scenario, as far as no lab is needed to tell."""

from __future__ import annotations

from pathlib import Path

import pytest

from domains.model import NodeId
from rgmgr.config.load import loads
from rgmgr.core.tree import start_order
from rgmgr.lab.beats import Span, overlaps, spans
from rgmgr.lab.deeds import Deeds, impossible
from rgmgr.lab.errors import LabError
from rgmgr.lab.lab import Lab
from rgmgr.lab.layout import plan
from rgmgr.lab.play import Simulated
from rgmgr.lab.scene import beats_files, cluster_toml, template, unit_of
from rgmgr.sim.scenario import Scenario, parse
from rgmgr.sim.story import demo_script

SPEC = demo_script().spec
MS = 1_000_000


def scenario(text: str) -> Scenario:
    return parse(text, SPEC, "script")


def beats(*times_ms: int, process: int = 7) -> str:
    return "".join(f"{ms * MS} {process}\n" for ms in times_ms)


def test_a_silence_ends_a_span() -> None:
    found = spans("node1", beats(1_000, 1_200, 1_400, 9_000, 9_200), since_us=0)

    assert found == [Span("node1", 1_000_000, 1_400_000), Span("node1", 9_000_000, 9_200_000)]


def test_another_process_is_another_life() -> None:
    text = beats(1_000, 1_200) + beats(1_900, 2_100, process=8)

    assert spans("node1", text, since_us=0) == [
        Span("node1", 1_000_000, 1_200_000),
        Span("node1", 1_900_000, 2_100_000),
    ]


def test_what_was_before_does_not_count() -> None:
    assert spans("node1", beats(1_000, 9_000), since_us=5_000_000) == [
        Span("node1", 9_000_000, 9_000_000)
    ]


def test_a_line_that_was_cut_off_by_the_loss_of_power_is_no_harm() -> None:
    assert spans("node1", "12\x00\n\n5000000000 7\n5000", since_us=0) == [
        Span("node1", 5_000_000, 5_000_000)
    ]


def test_only_two_nodes_overlap() -> None:
    one, same = Span("node1", 0, 10), Span("node1", 5, 15)
    other, later = Span("node2", 10, 20), Span("node2", 21, 30)

    assert overlaps([one, same, other, later]) == [(one, other), (same, other)]


def test_the_lab_has_its_own_devices_and_units_and_nothing_else_is_changed() -> None:
    spec = loads(cluster_toml(SPEC, plan(3)), source="x", node_ids=None)

    assert [n.fence[0][0].device for n in spec.nodes.values()] == ["ipmi1", "ipmi2", "ipmi3"]
    assert all(device.agent == "fence_ipmi" for device in spec.fencing.devices.values())
    assert {r.parameters["unit"] for r in start_order(spec.services[0])} == {
        unit_of("web", r.name) for r in start_order(SPEC.services[0])
    }
    assert spec.domains == SPEC.domains
    assert spec.services[0].recovery is SPEC.services[0].recovery
    assert spec.fencing.verb is SPEC.fencing.verb


def test_other_nodes_than_the_lab_has_are_refused() -> None:
    with pytest.raises(LabError, match=r"the scenario has the nodes node1, node2, node3"):
        cluster_toml(SPEC, plan(2))


def test_a_played_unit_writes_where_it_is_read() -> None:
    files = [file for _, file in beats_files(SPEC)]

    assert files == [
        "var/lib/played/web-address",
        "var/lib/played/web-data",
        "var/lib/played/web-nginx",
    ]
    assert "/var/lib/played/%i;" in template()


def test_what_the_lab_cannot_do_is_told(tmp_path: Path) -> None:
    played = scenario(
        "1s power-loss node=node1 for=5s\n"
        "2s device-trouble node=node1 device=lies for=5s\n"
        "3s clock-jump node=node1 by=5s\n"
        "4s ambush node=node1 moment=start for=9s : power-loss node=node1 for=1s\n"
    )

    found = impossible(Deeds(Lab(tmp_path), SPEC), played.script.faults, SPEC)

    assert len(found) == 3
    assert "says off and does nothing" in found[0]


def test_a_fault_has_a_beginning_and_an_end(tmp_path: Path) -> None:
    [fault] = scenario("1s partition sides=node1|node2,node3 for=5s\n").script.faults

    deeds = Deeds(Lab(tmp_path), SPEC).of(fault)

    assert [deed.at_ms for deed in deeds] == [1_000, 1_000, 6_000]
    assert deeds[-1].words == "the network is whole again"


def test_the_simulator_says_where_it_begins_and_ends() -> None:
    simulated = Simulated(scenario("20s power-loss node=node1 for=15s\nuntil 40s\n"))

    simulated.run()

    assert simulated.begin == {"web": ("started", "node1")}
    assert simulated.end == {"web": ("started", "node2")}
    assert simulated.fenced == {"node1"}


def test_a_failed_service_is_compared_before_an_operator_mends_it() -> None:
    text = (
        "19s unit-trouble node=node1 service=web resource=nginx mood=stop-fails for=21s\n"
        f"20s ask node=node{NodeId(2)} verb=relocate service=web target=node3\n"
    )
    simulated = Simulated(scenario(text))

    simulated.run()

    assert simulated.end["web"][0] == "failed"
