# SPDX-License-Identifier: Apache-2.0
"""The tables of the comparison: targets are reckoned with the floor of the same rounds."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.peers import report
from benchmarks.peers.contestants import Rgmgr, cib
from benchmarks.peers.report import BEGIN, BY_HAND, END, OURS, PEER, Results, Run
from domains.model import NodeId
from rgmgr.config.load import loads
from rgmgr.lab.layout import plan


def run(who: str, fault: str = "", **samples: float) -> Run:
    named = {name.replace("_", " "): value for name, value in samples.items()}
    return Run(work="move", services=100, who=who, load=1.0, samples=named, fault=fault)


MOVED = "its stop begun to running there"


def results(*ours: float) -> Results:
    runs = [Run(work="move", services=100, who=OURS, load=2.0, samples={MOVED: v}, fault="")
            for v in ours]  # fmt: skip
    runs.append(run(PEER, **{MOVED.replace(" ", "_"): 2500.0}))
    runs.append(run(BY_HAND, **{MOVED.replace(" ", "_"): 100.0}))
    return Results({"machine": "two processors"}, runs)


def line_of(text: str) -> str:
    return next(line for line in text.splitlines() if line.startswith("| one service moved"))


def test_a_target_that_is_kept_is_met() -> None:
    cells = line_of(report.measured(results(120, 110, 900))).split(" | ")

    assert cells[1:] == ["120", "2,500", "20.8", "100", "150", "met |"]


def test_a_target_that_is_not_kept_is_told_as_well() -> None:
    assert line_of(report.measured(results(151))).endswith("| 150 | MISSED |")


def test_a_work_that_was_not_done_is_shown() -> None:
    text = report.tables([run(PEER, fault="12 of 100 run after 240 s")])

    assert "**Pacemaker: not done: 12 of 100 run after 240 s**" in text


def test_only_what_is_between_the_marks_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "doc.md"
    path.write_text(f"before\n{BEGIN}\nold\n{END}\nafter\n", encoding="utf-8")

    report.put_into(path, results(1))

    text = path.read_text(encoding="utf-8")
    assert text.startswith(f"before\n{BEGIN}\n* machine: two processors\n")
    assert text.endswith(f"{END}\nafter\n")
    assert "old" not in text


def test_a_document_without_marks_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "doc.md"
    path.write_text("nothing\n", encoding="utf-8")

    with pytest.raises(ValueError, match="has no lines"):
        report.put_into(path, results(1))


def test_what_is_kept_is_read_again(tmp_path: Path) -> None:
    path = tmp_path / "peers.json"
    assert report.load(path) == Results()
    report.save(path, results(1, 2))

    assert report.load(path) == results(1, 2)


@pytest.mark.parametrize("is_fencing", [False, True])
def test_both_are_told_of_the_same_services(is_fencing: bool) -> None:  # noqa: FBT001 - a parameter
    homes = {1: "", 2: "node1"}
    nodes = plan(3)
    text = Rgmgr(is_fencing=is_fencing).cluster_toml(nodes, homes)
    ids = {node.name: NodeId(node.number) for node in nodes}
    spec = loads(text, source="cluster.toml", node_ids=ids)

    assert [service.name for service in spec.services] == ["s1", "s2"]
    assert [service.domain for service in spec.services] == [None, "node1"]
    assert 'type="load@2"' in cib(homes)
    assert 'rsc="s2" node="node1"' in cib(homes)
