# SPDX-License-Identifier: Apache-2.0
"""What a scenario expects, in words: `20s expect web is started on node2`.

Each form is a pattern, whose capitals stand for what is named, and a check. What is agreed is asked
of the member that knows most; what really runs, of systemd (`history.py`). Counts are of the
whole run so far.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from functools import partial
from itertools import pairwise

from domains.model import NodeId, ServiceName
from rgmgr.config.problems import shown
from rgmgr.core.actions import Answer
from rgmgr.core.model import ClusterState, NodeStatus, ServiceState
from rgmgr.core.placement import because
from rgmgr.sim.history import History
from rgmgr.sim.scenario_lines import (
    LineError,
    Nodes,
    check_known,
    one_of,
    quoted,
    read_time,
    word_of,
)
from rgmgr.sim.systemd import active_services
from rgmgr.sim.world import World

EXPECT = "expect"
LOST = "lost"
OPEN = "open"
_COUNTS = {"never": 0, "once": 1, "twice": 2}
_STATES = {state.value: state for state in ServiceState}
_STATUSES = {status.value: status for status in NodeStatus}
_ANSWERS = {word_of(answer): answer for answer in Answer}


@dataclass(frozen=True, slots=True)
class Facts:
    """The words that stand for the capitals of a form, with what gives them a meaning."""

    words: tuple[str, ...]
    nodes: Nodes

    def service(self) -> ServiceName:
        """The service it begins with."""
        return ServiceName(self.words[0])

    def node(self, index: int = 0) -> NodeId:
        """The node that a word names."""
        return self.nodes.read(self.words[index])

    def count(self) -> int:
        """The count it ends with."""
        return _count(self.words[-1])


@dataclass(frozen=True, slots=True)
class Expectation:
    """Something that must be so at a time; None: when all has come to rest at the end."""

    at_ms: int | None
    form: str
    facts: Facts

    @property
    def text(self) -> str:
        """The words of the script."""
        values = iter(self.facts.words)
        return " ".join(
            _written(word, next(values)) if word.isupper() else word for word in self.form.split()
        )


Check = Callable[[History, Facts], str | None]  # what is instead; None: it is so


def read_expectation(
    words: list[str], at_ms: int | None, nodes: Nodes, services: Collection[str]
) -> Expectation:
    """Return the expectation that words name.

    Raises:
        LineError: they name none.
    """
    joined = _join_times(words)
    error: LineError | None = None
    for form in FORMS:
        try:
            if (values := _match(form, joined, nodes, services)) is not None:
                return Expectation(at_ms, form, Facts(values, nodes))
        except LineError as mistake:
            error = error or mistake
    forms = "; ".join(FORMS)
    raise error or LineError(f"nothing of this kind can be expected; what can be: {forms}")


def _join_times(words: list[str]) -> list[str]:
    """Make one word of `3 times`."""
    if len(words) > 1 and words[-1] == "times" and words[-2].isdecimal():
        return [*words[:-2], f"{int(words[-2])} times"]
    return words


def _match(
    form: str, words: list[str], nodes: Nodes, services: Collection[str]
) -> tuple[str, ...] | None:
    """Return what stands for the capitals; None when the small words are others.

    Raises:
        LineError: the small words fit, and what stands for the capitals does not.
    """
    pattern = form.split()
    pairs = list(zip(pattern, words, strict=False))
    if len(pattern) != len(words) or any(p != w for p, w in pairs if not p.isupper()):
        return None
    for capital, word in pairs:
        if capital.isupper():
            _check_word(capital, word, nodes, services)
    return tuple(word for capital, word in pairs if capital.isupper())


def _check_word(capital: str, word: str, nodes: Nodes, services: Collection[str]) -> None:
    match capital:
        case "SERVICE":
            check_known(services, word, "service")
        case "NODE":
            nodes.read(word)
        case "STATE":
            check_known(_STATES, word, "state of a service")
        case "STATUS":
            check_known(_STATUSES, word, "state of a node")
        case "ANSWER":
            check_known((*_ANSWERS, LOST, OPEN), word, "answer")
        case "TIME":
            read_time(word)
        case "COUNT":
            _count(word)
        case "NUMBER":
            if not word.isdecimal():
                raise LineError(f"expected a number, got {shown(word)}")
        case _:
            pass  # any text


def _count(word: str) -> int:
    number = word.removesuffix(" times")
    if number != word and number.isdecimal():
        return int(number)
    return one_of(_COUNTS, word, "count (or N times)")


def _written(capital: str, value: str) -> str:
    return value if capital == "COUNT" else quoted(value)


class Checker:
    """Asks at the right times whether what is expected is so."""

    def __init__(self, expectations: Iterable[Expectation]) -> None:
        self._expectations = tuple(expectations)
        self._unmet: list[str] = []
        self._history: History | None = None

    def attach(self, world: World) -> None:
        """Look at this world from now on."""
        self._history = History(world)
        for expectation in self._expectations:
            if expectation.at_ms is not None:
                world.engine.after(expectation.at_ms, partial(self._ask, expectation))

    def finish(self) -> tuple[str, ...]:
        """Ask what is left for the end, and return what was not so."""
        for expectation in self._expectations:
            if expectation.at_ms is None:
                self._ask(expectation)
        return tuple(self._unmet)

    def _ask(self, expectation: Expectation) -> None:
        if self._history is None:
            return
        found = FORMS[expectation.form](self._history, expectation.facts)
        if found is not None:
            at = f"at {self._history.now_ms / 1000:.1f} s"
            self._unmet.append(f"{at} expected: {expectation.text}; but {found}")


# Checks.


def _service_is(history: History, facts: Facts) -> str | None:
    return _agreed(history, lambda cluster: _state_of(cluster, facts.service(), facts.words[1]))


def _service_is_on(history: History, facts: Facts) -> str | None:
    def look(cluster: ClusterState) -> str | None:
        name = facts.service()
        wrong = _state_of(cluster, name, facts.words[1])
        if wrong is None and cluster.services[name].owner != facts.node(2):
            owner = cluster.services[name].owner
            wrong = f"its owner is {cluster.spec.node_name(owner) if owner else 'nobody'}"
        return wrong

    return _agreed(history, look)


def _state_of(cluster: ClusterState, name: ServiceName, wanted: str) -> str | None:
    service = cluster.services.get(name)
    if service is None:
        return f"{name} is not configured"
    if service.state is _STATES[wanted]:
        return None
    why = because(cluster, name)
    where = f" on {cluster.spec.node_name(service.owner)}" if service.owner else ""
    return f"it is {service.state.value}{where}" + (f" ({why})" if why else "")


def _is_unknown(history: History, facts: Facts) -> str | None:
    def look(cluster: ClusterState) -> str | None:
        return "it is there" if facts.service() in cluster.services else None

    return _agreed(history, look)


def _says(history: History, facts: Facts) -> str | None:
    def look(cluster: ClusterState) -> str | None:
        why = because(cluster, facts.service()) or "nothing"
        return None if facts.words[1] in why else f"it says: {why}"

    return _agreed(history, look)


def _is_frozen(history: History, facts: Facts) -> str | None:
    return None if _has_freeze(history, facts) else "it is not"


def _is_not_frozen(history: History, facts: Facts) -> str | None:
    return "it is" if _has_freeze(history, facts) else None


def _has_freeze(history: History, facts: Facts) -> bool:
    cluster = history.agreed()
    service = cluster.services.get(facts.service()) if cluster else None
    return service is not None and service.frozen


def _node_is(history: History, facts: Facts) -> str | None:
    def look(cluster: ClusterState) -> str | None:
        record = cluster.nodes.get(facts.node())
        found = record.status if record else None
        is_it = found is _STATUSES[facts.words[1]]
        return None if is_it else f"it is {found.value if found else 'not configured'}"

    return _agreed(history, look)


def _is_in_standby(history: History, facts: Facts) -> str | None:
    def look(cluster: ClusterState) -> str | None:
        return None if facts.node() in cluster.standby else "it is not in standby"

    return _agreed(history, look)


def _version_is(history: History, facts: Facts) -> str | None:
    def look(cluster: ClusterState) -> str | None:
        version = cluster.spec.version
        return None if version == int(facts.words[0]) else f"it is version {version}"

    return _agreed(history, look)


def _agreed(history: History, look: Callable[[ClusterState], str | None]) -> str | None:
    cluster = history.agreed()
    return "no rgmgrd runs" if cluster is None else look(cluster)


def _where(history: History, service: ServiceName) -> tuple[NodeId, ...]:
    hosts = history.world.hosts
    return active_services({n: h.systemd for n, h in hosts.items()}).get(service, ())


def _runs_on(history: History, facts: Facts) -> str | None:
    where = _where(history, facts.service())
    return None if where == (facts.node(1),) else _active_on(history, where)


def _runs_nowhere(history: History, facts: Facts) -> str | None:
    where = _where(history, facts.service())
    return _active_on(history, where) if where else None


def _active_on(history: History, where: tuple[NodeId, ...]) -> str:
    return f"it is active on {', '.join(map(history.world.spec.node_name, where)) or 'no node'}"


def _started(history: History, facts: Facts) -> str | None:
    return _times(len(history.starts.get(facts.service(), [])), facts)


def _moved(history: History, facts: Facts) -> str | None:
    nodes = history.starts.get(facts.service(), [])
    return _times(sum(a != b for a, b in pairwise(nodes)), facts)


def _absent(history: History, facts: Facts) -> str | None:
    longest_ms = history.longest_absence_ms(facts.service())
    if longest_ms <= read_time(facts.words[1]):
        return None
    return f"nothing of it ran for {longest_ms / 1000:.3f} s"


def _fenced(history: History, facts: Facts) -> str | None:
    return _times(history.fences.count(facts.node()), facts)


def _nobody_fenced(history: History, _facts: Facts) -> str | None:
    names = map(history.world.spec.node_name, history.fences)
    return f"{', '.join(names)} was" if history.fences else None


def _times(found: int, facts: Facts) -> str | None:
    return None if found == facts.count() else f"it was {found} times"


def _event(history: History, facts: Facts) -> str | None:
    return _times(history.events(facts.words[0]), facts)


def _event_at_all(history: History, facts: Facts) -> str | None:
    return None if history.events(facts.words[0]) else "there was none"


def _has_power(history: History, facts: Facts) -> str | None:
    return None if history.world.hosts[facts.node()].is_on else "it is off"


def _has_no_power(history: History, facts: Facts) -> str | None:
    return "it is on" if history.world.hosts[facts.node()].is_on else None


def _answered(history: History, facts: Facts) -> str | None:
    asked = history.world.watch.asked_for()
    wishes = [w for w in asked if w.request.number == int(facts.words[0])]
    if not wishes:
        return "nobody heard it"
    wish = wishes[0]
    found = LOST if wish.is_lost else word_of(wish.answer) if wish.answer else OPEN
    return None if found == facts.words[1] else f"it is {found}"


def _nothing_changed(history: History, facts: Facts) -> str | None:
    since_ms = read_time(facts.words[0])
    late = [change for change in history.changes if change[0] >= since_ms]
    return f"{late[0][1]} changed at {late[0][0] / 1000:.1f} s" if late else None


FORMS: dict[str, Check] = {
    "SERVICE is STATE": _service_is,
    "SERVICE is STATE on NODE": _service_is_on,
    "SERVICE is unknown": _is_unknown,
    "SERVICE is frozen": _is_frozen,
    "SERVICE is not frozen": _is_not_frozen,
    "SERVICE says TEXT": _says,
    "SERVICE runs on NODE": _runs_on,
    "SERVICE runs nowhere": _runs_nowhere,
    "SERVICE started COUNT": _started,
    "SERVICE moved COUNT": _moved,
    "SERVICE absent at most TIME": _absent,
    "NODE is STATUS": _node_is,
    "NODE in standby": _is_in_standby,
    "NODE fenced COUNT": _fenced,
    "NODE has power": _has_power,
    "NODE has no power": _has_no_power,
    "nobody fenced": _nobody_fenced,
    "no unit changed since TIME": _nothing_changed,
    "event EVENT": _event_at_all,
    "event EVENT COUNT": _event,
    "request NUMBER answered ANSWER": _answered,
    "configuration is version NUMBER": _version_is,
}
