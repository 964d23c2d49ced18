# SPDX-License-Identifier: Apache-2.0
"""The screens of `rgmgr status`: facts of a `view.Status` as tables and sentences.

Colour only where a terminal shows it, and never as the only carrier of a fact: what is bad is in
capitals. Nothing is cut off; long text wraps.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from rich.console import Console
from rich.table import Table
from rich.text import Text

from rgmgr.cli.columns import Cell, listing_text
from rgmgr.cli.times import duration
from rgmgr.fence_view import PathView, ProofView
from rgmgr.view import NODE_UNKNOWN, NodeView, ServiceView, Status

_GOOD = ("online", "started", "works")
_BAD = ("unclean", "failed", "fails", "lies")
_PROOFS = {
    "proven": "proven down by",
    "rebooted": "seen rebooted by",
    "timed": "taken for down after its watchdog's time by",
    "human": "declared down by a human on",
    "none": "assumed down without proof by",
}


def print_overview(status: Status, console: Console | None = None) -> None:
    """Print the whole cluster: what is wrong first, then nodes, then services."""
    screen = console or Console(highlight=False)
    screen.print(_heading(status))
    _print_notices(status, screen)
    screen.print()
    screen.print(_node_table(status))
    if status.services:
        screen.print()
        screen.print(_service_listing(status, screen.width), soft_wrap=True)


def print_details(status: Status, console: Console | None = None) -> None:
    """Print everything about the services and nodes of a snapshot, one fact per line."""
    screen = console or Console(highlight=False)
    _print_notices(status, screen)
    blocks = [_service_facts(service) for service in status.services]
    blocks += [_node_facts(node) for node in status.nodes]
    for number, facts in enumerate(blocks):
        if number:
            screen.print()
        screen.print(fact_table(facts))


def _heading(status: Status) -> Text:
    quorum = Text("quorate") if status.is_quorate else Text("NO QUORUM", "bold red")
    seen_by = f", seen by {status.node}" if status.node else ""
    about = f": version {status.config_version}, epoch {status.epoch}, "
    return Text.assemble((status.cluster, "bold"), about, quorum, seen_by)


def _print_notices(status: Status, screen: Console) -> None:
    texts = [notice.text for notice in status.notices]
    if status.note and not status.is_connected:  # what the daemon waits for, and where to look
        texts.insert(0, status.note)
    print_alerts(texts, screen)


def print_alerts(texts: Iterable[str], screen: Console) -> None:
    """Print what must not be overlooked."""
    for text in texts:
        line = Table.grid(padding=(0, 1))
        line.add_row(Text("!!", "bold red"), Text(text, "bold"))
        screen.print(line)


def listing(*columns: str) -> Table:
    """Return an empty table without lines."""
    table = Table(box=None, pad_edge=False, header_style="dim")
    for column in columns:
        table.add_column(column, overflow="fold")
    return table


def _node_table(status: Status) -> Table:
    table = listing("NODE", "ID", "STATUS", "SERVICES")
    for column in (1, 3):
        table.columns[column].justify = "right"
    for node in status.nodes:
        count = str(node.services) if node.services else "-"
        table.add_row(Text(node.name), str(node.id), _node_status(node), count)
    return table


def _node_status(node: NodeView) -> Text:
    words = [colored(node.status)]
    if node.is_local:
        words.append(Text("this node"))
    if not node.is_configured:
        words.append(Text("NOT CONFIGURED", "bold red"))
    words += [Text(word) for word in _of_ring(node)]
    if node.status == "detached":
        words.append(Text("its daemon is gone, services go on"))
    if node.is_cut_off:
        words.append(Text("its paths are still cut, it gets no service"))
    if node.standby:
        words.append(Text("STANDBY", "bold yellow"))
    if node.fencing:
        words.append(Text(_fencing(node)))
    if node.proof and node.status == "fenced":
        words.append(Text(_proof(node.proof)))
    return Text(", ").join(words)


def _of_ring(node: NodeView) -> Iterator[str]:
    """Yield where corosync sees the node otherwise than its status says."""
    if node.status in ("online", "leaving") and not node.is_in_ring:
        yield "not in the ring"
    if node.status in ("offline", "fenced", "unseen") and node.is_in_ring:
        yield "in the ring, its daemon does not take part"
    if node.status == NODE_UNKNOWN and node.is_in_ring:
        yield "in the ring"


def _fencing(node: NodeView) -> str:
    case = node.fencing
    if case is not None and case.withheld:
        return f"not being fenced: {case.withheld}"
    if case is None or case.by is None:
        return "waiting to be fenced"
    fault = f" (last fault: {case.last_fault})" if case.last_fault else ""
    return f"being fenced by {case.by}, attempt {case.attempt}{fault}"


def _proof(proof: ProofView) -> str:
    detail = f", {proof.detail}" if proof.detail else ""
    return f"{_PROOFS.get(proof.kind, proof.kind)} {proof.by} {duration(proof.age_ms)} ago{detail}"


def _service_listing(status: Status, width: int) -> Text:
    rows = [
        (
            Cell(service.name),
            _state(service),
            Cell(_owner(service)),
            Cell(duration(service.age_ms)),
            Cell(service.because or ""),
        )
        for service in status.services
    ]
    return listing_text(("SERVICE", "STATE", "OWNER", "FOR", "BECAUSE"), rows, width)


def _state(service: ServiceView) -> Cell:
    word, style = _shown(service.state)
    return Cell(" ".join([word, *(f"[{flag}]" for flag in service.flags)]), style)


def _owner(service: ServiceView) -> str:
    return service.owner or (f"({service.last_owner})" if service.last_owner else "-")


def _service_facts(service: ServiceView) -> list[tuple[str, Text]]:
    facts = [
        ("service", Text(service.name, "bold")),
        ("state", colored(service.state)),
        ("owner", Text(service.owner or "-")),
        ("last owner", Text(service.last_owner or "-")),
        ("for", Text(duration(service.age_ms))),
        ("restarts", Text(str(service.restarts))),
        ("domain", Text(service.domain or "-")),
    ]
    if service.flags:
        facts.append(("flags", Text(", ".join(service.flags))))
    if service.off:
        facts.append(("runs without", Text(", ".join(service.off))))
    if service.because:
        facts.append(("because", Text(service.because)))
    if service.fault:
        facts.append(("last fault", Text(service.fault)))
    return facts


def _node_facts(node: NodeView) -> list[tuple[str, Text]]:
    facts = [
        ("node", Text(node.name, "bold")),
        ("id", Text(str(node.id))),
        ("status", _node_status(node)),
        ("services", Text(str(node.services))),
    ]
    if node.proof:
        facts.append(("last fence", Text(_proof(node.proof))))
        facts.append(("guarantee", Text(node.proof.guarantee)))
    facts.extend(("fence path", path_line(path)) for path in node.paths)
    return facts


def path_line(path: PathView) -> Text:
    """Return one fence path with the age of its latest test."""
    words = Text(f"method {path.method}, {path.device} from {path.by}: ")
    words.append_text(colored(path.state))
    detail = f", {path.detail}" if path.detail else ""
    return words.append(f", tested {duration(path.age_ms)} ago{detail}")


def fact_table(facts: Iterable[tuple[str, Text]]) -> Table:
    """Return one fact per line: its name, and what it is."""
    grid = Table.grid(padding=(0, 2))
    grid.add_column(no_wrap=True, style="dim")
    grid.add_column(overflow="fold")
    for name, value in facts:
        grid.add_row(name, value)
    return grid


def colored(word: str) -> Text:
    """Return a state or a status as it is shown everywhere."""
    return Text(*_shown(word))


def _shown(word: str) -> tuple[str, str]:
    if word in _BAD:
        return word.upper(), "bold red"
    return word, "green" if word in _GOOD else "yellow"
