# SPDX-License-Identifier: Apache-2.0
"""Many units on one real node: started, watched, stopped, against systemctl by hand.

Twenty services of ten units each, all on node1. By hand means the same units in the same order:
for each service a shell that starts them one after the other, all shells at once. Times are those
of systemd's journal, from the first unit that begins to the last that is done; read the ratios.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from pathlib import Path

from rgmgr.lab.defaultconfig import render
from rgmgr.lab.lab import Lab
from rgmgr.lab.layout import plan
from rgmgr.lab.observe import Observer

SERVICES, UNITS_EACH = 20, 10
NODE = "node1"
UNIT_TEXT = (
    "[Unit]\\nDescription=bench %i\\n[Service]\\nType=exec\\nExecStart=/bin/sleep infinity\\n"
)
SETTLE_S, IDLE_S = 10, 20
DEATHS = 10
US_PER_MS, US_PER_S = 1_000, 1_000_000
Pair = tuple[float, float]
START = ("Starting bench", "Started bench")
STOP = ("Stopping bench", "Stopped bench")


def main() -> int:
    """Run all measurements and print them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--dir", type=Path, default=Path(".lab"))
    parser.add_argument("--rounds", type=int, default=2)
    options = parser.parse_args()
    lab = Lab(options.dir)
    try:
        lab.up(3, _configuration())
        bench = Bench(Observer(lab))
        bench.prepare()
        _print_ratios([bench.compare() for _ in range(options.rounds)])
        told_ms = [bench.death_ms(number) for number in range(DEATHS)]
        middle_ms = statistics.median(told_ms)
        words = f"median {middle_ms:.1f} ms, max {max(told_ms):.1f} ms of {DEATHS}"
        print(f"from a unit's death to the event: {words}", flush=True)
        words = f"{bench.idle_percent():.2f} % of a core over {IDLE_S} s"
        print(f"rgmgrd idle with all of them up: {words}")
    finally:
        lab.down()
    return 0


def _print_ratios(rounds: list[tuple[Pair, Pair]]) -> None:
    for index, verb in enumerate(("started", "stopped")):
        ours_ms = statistics.median(ours[index] for ours, _ in rounds)
        by_hand_ms = statistics.median(by_hand[index] for _, by_hand in rounds)
        words = f"{ours_ms:.0f} ms, by hand {by_hand_ms:.0f} ms: {ours_ms / by_hand_ms:.2f} times"
        print(f"{SERVICES * UNITS_EACH} units {verb}: {words}", flush=True)


def _configuration() -> str:
    """Return the lab's own configuration with our services, which only node1 may run."""
    text = render(plan(3)).partition("[[service]]")[0]
    text += f"[domain.here]\nrestricted = true\nmembers = [{NODE!r}]\n".replace("'", '"')
    for service in range(SERVICES):
        text += f'[[service]]\nname = "s{service}"\ndomain = "here"\n'
        for unit in range(UNITS_EACH):
            text += (
                f'  [[service.resource]]\n  type = "systemd"\n  unit = "{_unit(service, unit)}"\n'
            )
    return text


def _unit(service: int, unit: int) -> str:
    return f"bench@{service}-{unit}.service"


class Bench:
    """The node with all the units."""

    def __init__(self, observer: Observer) -> None:
        self._observer = observer

    def prepare(self) -> None:
        """Install the units; until then the services were started in vain."""
        self._inside(f"printf '{UNIT_TEXT}' > /etc/systemd/system/bench@.service")
        self._inside("systemctl daemon-reload")

    def compare(self) -> tuple[Pair, Pair]:
        """Return milliseconds of start and stop: by the daemon, and by hand."""
        self._inside("systemctl stop rgmgrd", 120)
        since_us = self._observer.now_us()
        self._inside("systemctl start rgmgrd")
        self._await_all_started()
        ours_start = self._span_ms(since_us, START)
        since_us = self._observer.now_us()
        self._inside("systemctl stop rgmgrd", 120)
        ours = (ours_start, self._span_ms(since_us, STOP))
        by_hand = (self._by_hand("start", START), self._by_hand("stop", STOP))
        self._inside("systemctl start rgmgrd")
        self._await_all_started()
        return ours, by_hand

    def _by_hand(self, verb: str, words: tuple[str, str]) -> float:
        """Stop in reverse, as a service does."""
        order = range(UNITS_EACH) if verb == "start" else reversed(range(UNITS_EACH))
        numbers = " ".join(map(str, order))
        each = f"for u in {numbers}; do systemctl {verb} bench@$s-$u.service; done"
        since_us = self._observer.now_us()
        self._inside(f"for s in $(seq 0 {SERVICES - 1}); do ({each}) & done; wait", 120)
        return self._span_ms(since_us, words)

    def death_ms(self, number: int) -> float:
        """Kill one main process; return how long it took until the daemon said so."""
        self._await_all_started()
        unit = _unit(number % SERVICES, number % UNITS_EACH)
        pid = self._inside(f"systemctl show -P MainPID {unit}")
        since_us = int(self._inside(f"date +%s%6N; kill -9 {pid}").split()[0])
        told = "resource.failed"
        self._observer.await_that(
            lambda: self._observer.when(NODE, told, since_us) is not None, f"word of {unit}"
        )
        at_us = self._observer.when(NODE, told, since_us)
        return ((at_us or 0) - since_us) / US_PER_MS

    def idle_percent(self) -> float:
        """Return the share of one core that the daemon takes while nothing happens."""
        self._await_all_started()
        pid = self._inside("systemctl show -P MainPID rgmgrd.service")
        time.sleep(SETTLE_S)  # what is left of the starts is not idleness
        before_ns, begun_ns = self._processor_ns(pid), time.monotonic_ns()
        time.sleep(IDLE_S)  # what is measured is that nothing happens
        spent_ns = self._processor_ns(pid) - before_ns
        return 100 * spent_ns / (time.monotonic_ns() - begun_ns)

    def _processor_ns(self, pid: str) -> int:
        """Return what its threads took; ticks of `stat` count who wakes with them too often."""
        told = self._inside(f"cat /proc/{pid}/task/*/schedstat")
        return sum(int(line.split()[0]) for line in told.splitlines())

    def _await_all_started(self) -> None:
        def is_done() -> bool:
            status = self._observer.status(NODE)
            return (
                status is not None
                and len(status.services) == SERVICES
                and all(service.state == "started" for service in status.services)
            )

        self._observer.await_that(is_done, "all services to be started", 120)

    def _span_ms(self, since_us: int, words: tuple[str, str]) -> float:
        """Return the time from the first unit that begins to the last that is done."""
        argv = ["journalctl", "-o", "json", "--no-pager", "_PID=1"]
        said = self._observer.lab.run(NODE, [*argv, f"--since=@{since_us // US_PER_S}"])
        entries = [json.loads(line) for line in said.stdout.splitlines()]
        told = [
            int(entry["__REALTIME_TIMESTAMP"])
            for entry in entries
            if str(entry["MESSAGE"]).startswith(words)
        ]
        told = [at_us for at_us in told if at_us >= since_us]
        if len(told) < SERVICES * UNITS_EACH:
            raise SystemExit(f"only {len(told)} units were told of: see the journal of {NODE}")
        return (max(told) - min(told)) / US_PER_MS

    def _inside(self, script: str, timeout: float = 60) -> str:
        return self._observer.lab.run(NODE, ["sh", "-c", script], timeout).stdout.strip()


if __name__ == "__main__":
    sys.exit(main())
