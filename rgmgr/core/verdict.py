# SPDX-License-Identifier: Apache-2.0
"""How a request stands, in the eyes of every member alike."""

from __future__ import annotations

from dataclasses import dataclass

from rgmgr.core.actions import Answer


@dataclass(frozen=True, slots=True)
class Verdict:
    """How a request stands; `answer` is None while it is accepted and not done."""

    answer: Answer | None
    text: str = ""


ACCEPTED = Verdict(None)
