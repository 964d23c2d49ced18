# SPDX-License-Identifier: Apache-2.0
"""What an operator may see of the history: what the members did together, when and why. Pure."""

from __future__ import annotations

from dataclasses import dataclass

import msgspec

from rgmgr.core.model import ClusterState, Decision
from rgmgr.phrases import facts_left, in_words

SCHEMA_VERSION = 1

ORIGINS = ("user", "because", "reason")
"""Facts that say who wanted it and why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DecisionView:
    """One entry. `age_ms` counts cluster time, which stands still while no member lives."""

    age_ms: int
    wall_s: int  # wall clock of that moment; 0: not told
    event: str  # of the journal
    facts: dict[str, str]

    def text(self) -> str:
        """Return what happened and why, as one sentence."""
        left = facts_left(self.event, self.facts)
        words = in_words(self.event, self.facts)
        if words is None:
            return f"{self.event} " + ", ".join(f"{k}={v}" for k, v in self.facts.items())
        more = [f"{name}: {left[name]}" for name in ORIGINS if name in left]
        return f"{words} ({'; '.join(more)})" if more else words

    def is_about(self, name: str) -> bool:
        """Tell whether a service or node of this name plays a part."""
        return any(name in value.split(", ") for value in self.facts.values())


@dataclass(frozen=True, slots=True, kw_only=True)
class History:
    """The latest entries, oldest first."""

    schema: int = SCHEMA_VERSION
    decisions: tuple[DecisionView, ...]


def history_of(cluster: ClusterState, now_ms: int) -> History:
    """Return what is shown at this cluster time."""
    return History(decisions=tuple(_view(entry, now_ms) for entry in cluster.history))


def encode_history(history: History) -> str:
    """Return it as JSON."""
    return msgspec.json.encode(history).decode()


def decode_history(text: str) -> History:
    """Read what `encode_history` wrote; fields of a newer version are skipped.

    Raises:
        ValueError: it is no history, or one of a schema that this version cannot read.
    """
    history = msgspec.json.decode(text, type=History)
    if history.schema != SCHEMA_VERSION:
        msg = f"history has schema {history.schema}, this version reads {SCHEMA_VERSION}"
        raise ValueError(msg)
    return history


def _view(entry: Decision, now_ms: int) -> DecisionView:
    return DecisionView(
        age_ms=max(0, now_ms - entry.at_ms),
        wall_s=entry.wall_s,
        event=entry.event,
        facts=entry.facts,
    )
