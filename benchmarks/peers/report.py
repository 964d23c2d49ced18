# SPDX-License-Identifier: Apache-2.0
"""Samples in a file and as tables: medians, spread, ratios, targets. Pure, but for the files."""

from __future__ import annotations

import json
import statistics
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

OURS, FENCING, PEER, BY_HAND = "rgmgr", "rgmgr, fencing", "Pacemaker", "systemd by hand"
BEGIN, END = "<!-- measured: begin -->", "<!-- measured: end -->"
TITLES = {
    "cold-start": "cold start",
    "adoption": "services found running",
    "status": "status",
    "kill-unit": "one unit killed",
    "move": "one service moved",
    "power-cut": "power cut of one node of three",
    "drain": "a node drained",
    "idle": "idle",
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


@dataclass(slots=True)
class Results:
    """All that was measured, and on what."""

    machine: dict[str, str] = field(default_factory=dict)
    runs: list[Run] = field(default_factory=list)


@dataclass(frozen=True, slots=True, kw_only=True)
class Headline:
    """One line of the summary. `floor` is a sample of systemd by hand, in the same rounds."""

    title: str
    work: str
    services: int
    sample: str
    who: str = OURS
    floor: str = ""
    added: tuple[str, ...] = ()  # samples of our own that the floor does not have: detection ...
    share: float = 1.0  # how much of systemd's own time is allowed
    slack_ms: float = 0.0
    limit: float = 0.0  # a target of its own, without a floor


FIRST_TO_LAST = "first unit's start to the last up"
HEADLINES = (
    Headline(
        title="start of 100 services, first start to last up",
        work="cold-start", services=100, sample=FIRST_TO_LAST, floor="in parallel", share=1.2,
    ),
    Headline(
        title="the same from the start of the daemons",
        work="cold-start", services=100, sample="daemons started to the last up",
    ),
    Headline(
        title="one unit killed, to running again",
        work="kill-unit", services=100, sample="killed to running again", limit=100,
        floor="one `systemctl start`",
    ),
    Headline(
        title="one service moved, its stop begun to running",
        work="move", services=100, sample="its stop begun to running there", slack_ms=50,
        floor="its stop begun to running there",
    ),
    Headline(
        title="the same from the command",
        work="move", services=100, sample="command given to running there",
    ),
    Headline(
        title="power cut, 33 services, to the first up",
        work="power-cut", services=100, sample="cut to the first up",
    ),
    Headline(
        title="power cut, 33 services, to the last up",
        work="power-cut", services=100, sample="cut to the last up", share=1.2,
        floor="in parallel", added=("cut to corosync's new ring",),
    ),
    Headline(
        title="the same with fencing, to the last up",
        work="power-cut", services=100, sample="cut to the last up", who=FENCING, share=1.2,
        floor="in parallel", added=("cut to corosync's new ring", "fencing"),
    ),
    Headline(
        title="a node with 50 services drained, to the last up elsewhere",
        work="drain", services=50, sample="command given to the last up elsewhere",
        floor="in parallel",
    ),
    Headline(
        title="status of 100 services",
        work="status", services=100, sample="command to answer", limit=50,
    ),
    Headline(
        title="idle with no service, % of a core",
        work="idle", services=0, sample="percent of a core",
    ),
    Headline(
        title="idle with 100 services, % of a core",
        work="idle", services=100, sample="percent of a core", limit=0.2,
    ),
    Headline(
        title="idle with 1,000 services, % of a core",
        work="idle", services=1000, sample="percent of a core",
    ),
    Headline(
        title="idle with no service, wakeups per second",
        work="idle", services=0, sample="wakeups per second",
    ),
    Headline(
        title="idle with 100 services, wakeups per second",
        work="idle", services=100, sample="wakeups per second",
    ),
    Headline(
        title="idle with 1,000 services, wakeups per second",
        work="idle", services=1000, sample="wakeups per second",
    ),
    Headline(
        title="idle with no service, MB",
        work="idle", services=0, sample="memory, MB",
    ),
    Headline(
        title="idle with 100 services, MB",
        work="idle", services=100, sample="memory, MB",
    ),
    Headline(
        title="idle with 1,000 services, MB",
        work="idle", services=1000, sample="memory, MB", limit=60,
    ),
)  # fmt: skip


def load(path: Path) -> Results:
    """Return what earlier calls left; nothing when there is no file."""
    if not path.exists():
        return Results()
    kept = json.loads(path.read_text(encoding="utf-8"))
    return Results(kept["machine"], [Run(**run) for run in kept["runs"]])


def save(path: Path, results: Results) -> None:
    """Keep everything for the next call."""
    text = json.dumps({"schema": 1, **asdict(results)}, indent=1)
    path.write_text(text + "\n", encoding="utf-8")


def told(run: Run) -> str:
    """Return one line about one run."""
    values = ", ".join(f"{name} {number(value)}" for name, value in run.samples.items())
    return f"{TITLES[run.work]} ({run.services}), {run.who}: {run.fault or values}"


def put_into(path: Path, results: Results) -> None:
    """Put what was measured into a document.

    Raises:
        ValueError: it has no marks.
    """
    replace_between(path, BEGIN, END, measured(results))


def replace_between(path: Path, begin: str, end: str, text: str) -> None:
    """Replace what stands between two marks of a document.

    Raises:
        ValueError: it has no such marks.
    """
    before, first, rest = path.read_text(encoding="utf-8").partition(begin)
    _, last, after = rest.partition(end)
    if not (first and last):
        raise ValueError(f"{path} has no lines {begin!r} and {end!r} to write between")
    path.write_text(f"{before}{begin}\n{text}\n{end}{after}", encoding="utf-8")


def measured(results: Results) -> str:
    """Return all that was measured, in Markdown."""
    loads = [run.load for run in results.runs]
    busy = f"{min(loads):.1f} to {max(loads):.1f}" if loads else "not known"
    machine = [f"* {name}: {value}" for name, value in results.machine.items()]
    parts = [*machine, f"* load average while measuring: {busy}", "", *_summary(results.runs)]
    return "\n".join([*parts, "", "## All samples", "", "Milliseconds, unless said.", "",
                      tables(results.runs)])  # fmt: skip


def _summary(runs: Sequence[Run]) -> list[str]:
    heads = ("work", "rgmgr", "Pacemaker", "ratio", "systemd by hand", "target", "")
    rows = []
    for line in HEADLINES:
        some = [run for run in runs if (run.work, run.services) == (line.work, line.services)]
        ours, peer = _median(some, line.who, line.sample), _median(some, PEER, line.sample)
        floor = _median(some, BY_HAND, line.floor)
        target = _target(some, line, floor)
        ratio = f"{peer / ours:.1f}" if ours and peer else ""
        verdict = "" if target is None or ours is None else ("met" if ours <= target else "MISSED")
        cells = [_shown(ours), _shown(peer), ratio, _shown(floor), _shown(target), verdict]
        rows.append((line.title, *cells))
    return table(heads, rows, words=(0, len(heads) - 1))


def _target(runs: Sequence[Run], line: Headline, floor: float | None) -> float | None:
    """Return the most that it may be, reckoned with the floor of the same rounds."""
    if line.limit:
        return line.limit
    added = [_median(runs, line.who, name) for name in line.added]
    if floor is None or not (line.slack_ms or line.share > 1) or None in added:
        return None
    return floor * line.share + line.slack_ms + sum(value for value in added if value is not None)


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
    heads = ("", "who", "median", "least", "most", "rounds")
    rows = []
    everybody = dict.fromkeys(run.who for run in runs)
    for name in dict.fromkeys(name for run in runs for name in run.samples):
        for who in everybody:
            values = _values(runs, who, name)
            if values:
                found = (statistics.median(values), min(values), max(values))
                rows.append((name, who, *map(number, found), str(len(values))))
    lines = [f"### {TITLES[work]}, {services} services", "", *table(heads, rows, words=(0, 1))]
    lines += [f"\n**{run.who}: not done: {run.fault}**" for run in runs if run.fault]
    return "\n".join(lines) + "\n"


def table(
    heads: Sequence[str], rows: Iterable[Sequence[str]], words: Sequence[int] = (0,)
) -> list[str]:
    """Return the lines of a table in Markdown; all columns but these hold numbers."""
    kinds = "".join("---|" if at in words else "--:|" for at in range(len(heads)))
    return [f"| {' | '.join(heads)} |", f"|{kinds}", *(f"| {' | '.join(row)} |" for row in rows)]


def _values(runs: Sequence[Run], who: str, name: str) -> list[float]:
    return [run.samples[name] for run in runs if run.who == who and name in run.samples]


def _median(runs: Sequence[Run], who: str, name: str) -> float | None:
    values = _values(runs, who, name)
    return statistics.median(values) if values else None


def _shown(value: float | None) -> str:
    return "" if value is None else number(value)


def number(value: float) -> str:
    """Three digits are as many as such a measurement is worth."""
    return f"{float(f'{value:.3g}'):,g}"
