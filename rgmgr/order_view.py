# SPDX-License-Identifier: Apache-2.0
"""What an operator may see of standing orders: standby of a node, lock, disarm. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from rgmgr.core.model import ClusterState, StandingOrder


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderView:
    """A standing order. Times are milliseconds."""

    by: str
    because: str  # in the operator's words; empty: none were given
    age_ms: int
    left_ms: int | None  # until it ends by itself; None: only when an operator says so
    wall_s: int  # wall clock when it was given; 0: not told
    brings_back: bool


def view_of(order: StandingOrder | None, now_ms: int) -> OrderView | None:
    """Return what is shown of an order at this cluster time; None when there is none."""
    if order is None:
        return None
    return OrderView(
        by=order.by,
        because=order.because,
        age_ms=max(0, now_ms - order.since_ms),
        left_ms=max(0, order.until_ms - now_ms) if order.until_ms else None,
        wall_s=order.wall_s,
        brings_back=order.brings_back,
    )


def order_texts(cluster: ClusterState, now_ms: int) -> list[tuple[str, str]]:
    """Return a code and a sentence for every order of the whole cluster or of a node."""
    found: list[tuple[str, str]] = []
    if order := view_of(cluster.disarmed, now_ms):
        text = "the cluster is disarmed: it starts, stops and fences nothing by itself"
        found.append(("disarmed", f"{text}{_terms(order)}"))
    if order := view_of(cluster.locked, now_ms):
        found.append(("locked", f"services are locked: none starts{_terms(order)}"))
    for node, standing in cluster.standby.items():
        if order := view_of(standing, now_ms):
            name = cluster.spec.node_name(node)
            found.append(("standby", f"{name} is in standby: it gets no services{_terms(order)}"))
    return found


def _terms(order: OrderView) -> str:
    left = "" if order.left_ms is None else f", for {_span(order.left_ms)} more"
    because = f": {order.because}" if order.because else ""
    return f"{left} (ordered by {order.by}{because})"


def _span(milliseconds: int) -> str:
    minutes = -(-milliseconds // 60_000)
    return f"{minutes} min" if minutes < 120 else f"{-(-minutes // 60)} h"  # noqa: PLR2004
