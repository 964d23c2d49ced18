# SPDX-License-Identifier: Apache-2.0
"""Measures the binding of corosync against the same loop in C, in one run.

Three nodes in namespaces of this machine; one sends, all receive, all in the same language. Each
figure is the best of several turns in which the languages alternate, at a high priority, so that
other load on the machine counts little; CPU is what the sender used for each message, which load
changes least. Needs root, corosync, gcc and corosync's headers.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path

from rich.console import Console
from rich.table import Table

from tests.adapters.corosync_nodes import Node, cluster, missing

HERE = Path(__file__).parent
NODES = 3
SIZES = {"100 B": 100, "1 KiB": 1024, "10 KiB": 10_240, "64 KiB": 65_536, "1 MiB": 1_048_576}
ROUNDS = {1_048_576: 50}
ROUNDS_OTHERWISE = 300
NICE = ["nice", "-n", "-20"]
LANGUAGES = ("C", "handle", "adapter")
TIMEOUT_S = 60
TABLE_WIDTH = 110

Figures = dict[str, float]


def build(directory: Path) -> Path:
    """Compile the loop in C."""
    program = directory / "corosync_loop"
    source = str(HERE / "corosync_loop.c")
    subprocess.run(
        ["/usr/bin/gcc", "-O2", "-Wall", source, "-o", str(program), "-lcpg"], check=True
    )
    return program


def measure(nodes: list[Node], program: list[str], group: str, order: list[str]) -> Figures:
    """Run receivers on all nodes but the first, and the sender there."""
    environment = {**os.environ, "PYTHONPATH": str(HERE.parent)}
    receivers = [
        subprocess.Popen([*node.enter(), *NICE, *program, group, "receive"], env=environment)
        for node in nodes[1:]
    ]
    try:
        sender = [*nodes[0].enter(), *NICE, *program, group, "send", *order]
        done = subprocess.run(
            sender, env=environment, check=True, capture_output=True, text=True, timeout=TIMEOUT_S
        )
    finally:
        for receiver in receivers:
            subprocess.run(["/usr/bin/pkill", "-KILL", "-P", str(receiver.pid)], check=False)
            receiver.wait()
    found: Figures = json.loads(done.stdout.splitlines()[-1])
    return found


def best(turns: list[Figures]) -> Figures:
    """Return the greatest rate and the least times."""
    return {
        name: (max if name == "per_second" else min)(turn[name] for turn in turns)
        for name in turns[0]
    }


def measure_all(turns: int, for_ms: int) -> dict[str, dict[str, Figures]]:
    """Return the figures by size and language."""
    found: dict[str, dict[str, Figures]] = {}
    with (
        tempfile.TemporaryDirectory() as directory,
        cluster(NODES, Path(directory) / "nodes") as nodes,
    ):
        for node in nodes:
            client = node.client()
            client.wait_for(lambda e: e["event"] == "ViewChanged" and len(e["nodes"]) == NODES)
            client.kill()
        program = str(build(Path(directory)))
        python = [sys.executable, str(HERE / "corosync_loop.py")]
        commands = {"C": [program], "handle": [*python, "handle"], "adapter": [*python, "adapter"]}
        for name, size in SIZES.items():
            rounds = ROUNDS.get(size, ROUNDS_OTHERWISE)
            order = [str(number) for number in (NODES, size, for_ms, rounds)]
            measured: dict[str, list[Figures]] = {language: [] for language in LANGUAGES}
            for turn in range(turns):
                for language in LANGUAGES:
                    group = f"bench-{language}-{size}-{turn}"
                    measured[language].append(measure(nodes, commands[language], group, order))
            found[name] = {language: best(figures) for language, figures in measured.items()}
            print(f"{name} done", file=sys.stderr)
    return found


def table_of(found: dict[str, dict[str, Figures]]) -> Table:
    """Return the figures with their ratios to C."""
    table = Table(title=f"{NODES} nodes, one sends, all receive; each as {' / '.join(LANGUAGES)}")
    for column in ("size", "messages per second", "ratio to C", "CPU us", "median ms", "p99 ms"):
        table.add_column(column, justify="right")
    for size, by_language in found.items():
        figures = [by_language[language] for language in LANGUAGES]
        in_c = figures[0]["per_second"]
        table.add_row(
            size,
            _row(f"{f['per_second']:,.0f}" for f in figures),
            _row(f"{f['per_second'] / in_c:.2f}" for f in figures[1:]),
            _row(f"{f['cpu_us']:,.1f}" for f in figures),
            _row(f"{f['median_us'] / 1000:.2f}" for f in figures),
            _row(f"{f['p99_us'] / 1000:.2f}" for f in figures),
        )
    return table


def _row(values: Iterable[str]) -> str:
    return " / ".join(values)


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--turns", type=int, default=3, help="of each size and language (3)")
    parser.add_argument("--ms", type=int, default=2000, help="to send for in each turn (2000)")
    parser.add_argument("--json", action="store_true", help="print figures by size and language")
    options = parser.parse_args()
    if reason := missing():
        print(f"real corosync nodes: {reason}", file=sys.stderr)
        return 1
    found = measure_all(options.turns, options.ms)
    if options.json:
        print(json.dumps(found, indent=2))
    else:
        Console(width=TABLE_WIDTH).print(table_of(found))
    return 0


if __name__ == "__main__":
    sys.exit(main())
