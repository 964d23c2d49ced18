# SPDX-License-Identifier: Apache-2.0
"""``rgmgr lab play``: a scenario against real corosync and systemd, and whether it ends the same.

The simulator says where it begins and where it must end; the lab is brought to the beginning, its
faults happen at their times, and at the end the same services must be in the same states on the
same nodes, the same nodes must have been fenced, and no service may ever have run twice.
"""

import contextlib
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import click

from rgmgr.core.model import ServiceState
from rgmgr.errors import ConfigError
from rgmgr.lab.beats import Span, overlaps, spans
from rgmgr.lab.deeds import Deed, Deeds, impossible
from rgmgr.lab.errors import LabError
from rgmgr.lab.lab import Lab
from rgmgr.lab.layout import plan
from rgmgr.lab.observe import IDLE_STATES, Observer
from rgmgr.lab.process import await_until
from rgmgr.lab.scene import beats_files, cluster_toml
from rgmgr.scenarios import load_scenario
from rgmgr.sim.faults import UnitStartedByHand
from rgmgr.sim.history import History
from rgmgr.sim.run import Outcome
from rgmgr.sim.run import play as simulate
from rgmgr.sim.scenario import Scenario
from rgmgr.sim.world import World

SETTLE_TIMEOUT = 90.0
CONFIG_EXIT = 78
PREPARED_BEFORE_MS = 100
"""How long before the first fault the simulated cluster is looked at for the beginning."""

Places = dict[str, tuple[str, str]]
"""State and owner of each service; the owner of one that has none is ''."""


@dataclass(slots=True)
class Simulated:
    """Where a scenario begins and ends in the simulator."""

    scenario: Scenario
    begin: Places = field(default_factory=dict)
    end: Places = field(default_factory=dict)
    fenced: frozenset[str] = frozenset()
    outcome: Outcome | None = None

    @property
    def first_ms(self) -> int:
        """When the first fault happens."""
        return min((fault.at_ms for fault in self.scenario.script.faults), default=0)

    def run(self) -> None:
        """Play it there."""
        histories: list[History] = []

        def prepare(world: World) -> None:
            histories.append(History(world))
            at_ms = max(0, self.first_ms - PREPARED_BEFORE_MS)
            world.engine.after(at_ms, lambda: self.begin.update(places(histories[0])))
            world.engine.after(self.scenario.end_ms, lambda: self.end.update(places(histories[0])))

        self.outcome = simulate(
            self.scenario.script, until_ms=self.scenario.end_ms, prepare=prepare
        )
        name = self.scenario.script.spec.node_name
        self.fenced = frozenset(map(name, histories[0].fences))
        rest = places(histories[0])
        for service, (state, _) in self.end.items():
            if state not in (ServiceState.FAILED.value, ServiceState.STOPPED.value):
                self.end[service] = rest[service]  # what nobody had to operate on


def places(history: History) -> Places:
    """Return the agreed states and owners of a simulated cluster."""
    cluster = history.agreed()
    if cluster is None:
        return {}
    return {
        name: (s.state.value, cluster.spec.node_name(s.owner) if s.owner else "")
        for name, s in cluster.services.items()
    }


@dataclass(frozen=True, slots=True, kw_only=True)
class Played:
    """What became of a scenario in the lab. `differences` has one sentence for each."""

    end: Places
    fenced: frozenset[str]
    differences: tuple[str, ...]


