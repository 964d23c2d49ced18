# SPDX-License-Identifier: Apache-2.0
"""Scenarios: one behaviour each, as a text that a person can read and write.

    cluster ../three-nodes.toml
    10s  power-loss node=node1 for=15s
    20s  expect web is started on node2
    end  expect node1 fenced once

Lines begin with a time, or with a setting: `seed N` throws the dice of the world (without it
nothing is left to chance), `cluster FILE` names the configuration, `until TIME` keeps the world as
it is for longer, `two-node`, `tie-breaker`, `in-step` and `calm` are as in `Script` and `play`. All
here is pure; directories of scenarios are read and written by `rgmgr.scenarios`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from domains.model import ServiceName
from rgmgr.config.problems import shown
from rgmgr.core.spec import ClusterSpec
from rgmgr.core.tree import start_order
from rgmgr.errors import ConfigError, Problem
from rgmgr.sim.faults import (
    Ambush,
    ConfigChange,
    Fault,
    Script,
    UnitDeath,
    UnitStartedByHand,
    UnitStoppedByHand,
    UnitTrouble,
)
from rgmgr.sim.run import Outcome, play
from rgmgr.sim.scenario_expect import EXPECT, Checker, Expectation, read_expectation
from rgmgr.sim.scenario_lines import (
    LineError,
    Nodes,
    check_known,
    kinds,
    quoted,
    read_fault,
    read_time,
    split,
    write_fault,
    write_time,
)
from rgmgr.sim.trace import place_and_text, without_repeats
from rgmgr.sim.votes import TIE_BREAKERS, TieBreaker

CLUSTER_FILE = "cluster.toml"
END = "end"
CONFIG_CHANGE = "config-change"
SETTINGS = ("seed", "cluster", "until", "two-node", "tie-breaker", "in-step", "calm")
FLAGS = ("two-node", "in-step", "calm")
NOISE = ("sees ", "rgmgrd starts", "epoch ")
NOISE_ENDS = (" is up", " is down")


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """A script, what it must lead to, and until when it is watched.

    `is_calm`: from the first fault on no unit may change. `cluster`: the file of its configuration.
    """

    script: Script
    expectations: tuple[Expectation, ...] = ()
    until_ms: int = 0
    is_calm: bool = False
    cluster: str = CLUSTER_FILE

    @property
    def end_ms(self) -> int:
        """When the world is made whole."""
        times = [e.at_ms for e in self.expectations if e.at_ms is not None]
        return max(self.until_ms, self.script.end_ms, *times, 0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Played:
    """What became of a scenario: its outcome, and the expectations that were not met."""

    scenario: Scenario
    outcome: Outcome
    unmet: tuple[str, ...]

    @property
    def is_good(self) -> bool:
        """Whether all promises and all expectations were kept."""
        return self.outcome.is_good and not self.unmet


def play_scenario(scenario: Scenario, seed: int | None = None) -> Played:
    """Play a scenario; with a seed the world throws these dice instead of the scenario's."""
    script = scenario.script if seed is None else replace(scenario.script, seed=seed)
    checker = Checker(scenario.expectations)
    outcome = play(
        script,
        is_calm_from_first_fault=scenario.is_calm,
        until_ms=scenario.end_ms,
        prepare=checker.attach,
    )
    return Played(scenario=scenario, outcome=outcome, unmet=checker.finish())


# Reading.


def cluster_of(text: str) -> str:
    """Return the file that a script names as its configuration; mistakes are `parse`'s."""
    for _, words in _lines(text, []):
        if words[0] == "cluster" and len(words) > 1:
            return words[1]
    return CLUSTER_FILE


def parse(text: str, spec: ClusterSpec, source: str) -> Scenario:
    """Return what a script says of a cluster; `source` is what errors call it.

    Raises:
        ConfigError: with every line that says nothing.
    """
    problems: list[Problem] = []
    reader = _Reader(spec)
    for number, words in sorted(_lines(text, problems), key=lambda line: _turn(line[1])):
        try:
            reader.take(words, number)
        except LineError as error:
            problems.append(Problem(f"line {number}", error.text, error.hint))
    if problems:
        raise ConfigError(sorted(problems, key=lambda p: int(p.path.split()[1])), source)
    return reader.scenario()


def _turn(words: list[str]) -> int:
    """Return when a line is read: what adds services first, what is expected last."""
    return 2 if words[1:2] == [EXPECT] else int(words[1:2] != [CONFIG_CHANGE])


def _lines(text: str, problems: list[Problem]) -> Iterator[tuple[int, list[str]]]:
    """Yield the words of each line that has any, with its number."""
    for number, line in enumerate(text.splitlines(), start=1):
        try:
            words = split(line)
        except LineError as error:
            problems.append(Problem(f"line {number}", error.text, error.hint))
            continue
        if words:
            yield number, words


