# SPDX-License-Identifier: Apache-2.0
"""One way to break the core: a change of its text, applied while it is imported.

Nothing on disk changes; the process that imports a mutant runs nothing else.
"""

from __future__ import annotations

import importlib.util
import sys
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Mutant:
    """A core with one mistake in it. `old` is found exactly once in the text of `module`."""

    name: str
    breaks: str  # what such a core does, in one line
    module: str
    old: str
    new: str

    def patched(self) -> str:
        """Return the text of the module with the mistake; ValueError when `old` is not in it."""
        spec = importlib.util.find_spec(self.module)
        if spec is None or spec.origin is None:
            raise ValueError(f"{self.name}: there is no module {self.module}")
        text = Path(spec.origin).read_text(encoding="utf-8")
        if text.count(self.old) != 1:
            found = text.count(self.old)
            raise ValueError(
                f"{self.name}: {self.old!r} is {found} times in {self.module}, not once"
            )
        return text.replace(self.old, self.new)

    def become(self) -> None:
        """Be this mutant from now on: to be called before the module has been imported."""
        spec = importlib.util.find_spec(self.module)
        if spec is None or self.module in sys.modules:
            raise ValueError(f"{self.name}: {self.module} has been imported already")
        module = importlib.util.module_from_spec(spec)
        sys.modules[self.module] = module
        code = compile(self.patched(), f"{self.module} ({self.name})", "exec")
        exec(code, vars(module))  # noqa: S102 - the very point


def mutant(name: str, breaks: str, module: str, old: str, new: str) -> Mutant:
    """Return a mutant."""
    return Mutant(name=name, breaks=breaks, module=module, old=old, new=new)
