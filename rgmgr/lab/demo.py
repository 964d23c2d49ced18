# SPDX-License-Identifier: Apache-2.0
"""``rgmgr lab demo``: a real cluster loses a node to a power cut, and its web page comes back.

Everything printed was measured in this run. Where the lab cannot be made, the same story is told
by the simulator, with the real decision core.
"""

from __future__ import annotations

import contextlib
import os
import time
from dataclasses import dataclass

import click

from rgmgr.lab.errors import LabError
from rgmgr.lab.lab import Lab
from rgmgr.lab.observe import Line, Observer
from rgmgr.lab.prerequisites import require
from rgmgr.sim.story import tell_demo_story

US = 1_000_000
SURVIVOR = "node2"
VICTIM = "node1"


@dataclass(frozen=True, slots=True)
class _Moment:
    """One line of the story: what is looked for in the journal, and how it is told."""

    event: str
    words: tuple[str, ...]
    text: str


STORY = (
    _Moment("epoch.installed", (), "corosync lost the node; the others agree on a new membership"),
    _Moment("fence.requested", (VICTIM,), f"fencing {VICTIM} over IPMI begins"),
    _Moment("fence.succeeded", (VICTIM,), f"proof: the BMC confirms that {VICTIM} is off"),
    _Moment("service.starting", ("web",), f"web starts on {SURVIVOR}"),
    _Moment("service.started", ("web",), "address up and announced, nginx running"),
)


@click.command()
@click.option(
    "--keep", is_flag=True, help="Leave the lab up afterwards (`rgmgr lab down` ends it)."
)
@click.pass_obj
def demo(lab: Lab, *, keep: bool) -> None:
    """Watch a node lose power and its web page come back from another.

    Needs root on Debian 12. Without, the simulator tells the same story.
    """
    try:
        require()
        lab.up(3)
    except LabError as error:
        click.echo(f"no lab here ({error}); the simulator tells the same story:")
        with contextlib.suppress(LabError):
            if os.geteuid() == 0:
                lab.down()
        raise SystemExit(0 if tell_demo_story(click.echo) else 1) from error
    try:
        _tell(Observer(lab))
    finally:
        if keep:
            click.echo("the lab is still up: `rgmgr lab run node1 rgmgr status`, `rgmgr lab down`")
        else:
            lab.down()
            click.echo("the lab is gone: no node, network, mount or process is left.")


def _tell(observer: Observer) -> None:
    observer.await_page(VICTIM)
    observer.await_that(observer.is_settled, "the cluster to settle")
    click.echo("\nThree nodes, one floating address:")
    _show(observer, VICTIM, "rgmgr", "status")
    click.echo(f"$ curl {observer.page_url}\n  {_page(observer)}\n")
    _power_cut(observer)
    _return_home(observer)


def _power_cut(observer: Observer) -> None:
    cut_us = observer.now_us()
    observer.lab.kill(VICTIM)
    click.echo(f"--- {VICTIM} loses its power ---")
    observer.await_page(SURVIVOR)
    answered_us = observer.now_us()
    last = STORY[-1]  # logged a moment after the page is there
    observer.await_that(
        lambda: observer.when(SURVIVOR, last.event, cut_us, *last.words) is not None, last.event
    )
    lines = observer.lines(SURVIVOR, cut_us)
    for moment in STORY:
        _tell_moment(lines, moment, cut_us)
    click.echo(f"  {(answered_us - cut_us) / US:7.3f} s  the page answers again\n")
    _show(observer, SURVIVOR, "rgmgr", "status")
    click.echo(f"$ curl {observer.page_url}\n  {_page(observer)}\n")


def _return_home(observer: Observer) -> None:
    click.echo(f"--- {VICTIM} was switched on again by its BMC and rejoins ---")
    observer.await_that(observer.is_settled, f"{VICTIM} to rejoin")
    begun = time.monotonic()
    _show(observer, SURVIVOR, "clusvcadm", "-r", "web", "-m", VICTIM)
    took = time.monotonic() - begun
    observer.await_page(VICTIM)
    click.echo(f"  moved back in {took:.3f} s, the time of the command included\n")
    _show(observer, VICTIM, "clustat")
    _show(observer, VICTIM, "systemctl", "status", "--no-pager", "--lines=3", "rgmgrd")
    _show(observer, VICTIM, "systemctl", "status", "--no-pager", "--lines=0", "rgmgr-web.slice")


def _tell_moment(lines: list[Line], moment: _Moment, cut_us: int) -> None:
    for line in lines:
        event = line.text.split(" ", 1)[0]
        if event == moment.event and all(word in line.text for word in moment.words):
            click.echo(f"  {(line.at_us - cut_us) / US:7.3f} s  {moment.text}")
            return


def _show(observer: Observer, node: str, *argv: str) -> None:
    said = observer.lab.run(node, list(argv))
    click.echo(f"{node}$ {' '.join(argv)}")
    click.echo("\n".join(f"  {line}" for line in (said.stdout + said.stderr).splitlines()) + "\n")


def _page(observer: Observer) -> str:
    return observer.lab.client(["curl", "-s", "--max-time", "1", observer.page_url]).stdout.strip()