class Stage:
    """A lab with the cluster of one scenario."""

    def __init__(self, lab: Lab, scenario: Scenario) -> None:
        self.lab = lab
        self.scenario = scenario
        self.spec = scenario.script.spec
        self.simulated = Simulated(scenario)
        self._deeds = Deeds(lab, self.spec)

    def play(self) -> Played:
        """Do all of it.

        Raises:
            LabError: the lab cannot do one of the faults, or does not come to rest before or after.
        """
        if cannot := impossible(self._deeds, self.scenario.script.faults, self.spec):
            listed = "".join(f"\n  {words}" for words in cannot)
            raise LabError(f"the lab cannot do this; play it with `rgmgr sim`:{listed}")
        self.simulated.run()
        self._raise()
        observer = Observer(self.lab)
        self._begin(observer)
        since_us = observer.now_us()
        self._act()
        mend(self.lab)
        return self._compare(observer, since_us)

    def _raise(self) -> None:
        """Have the cluster of the scenario up; one that is up already is mended."""
        count = len(self.spec.nodes)
        text = cluster_toml(self.spec, plan(count))
        if self.lab.is_up and self._has(text):
            mend(self.lab)
        else:
            self.lab.up(count, text)

    def _has(self, text: str) -> bool:
        with contextlib.suppress(LabError):
            first = self.lab.nodes[0].name
            return self.lab.run(first, ["cat", "/etc/rgmgr/cluster.toml"]).stdout == text
        return False

    def _begin(self, observer: Observer) -> None:
        """Bring every service to where it is when the first fault happens."""
        await_until(
            lambda: is_at_rest(observer), timeout=SETTLE_TIMEOUT, what="the cluster to rest"
        )
        for service, (state, owner) in self.simulated.begin.items():
            now = observed_places(observer).get(service)
            if now == (state, owner):
                continue
            verb = ["disable", service]
            if state == ServiceState.STARTED.value:
                is_up = now is not None and now[0] == state
                verb = ["relocate" if is_up else "enable", service, "-m", owner]
            self.lab.run(observer.nodes[0], ["rgmgr", *verb], SETTLE_TIMEOUT)
        begin = self.simulated.begin
        await_until(
            lambda: observed_places(observer) == begin,
            timeout=SETTLE_TIMEOUT,
            what=f"the services to be where the scenario begins: {begin}",
        )

    def _act(self) -> None:
        """Do every deed at its time."""
        deeds = [deed for fault in self.scenario.script.faults for deed in self._deeds.of(fault)]
        end = Deed(self.scenario.end_ms, "the end", lambda: None)
        began_s = time.monotonic() - self.simulated.first_ms / 1_000
        said = ""
        for deed in (*sorted(deeds, key=lambda d: d.at_ms), end):
            if deed.at_ms > self.scenario.end_ms:
                continue  # being made whole ends it
            time.sleep(max(0.0, began_s + deed.at_ms / 1_000 - time.monotonic()))
            words = f"{deed.at_ms / 1_000:.1f} s of the scenario: {deed.words}"
            if words != said:
                self.lab.progress(words)
            said = words
            try:
                deed.act()
            except LabError as error:
                self.lab.progress(f"  {error}")

    def _compare(self, observer: Observer, since_us: int) -> Played:
        wanted = self.simulated.end
        with contextlib.suppress(LabError):
            await_until(
                lambda: is_at_rest(observer) and observed_places(observer) == wanted,
                timeout=SETTLE_TIMEOUT,
                what="the same end",
            )
        end = observed_places(observer)
        fenced = fenced_nodes(observer, since_us)
        differences = [
            f"{name} is {_place(end.get(name))} in the lab, {_place(place)} in the simulator"
            for name, place in wanted.items()
            if end.get(name) != place
        ]
        if fenced != self.simulated.fenced:
            lab, simulated = (_names(nodes) for nodes in (fenced, self.simulated.fenced))
            differences.append(f"fenced in the lab: {lab}; in the simulator: {simulated}")
        differences += self._overlaps(since_us)
        return Played(end=end, fenced=fenced, differences=tuple(differences))

    def _overlaps(self, since_us: int) -> Iterator[str]:
        """Yield every time at which a service ran on two nodes, but by the hand of a human."""
        faults = self.scenario.script.faults
        by_hand = {f.service for f in faults if isinstance(f, UnitStartedByHand)}
        for service in (s for s in self.spec.services if s.name not in by_hand):
            for one, other in overlaps([*self.spans_of(service.name, since_us)]):
                yield f"{service.name} ran on {one.node} and {other.node} at the same time"

    def spans_of(self, service: str, since_us: int) -> Iterator[Span]:
        """Yield when the units of a service ran on each node, as they say themselves."""
        for node in self.lab.nodes:
            for name, file in beats_files(self.spec):
                path = self.lab.layout.upper(node.name) / file
                if name == service and path.exists():
                    yield from spans(node.name, path.read_text(encoding="ascii"), since_us)


def mend(lab: Lab) -> None:
    """End every fault: network, BMCs, power, processes and units are as they should be."""
    lab.heal()
    for node in lab.nodes:
        lab.resume(node.name)
        lab.bmc_fault(node.name, None)
        if not lab.is_on(node.name):
            lab.power_on(node.name)
        lab.await_booted(node.name)
        script = (
            "rm -rf /run/systemd/system/played@*.d; systemctl daemon-reload;"
            " systemctl kill -s CONT --kill-who=main corosync rgmgrd;"
            " systemctl start corosync rgmgrd"
        )
        lab.run(node.name, ["sh", "-c", script])
    lab.await_quorate()


def is_at_rest(observer: Observer) -> bool:
    """Tell whether every node says that all are online and every service is at rest."""
    for node in observer.nodes:
        status = observer.status(node)
        if status is None or not status.is_installed:
            return False
        if any(other.status.lower() != "online" for other in status.nodes):
            return False
        if any(service.state not in IDLE_STATES for service in status.services):
            return False
    return True


def observed_places(observer: Observer) -> Places:
    """Return the states and owners of the services of a lab; none when nobody answers."""
    status = observer.status()
    return {s.name: (s.state, s.owner or "") for s in status.services} if status else {}


def fenced_nodes(observer: Observer, since_us: int) -> frozenset[str]:
    """Return the nodes that were proven off by their devices since then."""
    lines = [
        line.text
        for node in observer.nodes
        for line in observer.lines(node, since_us)
        if line.text.startswith("fence.succeeded ") and "proven" in line.text
    ]
    return frozenset(n for n in observer.nodes if any(n in text.split(" by=")[0] for text in lines))


def _place(place: tuple[str, str] | None) -> str:
    if place is None:
        return "unknown"
    return f"{place[0]} on {place[1]}" if place[1] else place[0]


def _names(nodes: frozenset[str]) -> str:
    return ", ".join(sorted(nodes)) or "nobody"


@click.command()
@click.argument("scenario", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--keep", is_flag=True, help="Leave the lab up at the end.")
@click.pass_obj
def play(lab: Lab, scenario: Path, *, keep: bool) -> None:
    """Play the SCENARIO of a directory on real nodes, and compare its end with the simulator's.

    Says first which of its faults the lab cannot do. Exits with 1 when the ends differ.
    """
    try:
        stage = Stage(lab, load_scenario(scenario))
    except ConfigError as error:
        click.echo(str(error), err=True)
        raise SystemExit(CONFIG_EXIT) from None
    try:
        played = stage.play()
    finally:
        if not keep:
            lab.down()
    for service, place in played.end.items():
        click.echo(f"{service}: {_place(place)}")
    click.echo(f"fenced: {_names(played.fenced)}")
    for difference in played.differences:
        click.echo(f"DIFFERS: {difference}")
    if played.differences:
        raise SystemExit(1)
    click.echo("the same as in the simulator, and nothing ran twice")