class _Reader:
    """Takes a script line by line."""

    def __init__(self, spec: ClusterSpec) -> None:
        self._spec = spec
        self._nodes = Nodes.of(spec)
        self._faults: dict[int, Fault] = {}  # by line
        self._expectations: list[Expectation] = []
        self._settings: dict[str, str] = {}

    def take(self, words: list[str], number: int) -> None:
        """Take one line, of this number.

        Raises:
            LineError: it says nothing.
        """
        if words[0] in SETTINGS:
            self._set(words)
            return
        if words[0] != END and not words[0][0].isdigit():
            check_known(SETTINGS, words[0], "setting (and no time, such as 10s)")
        at_ms = None if words[0] == END else read_time(words[0])
        if len(words) == 1:
            raise LineError(
                f"what is at {words[0]}?", "add a fault, or expect and what is expected"
            )
        if words[1] == EXPECT:
            expectation = read_expectation(words[2:], at_ms, self._nodes, self._services())
            self._expectations.append(expectation)
            return
        check_known((*kinds(), EXPECT), words[1], "fault")
        if at_ms is None:
            raise LineError("nothing can happen after the end", "give it a time, such as 10s")
        fault = read_fault(words[1:], at_ms, self._nodes)
        self._check_unit(fault.strike if isinstance(fault, Ambush) else fault)
        self._faults[number] = fault

    def _services(self) -> dict[ServiceName, None]:
        """Return every service there is or will be."""
        added = [
            f.service for f in self._faults.values() if isinstance(f, ConfigChange) and f.service
        ]
        return dict.fromkeys((*(s.name for s in self._spec.services), *added))

    def _check_unit(self, fault: Fault) -> None:
        """Refuse a unit that does not exist: a fault of it would silently do nothing."""
        if not isinstance(fault, UnitTrouble | UnitDeath | UnitStoppedByHand | UnitStartedByHand):
            return
        check_known(self._services(), fault.service, "service")
        trees = {s.name: [r.name for r in start_order(s)] for s in self._spec.services}
        known = trees.get(fault.service)
        if known and fault.service not in self._changed_services():
            check_known(known, fault.resource, f"resource of {fault.service}")

    def _changed_services(self) -> list[ServiceName | None]:
        return [f.service for f in self._faults.values() if isinstance(f, ConfigChange)]

    def _set(self, words: list[str]) -> None:
        name, *values = words
        if name in self._settings:
            raise LineError(f"{name} is set twice")
        is_flag = name in FLAGS
        if len(values) != (0 if is_flag else 1):
            raise LineError(f"{name} takes {'nothing' if is_flag else 'one word'} after it")
        if name == "seed" and not (values[0].isascii() and values[0].isdecimal()):
            raise LineError(f"expected a seed, 0 or more, got {shown(values[0])}")
        if name == "until":
            read_time(values[0])
        if name == "tie-breaker":
            check_known(TIE_BREAKERS, values[0], "tie breaker")
        self._settings[name] = values[0] if values else ""

    def scenario(self) -> Scenario:
        """Return all that was said."""
        said = self._settings
        in_order = [fault for _, fault in sorted(self._faults.items())]
        script = Script(
            seed=int(said["seed"]) if "seed" in said else None,
            spec=self._spec,
            faults=tuple(sorted(in_order, key=lambda fault: fault.at_ms)),
            is_two_node="two-node" in said,
            tie_breaker=TIE_BREAKERS.get(said.get("tie-breaker", ""), TieBreaker.NONE),
            keeps_step="in-step" in said,
        )
        return Scenario(
            script=script,
            expectations=tuple(self._expectations),
            until_ms=read_time(said["until"]) if "until" in said else 0,
            is_calm="calm" in said,
            cluster=said.get("cluster", CLUSTER_FILE),
        )


# Writing.


def write(scenario: Scenario) -> str:
    """Return the scenario as `parse` reads it."""
    script = scenario.script
    nodes = Nodes.of(script.spec)
    head = [
        *([f"seed {script.seed}"] if script.seed is not None else []),
        *([f"cluster {quoted(scenario.cluster)}"] if scenario.cluster != CLUSTER_FILE else []),
        *([f"until {write_time(scenario.until_ms)}"] if scenario.until_ms else []),
        *(["two-node"] if script.is_two_node else []),
        *(f"tie-breaker {word}" for word, tie in TIE_BREAKERS.items() if tie is script.tie_breaker),
        *(["in-step"] if script.keeps_step else []),
        *(["calm"] if scenario.is_calm else []),
    ]
    faults = [f"{write_time(f.at_ms)}  {write_fault(f, nodes)}" for f in script.faults]
    expected = [
        f"{END if e.at_ms is None else write_time(e.at_ms)}  {EXPECT} {e.text}"
        for e in scenario.expectations
    ]
    return "\n".join((*head, *faults, *expected)) + "\n"


# The story.


def story(played: Played) -> str:
    """Return what matters of what happened, from the first fault to the end of the last.

    Who sees whom, the beginning of daemons, and the end of what was begun are left out.
    """
    scenario, outcome = played.scenario, played.outcome
    faults = scenario.script.faults
    first_ms = faults[0].at_ms if faults else 0
    told = [
        f"{line.at_ms / 1000:6.1f}  {place_and_text(line, outcome.script.spec)}".rstrip()
        for line in without_repeats(outcome.trace.lines)
        if first_ms <= line.at_ms <= scenario.end_ms and not line.text().startswith(NOISE)
        if not line.text().endswith(NOISE_ENDS)
    ]
    return "\n".join(told) + "\n"
