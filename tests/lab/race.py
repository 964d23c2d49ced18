# SPDX-License-Identifier: Apache-2.0
"""One fence race of two real nodes: the cable between them is cut, the way to the devices is not.

Used by the lab's test for a few rounds and by `benchmarks/fence_race.py` for fifty.
"""

from __future__ import annotations

from dataclasses import dataclass

from rgmgr.lab import defaultconfig
from rgmgr.lab.lab import Lab
from rgmgr.lab.layout import DISK_DEVICE, MANAGEMENT_ADDRESS, plan
from rgmgr.lab.observe import Observer
from tests.lab.overlap import Span, overlaps

ROUNDS = 2
DEAD_ADDRESS = "10.78.0.250"  # nobody has it


@dataclass(frozen=True, slots=True)
class RaceConfig:
    """The cluster of a race: the first method of each node is a device that does not answer.

    Whoever does not see the lab's own address loses the tie; or a lease on a disk decides, and
    nothing else does.
    """

    delay_by_weight_s: int = 0
    lease: str = ""

    def text(self) -> str:
        """Return its cluster.toml."""
        nodes = plan(2)
        text = defaultconfig.render(nodes)
        for node in nodes:
            single = f'fence = [[{{ device = "{node.bmc_name}" }}]]'
            assert single in text
            text = text.replace(
                single, f'fence = [[{{ device = "dead" }}], [{{ device = "{node.bmc_name}" }}]]'
            )
        settings = 'timeout = "10s"\ntest_interval = "10min"\n'
        if self.lease:
            settings += f'lease = "{self.lease}"\n'
        else:
            settings += f'delay_by_weight = "{self.delay_by_weight_s}s"\n'
            settings += f'tie_breaker = ["ping:{MANAGEMENT_ADDRESS}"]\n'
        dead = '[fencing.device.dead]\nagent = "fence_ipmi"\nusername = "x"\npassword = "x"\n'
        return text.replace("[fencing]\n", f"[fencing]\n{settings}") + (
            f'\n{dead}ip = "{DEAD_ADDRESS}"\n'
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """How a race ended."""

    owner: str  # who ran the service when it began
    survivors: tuple[str, ...]
    proof: str  # the survivor's line about it
    overlaps: list[tuple[Span, Span]]


def blank_disk(lab: Lab) -> None:
    """Make the shared disk one that may hold a lease: what holds anything else is never written."""
    argv = ["dd", "if=/dev/zero", f"of={DISK_DEVICE}", "bs=4096", "count=1", "conv=fsync"]
    done = lab.run("node1", argv)
    assert done.returncode == 0, done.stderr


def run_race(lab: Lab, owner: str = "") -> Result:
    """Cut the cable, wait until one node is proven off, mend it, wait until all is well.

    `owner` is who runs the service where no client could ask its page; else it is asked.
    """
    observer = Observer(lab)
    observer.await_that(observer.is_settled, "both nodes online")
    owner = owner or observer.answering()
    before = {node: observer.boot_id(node) for node in observer.nodes}
    since = observer.now_us()
    lab.cut("node1", "node2")
    observer.await_that(lambda: _proof(observer, since) != "", "one node to be proven off")
    lab.heal()
    observer.await_that(observer.is_settled, "both nodes back")
    observer.await_that(lambda: observer.answering() != "", "the page")
    after = {node: observer.boot_id(node) for node in observer.nodes}
    return Result(
        owner=owner,
        survivors=tuple(node for node in observer.nodes if before[node] == after[node]),
        proof=_proof(observer, since),
        overlaps=overlaps(observer, since),
    )


def _proof(observer: Observer, since_us: int) -> str:
    """Return the line that says that a node was proven off; empty: none yet."""
    said = (
        line.text
        for node in observer.nodes
        for line in observer.lines(node, since_us)
        if line.text.startswith("fence.succeeded ")
    )
    return next(said, "")
