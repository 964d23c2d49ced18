# SPDX-License-Identifier: Apache-2.0
"""From what a calm world does to the numbered steps of a plan, and to how long services are down.

Looks at the truth: units as systemd has them, and what the members agree on. Changes nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

from domains.model import NodeId, ServiceName
from rgmgr.core.actions import Record
from rgmgr.core.spec import ResourceName
from rgmgr.sim.phases import Phase
from rgmgr.sim.systemd import Unit
from rgmgr.sim.trace import Line
from rgmgr.sim.world import World

FORBIDDEN = "services.forbidden"
KINDS = {
    FORBIDDEN: "forbidden",
    "node.unclean": "lost",
    "fence.requested": "fence",
    "fence.succeeded": "fenced",
    "fence.failed": "fence-fails",
    "fence.called_off": "fence-called-off",
    "member.leaving": "leaves",
    "member.left_cleanly": "left",
    "member.joined": "joins",
    "member.detached": "detached",
    "config.adopted": "config",
    "config.refused": "config-refused",
    "config.mismatched": "config-refused",
    "service.failed": "fails",
    "service.start_failed": "start-fails",
    "service.stop_failed": "stop-fails",
    "service.disabled": "disabled",
    "service.waiting": "waits",
    "service.displaced": "displaced",
    "service.evacuated": "evacuated",
    "service.adopted": "adopted",
    "takeover.delayed": "waits",
    "takeover.asked": "waits",
    "takeover.alerted": "waits",
}
"""Journal events that are steps of a plan, and what the step is called."""

_WORDS = {
    FORBIDDEN: "{teller} may run nothing any more: {reason}",
    "service.start_failed": "{service} does not start on {node}: {reason}",
    "service.stop_failed": "{service} does not stop on {node}: {reason}",
    "service.disabled": "{service} is given up and disabled: {reason}",
    "service.waiting": "{service} has to wait: {reason}",
    "service.displaced": "{service} leaves {node}, to make room for {by}",
    "service.evacuated": "{service} leaves {node} for {target}: it does not reach {lost}",
    "config.adopted": "version {version} of the configuration is in force",
    "config.refused": "version {version} of the configuration is refused: {reason}",
}
"""What the story has no words for, or other ones than a plan."""

_TURNS = {"starts": "start", "stops": "stop", "dies": "dies"}
_ENDS = ("is up", "is down")


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One thing that happens. Times are milliseconds since the event.

    `node` does it or is what it happens to; `resources` in the order of their turn.
    """

    at_ms: int
    until_ms: int
    kind: str  # start, stop, dies, or a word of KINDS
    node: str
    service: str = ""
    resources: tuple[str, ...] = ()
    is_done: bool = True  # False: a start or stop that did not succeed
    text: str


