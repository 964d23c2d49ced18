# SPDX-License-Identifier: Apache-2.0
"""The exceptions that rgmgr raises on purpose.

::

    RgmgrError                     carries fields, renders one sentence
    ├── ConfigError                .problems: every problem, never only the first
    ├── CorosyncError              .call, .code (name of the cs_error_t)
    ├── BusError                   .destination, .method, .name (D-Bus error name)
    ├── WireError                  .reason, .fault (enum): bytes that hold nothing for us
    └── RequestRefused             .request, .reason (enum): asked for, but unsafe or impossible now
    InvariantViolation             a bug: log the state, stop acting, exit

Failures of the world that are to be expected (an agent failed, a unit failed, time ran out) are
events, not exceptions. This module imports nothing of ours, so that every layer may use it.
"""

import enum
from collections.abc import Iterable
from typing import NamedTuple


class Problem(NamedTuple):
    """One thing wrong in a configuration. No dataclass: those take long to load."""

    path: str  # dotted key path, such as "service.web.domain"
    problem: str  # what was found and what is expected
    hint: str = ""  # what to do about it; empty when the problem says it all


class RgmgrError(Exception):
    """Anything that rgmgr raises on purpose."""


class ConfigError(RgmgrError):
    """A configuration with problems; carries all of them."""

    def __init__(self, problems: Iterable[Problem], source: str = "configuration") -> None:
        self.problems = tuple(problems)
        self.source = source
        super().__init__(source, self.problems)

    def __str__(self) -> str:
        """Render a heading and one aligned line per problem."""
        count = len(self.problems)
        width = max((len(problem.path) for problem in self.problems), default=0)
        lines = [f"{self.source}: {count} problem{'' if count == 1 else 's'}"]
        for found in self.problems:
            hint = f" ({found.hint})" if found.hint else ""
            lines.append(f"  {found.path:<{width}}  {found.problem}{hint}")
        return "\n".join(lines)


class CorosyncError(RgmgrError):
    """A call into corosync's libraries failed."""

    def __init__(self, call: str, code: str, hint: str = "") -> None:
        self.call = call
        self.code = code
        self.hint = hint
        super().__init__(call, code, hint)

    def __str__(self) -> str:
        """Render the call, the code and what to do."""
        return f"{self.call} failed with {self.code}" + (f": {self.hint}" if self.hint else "")


class BusError(RgmgrError):
    """A D-Bus call was answered with an error, or not at all."""

    def __init__(self, destination: str, method: str, name: str, text: str = "") -> None:
        self.destination = destination
        self.method = method
        self.name = name
        self.text = text
        super().__init__(destination, method, name, text)

    def __str__(self) -> str:
        """Render who was asked for what, and the answer."""
        answer = f"{self.destination}: {self.method} failed with {self.name}"
        return answer + (f": {self.text}" if self.text else "")


class WireFault(enum.Enum):
    """What a receiver does with bytes that it cannot decode."""

    MALFORMED = "malformed"  # not ours or damaged: drop it, with an error in the journal
    IGNORABLE = "ignorable"  # of a later version, which says that others need not know it
    NOT_UNDERSTOOD = "not understood"  # of a later version, and it matters: an error


class WireError(RgmgrError):
    """Bytes that cannot be decoded, or a value that cannot be encoded."""

    def __init__(self, reason: str, fault: WireFault = WireFault.MALFORMED) -> None:
        self.reason = reason
        self.fault = fault
        super().__init__(reason, fault)

    def __str__(self) -> str:
        """Render the reason."""
        return self.reason


class RequestRefused(RgmgrError):  # noqa: N818 - the word an operator reads; not every refusal is an error
    """An operator asked for something that is unsafe or impossible now; nothing was changed."""

    def __init__(self, request: str, reason: enum.Enum, text: str = "") -> None:
        self.request = request
        self.reason = reason
        self.text = text
        super().__init__(request, reason, text)

    def __str__(self) -> str:
        """Render the request and why it was refused."""
        return f"{self.request} refused: {self.text or self.reason.value}"


class InvariantViolation(AssertionError):  # noqa: N818 - names what was violated, as AssertionError's kin
    """Something that must never be true is true: a bug, not a failure of the world."""
