# SPDX-License-Identifier: Apache-2.0
"""The law of scripts: every fault there is can be written as a line, and is read as it was."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any, get_type_hints

from hypothesis import given
from hypothesis import strategies as st

from domains.model import NodeId, ServiceName
from rgmgr.core.spec import NodeSpec, ResourceName
from rgmgr.errors import ConfigError, Problem
from rgmgr.sim.draw import draw_script
from rgmgr.sim.faults import Ambush, Fault, Script
from rgmgr.sim.scenario import Scenario, parse, write
from rgmgr.sim.scenario_expect import FORMS
from rgmgr.sim.scenario_lines import Nodes, canonical, kinds, read_fault, split, write_fault
from tests.property.strategies import of, texts

TIME_MS_MAX = 10**9
SPEC = replace(
    draw_script(0, nodes=3).spec,
    nodes={
        NodeId(1): NodeSpec(name="node1"),
        NodeId(2): NodeSpec(name='odd,"|>#'),
        NodeId(3): NodeSpec(name="id:1"),
    },
)
NODES = Nodes.of(SPEC)
ids = st.sampled_from((1, 2, 3, 77)).map(NodeId)
times = st.integers(0, TIME_MS_MAX)
BY_HINT: dict[Any, st.SearchStrategy[Any]] = {
    int: st.integers(-(10**6), 10**6),
    int | None: st.none() | st.integers(0, 99),
    NodeId: ids,
    NodeId | None: st.none() | ids,
    ServiceName: texts.map(ServiceName),
    ServiceName | None: st.none() | texts.map(ServiceName),
    ResourceName: texts.map(ResourceName),
    tuple[NodeId, ...]: st.lists(ids, max_size=3).map(tuple),
    tuple[tuple[NodeId, ...], ...]: st.lists(st.lists(ids, max_size=3).map(tuple), max_size=3).map(
        tuple
    ),
    tuple[tuple[NodeId, NodeId], ...]: st.lists(st.tuples(ids, ids), max_size=3).map(tuple),
}


def of_kind(kind: type[Fault]) -> st.SearchStrategy[Any]:
    """Return faults of a class, by its fields alone."""
    hints = get_type_hints(kind)
    given_fields = {field.name: of_field(field.name, hints[field.name]) for field in fields(kind)}
    return st.builds(kind, **given_fields)


def of_field(name: str, hint: Any) -> st.SearchStrategy[Any]:
    if name == "strike":
        return strikes
    if name == "by_ms":
        return st.integers(-(10**15), 10**15)
    if name.endswith("_ms"):
        return times
    return BY_HINT[hint] if hint in BY_HINT else of(hint)


strikes = st.one_of(*(of_kind(kind) for kind in kinds().values() if kind is not Ambush))
faults: st.SearchStrategy[Fault] = (strikes | of_kind(Ambush)).map(canonical)


@given(faults)
def test_a_fault_is_read_as_it_was_written(fault: Fault) -> None:
    line = write_fault(fault, NODES)

    assert "\n" not in line
    assert read_fault(split(line), fault.at_ms, NODES) == fault


@given(st.integers(0, 400), st.none() | times)
def test_a_drawn_script_is_read_as_it_was_written(seed: int, until_ms: int | None) -> None:
    drawn = draw_script(seed)
    script = Script(
        seed=drawn.seed if until_ms else None,
        spec=drawn.spec,
        faults=tuple(map(canonical, drawn.faults)),
        is_two_node=seed % 2 == 1,
    )
    scenario = Scenario(script=script, is_calm=seed % 3 == 1, until_ms=until_ms or 0)

    assert parse(write(scenario), drawn.spec, "script") == scenario


@given(
    st.lists(
        st.sampled_from(("10s", "end", "expect", "power-loss", "node=node1", "for=5s", "ambush"))
        | st.sampled_from((":", "moment=install", "seed", "7", "until", "#", '"', "web", "is"))
        | st.sampled_from(tuple(FORMS))
        | st.text(max_size=6),
        max_size=12,
    ),
    st.sampled_from((" ", "\n")),
)
def test_whatever_is_written_is_understood_or_refused_with_the_line(
    parts: list[str], separator: str
) -> None:
    problems: tuple[Problem, ...] = ()
    try:
        parse(separator.join(parts), SPEC, "script")
    except ConfigError as error:
        problems = error.problems or (Problem("", ""),)

    assert all(problem.path.startswith("line ") and problem.problem for problem in problems)