class Recorder:
    """Listens to a world from now on.

    Args:
        world: at rest.
        resources_of: every service there is or will be, in start order.
    """

    def __init__(
        self, world: World, resources_of: dict[ServiceName, tuple[ResourceName, ...]]
    ) -> None:
        self._world = world
        self._resources_of = resources_of
        self._began_ms = world.engine.now_ms
        self._lines = len(world.trace.lines)
        self._steps: list[Step] = []
        self._places: list[int] = []  # of the steps, in the order of the whole story
        self._open: dict[tuple[NodeId, ServiceName], int] = {}  # index of the step in progress
        self._down_ms = dict.fromkeys(resources_of, 0)
        self._was_up = {name: self.is_up(name) for name in resources_of}
        self._down_since = {name: None if up else 0 for name, up in self._was_up.items()}
        for host in world.hosts.values():
            host.systemd.changed = _both(host.systemd.changed, self._unit_changed)

    @property
    def services(self) -> tuple[ServiceName, ...]:
        """All that are watched, in configuration order."""
        return tuple(self._resources_of)

    def was_up(self, service: ServiceName) -> bool:
        """Tell whether it was whole at the beginning."""
        return self._was_up[service]

    def is_up(self, service: ServiceName) -> bool:
        """Tell whether every resource of it is up on one node now."""
        wanted = self._resources_of[service]
        return any(
            all(
                (unit := host.systemd.units.get((service, name))) and unit.phase is Phase.ACTIVE
                for name in wanted
            )
            for host in self._world.hosts.values()
        )

    def outage_ms(self, service: ServiceName) -> int:
        """Return how long it was not up so far."""
        since_ms = self._down_since[service]
        now_ms = 0 if since_ms is None else self._now_ms() - since_ms
        return self._down_ms[service] + now_ms

    def steps(self) -> tuple[Step, ...]:
        """Return what has happened, in order of time; what all members say counts once."""
        found = [*zip(self._places, self._steps, strict=True), *self._agreed_steps()]
        return tuple(step for _, step in sorted(found, key=lambda entry: entry[0]))

    def _now_ms(self) -> int:
        return self._world.engine.now_ms - self._began_ms

    def _unit_changed(self, node: NodeId, unit: Unit, words: str) -> None:
        self._note_uptime(unit.service)
        key = (node, unit.service)
        if kind := _TURNS.get(words):
            self._turn(key, kind, unit.resource)
        elif key in self._open and unit.job is None:
            index = self._open[key]
            ended = replace(self._steps[index], until_ms=self._now_ms(), is_done=words in _ENDS)
            self._steps[index] = ended

    def _turn(self, key: tuple[NodeId, ServiceName], kind: str, resource: ResourceName) -> None:
        """Add a resource to the step in progress, or begin another one."""
        index = self._open.get(key)
        if index is not None and self._steps[index].kind == kind:
            step = self._steps[index]
            names = (*step.resources, resource)
        else:
            index = self._open[key] = len(self._steps)
            node = self._world.spec.node_name(key[0])
            at_ms = self._now_ms()
            step = Step(at_ms=at_ms, until_ms=at_ms, kind=kind, node=node, service=key[1], text="")
            self._steps.append(step)
            self._places.append(len(self._world.trace.lines))
            names = (resource,)
        whole = len(names) == len(self._resources_of[key[1]])
        what = f"{key[1]} ({', '.join(names)})" if len(names) > 1 or not whole else key[1]
        verb = {"start": "starts", "stop": "stops"}.get(kind)
        text = f"{step.node} {verb} {what}" if verb else f"{key[1]}/{resource} dies on {step.node}"
        is_done = kind not in ("start", "stop")
        self._steps[index] = replace(step, resources=names, is_done=is_done, text=text)

    def _note_uptime(self, service: ServiceName) -> None:
        since_ms, is_up = self._down_since[service], self.is_up(service)
        if since_ms is None and not is_up:
            self._down_since[service] = self._now_ms()
        elif since_ms is not None and is_up:
            self._down_ms[service] += self._now_ms() - since_ms
            self._down_since[service] = None

    def _agreed_steps(self) -> Iterator[tuple[int, Step]]:
        """Yield what members say, with its place in the story; what all say alike once."""
        said: dict[tuple[object, ...], None] = {}
        for place, line in enumerate(self._world.trace.lines):
            record = line.facts[0] if line.facts else None
            if place < self._lines or not isinstance(record, Record) or line.node is None:
                continue
            kind = KINDS.get(record.event)
            teller = line.node if record.event == FORBIDDEN else None
            mark = (teller, record.event, *record.fields.values())
            if kind is not None and mark not in said:
                said[mark] = None
                yield place, self._agreed_step(line, record, kind)

    def _agreed_step(self, line: Line, record: Record, kind: str) -> Step:
        at_ms = line.at_ms - self._began_ms
        teller = self._world.spec.node_name(line.node) if line.node else ""
        words = _WORDS.get(record.event)
        text = words.format_map({"teller": teller, **record.fields}) if words else line.text()
        return Step(
            at_ms=at_ms,
            until_ms=at_ms,
            kind=kind,
            node=str(record.fields.get("node") or teller),
            service=str(record.fields.get("service") or ""),
            text=text,
        )


Change = Callable[[NodeId, Unit, str], None]


def _both(first: Change, second: Change) -> Change:
    def call(node: NodeId, unit: Unit, words: str) -> None:
        first(node, unit, words)
        second(node, unit, words)

    return call
