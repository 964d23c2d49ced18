# SPDX-License-Identifier: Apache-2.0
"""`rgmgr incident`: one loss of a node as a story: what was seen, who did what, what it cost."""

from __future__ import annotations

from collections.abc import Iterator

import click
import msgspec

from rgmgr.cli.client import connector
from rgmgr.cli.exits import Exit
from rgmgr.cli.times import ago, seconds
from rgmgr.fence_view import CaseView, SightView, TrialView
from rgmgr.view import Status


@click.command()
@click.argument("which", default="last", metavar="[last | NODE | NUMBER]")
@click.option("--json", "as_json", is_flag=True, help="Print JSON (schema version 1).")
def incident(which: str, *, as_json: bool) -> None:
    """Tell how a node was lost: the evidence, each attempt, and the outage of each service.

    The last one, the last one of NODE, or the one of this NUMBER. Times count from the moment at
    which the members noticed the loss; corosync's detection time comes before.
    """
    context = click.get_current_context()
    with connector(context.obj)() as daemon:
        status = daemon.status()
    case = _find(status, which)
    if case is None:
        click.echo(f"rgmgr: no incident {which!r} is known; see 'rgmgr fence history'", err=True)
        context.exit(Exit.REFUSED)
    if as_json:
        click.echo(msgspec.json.encode({"schema": 1, "incident": case}).decode())
        return
    click.echo("\n".join(_story(case)))


def _find(status: Status, which: str) -> CaseView | None:
    for case in reversed(status.cases):
        if which in ("last", case.node, str(case.number)):
            return case
    return None


def _story(case: CaseView) -> Iterator[str]:
    yield f"incident {case.number}: {case.node} was lost {ago(case)}"
    yield f"  evidence   {case.cause}"
    for sight in case.sights:
        yield f"             {_seen(sight, case.node)}"
    yield (
        f"  decided    by {', '.join(case.members)} together, in epoch {case.epoch},"
        f" ring {case.ring_seq}"
    )
    missing = case.attempts - len(case.trials)
    if missing:
        yield f"             ({missing} earlier attempts are not kept)"
    for number, trial in enumerate(case.trials, start=missing + 1):
        yield _attempt(number, trial)
    yield f"  outcome    {_outcome(case)}"
    yield from _parts(case)
    if not case.outages:
        yield "  services   none were on it"
    for outage in case.outages:
        back = "is NOT BACK"
        if outage.back_after_ms is not None:
            back = f"back on {outage.back_on} after {seconds(outage.back_after_ms)}"
        yield f"  service    {outage.service}: {back}"


def _seen(sight: SightView, node: str) -> str:
    """Say how a survivor saw a link: knet's state changed between two of its looks."""
    what = f"link {sight.link} from {sight.by} to {node} is {'up' if sight.is_up else 'DOWN'}"
    if sight.found_after_ms is None:
        when = " as it was all the time" if sight.is_up else ": it has not been up"
    else:
        when = f": found so at {_at(sight.found_after_ms)}"
        if sight.before_after_ms is not None:
            other = "down" if sight.is_up else "up"
            when += f", still {other} at {_at(sight.before_after_ms)}"
    return f"{what}{when}" + (f"; losses so far: {sight.losses}" if sight.losses else "")


def _at(after_ms: int) -> str:
    return f"{'-' if after_ms < 0 else ''}{seconds(abs(after_ms))}"


def _parts(case: CaseView) -> Iterator[str]:
    """Say how long each part took: until the first attempt, until the proof, until all is back."""
    if case.begun_after_ms is None or case.ended_after_ms is None:
        return
    parts = [
        f"waited {seconds(case.begun_after_ms)}",
        f"fenced in {seconds(case.ended_after_ms - case.begun_after_ms)}",
    ]
    back = [o.back_after_ms for o in case.outages if o.back_after_ms is not None]
    if back:
        parts.append(f"services back {seconds(max(0, max(back) - case.ended_after_ms))} later")
    yield f"  parts      {', '.join(parts)}"


def _attempt(number: int, trial: TrialView) -> str:
    begun = f"{trial.by} began at {seconds(trial.begun_after_ms)}"
    if trial.ended_after_ms is None:
        return f"  attempt {number}  {begun}; no result was heard"
    took = seconds(trial.ended_after_ms - trial.begun_after_ms)
    return f"  attempt {number}  {begun}, took {took}: {trial.result}"


def _outcome(case: CaseView) -> str:
    if case.ended_after_ms is None:
        return "open: nothing proves that it is down"
    by = f" by {case.by}" if case.by else ""
    return f"{case.outcome}{by} after {seconds(case.ended_after_ms)}"
