# SPDX-License-Identifier: Apache-2.0
"""Samples as a file, and as tables: medians, spread, ratios. Pure, but for the file."""

from __future__ import annotations

import json
import statistics
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

OURS, PEER = "rgmgr", "Pacemaker"
TITLES = {
    "cold-start": "cold start",
    "kill-unit": "one unit killed",
    "move": "one service moved",
    "power-cut": "power cut of one node of three",
    "drain": "a node drained",
    "idle": "idle",
    "status": "status",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """What one contestant gave in one round of a work."""

    work: str
    services: int
    who: str
    load: float  # average of one minute, when it began
    samples: dict[str, float]  # milliseconds, unless the name has a unit
    fault: str  # '' when it was done


def load(path: Path) -> list[Run]:
    """Return what earlier calls left; nothing when there is no file."""
    if not path.exists():
        return []
    return [Run(**run) for run in json.loads(path.read_text(encoding="utf-8"))["runs"]]


def save(path: Path, runs: Sequence[Run]) -> None:
    """Keep everything for the next call."""
    text = json.dumps({"schema": 1, "runs": [asdict(run) for run in runs]}, indent=1)
    path.write_text(text + "\n", encoding="utf-8")


def told(run: Run) -> str:
    """Return one line about one run."""
    values = ", ".join(f"{name} {value:.0f}" for name, value in run.samples.items())
    return f"{run.work} {run.services}, {run.who}: {run.fault or values}"


def tables(runs: Iterable[Run]) -> str:
    """Return a table for each work, in Markdown."""
    given = list(runs)
    kinds = dict.fromkeys((run.work, run.services) for run in given)
    order = sorted(kinds, key=lambda kind: (list(TITLES).index(kind[0]), kind[1]))
    return "\n".join(
        _table(work, services, [r for r in given if (r.work, r.services) == (work, services)])
        for work, services in order
    )


def _table(work: str, services: int, runs: Sequence[Run]) -> str:
    lines = [f"### {TITLES[work]}, {services} services", ""]
    lines += [
        "| | who | median | least | most | rounds | Pacemaker / rgmgr |",
        "|---|---|--:|--:|--:|--:|--:|",
    ]
    everybody = dict.fromkeys(run.who for run in runs)
    for name in dict.fromkeys(name for run in runs for name in run.samples):
        peer = _median(runs, PEER, name)
        for who in everybody:
            values = _values(runs, who, name)
            if not values:
                continue
            middle = statistics.median(values)
            ratio = f"{peer / middle:.1f}" if peer and middle and who.startswith(OURS) else ""
            cells = [name, who, _number(middle), _number(min(values)), _number(max(values))]
            lines.append(f"| {' | '.join(cells)} | {len(values)} | {ratio} |")
    for run in runs:
        if run.fault:
            lines.append(f"\n**{run.who}: not done: {run.fault}**")
    return "\n".join(lines) + "\n"


def _values(runs: Sequence[Run], who: str, name: str) -> list[float]:
    return [run.samples[name] for run in runs if run.who == who and name in run.samples]


def _median(runs: Sequence[Run], who: str, name: str) -> float | None:
    values = _values(runs, who, name)
    return statistics.median(values) if values else None


def _number(value: float) -> str:
    """Three digits are as many as such a measurement is worth."""
    return f"{float(f'{value:.3g}'):,g}"


def document(runs: Sequence[Run]) -> str:
    """Return the whole document."""
    return tables(runs)
