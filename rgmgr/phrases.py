# SPDX-License-Identifier: Apache-2.0
"""Journal events in the words of a story, for people who read what happened. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from string import Formatter

PHRASES = {
    "cluster.armed": "the cluster is armed: {reason}",
    "cluster.disarmed": "the cluster is disarmed for {for_ms} ms by {by}",
    "config.adopted": "cluster.toml of version {version} counts now; {by} had it",
    "config.refused": "cluster.toml of version {version} on {by} is refused: {reason}",
    "epoch.installed": "the members agree: epoch {epoch} with {members}",
    "fence.called_off": "{node} is back in time: it is not fenced",
    "fence.failed": "fencing {node} brought no proof: {reason}",
    "fence.requested": "{by} is to fence {node}, attempt {attempt}",
    "fence.succeeded": "proof that {node} is down: {proof}",
    "member.detached": "rgmgrd on {node} is gone, its services go on",
    "member.joined": "{node} joins (it was {was})",
    "member.leaving": "{node} is leaving: its services go elsewhere",
    "member.left": "{node} is lost",
    "member.left_cleanly": "{node} says goodbye: it runs nothing",
    "node.unclean": "{node} may still run its services: nothing starts elsewhere without proof",
    "node.reach_lost": "{node} does not reach {pings}",
    "node.reach_regained": "{node} reaches {pings} again",
    "request.accepted": "the members accept: {request} {about}",
    "request.refused": "the members refuse: {request} {about}: {reason}",
    "service.adopted": "{service} is found running on {owner} and stays there",
    "service.dependency_lost": "{service} has to stop: {reason}",
    "service.displaced": "{service} leaves {node}, to make room for {by}",
    "service.evacuated": "{service} leaves {node} for {target}, which reaches more than it",
    "service.failback_postponed": "{service} goes back to {target} later: {until}",
    "service.failed": "{service} failed on {node}: {reason}",
    "service.failure_tolerated": "{service} failed on {node}, and that is tolerated: {reason}",
    "service.follows": "{service} follows {leader} to {target}",
    "service.mended": "{service} has {resources} back on {owner}",
    "service.migrated": "{service} has gone from {last_owner} to {owner}",
    "service.migration_failed": "{service} stays on {owner}, not migrated to {target}: {reason}",
    "service.part_failed": "{service} lost {resources} on {node}, and keeps the rest: {reason}",
    "service.partial": "{service} runs on without {resources}",
    "service.refitted": "{service} is given its new tree on {owner}",
    "service.start_failed": "{service} does not start on {node}: {reason}",
    "service.started": "{service} runs on {owner}",
    "service.starting": "{service} is given to {owner}",
    "service.stop_failed": "{service} does not stop on {node}: {reason}",
    "service.stopped": "{service} has stopped on {last_owner}",
    "service.waiting": "{service} waits: {reason}",
    "services.forbidden": "services are forbidden there: {reason}",
    "services.locked": "services are locked by {by}",
    "services.unlocked": "services are unlocked by {by}",
    "shutdown.begun": "rgmgrd is told to end ({kind})",
    "standby.begun": "{node} goes into standby, ordered by {by}",
    "standby.ended": "{node} is in standby no more: {reason}",
    "takeover.alerted": "{service} ran on {node}, which is down: an administrator decides",
    "takeover.asked": "{service} ran on {node}, which is down: may it be taken over?",
    "takeover.confirmed": "the takeover of {service} from {node} is {decision}",
    "takeover.delayed": "{service} ran on {node}, which is down: it has {delay_ms} ms to be back",
    "takeover.due": "{service} has waited for {node} for long enough",
    "takeover.refused": "the takeover of {service} from {node} is {decision}",
}
"""Journal events in the words of the story; others are told as they stand in the journal."""


def in_words(event: str, facts: Mapping[str, object]) -> str | None:
    """Say what happened; None when there are no words for it, or a fact is missing."""
    phrase = PHRASES.get(event)
    if phrase is None:
        return None
    about = facts.get("service") or facts.get("node") or "the cluster"
    try:
        return phrase.format_map({**facts, "about": about})
    except KeyError:
        return None


def facts_left(event: str, facts: Mapping[str, object]) -> dict[str, object]:
    """Return the facts that the words of an event leave out."""
    said = {name for _, name, _, _ in Formatter().parse(PHRASES.get(event, "")) if name}
    return {name: fact for name, fact in facts.items() if name not in said}
