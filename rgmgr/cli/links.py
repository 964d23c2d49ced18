# SPDX-License-Identifier: Apache-2.0
"""`rgmgr status --links`: what corosync on this node knows of links, votes and timers."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import click

from rgmgr.cli.client import connector
from rgmgr.cli.exits import Exit
from rgmgr.links import CorosyncView, LinkView, QuorumView, TotemView, encode_corosync

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text

_US_PER_MS = 1_000


def show(context: click.Context, node: str | None, *, as_json: bool) -> None:
    """Fetch and print; `node`: only the links to it."""
    with connector(context.obj)() as daemon:
        view = daemon.corosync()
    if node is not None:
        links = tuple(link for link in view.links if link.node == node)
        if not links and not view.fault:
            click.echo(f"rgmgr: {view.node} has no link to a node named {node!r}", err=True)
            context.exit(Exit.REFUSED)
        view = replace(view, links=links)
    if as_json:
        click.echo(encode_corosync(view))
        return
    from rich.console import Console  # noqa: PLC0415 - JSON needs no rich

    print_links(view, Console(highlight=False))


def print_links(view: CorosyncView, screen: Console) -> None:
    """Print the arithmetic, what is unwise, and a line for each link."""
    from rgmgr.cli.screens import listing, print_alerts  # noqa: PLC0415 - likewise

    if view.totem is None:
        print_alerts([f"nothing is known of corosync: {view.fault}"], screen)
        return
    screen.print(f"{view.node}: links as seen from here; the other nodes tell of theirs")
    screen.print(_transport(view.totem))
    screen.print(_time(view.totem))
    screen.print(_votes(view.quorum))
    print_alerts((warning.text for warning in view.warnings), screen)
    screen.print()
    table = listing("TO", "LINK", "STATE", "FROM ADDRESS", "TO ADDRESS", "LATENCY", "LOST")
    for column in (1, 5, 6):
        table.columns[column].justify = "right"
    for link in view.links:
        ends = (link.local_address, link.address)
        table.add_row(link.node, str(link.link), _state(link), *ends, *_figures(link))
    screen.print(table)


def _time(totem: TotemView) -> str:
    return (
        f"a dead node is noticed after {totem.detection_ms / 1000:.1f} s: token {totem.token_ms} ms"
        f" + consensus {totem.consensus_ms} ms"
    )


def _transport(totem: TotemView) -> str:
    mode = "" if totem.link_count == 1 else f" ({totem.link_mode})"
    return f"links: {totem.link_count}{mode}; crypto: {totem.crypto_cipher}, {totem.crypto_hash}"


def _votes(quorum: QuorumView | None) -> str:
    if quorum is None:
        return "votes: no quorum provider"
    verdict = "quorate" if quorum.is_quorate else "NO QUORUM"
    flags = ", ".join(flag for flag in quorum.flags if flag != "quorate")
    device = ""
    if quorum.qdevice:
        state = "votes" if quorum.is_qdevice_alive else "DOES NOT VOTE"
        device = f"; device {quorum.qdevice} ({quorum.qdevice_votes}) {state}"
    return (
        f"{verdict}: {quorum.total} of {quorum.expected} votes, {quorum.needed} needed{device}"
        + (f"; {flags}" if flags else "")
    )


def _state(link: LinkView) -> Text:
    from rich.text import Text  # noqa: PLC0415 - likewise

    return Text("up", "green") if link.is_connected else Text("DOWN", "bold red")


def _figures(link: LinkView) -> tuple[str, str]:
    is_known = link.is_connected and link.latency_us is not None
    latency = f"{(link.latency_us or 0) / _US_PER_MS:.1f} ms" if is_known else "-"
    return latency, "-" if link.down_count is None else str(link.down_count)
